"""Small models of the other libraries, with noise on every parameter so that nothing agrees by chance."""

import functools
from typing import Any

import numpy as np
import pytest
import torch

from vitrail import adoption
from vitrail.adoption.optional import declare_missing_operators

declare_missing_operators()
WHY = "the reference is the other library itself: pip install 'vitrail[adopt]'"
timm = pytest.importorskip("timm", reason=WHY)
transformers = pytest.importorskip("transformers", reason=WHY)
torchvision = pytest.importorskip("torchvision", reason=WHY)

from timm.layers import SwiGLU, SwiGLUPacked
from timm.models.deit import VisionTransformerDistilled
from timm.models.vision_transformer import VisionTransformer

WIDTH, HEADS, CLASSES = 192, 3, 7


def adopt_with_report(source: Any, **options: Any) -> Any:
    """As `adopt`, and the rows of the report that it prints."""
    models = []
    with pytest.MonkeyPatch.context() as patch:
        unpatched = adoption.changed
        patch.setattr(adoption, "changed", lambda *args: models.append(unpatched(*args)) or models[-1])
        classifier = adoption.adopt(source, **options)
    return classifier, models[0].report


def of_kind(report: Any, kind: str) -> list[Any]:
    return [row for row in report if row.kind == kind]


def noisy(model: Any, seed: int = 0) -> Any:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.05)
    return model.eval()


def pictures(size: Any, channels: int = 3, batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, channels, *size, generator=torch.Generator().manual_seed(1))


def sizes(native: Any) -> list[tuple[int, int]]:
    """The native size, and one that is a coarser grid one way and a finer one the other."""
    return [tuple(native), (native[0] - 16, native[1] + 16)]


TIMM: dict[str, dict[str, Any]] = {
    "plain": {},
    "patches of 4": {"patch_size": 4},
    "rectangle": {"img_size": (24, 48)},
    "no positions": {"pos_embed": "none"},
    "no class position": {"no_embed_class": True},
    "no class position and registers": {"no_embed_class": True, "reg_tokens": 2},
    "no bias in qkv": {"qkv_bias": False},
    "gap": {"class_token": False, "global_pool": "avg", "fc_norm": False},
    "gap, norm behind": {"class_token": False, "global_pool": "avg"},
    "class token unread": {"global_pool": "avg"},
    "class token unread, norm before": {"global_pool": "avg", "fc_norm": False},
    "class token unread and unplaced": {"global_pool": "avg", "no_embed_class": True, "reg_tokens": 2},
    "distilled": {"distilled": True},
    "distilled, no head": {"distilled": True, "num_classes": 0},
    "deit-iii": {"init_values": 1e-6, "no_embed_class": True},
    "dinov2": {"init_values": 1e-5, "num_classes": 0},
    "dinov2, registers": {"init_values": 1e-5, "num_classes": 0, "reg_tokens": 4, "no_embed_class": True},
    "dinov2, swiglu": {"init_values": 1e-5, "mlp_layer": SwiGLUPacked, "act_layer": torch.nn.SiLU, "mlp_ratio": 5},
    "registers with positions": {"reg_tokens": 2},
    "swiglu in two": {"mlp_layer": SwiGLU, "act_layer": torch.nn.SiLU},
    "large epsilon": {"norm_layer": functools.partial(torch.nn.LayerNorm, eps=1e-2)},
    "grey": {"in_chans": 1},
}


def timm_vit(distilled: bool = False, **changes: Any) -> Any:
    torch.manual_seed(0)
    small = {"img_size": 32, "patch_size": 8, "embed_dim": WIDTH, "depth": 2, "num_heads": HEADS}
    kind = VisionTransformerDistilled if distilled else VisionTransformer
    return noisy(kind(**{**small, "num_classes": CLASSES, "mlp_ratio": 1.5, "dynamic_img_size": True, **changes}))


