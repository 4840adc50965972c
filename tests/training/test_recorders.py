"""Whoever listens hears of every step and epoch once, before the checkpoint that follows."""

import io
import re
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given, strategies
from rich.cells import cell_len
from rich.console import Console
from small_run import STEPS_PER_EPOCH, data, interrupting_after, run_config

from vitrail import checkpoint, files
from vitrail.errors import Interrupted
from vitrail.runs.margins import Margins
from vitrail.training.recorders import Display, Recorder, fitted, run_recorders
from vitrail.training.trainer import Trainer


class Listener(Recorder):
    def __init__(self) -> None:
        self.heard: list[tuple] = []

    @contextmanager
    def recording(self, step, epochs, model):
        self.heard.append(("from", step, epochs))
        yield
        self.heard.append(("end",))

    def step(self, row):
        self.heard.append(("step", row["step"]))

    def validating(self, images):
        self.heard.append(("validating", images))

    def epoch(self, row, model):
        self.heard.append(("epoch", row["epoch"]))

    def flush(self):
        self.heard.append(("flush",))


def test_margins_are_the_same_however_often_the_run_was_interrupted(tmp_path, monkeypatch):
    """By a signal in any place, and killed between the flush and its checkpoint."""

    class KilledError(Exception):
        pass

    config, images = run_config(checkpoint_every=2), data()
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for directory in (whole, parts):
        directory.mkdir()
    Trainer(config, images, whole, lambda: None, run_recorders(config, images, whole)).fit()
    for steps in (3, 4):
        with pytest.raises(Interrupted):
            Trainer(config, images, parts, interrupting_after(steps), run_recorders(config, images, parts)).fit()

    real = checkpoint.save

    def killed(path, saved):
        raise KilledError

    monkeypatch.setattr(checkpoint, "save", killed)
    with pytest.raises(KilledError):
        Trainer(config, images, parts, lambda: None, run_recorders(config, images, parts)).fit()
    monkeypatch.setattr(checkpoint, "save", real)
    Trainer(config, images, parts, lambda: None, run_recorders(config, images, parts)).fit()
    expected, found = (Margins.read(where / "margins.safetensors") for where in (whole, parts))
    np.testing.assert_allclose(found.mean(), expected.mean(), rtol=1e-5)
    # Of 42 training images five batches of eight see all but two in an epoch; the last two validate.
    assert expected.epoch == 2
    assert (expected.seen[:42] + np.isfinite(expected.last[:42])).sum() == 3 * 40
    assert np.isnan(expected.mean()[42:]).all()


def kinds(heard, *wanted):
    return [told for told in heard if told[0] in wanted]


def test_the_loop_tells_in_this_order(tmp_path):
    listener = Listener()
    Trainer(run_config(checkpoint_every=2), data(), tmp_path, lambda: None, [listener]).fit()
    steps = [("step", k) for k in range(1, 6)]
    first = [*steps[:2], ("flush",), *steps[2:4], ("flush",), steps[4], ("validating", 2), ("epoch", 1), ("flush",)]
    assert listener.heard[: 1 + len(first)] == [("from", 0, 0), *first]
    assert listener.heard[-3:] == [("epoch", 3), ("flush",), ("end",)]


def test_each_step_and_epoch_is_told_once_across_interruptions(tmp_path):
    listener = Listener()
    for steps in (3, 3, 2):
        with pytest.raises(Interrupted):
            Trainer(run_config(), data(), tmp_path, interrupting_after(steps), [listener]).fit()
    Trainer(run_config(), data(), tmp_path, lambda: None, [listener]).fit()
    assert kinds(listener.heard, "step") == [("step", k) for k in range(1, 3 * STEPS_PER_EPOCH + 1)]
    assert kinds(listener.heard, "epoch") == [("epoch", k) for k in (1, 2, 3)]
    assert [told[1:] for told in kinds(listener.heard, "from")] == [(0, 0), (3, 0), (5, 0), (5, 1)]


