"""Every kind of image as a person would see it, and the geometry of resizing and cropping."""

import io
import struct
import zlib

import numpy as np
import pytest
from data_builders import encoded, huge_png, noise
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from vitrail.data.decoding import (
    Framing,
    OversizedImageError,
    UnreadableImageError,
    decode,
    decode_bytes,
    read_through,
    to_array,
)
from vitrail.data.tones import Tones
from vitrail.errors import InputError


def pixel(data, channels=3):
    """The one colour of an image of one colour."""
    array = decode_bytes(data, Framing((4, 4)), channels)
    assert array.shape == (channels, 4, 4)
    assert array.dtype == np.uint8
    assert (array == array[:, :1, :1]).all()
    return array[:, 0, 0].tolist()


def plain(mode, colour, **options):
    return encoded(Image.new(mode, (4, 4), colour), **options)


def palette(transparency=None):
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 200, 100, 50])
    return encoded(image, **({} if transparency is None else {"transparency": transparency}))


COLOURS = {
    "L": (plain("L", 77), [77, 77, 77]),
    "1": (plain("1", 1), [255, 255, 255]),
    "RGB": (plain("RGB", (10, 20, 30)), [10, 20, 30]),
    "RGBA opaque": (plain("RGBA", (10, 20, 30, 255)), [10, 20, 30]),
    "RGBA clear is white": (plain("RGBA", (10, 20, 30, 0)), [255, 255, 255]),
    "RGBA half": (plain("RGBA", (0, 0, 100, 51)), [204, 204, 224]),
    "LA": (plain("LA", (0, 51)), [204, 204, 204]),
    "P": (palette(), [200, 100, 50]),
    "P with a transparent colour": (palette(1), [255, 255, 255]),
    "P with transparency per colour": (palette(bytes((255, 51))), [244, 224, 214]),
    "RGB with a transparent colour": (plain("RGB", (1, 2, 3), transparency=(1, 2, 3)), [255, 255, 255]),
    "L with a transparent grey": (plain("L", 9, transparency=9), [255, 255, 255]),
    "CMYK": (plain("CMYK", (255, 0, 0, 0), kind="TIFF"), [0, 255, 255]),
    "16-bit PNG": (encoded(np.full((4, 4), 0x8000, np.uint16)), [128, 128, 128]),
    "16-bit white": (encoded(np.full((4, 4), 65535, np.uint16)), [255, 255, 255]),
    "16-bit TIFF": (encoded(np.full((4, 4), 0x4040, np.uint16), kind="TIFF"), [64, 64, 64]),
    "32-bit TIFF of 16 bits": (encoded(np.full((4, 4), 65535, np.int32), kind="TIFF"), [255, 255, 255]),
    "float TIFF in 0..1": (encoded(np.full((4, 4), 0.2, np.float32), kind="TIFF"), [51, 51, 51]),
    "float TIFF in 0..255": (encoded(np.full((4, 4), 51, np.float32), kind="TIFF"), [51, 51, 51]),
    "GIF": (plain("RGB", (200, 100, 50), kind="GIF"), [200, 100, 50]),
    "BMP": (plain("RGB", (10, 20, 30), kind="BMP"), [10, 20, 30]),
    "WEBP": (plain("RGB", (10, 20, 30), kind="WEBP", lossless=True), [10, 20, 30]),
    "PPM": (plain("RGB", (10, 20, 30), kind="PPM"), [10, 20, 30]),
}


@pytest.mark.parametrize("name", COLOURS)
def test_every_colour_mode_gives_the_pixel_a_person_sees(name):
    data, expected = COLOURS[name]
    assert pixel(data) == expected


def test_a_cmyk_jpeg_is_not_inverted():
    data = encoded(Image.new("CMYK", (4, 4), (255, 0, 0, 0)), "JPEG", quality=100)
    assert np.abs(np.array(pixel(data)) - [0, 255, 255]).max() <= 3


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        (np.full((4, 4), 4000, np.float32), "between 0 and 4000: scale them to 0 to 255"),
        (np.full((4, 4), -0.5, np.float32), "between -0.5 and 0: scale them to 0 to 1"),
        (np.full((4, 4), 65536, np.int32), "between 0 and 65536: scale them to 0 to 65535"),
    ],
)
def test_pixels_beyond_the_range_of_their_type_are_refused_where_no_other_is_known(pixels, said):
    data = encoded(pixels, kind="TIFF")
    assert read_through(data).ends == (pixels.min(),) * 4
    with pytest.raises(UnreadableImageError, match=said):
        decode_bytes(data, Framing((4, 4)), 1)


