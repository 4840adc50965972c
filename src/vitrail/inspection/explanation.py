"""All that is shown of one image: the prediction, where the model looks, what decides, and whether to believe that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy import ndarray

from vitrail.classifier import Classifier, Precision
from vitrail.inspection import attention, features, positions
from vitrail.inspection.attribution import Method, apply, enlarged
from vitrail.inspection.capture import Capture, inspect
from vitrail.inspection.measuring import order_gap
from vitrail.progress import track

_CHANNELS = 8
"""Of a ViT's tokens, that are shown as maps."""


@dataclass(frozen=True, eq=False)
class Explanation:
    """One image. What only a ViT has is None or empty for a CNN, and the other way round."""

    name: str
    """What the image is called."""
    image: UInt8[ndarray, "c h w"]
    """As the model sees it, before it is normalised."""
    probabilities: Float[ndarray, " class"]
    target: int
    """The class that is explained."""
    methods: tuple[str, ...]
    maps: Float[ndarray, "method height width"]
    """Attribution to the target, at the image's size."""
    trust: Float[ndarray, " method"]
    """LeRF minus MoRF on this image: how much longer the target's probability lasts when the cells that matter least
    go first than when those that matter most do. Random order gives 0."""
    attention: Float[ndarray, "layer head row column"] | None = None
    """Class attention: a share of each head's attention for every patch."""
    rollout: Float[ndarray, "row column"] | None = None
    lens: Float[ndarray, "depth class"] | None = None
    """Probabilities if the head read the tokens as embedded, and after every block."""
    token_colors: Float[ndarray, "depth row column 3"] | None = None
    token_norms: Float[ndarray, "depth token"] | None = None
    outliers: tuple[tuple[int, int], ...] = ()
    """Depth and token of those far longer than the others of their depth."""
    token_names: tuple[str, ...] = ()
    """Of the tokens before the patches."""
    shuffled: UInt8[ndarray, "c h w"] | None = None
    """The image with all patches moved ..."""
    shuffled_probabilities: Float[ndarray, " class"] | None = None
    """... and what the model predicts then."""
    features: tuple[Float[ndarray, "_ _ _"], ...] = ()
    """(channel, row, column): all of a CNN after every stage, some of a ViT as embedded and after every block."""
    channels: int | None = None
    """How many a ViT has."""

    def arrays(self) -> dict[str, ndarray]:
        """Every array by name, the maps each under its method's name: what `np.savez` takes."""
        fixed = {n: v for n, v in vars(self).items() if isinstance(v, ndarray) and n not in ("maps", "trust")}
        maps = {f"attribution_{m.replace('-', '_')}": a for m, a in zip(self.methods, self.maps, strict=True)}
        return {**fixed, **maps, "trust": self.trust, **{f"features_{i}": a for i, a in enumerate(self.features)}}


def explain(
    classifier: Classifier,
    images: UInt8[ndarray, "n c h w"],
    names: Sequence[str],
    methods: Sequence[Method],
    target: int | None = None,
    precision: Precision = "fp32",
    seed: int = 0,
) -> list[Explanation]:
    """Explain images one by one: what is made on the way is dropped, what is shown is kept for all of them.

    Args:
        classifier: a ViT or a CNN.
        images: pixels at the model's size.
        names: what each is called.
        methods: of attribution, from `attribution.methods_for(classifier.model)`.
        target: the class to explain; the predicted one of each image by default.
        precision: of the passes that measure trust, and of the attribution; see `attribution.apply`.
        seed: of the random control and of the order of shuffled patches.
    """
    found = []
    with track("Explaining", len(images) * (len(methods) + 1), "maps") as advance:
        for i, (pixels, name) in enumerate(zip(images, names, strict=True)):
            inputs = classifier.preprocessing.normalize(torch.from_numpy(pixels)[None])
            capture = inspect(classifier.model, inputs)
            probabilities = (capture.logits / classifier.temperature).softmax(dim=-1)
            chosen = capture.logits.argmax(dim=1) if target is None else torch.tensor([target])
            maps, trust = [], []
            for method in methods:
                found_map = apply(method, classifier.model, inputs, chosen, seed + i, precision)
                trust.append(float(order_gap(classifier.model, inputs, chosen, found_map, precision, seed)[0]))
                maps.append(enlarged(found_map, (pixels.shape[-2], pixels.shape[-1])))
                advance()
            if "tokens" in classifier.model.config.has:
                of_kind = _of_tokens(classifier, capture, pixels, seed + i)
            else:
                of_kind = {"features": tuple(stage[0].numpy() for stage in capture.features)}
            advance()
            found.append(
                Explanation(
                    name=name,
                    image=pixels,
                    probabilities=probabilities[0].numpy(),
                    target=int(chosen),
                    methods=tuple(method.name for method in methods),
                    maps=torch.cat(maps).numpy(),
                    trust=np.array(trust, np.float32),
                    **of_kind,  # type: ignore[arg-type]
                )
            )
    return found


def _of_tokens(
    classifier: Classifier, capture: Capture, pixels: UInt8[ndarray, "c h w"], seed: int
) -> dict[str, object]:
    grid, tokens = capture.grid, capture.tokens
    norms = features.token_norms(tokens)
    moved: dict[str, object] = {}
    if grid.num_patches > 1:
        shuffled = positions.shuffle_patches(torch.from_numpy(pixels)[None], grid.patch_size, seed=seed)
        moved["shuffled"] = shuffled[0].numpy()
        moved["shuffled_probabilities"] = classifier.predict(classifier.preprocessing.normalize(shuffled))[0].numpy()
    return {
        "attention": capture.class_attention()[0].numpy(),
        "rollout": attention.readout_row(capture.rollout(), classifier.model.config.readout, grid)[0].numpy(),
        "lens": (features.logit_lens(classifier, tokens)[0] / classifier.temperature).softmax(dim=-1).numpy(),
        "token_colors": features.token_pca(tokens, grid)[0].numpy(),
        "features": tuple(grid.patches(tokens[0].mT[:, :_CHANNELS]).numpy()),
        "channels": tokens.shape[-1],
        "token_norms": norms[0].numpy(),
        # As embedded, before any attention, a token holds nothing but its patch.
        "outliers": tuple((o.layer, o.token) for o in features.outlier_tokens(norms, grid) if o.layer > 0),
        "token_names": grid.prefix,
        **moved,
    }
