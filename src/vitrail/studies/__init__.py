"""Claims of the literature, each a controlled experiment: one file for a claim, and `conduct` to carry it out."""

from __future__ import annotations

from vitrail.studies import (
    ablation,
    attention_distance,
    attention_on_object,
    compute,
    convergence,
    data_size,
    heads,
    hierarchy,
    hybrid,
    patch_size,
    position_similarity,
    positions,
    regularisation,
    scaling,
    translation,
)
from vitrail.studies.study import Study

STUDIES: dict[str, Study] = {
    "data-size": data_size.STUDY,
    "convergence": convergence.STUDY,
    "compute": compute.STUDY,
    "scaling": scaling.STUDY,
    "positions": positions.STUDY,
    "position-similarity": position_similarity.STUDY,
    "attention-distance": attention_distance.STUDY,
    "attention-on-object": attention_on_object.STUDY,
    "hierarchy": hierarchy.STUDY,
    "heads": heads.STUDY,
    "translation": translation.STUDY,
    "patch-size": patch_size.STUDY,
    "hybrid": hybrid.STUDY,
    "regularisation": regularisation.STUDY,
    "ablation": ablation.STUDY,
}
