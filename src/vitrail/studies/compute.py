"""What accuracy a ViT, a hybrid and a CNN reach for the same training compute."""

from __future__ import annotations

from vitrail import plots
from vitrail.configs import ModelConfig
from vitrail.experiments.finding import Finding, Measured, percent, points, verdict
from vitrail.experiments.resolve import Prepared
from vitrail.models.summary import summarize
from vitrail.runs.directory import Run
from vitrail.studies.setups import ALIKE, cell, cnn, usual_epochs, vit
from vitrail.studies.study import Cell, Results, Setting, Study

CLAIM = "For the same training compute a ViT is more accurate than a CNN."
SOURCE = "Dosovitskiy et al. 2021, arXiv:2010.11929, section 4.4, of pre-training on far more images."
_TITLES = {"vit": "ViT", "hybrid": "hybrid", "cnn": "CNN"}
# A multiply-add is two operations; the backward pass takes twice the forward one.
_OPERATIONS = 2 * 3


def plan(setting: Setting) -> list[Cell]:
    """As many epochs for each as take the ViT's compute, so that every schedule runs to its end."""
    models: dict[str, ModelConfig] = {"vit": vit(setting), "hybrid": vit(setting, stem="conv"), "cnn": cnn(setting)}
    costs = {name: summarize(model).multiply_adds for name, model in models.items()}
    epochs = {name: max(2, round(usual_epochs(setting) * costs["vit"] / cost)) for name, cost in costs.items()}
    return [cell(setting, name, model, epochs=epochs[name], **ALIKE) for name, model in models.items()]


def measure(run: Run, prepared: Prepared) -> Measured:
    """Operations of training until the end of every epoch, and validation accuracy then."""
    each = _OPERATIONS * summarize(prepared.config.model).multiply_adds
    batch = prepared.config.train.batch_size or 1
    operations = [each * batch * row["step"] for row in run.metrics]
    return {"operations": operations, "curve": [row["val_accuracy"] for row in run.metrics], "total": operations[-1]}


def conclude(results: Results) -> Finding:
    accuracy, operations, curve = (results.values(name) for name in ("test_accuracy", "operations", "curve"))
    ahead = accuracy["vit"] - accuracy["cnn"]
    reached = {name: percent(of) for name, of in accuracy.items()}
    spent = {name: f"{of.mean() / 1e12:.2f}" for name, of in results.values("total").items()}
    return Finding(
        verdict=verdict(ahead),
        sentence=(
            f"For about {spent['vit']} TFLOP of training the ViT reaches {reached['vit']} test accuracy, the "
            f"hybrid {reached['hybrid']} and the CNN {reached['cnn']}: ViT minus CNN is {points(ahead)}."
        ),
        head=("model", "test accuracy", "training TFLOP", "epochs"),
        rows=[
            [title, reached[name], spent[name], str(results.cells[name].train.epochs)]
            for name, title in _TITLES.items()
        ],
        figure=plots.interval_lines(
            {title: (operations[name][0] / 1e12, 100 * curve[name]) for name, title in _TITLES.items()},
            "training operations, TFLOP",
            "validation accuracy, %",
            log=True,
        ),
    )


STUDY = Study(CLAIM, SOURCE, plan, conclude, measure)
