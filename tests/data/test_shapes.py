"""The generated shapes: what they claim of themselves, held against geometry and counting."""

import math

import numpy as np
import pytest

from vitrail.data import shapes
from vitrail.data.decoding import Framing
from vitrail.data.layout import TEST, TRAIN
from vitrail.data.shapes import CLASS_NAMES, SHAPES, render, scenes
from vitrail.data.sources import open_source


@pytest.fixture(scope="module")
def many():
    chosen = scenes(640)
    return chosen, render(chosen)


# Areas within a circle of radius 1, from the elementary formulas. The crescent's circles of 1 and 0.8, 0.6 apart, meet
# on the diameter of the smaller one: so it is the unit circle less half of the smaller and less a segment of its own.
AREAS = {
    "bar": 4 * 3.2 / (3.2**2 + 1),
    "circle": math.pi,
    "crescent": math.pi - math.pi * 0.64 / 2 - (math.acos(0.6) - 0.6 * 0.8),
    "cross": (2 * 2 * 0.6 - 0.6**2) / (1 + 0.3**2),
    "ring": math.pi * (1 - 0.36),
    "square": 2,
    "star": 10 * 0.42 * math.sin(math.radians(36)) / 2,
    "triangle": 3 * math.sqrt(3) / 4,
}


@pytest.mark.parametrize("name", CLASS_NAMES)
def test_areas_are_those_of_geometry(name):
    assert SHAPES[name].area == pytest.approx(AREAS[name])
    steps = (np.arange(600, dtype=np.float32) + 0.5) / 300 - 1
    distance = SHAPES[name].distance(*np.meshgrid(steps, steps))
    assert (distance < 0).mean() * 4 == pytest.approx(AREAS[name], rel=0.01)
    # Nothing is outside the circle, and something reaches it.
    radius = np.hypot(*np.meshgrid(steps, steps))
    assert 0.98 < radius[distance < 0].max() <= 1
    # A distance: between neighbours it changes by no more than they are apart.
    assert np.abs(np.diff(distance, axis=1)).max() <= 1.001 / 300
    assert np.abs(np.diff(distance, axis=1)).max() * 300 > 0.5


def test_distances_of_known_points():
    at = {name: (lambda x, y, name=name: float(SHAPES[name].distance(*np.float32([[x], [y]]))[0])) for name in SHAPES}
    assert at["circle"](3, 4) == pytest.approx(4)
    assert at["ring"](0, 0) == pytest.approx(0.6)
    assert at["square"](0, 0) == pytest.approx(-math.sqrt(0.5))
    assert at["square"](math.sqrt(0.5) + 3, math.sqrt(0.5) + 4) == pytest.approx(5, rel=1e-5)
    assert at["triangle"](0, 0) == pytest.approx(-0.5)
    assert at["crescent"](1, 0) == pytest.approx(0.4)


def test_masks_have_the_areas_asked_for_and_lie_whole_and_apart(many):
    chosen, drawn = many
    large = render(scenes(64), 128)
    objects = [(i, which) for i in range(64) for which in (0, 1) if chosen.classes[i, which] >= 0]
    for i, which in objects:
        area = SHAPES[CLASS_NAMES[chosen.classes[i, which]]].area * chosen.radii[i, which] ** 2
        assert large.masks[i, which].mean() == pytest.approx(area, rel=0.03)
    for masks in (drawn.masks, large.masks):
        assert not masks.all(axis=1).any()
        border = np.ones(masks.shape[-2:], bool)
        border[1:-1, 1:-1] = False
        assert not masks[..., border].any()


def test_the_label_is_the_class_of_the_larger_object(many):
    chosen, drawn = many
    first, second = drawn.masks.sum(axis=(2, 3)).T
    two = drawn.second >= 0
    assert np.array_equal(drawn.labels, chosen.classes[:, 0])
    assert not second[~two].any()
    assert (drawn.second[two] != drawn.labels[two]).all()
    assert (second[two] < 0.5 * first[two]).all()
    areas = np.array([SHAPES[name].area for name in CLASS_NAMES])[chosen.classes] * chosen.radii**2
    share = areas[two, 1] / areas[two, 0]
    assert shapes.SMALLER_AREA[0] <= share.min() <= share.max() <= shapes.SMALLER_AREA[1] + 1e-6
    assert shapes.LARGER_AREA[0] <= areas[:, 0].min() <= areas[:, 0].max() <= shapes.LARGER_AREA[1] + 1e-6


