"""Models by name: timm's, and those of the Hugging Face hub. What is downloaded is safetensors wherever there are."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from vitrail.adoption.optional import optional
from vitrail.errors import InputError
from vitrail.files import read_json
from vitrail.text import listed, shown

T = TypeVar("T")

_CURE = "check the name and the network, or download it elsewhere and give the file or folder"
_TRUST = "only a pickle, which can run any code when it is read: if you trust it, give allow_pickle (--allow-pickle)"


def timm_model(name: str, **options: Any) -> nn.Module:
    """timm's model of this name, with random weights. Raises InputError where there is none with these options."""
    library = optional("timm")
    return _tried(
        lambda: library.create_model(name, pretrained=False, **options),
        f"timm has no model {shown(name)!r}" + (" in the sizes of these weights" if options else ""),
        "see timm.list_models('vit*'), '*deit*' and '*dinov2*'",
    )


def timm_pretrained(name: str, model: nn.Module, allow_pickle: bool) -> nn.Module:
    """`timm_model` with its published weights. Raises InputError where they are not to be had as they are wanted."""
    published: Any = model.pretrained_cfg
    repository, url = published.get("hf_hub_id"), published.get("url") or ""
    if repository:
        pickled = published.get("hf_hub_filename") or "pytorch_model.bin"
        file = _weights(repository, "model.safetensors", pickled, allow_pickle)
    elif not url:
        raise InputError(f"timm:{name} has no published weights: give pretrained=False (--no-pretrained)")
    elif not url.endswith((".npz", ".safetensors")) and not allow_pickle:
        raise InputError(f"timm:{name} has {_TRUST}")
    else:
        fetch = optional("timm.models").download_cached_file
        file = Path(_tried(lambda: fetch(url), f"{url} could not be downloaded", _CURE))
    # timm reads pickles with weights_only=True. Where the file comes from is no longer the hub.
    origin = {"file": str(file), "source": "", "hf_hub_id": None, "custom_load": file.suffix == ".npz"}
    return _tried(
        lambda: optional("timm").create_model(name, pretrained=True, pretrained_cfg_overlay=origin),
        f"{file} could not be loaded into timm:{name}",
        "remove the file, so that it is downloaded again",
    )


def folder(name: str, allow_pickle: bool) -> Path:
    """The folder with a hub repository's config.json, weights and, where it has one, preprocessor_config.json."""
    if Path(name).is_dir():
        return Path(name)
    if (config := _hub_file(name, "config.json")) is None:
        raise InputError(f"hf:{shown(name)} has no config.json: it is not a model of transformers")
    _hub_file(name, "preprocessor_config.json")
    _weights(name, "model.safetensors", "pytorch_model.bin", allow_pickle)
    return config.parent


def random_model(name: str) -> nn.Module:
    """A model with the configuration of a hub repository and random weights."""
    library = optional("transformers")
    repository, _, revision = (name, "", "") if Path(name).is_dir() else name.partition("@")
    with _quiet():
        config = _tried(
            lambda: library.AutoConfig.from_pretrained(repository, revision=revision or None),
            f"hf:{shown(name)} could not be configured",
            _CURE,
        )
    kind = _architecture(str((config.architectures or ["none"])[0]))
    return _tried(lambda: kind(config), f"hf:{shown(name)} could not be built", "see its config.json")


def transformers_model(architecture: str, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> nn.Module:
    """A model of transformers, as a `config.json` has it, with these weights, all of them. Raises InputError."""
    kind = _architecture(architecture)
    given = {"state_dict": dict(tensors), "dtype": torch.float32, "output_loading_info": True}
    optional("transformers").logging.disable_progress_bar()
    with _quiet():
        built: tuple[nn.Module, Mapping[str, Any]] = _tried(
            lambda: kind.from_pretrained(None, config=kind.config_class.from_dict(dict(config)), **given),
            f"{kind.__name__} could not be built by transformers with these weights",
            "see its config.json",
        )
    if absent := sorted(built[1]["missing_keys"]):
        raise InputError(f"these weights are not all of a {kind.__name__}: transformers finds no {listed(absent)}")
    return built[0]


def _architecture(name: str) -> Any:
    library = optional("transformers")
    kind = getattr(library, name, None)
    if not (isinstance(kind, type) and issubclass(kind, library.PreTrainedModel)):
        raise InputError(f"{shown(name)} is an architecture that transformers does not know as a model")
    return kind


def _weights(repository: str, safe: str, pickled: str, allow_pickle: bool) -> Path:
    if (file := _hub_file(repository, safe)) is not None:
        return file
    if (index := _hub_file(repository, f"{safe}.index.json")) is not None:
        for part in sorted({str(name) for name in read_json(index).get("weight_map", {}).values()}):
            _hub_file(repository, part)
        return index
    if not allow_pickle:
        raise InputError(f"{repository} has no {safe} on the hub, {_TRUST}")
    if (file := _hub_file(repository, pickled)) is None:
        raise InputError(f"{repository} has neither {safe} nor {pickled} on the hub: it holds no weights")
    return file


def _hub_file(repository: str, name: str) -> Path | None:
    """The file, downloaded or from the cache; None where the repository has no such file."""
    # Looked up before its logger is, which is set up on the way.
    download, errors = optional("huggingface_hub").hf_hub_download, optional("huggingface_hub.errors")
    identifier, _, revision = repository.partition("@")

    def fetch() -> Path | None:
        try:
            return Path(download(identifier, name, revision=revision or None))
        except errors.LocalEntryNotFoundError as error:
            missing = f"{name} of {shown(repository)} is not in the cache, and the Hugging Face hub cannot be reached"
            raise InputError(f"{missing}: {_CURE}") from error
        except errors.EntryNotFoundError:
            return None

    with _quiet():
        return _tried(fetch, f"{name} of {shown(repository)} could not be downloaded from the Hugging Face hub", _CURE)


@contextmanager
def _quiet() -> Iterator[None]:
    """The hub's library tells of every retry, transformers of every key; the one line at the end is enough."""
    loggers = [logging.getLogger(name) for name in ("huggingface_hub", "transformers")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _tried(action: Callable[[], T], failure: str, cure: str) -> T:
    """What the action gives; whatever it raises (these libraries have no common exception) becomes one line."""
    try:
        return action()
    except InputError:
        raise
    except Exception as error:
        lines = str(error).strip().splitlines()
        raise InputError(f"{failure} ({shown(lines[0]) if lines else type(error).__name__}): {cure}") from error
