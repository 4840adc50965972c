"""The page of results, from the records of recipes and studies: nothing on it is typed by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vitrail import plots
from vitrail.numbers import metric_with_unit
from vitrail.recipes import RECIPES
from vitrail.recipes.published import REPRODUCTIONS
from vitrail.recipes.reproducing import measured, side_by_side, so_far
from vitrail.tables import Table, to_markdown
from vitrail.text import plural

_INTRODUCTION = """\
# Results

What the recipes and the studies of this project gave when they were run, each with the command that does it again. The
records are in `results/`: of a recipe every epoch of every seed, of a study every value of every seed. A record is of
the code of its day. Outcomes that disappoint are here like the others.
`cifar10-jpeg.zip` is CIFAR-10 (JPEG): the 60,000 images of CIFAR-10, re-encoded as JPEG by their publisher, and
slightly harder than the original. Nothing downloads it: without `--data`, the commands take the original. `./mnist` is
a folder with the four files of MNIST, which `mnist-fast` downloads without `--data`.
"""

_RECIPES = """\
## Recipes

In one line each, and then beside what is published, or what a recipe of our own set out to reach: mean ± standard
deviation over seeds. Train and validation values are of the last epoch; the test was held once per run, and nothing was
chosen by it (`annotated-600` validates on its test images, as its source does). Training accuracy is the mean over the
epoch's batches, with dropout and augmentation. The time is that of the training passes, on machines that did not always
rest otherwise; preparing, compiling, validating and saving come on top of it. Epochs or seeds in brackets are how far a
recipe went before it was interrupted, and `vitrail resume` of its directory goes on.

What is published comes from these, of which not all name author or year: for `annotated-600` A. B. Srinivasan and V. R.
Ramesh Kutti, "Annotation of Vision Transformer", Illinois Institute of Technology, a report; for `compare-180` "Vision
Transformers", slides on a ViT and a CNN on CIFAR-10; for `vit-15` a tutorial on "VIT" with a listing of ViT-B/16.
"""

CURVES = "recipes.svg"
_CURVES_SHOW = "Validation accuracy by minutes of training, a line for each recipe of the data named below."

_FIGURES = """\
## Figures of the literature

After Dosovitskiy et al. (2021), and "Vision Transformers", slides of Dripta MJ, Ramakrishna Mission Vivekananda
Educational and Research Institute. Drawn from the trained models of a recipe. The number after ± is half of the 95 %
interval of the mean over seeds.
"""

_STUDIES = """\
## Studies

