"""What a page says of definitions that differ is what was measured."""

import json
from pathlib import Path

import pytest
import torch

from benchmarks import definitions
from vitrail.inspection.attention import rollout
from vitrail.tables import to_markdown

ROOT = Path(__file__).parents[2]


def test_the_page_has_the_table_of_the_record():
    record = json.loads((ROOT / "benchmarks" / "results" / "definitions.json").read_text(encoding="utf-8"))
    page = (ROOT / "docs" / "how-to" / "explain-a-prediction.md").read_text(encoding="utf-8")
    assert to_markdown(definitions.table(record)) in page
    assert {row["what"] for row in record["rows"]} == {row.what for row in definitions.ROWS}


@pytest.mark.parametrize("fusion", ["mean", "max", "min"])
def test_where_nothing_is_discarded_only_divided_columns_make_a_difference(fusion, monkeypatch):
    monkeypatch.setattr(definitions, "DISCARD", 0.0)
    weights = [
        (3 * torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(i))).softmax(dim=-1) for i in (0, 1)
    ]
    ours = rollout(weights, fusion)
    assert torch.allclose(definitions.by_fast_vit_rollout(weights, fusion), ours, atol=1e-6)
    # Rows of a mean sum to one already.
    assert torch.allclose(definitions.by_vit_explain(weights, fusion), ours, atol=1e-6) == (fusion == "mean")


def test_equalize_is_pillows_on_photographs():
    now, first = definitions.of_equalize()
    assert now == pytest.approx(0, abs=1e-3)
    assert first > 5
