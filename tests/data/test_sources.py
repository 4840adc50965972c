"""The same labelled images, whatever they are stored in; and one line for whatever cannot be used."""

import gzip
import hashlib
import io
import os
import shutil
import subprocess
import sys
import zipfile
import zlib
from dataclasses import replace

import numpy as np
import pytest
from data_builders import (
    cifar_files,
    encoded,
    huge_png,
    idx_bytes,
    idx_files,
    noise,
    small_files,
    split_files,
    write_tar,
    write_tree,
    write_zip,
)
from PIL import Image

from vitrail.data import archives, cache, decoded, downloads, location, pixels, survey
from vitrail.data.layout import TEST, TRAIN, arrange
from vitrail.data.sources import open_source
from vitrail.errors import InputError


def refused(source, data_dir):
    with pytest.raises(InputError) as caught:
        open_source(source, data_dir)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("wrapping", ["", "photos/", "./photos/"])
@pytest.mark.parametrize("kind", ["folder", "x.zip", "x.tar", "x.tar.gz", "x.tgz", "x.tar.bz2", "x.tar.xz"])
def test_the_same_images_come_from_a_folder_and_every_archive(tmp_path, data_dir, kind, wrapping):
    content = {wrapping + name: data for name, data in split_files(train=3, test=2).items()}
    path = tmp_path / kind
    if kind == "folder":
        write_tree(path, content)
    elif kind == "x.zip":
        write_zip(path, content)
    else:
        write_tar(
            path, content, {"gz": "w:gz", "tgz": "w:gz", "bz2": "w:bz2", "xz": "w:xz"}.get(kind[-3:].strip("."), "w")
        )
    source = open_source(str(path), data_dir)
    assert source.name == ("folder" if kind == "folder" else "x")
    assert source.class_names == ("cat", "dog")
    assert source.labels.tolist() == [0, 0, 1, 1, 0, 0, 0, 1, 1, 1]
    assert source.split.tolist() == [TEST] * 4 + [TRAIN] * 6
    assert (source.native_size, source.channels, source.skipped) == ((6, 6), 3, ())
    assert source.notes == ("read as: training images from train/, test images from test/; classes cat, dog",)
    images = source.load((6, 6))
    assert len(images) == 10
    bytes_of = {name.removeprefix("./"): data for name, data in content.items()}
    for at, name in enumerate(source.image_names):
        pixels = np.asarray(Image.open(io.BytesIO(bytes_of[name])))
        assert np.array_equal(images.read([at])[0], pixels.transpose(2, 0, 1))


def test_reading_is_in_the_order_asked_and_contiguous(tmp_path, data_dir):
    images = open_source(write_tree(tmp_path / "x", small_files()), data_dir).load(6)
    batch = images.read(np.array([5, 0, 5]))
    assert isinstance(batch, np.ndarray)
    assert not isinstance(batch, np.memmap)
    assert batch.flags.c_contiguous
    assert batch.flags.writeable
    assert np.array_equal(batch[0], images.images[5])
    assert np.array_equal(batch[0], batch[2])


def test_sizes_and_channels_are_found(tmp_path, data_dir):
    content = small_files(shape=(8, 8)) | {"cat/x.png": encoded(noise(0, (5, 9)))}
    source = open_source(write_tree(tmp_path / "x", content), data_dir)
    assert (source.native_size, source.channels) == (None, 1)
    assert source.load((7, 6)).images.shape == (9, 1, 7, 6)
    assert source.load((7, 6), channels=3).images.shape == (9, 3, 7, 6)
    content["dog/x.png"] = encoded(noise(0, (8, 8, 3)))
    assert open_source(write_tree(tmp_path / "x", content), data_dir).channels == 3


