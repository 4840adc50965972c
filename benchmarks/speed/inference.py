"""Inference: the latency of one image and the throughput of 64."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
import torch._inductor.config
from torch import Tensor, nn

from benchmarks.speed import peers, timing
from benchmarks.speed.timing import Action, Row
from vitrail import hardware
from vitrail.frozen import FrozenModel
from vitrail.models.build import build_model
from vitrail.models.presets import preset

_IN_A_ROW = 10


def measure(everything: bool) -> Iterator[list[Row]]:
    for name in ("vit-compare", "vit-s16") if everything else ("vit-compare",):
        for batch in (1, 64):
            yield _group(name, batch, everything)


def _group(name: str, batch: int, everything: bool) -> list[Row]:
    timing.forget_compiled()
    device, config = timing.device(), preset(name)
    torch.manual_seed(0)
    images = torch.randn(batch, config.in_channels, *config.size, device=device)
    ours = build_model(config).to(device).eval()
    compiles = not hardware.can_compile(device)
    actions: dict[str, Action] = {}
    if compiles:
        frozen = FrozenModel(ours, batch)
        actions["ours, Classifier.compiled"] = lambda: frozen(images)
    actions |= _variants("ours", ours, images, compiles)
    for peer in peers.PEERS:
        model = peers.build(peer, config, device).eval()
        actions |= _variants(peer, model, images, everything and compiles)
    if batch == 1:
        in_a_row = {kind: _repeated(action) for kind, action in actions.items()}
        seconds = timing.alternate(in_a_row, repeats=15)
        each = {kind: [second / _IN_A_ROW for second in taken] for kind, taken in seconds.items()}
        return timing.durations(f"inference, {name}, one image", each)
    seconds = timing.alternate(actions, repeats=7, warm=3)
    return timing.rates(f"inference, {name}, batch {batch}", seconds, batch, "images/s")


def _repeated(action: Action) -> Action:
    """One image after another, as they come from a camera."""

    def repeated() -> None:
        for _ in range(_IN_A_ROW):
            action()

    return repeated


def _variants(name: str, model: nn.Module, images: Tensor, compiled: bool) -> dict[str, Action]:
    actions = {f"{name}, {precision}": _forward(model, images, precision) for precision in ("bf16", "fp32")}
    if compiled:
        for precision in ("bf16", "fp32"):
            action = _forward(torch.compile(copy.deepcopy(model), dynamic=False), images, precision)
            # Weights are frozen where the global setting is on while the model is traced: at the first call.
            with torch._inductor.config.patch(freezing=True):
                action()
            actions[f"{name}, {precision} compiled and frozen"] = action
    return actions


def _forward(model: nn.Module, images: Tensor, precision: str) -> Action:
    @torch.no_grad()
    def forward() -> Tensor:
        with torch.autocast(images.device.type, torch.bfloat16, enabled=precision == "bf16"):
            return model(images)

    return forward
