"""From tensors under the common names of `origin` to our configuration and weights."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from vitrail.adoption.conversion import Row, counted, refuse_leftover, unknown
from vitrail.adoption.naming import require_names
from vitrail.adoption.origin import TOKENS, Adopted, Origin, PrefixToken, Tensors
from vitrail.configs import ViTConfig
from vitrail.data.preprocessing import Preprocessing
from vitrail.errors import InputError
from vitrail.models.vit import ViT
from vitrail.text import listed, one_form

_NEEDED = ("patch_embed.proj.weight", "norm.weight", "blocks.0.mlp.fc2.weight")


def assemble(
    origin: Origin,
    tensors: Tensors,
    rows: Sequence[Row],
    preprocessing: Preprocessing,
    class_names: Sequence[str] | None,
    made: Iterable[str] = (),
) -> Adopted:
    """A foreign model as ours, from tensors under the common names.

    `rows` say what the converter has dropped, initialised or assumed; `made` are those of our tensors that it has made
    up. Raises InputError where something is missing, or has another shape than the rest asks for.
    """
    source = origin.source
    require_names(source, tensors, *_NEEDED)
    tensors = {name: tensor.detach().to("cpu", torch.float32) for name, tensor in tensors.items()}
    patches = tensors["patch_embed.proj.weight"]
    if patches.ndim != 4 or patches.shape[2] != patches.shape[3]:
        unknown(f"{source} has patches of {' x '.join(map(str, patches.shape[2:]))} pixels")
    tokens, token_rows = _tokens(origin, tensors)
    head, head_rows = _head(origin, tensors)
    biases = _absent_biases(tensors)
    ours = {
        **{name: tensor for name, tensor in tensors.items() if re.match(r"blocks\.|norm\.|patch_embed\.", name)},
        **{"patch_embed.proj.weight": rearrange(patches, "d c p q -> d (c p q)")},
        **tokens,
        **head,
        **biases,
    }
    config = _config(origin, tensors, ours)
    _check(source, config, ours)

    if biases:
        what = "biases that the source lacks, as zeros"
        rows = [counted("newly initialised", what, *biases.values()), *rows]
    touched = {*biases, *({"registers"} if token_rows else ()), *(head if head_rows else ()), *made}
    if head and not any(tensor.any() for tensor in head.values()):
        rows = [Row("assumed", "that the head was never trained: it is all zeros, and gives all classes alike"), *rows]
    if class_names is None or len(class_names) != config.num_classes:
        class_names = [f"{'class' if head else 'feature'} {i}" for i in range(config.num_classes)]
    every_row = (*token_rows, *head_rows, *rows)
    return Adopted(config, ours, preprocessing, distinct(class_names), source, every_row, frozenset(touched))


def distinct(names: Sequence[str]) -> tuple[str, ...]:
    """Names that occur again (ImageNet has two kinds of crane) are numbered."""
    seen: dict[str, int] = {}
    result = []
    for name in names:
        form = one_form(name)
        seen[form] = seen.get(form, 0) + 1
        result.append(name if seen[form] == 1 else f"{name} ({seen[form]})")
    return tuple(result)


def _tokens(origin: Origin, tensors: Tensors) -> tuple[Tensors, list[Row]]:
    """The tokens before the patches, and all positions: a token that nothing reads becomes a register.

    Our registers have no position: one that comes with a position is the sum of both, which is all that the encoder
    ever sees.
    """
    present = [name for name in TOKENS if TOKENS[name] in tensors]
    rows_of: dict[PrefixToken, Float[Tensor, "1 token dim"]] = {}
    ours: Tensors = {}
    registers, report = [], []
    if (positions := tensors.get("positions.embed")) is not None:
        placed = [name for name in present if name in origin.placed]
        lengths = [tensors[TOKENS[name]].shape[1] for name in placed]
        if positions.shape[1] <= sum(lengths):
            raise InputError(f"{origin.source} has positions for {positions.shape[1]} tokens: none is left for a patch")
        *own, patches = positions.split([*lengths, positions.shape[1] - sum(lengths)], dim=1)
        rows_of = dict(zip(placed, own, strict=True))
        kept = [rows_of[name] for name in placed if name in origin.readout]
        ours["positions.embed"] = torch.cat([*kept, patches], dim=1)
    unread = [name for name in present if name not in origin.readout]
    for name in present:
        token, position = tensors[TOKENS[name]], rows_of.get(name)
        if name in origin.readout:
            ours[TOKENS[name]] = token
            continue
        registers.append(token if position is None else token + position)
        if position is not None or unread != ["registers"]:
            summands = [token] if position is None else [token, position]
            report.append(counted("summed" if summands[1:] else "copied", _as_register(name, position), *summands))
    if registers:
        ours["registers"] = torch.cat(registers, dim=1)
    return ours, report


def _as_register(name: PrefixToken, position: Tensor | None) -> str:
    if name == "registers":
        return "the registers" if position is None else "the registers and their positions"
    called = {"cls": "the class token", "dist": "the distillation token"}[name]
    return f"{called}{'' if position is None else ' and its position'}, as a register: nothing reads it"


def _head(origin: Origin, tensors: Tensors) -> tuple[Tensors, list[Row]]:
    """Ours is `head.0`, and with a hidden layer `head.0` and `head.2`."""
    found = {
        name: {end: tensors[f"{name}.{end}"] for end in ("weight", "bias") if f"{name}.{end}" in tensors}
        for name in ("head", "head_dist", "pre_logits")
    }
    head, other, hidden = found["head"], found["head_dist"], found["pre_logits"]
    if other:
        require_names(origin.source, tensors, "head.weight", "head.bias", "head_dist.weight", "head_dist.bias")
        row = counted("summed", "two heads, into one that gives their average", *head.values(), *other.values())
        both = {"weight": torch.cat([head["weight"], other["weight"]], dim=1) / 2}
        return _layer("head.0", {**both, "bias": (head["bias"] + other["bias"]) / 2}), [row]
    if hidden and not head:
        return {}, [counted("dropped", "the hidden layer of a head that the source lacks", *hidden.values())]
    if hidden:
        require_names(origin.source, tensors, "pre_logits.weight", "pre_logits.bias")
        width, dim = len(hidden["weight"]), tensors["patch_embed.proj.weight"].shape[0]
        if width != dim:
            unknown(f"{origin.source} has a head with a hidden layer of {width} for a width of {dim}")
        return {**_layer("head.0", hidden), **_layer("head.2", head)}, []
    return _layer("head.0", head), []


def _layer(name: str, parts: Tensors) -> Tensors:
    return {f"{name}.{end}": tensor for end, tensor in parts.items()}


def require_biases(source: str, tensors: Tensors, cure: str) -> None:
    """Raises InputError where linear layers have no bias: whether by design or by accident, tensors do not say."""
    if absent := _absent_biases(tensors):
        raise InputError(
            f"{source} lacks {listed(absent)} (by the names that Vitrail gives them): it may have been made without "
            f"biases, or be incomplete: {cure}"
        )


def _absent_biases(tensors: Tensors) -> Tensors:
    """Zeros for the biases of those linear layers that have none in any block."""
    weights = {name: t for name, t in tensors.items() if re.fullmatch(r"blocks\.\d+\.(attn|mlp)\..*\.weight", name)}
    biased = {re.sub(r"\d+", "*", name, count=1) for name in tensors if name.endswith(".bias")}
    biases = {name.removesuffix("weight") + "bias": len(weight) for name, weight in weights.items()}
    return {name: torch.zeros(n) for name, n in biases.items() if re.sub(r"\d+", "*", name, count=1) not in biased}


def _config(origin: Origin, tensors: Tensors, ours: Tensors) -> ViTConfig:
    patches = tensors["patch_embed.proj.weight"]
    head: Literal["linear", "tanh", "none"] = "none"
    if "head.0.weight" in ours:
        head = "tanh" if "head.2.weight" in ours else "linear"
    last = {"none": None, "linear": "head.0.weight", "tanh": "head.2.weight"}[head]
    read = {"cls", "dist"} & set(origin.readout)
    blocks = {int(match[1]) for name in tensors if (match := re.match(r"blocks\.(\d+)\.", name))}
    return ViTConfig(
        image_size=origin.image_size,
        patch_size=patches.shape[2],
        in_channels=patches.shape[1],
        num_classes=len(ours[last]) if last else len(patches) * len(origin.readout),
        embed_dim=len(patches),
        depth=max(blocks) + 1,
        num_heads=origin.num_heads,
        mlp_dim=tensors["blocks.0.mlp.fc2.weight"].shape[1],
        mlp=origin.mlp,
        readout=origin.readout,
        pos_embed="learned" if "positions.embed" in tensors else "none",
        pos_prefix=not read or read <= set(origin.placed),
        pos_antialias=origin.pos_antialias,
        num_registers=ours["registers"].shape[1] if "registers" in ours else 0,
        layer_scale=1.0 if "blocks.0.branch1.0.gamma" in tensors else None,
        final_norm=origin.final_norm,
        head=head,
        norm_eps=origin.norm_eps,
    )


def _check(source: str, config: ViTConfig, tensors: Tensors) -> None:
    """Raises InputError naming what is missing, left over, or of another shape than the configuration asks for."""
    with torch.device("meta"):
        expected = {name: tuple(tensor.shape) for name, tensor in ViT(config).state_dict().items()}
    require_names(source, tensors, *expected)
    refuse_leftover(source, tensors.keys() - expected.keys())
    for name, shape in expected.items():
        if tuple(tensors[name].shape) != shape:
            found = tuple(tensors[name].shape)
            raise InputError(f"{source}: {name} has the shape {found}, but the rest of the model asks for {shape}")
