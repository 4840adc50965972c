"""One training step of the same architecture, ours and in other libraries."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.speed import peers, timing
from benchmarks.speed.timing import Action, Product, Row
from vitrail import hardware
from vitrail.configs import TrainConfig, ViTConfig
from vitrail.experiments.automatic import resolve_training
from vitrail.models.presets import preset
from vitrail.models.summary import summarize

# What `auto` decides by: a run of CIFAR-10's length.
_NUM_IMAGES, _EPOCHS = 45_000, 30
# The first is what a model's share of the machine's speed (MFU) is of.
_PRODUCTS = (torch.bfloat16, torch.float32)


def measure(everything: bool) -> Iterator[list[Row]]:
    on_gpu = timing.device().type == "cuda"
    for name, batch, dropout, compiled in (
        ("vit-compare", 128, 0.0, True),
        ("vit-compare", 128, 0.2, everything or on_gpu),
        ("vit-s16", 8 if not on_gpu else 256, 0.0, everything or on_gpu),
        *((("vit-b16", 128, 0.0, True), ("vit-compare", 2048, 0.0, True)) if on_gpu else ()),
    ):
        config = dataclasses.replace(preset(name), dropout=dropout)
        yield _group(name, config, batch, compiled)


def _group(name: str, config: ViTConfig, batch: int, compiled: bool) -> list[Row]:
    timing.forget_compiled()
    device = timing.device()
    torch.manual_seed(0)
    images = torch.randn(batch, config.in_channels, *config.size, device=device)
    labels = torch.arange(batch, device=device) % config.num_classes
    plain = TrainConfig(optimizer="adamw", precision="fp32", compile="off")
    actions: dict[str, Action] = {
        "ours": _ours(config, images, labels, TrainConfig(optimizer="adamw")),
        "ours, Muon": _ours(config, images, labels, TrainConfig(optimizer="muon")),
        "ours, fp32 eager": _ours(config, images, labels, plain),
    }
    for peer in peers.PEERS:
        for precision in ("fp32", "bf16"):
            actions[f"{peer}, {precision}"] = _theirs(peers.build(peer, config, device), images, labels, precision)
        if compiled and not hardware.can_compile(device):
            model = torch.compile(peers.build(peer, config, device))
            actions[f"{peer}, bf16 compiled"] = _theirs(model, images, labels, "bf16")
    group = f"training step, {name}, batch {batch}, dropout {config.dropout:g}"
    products = {f"matrix product, {dtype}".replace("torch.", ""): Product(dtype) for dtype in _PRODUCTS}
    seconds = timing.alternate({**actions, **{kind: product.action() for kind, product in products.items()}}, warm=2)
    rates = [
        Row(group, kind, product.flops() / min(seconds.pop(kind)) / 1e9, "GFLOP/s")
        for kind, product in products.items()
    ]
    per_image, most = 6 * summarize(config).multiply_adds, rates[0].value * 1e9
    steps = timing.rates(group, seconds, batch, "images/s")
    return [*(dataclasses.replace(row, utilisation=row.value * per_image / most) for row in steps), *rates]


def _ours(config: ViTConfig, images: Tensor, labels: Tensor, train: TrainConfig) -> Action:
    train = dataclasses.replace(train, epochs=_EPOCHS, batch_size=len(images))
    resolved, _ = resolve_training(train, config, _NUM_IMAGES)
    step = timing.our_step(config, resolved, images, labels)
    return timing.deterministic(step, images.device.type == "cuda")


def _theirs(model: nn.Module, images: Tensor, labels: Tensor, precision: str) -> Action:
    """As their own examples train: autocast, cross-entropy, fused AdamW."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    model.train()

    def step() -> float:
        with torch.autocast(images.device.type, torch.bfloat16, enabled=precision == "bf16"):
            logits = model(images)
        loss = F.cross_entropy(logits.float(), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    return timing.deterministic(step, False)
