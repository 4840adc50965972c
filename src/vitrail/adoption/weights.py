"""Files of weights to tensors by name: what wraps them is taken off, and accounted for."""

from __future__ import annotations

import argparse
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from vitrail.adoption.conversion import Row, counted, refuse_leftover
from vitrail.adoption.origin import Tensors
from vitrail.errors import InputError
from vitrail.files import read_json
from vitrail.text import listed, shown

FORMS = "timm:NAME, hf:NAME, a folder with config.json, or a .safetensors, .npz or (with --allow-pickle) .pth file"
_PICKLES = (".pth", ".pt", ".bin", ".ckpt", ".tar")
_ALONE = "save the weights alone, torch.save(model.state_dict(), 'weights.pth'), or as .safetensors"

# Under which names training code keeps a model, those that it would evaluate first: a moving average before the rest.
_KEPT_AS = (
    *("state_dict_ema", "model_ema", "ema_state_dict", "ema", "teacher"),
    *("state_dict", "model_state_dict", "model", "net", "weights", "params", "module", "student"),
)
_AVERAGED = re.compile(r"ema|teacher|momentum")
# Wrappers of parts of a model, anywhere in a name: torch.compile, FSDP and activation checkpointing.
_INNER = re.compile(r"(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
# DINOv2 trains blocks in chunks, and counts them through.
_CHUNK = re.compile(r"\bblocks\.\d+\.(\d+)\.")
# A tensor that every ViT of a library has, behind whatever a larger module calls the ViT.
_ROOT = re.compile(
    r"(.*?\.)??(?:patch_embed\.proj|conv_proj"
    r"|(?:(?:vit|deit|dinov2|dinov2_with_registers)\.)?embeddings\.patch_embeddings\.projection)\.weight"
)
_OF_TRAINING = re.compile(
    r"(?:.*\.)?(?:n_averaged|(?:\w*loss\w*|\w*metrics?|criterion|projector|predictor|dino_?head|ibot_?head"
    r"|head\.(?:mlp|last_layer))\b.*)"
)
_COUNTERS = re.compile(r"(?:.*\.)?(?:n_averaged|num_batches_tracked|position_ids)")

# What checkpoints hold beside tensors that can do nothing: options, and numbers of NumPy.
_INERT: list[Any] = [
    *(argparse.Namespace, np.dtype, *(type(np.dtype(kind)) for kind in ("f4", "f8", "i8"))),
    *((np.float64(0).__reduce__()[0], f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
]


def read_weights(path: Path, allow_pickle: bool) -> tuple[Tensors, list[Row]]:
    """The tensors of a file of weights, or of the index of several, in float32; and what else the file holds.

    Raises InputError for a pickle that was not allowed, a damaged file, or what is not the weights of one model.
    """
    found: Any
    if path.suffix in _PICKLES:
        if not allow_pickle:
            raise InputError(
                f"{path} is a pickle, which can run any code when it is read: if you trust where it comes from, "
                "give allow_pickle (--allow-pickle); a .safetensors file needs no trust"
            )
        found = _unpickled(path)
    elif path.suffix == ".safetensors":
        found = _safe(path)
    elif path.name.endswith(".safetensors.index.json"):
        found = _shards(path)
    else:
        raise InputError(f"{path} is not a model that can be read: a source is {FORMS}")
    state, rows = _unwrapped(path, found)
    tensors, more = _bare(
        path, {_CHUNK.sub(r"blocks.\1.", _INNER.sub("", name)): tensor for name, tensor in state.items()}
    )
    return _numbers(path, tensors), [*rows, *more]


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    # A damaged archive, a single array or a pickle: each fails in another way.
    except Exception as error:
        raise InputError(f"{path} cannot be read as arrays: {first_line(error)}") from error


def first_line(error: Exception) -> str:
    return shown(str(error).strip().partition("\n")[0]) or type(error).__name__


def _safe(path: Path) -> Tensors:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} cannot be read as safetensors: {first_line(error)}") from error


def _shards(index: Path) -> Tensors:
    """The files that an index names, which lie beside it, as one."""
    placed = read_json(index).get("weight_map") or {}
    files = [index.parent / name for name in sorted({Path(str(file)).name for file in placed.values()})]
    if missing := [file.name for file in files if not file.is_file()]:
        raise InputError(f"{index} names {listed(missing)}, which {index.parent} does not hold: download all parts")
    return {name: tensor for file in files for name, tensor in _safe(file).items()}


def _unpickled(path: Path) -> Any:
    try:
        with torch.serialization.safe_globals(_INERT), warnings.catch_warnings(action="ignore"):
            return torch.load(path, map_location="cpu", weights_only=True)
    # A damaged pickle can raise anything. PyTorch's own words advise to turn the safety off.
    except Exception as error:
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        if "TorchScript" in str(error):
            reason = "is a TorchScript archive, a program"
        elif named:
            reason = f"is more than tensors: it holds a {shown(named[1])}, which is not read"
        else:
            reason = "is damaged, or no file of torch.save"
        raise InputError(f"{path} {reason}: {_ALONE}") from error


def _unwrapped(path: Path, found: Any) -> tuple[Mapping[str, Tensor], list[Row]]:
    """The state dict in a checkpoint, and what was chosen and left there."""
    rows: list[Row] = []
    while isinstance(found, Mapping) and (kept := [name for name in _KEPT_AS if isinstance(found.get(name), Mapping)]):
        taken, *others = kept
        rows += _chosen(taken, others)
        if rest := [str(name) for name in found if name not in kept]:
            rows.append(Row("dropped", f"what the file holds beside {taken!r}: {listed(rest, 6)}"))
        found = found[taken]
    if not isinstance(found, Mapping) or not found:
        raise InputError(f"{path} holds a {_kind(found)} and no weights by name: {_ALONE}")
    if odd := [name for name, value in found.items() if not (isinstance(name, str) and isinstance(value, Tensor))]:
        raise InputError(f"{path} is no state dict: {shown(str(odd[0]))} is a {_kind(found[odd[0]])}: {_ALONE}")
    return found, rows


def _chosen(taken: str, others: list[str]) -> list[Row]:
    what = f"of the models in the file {taken!r} is meant, not {listed(map(repr, others))}"
    return [Row("assumed", what)] if others else []


def _kind(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")


def _bare(path: Path, tensors: Tensors) -> tuple[Tensors, list[Row]]:
    """Without what a larger module calls the model, and without the rest of that module where it served training."""
    prefixes = sorted({match[1] or "" for name in tensors if (match := _ROOT.fullmatch(name))})
    if not prefixes or "" in prefixes:
        return tensors, []
    taken = [prefix for prefix in prefixes if len(prefixes) == 1 or _AVERAGED.search(prefix)]
    if len(taken) != 1:
        raise InputError(f"{path} holds several models ({listed(prefixes)}): save one of them alone")
    prefix, others = taken[0], [other for other in prefixes if other != taken[0]]
    training = {name for name in tensors if _OF_TRAINING.fullmatch(name.removeprefix(prefix))}
    left = [name for name in tensors if not name.startswith(prefix) or name in training]
    unread = [name for name in left if not (name.startswith(tuple(others)) or name in training)]
    refuse_leftover(f"{path}, beside the model under {prefix!r},", unread)
    rows = [*_chosen(prefix, others), Row("copied", f"by their names behind {prefix!r}")]
    if left:
        rows.append(counted("dropped", f"of the training: {listed(left)}", *(tensors[name] for name in left)))
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name not in left}, rows


def _numbers(path: Path, tensors: Tensors) -> Tensors:
    """In float32. Raises InputError for integers, which are quantised, and for what is not finite."""
    result = {name: tensor.float() for name, tensor in tensors.items() if not _COUNTERS.fullmatch(name)}
    for name, tensor in result.items():
        if not tensors[name].is_floating_point():
            kind = str(tensors[name].dtype).removeprefix("torch.")
            raise InputError(f"{path} holds {shown(name)} as {kind}, so it is quantised: take the weights before that")
        if not tensor.isfinite().all():
            raise InputError(f"{path} holds numbers in {shown(name)} that are not finite: its training had diverged")
    return result
