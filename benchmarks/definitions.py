"""How far our definitions lie from others' where they differ by choice: the table of `explain-a-prediction.md`.

    python -m benchmarks.definitions [--seeds 4] [--runs DIR] [--out benchmarks/results/definitions.json]

It trains the small model of that page on `shapes` and the default one on digits, for each seed, and measures both ways
on the same models and images. Others' definitions are written out here, after their published code. It takes some
minutes.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps
from sklearn.datasets import load_sample_images
from sklearn.metrics import f1_score
from torch import Tensor

from vitrail import cli, hardware
from vitrail.classifier import load
from vitrail.data import policies, shapes
from vitrail.estimate import estimate
from vitrail.experiments.run import reopen
from vitrail.inspection import attribution, capture
from vitrail.inspection.attention import attention_distance, fuse, readout_row, rollout
from vitrail.inspection.masking import MaskedImages, cell_means, groups, ranks, stand_in
from vitrail.inspection.measures import pointing, saco, widened
from vitrail.inspection.measuring import order_gap
from vitrail.numbers import NONE, number
from vitrail.runs.layout import EVALUATION
from vitrail.tables import Table, to_markdown
from vitrail.training import metrics

SHAPES = (
    "shapes --model vit-compare --model.stem conv --image-size 16 --model.patch-size 2 --model.embed-dim 64 "
    "--model.depth 3 --model.num-heads 4 --model.mlp-dim 128 --train-subset 3000 --test-subset 300 --epochs 8"
)
MODELS = {"digits": "digits", "shapes": SHAPES}
MOST = 200
DISCARD = 0.9
"""What vit-explain and fast-vit-rollout set to zero unless told otherwise."""

Pair = tuple[float, float]
"""By our definition and by the other one."""


class Model:
    """A trained one, and test images that it classifies rightly."""

    def __init__(self, directory: Path) -> None:
        prepared, self.net = reopen(directory, to_train=False), load(directory).model.eval()
        test = prepared.splits.test
        inputs, labels = prepared.inputs(test), torch.from_numpy(prepared.dataset.labels[test]).long()
        with torch.inference_mode():
            self.logits = self.net(inputs).numpy()
        self.labels = labels.numpy()
        right = np.flatnonzero(self.logits.argmax(axis=1) == self.labels)[:MOST]
        self.indices, self.images, self.targets = test[right], inputs[right], labels[right]
        self.framing = prepared.preprocessing.framing

    def gap(self, maps: Tensor) -> float:
        return float(order_gap(self.net, self.images, self.targets, maps).mean())

    def maps(self, method: str) -> Tensor:
        return attribution.apply(attribution.METHODS[method], self.net, self.images, self.targets)

    def attention(self) -> list[Tensor]:
        return list(capture.inspect(self.net, self.images).attention_by_layer())

    def readout(self, mixed: Tensor) -> Tensor:
        return readout_row(mixed, self.net.config.readout, self.net.token_grid())


def legrad(model: Model, pooled: Callable[[Tensor], Tensor], layers: int) -> Tensor:
    """Of the last layers, scored by what the model reads of such tokens."""
    kept: dict[str, Tensor] = {}
    model.net(model.images, lambda name, x: kept.setdefault(name, x))
    grid, maps = model.net.token_grid(), []
    for i in range(len(model.net.config.heads))[-layers:]:
        score = model.net.classify(pooled(kept[f"blocks.{i}"])).gather(1, model.targets[:, None]).sum()
        [dz] = torch.autograd.grad(score, [kept[f"blocks.{i}.attn.z"]], retain_graph=True)
        maps.append(grid.patches((dz @ kept[f"blocks.{i}.attn.v"].mT).clamp(min=0).mean(dim=(1, 2))))
    return torch.stack(maps).mean(dim=0).detach()


def of_legrad_readout(model: Model) -> Pair:
    return model.gap(model.maps("legrad")), model.gap(legrad(model, lambda tokens: tokens, 0))


def of_legrad_layers(model: Model) -> Pair:
    last = legrad(model, lambda tokens: tokens.mean(dim=1, keepdim=True).expand_as(tokens), 2)
    return model.gap(model.maps("legrad")), model.gap(last)


def of_grad_cam(model: Model) -> Pair:
    kept: dict[str, Tensor] = {}
    handle = model.net.blocks[-1].norm1.register_forward_hook(lambda module, args, out: kept.update(out=out))
    score = model.net(model.images).gather(1, model.targets[:, None]).sum()
    handle.remove()
    [gradient] = torch.autograd.grad(score, [kept["out"]])
    features, slopes = (model.net.token_grid().patches(x.detach().mT) for x in (kept["out"], gradient))
    theirs = (slopes.mean(dim=(2, 3), keepdim=True) * features).sum(dim=1).clamp(min=0)
    return model.gap(model.maps("grad-cam")), model.gap(theirs)


def by_vit_explain(layers: list[Tensor], fusion: str) -> Tensor:
    """Every column is divided by the sum of the row of its number, and the first weight is never set to zero."""
    total = torch.eye(layers[0].shape[-1])
    for weights in layers:
        fused = fuse(weights, fusion)
        flat = fused.flatten(1).clone()
        smallest = flat.topk(int(DISCARD * flat.shape[1]), dim=1, largest=False).indices
        kept = flat.scatter(1, smallest, 0.0)
        kept[:, 0] = flat[:, 0]
        mixed = (kept.view_as(fused) + torch.eye(fused.shape[-1])) / 2
        total = mixed / mixed.sum(dim=-1)[:, None, :] @ total
    return total


def by_fast_vit_rollout(layers: list[Tensor], fusion: str) -> Tensor:
    """The smallest are set to zero after the residual connection has been added, and rows brought to one again."""
    total = torch.eye(layers[0].shape[-1])
    for weights in layers:
        mixed = fuse(weights, fusion) + torch.eye(weights.shape[-1])
        mixed = mixed / mixed.sum(dim=-1, keepdim=True)
        mixed = torch.where(mixed < mixed.flatten(1).quantile(DISCARD, dim=1)[:, None, None], 0.0, mixed)
        total = mixed / mixed.sum(dim=-1, keepdim=True) @ total
    return total


def of_rollout(other: Callable[[list[Tensor], str], Tensor], fusion: str, model: Model) -> Pair:
    layers = model.attention()
    return tuple(model.gap(model.readout(mixed)) for mixed in (rollout(layers, fusion, DISCARD), other(layers, fusion)))


def of_distance(model: Model) -> Pair:
    grid = model.net.token_grid()
    ours, theirs = [], []
    for weights in model.attention():
        ours.append(float(attention_distance(weights, grid).mean()))
        among = weights[..., grid.num_prefix :, grid.num_prefix :]
        theirs.append(float((among * grid.distances()).sum(dim=-1).mean()))
    return float(np.mean(ours)), float(np.mean(theirs))


def of_saco(model: Model) -> Pair:
    net, grid = model.net, attribution.cells(model.net)

    def predict(images: Tensor, targets: Tensor) -> Tensor:
        with torch.inference_mode():
            return net(images).softmax(dim=-1).gather(1, targets[:, None])[:, 0]

    masked = MaskedImages(predict, model.images, stand_in(model.images, "mean"), model.targets, grid)
    salience = cell_means(model.maps("random"), grid)
    group_of = groups(ranks(salience))
    alone = group_of[:, None] == np.arange(group_of.max() + 1)[:, None]
    drops = masked.ends[:, :1] - masked.probabilities(torch.from_numpy(alone))
    sums = (alone * salience.double().numpy()[:, None]).sum(axis=-1)
    return tuple(float(np.nanmean(saco(of, drops))) for of in (sums / alone.sum(axis=-1), sums))


def of_pointing(model: Model) -> Pair:
    masks = torch.from_numpy(shapes.masks(model.indices, model.framing))
    flat = torch.zeros(len(masks), *attribution.cells(model.net))
    return float(pointing(flat, masks).mean()), float(widened(masks).flatten(1).any(dim=1).float().mean())


def of_absent_classes(model: Model) -> Pair:
    """Images of the last two classes are left out."""
    there = model.labels < model.logits.shape[1] - 2
    logits, labels = model.logits[there], model.labels[there]
    theirs = f1_score(labels, logits.argmax(axis=1), average="macro", zero_division=0)
    return float(metrics.measure(logits, labels)["f1"] or 0.0), float(theirs)


def photographs() -> Tensor:
    """Tiles of 32 pixels of scikit-learn's two photographs, (tile, 3, 32, 32) in 0..1."""
    whole = torch.from_numpy(np.stack(load_sample_images().images)).permute(0, 3, 1, 2)
    tiles = whole.unfold(2, 32, 32).unfold(3, 32, 32).permute(0, 2, 3, 1, 4, 5)
    return tiles.reshape(-1, 3, 32, 32).float() / 255


