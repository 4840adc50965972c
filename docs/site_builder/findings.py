"""The page of findings, from the records of studies: nothing on it is typed by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_INTRODUCTION = """\
# Results

What the studies of this project found when they were carried out in full, each with the command that does it again.
Claims that did not hold are here like those that did. Intervals are of 95 % over seeds; an outcome is of the data and
the budget that it names, and of nothing else.
"""


def findings(records: Path) -> str:
    """Markdown of all `<study>.json` in a folder; a picture `<study>.svg` beside one is shown with it."""
    studies = [(path, json.loads(path.read_text(encoding="utf-8"))) for path in sorted(records.glob("*.json"))]
    return "\n".join([_INTRODUCTION, *(_section(path, record) for path, record in studies)])


def _section(path: Path, record: Mapping[str, Any]) -> str:
    rows = [record["head"], ["---"] * len(record["head"]), *record["rows"]]
    versions = ", ".join(f"{name} {number}" for name, number in record["versions"].items())
    parts = [
        f"## {record['study']}",
        f"*{record['claim']}*",
        record["sentence"],
        "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |" for row in rows),
        f"```bash\n{record['command']}\n```",
        f"{record['hardware']}; {versions}.",
    ]
    picture = path.with_suffix(".svg")
    if picture.is_file():
        parts.insert(4, f"![The table as a figure](../results/studies/{picture.name})")
    return "\n\n".join(parts) + "\n"
