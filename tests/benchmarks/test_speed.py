import dataclasses
import importlib
from pathlib import Path

import pytest
import torch

from benchmarks.speed import peers, timing
from benchmarks.speed.timing import Row
from vitrail.configs import ViTConfig
from vitrail.models.build import build_model, count_parameters

CONFIG = ViTConfig(
    image_size=8, patch_size=4, num_classes=3, embed_dim=16, depth=2, num_heads=2, mlp_dim=32, dropout=0.5
)


@pytest.mark.parametrize("script", sorted(Path(timing.__file__).parents[1].glob("*.py")), ids=lambda path: path.stem)
def test_every_benchmark_still_finds_what_it_measures(script):
    assert callable(importlib.import_module(f"benchmarks.{script.stem}").main)


@pytest.mark.parametrize("name", peers.PEERS)
def test_peers_are_the_same_architecture(name):
    pytest.importorskip("vit_pytorch" if name == "vit-pytorch" else "timm", reason="benchmarks ask for it")
    theirs = peers.build(name, CONFIG, torch.device("cpu"))
    assert theirs(torch.randn(2, 3, 8, 8)).shape == (2, 3)
    ours, count = count_parameters(build_model(CONFIG)), sum(p.numel() for p in theirs.parameters())
    # vit-pytorch has no biases in its queries, keys and values, and normalises patches before and after it embeds them.
    differs = (
        CONFIG.depth * -3 * CONFIG.embed_dim + 2 * (3 * 4**2) + 2 * CONFIG.embed_dim if name == "vit-pytorch" else 0
    )
    assert count == ours + differs


DROPPED = {"timm": 2, "Hugging Face": 1, "torchvision": 2, "vit-pytorch": 2}
"""Modules in a block: Hugging Face's is used twice."""


@pytest.mark.parametrize("name", peers.PEERS)
def test_peers_drop_in_the_blocks_alone(name):
    pytest.importorskip("vit_pytorch" if name == "vit-pytorch" else "timm", reason="benchmarks ask for it")
    theirs = peers.build(name, CONFIG, torch.device("cpu"))
    dropped = [m for m in theirs.modules() if isinstance(m, torch.nn.Dropout) and m.p > 0]
    assert len(dropped) == CONFIG.depth * DROPPED[name]
    assert {m.p for m in dropped} == {CONFIG.dropout}


@pytest.mark.parametrize(("unit", "better"), [("images/s", 2.0), ("ms", 0.5)])
def test_ratios_say_how_many_times_better_the_reference_is(unit, better):
    ours, theirs = Row("g", "ours", 200.0, unit), Row("g", "theirs", 100.0, unit)
    assert theirs.times(ours) == better
    assert ours.times(ours) == 1


def test_medians_and_spreads():
    rows = timing.rates("g", {"a": [1.0, 2.0, 4.0]}, 10, "images/s")
    assert rows == [Row("g", "a", 5.0, "images/s", spread=0.75)]
    (row,) = timing.durations("g", {"a": [1.0, 2.0, 4.0]})
    assert (row.value, row.unit) == (2000.0, "ms")


def test_the_exponent_of_a_power_law():
    sizes = [1.0, 2.0, 5.0, 40.0]
    assert timing.exponent(sizes, [3 * size**1.7 for size in sizes]) == pytest.approx(1.7)


def test_actions_run_in_turn():
    calls: list[str] = []
    seconds = timing.alternate({name: lambda name=name: calls.append(name) for name in "ab"}, repeats=3, warm=1)
    assert "".join(calls) == "abababab"
    assert {name: len(of) for name, of in seconds.items()} == {"a": 3, "b": 3}


def test_a_row_survives_as_json():
    row = Row("g", "ours", 1.0, "ms", utilisation=0.3)
    assert Row(**dataclasses.asdict(row)) == row
