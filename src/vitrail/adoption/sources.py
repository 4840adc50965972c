"""Where a model comes from: an object, a name, or a path; each goes to the converter that knows it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from vitrail.adoption import google, hub, huggingface, timm, torchvision
from vitrail.adoption.conversion import Row, unknown
from vitrail.adoption.origin import Adopted
from vitrail.configs import Size
from vitrail.errors import InputError
from vitrail.files import read_json
from vitrail.runs.directory import Run
from vitrail.text import listed, shown

_PICKLES = (".pth", ".pt", ".bin", ".ckpt")
_FORMS = "timm:NAME, hf:NAME, a folder with config.json, or a .safetensors, .npz or (with --allow-pickle) .pth file"
_MODELS = {
    "timm.models.vision_transformer.VisionTransformer": timm.from_model,
    "timm.models.deit.VisionTransformerDistilled": timm.from_model,
    "torchvision.models.vision_transformer.VisionTransformer": torchvision.from_model,
}


def read(
    source: nn.Module | str | Path,
    num_heads: int | None = None,
    image_size: Size | None = None,
    pretrained: bool = True,
    allow_pickle: bool = False,
) -> Adopted:
    """A foreign model as ours, unchanged. `image_size` only tells how patches lie where the source does not.

    Raises:
        InputError: see `vitrail.adoption.adopt`.
    """
    if isinstance(source, nn.Module):
        return _from_model(source, num_heads)
    kind, _, name = str(source).partition(":")
    if kind == "timm":
        model = hub.timm_model(name)
        # Before anything is downloaded: is this a model that can be adopted?
        unchanged = _from_model(model, num_heads)
        return (
            _from_model(hub.timm_pretrained(name, model, allow_pickle), num_heads) if pretrained else _random(unchanged)
        )
    if kind == "hf" and not pretrained:
        return _random(_from_model(hub.random_model(name), num_heads))
    if kind == "hf":
        return _from_folder(hub.folder(name, allow_pickle), num_heads, image_size, allow_pickle)
    if not pretrained:
        raise InputError("random weights are for timm:NAME and hf:NAME; a file or folder comes with its own")
    return _from_path(Path(source), num_heads, image_size, allow_pickle)


def _random(model: Adopted) -> Adopted:
    row = Row("newly initialised", "what is copied is random: no weights were asked for")
    return dataclasses.replace(model, rows=(*model.rows, row))


def _from_model(model: nn.Module, num_heads: int | None) -> Adopted:
    kind = f"{type(model).__module__}.{type(model).__qualname__}"
    # By its name, so that none of these libraries is imported; exactly, because a subclass may compute something else.
    if kind in _MODELS:
        return _MODELS[kind](model, num_heads)
    if kind.startswith("transformers.models.") and hasattr(model, "config"):
        return huggingface.from_model(model, num_heads)
    unknown(f"the model is a {kind}")


@contextmanager
def _fitting(path: Path) -> Iterator[None]:
    """What a damaged file or configuration leads to, in one line."""
    try:
        yield
    except (RuntimeError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
        raise InputError(f"what {path} holds does not fit together: {_first_line(error)}") from error


def _from_path(path: Path, num_heads: int | None, image_size: Size | None, allow_pickle: bool) -> Adopted:
    if not path.exists():
        raise InputError(f"{shown(str(path))} does not exist: a source is {_FORMS}")
    if path.is_dir():
        return _from_folder(path, num_heads, image_size, allow_pickle)
    if path.suffix == ".npz":
        arrays = _arrays(path)
        with _fitting(path):
            return google.from_arrays(arrays, num_heads, image_size)
    tensors = _tensors(path, allow_pickle)
    for family in (huggingface, torchvision, timm):
        if family.recognises(tensors):
            with _fitting(path):
                return family.from_tensors(tensors, num_heads=num_heads, image_size=image_size)
    if any(name.startswith("patch_embed.") and tensors[name].ndim == 2 for name in tensors):
        raise InputError(f"{path} holds the weights of a Vitrail run: give its directory to 'vitrail predict'")
    unknown(f"{path} has {listed(sorted(tensors))}")


def _from_folder(path: Path, num_heads: int | None, image_size: Size | None, allow_pickle: bool) -> Adopted:
    if Run(path).begun:
        raise InputError(f"{path} is a Vitrail run already: give it to 'vitrail predict'")
    if not (path / "config.json").is_file():
        raise InputError(f"{path} has no config.json: a source is {_FORMS}")
    config = read_json(path / "config.json")
    processor_file = path / "preprocessor_config.json"
    processor = read_json(processor_file) if processor_file.is_file() else None
    tensors = _tensors(_weights(path), allow_pickle)
    with _fitting(path):
        if "architecture" in config:
            return timm.from_tensors(tensors, num_heads, image_size, config)
        return huggingface.from_tensors(tensors, config, processor, num_heads)


def _weights(folder: Path) -> Path:
    """The file of a folder that holds the weights: a safe one where there is one."""
    names = ("model.safetensors", "pytorch_model.bin")
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise InputError(f"{folder} holds no weights: it has none of {', '.join(names)}")


def _tensors(path: Path, allow_pickle: bool) -> dict[str, Tensor]:
    """A state dict in float32. Raises InputError for a pickle that was not allowed, or a damaged file."""
    if path.suffix in _PICKLES:
        if not allow_pickle:
            raise InputError(
                f"{path} is a pickle, which can run any code when it is read: if you trust where it comes from, "
                "give allow_pickle (--allow-pickle); a .safetensors file needs no trust"
            )
        found: Any = _unpickled(path)
    elif path.suffix == ".safetensors":
        found = _safe(path)
    else:
        raise InputError(f"{path} is not a model that can be read: a source is {_FORMS}")
    return {name: tensor.float() for name, tensor in found.items()}


def _safe(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} cannot be read as safetensors: {_first_line(error)}") from error


def _unpickled(path: Path) -> Mapping[str, Tensor]:
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    # A damaged pickle can raise anything.
    except Exception as error:
        reason = _first_line(error)
        raise InputError(f"{path} is more than tensors, or damaged ({reason}): save its state_dict() alone") from error
    for wrapper in ("model", "state_dict"):
        if isinstance(found, Mapping) and isinstance(found.get(wrapper), Mapping):
            found = found[wrapper]
    if not isinstance(found, Mapping) or not all(isinstance(value, Tensor) for value in found.values()):
        raise InputError(f"{path} is not a state dict: save the model's state_dict()")
    return found


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    # A damaged archive, a single array or a pickle: each fails in another way.
    except Exception as error:
        raise InputError(f"{path} cannot be read as arrays: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return shown(str(error).strip().partition("\n")[0]) or type(error).__name__
