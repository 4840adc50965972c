"""Train Vision Transformers on your own images, compare them fairly with a CNN, and see what they look at.

```python
import vitrail

run = vitrail.train("path/to/images")
classifier = vitrail.load(run.directory)
classifier.predict("photo.jpg")
```
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vitrail.adoption import adopt
    from vitrail.classifier import Classifier, load
    from vitrail.experiments.comparison import compare
    from vitrail.experiments.explaining import explain, measure_faithfulness
    from vitrail.experiments.run import train
    from vitrail.inspection.attribution import attribute
    from vitrail.inspection.capture import Capture, inspect
    from vitrail.studies.conduct import study

__all__ = [
    "Capture",
    "Classifier",
    "adopt",
    "attribute",
    "compare",
    "explain",
    "inspect",
    "load",
    "measure_faithfulness",
    "study",
    "train",
]

_HOMES = {
    "Capture": "inspection.capture",
    "Classifier": "classifier",
    "adopt": "adoption",
    "attribute": "inspection.attribution",
    "compare": "experiments.comparison",
    "explain": "experiments.explaining",
    "inspect": "inspection.capture",
    "load": "classifier",
    "measure_faithfulness": "experiments.explaining",
    "study": "studies.conduct",
    "train": "experiments.run",
}


def __getattr__(name: str) -> Any:
    """Import on first use: `import vitrail` alone stays cheap."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"vitrail.{_HOMES[name]}"), name)
