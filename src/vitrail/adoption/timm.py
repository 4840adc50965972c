"""timm's VisionTransformer: an object, or a state dict alone (also the original ones of DeiT, DINOv2 and MAE)."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any, Literal

import torch
from torch import Tensor, nn

from vitrail.adoption.assembly import assemble, require_biases
from vitrail.adoption.conversion import Row, counted, refuse_leftover, unknown
from vitrail.adoption.naming import drop, joined, renamed, require_names
from vitrail.adoption.optional import optional
from vitrail.adoption.origin import (
    TOKENS,
    Adopted,
    Origin,
    PrefixToken,
    Tensors,
    agreed_heads,
    arranged,
    native_size,
    standard_heads,
)
from vitrail.adoption.pictures import HALF, IMAGENET, preprocessing
from vitrail.adoption.wirings import CHOOSE, readout_of
from vitrail.configs import Readout, Size
from vitrail.data.preprocessing import Preprocessing
from vitrail.text import shown

_BLOCK = r"(blocks\.\d+)\."
_RULES = {
    r"(patch_embed\.proj\.(?:weight|bias)|cls_token|dist_token)": r"\1",
    "pos_embed": "positions.embed",
    r"(?:reg_token|register_tokens)": "registers",
    _BLOCK + r"(norm[12]|attn\.qkv|attn\.proj|mlp\.fc1|mlp\.fc1_g|mlp\.fc1_x|mlp\.fc2)\.(weight|bias)": r"\1.\2.\3",
    _BLOCK + r"(?:ls|gamma_)([12])(?:\.gamma)?": r"\1.branch\2.0.gamma",
    # DINOv2's own names.
    _BLOCK + r"mlp\.w12\.(weight|bias)": r"\1.mlp.fc1.\2",
    _BLOCK + r"mlp\.w3\.(weight|bias)": r"\1.mlp.fc2.\2",
    r"(?:fc_)?norm\.(weight|bias)": r"norm.\1",
    r"(head|head_dist)\.(weight|bias)": r"\1.\2",
    r"pre_logits\.(?:fc\.)?(weight|bias)": r"pre_logits.\1",
}


def recognises(tensors: Mapping[str, Tensor]) -> bool:
    return "patch_embed.proj.weight" in tensors and tensors["patch_embed.proj.weight"].ndim == 4


def from_model(model: nn.Module, num_heads: int | None = None, hub_config: Mapping[str, Any] | None = None) -> Adopted:
    """A timm VisionTransformer or VisionTransformerDistilled, with the `config.json` that lay beside its weights.

    Raises InputError where our ViT lacks a part of it.
    """
    net: Any = model
    # A model made by its class, and not by timm.create_model, has none.
    published = {**(getattr(net, "pretrained_cfg", None) or {}), **labelled(hub_config or {})}
    source = f"timm's {shown(str(published.get('architecture') or type(net).__name__))}"
    norm_eps, final_norm, mlp = _check_parts(source, net)
    distilled = type(net).__name__ == "VisionTransformerDistilled"
    if net.global_pool == "avg" and net.num_prefix_tokens and getattr(net, "pool_include_prefix", False):
        unknown(f"{source} has a pooling of all tokens, those before the patches too")
    readout = _readout(source, net.global_pool)
    placed: tuple[PrefixToken, ...] = () if net.no_embed_class else ("cls", "dist", "registers")
    origin = Origin(
        source,
        image_size=tuple(net.patch_embed.img_size),
        num_heads=agreed_heads(net.blocks[0].attn.num_heads, num_heads, source),
        norm_eps=norm_eps,
        readout=("cls", "dist") if distilled else readout,
        placed=placed,
        final_norm=final_norm,
        mlp=mlp,
    )
    return dataclasses.replace(_adopted(origin, net.state_dict(), published, []), original=model)


def labelled(hub_config: Mapping[str, Any]) -> dict[str, Any]:
    """What a `config.json` of timm says of pictures and names, as a model of timm keeps it."""
    labels = {name: value for name, value in hub_config.items() if name in ("label_names", "label_descriptions")}
    return {**(hub_config.get("pretrained_cfg") or {}), **labels}


def from_tensors(
    tensors: Mapping[str, Tensor], num_heads: int | None = None, image_size: Size | None = None
) -> Adopted:
    """A state dict by timm's names, or by those of DeiT's, DINOv2's or MAE's authors.

    `num_heads` is needed for widths that are not standard, `image_size` in pixels for patches that form no square.
    Raises InputError, see `assemble`, and where the tensors could be wired in several ways.
    """
    source = "this state dict (by timm's names)"
    known, _ = known_names(source, tensors)
    require_names(source, known, "blocks.0.mlp.fc2.weight")
    width, patch_size = len(known["patch_embed.proj.weight"]), known["patch_embed.proj.weight"].shape[-1]
    readout = readout_of(source, tensors)
    require_biases(source, known, CHOOSE)
    # The authors' DINOv2 has a position for the class token and none for registers; timm has one for both or none.
    prefix: tuple[PrefixToken, ...] = ("cls",) if "register_tokens" in tensors else ("cls", "dist", "registers")
    placed, size = _placement(source, known, prefix, patch_size, image_size)
    hidden = known["blocks.0.mlp.fc2.weight"].shape[1]
    gated = "blocks.0.mlp.fc1_g.weight" in known or len(known.get("blocks.0.mlp.fc1.weight", ())) == 2 * hidden
    origin = Origin(
        source,
        image_size=size,
        num_heads=standard_heads(width, num_heads),
        norm_eps=1e-6,
        readout=readout,
        placed=placed,
        final_norm="readout" if "fc_norm.weight" in tensors else "tokens",
        mlp="swiglu" if gated else "gelu",
    )
    activation = "SwiGLU" if gated else "GELU"
    assumed = f"{origin.num_heads} heads, norm_eps 1e-06, {activation}, readout {' and '.join(readout)}"
    lying = arranged(size, patch_size)
    rows = [Row("assumed", f"{assumed}, {lying}, as in timm's ViTs of this kind: tensors do not say it")]
    return _adopted(origin, tensors, {}, rows)


def common_name(name: str) -> str:
    """As `origin` calls what timm calls so."""
    return next((match.expand(new) for old, new in _RULES.items() if (match := re.fullmatch(old, name))), name)


def known_names(source: str, tensors: Mapping[str, Tensor]) -> tuple[Tensors, list[Row]]:
    """The tensors under the common names of `origin`, and what was dropped. Raises InputError for what is left over."""
    known, rest = renamed(tensors, _RULES)
    rest, dropped = drop(rest, "mask_token", "the mask token: it is for pre-training only")
    rest, decoder = drop(rest, r"decoder_(embed|pos_embed|blocks|norm|pred)\b.*", "the decoder of a masked autoencoder")
    dropped += decoder
    refuse_leftover(source, rest)
    require_names(source, known, "patch_embed.proj.weight")
    return known, dropped


def _readout(source: str, pool: str) -> tuple[Readout, ...]:
    if pool not in ("token", "avg"):
        unknown(f"{source} has the pooling {pool!r}")
    return ("cls",) if pool == "token" else ("mean",)


def _adopted(
    origin: Origin, tensors: Mapping[str, Tensor], pretrained_cfg: Mapping[str, Any], rows: list[Row]
) -> Adopted:
    known, dropped = known_names(origin.source, tensors)
    known = joined(known, ("mlp.fc1_g", "mlp.fc1_x"), "mlp.fc1")
    width, channels = known["patch_embed.proj.weight"].shape[:2]
    of_deit = "dist_token" in known or "blocks.0.branch1.0.gamma" in known
    pictures, picture_rows = _preprocessing(origin.image_size, channels, pretrained_cfg, of_deit)
    names = _class_names(pretrained_cfg, len(known["head.weight"])) if "head.weight" in known else None
    made = []
    if "dist" in origin.readout and names is None and "head.weight" not in known:
        known |= {"head.weight": torch.eye(width).repeat(1, 2) / 2, "head.bias": torch.zeros(width)}
        what = "a head that averages the class and the distillation token, as timm does without one"
        rows = [*rows, counted("newly initialised", what, known["head.weight"], known["head.bias"])]
        names, made = [f"feature {i}" for i in range(width)], ["head.0.weight", "head.0.bias"]
    return assemble(origin, known, [*dropped, *rows, *picture_rows], pictures, names, made)


def _check_parts(source: str, net: Any) -> tuple[float, Literal["tokens", "readout"], Literal["gelu", "swiglu"]]:
    """Every part whose kind the tensors do not tell: (norm_eps, where the last norm stands, kind of MLP)."""
    epsilons, kinds = set(), set()

    def normalisation(where: str, norm: nn.Module) -> None:
        if not isinstance(norm, nn.LayerNorm) or norm.weight is None:
            unknown(f"{source} has {type(norm).__name__} as {where}")
        epsilons.add(norm.eps)

    def nothing(where: str, part: nn.Module | None) -> None:
        if part is not None and not isinstance(part, nn.Identity):
            unknown(f"{source} has {type(part).__name__} as {where}")

    if type(net.patch_embed).__name__ != "PatchEmbed":
        unknown(f"{source} has {type(net.patch_embed).__name__} as patch_embed")
    nothing("patch_embed.norm", net.patch_embed.norm)
    nothing("norm_pre (as in CLIP)", net.norm_pre)
    nothing("attention pooling", getattr(net, "attn_pool", None))
    for i, block in enumerate(net.blocks):
        where = f"blocks.{i}"
        if type(block).__name__ != "Block":
            unknown(f"{source} has {type(block).__name__} as {where}")
        attention, mlp = block.attn, block.mlp
        if type(attention).__name__ != "Attention":
            unknown(f"{source} has {type(attention).__name__} as {where}.attn")
        normalisation(f"{where}.norm1", block.norm1)
        normalisation(f"{where}.norm2", block.norm2)
        nothing(f"{where}.attn.q_norm (normalised queries and keys)", attention.q_norm)
        for part in ("norm", "gate"):
            nothing(f"{where}.attn.{part}", getattr(attention, part, None))
        nothing(f"{where}.mlp.norm", getattr(mlp, "norm", None))
        kinds.add(_mlp_kind(source, where, mlp))
        if attention.num_heads * attention.head_dim != net.embed_dim:
            unknown(f"{source} has {attention.num_heads} heads of {attention.head_dim} for a width of {net.embed_dim}")
    outer = isinstance(net.norm, nn.Identity)
    normalisation("the last norm", net.fc_norm if outer else net.norm)
    if len(epsilons) > 1 or len(kinds) > 1:
        unknown(f"{source} has several kinds of norms or MLPs ({sorted(epsilons)}, {sorted(kinds)})")
    return epsilons.pop(), "readout" if outer else "tokens", kinds.pop()


def _mlp_kind(source: str, where: str, mlp: Any) -> Literal["gelu", "swiglu"]:
    kind, activation = type(mlp).__name__, mlp.act
    if kind == "Mlp" and type(activation).__name__ == "GELU" and getattr(activation, "approximate", "none") == "none":
        return "gelu"
    gated = (kind == "GluMlp" and not mlp.gate_last) or kind == "SwiGLU"
    if not gated or type(activation).__name__ != "SiLU":
        unknown(f"{source} has {kind} with {activation} as {where}.mlp")
    return "swiglu"


def _placement(
    source: str, known: Tensors, prefix: tuple[PrefixToken, ...], patch_size: int, image_size: Size | None
) -> tuple[tuple[PrefixToken, ...], Size]:
    """Which tokens have a position, and the image's size, told from the number of positions."""
    rows = known["positions.embed"].shape[1]
    patches = rows - sum(known[TOKENS[name]].shape[1] for name in prefix if TOKENS[name] in known)
    wanted = None if image_size is None else (image_size[0] // patch_size) * (image_size[1] // patch_size)
    square = math.isqrt(rows) ** 2 == rows
    if wanted != patches and (square or (math.isqrt(patches) ** 2 != patches and wanted == rows)):
        return (), native_size(source, rows, patch_size, image_size)
    return prefix, native_size(source, patches, patch_size, image_size)


def _preprocessing(size: Size, channels: int, cfg: Mapping[str, Any], of_deit: bool) -> tuple[Preprocessing, list[Row]]:
    usual, of_what = (IMAGENET, "of ImageNet") if of_deit else (HALF, "0.5")
    mean, std = (cfg.get(name) or usual[i] for i, name in enumerate(("mean", "std")))
    squash = cfg.get("crop_mode") == "squash"
    made, rows = preprocessing(
        size,
        channels,
        mean,
        std,
        fit="stretch" if squash else "crop",
        crop=cfg.get("crop_pct") or (0.875 if cfg else 0.9),
        interpolation=cfg.get("interpolation") or "bicubic",
    )
    if not cfg:
        rows.append(Row("assumed", f"timm's usual preprocessing: crop 0.9, bicubic, mean and std {of_what}"))
    if cfg.get("crop_mode") == "border":
        rows.append(Row("assumed", "pictures are cropped to the middle; timm adds borders for this model"))
    return made, rows


def _class_names(cfg: Mapping[str, Any], num_classes: int) -> Sequence[str] | None:
    """timm's label names where its configuration has them, or ImageNet's where the weights' tag says so."""
    if names := cfg.get("label_names"):
        described = cfg.get("label_descriptions") or {}
        return [described.get(name, name) if isinstance(described, Mapping) else name for name in names]
    if num_classes != 1000 or cfg.get("num_classes") != 1000 or "in1k" not in (cfg.get("tag") or ""):
        return None
    return optional("timm.data").ImageNetInfo("imagenet-1k").label_descriptions() if find_spec("timm") else None
