"""Measures of faithfulness, where the right answer is known on paper, planted, or had from another library."""

import dataclasses
import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from planted import color_vit, small_cnn, small_vit
from scipy import stats
from scipy.ndimage import gaussian_filter

from vitrail.errors import InputError
from vitrail.estimate import estimate
from vitrail.inspection import faithfulness, masking
from vitrail.inspection.attribution import METHODS, Method
from vitrail.inspection.faithfulness import Faithfulness, table
from vitrail.inspection.masking import MaskedImages, cell_means, curve_points, groups, ranks
from vitrail.inspection.measures import area_under, inside_mass, pointing, response, saco, widened
from vitrail.inspection.measuring import measure, order_gap
from vitrail.runs.layout import FAITHFULNESS


class TestCells:
    def test_means_row_by_row(self):
        maps = torch.arange(24.0).view(1, 4, 6)
        assert cell_means(maps, (2, 3)).tolist() == [[3.5, 5.5, 7.5, 15.5, 17.5, 19.5]]

    def test_cells_that_do_not_divide_the_map_overlap(self):
        assert cell_means(torch.arange(3.0).expand(1, 3, 3), (2, 2)).tolist() == [[0.5, 1.5, 0.5, 1.5]]
        assert cell_means(torch.ones(1, 12, 12), (8, 8)).eq(1).all()

    @given(st.integers(1, 300), st.integers(0, 9))
    def test_groups_are_even_and_in_order(self, num_cells, seed):
        ranked = np.random.default_rng(seed).permutation(num_cells)[None]
        group_of = groups(ranked)
        sizes = np.bincount(group_of[0])
        assert len(sizes) == min(10, num_cells)
        assert sizes.max() - sizes.min() <= 1
        assert (np.diff(group_of[0][np.argsort(ranked[0])]) >= 0).all()

    def test_the_grids_in_use_have_even_ends(self):
        for num_cells in (16, 64, 196, 256):
            sizes = np.bincount(groups(np.arange(num_cells)[None])[0])
            assert np.array_equal(sizes, sizes[::-1])

    def test_ranks_are_by_value_and_ties_by_lot(self):
        assert ranks(torch.tensor([[0.1, 3.0, -2.0, 1.0]])).tolist() == [[2, 0, 3, 1]]
        tied = ranks(torch.zeros(2000, 5), seed=1)
        assert (np.sort(tied, axis=1) == np.arange(5)).all()
        # The mean of 2,000 places drawn from 0..4 is 2, within 4.5 standard errors.
        assert np.abs(tied.mean(axis=0) - 2).max() < 0.15
        some = ranks(torch.tensor([[0.0, 1.0, 0.0, 2.0]]).expand(50, -1))
        assert (some[:, [3, 1]] == [0, 1]).all()

    def test_curves_begin_with_nothing_and_end_with_all(self):
        assert curve_points(64).tolist() == list(range(0, 65, 4))
        assert curve_points(5).tolist() == [0, 1, 2, 3, 4, 5]
        points = curve_points(196)
        assert np.array_equal(points, 196 - points[::-1])


class TestStandIn:
    def test_mean_is_zero(self):
        assert not masking.stand_in(torch.ones(1, 3, 4, 4), "mean").any()

    @pytest.mark.parametrize("size", [(32, 32), (16, 24)])
    def test_blur_is_a_mirrored_gaussian(self, size):
        images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
        sigmas = (0, 0, size[0] / 8, size[1] / 8)
        expected = gaussian_filter(images.numpy(), sigmas, mode="mirror", truncate=3)
        assert np.allclose(masking.stand_in(images, "blur").numpy(), expected, atol=1e-5)

    def test_blur_leaves_a_plain_image_as_it_is(self):
        images = torch.full((1, 1, 9, 5), 0.7)
        assert torch.allclose(masking.stand_in(images, "blur"), images)