def test_what_was_recorded_past_the_checkpoint_is_superseded(tmp_path, monkeypatch):
    """Killed in the second epoch, without the checkpoint that a signal leaves time for."""

    class KilledError(Exception):
        pass

    def killed():
        if len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 2:
            raise KilledError

    config, real = run_config(), checkpoint.save
    recorders = run_recorders(config, data(), tmp_path, lambda model: {"training": model.training})
    monkeypatch.setattr(checkpoint, "save", lambda path, saved: real(path, saved) if saved.step < 6 else None)
    with pytest.raises(KilledError):
        Trainer(config, data(), tmp_path, killed, recorders).fit()
    monkeypatch.setattr(checkpoint, "save", real)
    listener = Listener()
    with pytest.raises(Interrupted):
        Trainer(config, data(), tmp_path, interrupting_after(1), [*recorders, listener]).fit()
    assert listener.heard[0] == ("from", 5, 1)
    assert [row["step"] for row in files.read_json_lines(tmp_path / "steps.jsonl")] == list(range(1, 7))
    assert [row["epoch"] for row in files.read_json_lines(tmp_path / "metrics.jsonl")] == [1]
    Trainer(config, data(), tmp_path, lambda: None, recorders).fit()
    assert [row["step"] for row in files.read_json_lines(tmp_path / "steps.jsonl")] == list(range(1, 16))
    assert [row["epoch"] for row in files.read_json_lines(tmp_path / "metrics.jsonl")] == [1, 2, 3]
    assert [row["epoch"] for row in files.read_json_lines(tmp_path / "observations.jsonl")] == [0, 1, 2, 3]


WIDTHS = [60, 80, 120]
LABELS = ["vit", "vit-compare", "vit-15-cifar10-32-with-a-name-of-its-own-that-is-long", "模型" * 12]


def numbers(line: str) -> list[str]:
    return re.findall(r"\d[\d,.:]*%?", line)


@given(
    label=strategies.sampled_from(LABELS),
    width=strategies.sampled_from(WIDTHS),
    epochs=strategies.integers(1, 300),
    loss=strategies.floats(0, 99),
    share=strategies.floats(0, 1),
    speed=strategies.integers(0, 99_999),
)
def test_an_epoch_fits_its_line_with_all_its_numbers(label, width, epochs, loss, share, speed):
    results = f"train loss {loss:.3f} acc {share:.1%}  val loss {loss:.3f} acc {share:.1%}"
    line = f"epoch {1:>{len(str(epochs))}}/{epochs}  {results}  {speed:,} img/s  12:34"
    shown = fitted(label, line, width)
    assert numbers(shown)[-len(numbers(line)) :] == numbers(line)
    assert cell_len(shown) <= max(width, 63), "the most that numbers alone take, which is broken between them"
    if width == 120 and label in ("vit", "vit-compare"):
        assert shown == f"{label}  {line}"


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("width", WIDTHS)
def test_what_a_terminal_shows_is_no_wider_than_it_is(label, width, monkeypatch):
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=width, soft_wrap=True, highlight=False)
    for module in ("vitrail.training.recorders", "vitrail.progress"):
        monkeypatch.setattr(f"{module}.console", console)
    row = {"epoch": 100, "train_loss": 12.094, "train_accuracy": 1.0, "val_loss": 12.135, "val_accuracy": 0.989}
    display = Display(label, 100, 390, 128, lambda share: share)
    with display.recording(0, 0, None):
        display.started -= 400
        for step in (2_000, 38_999):
            display.last = 0.0
            display.step({"step": step, "loss": 12.558})
            display.bar.refresh()
        display.validating(10_000)
        display.bar.refresh()
        display.epoch({**row, "images_per_second": 12_279, "seconds": 3723.0}, None)
        display.step({"step": 39_000, "loss": 12.558})
        display.bar.refresh()
    lines = [
        line for line in re.split(r"[\r\n]+", re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", out.getvalue())) if line.strip()
    ]
    assert max(map(cell_len, lines)) <= width
    told = " ".join(lines)
    for number in ("100/100", "12.094", "100.0%", "12.135", "98.9%", "12,279", "1:02:03", "10,000 images", "12.558"):
        assert number in told