_HF = {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": HEADS, "image_size": 32, "patch_size": 8}
_HF |= {"num_labels": CLASSES}
_VIT = {**_HF, "intermediate_size": 256}
HF: dict[str, tuple[str, dict[str, Any]]] = {
    "ViTForImageClassification": ("ViTConfig", _VIT),
    "ViTForImageClassification, rectangle": ("ViTConfig", {**_VIT, "image_size": [24, 40]}),
    "ViTForImageClassification, no bias in qkv": ("ViTConfig", {**_VIT, "qkv_bias": False}),
    "ViTForImageClassification, large epsilon": ("ViTConfig", {**_VIT, "layer_norm_eps": 1e-2}),
    "ViTModel": ("ViTConfig", _VIT),
    "DeiTForImageClassification": ("DeiTConfig", _VIT),
    "DeiTForImageClassificationWithTeacher": ("DeiTConfig", _VIT),
    "DeiTModel": ("DeiTConfig", _VIT),
    "Dinov2ForImageClassification": ("Dinov2Config", {**_HF, "mlp_ratio": 3}),
    "Dinov2ForImageClassification, SwiGLU": ("Dinov2Config", {**_HF, "use_swiglu_ffn": True}),
    "Dinov2Model": ("Dinov2Config", _HF),
    "Dinov2WithRegistersForImageClassification": ("Dinov2WithRegistersConfig", {**_HF, "num_register_tokens": 3}),
    "Dinov2WithRegistersModel": ("Dinov2WithRegistersConfig", {**_HF, "use_swiglu_ffn": True}),
}


def hf_model(kind: str, **changes: Any) -> Any:
    torch.manual_seed(0)
    config, values = HF[kind]
    described = getattr(transformers, config)(**values, **changes)
    return noisy(getattr(transformers, kind.split(",")[0])(described))


def hf_outputs(model: Any, images: torch.Tensor, native: bool) -> torch.Tensor:
    """Logits, or the last hidden state of a model without a head."""
    asked = {} if native or "Dinov2" in type(model).__name__ else {"interpolate_pos_encoding": True}
    result = model(images, **asked)
    return result.logits if hasattr(result, "logits") else result.last_hidden_state


def torchvision_vit(**changes: Any) -> Any:
    torch.manual_seed(0)
    values = {"image_size": 32, "patch_size": 8, "num_layers": 2, "num_heads": HEADS, "hidden_dim": WIDTH}
    return noisy(torchvision.models.VisionTransformer(**{**values, "mlp_dim": 256, "num_classes": CLASSES, **changes}))


def google_arrays(model: Any, generation: str) -> dict[str, np.ndarray]:
    """A timm model as Google would have saved it: "vit" (2020, 2021), "big_vision", or "loop" (all blocks in one)."""
    state = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    heads, width = model.blocks[0].attn.num_heads, model.embed_dim
    attention, mlp, norm2 = (1, 3, 2) if generation == "vit" else (0, 0, 1)
    attention_name = f"MultiHeadDotProductAttention_{attention}"
    place = "Transformer/posembed_input/pos_embedding" if generation == "vit" else "pos_embedding"
    arrays = {
        "embedding/kernel": state["patch_embed.proj.weight"].transpose(2, 3, 1, 0),
        "embedding/bias": state["patch_embed.proj.bias"],
        place: state["pos_embed"],
        "Transformer/encoder_norm/scale": state["norm.weight"],
        "Transformer/encoder_norm/bias": state["norm.bias"],
    }
    arrays |= {"cls": state["cls_token"]} if "cls_token" in state else {}
    arrays |= {"head/kernel": state["head.weight"].T, "head/bias": state["head.bias"]} if "head.weight" in state else {}
    blocks = []
    for i in range(len(model.blocks)):
        of = f"blocks.{i}."
        kernels = state[of + "attn.qkv.weight"].reshape(3, heads, -1, width).transpose(0, 3, 1, 2)
        biases = state[of + "attn.qkv.bias"].reshape(3, heads, -1)
        parts = {
            f"{attention_name}/out/kernel": state[of + "attn.proj.weight"].T.reshape(heads, -1, width),
            f"{attention_name}/out/bias": state[of + "attn.proj.bias"],
        }
        for name, kernel, bias in zip(("query", "key", "value"), kernels, biases, strict=True):
            parts |= {f"{attention_name}/{name}/kernel": kernel, f"{attention_name}/{name}/bias": bias}
        for ours, theirs in (("norm1", "LayerNorm_0"), ("norm2", f"LayerNorm_{norm2}")):
            parts |= {f"{theirs}/scale": state[f"{of}{ours}.weight"], f"{theirs}/bias": state[f"{of}{ours}.bias"]}
        for j in range(2):
            parts[f"MlpBlock_{mlp}/Dense_{j}/kernel"] = state[f"{of}mlp.fc{j + 1}.weight"].T
            parts[f"MlpBlock_{mlp}/Dense_{j}/bias"] = state[f"{of}mlp.fc{j + 1}.bias"]
        blocks.append(parts)
    if generation == "loop":
        arrays |= {f"Transformer/encoderblock/{n}": np.stack([b[n] for b in blocks]) for n in blocks[0]}
    else:
        arrays |= {f"Transformer/encoderblock_{i}/{n}": a for i, b in enumerate(blocks) for n, a in b.items()}
    prefix = {"vit": "", "big_vision": "params/", "loop": "params/img/"}[generation]
    return {prefix + name: array for name, array in arrays.items()}
