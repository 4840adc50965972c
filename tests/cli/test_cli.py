"""What every verb has in common: help, one line for whatever is wrong, exit codes."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest
from command_lines import SMALL, fails
from rich.cells import cell_len

from vitrail.cli import VERBS, run


def test_bad_usage_is_one_line_that_names_it(tmp_path, finished, capsys):
    fails(["trian"], capsys, "trian", "did you mean train?")
    fails(["train", "digits", "--epoch", "3"], capsys, "--epoch", "did you mean --epochs?")
    fails(["train", "digits", "--dropout", "0.1"], capsys, "--dropout", "did you mean --model.dropout?", "--help-all")
    fails(["train", "digits", "--epochs", "three"], capsys, "--epochs", "three")
    fails(["train", "digits", "--epochs", "0"], capsys, "epochs is 0")
    fails(["train"], capsys, "DATA")
    fails(["train", str(tmp_path / "nowhere")], capsys, "nowhere", "no such file")
    fails(["train", "digitz"], capsys, "did you mean digits?")
    fails(["train", "digits", "--model", "vit-digit"], capsys, "did you mean vit-digits")
    fails(["train", "digits", "--model", "vit-digits", "--model.num-heads", "5"], capsys, "5", "64", "4 or 8")
    fails(["train", "digits", "--model.depth", "2"], capsys, "name it with --model")
    fails(["train", "digits", "--model", "vit-digits", "--model.num-classes", "3"], capsys, "comes from the data")
    fails(["train", "digits", "--train-subset", "5000"], capsys, "5,000")
    fails(["train", "digits", "--batch-size", "5000"], capsys, "5000", "--batch-size")
    fails(["train", "digits", "--train.device", "warp"], capsys, "warp")
    fails(["train", "digits", "--mean", "0.5", "0.5"], capsys, "mean has 2 numbers")
    fails(["predict", str(tmp_path), "x.png"], capsys, "is not a run")
    fails(["predict", str(finished), str(tmp_path / "x.png")], capsys, "x.png")
    fails(["predict", str(finished)], capsys, "vitrail predict")
    fails(["resume", str(tmp_path)], capsys, "no run.json")
    fails(["train", "digits", "--lr", "inf"], capsys, "lr is inf")
    fails(["train", "digits", "--seed", "-1"], capsys, "seed is -1")
    fails(["train", "digits", "--train.threads", "1000000"], capsys, "threads")
    fails(["train", "digits", "--out", str(tmp_path / ("x" * 300))], capsys, "cannot be made")
    fails(["compare", "digits", "--models", "vit-digits", "vit-digits"], capsys, "named twice")
    fails(["train", "digits", "--model", "vit-digits", "--train.device", "meta"], capsys, "meta")
    fails(["report", str(tmp_path)], capsys, "neither a run nor a comparison")
    fails(["summary", "vit-b17"], capsys, "vit-b16")
    fails(["compare", "digits", "--models", "nope"], capsys, "nope")
    fails(["doctor", str(tmp_path / "nowhere")], capsys, "nowhere")


def test_a_reader_that_leaves_stops_nothing(tmp_path):
    out = tmp_path / "run"
    argv = [sys.executable, "-m", "vitrail", "train", "digits", *SMALL, "--epochs", "3", "--out", str(out)]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, env=os.environ)
    process.stdout.close()
    assert process.wait(timeout=300) == 0
    assert (out / "report.html").exists()


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_every_verb(verb, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as stop:
        run([verb, "--help"])
    assert stop.value.code == 0
    said = capsys.readouterr().out
    assert f"usage: vitrail {verb}" in said
    assert max(map(cell_len, said.splitlines())) <= 80
    assert len(said.splitlines()) <= 40
    assert not re.search(r"\(default:[\s│]*(None)?[\s│]*\)", said)


def test_help_leaves_every_option_for_what_is_parsed_after_it(capsys):
    for _ in range(2):
        with pytest.raises(SystemExit):
            run(["train", "--help"])
        assert run(["train", "nowhere", "--val-split", "test", "--train.warmup", "0.5"]) == 2
        assert "nowhere" in capsys.readouterr().err


def test_help_imports_no_torch():
    code = "import sys; from vitrail.cli import VERBS, run\nrun(['--help'])\nfor verb in VERBS:\n"
    code += "    try: run([verb, '--help'])\n    except SystemExit: pass\n"
    code += "assert not {'torch', 'matplotlib', 'sklearn', 'numpy'} & set(sys.modules), 'imported'"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--help-all" in done.stdout
    assert "--model.patch-size" not in done.stdout


def test_the_list_of_verbs_fits_a_screen(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert run(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(cell_len, lines)) <= 80
    assert len(lines) <= 40
    assert [line.split()[0] for line in lines if re.match(r"  \w", line)] == list(VERBS)


def test_importing_vitrail_is_cheap():
    code = "import sys, vitrail; assert not {'torch', 'numpy'} & set(sys.modules); vitrail.nonsense"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "no attribute 'nonsense'" in done.stderr


def test_summary_of_a_preset(capsys):
    assert run(["summary", "vit-compare"]) == 0
    out = capsys.readouterr().out
    assert "3,195,146" in out
    assert "218,240,512" in out
    assert run(["summary"]) == 0
    assert "cnn-compare" in capsys.readouterr().out


def test_a_signal_saves_and_exits(tmp_path):
    """In one process, which imports torch once: the first run ends by SIGINT, the second by SIGTERM."""
    outs = {signal.SIGINT: tmp_path / "first", signal.SIGTERM: tmp_path / "second"}
    argvs = [["train", "digits", *SMALL, "--epochs", "5000", "--out", str(out)] for out in outs.values()]
    code = f"import sys; from vitrail.cli import run; print(*map(run, {argvs[:1]}), file=sys.stderr, flush=True)"
    code += f"; sys.exit(run({argvs[1]}))"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=os.environ, text=True
    )
    saved = []
    for number, out in outs.items():
        while not list((out / "checkpoints").glob("step-*")) and process.poll() is None:
            time.sleep(0.05)
        saved.append(max((out / "checkpoints").glob("step-*")))
        time.sleep(0.2)
        process.send_signal(number)
        line = process.stderr.readline()
        assert f"vitrail resume {out}" in line
        assert max((out / "checkpoints").glob("step-*")) > saved[-1]
        if number == signal.SIGINT:
            assert process.stderr.readline() == "130\n"
    assert process.wait(timeout=60) == 143
    assert process.stderr.read() == "", "one line for each"
