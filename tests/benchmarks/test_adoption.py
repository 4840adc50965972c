"""A sample of timm's names, small, on every way in; and the page that shows what became of all of them."""

import json
import re
import sys
from pathlib import Path

import pytest

from vitrail.adoption.optional import declare_missing_operators

declare_missing_operators()
pytest.importorskip("timm", reason="the reference is timm itself: pip install 'vitrail[adopt]'")

from benchmarks import adoption

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs"))
S, R = "same", "refused"
KINDS = {
    "vit_tiny_patch16_224": (S, S, None, S),
    "flexivit_small": (S, S, None, S),
    "deit_tiny_distilled_patch16_224": (S, S, None, S),
    "deit3_small_patch16_224": (S, S, None, S),
    "vit_small_patch14_dinov2": (S, S, None, S),
    "vit_small_patch14_reg4_dinov2": (S, S, None, S),
    "vit_wee_patch16_reg1_gap_256": (S, S, None, S),
    "eva_large_patch14_196": (S, S, None, S),
    "vit_base_patch16_224_miil": (S, "asks", S, S),
    "vit_medium_patch16_gap_256": (S, "asks", S, S),
    "vit_base_patch16_gap_224": (S, "asks", S, S),
    "vit_base_patch16_siglip_gap_224": (S, "asks", S, S),
    "vit_base_patch32_siglip_gap_256": (R, "asks", R, R),
    "vit_base_patch16_rpn_224": (R, "asks", R, R),
    "vit_small_patch16_rope_ape_224": (R, "asks", R, R),
    "vit_small_patch16_rope_224": (R, R, None, R),
    "vit_mediumd_patch16_rope_reg1_gap_256": (R, R, None, R),
    "vit_small_patch16_dinov3": (R, R, None, R),
    "vit_small_patch16_dinov3_qkvb": (R, R, None, R),
    "vit_xsmall_patch16_clip_224": (R, R, None, R),
    "eva02_tiny_patch14_224": (R, R, None, R),
    "beit_base_patch16_224": (R, R, None, R),
    "test_vit3": (R, R, None, R),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_sample_of_every_kind(name, tmp_path):
    # The heads of those that are asked about are timm's, the others' are by the width.
    narrow = {"embed_dim": 192, **({"num_heads": 3} if KINDS[name][1] == S else {})}
    changes = narrow if re.search("_base_|_large_|_medium", name) else {}
    found = adoption.routes(name, adoption.one_block(name, num_classes=5, **changes), tmp_path)
    outcomes = tuple(found[route].split(":")[0] if route in found else None for route in adoption.ROUTES)
    assert outcomes == KINDS[name], found


def test_the_record_has_no_wrong_answer_and_the_page_shows_it():
    from site_builder.adoption import adopted_models

    record = json.loads((ROOT / "benchmarks" / "results" / "adoption.json").read_text())
    assert not [row for row in record["rows"] if "WRONG" in json.dumps(row)]
    assert {row["name"] for row in record["rows"]} >= KINDS.keys()
    assert (ROOT / "docs" / "adopted-models.md").read_text(encoding="utf-8") == adopted_models(record)
