"""Any ViT becomes ours: timm, Hugging Face, torchvision and Google's files, with the same logits."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from torch import nn

from vitrail.adoption.assembly import distinct
from vitrail.adoption.changes import changed
from vitrail.adoption.classes import read_class_names
from vitrail.adoption.origin import Adopted
from vitrail.adoption.sources import read
from vitrail.adoption.verification import verified
from vitrail.classifier import Classifier
from vitrail.configs import Size, ViTConfig, as_size
from vitrail.errors import InputError
from vitrail.models.build import build_model, count_parameters
from vitrail.progress import say
from vitrail.runs.adoption import Adoption
from vitrail.text import plural, shown

__all__ = ["adopt"]


def adopt(
    source: nn.Module | str | Path,
    *,
    image_size: int | Size | None = None,
    patch_size: int | None = None,
    in_channels: int | None = None,
    num_classes: int | None = None,
    num_heads: int | None = None,
    pretrained: bool = True,
    allow_pickle: bool = False,
    like: str | None = None,
    classes: str | Path | Sequence[str] | None = None,
) -> Classifier:
    """A foreign Vision Transformer as a `Classifier` with the same logits, and the conversion report printed.

    Its weights are a copy in float32, on the CPU, in evaluation mode. A model without a head becomes a classifier
    whose classes are its features. A class or distillation token that nothing reads becomes a register.

    Args:
        source: a model of timm, Hugging Face's transformers or torchvision; `timm:NAME` or `hf:NAME`; or the path of
            a `.safetensors` (by the names of any of these), a `.npz` (Google's), a folder with `config.json` and
            `model.safetensors`, or a `.pth` or `.bin` (only with `allow_pickle`). A model in memory, or that a
            folder's library builds, is compared with ours on random images: its wiring is then verified. Of a file
            alone it is assumed, where all published models with these tensors are wired alike.
        image_size: height and width in pixels; position embeddings are resampled, and pictures framed, accordingly.
        patch_size: in pixels; the patch embedding is resampled (FlexiViT, Beyer et al. 2023, arXiv:2212.08013,
            section 3.4), and the positions to the grid that results.
        in_channels: 1 or 3. From 3 to 1, grey pictures keep their logits.
        num_classes: another number than the source's means a new head, newly initialised.
        num_heads: for a state dict whose width is not a standard one; state dicts do not hold it.
        pretrained: with False, `timm:NAME` and `hf:NAME` come with random weights.
        allow_pickle: read `.pth`, `.pt` and `.bin` files, with `weights_only=True`.
        like: `timm:NAME`, by which timm builds the model of a file alone, in the sizes of its tensors.
        classes: names in the order of the classes, or a file of them: one per line, or JSON as ImageNet's.

    Raises:
        InputError: the source is missing, damaged or unknown, has a part or a tensor that our ViT does not have, or
            lacks one; its tensors could be wired in several ways; its outputs are others as a ViT of ours; or the
            changes or the names do not fit it.
    """
    size = None if image_size is None else as_size(image_size)
    names = read_class_names(classes) if isinstance(classes, str | Path) else classes
    model = verified(read(source, num_heads, size, pretrained, allow_pickle, like))
    model = changed(model, size, patch_size, in_channels, num_classes)
    if names is not None:
        model = dataclasses.replace(model, class_names=_for(model, names))
    net = build_model(model.config)
    # Copies, because the tensors may be the foreign model's own.
    net.load_state_dict({name: tensor.detach() for name, tensor in model.tensors.items()})
    adoption = Adoption(model.source, model.wiring, tuple(f"{row.kind}: {row}" for row in model.report))
    classifier = Classifier(net.eval(), model.preprocessing, model.class_names, adoption)
    report = (f"  {row.kind:17}  {row}" for row in model.report)
    for line in [_title(model.source, classifier), *report, *_uses(classifier)]:
        say(line)
    return classifier


def _for(model: Adopted, names: Sequence[str]) -> tuple[str, ...]:
    if model.config.head == "none":
        raise InputError(f"{model.source} has no head, and so no classes to name: leave classes (--classes) out")
    if len(names) != model.config.num_classes:
        count = plural(model.config.num_classes, "class", "classes")
        raise InputError(f"{model.source} has {count}, but classes (--classes) gives {plural(len(names), 'name')}")
    return distinct(names)


def _title(source: str, classifier: Classifier) -> str:
    config = classifier.model.config
    assert isinstance(config, ViTConfig)
    height, width = config.size
    return (
        f"{source} as a ViT of {count_parameters(classifier.model):,} parameters: {config.depth} blocks of "
        f"{config.embed_dim} with {config.num_heads} heads, {height} x {width} pixels in patches of {config.patch_size}"
    )


def _uses(classifier: Classifier) -> list[str]:
    """What goes in and what comes out, a line each."""
    pictures = classifier.preprocessing
    (height, width), (covered_height, covered_width) = pictures.image_size, pictures.framing.covered
    how = {"stretch": "stretched", "crop": "resized to cover it"}[pictures.fit]
    if pictures.crop < 1:
        how = f"{how.split()[0]} to {covered_height} x {covered_width} and cropped"
    mean, std = (" ".join(f"{value:.3g}" for value in values) for values in (pictures.mean, pictures.std))
    names = classifier.class_names
    return [
        f"  {'pictures':17}  {height} x {width}, {how} ({pictures.interpolation}), mean {mean}, std {std}",
        f"  {'classes':17}  {len(names):,}: {'; '.join(map(shown, names[:3]))}{'; ...' if len(names) > 3 else ''}",
    ]
