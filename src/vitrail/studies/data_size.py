"""How much data a ViT and a CNN need."""

from __future__ import annotations

from vitrail import plots
from vitrail.estimate import estimate
from vitrail.studies.setups import ALIKE, cnn, images, training, training_set_size, vit
from vitrail.studies.study import Cell, Finding, Results, Setting, Study, percent, points, verdict

_SHARES = (1, 3, 10, 30, 100)
_QUICK_SHARES, _QUICK_EPOCHS = (20, 100), 3
_FEWEST_PER_CLASS = 5


def plan(setting: Setting) -> list[Cell]:
    """Both models on shares of the training images, all for as many steps; smaller batches where images are few."""
    whole, num_classes = training_set_size(setting)
    usual = training(setting, **({"epochs": _QUICK_EPOCHS} if setting.quick else {}))
    assert usual.epochs is not None
    assert usual.batch_size is not None
    steps = usual.epochs * (whole // usual.batch_size)
    fewest = _FEWEST_PER_CLASS * num_classes
    cells = []
    for count in sorted({max(fewest, whole * share // 100) for share in (_QUICK_SHARES if setting.quick else _SHARES)}):
        batch = min(usual.batch_size, count)
        train = training(setting, epochs=max(1, round(steps / (count // batch))), batch_size=batch, **ALIKE)
        data = images(setting, train_subset=None if count == whole else count)
        cells += [Cell(f"vit-{count}", data, vit(setting), train), Cell(f"cnn-{count}", data, cnn(setting), train)]
    return cells


def conclude(results: Results) -> Finding:
    counts = sorted({int(name.split("-")[1]) for name in results.cells})
    vits, cnns = ({n: results.values(f"{kind}-{n}", "test_accuracy") for n in counts} for kind in ("vit", "cnn"))
    least, most = counts[0], counts[-1]
    gaps = {n: cnns[n] - vits[n] for n in counts}
    ahead, closes = estimate(gaps[least]), estimate(gaps[least] - gaps[most])
    return Finding(
        verdict=verdict(ahead, closes),
        sentence=(
            f"With {least:,} training images the CNN is {points(ahead)} ahead of the ViT in test accuracy, with "
            f"{most:,} it is {points(estimate(gaps[most]))}; the gap shrinks by {points(closes)}."
        ),
        head=("training images", "ViT", "CNN", "CNN − ViT"),
        rows=[
            [f"{n:,}", percent(estimate(vits[n])), percent(estimate(cnns[n])), points(estimate(gaps[n]))]
            for n in counts
        ],
        figure=plots.interval_lines(
            {name: [(n, estimate(100 * of[n])) for n in counts] for name, of in (("ViT", vits), ("CNN", cnns))},
            "training images",
            "test accuracy, %",
            log=True,
        ),
    )


STUDY = Study(
    claim="CNNs beat ViTs on small data, and the gap closes as data grows.",
    source="Dosovitskiy et al. 2021, arXiv:2010.11929, section 4.3.",
    plan=plan,
    conclude=conclude,
)
