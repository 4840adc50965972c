"""TIFF that Pillow refuses or misreads, as the format's specification lays it out, and beside Pillow where it reads."""

import struct
import zlib

import numpy as np
import pytest
from data_builders import encoded, noise
from PIL import Image

from vitrail.data import tiff
from vitrail.data.decoding import Framing, UnreadableImageError, decode_bytes, read_through
from vitrail.data.tones import Tones

SIDE = (6, 7)


def written(pixels, photometric=1, separate=False, compression=1, order="<", extra=None, more=None, rows=None):
    """A TIFF (6.0, sections 2, 4, 8, 13 and 14) of (height, width, channels)."""
    height, width, channels = pixels.shape
    planes = pixels.transpose(2, 0, 1)[..., None] if separate else pixels[None]
    rows = rows or height
    strips = [
        plane[top : top + rows].astype(pixels.dtype.newbyteorder(order)).tobytes()
        for plane in planes
        for top in range(0, height, rows)
    ]
    strips = [zlib.compress(strip) if compression == 8 else strip for strip in strips]
    places = [8 + sum(map(len, strips[:at])) for at in range(len(strips))]
    tags = {256: [width], 257: [height], 258: [pixels.itemsize * 8] * channels, 259: [compression], 262: [photometric]}
    tags |= {273: places, 277: [channels], 278: [rows], 279: [len(strip) for strip in strips], 284: [1 + separate]}
    tags |= {339: [{"u": 1, "i": 2, "f": 3}[pixels.dtype.kind]] * channels}
    if extra := ([0] * (channels - (3 if photometric == 2 else 1)) if extra is None else extra):
        tags[338] = extra
    tags |= more or {}
    start = 8 + sum(map(len, strips))
    entries, behind, end = b"", b"", start + 2 + 12 * len(tags) + 4
    for tag, values in sorted(tags.items()):
        kind, packed = (2, values) if isinstance(values, bytes) else (4, struct.pack(f"{order}{len(values)}I", *values))
        place = packed.ljust(4, b"\0") if len(packed) <= 4 else struct.pack(f"{order}I", end + len(behind))
        behind += packed if len(packed) > 4 else b""
        entries += struct.pack(f"{order}HHI", tag, kind, len(values)) + place
    header = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}I", start)
    return header + b"".join(strips) + struct.pack(f"{order}H", len(tags)) + entries + bytes(4) + behind


def stored(data):
    return tiff.read(data, tiff.directory(data))


def numbers(kind, channels):
    return (noise(1, (*SIDE, channels)).astype(np.int64) * 3 - 100).astype(kind)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("separate", "compression"), [(False, 1), (False, 8), (True, 1), (True, 8)])
@pytest.mark.parametrize("channels", [1, 2, 3, 13])
@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2", "u4", "f2", "f4", "f8"])
def test_every_number_in_every_channel_is_read(kind, channels, separate, compression, order):
    pixels = numbers(kind, channels)
    data = written(pixels, separate=separate and channels > 1, compression=compression, order=order, rows=4)
    assert np.array_equal(stored(data), pixels[..., 0] if channels == 1 else pixels)


def test_differences_between_neighbours_are_added_up():
    pixels = numbers("u2", 3)
    differences = np.diff(pixels, axis=1, prepend=np.zeros((SIDE[0], 1, 3), np.uint16))
    assert np.array_equal(stored(written(differences, compression=8, more={317: [2]})), pixels)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_it_agrees_with_pillow_on_what_that_reads(compression):
    colours = Image.fromarray(noise(2, (*SIDE, 3)))
    grey = Image.fromarray(noise(3, SIDE).astype(np.uint16) * 257)
    for image in (colours, grey):
        assert np.array_equal(stored(encoded(image, "TIFF", compression=compression)), np.asarray(image))


@pytest.mark.parametrize("separate", [False, True])
def test_16_bit_colours_are_not_scrambled(separate):
    pixels = noise(4, (*SIDE, 3))
    data = written(pixels.astype(np.uint16) * 257, photometric=2, separate=separate)
    assert np.array_equal(decode_bytes(data, Framing(SIDE), 3), pixels.transpose(2, 0, 1))
    assert read_through(data).mode == "uint16 x 3"


def test_white_is_zero_in_16_bits_too():
    pixels = noise(5, (*SIDE, 1))
    data = written(pixels.astype(np.uint16) * 257, photometric=0)
    assert np.array_equal(decode_bytes(data, Framing(SIDE), 1)[0], 255 - pixels[..., 0])


@pytest.mark.parametrize(("channels", "said"), [(2, "first is"), (4, "first three are"), (8, "first three are")])
def test_of_more_channels_the_first_are_read_and_it_is_said(channels, said):
    pixels = noise(6, (*SIDE, channels))
    data = written(pixels)
    assert read_through(data).note == f"with {channels} channels, of which the {said} read"
    taken = pixels[..., [0, 0, 0] if channels == 2 else [0, 1, 2]]
    assert np.array_equal(decode_bytes(data, Framing(SIDE), 3), taken.transpose(2, 0, 1))


def test_it_is_turned_upright():
    pixels = noise(7, (*SIDE, 5))
    data = written(pixels, more={274: [6]})
    header = read_through(data)
    assert (header.height, header.width) == SIDE[::-1]
    expected = np.rot90(pixels[..., :3], -1).transpose(2, 0, 1)
    assert np.array_equal(decode_bytes(data, Framing(SIDE[::-1]), 3), expected)


def test_where_a_map_has_no_value_is_black_and_moves_nothing():
    heights = np.linspace(100, 200, 42, dtype=np.float32).reshape(*SIDE, 1)
    heights[0, 0] = -9999
    data = written(heights, more={42113: b"-9999\0"})
    assert read_through(data).ends[0] > 100
    found = decode_bytes(data, Framing(SIDE, tones=Tones((100, 200))), 1)
    assert found[0, 0, 0] == 0
    assert found[0, -1, -1] == 255


def test_further_pages_are_said():
    pages = [Image.new("L", (8, 8), level) for level in (10, 200)]
    data = encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    assert read_through(data).note == "with several pages, of which the first is read"
    assert (decode_bytes(data, Framing((8, 8)), 1) == 10).all()


@pytest.mark.parametrize(
    "data",
    [
        written(numbers("u2", 3), photometric=8),
        written(numbers("f4", 3), more={317: [3]}),
        written(numbers("u1", 13), compression=7),
    ],
)
def test_what_is_not_read_is_refused_with_the_reason(data):
    with pytest.raises(UnreadableImageError, match="which is not read: save it as RGB or grey without compression"):
        decode_bytes(data, Framing(SIDE), 3)


@pytest.mark.parametrize("kept", [40, 200, 400])
def test_one_that_is_cut_is_broken(kept):
    data = written(numbers("u2", 5))
    with pytest.raises(UnreadableImageError):
        read_through(data[:kept])
