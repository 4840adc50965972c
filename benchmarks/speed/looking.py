"""Looking inside: every layer's attention and its rollout, against libraries that hand their weights out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

import vitrail
from benchmarks.speed import peers, timing
from benchmarks.speed.timing import Action, Row
from vitrail.inspection.attention import rollout as attention_rollout
from vitrail.models.build import build_model
from vitrail.models.presets import preset


def measure(everything: bool) -> Iterator[list[Row]]:
    for name, batch in (("vit-compare", 64), ("vit-s16", 8)) if everything else (("vit-compare", 64),):
        yield from _groups(name, batch)


def _groups(name: str, batch: int) -> Iterator[list[Row]]:
    config = preset(name)
    torch.manual_seed(0)
    images = torch.randn(batch, config.in_channels, *config.size, device=timing.device())
    ours = build_model(config).to(images.device).eval()
    theirs = peers.huggingface_vit(config, attn_implementation="eager", output_attentions=True)
    theirs = theirs.to(images.device).eval().model
    hooked = _hooked_timm(config)
    attention: dict[str, Action] = {
        "ours": lambda: vitrail.inspect(ours, images).attention(),
        "ours, bf16": lambda: vitrail.inspect(ours, images, precision="bf16").attention(),
        "Hugging Face, output_attentions": lambda: _huggingface(theirs, images),
        "timm, hooks": lambda: hooked(images),
    }
    rollout: dict[str, Action] = {
        "ours": lambda: vitrail.inspect(ours, images).rollout(),
        "ours, bf16": lambda: vitrail.inspect(ours, images, precision="bf16").rollout(),
        "Hugging Face, and our products": lambda: attention_rollout(_huggingface(theirs, images)),
        "timm, and our products": lambda: attention_rollout(hooked(images)),
    }
    for what, actions in (("attention of all layers", attention), ("rollout", rollout)):
        yield timing.rates(f"{what}, {name}, batch {batch}", timing.alternate(actions), batch, "images/s")


@torch.no_grad()
def _huggingface(model: torch.nn.Module, images: Tensor) -> Sequence[Tensor]:
    return model(images, output_attentions=True).attentions


def _hooked_timm(config):
    """timm's own extractor, which needs the fused kernel off."""
    from timm.utils import AttentionExtract

    model = peers.timm_vit(config).to(timing.device()).eval()
    for block in model.blocks:
        block.attn.fused_attn = False
    extract = AttentionExtract(model, method="hook")

    @torch.no_grad()
    def run(images: Tensor) -> Sequence[Tensor]:
        return list(extract(images).values())

    return run
