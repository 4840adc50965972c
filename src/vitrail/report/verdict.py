"""What a run comes to, and what would do better: a few sentences, from its numbers alone."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from vitrail.errors import InputError
from vitrail.estimate import balanced_interval, wilson_interval
from vitrail.numbers import percent
from vitrail.report.elements import Context
from vitrail.runs.directory import Evaluation, Run
from vitrail.runs.plan import plan_kind
from vitrail.text import joined, plural, quoted

_UNEQUAL = 3
"""Where the most frequent class of the test has more than so many times the images of the rarest, classes count alike:
balanced accuracy leads."""
_CHANGE = 0.05
"""Of the validation loss: less is no change."""
_MOST_NAMED = 3


@dataclass(frozen=True)
class Trend:
    """How training ended. `change` is a share of the validation loss, and `since` the epoch that it is counted from."""

    kind: Literal["learning", "memorising", "settled"]
    change: float
    since: int


def trend(train_loss: Float[ndarray, " epoch"], val_loss: Float[ndarray, " epoch"]) -> Trend | None:
    """By means over a quarter of the epochs, at least one; None of fewer than two epochs, or undefined losses.

    Memorising: the validation loss ended more than 5 % above its lowest mean, and since then the training loss fell.
    Learning: it ended more than 5 % below the quarter before. Settled: neither.
    """
    epochs = len(val_loss)
    if epochs < 2 or not np.isfinite([train_loss, val_loss]).all() or min(val_loss) <= 0:
        return None
    span = max(1, round(epochs / 4))
    train, val = (np.convolve(loss, np.full(span, 1 / span), "valid") for loss in (train_loss, val_loss))
    lowest = int(np.argmin(val))
    rise, change = float(val[-1] / val[lowest] - 1), float(val[-1] / val[-1 - span] - 1)
    if rise > _CHANGE and train[-1] < train[lowest]:
        return Trend("memorising", rise, lowest + span)
    return Trend("learning" if change < -_CHANGE else "settled", change, epochs - span)


def unequal(test: Evaluation) -> bool:
    """Whether classes differ so much in number that balanced accuracy and macro F1 say more than accuracy."""
    images = [of.images for of in test.per_class if of.images]
    return len(images) > 1 and max(images) > _UNEQUAL * min(images)


def reached(test: Evaluation) -> str:
    """How good it is and how sure that is, beside always giving the same answer."""
    every, right = test.confusion.sum(axis=1), test.confusion.diagonal()
    there = every > 0
    if not there.any():
        return ""
    count, accuracy = int(every.sum()), float(right.sum() / every.sum())
    if unequal(test):
        value, same = float((right[there] / every[there]).mean()), float(1 / there.sum())
        low, high = balanced_interval(right[there], every[there])
        always, f1 = "always giving the same answer", percent(test.metrics.get("f1"))
        said = f"Its balanced accuracy, the mean over classes of the share that is found, is {percent(value)}"
        more = (
            f" Its macro F1 is {f1}. Some classes have {every.max() / every[there].min():.0f} times the images of "
            f"others, so that accuracy ({percent(accuracy)}) says less."
        )
    else:
        value, same = accuracy, float(every.max() / every.sum())
        low, high = wilson_interval(accuracy, count)
        always, more = "always answering the most frequent class", ""
        said = f"It is right in {percent(value)} of {plural(count, 'test image')}"
    said += f" (95 % interval: {100 * low:.1f} to {100 * high:.1f} %)"
    if low <= same:
        return f"{said}. That is not shown to be better than {always}, which reaches {percent(same)}.{more}"
    return f"{said}; {always} would reach {percent(same)}.{more}"


def confused(test: Evaluation) -> str:
    """The two classes that are confused most often, by the number of images."""
    wrong = test.confusion - np.diag(test.confusion.diagonal())
    if not wrong.any():
        return ""
    true, taken = np.unravel_index(int(wrong.argmax()), wrong.shape)
    if wrong[true, taken] == 1:
        return "It takes no class for another more than once."
    names, of = [one.name for one in test.per_class], int(test.confusion[true].sum())
    return f"Most often it takes {names[true]} for {names[taken]}: {wrong[true, taken]:,} of {plural(of, 'image')}."


def weakest(test: Evaluation) -> list[str]:
    """Classes found less often than all images are, beyond chance: the 95 % interval of their recall ends below.

    At most three, the least often found first.
    """
    every, right = test.confusion.sum(axis=1), test.confusion.diagonal()
    overall = right.sum() / max(1, every.sum())
    found = [(r / n, n, of.name) for r, n, of in zip(right, every, test.per_class, strict=True) if n]
    below = [(share, name) for share, n, name in found if wilson_interval(share, n)[1] < overall]
    return [name for _, name in sorted(below)[:_MOST_NAMED]]


def advice(test: Evaluation, ended: Trend | None, epochs: int) -> str:
    """Whether it still learned, and what would do better."""
    said = []
    if ended is not None:
        by = f"{100 * abs(ended.change):.0f} %"
        over = "the last epoch" if epochs - ended.since == 1 else f"the last {epochs - ended.since} of {epochs} epochs"
        moved = "rose" if ended.change > 0 else "fell"
        said.append(
            {
                "learning": f"It was still learning: in {over} its validation loss fell by {by}. More epochs or time "
                f"should do better (--epochs {2 * epochs}).",
                "memorising": f"It had begun to memorise: since epoch {ended.since} its validation loss rose by {by} "
                "while its training loss fell. More images would do more than more epochs.",
                "settled": f"It had settled: in {over} its validation loss {moved} by only {by}. More "
                "epochs alone would hardly help.",
            }[ended.kind]
        )
    if weak := weakest(test):
        which = "the class" if len(weak) == 1 else "the classes"
        said.append(f"More images of {joined(weak)} may help most, {which} found least often.")
    return " ".join(said)


def verdict(run: Run) -> Context | None:
    """What stands first on a run's page; None before its test."""
    test = run.test
    if test is None or not test.confusion.sum():
        return None
    ended = trend(run.curve("train_loss"), run.curve("val_loss"))
    return {
        "reached": f"{reached(test)} {confused(test)}",
        "advice": advice(test, ended, len(run.metrics)),
        "command": _comparison(run),
    }


def _comparison(run: Run) -> str:
    """The command that holds a CNN against a ViT; none for a CNN, or one run of several."""
    source, images, several = run.data.get("source"), run.data.get("train_subset"), None
    # What lies beside a run and is no plan must not stop its page.
    with contextlib.suppress(InputError):
        several = plan_kind(run.directory.parent)
    if run.model.get("kind") != "vit" or not source or several:
        return ""
    subset = f" --train-subset {images}" if isinstance(images, int) else ""
    return f"vitrail compare {quoted(str(source))} --epochs {run.planned_epochs or len(run.metrics)}{subset}"
