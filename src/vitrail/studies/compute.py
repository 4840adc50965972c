"""What accuracy a ViT, a hybrid and a CNN reach for the same training compute."""

from __future__ import annotations

from vitrail import plots
from vitrail.configs import ModelConfig
from vitrail.estimate import estimate
from vitrail.experiments.resolve import Prepared
from vitrail.models.summary import summarize
from vitrail.runs.directory import Run
from vitrail.studies.setups import ALIKE, cell, cnn, training, vit
from vitrail.studies.study import Cell, Finding, Measured, Results, Setting, Study, curve, percent, points, verdict

_NAMES = {"vit": "ViT", "hybrid": "hybrid", "cnn": "CNN"}
# A multiply-add is two operations; the backward pass takes twice the forward one.
_OPERATIONS = 2 * 3


def plan(setting: Setting) -> list[Cell]:
    """As many epochs for each as take the ViT's compute, so that every schedule runs to its end."""
    models: dict[str, ModelConfig] = {
        "vit": vit(setting),
        "hybrid": vit(setting, stem="conv"),
        "cnn": cnn(setting),
    }
    costs = {name: summarize(model).multiply_adds for name, model in models.items()}
    usual = training(setting).epochs
    assert usual is not None
    epochs = {name: max(2, round(usual * costs["vit"] / cost)) for name, cost in costs.items()}
    return [cell(setting, name, model, epochs=epochs[name], **ALIKE) for name, model in models.items()]


def measure(run: Run, prepared: Prepared) -> Measured:
    """Operations of training until the end of every epoch, and validation accuracy then."""
    each = _OPERATIONS * summarize(prepared.config.model).multiply_adds
    batch = prepared.config.train.batch_size or 1
    operations = [each * batch * row["step"] for row in run.metrics]
    return {"operations": operations, "curve": [row["val_accuracy"] for row in run.metrics], "total": operations[-1]}


def conclude(results: Results) -> Finding:
    ahead = results.difference("vit", "cnn", "test_accuracy")
    found = {name: estimate(results.values(name, "test_accuracy")) for name in _NAMES}
    spent = {name: f"{results.values(name, 'total').mean() / 1e12:.2f}" for name in _NAMES}
    return Finding(
        verdict=verdict(ahead),
        sentence=(
            f"For about {spent['vit']} TFLOP of training the ViT reaches {percent(found['vit'])} test accuracy, the "
            f"hybrid {percent(found['hybrid'])} and the CNN {percent(found['cnn'])}: ViT minus CNN is {points(ahead)}."
        ),
        head=("model", "test accuracy", "training TFLOP", "epochs"),
        rows=[
            [title, percent(found[name]), spent[name], str(results.cells[name].train.epochs)]
            for name, title in _NAMES.items()
        ],
        figure=plots.interval_lines(
            {
                title: curve(results.values(name, "operations")[0] / 1e12, 100 * results.values(name, "curve"))
                for name, title in _NAMES.items()
            },
            "training operations, TFLOP",
            "validation accuracy, %",
            log=True,
        ),
    )


STUDY = Study(
    claim="For the same training compute a ViT is more accurate than a CNN.",
    source="Dosovitskiy et al. 2021, arXiv:2010.11929, section 4.4, of pre-training on far more images.",
    plan=plan,
    conclude=conclude,
    measure=measure,
)
