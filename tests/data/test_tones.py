"""One range of values and one ground for a data set: chosen for the images that train, with answers known on paper."""

import dataclasses
import json

import numpy as np
import pytest
from data_builders import encoded, noise, write_tree
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vitrail.configs import DataConfig, TrainConfig
from vitrail.data.decoding import read_through
from vitrail.data.doctor import examine
from vitrail.data.preprocessing import Preprocessing
from vitrail.data.sources import open_source
from vitrail.data.tones import BY_TYPE, Header, Tones, choose, ends_of, misfit
from vitrail.errors import InputError
from vitrail.experiments.resolve import Loader, resolve


def header(*ends, floats=False):
    lowest, highest = ends
    return Header(8, 8, "I;16", True, ends=(lowest, lowest, highest, highest), floats=floats)


def chosen(*ends, floats=False):
    return choose([header(*some, floats=floats) for some in ends])[0].pixel_range


@pytest.mark.parametrize(
    ("ends", "white"),
    [
        ([(0, 200), (3, 255)], 255),
        ([(60, 80)], 255),
        ([(0, 900)], 1023),
        ([(30, 1100), (10, 4080)], 4095),
        ([(0, 16000)], 16383),
        ([(0, 65535)], 65535),
        ([(7000, 7000)], 16383),
    ],
)
def test_the_highest_value_says_how_many_bits_there_are(ends, white):
    assert chosen(*ends) == (0, white)


@pytest.mark.parametrize(
    ("ends", "floats", "expected"),
    [
        ([(27000, 31000), (28000, 32000)], False, (27000, 32000)),  # hundredths of a kelvin
        ([(-1024, 3071)], False, (-1024, 3071)),  # Hounsfield units
        ([(0, 100_000)], False, (0, 100_000)),
        ([(0, 0.9), (0.2, 1.0)], True, (0, 1)),
        ([(3, 250)], True, (0, 255)),
        ([(-0.5, 1.5)], True, (-0.5, 1.5)),
        ([(0.001, 0.002)], True, (0.001, 0.002)),
        ([(-5, -5)], False, (-5, -4)),
    ],
)
def test_values_that_no_number_of_bits_explains_have_their_own_range(ends, floats, expected):
    assert chosen(*ends, floats=floats) == pytest.approx(expected)


def test_hot_pixels_and_odd_images_do_not_decide():
    rng = np.random.default_rng(0)
    some = []
    for at in range(200):
        values = rng.integers(100, 4000, (100, 100))
        values[0, 0] = 65535
        if at == 0:
            values[:] = 60000
        some.append(Header(100, 100, "I;16", True, ends=ends_of(values)))
    low, high = choose(some)[0].pixel_range
    assert 100 <= low < 110
    assert 3990 < high <= 4000


@given(st.lists(st.integers(-1000, 70_000), min_size=2, max_size=20, unique=True))
def test_order_is_kept_and_nothing_leaves_the_range(values):
    values = np.sort(np.array(values))
    tones = Tones(chosen((values[0], values[-1])))
    levels = tones.to_8_bits(values).astype(int)
    assert (np.diff(levels) >= 0).all()
    assert levels[-1] > levels[0] or values[-1] - values[0] < 300


@given(st.sampled_from([255, 1023, 4095, 16383, 65535]))
def test_every_level_of_8_bits_comes_back(white):
    levels = np.arange(256)
    assert np.array_equal(Tones((0, white)).to_8_bits(np.rint(levels / 255 * white)), levels)


def test_what_was_chosen_is_said_in_a_line_each():
    _, notes = choose([header(3, 4080), header(0, 0.5, floats=True)])
    assert (
        notes[0]
        == "2 training images of more than 8 bits, 0 to 4,080: 0 is black and 4,080 white (without the extremes)"
    )
    assert "some of these are integers and some floats" in notes[1]
    _, notes = choose([header(3, 4080)])
    assert notes == [
        "1 training image of more than 8 bits, 3 to 4,080: 0 is black and 4,095 white "
        "(12 bits, 256 levels for 4,096 values)"
    ]


def test_a_given_range_is_kept_and_needs_images_that_it_is_for():
    assert choose([header(0, 60_000)], (100.0, 200.0))[0] == Tones((100, 200))
    with pytest.raises(InputError, match="none of these is: leave it out"):
        choose([Header(8, 8, "RGB", False)], (0.0, 1.0))


@pytest.mark.parametrize("wrong", [(2, 1), (1, 1), (0, float("nan")), (0, float("inf"))])
def test_an_impossible_range_is_refused(wrong):
    with pytest.raises(InputError):
        Tones(wrong)
    with pytest.raises(InputError):
        DataConfig("x", pixel_range=wrong)


