"""Where a model comes from: an object, a name, or a path; each goes to the converter that knows it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from torch import nn

from vitrail.adoption import described, google, hub, huggingface, timm, torchvision
from vitrail.adoption.conversion import Row, refuse_leftover, unknown
from vitrail.adoption.origin import Adopted
from vitrail.adoption.weights import FORMS, first_line, read_arrays, read_weights
from vitrail.configs import Size
from vitrail.errors import InputError
from vitrail.files import read_json
from vitrail.runs.directory import Run
from vitrail.text import shown

_MODELS = {
    "timm.models.vision_transformer.VisionTransformer": timm.from_model,
    "timm.models.deit.VisionTransformerDistilled": timm.from_model,
    "torchvision.models.vision_transformer.VisionTransformer": torchvision.from_model,
}
# What people train in, and where the model is in it.
_WRAPPERS = {
    "torch.nn.parallel.data_parallel.DataParallel": "module",
    "torch.nn.parallel.distributed.DistributedDataParallel": "module",
    "torch._dynamo.eval_frame.OptimizedModule": "_orig_mod",
    "torch.optim.swa_utils.AveragedModel": "module",
    **{f"timm.utils.model_ema.ModelEma{version}": "module" for version in ("", "V2", "V3")},
}


def read(
    source: nn.Module | str | Path,
    num_heads: int | None = None,
    image_size: Size | None = None,
    pretrained: bool = True,
    allow_pickle: bool = False,
    like: str | None = None,
) -> Adopted:
    """A foreign model as ours, unchanged. `image_size` only tells how patches lie where the source does not.

    Raises:
        InputError: see `vitrail.adoption.adopt`.
    """
    kind, _, name = ("", "", "") if isinstance(source, nn.Module) else str(source).partition(":")
    if like is not None and (isinstance(source, nn.Module) or kind in ("timm", "hf") or Path(source).is_dir()):
        raise InputError("like (--like) is for a file of weights alone; this source says itself what it is")
    if isinstance(source, nn.Module):
        return _from_model(source, num_heads)
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
    return _from_path(Path(source), num_heads, image_size, allow_pickle, like)


def _random(model: Adopted) -> Adopted:
    row = Row("newly initialised", "what is copied is random: no weights were asked for")
    return dataclasses.replace(model, rows=(*model.rows, row))


def _from_model(model: nn.Module, num_heads: int | None) -> Adopted:
    while (kind := f"{type(model).__module__}.{type(model).__qualname__}") in _WRAPPERS:
        model = getattr(model, _WRAPPERS[kind])
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
        raise InputError(f"what {path} holds does not fit together: {first_line(error)}") from error


def _from_path(
    path: Path, num_heads: int | None, image_size: Size | None, allow_pickle: bool, like: str | None = None
) -> Adopted:
    if not path.exists():
        raise InputError(f"{shown(str(path))} does not exist: a source is {FORMS}")
    if path.is_dir():
        return _from_folder(path, num_heads, image_size, allow_pickle)
    if path.suffix == ".npz":
        if like is not None:
            raise InputError(f"like (--like) is for files by other names than Google's, which {path} is")
        arrays = read_arrays(path)
        with _fitting(path):
            return google.from_arrays(arrays, num_heads, image_size)
    tensors, rows = read_weights(path, allow_pickle)
    if like is not None:
        kind, _, name = like.partition(":")
        if kind != "timm" or not name:
            raise InputError(f"like (--like) is timm:NAME, not {shown(like)}")
        with _fitting(path):
            asked = {"architecture": name, "model_args": {"num_heads": num_heads}}
            model = described.of_timm(asked, tensors, num_heads, image_size)
            return _with(rows, dataclasses.replace(model, source=f"a file like {model.source}"))
    for family in (huggingface, torchvision, timm):
        if family.recognises(tensors):
            with _fitting(path):
                return _with(rows, family.from_tensors(tensors, num_heads=num_heads, image_size=image_size))
    if any(name.startswith("patch_embed.") and tensors[name].ndim == 2 for name in tensors):
        raise InputError(f"{path} holds the weights of a Vitrail run: give its directory to 'vitrail predict'")
    refuse_leftover(str(path), tensors)
    raise InputError(f"{path} holds no tensors")


def _with(rows: Sequence[Row], model: Adopted) -> Adopted:
    return dataclasses.replace(model, rows=(*rows, *model.rows))


def _from_folder(path: Path, num_heads: int | None, image_size: Size | None, allow_pickle: bool) -> Adopted:
    if Run(path).begun:
        raise InputError(f"{path} is a Vitrail run already: give it to 'vitrail predict'")
    if (path / "adapter_config.json").is_file() and not (path / "model.safetensors").is_file():
        raise InputError(f"{path} is an adapter (LoRA): merge it into its model, as merge_and_unload() of peft does")
    if not (path / "config.json").is_file():
        raise InputError(f"{path} has no config.json: a source is {FORMS}")
    config = read_json(path / "config.json")
    processor_file = path / "preprocessor_config.json"
    processor = read_json(processor_file) if processor_file.is_file() else None
    file = _weights(path)
    tensors, rows = read_weights(file, allow_pickle)
    with _fitting(path):
        if "architecture" in config:
            return _with(rows, described.of_timm(config, tensors, num_heads, image_size))
        return _with(rows, described.of_transformers(config, processor, tensors, num_heads))


def _weights(folder: Path) -> Path:
    """The file of a folder that holds the weights: a safe one where there is one."""
    names = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise InputError(f"{folder} holds no weights: it has none of {', '.join(names)}")
