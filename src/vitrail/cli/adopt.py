"""`vitrail adopt`: a ViT from elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from vitrail.cli.ending import done
from vitrail.cli.options import Count, Name, Out, Pixels, parse
from vitrail.text import quoted


@dataclass(frozen=True)
class Adopt:
    source: Positional[str]
    """timm:NAME, hf:NAME, a folder with config.json, or a .safetensors, .npz or .pth file."""
    out: Out = None
    image_size: Pixels = None
    """One number, or height and width: positions are resampled [the source's]"""
    patch_size: Count = None
    """In pixels: the patch embedding is resampled [the source's]"""
    in_channels: Count = None
    """1 for grey images, or 3 [the source's]"""
    num_classes: Count = None
    """Another number than the source's means a new head, of random weights [the source's]"""
    num_heads: Count = None
    """For a file whose width is not a standard one [from the width]"""
    pretrained: bool = True
    """Download the weights; with --no-pretrained they are random."""
    like: Name = None
    """For a file of weights alone: timm:NAME, by which timm wires it [as published ones are]"""
    classes: Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="")] = None
    """Names of the classes, one per line or JSON [the source's]"""
    allow_pickle: bool = False
    """Also read .pth, .pt, .bin and .ckpt files, without executing what is in them."""


def adopt(argv: Sequence[str]) -> None:
    """Take in a ViT of timm, Hugging Face, torchvision or Google's files.

    It becomes one of ours with the same outputs, for predict, evaluate and explain.
    """
    given = dict(vars(parse(Adopt, argv, adopt)))
    out, source = given.pop("out"), given["source"]
    from vitrail import files
    from vitrail.adoption import adopt as adopt_model
    from vitrail.experiments.run import new_directory
    from vitrail.runs.directory import Run
    from vitrail.runs.layout import RUN
    from vitrail.text import slug

    files.refuse_taken(out, "name another --out")
    classifier = adopt_model(**given)
    with new_directory(out, slug(source.partition(":")[2] or Path(source).stem)[:60]) as directory:
        classifier.write(directory)
    done(directory / RUN, Run(directory).checkpoints, then=f"vitrail explain {quoted(directory)} IMAGE...")
