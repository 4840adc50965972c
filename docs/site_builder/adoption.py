"""The page of what becomes of timm's models, from the record of `benchmarks/adoption.py`: nothing on it is typed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from vitrail.tables import Table, to_markdown

_INTRODUCTION = """\
# What becomes of timm's models

Each of the {count} names of timm's ViT, DeiT, EVA and BeiT modules, one block deep, with random weights, taken in on
each way: as an object, as a file of weights alone, and as a folder of a hub, with its `config.json`. *Same* means the
outputs of the original, for a random image; *asks* that weights alone do not say how the model is wired, so that it is
given by `--like timm:NAME`; *refused* that Vitrail's ViT lacks a part of it. None may be wrong: {wrong} are.

```bash
{command}
```
"""
_ROUTES = {"object": "as an object", "file": "as a file", "like": "with `--like`", "folder": "as a folder"}


def adopted_models(record: Mapping[str, Any]) -> str:
    """Markdown: how many have which outcome, and then the names, together where all of it is alike."""
    alike: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for row in record["rows"]:
        alike[tuple(row.get(route, "–").partition(":")[0] for route in _ROUTES)].append(row["name"])
    wrong = sum(len(names) for outcomes, names in alike.items() if "WRONG" in outcomes)
    head = (*_ROUTES.values(), "models", "names")
    groups = sorted(alike.items(), key=lambda group: -len(group[1]))
    rows = [(*outcomes, str(len(names)), " ".join(f"`{name}`" for name in sorted(names))) for outcomes, names in groups]
    versions = ", ".join(f"{name} {number}" for name, number in record["versions"].items())
    introduction = _INTRODUCTION.format(count=len(record["rows"]), wrong=wrong or "none", command=record["command"])
    why = "Why each is asked about or refused is in `benchmarks/results/adoption.json`."
    return "\n".join([introduction, to_markdown(Table("", head, rows)), "", f"{why} Made with {versions}.", ""])