def icon(level, seed):
    alpha = np.zeros((8, 8), np.uint8)
    alpha[1 + seed % 3 : 5, 2:6] = 255
    return encoded(Image.fromarray(np.dstack([np.full((8, 8, 3), level, np.uint8), alpha])))


@pytest.mark.parametrize(
    ("levels", "ground"),
    [((255,), "black"), ((0,), "white"), ((0, 255), "grey"), ((90,), "white"), ((255, *[9] * 20), "white")],
)
def test_the_ground_leaves_something_of_transparent_images(levels, ground):
    headers = [read_through(icon(level, at)) for at, level in enumerate(levels)]
    tones, notes = choose(headers)
    assert tones.ground == ground
    assert len(notes) == (ground != "white")
    if levels[-1] != 9:
        assert not any(one.is_plain(tones) for one in headers)


def test_one_colour_is_seen_in_every_type():
    tones = Tones((0, 65535))
    for pixels in (np.full((4, 4), 7, np.uint8), np.full((4, 4, 3), 7, np.uint8), np.full((4, 4), 700, np.uint16)):
        assert read_through(encoded(pixels)).is_plain(tones)
    assert read_through(encoded(np.arange(16, dtype=np.uint16).reshape(4, 4))).is_plain(tones)
    assert not read_through(encoded(noise(0, (4, 4, 3)))).is_plain(tones)


def test_what_does_not_fit_a_range_is_said():
    twelve = Tones((0, 4095))
    assert not misfit([header(0, 4000)], twelve)
    assert not misfit([header(0, 100)], twelve), "one image may be dark"
    assert "0 to 100 are read with 0 as black and 4,095 as white" in misfit([header(0, 100)] * 2, twelve)
    assert misfit([header(0, 60_000)], twelve)
    assert misfit([header(0, 4000)], BY_TYPE), "12 bits, of which the model knows nothing"
    assert not misfit([header(0, 1.0, floats=True), header(0, 0.1, floats=True)], BY_TYPE)
    assert not misfit([Header(8, 8, "RGB", False)], BY_TYPE)


def wide_files(bits=12, kind=np.uint16, per_class=14):
    """Two classes that differ in brightness alone, in so many bits."""
    files = {}
    for label, (name, base) in enumerate((("dark", 20), ("bright", 120))):
        for at in range(per_class):
            pixels = np.random.default_rng([label, at]).integers(base, base + 120, (8, 8)).astype(kind)
            pixels = pixels * (2 ** (bits - 8)) if bits > 8 else pixels
            files[f"{name}/{at}.tif"] = encoded(pixels.astype(kind), "TIFF")
    return files


def prepared(path, data_dir, **given):
    loader = Loader()
    return loader.load(resolve(DataConfig(str(path), **given), None, TrainConfig(epochs=1), data_dir, loader=loader))


@pytest.mark.parametrize(("bits", "white"), [(8, 255), (12, 4095), (16, 65535)])
def test_a_run_sees_the_same_picture_in_any_number_of_bits(tmp_path, data_dir, bits, white):
    path = write_tree(tmp_path / "x", wide_files(bits))
    made = prepared(path, data_dir)
    assert made.preprocessing.tones == Tones((0, white))
    assert made.config.data.pixel_range == (0, white)
    for at, name in enumerate(made.image_names):
        eight = np.asarray(Image.open(path / name)).astype(int) // 2 ** (bits - 8)
        assert np.abs(made.dataset.images[at, 0] - eight).max() <= 1
    assert sum("training images of more than 8 bits" in note for note in made.notes) == 1
    fixed = prepared(path, data_dir, pixel_range=(0, 131_070), mean=(0.5,), std=(0.5,))
    assert fixed.preprocessing.tones == Tones((0, 131_070))
    assert any("0 is black and 131,070 white (as given" in note for note in fixed.notes)


def test_dark_floats_stay_darker_than_bright_ones(tmp_path, data_dir):
    files = wide_files(8, np.float32)
    files["dark/0.tif"] = encoded(np.eye(8, dtype=np.float32), "TIFF")
    made = prepared(write_tree(tmp_path / "x", files), data_dir)
    means = made.dataset.images.mean((1, 2, 3))
    assert means[list(made.image_names).index("dark/0.tif")] == means.min() < 1
    assert means[made.dataset.labels == 0].mean() > means[made.dataset.labels == 1].mean() + 50


