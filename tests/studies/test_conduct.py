"""A study from the command line to its record: what is written is what was measured, and it can be gone on with."""

from __future__ import annotations

import json

import pytest

from vitrail import files
from vitrail.cli import run
from vitrail.errors import InputError
from vitrail.runs.directory import Run
from vitrail.runs.plan import read_plan
from vitrail.studies import STUDIES, conduct
from vitrail.studies.study import Setting


@pytest.fixture(scope="module")
def conducted(tmp_path_factory):
    directory = tmp_path_factory.mktemp("study") / "out"
    assert run(["study", "position-similarity", "--quick", "--seeds", "2", "--out", str(directory)]) == 0
    return directory


def test_the_record_holds_what_the_runs_measured(conducted):
    record = files.read_json(conducted / "record.json")
    assert record["command"] == "vitrail study position-similarity --quick --seeds 2"
    assert record["claim"] == STUDIES["position-similarity"].claim
    made = files.read_json(conducted / "learned-seed0" / "run.json")
    assert record["hardware"] == made["hardware"]
    assert record["versions"] == {"vitrail": made["vitrail"], **made["versions"]}
    cell = record["cells"]["learned"]
    tests = [Run(conducted / f"learned-seed{k}").evaluation["accuracy"] for k in range(2)]
    assert cell["test_accuracy"]["values"] == tests
    assert cell["test_accuracy"]["mean"] == pytest.approx(sum(tests) / 2)
    observed = [Run(conducted / f"learned-seed{k}").observations for k in range(2)]
    assert [len(rows) for rows in observed] == [13, 13]
    assert [row["epoch"] for row in observed[0]] == list(range(13))
    assert cell["correlation"]["values"] == [[row["correlation"] for row in rows] for rows in observed]
    assert record["sentence"].startswith(
        f"{record['verdict'].capitalize()} on digits (quick, 2 seeds, mean ± half of the 95 % interval): "
    )
    text = (conducted / "finding.md").read_text()
    assert record["sentence"] in text
    assert {path.name for path in conducted.iterdir()} >= {"figure.png", "figure.svg", "plan.json"}


def test_resume_finds_the_same_and_trains_only_what_is_missing(conducted, capsys):
    before, drawn = files.read_json(conducted / "record.json"), (conducted / "figure.svg").read_bytes()
    kept = (conducted / "learned-seed0" / "metrics.jsonl").read_bytes()
    for path in (conducted / "learned-seed1").glob("evaluation.json"):
        path.unlink()
    (conducted / "learned-seed1" / "measured.json").unlink()
    (conducted / "record.json").unlink()
    assert run(["resume", str(conducted)]) == 0
    assert (conducted / "learned-seed0" / "metrics.jsonl").read_bytes() == kept
    after = files.read_json(conducted / "record.json")
    assert json.dumps(before) == json.dumps(after)
    assert (conducted / "figure.svg").read_bytes() == drawn
    out = capsys.readouterr().out
    assert "wrote" in out
    assert after["sentence"] in " ".join(out.split())


def test_what_cannot_be_studied_is_said(tmp_path, capsys):
    for argv, said in (
        (["positon"], "did you mean position"),
        (["positions", "--quick", "--seeds", "0"], "at least 1"),
        (["hierarchy", "--data", "digits"], "needs shapes"),
    ):
        assert run(["study", *argv, "--out", str(tmp_path / "out")]) == 2
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()
    assert run(["study"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in STUDIES)


def test_a_damaged_plan_is_named(tmp_path):
    files.write_json(tmp_path / "study.json", {"study": "positions"})
    with pytest.raises(InputError, match=r"study\.json is damaged"):
        conduct.complete(read_plan(tmp_path))


def test_one_seed_gives_no_verdict():
    study = STUDIES["hybrid"]
    cells = {cell.name: cell for cell in study.plan(Setting("digits", quick=True))}
    measured = {name: [{"test_accuracy": 0.5, "multiply_adds": 1e6}] for name in cells}
    assert study.conclude(conduct.Results(cells, measured)).verdict == "undecided"
