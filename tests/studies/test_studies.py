"""What a study says of numbers that are known, and what it measures of models and images that are known."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import t

from vitrail.configs import DataConfig, TrainConfig, ViTConfig
from vitrail.errors import InputError
from vitrail.estimate import Estimate, estimate
from vitrail.experiments.finding import number, percent, points, verdict
from vitrail.models.build import build_model
from vitrail.models.positions import sincos_2d
from vitrail.models.summary import summarize
from vitrail.recipes.figures import grid_correlation
from vitrail.studies import (
    STUDIES,
    ablation,
    attention_on_object,
    compute,
    data_size,
    heads,
    hierarchy,
    hybrid,
    patch_size,
    translation,
)
from vitrail.studies.setups import mirrored
from vitrail.studies.study import Cell, Results, Setting

QUICK = Setting("digits", quick=True)
SEEDS = np.array([-0.001, 0.0, 0.001])


def results(**measured: dict) -> Results:
    """Three seeds that differ a little; cells by name with __ for -."""
    cells, values = {}, {}
    for name, of in measured.items():
        cell = name.replace("__", "-")
        cells[cell] = Cell(cell, DataConfig("digits", train_subset=300), ViTConfig(), TrainConfig(epochs=5))
        values[cell] = [
            {
                k: v if isinstance(v, str | list) and k == "names" else (np.array(v, float) + d).tolist()
                for k, v in of.items()
            }
            for d in SEEDS
        ]
    return Results(cells, values)


class TestVerdict:
    def test_known_answers(self):
        above, below, across = Estimate(2.0, half=1.0), Estimate(-2.0, half=1.0), Estimate(0.5, half=1.0)
        assert verdict(above, above) == "supported"
        assert verdict(above, below) == "contradicted"
        assert verdict(above, across) == "undecided"
        assert verdict(Estimate(2.0, half=None)) == "undecided"
        assert verdict(above, Estimate(math.nan, half=1.0)) == "undecided"

    @given(st.lists(st.floats(-1, 1), min_size=2, max_size=6))
    def test_the_reverse_of_a_claim_gets_the_reverse_verdict(self, values):
        forth, back = verdict(estimate(np.array(values))), verdict(estimate(-np.array(values)))
        assert {"supported": "contradicted", "contradicted": "supported"}.get(forth, "undecided") == back

    def test_numbers_in_words(self):
        assert percent(Estimate(0.7123, half=0.008)) == "71.2 ± 0.8 %"
        assert points(Estimate(-0.041, half=0.009)) == "−4.1 ± 0.9 points"
        assert number(Estimate(1234.5, half=None), 0) == "1,234"
        assert percent(Estimate(math.nan, half=None)) == "–"
        assert number(Estimate(-0.001, half=0.5), 1) == "0.0 ± 0.5"

    def test_one_of_many_is_not_enough_to_contradict(self):
        """Student's t with two degrees of freedom: 4.30 for one difference, 22.3 for the least of thirteen."""
        below, above = Estimate(-2.0, half=1.0, values=(-2.0,) * 3), Estimate(2.0, half=1.0, values=(2.0,) * 3)
        assert verdict(below) == "contradicted"
        assert below.among(13).half == pytest.approx(t.ppf(1 - 0.025 / 13, 2) / t.ppf(0.975, 2))
        assert verdict(below, *[above] * 12) == "undecided"
        assert verdict(Estimate(-6.0, half=1.0, values=(-6.0,) * 3), *[above] * 12) == "contradicted"
        assert verdict(*[above] * 13) == "supported"

    def test_intervals_are_of_the_seeds(self):
        # Student's t with two degrees of freedom: 4.3027 s / sqrt(3).
        found = estimate(np.array([1.0, 2.0, 3.0]))
        assert found.mean == 2
        assert found.half == pytest.approx(4.30265 / math.sqrt(3), rel=1e-4)

    def test_differences_are_taken_seed_by_seed(self):
        cells = {name: Cell(name, DataConfig("digits"), ViTConfig(), TrainConfig()) for name in "ab"}
        x = Results(cells, {"a": [{"x": 1.0}, {"x": 5.0}], "b": [{"x": 0.0}, {"x": 4.0}]}).values("x")
        found = estimate(x["a"] - x["b"])
        assert (found.mean, found.half) == (1, 0)


def accuracy(value: float, **more: float) -> dict:
    return {"test_accuracy": value, "train_accuracy": 1.0, "multiply_adds": 2e6, **more}