def test_the_training_images_alone_decide(tmp_path, data_dir):
    files = {f"train/{name}": data for name, data in wide_files(12).items()}
    files |= {f"test/{name}": data for name, data in wide_files(16, per_class=3).items()}
    assert prepared(write_tree(tmp_path / "x", files), data_dir).preprocessing.tones.pixel_range == (0, 4095)


def test_paths_images_and_arrays_of_12_bits_give_the_same_pixels(tmp_path):
    made = Preprocessing((8, 8), 1, (0.5,), (0.5,), tones=Tones((0, 4095)))
    values = np.random.default_rng(0).integers(0, 4096, (20, 30), dtype=np.uint16)
    (tmp_path / "a.png").write_bytes(encoded(values))
    expected = made.read(tmp_path / "a.png")
    for same in (Image.open(tmp_path / "a.png"), values, values[..., None], values.astype(np.float64)):
        assert np.array_equal(made.read(same), expected)
    assert np.abs(expected.mean() - values.mean() / 4095 * 255) < 12
    with pytest.raises(InputError, match="images are uint8"):
        dataclasses.replace(made, tones=BY_TYPE).read(values)


def test_values_beyond_what_is_known_are_refused_in_every_form(tmp_path):
    made = Preprocessing((8, 8), 1, (0.5,), (0.5,))
    values = np.full((8, 8), 70_000, np.int32)
    (tmp_path / "a.tif").write_bytes(encoded(values, "TIFF"))
    for wrong in (tmp_path / "a.tif", Image.fromarray(values)):
        with pytest.raises(InputError, match="its pixels lie between 0 and 70000"):
            made.read(wrong)


def test_a_file_that_is_odd_is_answered_with_a_word(tmp_path, capsys):
    (tmp_path / "cut.jpg").write_bytes(encoded(noise(0, (40, 40, 3)), "JPEG")[:-2])
    (tmp_path / "dark.png").write_bytes(encoded(np.arange(64, dtype=np.uint16).reshape(8, 8)))
    made = Preprocessing((8, 8), 3, (0.5,) * 3, (0.5,) * 3)
    for name in ("cut.jpg", "dark.png"):
        made.read(tmp_path / name)
    said = capsys.readouterr().err.replace("\n", "")
    assert "cut.jpg: read although the file lacks its last bytes" in said
    assert "dark.png: values from 0.063 to 62.937 are read with 0 as black and 65,535 as white" in said


def test_what_was_stored_is_read_and_what_an_earlier_version_stored_too():
    made = Preprocessing((4, 6), 1, (0.1,), (0.4,), tones=Tones((-1024, 3071), "black"))
    stored = json.loads(json.dumps(dataclasses.asdict(made)))
    assert Preprocessing.from_json(stored) == made
    del stored["tones"]
    assert Preprocessing.from_json(stored).tones == BY_TYPE


def test_doctor_and_training_say_what_is_odd(tmp_path, data_dir):
    files = wide_files(12) | {f"dark/plain {at}.png": encoded(np.full((8, 8), at, np.uint16)) for at in range(6)}
    files["bright/cut.jpg"] = encoded(np.tile(np.arange(8, dtype=np.uint8) * 30, (8, 1)), "JPEG")[:-2]
    path = write_tree(tmp_path / "x", files)
    lines = examine(path, data_dir).to_lines()
    for expected in (
        "values of I;16 (34): lowest 0, highest 3,824; without a thousandth at each end 0 to 3,824, "
        "which is 239 levels of 256",
        "warning: 6 images are of one colour: dark/plain 0.png, dark/plain 1.png, dark/plain 2.png and 3 more",
        "note: 1 image read although the file lacks its last bytes: bright/cut.jpg",
    ):
        assert expected in lines
    source = open_source(path, data_dir)
    assert "1 image read although the file lacks its last bytes: bright/cut.jpg" in source.notes
    notes = resolve(DataConfig(str(path)), None, TrainConfig(epochs=1), data_dir).notes
    assert any("of one colour: dark/plain" in note for note in notes)


def test_images_that_do_not_train_may_have_more_bits_and_it_is_said(tmp_path, data_dir):
    files = {f"train/{name}": data for name, data in wide_files(8, np.uint8).items()}
    files |= {f"test/{name}": data for name, data in wide_files(12, per_class=3).items()}
    path = write_tree(tmp_path / "x", files)
    assert any("values of I;16 (6): lowest 320" in line for line in examine(path, data_dir).to_lines())
    made = prepared(path, data_dir)
    assert made.preprocessing.tones == BY_TYPE
    assert any("no training image has more than 8 bits, but others have: values from" in note for note in made.notes)
