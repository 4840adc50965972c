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
# Wrappers of parts of a model, anywhere in a name: torch.compile, FSDP and activation checkpointing.
_INNER = r"(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\."
# A tensor that every ViT of a library has, behind whatever a larger module calls the ViT.
_ROOTS = (
    r"(.*\.)?patch_embed\.proj\.weight",
    r"(.*?\.)??(?:(?:vit|deit|dinov2|dinov2_with_registers)\.)?embeddings\.patch_embeddings\.projection\.weight",
    r"(.*\.)?conv_proj\.weight",
)
_AVERAGED = re.compile(r"ema|teacher|momentum")
_OF_TRAINING = re.compile(
    r"n_averaged|(?:.*\.)?(?:dino_?head|ibot_?head|projector|predictor|criterion|\w*loss\w*|\w*metrics?)\b.*"
    r"|(?:.*\.)?head\.(?:mlp|last_layer)\..*"
)
_COUNTERS = re.compile(r"(?:.*\.)?(?:n_averaged|num_batches_tracked|position_ids)")

# What checkpoints hold beside tensors that can do nothing: options, and the best accuracy as a number of NumPy.
_INERT: list[Any] = [
    argparse.Namespace,
    *((np.float64(0).__reduce__()[0], f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
    *(np.dtype, type(np.dtype("f8")), type(np.dtype("f4")), type(np.dtype("i8"))),
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
    tensors, more = _bare(path, {re.sub(_INNER, "", name): tensor for name, tensor in state.items()})
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
    placed = read_json(index).get("weight_map")
    if not isinstance(placed, Mapping) or not placed:
        raise InputError(f"{index} is damaged: it has no weight_map")
    files = {str(file): index.parent / Path(str(file)).name for file in placed.values()}
    if missing := [name for name, file in files.items() if not file.is_file()]:
        raise InputError(f"{index} names {listed(missing)}, which {index.parent} does not hold: download all parts")
    found = {name: tensor for file in files.values() for name, tensor in _safe(file).items()}
    if absent := [name for name in placed if name not in found]:
        raise InputError(f"{index} names tensors that its files do not hold: {listed(absent)}")
    return found


def _unpickled(path: Path) -> Any:
    try:
        with torch.serialization.safe_globals(_INERT), warnings.catch_warnings(action="ignore"):
            return torch.load(path, map_location="cpu", weights_only=True)
    # A damaged pickle can raise anything. PyTorch's own words advise to turn the safety off.
    except Exception as error:
        if "TorchScript" in str(error):
            raise InputError(f"{path} is a TorchScript archive, a program: {_ALONE}") from error
        if named := re.search(r"GLOBAL ([\w.]+)", str(error)):
            held = f"{path} is more than tensors: it holds a {shown(named[1])}, which is not read"
            raise InputError(f"{held}: {_ALONE}") from error
        raise InputError(f"{path} is damaged, or no file of torch.save: {_ALONE}") from error


def _unwrapped(path: Path, found: Any) -> tuple[Mapping[str, Tensor], list[Row]]:
    """The state dict in a checkpoint, and what was chosen and left there."""
    rows: list[Row] = []
    while isinstance(found, Mapping) and not any(isinstance(value, Tensor) for value in found.values()):
        kept = [name for name in _KEPT_AS if isinstance(found.get(name), Mapping)]
        if not kept:
            break
        taken, *others = kept
        if others:
            others = [repr(name) for name in others]
            rows.append(Row("assumed", f"of the models in the file {taken!r} is meant, not {listed(others)}"))
        if rest := [str(name) for name in found if name not in kept]:
            rows.append(Row("dropped", f"what the file holds beside {taken!r}: {listed(rest, 6)}"))
        found = found[taken]
    if not isinstance(found, Mapping) or not found:
        raise InputError(f"{path} holds {_kind(found)} and no weights by name: {_ALONE}")
    if odd := [name for name, value in found.items() if not isinstance(value, Tensor) or not isinstance(name, str)]:
        raise InputError(f"{path} is no state dict: {shown(str(odd[0]))} is {_kind(found[odd[0]])}: {_ALONE}")
    return found, rows


def _kind(value: Any) -> str:
    return f"a {type(value).__module__}.{type(value).__qualname__}".replace("builtins.", "")


def _bare(path: Path, tensors: Mapping[str, Tensor]) -> tuple[Tensors, list[Row]]:
    """Without what a larger module calls the model, and without the rest of that module where it served training."""
    prefixes = {match[1] or "" for name in tensors for root in _ROOTS if (match := re.fullmatch(root, name))}
    if not prefixes or "" in prefixes:
        return dict(tensors), []
    rows = []
    averaged = {prefix for prefix in prefixes if _AVERAGED.search(prefix)}
    if len(prefixes) > 1 and len(averaged) != 1:
        raise InputError(f"{path} holds several models ({listed(sorted(prefixes))}): save one of them alone")
    prefix = next(iter(averaged if len(prefixes) > 1 else prefixes))
    if others := sorted(prefixes - {prefix}):
        rows.append(Row("assumed", f"of the models in the file {prefix!r} is meant, not {listed(map(repr, others))}"))
    inside = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    outside = {name: tensor for name, tensor in tensors.items() if not name.startswith(prefix)}
    if whole := sorted(name for name in outside if not name.startswith(tuple(others)) and not _OF_TRAINING.match(name)):
        refuse_leftover(f"{path}, beside the model under {prefix!r},", whole)
    served = {name: tensor for name, tensor in inside.items() if _OF_TRAINING.fullmatch(name)}
    dropped = [*outside.values(), *served.values()]
    if dropped:
        of = f"{listed([*outside, *served])}: of the training, beside the model under {prefix!r}"
        rows.append(counted("dropped", of, *dropped))
    # Accounted for without a row of its own: no tensor is touched.
    rows.append(Row("copied", f"by their names behind {prefix!r}"))
    return {name: tensor for name, tensor in inside.items() if name not in served}, rows


def _numbers(path: Path, tensors: Mapping[str, Tensor]) -> Tensors:
    """In float32. Raises InputError for integers, which are quantised, and for what is not finite."""
    result = {}
    for name, tensor in tensors.items():
        if _COUNTERS.fullmatch(name):
            continue
        if not tensor.is_floating_point() or tensor.is_quantized:
            kind = str(tensor.dtype).removeprefix("torch.")
            raise InputError(f"{path} holds {shown(name)} as {kind}, so it is quantised: take the weights before that")
        result[name] = tensor.float()
        if not result[name].isfinite().all():
            raise InputError(f"{path} holds numbers in {shown(name)} that are not finite: its training had diverged")
    return result