def test_many_files_are_read_by_several_processes(tmp_path, data_dir, monkeypatch):
    path = write_zip(tmp_path / "x.zip", small_files(per_class=40))
    alone = open_source(path, data_dir / "alone").load(12)
    monkeypatch.setattr("vitrail.data.workers._IN_THREADS_SECONDS", 0)
    monkeypatch.setattr("vitrail.data.workers._CHUNK_FILES", 7)
    together = open_source(path, data_dir / "together").load(12)
    assert np.array_equal(alone.images, together.images)


def test_a_copy_never_trains_what_its_twin_measures(tmp_path, data_dir):
    content = small_files(per_class=12)
    name, data = next(iter(content.items()))
    label = name.split("/")[0]
    source = open_source(str(write_tree(tmp_path / "x", content | {f"{label}/zz copy.png": data})), data_dir)
    assert len(source.labels) == len(content)
    assert f"{label}/zz copy.png" not in source.image_names
    assert any("left out 1 copy of another image: " in note for note in source.notes)
    ready = {f"{part}/{name}": data for part in ("train", "test") for name, data in content.items()}
    ready = {name: encoded(noise(len(name) + i, (6, 5, 3))) for i, name in enumerate(ready)}
    ready |= {"train/cat/one.png": data, "train/cat/again.png": data, "test/cat/other.png": data}
    source = open_source(str(write_tree(tmp_path / "ready", ready)), data_dir)
    assert [name for name in ready if name not in source.image_names] == ["train/cat/one.png", "train/cat/again.png"]
    assert any("left out 2 copies of other images that test or validate" in note for note in source.notes)