Each tests a claim of the literature, in our words and in a setting of our own, or a claim that is ours. The number
after ± is half of the 95 % interval of the mean over seeds. Seeds change the initial weights and the order of images;
the division into training and test images stays the same. A claim is *supported* where the whole interval of every
difference that it names lies on its side of zero, *contradicted* where one lies wholly on the other side even when
widened for their number (Bonferroni), and otherwise *undecided*. What is said of the inside of a model that is right in
half of the images or fewer is undecided too. An outcome holds for the data and the budget that it names, and for
nothing else.
"""


def results(records: Path) -> str:
    """Markdown of the records in a folder: `<recipe>.json`, `figures/` and `studies/` with their pictures."""
    parts = [_INTRODUCTION]
    tables = [name for name, known in REPRODUCTIONS.items() if not known.claim]
    of_recipes = [part for name in tables if (part := _reproduction(name, records))]
    picture = records / CURVES
    drawn = [f"![{_CURVES_SHOW}](../results/{CURVES})\n"] if picture.is_file() else []
    parts += [_RECIPES, _in_short(records), *drawn, *of_recipes] if of_recipes else []
    for introduction, folder in ((_FIGURES, records / "figures"), (_STUDIES, records / "studies")):
        found = [_finding(path, _read(path)) for path in sorted(folder.glob("*.json"))]
        parts += [introduction, *found] if found else []
    return "\n".join(parts)


def curves(records: Path) -> Figure | None:
    """Validation accuracy over minutes of training, for the recipes of the data that most of them share."""
    of_data: dict[str, dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]] = {}
    for made in RECIPES:
        if (path := records / f"{made}.json").is_file():
            record = _read(path)
            of_data.setdefault(record["data"], {})[made] = _curve(record)
    if not of_data:
        return None
    data, lines = max(of_data.items(), key=lambda item: len(item[1]))
    return plots.interval_lines(lines, f"minutes of training, {data}", "validation accuracy, %", log=True)


def _curve(record: Mapping[str, Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """After every epoch: minutes (epoch,) and percent (1, epoch), means over seeds."""
    epochs = [[(row["seconds"], row["val_accuracy"]) for row in seed["epochs"]] for seed in record["seeds"]]
    seconds, accuracy = np.array(epochs).mean(axis=0).T
    return seconds.cumsum() / 60, 100 * accuracy[None]


def _read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))


def _in_short(records: Path) -> str:
    """A line for each recipe with a record."""
    head = ("recipe", "data", "training images", "parameters", "training", "validation accuracy", "test accuracy")
    rows = []
    for made in RECIPES:
        if (path := records / f"{made}.json").is_file():
            record = _read(path)
            outcome = (measured(record, metric) for metric in ("seconds", "val_accuracy", "test_accuracy"))
            counts = (f"{record['images']['train']:,}", f"{record['parameters']:,}")
            rows.append((f"`{made}`{so_far(record)}", record["data"], *counts, *outcome))
    return to_markdown(Table("", head, rows)) + "\n"


def _reproduction(name: str, records: Path) -> str | None:
    """A table of a source beside what its recipes gave; None where none of them is recorded."""
    known = REPRODUCTIONS[name]
    found = {made: _read(path) for made in known.recipes if (path := records / f"{made}.json").is_file()}
    if not found:
        return None
    costs = [
        f"`{made}`: {record['data']}, {record['images']['train']:,} training images, {record['parameters']:,} "
        f"parameters, {plural(len(record['seeds']), 'seed')}, "
        f"{metric_with_unit('seconds', record['seconds']['mean'], record['seconds']['std'])} of training "
        f"each{so_far(record)}, "
        f"{_made_by(record)}"
        for made, record in found.items()
    ]
    rows = side_by_side(name, found)
    return (
        "\n\n".join(
            [
                f"### {name}",
                f"{known.title}.",
                to_markdown(Table("", ("recipe", "metric", "published or goal", "here"), rows)),
                "```bash\n" + next(iter(found.values()))["command"] + "\n```",
                "\n".join(f"- {cost}" for cost in costs),
            ]
        )
        + "\n"
    )


def _made_by(record: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in record["versions"].items())
    return f"{record['hardware']}; {versions}."


def _trained(settings: Mapping[str, Mapping[str, Any]]) -> str:
    """In what the runs of a study were trained alike, and in what not."""
    values = {name: [of[name] for of in settings.values()] for name in next(iter(settings.values()), {})}
    alike = [f"{name.replace('_', ' ')} {of[0]}" for name, of in values.items() if of == of[:1] * len(of)]
    differing = [name.replace("_", " ") for name, of in values.items() if of != of[:1] * len(of)]
    said = f"All runs: {', '.join(alike)}. " if alike else ""
    return said + (f"Not the same for all: {', '.join(differing)}. " if differing else "")


def _finding(path: Path, record: Mapping[str, Any]) -> str:
    parts = [
        f"### {path.stem}",
        f"*{record['claim']}*" + (f" {record['source']}" if "source" in record else ""),
        " ".join(filter(None, [record["sentence"], record.get("note")])),
        to_markdown(Table("", record["head"], record["rows"])),
        f"```bash\n{record['command']}\n```",
        _trained(record.get("settings", {})) + _made_by(record),
    ]
    picture = path.with_suffix(".svg")
    if picture.is_file():
        parts.insert(4, f"![{record['claim']}](../results/{path.parent.name}/{picture.name})")
    return "\n\n".join(parts) + "\n"
