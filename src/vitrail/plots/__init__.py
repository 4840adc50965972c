"""Arrays in, matplotlib figures out.

Every function is pure: it reads its arrays, touches no pyplot state, and returns a `Figure` that can be saved in any
format. Backgrounds are transparent, the palette (Okabe & Ito) is safe for colour-blind readers, and lines differ in
dash as well as in colour. Names are plain text: a `$` in a class name is a dollar sign.
"""

from vitrail.plots.charts import (
    comparison_curves,
    confusion_matrix,
    learning_rate,
    loss_over_steps,
    metric_curves,
    per_class,
    seed_values,
)
from vitrail.plots.pictures import as_colors, patch_vectors, patches, sample_sheet
from vitrail.plots.series import mean_and_spread, smooth, thin
from vitrail.plots.style import plain_text

__all__ = [
    "as_colors",
    "comparison_curves",
    "confusion_matrix",
    "learning_rate",
    "loss_over_steps",
    "mean_and_spread",
    "metric_curves",
    "patch_vectors",
    "patches",
    "per_class",
    "plain_text",
    "sample_sheet",
    "seed_values",
    "smooth",
    "thin",
]