def of_equalize() -> Pair:
    """Mean difference from Pillow in levels of 256: of what is done now, and of version 1."""
    images, none = photographs(), torch.zeros(1)
    shown = [Image.fromarray((255 * image).byte().permute(1, 2, 0).numpy()) for image in images]
    pillow = torch.from_numpy(np.stack([np.asarray(ImageOps.equalize(image)) for image in shown])).permute(0, 3, 1, 2)
    both = (policies._equalize(images, none), policies._first_equalize(images, none))
    return tuple(float((255 * of - pillow).abs().mean()) for of in both)


class Row(NamedTuple):
    what: str
    here: str
    elsewhere: str
    measure: Callable[[Model], Pair]
    data: tuple[str, ...] = ("digits", "shapes")


_FAITHFULNESS = "LeRF − MoRF"
ROWS = (
    Row(
        f"LeGrad, {_FAITHFULNESS}",
        "a layer is scored by the mean of all its tokens, as in the authors' code",
        "by what the model reads of them, the class token",
        of_legrad_readout,
    ),
    Row(
        f"LeGrad, {_FAITHFULNESS}",
        "of all layers",
        "of the last two, as the authors' code by default",
        of_legrad_layers,
    ),
    Row(
        f"Grad-CAM of a ViT, {_FAITHFULNESS}",
        "the tokens that enter the last block",
        "the same behind its first norm (pytorch-grad-cam's advice)",
        of_grad_cam,
    ),
    *(
        Row(
            f"rollout, {size} weight of all heads, 90 % discarded, {_FAITHFULNESS}",
            "rows are brought back to sum one",
            "columns are divided by the sums of rows (vit-explain)",
            partial(of_rollout, by_vit_explain, fusion),
        )
        for size, fusion in (("largest", "max"), ("smallest", "min"))
    ),
    Row(
        f"rollout, largest weight of all heads, 90 % discarded, {_FAITHFULNESS}",
        "discarded before the residual connection is added",
        "after (fast-vit-rollout)",
        partial(of_rollout, by_fast_vit_rollout, "max"),
    ),
    Row(
        "attention distance, pixels",
        "what patches give to patches is brought back to sum one",
        "left as it is: what goes to the class token goes no distance",
        of_distance,
    ),
    Row(
        "SaCo of random maps",
        "a group's salience is the mean over its cells",
        "their sum (the paper): larger groups seem more salient",
        of_saco,
    ),
    Row(
        "pointing, maps that are zero everywhere",
        "chance: the share of the image that counts as a hit",
        "a hit, since one of the highest points is on the object (Quantus)",
        of_pointing,
        ("shapes",),
    ),
    Row(
        "F1, two classes without test images",
        "averaged over the classes that have some",
        "those that were predicted count too, as 0 (scikit-learn)",
        of_absent_classes,
        ("shapes",),
    ),
)