def test_16_bits_are_scaled_not_clipped():
    ramp = np.arange(0, 65536, 257, dtype=np.uint16).reshape(16, 16)
    assert np.array_equal(decode_bytes(encoded(ramp), Framing((16, 16)), 1)[0].ravel(), np.arange(256))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "CMYK", "L", "1"])
def test_any_mode_can_be_read_as_grey(mode):
    kind = "TIFF" if mode == "CMYK" else "PNG"
    assert pixel(encoded(Image.new("RGB", (4, 4), "white").convert(mode), kind), channels=1) == [255]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_undone(kind, orientation):
    stored = Image.fromarray(np.kron(noise(3, (3, 4, 3)), np.ones((16, 16, 1), np.uint8)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}.get(kind, {})
    data = encoded(stored, kind, exif=exif, **options)
    # The reference is an independent account of the same tag.
    tagged = stored.copy()
    tagged.getexif()[0x0112] = orientation
    upright = ImageOps.exif_transpose(tagged)
    header = read_through(data)
    assert (header.height, header.width) == (upright.height, upright.width)
    found = decode_bytes(data, Framing((header.height, header.width)), 3)
    expected = np.asarray(upright).transpose(2, 0, 1)
    assert np.abs(found.astype(int) - expected).mean() < (4 if kind == "JPEG" else 1e-9)


def test_a_rotated_photograph_is_upright_at_a_smaller_size_too():
    stored = np.zeros((400, 600, 3), np.uint8)
    stored[:, :300] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter: what was left is now above
    found = decode_bytes(encoded(stored, "JPEG", exif=exif), Framing((30, 20)), 1)[0]
    assert (found[:13] > 250).all()
    assert (found[17:] < 5).all()


def test_an_image_of_the_right_size_is_not_touched():
    pixels = noise(1, (7, 5, 3))
    assert np.array_equal(decode_bytes(encoded(pixels), Framing((7, 5)), 3), pixels.transpose(2, 0, 1))


def test_the_shorter_side_fits_and_the_centre_is_kept():
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = 255
    assert (decode_bytes(encoded(wide), Framing((10, 10)), 3) == 255).all()
    tall = np.ascontiguousarray(wide.transpose(1, 0, 2))
    assert (decode_bytes(encoded(tall), Framing((10, 10)), 3) == 255).all()
    # Twice the size: the same square, but for the resampling at its edges.
    assert (decode_bytes(encoded(wide), Framing((20, 20)), 3)[:, :, 2:-2] == 255).all()


@settings(max_examples=60, deadline=None)
@given(*[st.integers(1, 40)] * 4, st.sampled_from([1, 3]), st.sampled_from(["PNG", "JPEG"]))
def test_any_size_becomes_the_size_asked_for(height, width, new_height, new_width, channels, kind):
    found = decode_bytes(
        encoded(np.full((height, width, 3), 90, np.uint8), kind), Framing((new_height, new_width)), channels
    )
    assert found.shape == (channels, new_height, new_width)
    assert np.abs(found.astype(int) - 90).max() <= 1


def test_a_large_jpeg_is_the_same_as_a_file_and_as_an_image():
    smooth = Image.fromarray(noise(2, (8, 12, 3))).resize((1200, 800), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(smooth, "JPEG", quality=95, exif=exif)
    found = decode_bytes(data, Framing((64, 64)), 3)
    opened = Image.open(io.BytesIO(data))
    assert np.array_equal(to_array(opened, Framing((64, 64)), 3), found)
    upright = Image.fromarray(np.asarray(ImageOps.exif_transpose(opened)))
    assert np.array_equal(to_array(upright, Framing((64, 64)), 3), found)
    resized = upright.resize((64, 96), Image.Resampling.BILINEAR).crop((0, 16, 64, 80))
    assert np.abs(found.astype(int) - np.asarray(resized).transpose(2, 0, 1)).mean() < 0.5


def test_grey_is_told_from_colour():
    grey_palette = Image.new("P", (2, 2), 1)
    grey_palette.putpalette([0, 0, 0, 9, 9, 9])
    assert read_through(encoded(grey_palette)).grey
    assert read_through(encoded(np.zeros((2, 2), np.uint16))).grey
    assert not read_through(palette()).grey
    assert not read_through(plain("RGB", "white")).grey


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"no image at all", "not an image"),
        (encoded(noise(0, (64, 64, 3)), "JPEG")[:600], "(?i)truncated"),
        (encoded(noise(0, (64, 64, 3)))[:2000], "truncated"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
    ],
)
def test_damaged_files_are_unreadable_with_a_reason(data, said):
    for read in (read_through, lambda data: decode_bytes(data, Framing((8, 8)), 3)):
        with pytest.raises(UnreadableImageError, match=said):
            read(data)


