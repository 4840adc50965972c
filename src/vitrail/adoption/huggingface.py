"""Hugging Face's ViT, DeiT, Dinov2 and Dinov2WithRegisters: an object, a folder's config.json, or tensors alone."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from vitrail.adoption.assembly import assemble, require_biases
from vitrail.adoption.conversion import Row, refuse_leftover, unknown
from vitrail.adoption.naming import drop, joined, renamed, require_names
from vitrail.adoption.origin import Adopted, Origin, PrefixToken, agreed_heads, arranged, native_size, standard_heads
from vitrail.adoption.pictures import HALF, IMAGENET, PILLOW, preprocessing
from vitrail.configs import Readout, Size, as_size
from vitrail.data.decoding import Fit
from vitrail.data.preprocessing import Preprocessing
from vitrail.errors import InputError
from vitrail.text import listed

_FAMILIES = {
    **{"vit": "ViT", "deit": "DeiT", "dinov2": "Dinov2", "dinov2_with_registers": "Dinov2WithRegisters"},
    **{"vit_mae": "ViTMAE", "vit_msn": "ViTMSN"},
}
_HEADS = {"deit": ("ForImageClassificationWithTeacher",), "vit_mae": ("ForPreTraining",)}
_PLACED: dict[str, tuple[PrefixToken, ...]] = {"deit": ("cls", "dist")}
_NEEDED = ("hidden_size", "num_attention_heads", "patch_size", "image_size")
_EPSILON = {
    "vit": 1e-12,
    "deit": 1e-12,
    "dinov2": 1e-6,
    "dinov2_with_registers": 1e-6,
    "vit_mae": 1e-12,
    "vit_msn": 1e-6,
}

# Since version 5 the parts have shorter names in memory; in files the older ones remain.
_LAYER = r"(?:encoder\.)?layers?\.(\d+)\."
_BLOCK = r"blocks.\1."
_ENDS = r"\.(weight|bias)"
_RULES = {
    r"embeddings\.(cls_token)": r"\1",
    r"embeddings\.distillation_token": "dist_token",
    r"embeddings\.register_tokens": "registers",
    r"embeddings\.position_embeddings": "positions.embed",
    r"embeddings\.patch_embeddings\.projection" + _ENDS: r"patch_embed.proj.\1",
    **{
        _LAYER + rf"attention\.(?:attention\.)?(?:{name}|{name[0]}_proj)" + _ENDS: _BLOCK + rf"attn.{name[0]}.\2"
        for name in ("query", "key", "value")
    },
    _LAYER + r"attention\.(?:output\.dense|o_proj)" + _ENDS: _BLOCK + r"attn.proj.\2",
    _LAYER + r"(?:layernorm_before|norm1)" + _ENDS: _BLOCK + r"norm1.\2",
    _LAYER + r"(?:layernorm_after|norm2)" + _ENDS: _BLOCK + r"norm2.\2",
    _LAYER + r"(?:intermediate\.dense|mlp\.fc1|mlp\.weights_in)" + _ENDS: _BLOCK + r"mlp.fc1.\2",
    _LAYER + r"(?:output\.dense|mlp\.fc2|mlp\.weights_out|mlp\.down_proj)" + _ENDS: _BLOCK + r"mlp.fc2.\2",
    _LAYER + r"mlp\.(gate|up)_proj" + _ENDS: _BLOCK + r"mlp.\2.\3",
    _LAYER + r"layer_scale([12])\.lambda1": _BLOCK + r"branch\2.0.gamma",
    r"layernorm" + _ENDS: r"norm.\1",
    r"(?:cls_)?classifier" + _ENDS: r"head.\1",
    r"distillation_classifier" + _ENDS: r"head_dist.\1",
}


def recognises(tensors: Mapping[str, Tensor]) -> bool:
    return any(name.endswith("embeddings.patch_embeddings.projection.weight") for name in tensors)


def from_model(model: nn.Module, num_heads: int | None = None) -> Adopted:
    """A model of transformers. Raises InputError where it, or a part of it, is of a kind not known here."""
    config: Any = model.config
    described = {**config.to_dict(), "id2label": config.id2label, "architectures": [type(model).__name__]}
    return dataclasses.replace(from_tensors(model.state_dict(), described, num_heads=num_heads), original=model)


def from_tensors(
    tensors: Mapping[str, Tensor],
    config: Mapping[str, Any] | None = None,
    processor: Mapping[str, Any] | None = None,
    num_heads: int | None = None,
    image_size: Size | None = None,
) -> Adopted:
    """A state dict by Hugging Face's names, of either generation; `config` and `processor` are its JSON files.

    Without a `config`, `num_heads` is needed where the width is not a standard one, and `image_size` in pixels where
    the patches do not form a square. Raises InputError, see `assemble`, and where our ViT lacks what `config` asks for.
    """
    bare = {re.sub(r"^(?:vit|deit|dinov2|dinov2_with_registers)\.", "", name): t for name, t in tensors.items()}
    known, rest = renamed(bare, _RULES)
    rest, masks = drop(rest, r"embeddings\.mask_token", "the mask token: it is for pre-training only")
    rest, poolers = drop(rest, r"pooler\.dense\.(weight|bias)", "the pooler: nothing that classifies reads it")
    rest, decoders = drop(rest, r"decoder\.(?:decoder_\w+|mask_token)\b.*", "the decoder of a masked autoencoder")
    rows = [*masks, *poolers, *decoders]
    if guessed := config is None:
        refuse_leftover("this state dict (by Hugging Face's names)", rest)
        config = _guessed(known, num_heads, image_size)
        activation = "SwiGLU" if config["use_swiglu_ffn"] else "GELU"
        epsilon = f"norm_eps {config['layer_norm_eps']:g}{' (ViTMSN: 1e-06)' if config['model_type'] == 'vit' else ''}"
        assumed = (
            f"{config['num_attention_heads']} heads, {epsilon}, {activation}, "
            f"{arranged(config['image_size'], config['patch_size'])}"
        )
        rows.append(Row("assumed", f"{assumed}, as in Hugging Face's models of this kind: tensors do not say it"))
    family = str(config.get("model_type"))
    architecture = architecture_of(config)
    source = f"Hugging Face's {architecture}"
    _check(source, family, architecture, config)
    refuse_leftover(source, rest)
    known = joined(known, ("attn.q", "attn.k", "attn.v"), "attn.qkv")
    known = joined(known, ("mlp.gate", "mlp.up"), "mlp.fc1")
    if guessed:
        require_biases(source, known, "give the folder with its config.json")
    size = as_size(config["image_size"])
    readout: tuple[Readout, ...] = ("cls",)
    if "ForImageClassification" in architecture and "Dinov2" in architecture:
        readout = ("cls", "mean")
    if architecture.endswith("WithTeacher"):
        readout = ("cls", "dist")
    origin = Origin(
        source,
        image_size=size,
        num_heads=agreed_heads(config["num_attention_heads"], num_heads, source),
        norm_eps=config.get("layer_norm_eps", _EPSILON[family]),
        readout=readout,
        placed=_PLACED.get(family, ("cls",)),
        mlp="swiglu" if config.get("use_swiglu_ffn") else "gelu",
        pos_antialias=family == "dinov2_with_registers",
    )
    needed = ["patch_embed.proj.weight", "positions.embed"]
    # No labels at all is how transformers says that there is no head.
    if "ForImageClassification" in architecture and config.get("id2label") != {}:
        needed += ["head.weight", "head.bias"]
    require_names(source, known, *needed)
    names = _class_names(config)
    if "head.weight" in known and len(names or ()) not in (0, len(known["head.weight"])):
        raise InputError(
            f"the configuration of {source} names {len(names or ())} classes, but its head has "
            f"{len(known['head.weight'])}: correct its id2label"
        )
    channels = known["patch_embed.proj.weight"].shape[1]
    pictures, picture_rows = _processed(processor, size, channels) if processor else _usual(family, size, channels)
    return assemble(origin, known, [*rows, *picture_rows], pictures, names)


def architecture_of(config: Mapping[str, Any]) -> str:
    family = _FAMILIES.get(str(config.get("model_type")), "")
    return str((config.get("architectures") or [f"{family}Model"])[0])


def _check(source: str, family: str, architecture: str, config: Mapping[str, Any]) -> None:
    """Raises InputError for what the tensors do not show."""
    heads = ("Model", "ForImageClassification", *_HEADS.get(family, ()))
    if family not in _FAMILIES or architecture not in [f"{_FAMILIES[family]}{head}" for head in heads]:
        unknown(f"{source} is a model of the type {family!r}")
    if missing := [name for name in _NEEDED if name not in config]:
        raise InputError(f"the configuration of {source} lacks {listed(missing)}")
    if (activation := config.get("hidden_act", "gelu")) not in ("gelu", "gelu_python"):
        unknown(f"{source} has the activation {activation!r}")
    width, heads_ = config["hidden_size"], config["num_attention_heads"]
    if (head_dim := config.get("head_dim") or width // heads_) * heads_ != width:
        unknown(f"{source} has {heads_} heads of {head_dim} for a width of {width}")
    patch_size, size = config["patch_size"], as_size(config["image_size"])
    if not isinstance(patch_size, int) and len(set(patch_size)) > 1:
        unknown(f"{source} has patches of {tuple(patch_size)}")
    if family.startswith("dinov2") and size[0] != size[1]:
        unknown(f"{source} resamples the positions of a rectangle of {size[0]} x {size[1]} as if it were a square")


def _guessed(known: Mapping[str, Tensor], num_heads: int | None, image_size: Size | None) -> dict[str, Any]:
    """What `config.json` would say, as far as tensors tell."""
    source = "this state dict (by Hugging Face's names)"
    if "positions.embed" not in known:
        unknown(f"{source} has no positions, so that they are probably rotary, as in DINOv3")
    require_names(source, known, "patch_embed.proj.weight", "blocks.0.mlp.fc2.weight")
    family = "vit"
    if "dist_token" in known:
        family = "deit"
    elif "blocks.0.branch1.0.gamma" in known:
        family = "dinov2_with_registers" if "registers" in known else "dinov2"
    kind = "Model"
    if "head.weight" in known:
        kind = "ForImageClassification" + ("WithTeacher" if "head_dist.weight" in known else "")
    patches = known["patch_embed.proj.weight"]
    positions = known["positions.embed"].shape[1] - len(_PLACED.get(family, ("cls",)))
    hidden = known["blocks.0.mlp.fc2.weight"].shape[1]
    packed = len(known.get("blocks.0.mlp.fc1.weight", ())) == 2 * hidden
    return {
        "model_type": family,
        "architectures": [f"{_FAMILIES[family]}{kind}"],
        "hidden_size": len(patches),
        "num_attention_heads": standard_heads(len(patches), num_heads),
        "layer_norm_eps": _EPSILON[family],
        "patch_size": patches.shape[-1],
        "image_size": native_size(source, positions, patches.shape[-1], image_size),
        "use_swiglu_ffn": packed or "blocks.0.mlp.gate.weight" in known,
    }


def _class_names(config: Mapping[str, Any]) -> Sequence[str] | None:
    labels = config.get("id2label") or {}
    names = [str(labels[key]) for key in sorted(labels, key=int)]
    return None if all(re.fullmatch(r"LABEL_\d+", name) for name in names) else names


def _usual(family: str, size: Size, channels: int) -> tuple[Preprocessing, list[Row]]:
    """What the published checkpoints of a family come with."""
    mean, std = HALF if family == "vit" else IMAGENET
    whole = family.startswith("vit")
    fit: Fit = "stretch"
    if family.startswith("dinov2"):
        # Their positions are of 518 pixels, their pictures are not.
        fit, size = "crop", (224, 224)
    crop, method = (1.0, "bilinear") if whole else (0.875, "bicubic")
    made, rows = preprocessing(size, channels, mean, std, fit, crop, method, "transformers")
    return made, [Row("assumed", f"the preprocessing that published {_FAMILIES[family]} models come with"), *rows]


def _processed(processor: Mapping[str, Any], native: Size, channels: int) -> tuple[Preprocessing, list[Row]]:
    """What `preprocessor_config.json` says."""
    kind = str(processor.get("image_processor_type") or processor.get("feature_extractor_type") or "ViTImageProcessor")
    family = re.sub(r"(ImageProcessor|FeatureExtractor)(Fast|Pil)?$", "", kind)
    if family not in ("ViT", "DeiT", "Bit"):
        unknown(f"{kind} prepares the pictures")
    settings = {
        "size": {"shortest_edge": 224} if family == "Bit" else (256 if family == "DeiT" else 224),
        "crop_size": 224,
        "resample": 2 if family == "ViT" else 3,
        "do_center_crop": family != "ViT",
        "image_mean": (0.48145466, 0.4578275, 0.40821073) if family == "Bit" else HALF[0],
        "image_std": (0.26862954, 0.26130258, 0.27577711) if family == "Bit" else HALF[1],
        **{name: value for name, value in processor.items() if value is not None},
    }
    rows: list[Row] = []
    size = settings["size"]
    edge = size.get("shortest_edge") if isinstance(size, Mapping) else (size if family == "Bit" else None)
    resized = (edge, edge) if edge else _sides(size)
    fit: Fit = "crop" if edge else "stretch"
    if not settings.get("do_resize", True):
        resized, fit = native, "crop"
        rows.append(Row("assumed", f"pictures resized to {native[0]} x {native[1]}; {kind} leaves them as they are"))
    crops = settings["do_center_crop"] and settings.get("do_resize", True)
    cropped = _sides(settings["crop_size"]) if crops else resized
    shares = {have / of for have, of in zip(cropped, resized, strict=True)}
    if len(shares) > 1 or max(shares) > 1:
        unknown(f"{kind} resizes to {resized} and then crops {cropped}")
    # What is normalised is the pixel times this.
    scale = 255 * (settings.get("rescale_factor", 1 / 255) if settings.get("do_rescale", True) else 1.0)
    mean, std = (0.0,) * 3, (1.0,) * 3
    if settings.get("do_normalize", True):
        mean, std = settings["image_mean"], settings["image_std"]
    made, more = preprocessing(
        cropped,
        channels,
        [value / scale for value in mean],
        [value / scale for value in std],
        fit,
        shares.pop(),
        PILLOW[settings["resample"]] if isinstance(settings["resample"], int) else str(settings["resample"]),
        rules="transformers",
    )
    return made, [*rows, *more]


def _sides(size: Any) -> Size:
    return (size["height"], size["width"]) if isinstance(size, Mapping) else as_size(size)
