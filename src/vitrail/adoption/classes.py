"""The names of classes, as people keep them beside a model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vitrail.errors import InputError
from vitrail.files import checked, expanded

_FORMS = 'one name per line, or JSON: a list, or an object like {"0": "cat"}, {"0": ["n02", "cat"]} or {"cat": 0}'


def read_class_names(path: str | Path) -> tuple[str, ...]:
    """The names in a file, in the order of the classes. Raises InputError for a file of another form."""
    path = expanded(Path(path))
    if not path.is_file():
        raise InputError(f"{path} is no file: classes are {_FORMS}")
    text = checked(path, lambda: path.read_text(encoding="utf-8-sig"))
    if path.suffix.lower() != ".json":
        return tuple(line.strip() for line in text.splitlines() if line.strip())
    try:
        return _named(json.loads(text))
    except (ValueError, TypeError, AttributeError, IndexError) as error:
        raise InputError(f"{path} does not name classes: they are {_FORMS}") from error


def _named(found: Any) -> tuple[str, ...]:
    if isinstance(found, Mapping):
        found = found.get("id2label", found)
    if isinstance(found, Mapping):
        numbered = {int(key): value for key, value in found.items()} if _counted(list(found)) else {}
        numbered = numbered or {value: key for key, value in found.items()}
        if sorted(numbered) != list(range(len(numbered))) or len(numbered) != len(found):
            raise ValueError("classes are not numbered from 0")
        found = [numbered[number] for number in range(len(numbered))]
    # ImageNet's index has the synset's number before the word.
    names = [name if isinstance(name, str) else name[-1] for name in found]
    if not isinstance(found, Sequence) or isinstance(found, str) or not all(isinstance(name, str) for name in names):
        raise TypeError("names are not texts")
    return tuple(names)


def _counted(keys: Sequence[str]) -> bool:
    return all(key.isascii() and key.isdigit() for key in keys)