class TestOnPaper:
    """A model that says how much of the image is there, cell by cell, by weights 8, 7, ..., 1 of 36."""

    weights = torch.arange(8, 0, -1) / 36
    images, hiding = torch.ones(1, 1, 4, 8), torch.zeros(1, 1, 4, 8)
    cells = (2, 4)
    ends = np.array([[1.0, 0.0]])

    def predict(self, images, targets):
        share = (cell_means(images[:, 0], self.cells) * self.weights).sum(dim=1)
        return torch.where(targets == 0, share, 1 - share)

    def masked(self, target=0):
        return MaskedImages(self.predict, self.images, self.hiding, torch.tensor([target]), self.cells)

    def measured(self, salience, target=0):
        masked = self.masked(target)
        assert masked.ends == pytest.approx(self.ends if target == 0 else self.ends[:, ::-1])
        return {name: float(values[0]) for name, values in masked.measured(salience[None]).items()}

    def test_curves(self):
        morf, lerf = self.masked().curves(np.arange(8)[None])
        assert morf[0] * 36 == pytest.approx([36, 28, 21, 15, 10, 6, 3, 1, 0], abs=1e-5)
        assert lerf[0] * 36 == pytest.approx([36, 35, 33, 30, 26, 21, 15, 8, 0], abs=1e-5)

    def test_areas(self):
        """Trapezoids: (36/2 + 28 + 21 + 15 + 10 + 6 + 3 + 1) / 36 / 8, and what is left of one."""
        best = self.measured(self.weights)
        assert best["deletion"] == pytest.approx(102 / 288)
        assert best["insertion"] == pytest.approx(186 / 288)
        assert best["lerf_minus_morf"] == pytest.approx(84 / 288)
        worst = self.measured(-self.weights)
        assert worst["deletion"] == pytest.approx(best["insertion"])
        assert worst["lerf_minus_morf"] == pytest.approx(-84 / 288)
        # The other class gains what this one loses.
        assert self.measured(self.weights, target=1)["deletion"] == pytest.approx(186 / 288)

    def test_saco_of_the_perfect_and_the_reversed_order(self):
        assert self.measured(self.weights)["saco"] == pytest.approx(1)
        assert self.measured(-self.weights)["saco"] == pytest.approx(-1)
        assert self.measured(self.weights, target=1)["saco"] == pytest.approx(-1)

    def test_saco_by_hand(self):
        """Pairs weigh 1, 2 and 1; the first is the wrong way round: (-1 + 2 + 1) / 4."""
        assert saco(np.array([[3.0, 2, 1]]), np.array([[2.0, 3, 1]])).tolist() == [0.5]
        # 9 and 10 for the pairs with the first group, right; 1 for the other pair, wrong.
        assert saco(np.array([[10.0, 1, 0]]), np.array([[0.5, -0.1, 0.2]])).tolist() == [0.9]
        # A model that does not care agrees with nothing; a flat map says nothing.
        assert saco(np.array([[3.0, 2, 1]]), np.zeros((1, 3))).tolist() == [0]
        assert np.isnan(saco(np.ones((1, 3)), np.array([[2.0, 3, 1]]))).all()

    def test_uneven_groups_give_random_maps_no_saco(self):
        """64 cells of equal weight in 10 groups: a group's drop is its size, which must not go with its rank."""
        draws = torch.from_numpy(np.random.default_rng(0).random((400, 64)))
        masked = MaskedImages(
            lambda images, targets: images.mean(dim=(1, 2, 3)),
            torch.ones(400, 1, 8, 8),
            torch.zeros(400, 1, 8, 8),
            torch.zeros(400, dtype=torch.long),
            (8, 8),
        )
        found = masked.measured(draws.float())
        interval = estimate(found["saco"])
        assert interval.low < 0 < interval.high
        assert interval.half < 0.02

    def test_the_count_of_passes_is_kept(self):
        told = []
        self.masked().measured(self.weights[None], advance=told.append)
        assert sum(told) == masking.num_passes(8) == 22
        assert masking.num_passes(64) == 40

    def test_every_image_is_hidden_by_its_own_cells(self, monkeypatch):
        """Images that hold their number, and batches that end in the middle of one."""
        monkeypatch.setattr(masking, "_PIXELS_AT_ONCE", 3 * 24)
        images = torch.arange(1.0, 5)[:, None, None, None].expand(4, 1, 4, 6)
        hidden = torch.from_numpy(np.random.default_rng(0).random((4, 5, 6)) < 0.5)
        sizes, threads = [], torch.get_num_threads()

        def predict(rows, targets):
            sizes.append(len(rows))
            return rows.sum(dim=(1, 2, 3)) + 100 * targets

        found = MaskedImages(predict, images, -images, torch.arange(4), (2, 3)).probabilities(hidden)
        kept = 6 - 2 * hidden.sum(dim=2).numpy()
        numbers = np.arange(1, 5)[:, None]
        assert np.array_equal(found, 4 * kept * numbers + 100 * (numbers - 1))
        assert sorted(sizes) == [2] + [3] * 6
        assert torch.get_num_threads() == threads