def measured(directory: Path, seeds: int) -> list[dict[str, Any]]:
    """For each row and data set, the values of all seeds by both definitions."""
    models = {data: [_trained(directory, data, seed) for seed in range(seeds)] for data in MODELS}
    rows = []
    for row in ROWS:
        for data in row.data:
            ours, other = zip(*(row.measure(model) for model in models[data]), strict=True)
            texts = {"what": row.what, "here": row.here, "elsewhere": row.elsewhere, "data": data}
            rows.append(texts | {"values": {"here": ours, "elsewhere": other}})
    return rows


def _trained(directory: Path, data: str, seed: int) -> Model:
    run = directory / f"{data}-{seed}"
    if not (run / EVALUATION).is_file():
        assert cli.run(["train", *MODELS[data].split(), "--seed", str(seed), "--out", str(run)]) == 0
    return Model(run)


def table(record: dict[str, Any]) -> Table:
    """Means over seeds here and elsewhere, and their difference with half of its 95 % interval."""
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    for row in record["rows"]:
        ours, other = (np.array(row["values"][name]) for name in ("here", "elsewhere"))
        gap = estimate(ours - other)
        texts = (row["what"], row["here"], row["elsewhere"])
        shown = f"{number(ours.mean())}, {number(other.mean())}: {number(gap.mean, gap.half)}"
        rows.setdefault(texts, {})[row["data"]] = shown
    return Table(
        "",
        ["measure", "here", "elsewhere", *MODELS],
        [[*texts, *(cells.get(data, NONE) for data in MODELS)] for texts, cells in rows.items()],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--runs", type=Path, help="keep the runs here, and go on with those that are there")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = measured(options.runs or Path(folder), options.seeds)
    now, first = of_equalize()
    record = {
        "machine": hardware.describe(torch.device("cpu")),
        "torch": torch.__version__,
        "models": {name: f"vitrail train {line}" for name, line in MODELS.items()},
        "rows": rows,
        "levels of 256 from Pillow's equalize": {"version 2": now, "version 1": first},
    }
    print(to_markdown(table(record)))
    print("equalize, mean difference from Pillow's in levels of 256:", f"{now:.2f}, of version 1 {first:.2f}")
    if options.out:
        options.out.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
