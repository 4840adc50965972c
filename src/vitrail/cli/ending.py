"""How a verb ends: the files it wrote, and what to do next."""

from pathlib import Path


def done(*files: Path, then: str) -> None:
    from vitrail.progress import say

    for file in files:
        say(f"wrote {file}")
    say(f"next: {then}")