class TestMeasures:
    def test_area_of_uneven_steps(self):
        assert area_under(np.array([[1.0, 0.5, 0.0]]), np.array([0, 1, 4])) == pytest.approx((0.75 + 3 * 0.25) / 4)

    def test_pointing(self):
        mask = torch.zeros(1, 2, 2, dtype=torch.bool)
        mask[0, 0, 0] = True
        for values, hit in [([3, 1, 0, 0], 1), ([1, 3, 0, 0], 0), ([2, 2, 0, 0], 0.5), ([0, 0, 0, 0], 0.25)]:
            assert pointing(torch.tensor(values, dtype=torch.float32).view(1, 2, 2), mask).tolist() == [hit]

    def test_pointing_allows_a_margin_of_4_percent(self):
        mask = torch.zeros(1, 50, 60, dtype=torch.bool)
        mask[0, 20:30, 20:30] = True
        wide = widened(mask)
        assert wide.nonzero().min(dim=0).values.tolist() == [0, 18, 18]
        assert wide.nonzero().max(dim=0).values.tolist() == [0, 31, 31]
        for row, hit in ((18, 1), (17, 0)):
            values = torch.zeros(1, 50, 60)
            values[0, row, 25] = 1
            assert pointing(values, mask).tolist() == [hit]
        assert torch.equal(widened(mask[:, 15:27, 15:27]), mask[:, 15:27, 15:27])

    def test_pointing_is_at_the_middle_of_a_cell(self):
        mask = torch.zeros(1, 8, 8, dtype=torch.bool)
        mask[0, 1:3, 1:2] = True
        maps = torch.tensor([[[2.0, 1.0], [0.0, 0.0]]])
        # The middle of the first cell lies between rows 1 and 2, columns 1 and 2: half of that is in the mask.
        assert pointing(maps, mask).tolist() == [0.5]

    @given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([0.0, -2.0, 5.0]))
    def test_a_flat_map_points_by_chance_at_every_resolution(self, rows, columns, value):
        masks = torch.zeros(2, 12, 12, dtype=torch.bool)
        masks[0, 4:8, 4:8] = masks[1, 0, 0] = True
        assert pointing(torch.full((2, rows, columns), value), masks) == pytest.approx([16 / 144, 1 / 144])

    def test_inside_mass(self):
        mask = torch.tensor([[[True, False], [False, False]]])
        assert inside_mass(torch.tensor([[[3.0, 1.0], [-5.0, 0.0]]]), mask).tolist() == [0.75]
        assert np.isnan(inside_mass(-torch.ones(1, 2, 2), mask)).all()

    def test_response_is_one_less_spearman(self):
        rng = np.random.default_rng(0)
        # Few values, so many ties.
        before, after = rng.integers(0, 4, (2, 20, 30)).astype(np.float32)
        expected = [1 - abs(stats.spearmanr(a, b).statistic) for a, b in zip(before, after, strict=True)]
        assert response(torch.from_numpy(before), torch.from_numpy(after)) == pytest.approx(expected)

    def test_response_of_the_same_and_the_reversed_ranking(self):
        ranking = torch.tensor([[1.0, 5.0, 2.0, 0.5]])
        assert response(ranking, ranking.exp()) == pytest.approx([0])
        assert response(ranking, -ranking) == pytest.approx([0])
        assert np.isnan(response(ranking, torch.ones(1, 4))).all()

    def test_interval(self):
        """Of 1 to 5: the mean 3, the standard error sqrt(2.5 / 5), and t = 2.776 with 4 degrees of freedom."""
        interval = estimate(np.array([1.0, 2, np.nan, 3, 4, 5]))
        assert interval.mean == 3
        assert interval.half == pytest.approx(2.7764 * np.sqrt(0.5), rel=1e-4)
        assert (interval.low + interval.high) / 2 == pytest.approx(3)
        assert estimate(np.array([7.0])).half is None
        assert not estimate(np.array([np.nan])).known


