"""What became of everything in a foreign checkpoint: the report that every adoption gives."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NoReturn

from torch import Tensor

from vitrail.errors import InputError
from vitrail.text import listed, plural, shown

Kind = Literal["copied", "resampled", "summed", "newly initialised", "dropped", "assumed", "verified"]

KNOWN = (
    "timm's VisionTransformer (plain ViT, mean pooling, DeiT with and without distillation, DeiT-III, DINOv2 with and "
    "without registers), Hugging Face's ViT, DeiT, Dinov2, Dinov2WithRegisters and ViTMSN (models and image "
    "classifiers) and ViTMAE, torchvision's VisionTransformer, and the ViTs that Google published as .npz"
)

# What other architectures call the tensors by which they differ from a plain ViT.
_FOREIGN = {
    r"norm_pre|pre_?layrnorm|ln_pre": "a normalisation before the blocks, as in CLIP",
    r"attn_?pool|MAPHead|probe": "attention pooling",
    r"relative_position|rel_pos": "relative positions",
    r"rope|freqs": "rotary positions",
    r"q_norm|k_norm|norm_q|norm_k": "normalised queries and keys",
    r"attn\.norm|mlp\.norm|attn\.gate": "a normalisation or a gate inside of a block",
    r"[qv]_bias": "biases of queries and values alone, as in BEiT and EVA",
    r"attns\.|ffns\.|in_proj|mlp_out": "parallel blocks",
    r"backbone|conv_root|conv_bn_relu|block\d/unit": "convolutions before the patches (a hybrid)",
    r"decoder": "a decoder",
    r"Mixer": "an MLP-Mixer",
    r"text|logit_scale|token_embedding": "a text encoder",
    r"(^|\.)visual\.": "the image side of a CLIP",
    r"lora_|base_layer": "LoRA: merge it into the weights, as merge_and_unload() of peft does",
    r"absmax|SCB|quant|_packed_params|weight_scale": "quantised weights: take those from before that",
    r"parametrizations|weight_(g|v|orig|mask)$": "weights in parts: merge them, as torch.nn.utils.parametrize does",
}


@dataclass(frozen=True)
class Row:
    """One thing that happened to one or more tensors, in words; `numbers` counts their entries."""

    kind: Kind
    what: str
    tensors: int = 0
    numbers: int = 0

    def __str__(self) -> str:
        count = f" ({plural(self.tensors, 'tensor')}, {plural(self.numbers, 'number')})"
        return f"{self.what}{count if self.tensors else ''}"


def counted(kind: Kind, what: str, *tensors: Tensor) -> Row:
    """The row for these tensors."""
    return Row(kind, what, len(tensors), sum(tensor.numel() for tensor in tensors))


def unknown(found: str) -> NoReturn:
    """Raises InputError for what cannot be adopted, naming it and what can."""
    raise InputError(f"{shown(found)}, which is not known here; known are {KNOWN}")


def refuse_leftover(source: str, names: Iterable[str]) -> None:
    """Raises InputError where tensors are left over, saying what they mean where their names tell."""
    names = sorted(names)
    if not names:
        return
    meanings = [meaning for pattern, meaning in _FOREIGN.items() if any(re.search(pattern, name) for name in names)]
    reason = f" ({' and '.join(meanings)})" if meanings else ""
    unknown(f"{source} has {listed(names)}{reason}")
