"""Batched augmentation: per-image randomness, exact pixels, and repeatability."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageEnhance, ImageOps

from vitrail.configs import AugmentConfig, TrainConfig
from vitrail.data import policies
from vitrail.data.augment import augment, crop_and_flip, cutout, mix
from vitrail.data.batches import epoch_order, step_seed
from vitrail.data.policies import _OPERATIONS, apply_policy, brightness, color_jitter, contrast, saturation
from vitrail.data.preprocessing import Preprocessing


def batch(count=64, channels=3, height=8, width=10) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, channels, height, width), dtype=torch.uint8, generator=generator)


def test_a_crop_is_a_window_of_the_reflected_image():
    images = batch(count=20)
    torch.manual_seed(0)
    out = crop_and_flip(images, pad=2, flip=False)
    padded = torch.nn.functional.pad(images.float(), (2, 2, 2, 2), mode="reflect").to(torch.uint8)
    for image, reflected in zip(out, padded, strict=True):
        windows = reflected.unfold(1, 8, 1).unfold(2, 10, 1).permute(1, 2, 0, 3, 4).reshape(-1, 3, 8, 10)
        assert (windows == image).flatten(1).all(1).any()
    assert len(out.unique(dim=0)) == 20


def test_half_of_the_images_are_mirrored_and_the_rest_untouched():
    images = batch(count=400)
    torch.manual_seed(0)
    out = crop_and_flip(images, pad=0, flip=True)
    same = (out == images).flatten(1).all(1)
    mirrored = (out == images.flip(3)).flatten(1).all(1)
    assert (same ^ mirrored).all()
    assert 150 < mirrored.sum() < 250


def test_cutout_zeroes_at_most_a_square():
    out = cutout(torch.ones(200, 1, 8, 8), side=3)
    holes = (out == 0).flatten(1).sum(1)
    assert holes.max() == 9
    assert holes.min() >= 4


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.5, 0.0), (0.0, 1.0), (0.5, 1.0)])
def test_mixed_targets_sum_to_one_and_match_the_pixels(mixup, cutmix):
    """Images whose every pixel is their label: the mean pixel is then the mean label."""
    labels = torch.arange(6)
    images = labels.float()[:, None, None, None].expand(6, 1, 8, 8).contiguous()
    for seed in range(10):
        torch.manual_seed(seed)
        mixed, targets = mix(images, torch.nn.functional.one_hot(labels, 6).float(), mixup, cutmix)
        torch.testing.assert_close(targets.sum(1), torch.ones(6))
        torch.testing.assert_close(mixed.mean((1, 2, 3)), targets @ labels.float(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("policy", ["randaugment", "trivialaugment"])
def test_policies_stay_in_range_and_repeat_with_the_seed(policy, channels):
    images = batch(count=200, channels=channels).float() / 255
    torch.manual_seed(3)
    out = apply_policy(images, policy)
    torch.manual_seed(3)
    assert torch.equal(out, apply_policy(images, policy))
    assert out.shape == images.shape
    assert torch.isfinite(out).all()
    assert out.min() >= 0
    assert out.max() <= 1
    changed = (out != images).flatten(1).any(1)
    assert 0.5 < changed.float().mean() < 1


@pytest.mark.parametrize("operation", [o for o, *_ in _OPERATIONS[:10]], ids=lambda o: o.__name__)
def test_an_operation_of_no_strength_changes_nothing(operation):
    images = batch(count=4).float() / 255
    torch.testing.assert_close(operation(images, torch.zeros(4)), images, atol=1e-4, rtol=1e-4)


# Few levels, many or one, on images smaller and larger than the 255 pixels below which equalize does nothing.
PICTURES = st.tuples(st.integers(1, 24), st.integers(1, 24), st.sampled_from([1, 3]), st.integers(1, 256)).flatmap(
    lambda size: arrays(np.uint8, (*size[:2], size[2]), elements=st.integers(0, size[3] - 1))
)


def by_pillow(function, picture: np.ndarray) -> np.ndarray:
    image = Image.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture)
    return np.asarray(function(image)).reshape(picture.shape)


def by_ours(operation, picture: np.ndarray, strength: float) -> np.ndarray:
    """In levels, not rounded."""
    images = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
    return (255 * operation(images, torch.tensor([strength])).clamp(0, 1))[0].permute(1, 2, 0).numpy()


@given(PICTURES, st.integers(0, 2**32 - 1))
def test_equalize_is_pillows_to_the_level(picture, seed):
    noise = np.random.default_rng(seed).normal(128, 40, (20, 20, picture.shape[2])).clip(0, 255).astype(np.uint8)
    for one in (picture, noise):
        found = by_ours(policies._equalize, one, 0.0)
        assert np.allclose(found, by_pillow(ImageOps.equalize, one), atol=1e-3)


@given(PICTURES, st.floats(-0.99, 0.99))
@pytest.mark.parametrize(
    ("operation", "enhance"),
    [
        (policies._sharpness, ImageEnhance.Sharpness),
        (brightness, ImageEnhance.Brightness),
        (contrast, ImageEnhance.Contrast),
        (saturation, ImageEnhance.Color),
    ],
    ids=["sharpness", "brightness", "contrast", "saturation"],
)
def test_enhancements_are_pillows_but_for_rounding(operation, enhance, picture, change):
    """Pillow rounds what it blends with, and what comes of it."""
    found = by_ours(operation, picture, change)
    assert np.abs(found - by_pillow(lambda image: enhance(image).enhance(1 + change), picture)).max() < 2


@given(PICTURES, st.integers(0, 30))
def test_the_other_operations_on_levels_are_pillows(picture, level):
    expected = by_pillow(ImageOps.autocontrast, picture)
    assert np.abs(by_ours(policies._autocontrast, picture, 0.0) - expected).max() < 1.01
    expected = by_pillow(lambda image: ImageOps.solarize(image, 255 - 255 * level / 30), picture)
    found = by_ours(policies._solarize, picture, level / 30)
    # A level that lies on the threshold may fall on either side of it by the rounding of floats.
    clear = np.abs(picture - (255 - 255 * level / 30)) > 1e-3
    assert np.allclose(found[clear], expected[clear], atol=1e-3)
    bits = 8 - round(level / 5)
    expected = by_pillow(lambda image: ImageOps.posterize(image, bits), picture)
    assert np.allclose(by_ours(policies._posterize, picture, level / 30), expected, atol=1e-3)


@pytest.mark.parametrize(("side", "most"), [(48, 32), (64, 32), (20, 20)])
def test_translations_go_32_pixels_far_or_a_side_and_whole_pixels_only(side, most, monkeypatch):
    """A column of its own brightness for every place tells how far an image has moved."""
    monkeypatch.setattr(policies, "_OPERATIONS", tuple(r for r in _OPERATIONS if r[0] is policies._translate_x))
    columns = torch.linspace(0, 1, side).expand(600, 1, 8, side).contiguous()
    torch.manual_seed(0)
    moved = apply_policy(columns, "trivialaugment")
    places = torch.cat([torch.arange(side - 1, -1, -1), torch.arange(side), torch.arange(side - 1, -1, -1)])
    shifts = {s: columns[0, 0, 0][places[side + s : 2 * side + s]] for s in range(-most, most + 1)}
    seen = {s for s, row in shifts.items() if torch.isclose(moved[:, 0, 0], row, atol=1e-4).all(dim=1).any()}
    expected = {sign * int(most * level / 30 + 1e-6) for level in range(31) for sign in (1, -1)}
    assert seen == expected


@pytest.mark.parametrize(
    ("policy", "means"),
    [
        ("randaugment", [172.06348, 177.66031, 171.13893, 175.28053, 176.25978, 166.61098, 175.82414, 169.72218]),
        ("trivialaugment", [174.0916, 173.15529, 177.84715, 182.7179, 182.36246, 168.71733, 175.59439, 173.54173]),
    ],
)
def test_what_the_first_version_began_goes_on_with_the_same_pixels(policy, means):
    """By weighted means over fifty images each, as they were before there were versions; now they differ by 2 or so."""
    images = batch(count=400, height=16, width=20).float() / 255
    weights = (torch.linspace(-1, 1, 16)[:, None] + torch.linspace(-1, 1, 20)).exp()
    torch.manual_seed(5)
    found = (255 * apply_policy(images, policy, version=1) * weights).mean((1, 2, 3)).view(8, 50).mean(1)
    assert found.tolist() == pytest.approx(means, abs=2e-3)


def test_augmenting_uses_the_version_of_the_configuration():
    images, preprocessing = batch(), Preprocessing((8, 10), 3, (0.0,) * 3, (1.0,) * 3)
    for version in (1, 2):
        config = AugmentConfig(crop=0, flip=False, policy="trivialaugment", policy_version=version)
        torch.manual_seed(2)
        found = augment(images, config, preprocessing)
        torch.manual_seed(2)
        assert torch.allclose(found, apply_policy(images.float() / 255, "trivialaugment", version), atol=1e-5)
    assert TrainConfig().augment.policy_version == 2


def test_colours_by_hand():
    pixel = torch.tensor([0.2, 0.4, 0.6]).view(1, 3, 1, 1)
    torch.testing.assert_close(brightness(pixel, torch.tensor([0.5])).flatten(), torch.tensor([0.3, 0.6, 0.9]))
    grey = 0.299 * 0.2 + 0.587 * 0.4 + 0.114 * 0.6
    torch.testing.assert_close(saturation(pixel, torch.tensor([-1.0])).flatten(), torch.full((3,), grey))


def test_rotation_by_ninety_degrees_is_exact():
    from vitrail.data.policies import _rotate

    images = batch(count=2, height=8, width=8).float() / 255
    turned = _rotate(images, torch.tensor([90.0, 180.0]))
    torch.testing.assert_close(turned[0], images[0].rot90(1, (1, 2)), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(turned[1], images[1].rot90(2, (1, 2)), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("height", "width"), [(16, 64), (64, 16), (32, 32)])
def test_a_shear_moves_pixels_by_its_amount_for_each_pixel(height, width):
    from vitrail.data.policies import _shear_x, _shear_y

    x = torch.zeros(1, 1, height, width)
    x[..., width // 2] = 1
    moved = _shear_x(x, torch.tensor([0.25]))[0, 0].argmax(dim=1).float()
    assert (moved[0] - moved[-1]).abs() == pytest.approx(0.25 * (height - 1), abs=1)
    x = torch.zeros(1, 1, height, width)
    x[..., height // 2, :] = 1
    moved = _shear_y(x, torch.tensor([0.25]))[0, 0].argmax(dim=0).float()
    assert (moved[0] - moved[-1]).abs() == pytest.approx(0.25 * (width - 1), abs=1)


def test_colour_jitter_of_nothing_is_nothing():
    images = batch().float() / 255
    torch.testing.assert_close(color_jitter(images, 0.0), images)


def test_without_augmentation_images_are_only_normalised():
    images = batch()
    preprocessing = Preprocessing((8, 10), 3, (0.5,) * 3, (0.25,) * 3)
    out = augment(images, AugmentConfig(crop=0, flip=False), preprocessing)
    torch.testing.assert_close(out, preprocessing.normalize(images))


def test_the_order_of_an_epoch_depends_on_seed_and_epoch_alone():
    assert sorted(epoch_order(50, 1, 2)) == list(range(50))
    assert (epoch_order(50, 1, 2) == epoch_order(50, 1, 2)).all()
    assert not (epoch_order(50, 1, 2) == epoch_order(50, 1, 3)).all()
    assert not (epoch_order(50, 1, 2) == epoch_order(50, 2, 2)).all()
    assert len({step_seed(seed, step) for seed in range(20) for step in range(500)}) == 10_000
