"""`vitrail summary`: the presets, and what each consists of."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from tyro.conf import Positional, arg

from vitrail.cli.ending import show
from vitrail.cli.options import parse
from vitrail.models.presets import PRESETS, preset


@dataclass(frozen=True)
class Summary:
    preset: Positional[Annotated[str | None, arg(metavar="[PRESET]", help_behavior_hint="")]] = None
    """See the list that 'vitrail summary' prints."""


def summary(argv: Sequence[str]) -> None:
    """What a model consists of and costs, layer by layer; without a name, the presets."""
    options = parse(Summary, argv, summary)
    from vitrail.progress import say

    if options.preset is None:
        show(
            ["preset", "what it is"],
            [(name, (build.__doc__ or "").strip().splitlines()[0]) for name, build in PRESETS.items()],
        )
        say("next: vitrail summary vit-compare")
        return
    config = preset(options.preset)
    from vitrail.models.summary import summarize

    def shape(sizes: tuple[int, ...]) -> str:
        return " x ".join(map(str, sizes)) or "-"

    result = summarize(config)
    rows = [(row.name, row.type, shape(row.input), shape(row.output), f"{row.parameters:,}") for row in result.rows]
    show(["name", "type", "input size", "output size", "parameters"], rows)
    say((PRESETS[options.preset].__doc__ or "").strip().replace("\n    ", "\n"))
    say(f"trainable parameters      {result.trainable:>16,}")
    say(f"non-trainable parameters  {result.parameters - result.trainable:>16,}")
    say(f"size of the weights       {result.megabytes:>16,.1f} MB in float32")
    say(f"multiply-adds             {result.multiply_adds:>16,} per image")
    say(f"next: vitrail train DATA --model {options.preset}")
