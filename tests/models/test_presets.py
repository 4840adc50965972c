"""Presets and summaries: parameter counts exactly as published, without allocating weights."""

import pytest
import torch

from vitrail.errors import InputError
from vitrail.models.build import build_model, count_parameters
from vitrail.models.presets import PRESETS, preset
from vitrail.models.summary import summarize

PARAMETERS = {
    "vit-compare": 3_195_146,
    "cnn-compare": 5_852_234,
    "vit-annotated": 358_026,
    "vit-annotated-listed": 22_117_130,
    "vit-b16-10": 85_806_346,
    "vit-ti16": 5_717_416,
    "vit-s16": 22_050_664,
    "vit-b16": 86_567_656,
    "vit-l16": 304_326_632,
    "vit-h14": 632_045_800,
    "resnet18": 11_173_962,
}


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_has_a_source_and_the_published_size(name):
    assert PRESETS[name].__doc__
    summary = summarize(preset(name))
    assert summary.parameters == summary.trainable == PARAMETERS.get(name, summary.parameters)
    assert sum(row.parameters for row in summary.rows) == summary.parameters
    assert summary.megabytes == pytest.approx(summary.parameters * 4 / 1e6)


@pytest.mark.parametrize("name", ["vit-digits", "cnn-digits"])
def test_a_summary_is_of_the_model_that_is_built(name):
    assert count_parameters(build_model(preset(name))) == summarize(preset(name)).parameters


def test_multiply_adds_by_hand():
    """vit-digits: 17 tokens of width 64; per block qkv, scores, mixing, projection and the two MLP layers."""
    tokens, width, hidden = 17, 64, 128
    block = tokens * (3 * width**2 + width**2 + 2 * width * hidden) + 2 * tokens**2 * width
    assert summarize(preset("vit-digits")).multiply_adds == 16 * 4 * width + 4 * block + width * 10


def test_a_huge_model_is_summarised_without_its_weights():
    with torch.device("meta"):
        weights = build_model(preset("vit-h14")).head[-1].weight
    assert weights.is_meta
    rows = {row.name: row for row in summarize(preset("vit-h14")).rows}
    assert rows["patch_embed"].input == (3, 224, 224)
    assert rows["patch_embed"].output == (256, 1280)
    assert rows["blocks.31"].output == (257, 1280)


def test_an_unknown_preset_names_the_near_ones():
    with pytest.raises(InputError, match="did you mean vit-compare"):
        preset("vit-compar")
