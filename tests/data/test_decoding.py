"""Every kind of image as a person would see it, and the geometry of resizing and cropping."""

import io

import numpy as np
import pytest
from data_builders import encoded, huge_png, noise
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from vitrail.data.decoding import Framing, OversizedImageError, UnreadableImageError, decode, decode_bytes, read_through
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
def test_pixels_without_a_common_scale_are_refused_when_they_are_read_through(pixels, said):
    for read in (read_through, lambda data: decode_bytes(data, Framing((4, 4)), 1)):
        with pytest.raises(UnreadableImageError, match=said):
            read(encoded(pixels, kind="TIFF"))


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


def test_a_reduced_jpeg_is_close_to_the_full_one():
    smooth = Image.fromarray(noise(2, (8, 12, 3))).resize((1200, 800), Image.Resampling.BICUBIC)
    data = encoded(smooth, "JPEG", quality=95)
    found = decode_bytes(data, Framing((64, 64)), 3).astype(int)
    full = Image.open(io.BytesIO(data)).resize((96, 64), Image.Resampling.BILINEAR).crop((16, 0, 80, 64))
    assert np.abs(found - np.asarray(full).transpose(2, 0, 1)).mean() < 1.5


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
