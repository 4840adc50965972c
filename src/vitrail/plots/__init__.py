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
from vitrail.plots.features import (
    cka_heatmap,
    feature_maps,
    logit_lens,
    patch_filters,
    token_colors,
    token_norms,
)
from vitrail.plots.findings import interval_dots, interval_lines
from vitrail.plots.heads import (
    attention_distance,
    class_dependence,
    head_entropy,
    head_offsets,
    head_similarity,
)
from vitrail.plots.maps import (
    attention_bar,
    attention_grid,
    map_row,
    overlay,
    rollout_map,
    training_frames,
    training_strip,
)
from vitrail.plots.pictures import as_colors, patch_vectors, patches, sample_sheet
from vitrail.plots.positions import (
    accuracy_by_moved,
    position_effect,
    position_similarity,
)
from vitrail.plots.reliability import reliability_diagram
from vitrail.plots.series import mean_and_std, smooth, thin
from vitrail.plots.trust import trust_chart

__all__ = [
    "accuracy_by_moved",
    "as_colors",
    "attention_bar",
    "attention_distance",
    "attention_grid",
    "cka_heatmap",
    "class_dependence",
    "comparison_curves",
    "confusion_matrix",
    "feature_maps",
    "head_entropy",
    "head_offsets",
    "head_similarity",
    "interval_dots",
    "interval_lines",
    "learning_rate",
    "logit_lens",
    "loss_over_steps",
    "map_row",
    "mean_and_std",
    "metric_curves",
    "overlay",
    "patch_filters",
    "patch_vectors",
    "patches",
    "per_class",
    "position_effect",
    "position_similarity",
    "reliability_diagram",
    "rollout_map",
    "sample_sheet",
    "seed_values",
    "smooth",
    "thin",
    "token_colors",
    "token_norms",
    "training_frames",
    "training_strip",
    "trust_chart",
]
