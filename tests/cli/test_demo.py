"""What a demo replaces."""

from command_lines import fails

from vitrail import files
from vitrail.cli import run


def test_a_demo_replaces_demos_only(tmp_path, capsys, plain):
    out = tmp_path / "comparison"
    argv = ["compare", "digits", "--models", "cnn-digits", "--epochs", "1", "--train-subset", "64", "--out", str(out)]
    assert run(argv) == 0
    fails(["demo", "--out", str(out)], capsys, "not a demo")
    assert (out / "comparison.json").exists()
    (tmp_path / "file").touch()
    fails(["demo", "--out", str(tmp_path / "file")], capsys, "not a demo")
    files.write_json(out / "plan.json", {**files.read_json(out / "plan.json"), "kind": "demo"})
    mine = out / "cnn-digits-seed0" / "explanation-1"
    mine.mkdir()
    (mine / "explanation.html").touch()
    fails(["demo", "--out", str(out)], capsys, "explanation-1", "would be removed", f"move {out}")
    assert mine.is_dir()