def test_a_thread_of_pixels_is_no_image():
    data = encoded(np.zeros((1, 6000, 3), np.uint8))
    with pytest.raises(UnreadableImageError, match="1 x 6000: one side is over 100 times the other"):
        decode_bytes(data, Framing((96, 96)), 3)


@pytest.mark.parametrize("side", [50_000, 14_000])
def test_a_header_of_too_many_pixels_is_refused_before_decoding(side, tmp_path):
    with pytest.raises(OversizedImageError, match=rf"{side * side / 1e6:,.0f} megapixels, over the limit of 178"):
        read_through(huge_png(side, side))
    (tmp_path / "huge.png").write_bytes(huge_png(side, side))
    with pytest.raises(InputError, match=r"huge\.png: .*limit"):
        decode(tmp_path / "huge.png", Framing((8, 8)), 3)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.png: No such file"):
        decode(tmp_path / "none.png", Framing((8, 8)), 3)


def photograph(side=160):
    return Image.fromarray(noise(3, (8, 8, 3))).resize((side, side), Image.Resampling.BICUBIC)


def as_stored(data, shape, tones=None):
    return decode_bytes(data, Framing(shape, tones=tones or Tones()), 3).transpose(1, 2, 0)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize(("lost", "added"), [(1, b""), (2, b""), (2, bytes(300)), (3, b"")])
def test_a_jpeg_without_its_last_bytes_is_read_with_a_note(progressive, lost, added):
    whole = encoded(photograph(), "JPEG", progressive=progressive)
    data = whole[:-lost] + added
    assert read_through(data).note == "read although the file lacks its last bytes"
    differing = as_stored(data, (160, 160)) != as_stored(whole, (160, 160))
    assert differing.mean() <= 0.01 * (lost > 2)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("kept", [0.5, 0.9])
@pytest.mark.parametrize("added", [b"", bytes(5000)])
def test_a_jpeg_cut_in_the_middle_is_broken_whatever_fills_it_up(progressive, kept, added):
    whole = encoded(photograph(), "JPEG", progressive=progressive)
    with pytest.raises(UnreadableImageError):
        read_through(whole[: int(kept * len(whole))] + added)


def test_what_follows_the_end_of_a_jpeg_is_no_damage():
    whole = encoded(photograph(), "JPEG")
    for data in (whole + bytes(100), whole + b"a film" + bytes(100)):
        assert np.array_equal(as_stored(data, (160, 160)), as_stored(whole, (160, 160)))


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def with_chunk(png, chunk, at=33):
    return png[:at] + chunk + png[at:]


HEAVY = zlib.compress(bytes(3_000_000))
BESIDE_THE_PIXELS = {
    "text": png_chunk(b"zTXt", b"key\0\0" + HEAVY),
    "international text": png_chunk(b"iTXt", b"key\0\1\0\0\0" + HEAVY),
    "profile": png_chunk(b"iCCP", b"name\0\0" + HEAVY),
    "damaged text": png_chunk(b"tEXt", b"key\0value")[:-1] + b"?",
}


