"""Small data sets for tests, made on the spot."""

import gzip
import io
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image


def encoded(pixels, kind="PNG", **options):
    """An array or Pillow image as the bytes of a file."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(np.asarray(pixels))
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def noise(seed, shape=(6, 6, 3)):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def small_files(classes=("cat", "dog"), per_class=4, prefix="", seed=0, shape=(6, 6, 3)):
    """From relative names to PNG bytes; every image is another one."""
    return {
        f"{prefix}{name}/{at}.png": encoded(noise([seed, label, at], shape))
        for label, name in enumerate(classes)
        for at in range(per_class)
    }


def split_files(**per_class):
    return {
        name: data
        for seed, (folder, count) in enumerate(per_class.items())
        for name, data in small_files(per_class=count, prefix=f"{folder}/", seed=seed).items()
    }


def write_tree(root: Path, files):
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def write_zip(path: Path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def write_tar(path: Path, files, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def idx_bytes(array):
    array = np.asarray(array, np.uint8)
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def idx_files(train=20, test=10, compressed=True):
    rng = np.random.default_rng(0)
    files, arrays = {}, {}
    for prefix, count in (("train", train), ("t10k", test)):
        images = rng.integers(0, 256, (count, 5, 4), dtype=np.uint8)
        labels = (np.arange(count) % 3).astype(np.uint8)
        arrays[prefix] = (images, labels)
        for name, array in ((f"{prefix}-images-idx3-ubyte", images), (f"{prefix}-labels-idx1-ubyte", labels)):
            data = idx_bytes(array)
            files[name + (".gz" if compressed else "")] = gzip.compress(data) if compressed else data
    return files, arrays


def cifar_files(hundred=False, per_batch=20):
    """The official layout, with batches of `per_batch`: files, images (N, 3, 32, 32), labels."""
    rng = np.random.default_rng(1)
    batches = ["train", "test"] if hundred else [*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"]
    files, images, labels = {}, [], []
    folder = "cifar-100-binary" if hundred else "cifar-10-batches-bin"
    for batch in batches:
        pixels = rng.integers(0, 256, (per_batch, 3, 32, 32), dtype=np.uint8)
        fine = (np.arange(per_batch) % (100 if hundred else 10)).astype(np.uint8)
        columns = [np.full(per_batch, 7, np.uint8)] * hundred + [fine]
        files[f"{folder}/{batch}.bin"] = np.hstack([np.stack(columns, 1), pixels.reshape(per_batch, -1)]).tobytes()
        images.append(pixels)
        labels.append(fine)
    names = "fine_label_names.txt" if hundred else "batches.meta.txt"
    files[f"{folder}/{names}"] = "\n".join(f"kind{k}" for k in range(100 if hundred else 10)).encode() + b"\n\n"
    return files, np.concatenate(images), np.concatenate(labels)


def huge_png(width=50_000, height=50_000):
    """A PNG of a few bytes whose header declares any size."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(b"\0" * 100))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")