ABLATED = [name.replace("-", "__") for name in (ablation.RECIPE_CELL, *ablation.CHOICES, *ablation.ADDITIONS)]
CLAIMS = [
    ("data-size", "supported", {"vit__100": accuracy(0.5), "cnn__100": accuracy(0.7), "vit__1000": accuracy(0.9), "cnn__1000": accuracy(0.91)}),
    ("data-size", "contradicted", {"vit__100": accuracy(0.8), "cnn__100": accuracy(0.7), "vit__1000": accuracy(0.9), "cnn__1000": accuracy(0.91)}),
    ("hybrid", "supported", {"linear__stem": accuracy(0.5), "conv__stem": accuracy(0.6)}),
    ("hybrid", "contradicted", {"linear__stem": accuracy(0.6), "conv__stem": accuracy(0.5)}),
    ("scaling", "supported", {f"depth{d}__data{n}__epochs{e}": accuracy(0.1 * d + 0.001 * n + 0.02 * e) for d in (1, 4) for n in (30, 100) for e in (1, 5)}),
    ("scaling", "contradicted", {f"depth{d}__data{n}__epochs{e}": accuracy(0.1 * d + 0.001 * n - 0.02 * e) for d in (1, 4) for n in (30, 100) for e in (1, 5)}),
    ("positions", "supported", {kind: accuracy(0.9, whole=0.5 if kind == "none" else 0.9, shuffled=0.5) for kind in ("none", "learned", "learned2d", "sincos")}),
    ("positions", "contradicted", {kind: accuracy(0.9, whole=0.95 if kind == "sincos" else 0.5, shuffled=0.5) for kind in ("none", "learned", "learned2d", "sincos")}),
    ("translation", "supported", {name: {"stable": [1, 0.9, share, 0.4, 0.3]} for name, share in (("vit", 0.3), ("cnn", 0.6), ("vit__crops", 0.5), ("cnn__crops", 0.7))}),
    ("translation", "contradicted", {name: {"stable": [1, 0.9, share, 0.4, 0.3]} for name, share in (("vit", 0.7), ("cnn", 0.6), ("vit__crops", 0.9), ("cnn__crops", 0.7))}),
    ("regularisation", "supported", {name: accuracy(0.5 if name == "none" else 0.6) for name in ("none", "dropout", "decay", "drop__path", "augment")}),
    ("regularisation", "contradicted", {name: accuracy(0.4 if name == "decay" else 0.5) for name in ("none", "dropout", "decay", "drop__path", "augment")}),
    ("position-similarity", "supported", {"learned": {"same_row": [0, 0.5], "same_column": [0, 0.4], "apart": [0, 0.1], "correlation": [0, 0.8]}}),
    ("position-similarity", "contradicted", {"learned": {"same_row": [0, 0.0], "same_column": [0, 0.0], "apart": [0, 0.5], "correlation": [0, 0.1]}}),
    ("attention-distance", "supported", {f"data{n}": accuracy(0.9) | {"before": [[5, 5.0]] * 3, "after": [[1, 9.0], [5, 9], [9, 9.5]]} for n in (10, 100)}),
    ("attention-on-object", "supported", {"vit": accuracy(0.9, layers=[[0.1, 0.1], [0.2, 0.8]], centre=0.3, area=0.1)}),
    ("attention-on-object", "contradicted", {"vit": accuracy(0.9, layers=[[0.1, 0.1], [0.2, 0.2]], centre=0.3, area=0.1)}),
    ("hierarchy", "supported", {name: accuracy(0.9, orientation=[0.5, 0.4], colour=[0.6, 0.6], shape=[0.2, 0.9], guessed=[0.3, 0.2, 0.1]) for name in ("vit", "cnn")}),
    ("hierarchy", "contradicted", {name: accuracy(0.9, orientation=[0.5, 0.4], colour=[0.6, 0.9], shape=[0.2, 0.9], guessed=[0.3, 0.2, 0.1]) for name in ("vit", "cnn")}),
    ("compute", "supported", {name: accuracy(value, total=1e12, operations=[1e11, 1e12], curve=[0.1, value]) for name, value in (("vit", 0.9), ("hybrid", 0.8), ("cnn", 0.7))}),
    ("convergence", "supported", {name: {"steps": [0, 10, 20], "curve": [0.1, 0.6, 1], "best": 1.0} | {f"{unit}_to_{n}": k for unit in ("steps", "seconds") for n in (50, 80, 95)} for name, k in (("vit", 20), ("cnn", 10))}),
    ("patch-size", "supported", {f"patch{p}": accuracy(0.5 + 1 / p, tokens=(64 / p) ** 2, milliseconds=1 / p**2, bytes=1e4 / p**2) | {"multiply_adds": 1e9 / p**3} for p in (8, 4, 2)}),
    ("ablation", "supported", {name: {"val_accuracy": 0.6 if name == "recipe" else 0.5, "seconds": 120} for name in ABLATED}),
    ("ablation", "contradicted", {name: {"val_accuracy": 0.7 if name == "dropout" else 0.6, "seconds": 120} for name in ABLATED}),
    ("heads", "supported", {"vit": accuracy(0.9) | {"least_first": [0.9, 0.9, 0.9, 0.5, 0.1], "most_first": [0.9, 0.5, 0.3, 0.2, 0.1], "removable": 0.7, "names": ["mixed"] * 4}}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "expected", "measured"), CLAIMS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_planted_outcome_is_told(name, expected, measured):
    finding = STUDIES[name].conclude(results(**measured))
    assert finding.verdict == expected
    assert finding.sentence.endswith(".")
    assert "nan" not in finding.sentence
    assert all(len(row) == len(finding.head) for row in finding.rows)
    assert finding.figure.axes


def test_every_study_is_planned_quickly_and_in_full():
    for name, study in STUDIES.items():
        for quick in (True, False):
            data = study.usual_data(quick=True)
            cells = study.plan(Setting(data, quick))
            assert len({cell.name for cell in cells}) == len(cells), name
            assert all("-seed" not in cell.name for cell in cells)
            for cell in cells:
                assert (cell.train.batch_size or 0) <= (cell.data.train_subset or 1258), f"{name}: {cell.name}"
                assert (cell.data.train_subset or 0) <= 1258 or data != "digits", f"{name}: {cell.name}"


def test_a_model_that_has_learned_nothing_decides_nothing():
    measured = accuracy(0.13, layers=[[0.1, 0.1], [0.2, 0.2]], centre=0.3, area=0.1)
    finding = attention_on_object.conclude(results(vit=measured))
    assert finding.verdict == "undecided"
    assert "right on half of the images or fewer" in finding.sentence


def test_of_one_seed_no_spread_is_told():
    cells = {name.replace("__", "-"): {"val_accuracy": 0.6, "seconds": 120} for name in ABLATED}
    finding = ablation.conclude(
        Results(
            {name: Cell(name, DataConfig("digits"), ViTConfig(), TrainConfig()) for name in cells},
            {name: [measured] for name, measured in cells.items()},
        )
    )
    assert "One seed has no spread" in finding.sentence


class TestPlans:
    def test_too_few_images_for_the_ablation_are_named(self, monkeypatch):
        monkeypatch.setattr(ablation, "training_set_size", lambda setting: (900, 10))
        monkeypatch.setattr(ablation, "mirrored", lambda setting: True)
        with pytest.raises(InputError, match="at least 1,024"):
            ablation.plan(Setting("finds", quick=False))

    def test_only_colour_images_are_mirrored(self, tmp_path):
        for mode, colour in (("RGB", True), ("L", False)):
            for k in range(4):
                (tmp_path / mode / f"class{k % 2}").mkdir(parents=True, exist_ok=True)
                Image.new(mode, (8, 8)).save(tmp_path / mode / f"class{k % 2}" / f"{k}.png")
            assert mirrored(Setting(str(tmp_path / mode), quick=True)) is colour

    def test_every_choice_is_changed(self):
        assert sorted(cell.name for cell in ablation.plan(Setting("digits", quick=False))) == sorted(
            ["recipe", *ablation.CHOICES, *ablation.ADDITIONS]
        )

    @pytest.mark.parametrize(
        ("data", "count", "within"), [("finds", 50_000, 0.01), ("finds", 3_000, 0.06), ("digits", 1258, 0.02)]
    )
    def test_every_change_has_the_same_compute(self, data, count, within, monkeypatch):
        monkeypatch.setattr(ablation, "training_set_size", lambda setting: (count, 10))
        monkeypatch.setattr(ablation, "mirrored", lambda setting: setting.data == "finds")
        spent = []
        for cell in ablation.plan(Setting(data, quick=False)):
            assert cell.train.augment.flip == (data == "finds" and cell.name != "no-augmentation")
            assert cell.data.image_size == cell.model.size
            seen, until = cell.data.train_subset, cell.train.small_until if cell.train.small_side else 0.0
            assert seen % cell.train.batch_size == 0
            small = dataclasses.replace(cell.model, image_size=cell.train.small_side or cell.model.size)
            each = until * summarize(small).multiply_adds + (1 - until) * summarize(cell.model).multiply_adds
            spent.append(seen * cell.train.epochs * each)
        assert max(spent) / min(spent) == pytest.approx(1, abs=within)

    def test_every_share_of_the_data_has_the_same_number_of_steps(self):
        steps = []
        for cell in data_size.plan(QUICK):
            count = cell.data.train_subset or 1258
            steps.append(cell.train.epochs * (count // cell.train.batch_size))
        assert max(steps) <= 1.05 * min(steps)

    def test_the_hybrid_costs_what_the_linear_stem_does(self):
        linear, conv = (summarize(cell.model).multiply_adds for cell in hybrid.plan(QUICK))
        assert abs(linear - conv) / linear < 0.01

    def test_every_model_has_the_same_compute(self):
        cells = compute.plan(dataclasses.replace(QUICK, quick=False))
        spent = [summarize(cell.model).multiply_adds * cell.train.epochs for cell in cells]
        assert max(spent) / min(spent) < 1.1


class TestMeasures:
    def test_nearness_on_the_grid(self):
        rows, columns = torch.meshgrid(torch.arange(3.0), torch.arange(4.0), indexing="ij")
        places = torch.stack([rows.flatten(), columns.flatten()], dim=1)
        near = -torch.cdist(places, places)
        assert grid_correlation(near.view(3, 4, 3, 4)) == pytest.approx(1)
        assert grid_correlation(-near.view(3, 4, 3, 4)) == pytest.approx(-1)
        waves = sincos_2d((3, 4), 64)[0]
        assert grid_correlation((waves @ waves.mT).view(3, 4, 3, 4)) > 0.8

    @pytest.mark.parametrize("turn", range(4))
    def test_the_direction_of_stripes(self, turn):
        y, x = np.mgrid[:32, :32] / 32
        angle = turn * np.pi / 4
        stripes = np.sin(20 * (np.cos(angle) * x + np.sin(angle) * y))
        assert hierarchy.edge_orientation(stripes[None, None]).item() == turn

    def test_hues(self):
        colours = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 1], [0, 0, 1], [1, 0, 1], [0.9, 0.1, 0.12]])
        assert hierarchy.hue(colours).tolist() == [0, 1, 2, 3, 4, 5, 0]

    def test_a_probe_reads_what_is_there_and_no_more(self):
        rng = np.random.default_rng(0)
        features = rng.normal(size=(600, 8))
        assert hierarchy.probe(features, (features[:, 0] > 0).astype(int)) > 0.9
        assert hierarchy.probe(features, rng.integers(0, 2, 600)) < 0.65

    def test_shifted_images(self):
        image = np.arange(16, dtype=np.uint8).reshape(1, 1, 4, 4)
        assert translation.shifted(image, 0, 0).tolist() == image.tolist()
        assert translation.shifted(image, 1, 0)[0, 0, 1:].tolist() == image[0, 0, :-1].tolist()
        assert translation.shifted(image, 0, -2)[0, 0, :, :2].tolist() == image[0, 0, :, 2:].tolist()

    def test_attention_on_an_object(self):
        masks = torch.zeros(2, 4, 4)
        masks[:, :2] = 1
        uniform, all_inside = torch.ones(2, 3, 4, 4), masks[:, None].expand(2, 3, 4, 4)
        assert attention_on_object.on_object(uniform, masks).tolist() == [0.5] * 3
        assert attention_on_object.on_object(all_inside, masks).tolist() == [1.0] * 3

    @pytest.mark.parametrize(
        ("accuracy", "gone"), [([0.9, 0.9, 0.8, 0.9], 1), ([0.9, 0.5, 0.9], 0), ([0.9, 0.92, 0.895], 2)]
    )
    def test_heads_are_spared_until_accuracy_first_falls(self, accuracy, gone):
        assert heads.spared(accuracy) == gone

    def test_without_heads_the_order_of_patches_is_all_that_is_lost(self):
        torch.manual_seed(0)
        config = ViTConfig(image_size=8, patch_size=4, num_classes=3, embed_dim=8, depth=2, num_heads=2, mlp_dim=8)
        model = build_model(config)
        images, labels = torch.randn(20, 3, 8, 8), torch.randint(0, 3, (20,))
        plain = float((model.eval()(images).argmax(dim=1) == labels).float().mean())
        assert heads.accuracy_without(model, images, labels, []) == pytest.approx(plain)
        every = [(layer, head) for layer in range(2) for head in range(2)]
        # The class token then never hears of the image: one class for all.
        [only] = {int(model(images[:1], lambda n, t: t * 0 if n.endswith(".z") else t).argmax())}
        share = float((labels == only).float().mean())
        assert heads.accuracy_without(model, images, labels, every) == pytest.approx(share)

    def test_memory_grows_with_the_number_of_patches(self):
        config = ViTConfig(image_size=16, patch_size=4, num_classes=3, embed_dim=32, depth=2, num_heads=2, mlp_dim=64)
        coarse, fine = (patch_size.kept_bytes(dataclasses.replace(config, patch_size=p)) for p in (4, 2))
        assert 3 < fine / coarse < 16
