"""Whether deeper, longer and more data is better."""

from __future__ import annotations

from vitrail import plots
from vitrail.studies.setups import images, training, training_set_size, vit
from vitrail.studies.study import Cell, Finding, Results, Setting, Study, percent, points, verdict

_DEPTHS, _QUICK_DEPTHS = (1, 3, 6), (1, 4)
_SHARES, _QUICK_SHARES = (25, 100), (30, 100)


def plan(setting: Setting) -> list[Cell]:
    """Every depth with every share of the training images for two numbers of epochs."""
    whole, _ = training_set_size(setting)
    usual = training(setting).epochs
    assert usual is not None
    depths, shares = (_QUICK_DEPTHS, _QUICK_SHARES) if setting.quick else (_DEPTHS, _SHARES)
    return [
        Cell(
            f"depth{depth}-data{share}-epochs{epochs}",
            images(setting, train_subset=None if share == 100 else whole * share // 100),
            vit(setting, depth=depth),
            training(setting, epochs=epochs),
        )
        for depth in depths
        for share in shares
        for epochs in (usual // 3, usual)
    ]


def conclude(results: Results) -> Finding:
    levels = [dict(zip(("depth", "data", "epochs"), _parts(name), strict=True)) for name in results.cells]
    every = {factor: sorted({level[factor] for level in levels}) for factor in levels[0]}
    most = {factor: values[-1] for factor, values in every.items()}

    def gain(factor: str) -> tuple[str, str]:
        return _name(most), _name({**most, factor: every[factor][0]})

    gains = {factor: results.difference(*gain(factor), "test_accuracy") for factor in every}
    told = {
        "depth": f"depth {every['depth'][0]} to {most['depth']}",
        "data": f"{every['data'][0]} to {most['data']} % of the training images",
        "epochs": f"{every['epochs'][0]} to {most['epochs']} epochs",
    }
    return Finding(
        verdict=verdict(*gains.values()),
        sentence=(
            "With the other two factors at their largest, test accuracy changes by "
            + "; ".join(f"{points(gains[factor])} from {told[factor]}" for factor in every)
            + "."
        ),
        head=("depth", "% of the data", "epochs", "test accuracy"),
        rows=[
            [*(str(level[factor]) for factor in every), percent(results.estimate(_name(level), "test_accuracy"))]
            for level in levels
        ],
        figure=plots.interval_lines(
            {
                f"{share} % of the data, {epochs} epochs": [
                    (d, results.in_percent(_name({"depth": d, "data": share, "epochs": epochs}), "test_accuracy"))
                    for d in every["depth"]
                ]
                for share in every["data"]
                for epochs in every["epochs"]
            },
            "depth, blocks",
            "test accuracy, %",
        ),
    )


def _parts(name: str) -> list[int]:
    return [int("".join(c for c in part if c.isdigit())) for part in name.split("-")]


def _name(level: dict[str, int]) -> str:
    return "-".join(f"{factor}{value}" for factor, value in level.items())


STUDY = Study(
    claim="A ViT is better deeper, trained longer, and with more data.",
    source="Zhai et al. 2022, arXiv:2106.04560.",
    plan=plan,
    conclude=conclude,
)