class TestCache:
    def test_the_second_start_reads_no_image(self, tmp_path, data_dir, monkeypatch):
        path = write_zip(tmp_path / "x.zip", small_files())
        first = open_source(path, data_dir)
        pixels = first.load(5).images
        monkeypatch.setattr(survey, "scan", None)
        monkeypatch.setattr(archives, "_list_zip", None)
        monkeypatch.setattr(decoded, "decode_bytes", None)
        second = open_source(path, data_dir)
        assert np.array_equal(second.load(5).images, pixels)
        for name in ("class_names", "native_size", "channels", "skipped", "notes", "name", "kind"):
            assert getattr(first, name) == getattr(second, name)
        assert np.array_equal(first.labels, second.labels)
        assert list(first.image_names) == list(second.image_names)

    def test_nothing_is_used_that_was_kept_under_other_rules_for_folders(self, tmp_path, data_dir, monkeypatch):
        path = write_tree(tmp_path / "x", split_files(training_set=4, test_set=2) | {"pred/1.png": encoded(noise(7))})
        with monkeypatch.context() as earlier:
            earlier.setattr(location, "_READING", location._READING - 1)
            earlier.setattr(survey, "arrange", lambda names, *_: arrange(names, layout="class"))
            before = open_source(path, data_dir)
            assert before.class_names == ("pred", "test_set", "training_set")
            before.load(6)
        now = open_source(path, data_dir)
        assert now.class_names == ("cat", "dog")
        assert len(now.load(6).images) == len(now.labels) == 12

    def test_what_was_written_into_the_folder_changes_nothing(self, tmp_path, data_dir):
        path = write_tree(tmp_path / "x", small_files())
        before = open_source(path, data_dir)
        own = {"runs/x-1/run.json": b"{}", "runs/x-1/explanation-1/figures/a.png": encoded(noise(9))}
        write_tree(path, own | {"cat/x-samples.png": encoded(noise(8))})
        after = open_source(path, data_dir)
        assert (after.content, after.class_names) == (before.content, before.class_names)
        assert list(after.image_names) == list(before.image_names)

    @pytest.mark.parametrize("archive", [False, True])
    def test_changed_data_are_read_anew(self, tmp_path, data_dir, archive):
        content = small_files()

        def write():
            return write_zip(tmp_path / "x.zip", content) if archive else write_tree(tmp_path / "x", content)

        before = open_source(write(), data_dir).load(6).images.copy()
        content["cat/0.png"] = encoded(noise(99))
        path = write()
        os.utime(path / "cat/0.png" if path.is_dir() else path, ns=(1, 1))
        [kept] = (data_dir / "decoded").iterdir()
        os.utime(kept / "survey.json", (1, 1))
        (data_dir / "decoded" / f"{kept.name[:-16]}damaged").mkdir()
        (data_dir / "decoded" / f"{kept.name[:-16]}damaged" / "survey.json").write_text("{")
        after = open_source(path, data_dir).load(6).images
        assert len(list((data_dir / "decoded").iterdir())) == 2, "what was kept of the data as it was is removed"
        assert not kept.exists()
        assert not np.array_equal(before[0], after[0])
        assert np.array_equal(before[1:], after[1:])

    def test_another_size_can_be_read_when_the_unpacked_copy_is_gone(self, tmp_path, data_dir):
        source = open_source(write_tar(tmp_path / "x.tar.gz", small_files(), "w:gz"), data_dir)
        pixels = source.load(6).images.copy()
        for copy in data_dir.rglob("*.tar"):
            copy.unlink()
        for images in data_dir.rglob("*.npy"):
            images.unlink()
        assert np.array_equal(source.load(6).images, pixels)

    def test_nothing_unfinished_is_left(self, tmp_path, data_dir):
        path = write_tree(tmp_path / "x", small_files())
        source = open_source(path, data_dir)
        (path / "dog/3.png").write_bytes(b"broken since")
        with pytest.raises(InputError, match=r"dog/3\.png: not an image"):
            source.load(6)
        assert not [name for name in data_dir.rglob("*") if ".tmp-" in name.name or name.suffix == ".npy"]

    def test_what_a_killed_process_left_is_cleared_after_a_day(self, tmp_path):
        old, new = tmp_path / ".tmp-old", tmp_path / ".tmp-new"
        old.touch()
        new.touch()
        os.utime(old, (1, 1))
        with cache.replacing(tmp_path / "x") as temporary:
            temporary.touch()
        assert sorted(p.name for p in tmp_path.iterdir()) == [".tmp-new", "x"]

    def test_a_survey_that_is_cut_off_is_made_again(self, tmp_path, data_dir):
        path = write_tree(tmp_path / "x", small_files())
        labels = open_source(path, data_dir).labels
        (stored,) = data_dir.glob("decoded/*/survey.json")
        whole = stored.read_text()
        stored.write_text(whole[: len(whole) // 2])
        assert np.array_equal(open_source(path, data_dir).labels, labels)
        assert stored.read_text() == whole

    def test_the_environment_moves_it(self, tmp_path, monkeypatch):
        monkeypatch.setenv("VITRAIL_DATA_DIR", str(tmp_path / "moved"))
        open_source(write_tree(tmp_path / "x", small_files()))
        assert list((tmp_path / "moved/decoded").glob("x-*/survey.json"))

    def test_a_data_folder_that_cannot_be_written_is_named_with_the_cure(self, tmp_path):
        (tmp_path / "file").touch()
        message = refused(write_tree(tmp_path / "x", small_files()), tmp_path / "file")
        assert f"cannot write to the data folder {tmp_path / 'file'}" in message
        assert "--data-dir" in message

    def test_a_full_disk_is_named(self, tmp_path, data_dir, monkeypatch):
        source = open_source(write_tree(tmp_path / "x", small_files()), data_dir)

        def fail(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(pixels.np.lib.format, "write_array_header_1_0", fail)
        with pytest.raises(InputError, match="the disk is full"):
            source.load(6)

    def test_large_arrays_are_kept_on_the_disk_and_found_again(self, tmp_path, data_dir, monkeypatch):
        path = write_tree(tmp_path / "x", idx_files()[0])
        in_memory = open_source(path, data_dir).load(40).images
        assert not list(data_dir.rglob("*.npy"))
        monkeypatch.setattr(pixels, "LARGE", in_memory.nbytes - 1)
        mapped = open_source(path, data_dir).load(40).images
        assert isinstance(mapped, np.memmap)
        assert np.array_equal(mapped, in_memory)
        (stored,) = data_dir.glob("decoded/arrays-*.npy")
        monkeypatch.setattr(pixels, "to_array", None)
        assert np.array_equal(open_source(path, data_dir).load(40).images, in_memory)
        assert list(data_dir.glob("decoded/arrays-*.npy")) == [stored]


class TestBadInput:
    def test_a_path_that_is_missing_names_what_is_known(self, tmp_path, data_dir):
        assert "did you mean cifar10?" in refused("cifr10", data_dir)
        assert "digits, shapes, mnist, fashion-mnist, cifar10, cifar100" in refused("/no/such/place", data_dir)
        (tmp_path / "flowers").mkdir()
        assert "flowers?" in refused(str(tmp_path / "flower"), data_dir)
        assert "no such file" in refused("x" * 5000, data_dir)

    def test_the_home_of_nobody(self, data_dir):
        assert "no such file or folder" in refused("~nobody-of-this-name/x", data_dir)

    def test_an_empty_folder(self, tmp_path, data_dir):
        (tmp_path / "empty").mkdir()
        message = refused(tmp_path / "empty", data_dir)
        assert "empty: there is no image in it" in message

    def test_few_unreadable_images_are_listed_and_skipped(self, tmp_path, data_dir):
        content = small_files(per_class=60) | {"cat/bad.png": b"no image"}
        source = open_source(write_tree(tmp_path / "x", content), data_dir)
        assert source.skipped == (("cat/bad.png", "not an image"),)
        assert len(source.labels) == len(source.image_names) == len(source.load(6)) == 120
        assert "cat/bad.png" not in source.image_names
        assert "skipped 1 unreadable image: cat/bad.png" in source.notes[0]

    def test_more_than_one_in_a_hundred_is_refused(self, tmp_path, data_dir):
        content = small_files(per_class=20) | {"cat/bad.png": encoded(noise(0))[:60]}
        message = refused(write_tree(tmp_path / "x", content), data_dir)
        assert "1 of 41 images cannot be read: cat/bad.png (" in message

    def test_a_damaged_member_of_a_zip_is_an_unreadable_image(self, tmp_path, data_dir):
        path = write_zip(tmp_path / "x.zip", small_files(per_class=60))
        with zipfile.ZipFile(path) as archive:
            at = archive.infolist()[5].header_offset + 60
        data = bytearray(path.read_bytes())
        data[at] ^= 255
        path.write_bytes(data)
        assert [name for name, _ in open_source(path, data_dir).skipped] == ["cat/5.png"]

    @pytest.mark.parametrize("name", ["cat/huge.png", "cat/<b>'\"huge\n.png"])
    def test_a_header_of_2500_megapixels_is_named(self, tmp_path, data_dir, name):
        content = small_files(per_class=200) | {name: huge_png()}
        message = refused(write_tree(tmp_path / "x", content), data_dir)
        assert name.replace("\n", "\\n") in message
        assert "2,500 megapixels, over the limit of 178" in message

    def test_names_with_quotes_markup_and_odd_bytes_survive(self, tmp_path, data_dir):
        names = ("<script>alert(1)</script>".replace("/", ":"), 'men\'s "[bold]" & co', os.fsdecode(b"caf\xe9\n"))
        path = write_tree(tmp_path / "x", small_files(classes=names))
        source = open_source(path, data_dir)
        assert source.class_names == (names[0], os.fsdecode(b"caf\\udce9\\n"), names[1])
        assert [name.encode() for name in source.image_names]
        assert np.array_equal(open_source(path, data_dir).load(6).images, source.load(6).images)

    @pytest.mark.parametrize("kind", ["x.zip", "x.tar"])
    @pytest.mark.parametrize(
        "name", ["../evil.png", "/etc/evil.png", "cat/../../evil.png", "..\\evil.png", "C:\\evil.png"]
    )
    def test_a_path_out_of_the_archive_is_named(self, tmp_path, data_dir, kind, name):
        content = small_files() | {name: encoded(noise(0))}
        write = write_zip if kind == "x.zip" else write_tar
        message = refused(write(tmp_path / kind, content), data_dir)
        assert f"a path outside itself ({name})" in message
        assert not list(tmp_path.rglob("evil.png"))

    def test_a_zip_bomb_is_refused_before_it_is_read(self, tmp_path, data_dir):
        path = tmp_path / "bomb.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            with archive.open("cat/1.png", "w") as member:
                for _ in range(300):
                    member.write(bytes(2**20))
            archive.writestr("dog/1.png", encoded(noise(0)))
        message = refused(path, data_dir)
        assert "expands to 300 MiB, over the limit of 256 MiB" in message

    def test_a_compressed_tar_bomb_is_stopped_at_the_limit(self, tmp_path, data_dir, monkeypatch):
        monkeypatch.setattr(archives, "FREE_EXPANSION_BYTES", 2**20)
        path = write_tar(tmp_path / "bomb.tar.gz", {"cat/1.png": bytes(20 * 2**20)}, "w:gz")
        assert "expands to more than" in refused(path, data_dir)
        assert not list(data_dir.rglob("*.tar"))

    @pytest.mark.parametrize("kind", ["x.zip", "x.tar", "x.tar.gz", "x.tar.bz2", "x.tar.xz"])
    def test_a_corrupt_archive_is_named(self, tmp_path, data_dir, kind):
        path = tmp_path / kind
        if kind == "x.zip":
            write_zip(path, small_files())
        else:
            write_tar(path, small_files(), {"gz": "w:gz", "bz2": "w:bz2", "xz": "w:xz"}.get(kind.split(".")[-1], "w"))
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
        message = refused(path, data_dir)
        assert f"{kind}: the archive is corrupt" in message

    def test_a_file_that_is_no_archive(self, tmp_path, data_dir):
        (tmp_path / "notes.txt").write_text("nothing to see")
        assert "notes.txt is neither a folder nor a .zip or .tar" in refused(tmp_path / "notes.txt", data_dir)
        (tmp_path / "photo.jpg").write_bytes(encoded(noise(0, (60, 60, 3)), "JPEG"))
        assert "neither a folder nor" in refused(tmp_path / "photo.jpg", data_dir)
        (tmp_path / "empty.zip").touch()
        assert "empty.zip: the archive is corrupt" in refused(tmp_path / "empty.zip", data_dir)

    def test_an_encrypted_zip(self, tmp_path, data_dir):
        path = write_zip(tmp_path / "x.zip", small_files())
        data = path.read_bytes()
        # The flag lies in every entry of the directory at the end.
        at = data.index(b"PK\x01\x02")
        path.write_bytes(data[: at + 8] + b"\x01" + data[at + 9 :])
        assert "encrypted" in refused(path, data_dir)

    def test_links_in_a_circle_end(self, tmp_path, data_dir):
        path = write_tree(tmp_path / "x", small_files())
        (path / "cat/again").symlink_to(path, target_is_directory=True)
        (path / "cat/nowhere.png").symlink_to(path / "none.png")
        (path / "cat/itself.png").symlink_to(path / "cat/itself.png")
        assert len(open_source(path, data_dir).labels) == 8

    def test_a_test_class_that_is_not_trained(self, tmp_path, data_dir):
        content = split_files(train=2, test=2) | {"test/bird/1.png": encoded(noise(0))}
        assert "train/ has no image of class bird" in refused(write_tree(tmp_path / "x", content), data_dir)


class TestIDX:
    @pytest.mark.parametrize("compressed", [False, True])
    def test_round_trip(self, tmp_path, data_dir, compressed):
        content, arrays = idx_files(compressed=compressed)
        source = open_source(write_tree(tmp_path / "numbers", content), data_dir)
        assert (source.name, source.native_size, source.channels) == ("numbers", (5, 4), 1)
        assert source.class_names == ("0", "1", "2")
        assert source.split.tolist() == [TRAIN] * 20 + [TEST] * 10
        images = np.concatenate([arrays["train"][0], arrays["t10k"][0]])
        assert np.array_equal(source.load((5, 4)).images[:, 0], images)
        assert np.array_equal(source.labels, np.concatenate([arrays["train"][1], arrays["t10k"][1]]))
        assert source.load((10, 8), channels=3).images.shape == (30, 3, 10, 8)

    @pytest.mark.parametrize(
        ("name", "data", "said"),
        [
            ("train-images-idx3-ubyte", b"nonsense" * 9, "not an IDX file"),
            ("train-images-idx3-ubyte", idx_bytes(np.zeros((20, 5, 4)))[:-1], "ends after 399 of 400 bytes"),
            ("train-labels-idx1-ubyte", idx_bytes(np.zeros(19)), "20 images but .* 19 labels"),
            ("t10k-images-idx3-ubyte", idx_bytes(np.zeros((10, 6, 4))), "differ in image size"),
            ("t10k-images-idx3-ubyte", b"\0\0\x08\x03" + b"\xff" * 12, "over the limit"),
            ("t10k-labels-idx1-ubyte", gzip.compress(idx_bytes(np.zeros(10)), mtime=0)[:-12], "corrupt"),
            ("t10k-labels-idx1-ubyte", gzip.compress(idx_bytes(np.arange(10) % 3), mtime=0)[:-8], "corrupt"),
            ("t10k-labels-idx1-ubyte", None, "there is no test-labels file"),
        ],
    )
    def test_damage_is_named(self, tmp_path, data_dir, name, data, said):
        content, _ = idx_files(compressed=False)
        if data is None:
            del content[name]
        else:
            content[name] = data
        with pytest.raises(InputError, match=said):
            open_source(write_tree(tmp_path / "x", content), data_dir)

    def test_classes_are_those_that_there_are(self, tmp_path, data_dir):
        content, _ = idx_files(compressed=False)
        for name, count in (("train", 20), ("t10k", 10)):
            content[f"{name}-labels-idx1-ubyte"] = idx_bytes(1 + 25 * (np.arange(count) % 2))
        source = open_source(write_tree(tmp_path / "letters", content), data_dir)
        assert source.class_names == ("1", "26")
        assert source.labels.tolist() == [0, 1] * 15

    def test_images_of_one_class_are_refused(self, tmp_path, data_dir):
        content, _ = idx_files(compressed=False)
        for name, count in (("train", 20), ("t10k", 10)):
            content[f"{name}-labels-idx1-ubyte"] = idx_bytes(np.zeros(count))
        assert "all images are of one class" in refused(write_tree(tmp_path / "x", content), data_dir)

    def test_two_sets_are_not_mixed(self, tmp_path, data_dir):
        content, _ = idx_files()
        path = write_tree(
            tmp_path / "x", {f"{folder}/{name}": data for folder in "ab" for name, data in content.items()}
        )
        assert "IDX files in several folders (a, b)" in refused(path, data_dir)
        assert len(open_source(path / "b", data_dir).labels) == 30


class TestCIFAR:
    @pytest.mark.parametrize("hundred", [False, True])
    @pytest.mark.parametrize("kind", ["folder", "inner folder", "tar.gz"])
    def test_round_trip(self, tmp_path, data_dir, hundred, kind):
        content, images, labels = cifar_files(hundred)
        if kind == "tar.gz":
            path = write_tar(tmp_path / "cifar-binary.tar.gz", content, "w:gz")
        else:
            path = write_tree(tmp_path / "x", content)
            path = path / next(iter(content)).split("/")[0] if kind == "inner folder" else path
        source = open_source(path, data_dir)
        assert np.array_equal(source.load((32, 32)).images, images)
        assert np.array_equal(source.labels, labels)
        assert source.class_names[:2] == ("kind0", "kind1")
        assert source.split.tolist() == [TRAIN] * (len(images) - 20) + [TEST] * 20

    def test_damage_is_named(self, tmp_path, data_dir):
        content, _, _ = cifar_files()
        path = write_tree(tmp_path / "x", content)
        (path / "cifar-10-batches-bin/data_batch_2.bin").unlink()
        assert "data_batch_2.bin is missing" in refused(path, data_dir)
        write_tree(path, {"cifar-10-batches-bin/data_batch_2.bin": bytes(3074)})
        assert "data_batch_2.bin: 3,074 bytes are no whole number" in refused(path, data_dir)


class TestKnown:
    def test_digits(self, data_dir):
        source = open_source("digits", data_dir)
        assert (len(source.labels), source.native_size, source.channels) == (1797, (8, 8), 1)
        images = source.load(8).images
        assert (images.min(), images.max()) == (0, 255)
        # The first digit's first row is 0 0 5 13 9 1 0 0.
        assert images[0, 0, 0].tolist() == [0, 0, 80, 207, 143, 16, 0, 0]
        assert source.load((16, 12)).images.shape == (1797, 1, 16, 12)

    def publish(self, monkeypatch, name, content):
        """Let the published checksums be those of `content`."""
        known = downloads.PUBLISHED[name]
        assert [file.name for file in known] == list(content)
        changed = tuple(replace(f, md5=hashlib.md5(content[f.name]).hexdigest(), content_md5="") for f in known)
        monkeypatch.setitem(downloads.PUBLISHED, name, changed)

    @pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
    def test_placed_idx_files_are_used_without_a_network(self, data_dir, monkeypatch, name):
        content, arrays = idx_files()
        self.publish(monkeypatch, name, content)
        write_tree(data_dir / name, content)
        source = open_source(name, data_dir)
        assert source.name == name
        assert source.class_names[0] == ("0" if name == "mnist" else "T-shirt/top")
        assert np.array_equal(source.load((5, 4)).images[:20, 0], arrays["train"][0])

    @pytest.mark.parametrize("name", ["cifar10", "cifar100"])
    def test_a_placed_archive_is_used_without_a_network(self, tmp_path, data_dir, monkeypatch, name):
        content, images, _ = cifar_files(name == "cifar100")
        (data_dir / name).mkdir(parents=True)
        path = write_tar(data_dir / name / f"cifar-{name[5:]}-binary.tar.gz", content, "w:gz")
        self.publish(monkeypatch, name, {path.name: path.read_bytes()})
        source = open_source(name, data_dir)
        assert source.name == name
        assert np.array_equal(source.load(32).images, images)

    def test_unpacked_and_repacked_copies_are_known_by_their_content(self, data_dir, monkeypatch):
        content, _ = idx_files(compressed=False)
        known = tuple(
            replace(f, content_md5=hashlib.md5(content[f.name.removesuffix(".gz")]).hexdigest())
            for f in downloads.PUBLISHED["mnist"]
        )
        monkeypatch.setitem(downloads.PUBLISHED, "mnist", known)
        packed = {name + ".gz": gzip.compress(data, 1) for name, data in list(content.items())[:2]}
        write_tree(data_dir / "mnist", packed | dict(list(content.items())[2:]))
        assert len(open_source("mnist", data_dir).labels) == 30

    @pytest.mark.parametrize("wrong_file", [False, True])
    def test_without_a_network_one_line_says_what_to_place_where(self, data_dir, monkeypatch, wrong_file):
        import requests

        def no_network(*_, **__):
            raise requests.ConnectionError

        monkeypatch.setattr(requests, "get", no_network)
        if wrong_file:
            write_tree(data_dir, {"cifar10/cifar-10-binary.tar.gz": b"not it"})
        message = refused("cifar10", data_dir)
        assert "place cifar-10-binary.tar.gz (md5 c32a1d4ab5d03f1284b67883e8d87530)" in message
        assert f"from https://www.cs.toronto.edu/~kriz/ in {data_dir / 'cifar10'}" in message
        assert refused("mnist", data_dir).count("idx") == 4
        assert ("another checksum" in message) == wrong_file

    def test_a_download_is_checked_and_kept(self, data_dir, monkeypatch):
        import requests

        content, _ = idx_files()
        self.publish(monkeypatch, "mnist", content)
        served = dict(content)

        class Response:
            def __init__(self, url):
                self.content = served[url.rsplit("/", 1)[1]]
                self.headers = {"content-length": str(len(self.content))}

            def raise_for_status(self):
                pass

            def iter_content(self, chunk_size):
                yield self.content

        monkeypatch.setattr(requests, "get", lambda url, **_: Response(url))
        served["train-labels-idx1-ubyte.gz"] = b"something else"
        assert "did not send the published file" in refused("mnist", data_dir)
        served |= content
        assert len(open_source("mnist", data_dir).labels) == 30
        monkeypatch.setattr(requests, "get", None)
        assert len(open_source("mnist", data_dir).labels) == 30


class TestRealData:
    def test_mnist_as_published(self, real_data, data_dir):
        if not (real_data / "mnist").is_dir():
            pytest.skip(f"no mnist folder in {real_data}")
        source = open_source(real_data / "mnist", data_dir)
        assert np.bincount(source.labels[source.split == TRAIN])[:3].tolist() == [5923, 6742, 5958]
        images = source.load(28).images
        assert zlib.crc32(images[:60_000].tobytes()) == zlib.crc32(
            gzip.decompress((real_data / "mnist/train-images-idx3-ubyte.gz").read_bytes())[16:]
        )
        shutil.copytree(real_data / "mnist", data_dir / "mnist")
        assert np.array_equal(open_source("mnist", data_dir).labels, source.labels)

    @pytest.mark.slow
    def test_sixty_thousand_jpegs_in_a_zip(self, real_data, data_dir):
        path = real_data / "cifar10-jpeg.zip"
        if not path.exists():
            pytest.skip(f"no cifar10-jpeg.zip in {real_data}")
        source = open_source(path, data_dir)
        assert np.bincount(source.labels).tolist() == [6000] * 10
        assert (source.split == TEST).sum() == 10_000
        images = source.load(32)
        at = 31_415
        with zipfile.ZipFile(path) as archive, archive.open(source.image_names[at]) as file:
            assert np.array_equal(images.read([at])[0], np.asarray(Image.open(file)).transpose(2, 0, 1))


def test_class_names_are_the_same_in_an_ascii_locale(tmp_path):
    """Also for those who come after it, from the survey that it kept."""
    for name in ("café", "日本"):
        (tmp_path / "données" / name).mkdir(parents=True)
        for at in range(4):
            Image.new("L", (8, 8), 9 * at).save(tmp_path / "données" / name / f"{at}.png")
    program = (
        "import os, sys; from pathlib import Path; from vitrail.data.sources import open_source; "
        "from vitrail.data.decoding import Framing; "
        "s = open_source(os.fsdecode(os.fsencode(sys.argv[1])), Path(sys.argv[2])); "
        "n = s.load(Framing((8, 8)), 1).images.shape; print(ascii(s.class_names), n)"
    )
    ascii_locale = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    said = []
    for environment in (ascii_locale, {**os.environ, "PYTHONUTF8": "1"}, ascii_locale):
        command = [sys.executable, "-c", program, tmp_path / "données", tmp_path / "kept"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        said.append(done.stdout.splitlines()[-1])
    assert said == [f"{('café', '日本')!a} (8, 1, 8, 8)"] * 3
    assert len(list((tmp_path / "kept" / "decoded").iterdir())) == 1