@pytest.mark.parametrize("at", [33, -12])
@pytest.mark.parametrize("name", BESIDE_THE_PIXELS)
def test_what_a_png_has_beside_its_pixels_is_no_reason_to_lose_it(name, at):
    pixels = noise(4, (7, 5, 3))
    exif = Image.Exif()
    exif[0x0112] = 3
    data = with_chunk(encoded(pixels, exif=exif), BESIDE_THE_PIXELS[name], at)
    assert np.array_equal(as_stored(data, (7, 5)), pixels[::-1, ::-1])
    if at == 33:
        assert read_through(data).note == "read although text or a profile in the file cannot be"


def png16(pixels):
    """16 bits of (height, width) or (height, width, 2, 3 or 4), which Pillow does not write in colour."""
    kind = {2: 4, 3: 2, 4: 6}[pixels.shape[2]] if pixels.ndim == 3 else 0
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 16, kind, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)


@pytest.mark.parametrize("channels", [0, 3])
def test_12_bits_in_16_keep_the_256_levels_of_the_same_picture_in_8(channels):
    eight = np.tile(np.arange(256, dtype=np.uint16).reshape(16, 16, 1), channels or 1)
    eight = eight if channels else eight[..., 0]
    twelve = np.rint(eight / 255 * 4095).astype(np.uint16)
    found = as_stored(png16(twelve), (16, 16), Tones((0, 4095)))
    assert np.array_equal(found[..., 0].ravel(), np.arange(256))
    shifted = as_stored(png16(eight * 16), (16, 16), Tones((0, 4095))).astype(int)
    assert len(np.unique(found)) == 256
    assert np.abs(shifted - found).max() <= 1


@pytest.mark.parametrize("channels", [2, 4])
def test_a_fourth_channel_that_hides_nothing_costs_no_levels(channels):
    twelve = np.tile(np.arange(256, dtype=np.uint16).reshape(16, 16, 1) * 16, channels)
    twelve[..., -1] = 65535
    found = as_stored(png16(twelve), (16, 16), Tones((0, 4080)))
    assert np.array_equal(found, np.tile(np.arange(256).reshape(16, 16, 1), 3))
    twelve[0, 0, -1] = 0
    assert as_stored(png16(twelve), (16, 16), Tones((0, 4080)))[0, 0].tolist() == [255] * 3


def test_16_bit_colours_without_a_range_are_what_pillow_has():
    pixels = noise(5, (6, 6, 3)).astype(np.uint16) * 257
    assert np.array_equal(as_stored(png16(pixels), (6, 6)), pixels // 257)
    assert np.array_equal(as_stored(png16(pixels), (6, 6), Tones((0, 65535))), pixels // 257)


def test_what_is_no_number_is_black_and_does_not_move_the_others():
    values = np.array([[np.nan, np.inf, -np.inf, 0.5], [0, 1, 0.25, 0.75]], np.float32)
    data = encoded(values, kind="TIFF")
    assert read_through(data).ends[::3] == (0, 1)
    assert as_stored(data, (2, 4), Tones((0, 1)))[..., 0].tolist() == [[0, 255, 0, 128], [0, 255, 64, 191]]
    nothing = encoded(np.full((4, 4), np.nan, np.float32), kind="TIFF")
    with pytest.raises(UnreadableImageError, match="none of its values is a finite number"):
        read_through(nothing)


@pytest.mark.parametrize(("ground", "level"), [("white", 255), ("black", 0), ("grey", 128)])
def test_transparency_lies_on_the_ground_of_the_data_set(ground, level):
    for clear in (plain("RGBA", (9, 9, 9, 0)), plain("LA", (9, 0)), palette(1)):
        assert (as_stored(clear, (4, 4), Tones(ground=ground)) == level).all()
    assert read_through(plain("RGBA", (255, 255, 255, 0))).plain == 7
    icon = Image.new("RGBA", (4, 4), (255, 255, 255, 0))
    icon.putpixel((1, 1), (255, 255, 255, 255))
    assert read_through(encoded(icon)).plain == 1


def test_a_fine_pattern_of_a_jpeg_is_not_of_one_colour():
    pattern = np.kron(np.indices((8, 8)).sum(0) % 2, np.full((2, 2), 200)).astype(np.uint8)
    assert read_through(encoded(pattern, "JPEG")).plain == 0
    assert read_through(encoded(np.full((16, 16), 200, np.uint8), "JPEG")).plain == 7
