"""What `vitrail reproduce` prints."""

from rich.cells import cell_len

from vitrail.cli import run
from vitrail.recipes.published import REPRODUCTIONS
from vitrail.recipes.reproducing import recorded, side_by_side


def test_the_list_has_every_number_in_at_most_eight_rows_for_a_recipe(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert run(["reproduce"]) == 0
    *listed, last = capsys.readouterr().out.split("\n\n")
    assert last.endswith("next: vitrail reproduce annotated-600\n")
    for (name, known), block in zip(REPRODUCTIONS.items(), listed, strict=True):
        assert block.startswith(f"{name}  {known.title}")
        if known.claim:
            continue
        for *_, target, measured in side_by_side(name, recorded(name)):
            assert target in block
            assert measured in block
        rows = block.splitlines()[1:]
        assert max(map(cell_len, rows)) <= 80
        begins = [i for i, row in enumerate(rows) if row.split() == ["train", "val", "test"]]
        assert len(begins) == len(known.recipes)
        assert max(end - begin - 1 for begin, end in zip(begins, [*begins[1:], len(rows)], strict=True)) <= 8