def edges(model, images, target, seed):
    """Knows nothing of the model: Sobel's magnitude."""
    kernel = torch.tensor([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]])
    padded = F.pad(images.mean(dim=1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    return sum(F.conv2d(padded, k[None, None])[:, 0] ** 2 for k in (kernel, kernel.T)).sqrt()


def planted(name, function):
    return Method(name, function, False)


@pytest.fixture(scope="module")
def red_squares():
    """A red square on noise of no colour, 16 pixels with patches of 4, for a model that counts red."""
    rng = np.random.default_rng(0)
    masks = np.zeros((300, 16, 16), bool)
    for mask in masks:
        row, column, side = *rng.integers(0, 8, 2), rng.integers(4, 8)
        mask[row : row + side, column : column + side] = True
    images = np.repeat(0.3 * rng.standard_normal((300, 1, 16, 16), dtype=np.float32), 3, axis=1)
    images[:, 0] += 1.5 * masks
    images, masks = torch.from_numpy(images), torch.from_numpy(masks)
    oracle = planted("oracle", lambda model, images, target, seed: masks[: len(images)].float())
    methods = (oracle, planted("edges", edges), METHODS["occlusion"], METHODS["random"], METHODS["centre"])
    model = color_vit().train()
    before = torch.get_rng_state()
    measured = measure(model, images, torch.zeros(300, dtype=torch.long), methods, masks, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    return images, masks, measured, {scores.method: scores for scores in measured.scores}


class TestMeasure:
    def test_the_oracle_is_right(self, red_squares):
        _, _, _, by_name = red_squares
        assert (by_name["oracle"].values["pointing"] == 1).all()
        assert by_name["oracle"].values["inside"] == pytest.approx(np.ones(300))
        for baseline in ("mean", "blur"):
            assert by_name["oracle"].estimate(f"saco_{baseline}").low > 0.15
            gap = f"lerf_minus_morf_{baseline}"
            assert by_name["oracle"].estimate(gap).low > by_name["random"].estimate(gap).high

    def test_random_is_nothing(self, red_squares):
        _, masks, measured, by_name = red_squares
        assert measured.object_share == pytest.approx(masks.float().mean())
        for name, expected in [
            *(("pointing", measured.pointing_share), ("inside", measured.object_share)),
            *((f"{name}_{baseline}", 0) for name in ("saco", "lerf_minus_morf") for baseline in ("mean", "blur")),
        ]:
            interval = by_name["random"].estimate(name)
            # Four standard errors, since six are tried.
            assert abs(interval.mean - expected) < 2 * interval.half, name
            assert interval.half < 0.06

    def test_what_ignores_the_model_fails_the_randomisation(self, red_squares):
        _, _, _, by_name = red_squares
        for name in ("edges", "oracle", "random", "centre"):
            assert by_name[name].fails_randomisation
            assert len(by_name[name].values["response"]) == faithfulness.RANDOMISED
            assert by_name[name].estimate("response").mean == pytest.approx(0, abs=1e-6)
        assert not by_name["occlusion"].fails_randomisation

    def test_the_ends_are_the_models_own_word(self, red_squares):
        images, _, measured, _ = red_squares
        model = color_vit().requires_grad_(False)
        expected = model(images).softmax(dim=-1)[:, 0].mean()
        assert measured.probability == pytest.approx(float(expected), rel=1e-5)
        # An image of zeros has no colour: all classes alike.
        assert measured.hidden_probability["mean"] == pytest.approx(1 / 3)
        blurred = model(masking.stand_in(images, "blur")).softmax(dim=-1)[:, 0].mean()
        assert measured.hidden_probability["blur"] == pytest.approx(float(blurred), rel=1e-5)

    def test_one_maps_gap_is_the_measured_one(self, red_squares):
        images, masks, _, by_name = red_squares
        gap = order_gap(color_vit(), images, torch.zeros(300, dtype=torch.long), masks.float(), seed=1)
        assert gap == pytest.approx(by_name["oracle"].values["lerf_minus_morf_mean"], abs=1e-6)

    def test_it_is_repeatable_and_the_model_is_left_alone(self):
        model = small_vit(dropout=0.5).train()
        images = torch.randn(3, 3, 12, 12, generator=torch.Generator().manual_seed(1))
        runs = [measure(model, images, torch.tensor([0, 1, 2]), [METHODS["random"]]) for _ in range(2)]
        assert model.training
        assert model.blocks[0].training
        for name, values in runs[0].scores[0].values.items():
            assert np.array_equal(values, runs[1].scores[0].values[name], equal_nan=True)

    def test_bf16_says_about_the_same(self):
        images = torch.randn(4, 3, 12, 12, generator=torch.Generator().manual_seed(1))
        args = (small_vit(), images, torch.tensor([0, 1, 2, 3]), [METHODS["occlusion"]])
        plain, fast = measure(*args), measure(*args, precision="bf16")
        assert fast.precision == "bf16"
        for name in ("insertion_mean", "deletion_blur"):
            difference = np.abs(plain.scores[0].values[name] - fast.scores[0].values[name])
            assert 0 < difference.max() < 0.05

    def test_a_cnn_without_masks(self):
        images = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(1))
        measured = measure(small_cnn(), images, torch.tensor([0, 1, 2]), [METHODS["grad-cam"], METHODS["random"]])
        assert measured.cells == (8, 8)
        assert measured.object_share is None
        assert "pointing" not in measured.scores[0].values

    def test_nothing_to_measure(self):
        with pytest.raises(InputError, match="at least one"):
            measure(small_vit(), torch.zeros(0, 3, 12, 12), torch.zeros(0, dtype=torch.long), [METHODS["random"]])


class TestStored:
    def test_round_trip(self, red_squares, tmp_path):
        _, _, measured, _ = red_squares
        text = json.dumps(measured.to_json(), allow_nan=False)
        (tmp_path / FAITHFULNESS).write_text(text)
        again = faithfulness.read(tmp_path / FAITHFULNESS)
        assert json.dumps(again.to_json()) == text
        assert table(again) == table(measured)
        assert faithfulness.read(tmp_path / "elsewhere") is None

    def test_what_is_not_defined_is_null(self):
        values = {"response": np.array([np.nan, 0.5]), "inside": np.array([np.nan])}
        scores = faithfulness.Scores("x", True, False, 1.0, values)
        stored = Faithfulness(
            (scores,), "", 2, (1, 1), "fp32", 0.0, 0.5, {"mean": 0.1, "blur": 0.1}, None, None
        ).to_json()
        [method] = json.loads(json.dumps(stored, allow_nan=False))["methods"]
        assert method["values"] == {"response": [None, 0.5], "inside": [None]}
        assert method["intervals"] == {"response": {"mean": 0.5, "half": None}, "inside": None}
        assert np.isnan(Faithfulness.from_json(stored).scores[0].values["response"][0])

    def test_what_was_measured_of_an_earlier_definition_is_left_out_and_named(self, red_squares, tmp_path):
        _, _, measured, _ = red_squares
        legrad = dataclasses.replace(measured.scores[0], method="legrad")
        now = dataclasses.replace(measured, scores=(legrad, *measured.scores)).to_json()
        assert not Faithfulness.from_json(now).outdated
        old = json.loads(json.dumps(now))
        assert [method.pop("definition", None) for method in old["methods"]][:2] == [2, None]
        found = Faithfulness.from_json(old)
        assert found.outdated == ("legrad",)
        assert table(found) == table(measured)
        old["methods"] = old["methods"][:1]
        (tmp_path / FAITHFULNESS).write_text(json.dumps(old))
        assert faithfulness.read(tmp_path / FAITHFULNESS) is None, "nothing of it holds today"

    def test_damage_is_an_input_error(self):
        with pytest.raises(InputError, match="incomplete"):
            Faithfulness.from_json({"methods": []})

    def test_table(self, red_squares):
        _, _, measured, by_name = red_squares
        header, rows = table(measured, faithfulness.BRIEF)
        assert header[0] == "method"
        assert all(len(row) == len(header) for row in rows)
        rows = {row[0]: dict(zip(header, row, strict=True)) for row in rows}
        assert rows["oracle"]["pointing"] == "1.00 ± 0.00"
        assert rows["random (control)"]["response"] == "0.00 ± 0.00"
        assert rows["edges"]["response"].endswith(" fails")
        assert "fails" not in rows["occlusion"]["response"]
        assert rows["occlusion"]["of the class"] == "yes"
        interval = by_name["oracle"].estimate("saco_mean")
        assert rows["oracle"]["SaCo (mean colour)"] == f"{interval.mean:.2f} ± {interval.half:.2f}"
        assert len(table(measured)[0]) == len(header) + 7

    def test_the_verdict_stands_with_the_response_alone(self, red_squares):
        _, _, measured, _ = red_squares
        assert "fails" in str(table(measured, ["response", "pointing"]))
        assert "fails" not in str(table(measured, ["pointing"]))
