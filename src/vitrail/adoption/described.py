"""The model that a `config.json` or a name describes, built by its own library with given weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from vitrail.adoption import hub, huggingface, timm
from vitrail.adoption.conversion import Row, unknown
from vitrail.adoption.naming import require_names
from vitrail.adoption.origin import Adopted, arranged, native_size
from vitrail.configs import Size, as_size
from vitrail.errors import InputError
from vitrail.text import listed

_PLAIN = ("VisionTransformer", "VisionTransformerDistilled")


def of_timm(
    config: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    num_heads: int | None = None,
    image_size: Size | None = None,
) -> Adopted:
    """timm's `architecture` with these weights and in their sizes: what tensors do not say comes from timm.

    Raises InputError where timm is not installed or has no such model, or the weights are of another.
    """
    source, name = f"timm:{config['architecture']}", str(config["architecture"])
    # On no device, so that nothing is drawn at random or kept in memory twice.
    with torch.device("meta"):
        plain: Any = hub.timm_model(name)
        if type(plain).__name__ not in _PLAIN:
            unknown(f"{source} is a {type(plain).__module__}.{type(plain).__qualname__}")
        known, rows = timm.known_names("this state dict", tensors)
        sizes, told = _sizes(config, known), image_size or _told(config)
        if "positions.embed" in known and plain.pos_embed is not None:
            count = known["positions.embed"].shape[1] - (plain.pos_embed.shape[1] - plain.patch_embed.num_patches)
            sizes["img_size"] = native_size(source, count, sizes["patch_size"], told)
            if sizes["img_size"] != told:
                lying = arranged(sizes["img_size"], sizes["patch_size"])
                rows.append(Row("assumed", f"{lying}: neither tensors nor configuration say how they lie"))
        model = hub.timm_model(name, **sizes)
    places = {key: timm.common_name(key) for key in model.state_dict()}
    theirs = set(places.values())
    if theirs != known.keys():
        parts = (("it lacks", theirs - known.keys()), ("it has", known.keys() - theirs))
        found = " and ".join(f"{what} {listed(sorted(names))}" for what, names in parts if names)
        raise InputError(f"this state dict is not that of {source}: {found} (by the names that Vitrail gives them)")
    if ("fc_norm.weight" in places) != ("fc_norm.weight" in tensors):
        raise InputError(f"this state dict is not that of {source}: one has norm where the other has fc_norm")
    try:
        model.load_state_dict({key: known[place] for key, place in places.items()}, assign=True)
    except RuntimeError as error:
        raise InputError(f"this state dict is not that of {source}: {str(error).splitlines()[-1].strip()}") from error
    adopted = timm.from_model(model.eval(), num_heads, config)
    if "pretrained_cfg" not in config:
        rows.append(Row("assumed", f"pictures and names of classes as for {source}: the weights do not say it"))
    return dataclasses.replace(adopted, rows=(*rows, *adopted.rows))


def _sizes(config: Mapping[str, Any], known: Mapping[str, Tensor]) -> dict[str, Any]:
    """The arguments by which timm gives a model the sizes of these weights."""
    require_names("this state dict", known, "patch_embed.proj.weight", "blocks.0.mlp.fc2.weight")
    patches = known["patch_embed.proj.weight"]
    hidden = len(known.get("blocks.0.mlp.fc1.weight", known["blocks.0.mlp.fc2.weight"].T))
    return {
        "global_pool": config.get("global_pool"),
        **(config.get("model_args") or {}),
        "embed_dim": len(patches),
        "in_chans": patches.shape[1],
        "patch_size": patches.shape[-1],
        "depth": len({name.split(".")[1] for name in known if name.startswith("blocks.")}),
        # timm rounds down what it multiplies.
        "mlp_ratio": (hidden + 0.5) / len(patches),
        "num_classes": len(known["head.weight"]) if "head.weight" in known else 0,
    }


def _told(config: Mapping[str, Any]) -> Size | None:
    """The image size in a `config.json` of timm."""
    pictures = config.get("pretrained_cfg") or {}
    size = (config.get("model_args") or {}).get("img_size") or tuple(pictures.get("input_size") or ())[1:]
    return as_size(size if isinstance(size, int) else tuple(size)) if size else None


def of_transformers(
    config: Mapping[str, Any],
    processor: Mapping[str, Any] | None,
    tensors: Mapping[str, Tensor],
    num_heads: int | None = None,
) -> Adopted:
    """The architecture of a `config.json` of Hugging Face with these weights. Raises InputError as `of_timm` does."""
    adopted = huggingface.from_tensors(tensors, config, processor, num_heads)
    original = hub.transformers_model(huggingface.architecture_of(config), config, tensors)
    return dataclasses.replace(adopted, original=original)