def test_classes_are_balanced_and_half_have_a_second_object(many):
    _, drawn = many
    assert (np.bincount(drawn.labels) == 80).all()
    assert (np.bincount(drawn.labels[drawn.second >= 0]) == 40).all()
    # Of 320 second objects, 40 of each class are expected, with a standard deviation of 6.
    assert np.abs(np.bincount(drawn.second[drawn.second >= 0], minlength=8) - 40).max() < 24


def test_neither_colour_nor_place_tells_the_class(many):
    chosen, _ = many
    from scipy.stats import f_oneway

    told = np.concatenate([chosen.colours[:, 0], chosen.ground.mean(axis=(1, 2)), chosen.angles[:, :1]], axis=1)
    by_class = [told[chosen.classes[:, 0] == label] for label in range(8)]
    assert f_oneway(*by_class).pvalue.min() > 0.001
    # Large circles cannot come near the edge, but the middle is the middle for all.
    assert np.abs([chosen.centres[chosen.classes[:, 0] == k, 0].mean(axis=0) - 0.5 for k in range(8)]).max() < 0.06


def test_objects_stand_out_from_their_ground(many):
    chosen, drawn = many
    ground = chosen.ground.reshape(len(chosen.ground), 1, -1, 3)
    assert np.linalg.norm(chosen.colours[:, :, None] - ground, axis=-1).min() >= shapes.CONTRAST - 1e-5
    for image, masks in zip(drawn.images[:100] / 255, drawn.masks[:100], strict=True):
        inside, outside = (image[:, region].mean(axis=1) for region in (masks[0], ~masks.any(axis=0)))
        assert np.linalg.norm(inside - outside) > 0.7 * shapes.CONTRAST


def test_a_scene_is_the_same_in_any_company(monkeypatch, many):
    _, drawn = many
    chosen = np.array([17, 3, 600, 128])
    apart = render(scenes(chosen))
    assert np.array_equal(apart.images, drawn.images[chosen])
    assert np.array_equal(apart.masks, drawn.masks[chosen])
    monkeypatch.setattr(shapes, "_CHUNK_PIXELS", 3000)
    assert np.array_equal(render(scenes(20)).images, drawn.images[:20])
    assert not np.array_equal(render(scenes(8, seed=1)).images, drawn.images[:8])


def test_a_scene_is_the_same_at_any_size():
    small, large = render(scenes(48)), render(scenes(48), 96)
    pooled = large.images.reshape(48, 3, 32, 3, 32, 3).mean(axis=(3, 5))
    # Noise of 4 % in one and a third of that in the other, and edges.
    assert np.abs(pooled - small.images).mean() < 0.05 * 255
    share = large.masks.reshape(48, 2, 32, 3, 32, 3).mean(axis=(3, 5))
    assert ((share > 0.5) == small.masks).mean() > 0.995


def test_a_rectangle_is_cropped_from_the_square_or_stretched():
    square, wide = render(scenes(8), 64).masks, render(scenes(8), (32, 64)).masks
    assert np.array_equal(wide, square[:, :, 16:48])
    stretched = render(scenes(8), Framing((32, 64), fit="stretch")).masks
    assert stretched.mean(axis=(2, 3)) == pytest.approx(square.mean(axis=(2, 3)), abs=0.01)
    cropped = render(scenes(8), Framing((48, 48), crop=0.75)).masks
    assert np.array_equal(cropped, square[:, :, 8:56, 8:56])


def test_as_a_data_set(data_dir, monkeypatch):
    source = open_source("shapes", data_dir)
    assert (source.native_size, source.channels, source.class_names) == ((32, 32), 3, CLASS_NAMES)
    assert ((source.split == TRAIN).sum(), (source.split == TEST).sum()) == (10_000, 2_000)
    assert (np.bincount(source.labels[source.split == TEST]) == 250).all()
    places = np.array([10_000, 11_003, 11_999])
    assert np.array_equal(source.labels[places], render(scenes(places)).labels)
    assert np.array_equal(shapes.masks(places, 64), render(scenes(places), 64).masks[:, 0])

    monkeypatch.setattr(shapes, "LABELS", shapes.LABELS[:40])
    colour, grey = source.images(Framing((16, 24)), 3), source.images(Framing((16, 24)), 1)
    assert np.array_equal(colour, render(scenes(40), (16, 24)).images)
    luma = np.tensordot(colour, [0.299, 0.587, 0.114], (1, 0))
    assert np.abs(grey[:, 0] - luma).max() <= 1
