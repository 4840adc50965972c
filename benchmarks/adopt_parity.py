"""Whether an adopted model gives the logits of the original: the full-size models of every family.

    python benchmarks/adopt_parity.py [--out FILE] [--only NAME ...]

Weights are random, with noise on every parameter, so that nothing is downloaded and nothing agrees by chance; float32,
one image, at the native size and, where the library supports another, at one that is a coarser grid one way and a finer
one the other. Models are built one at a time (the largest needs 15 GB). For Google's .npz the reference is timm, which
loads the same file. Of models without a head the last hidden state is compared (timm: the features).

Where two float32 results differ by more than the limit, both are also compared with the original in float64: if each is
as far from that as they are from each other, the difference is rounding and not the conversion's.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import io
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vitrail import hardware
from vitrail.adoption import adopt
from vitrail.adoption.optional import optional

sys.path.append(str(Path(__file__).parents[1] / "tests" / "adoption"))

LIMIT = 1e-5
NOISE = 0.02

VIT = {
    **{f"vit_{size}_patch{patch}_224": "plain" for size, patches in
       {"tiny": (16,), "small": (8, 16, 32), "base": (8, 16, 32), "large": (14, 16, 32), "huge": (14,)}.items()
       for patch in patches},
}  # fmt: skip
TIMM = {
    **VIT,
    "vit_medium_patch16_gap_256": "gap",
    "vit_base_patch16_gap_224": "gap",
    "vit_base_patch16_reg4_gap_256": "gap, registers",
    "eva_large_patch14_196": "mean, class token unread",
    **{f"deit_{size}_patch16_224": "DeiT" for size in ("tiny", "small", "base")},
    **{f"deit_{size}_distilled_patch16_224": "DeiT, distilled" for size in ("tiny", "small", "base")},
    **{f"deit3_{size}_224": "DeiT-III" for size in ("small_patch16", "medium_patch16", "base_patch16")},
    **{f"deit3_{size}_224": "DeiT-III" for size in ("large_patch16", "huge_patch14")},
    **{f"vit_{size}_patch14_dinov2": "DINOv2" for size in ("small", "base", "large", "giant")},
    **{f"vit_{size}_patch14_reg4_dinov2": "DINOv2, registers" for size in ("small", "base", "large", "giant")},
}
_SMALL = {"hidden_size": 384, "num_attention_heads": 6}
_LARGE = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16}
_VIT_LARGE = {**_LARGE, "intermediate_size": 4096}
_GIANT = {"hidden_size": 1536, "num_hidden_layers": 40, "num_attention_heads": 24, "use_swiglu_ffn": True}
_DINO = {"image_size": 518, "patch_size": 14}
HUGGING_FACE: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("ViTForImageClassification", "ViTConfig", {}),
    ("ViTForImageClassification", "ViTConfig", {"patch_size": 32}),
    ("ViTForImageClassification", "ViTConfig", _VIT_LARGE),
    ("ViTModel", "ViTConfig", {}),
    ("DeiTForImageClassification", "DeiTConfig", {}),
    ("DeiTForImageClassificationWithTeacher", "DeiTConfig", {}),
    ("Dinov2ForImageClassification", "Dinov2Config", {**_DINO, **_SMALL}),
    ("Dinov2ForImageClassification", "Dinov2Config", _DINO),
    ("Dinov2ForImageClassification", "Dinov2Config", {**_DINO, **_LARGE}),
    ("Dinov2Model", "Dinov2Config", {**_DINO, **_GIANT}),
    ("Dinov2WithRegistersForImageClassification", "Dinov2WithRegistersConfig", _DINO),
    ("Dinov2WithRegistersForImageClassification", "Dinov2WithRegistersConfig", {**_DINO, **_LARGE}),
    ("Dinov2WithRegistersModel", "Dinov2WithRegistersConfig", {**_DINO, **_GIANT}),
)
TORCHVISION = ("vit_b_16", "vit_b_32", "vit_l_16", "vit_l_32", "vit_h_14")
NPZ = ("vit_tiny_patch16_224", "vit_base_patch16_224", "vit_base_patch32_224")


@dataclass(frozen=True)
class Case:
    """A family, a model, how the original is made, and what of its output is compared with which of ours."""

    family: str
    name: str
    build: Callable[[], nn.Module]
    outputs: Callable[[nn.Module, Tensor, bool], Tensor]
    resizable: bool = True
    tap: str = "logits"
    source: Callable[[nn.Module, Path], Any] = lambda model, folder: model


@dataclass(frozen=True)
class Row:
    family: str
    model: str
    parameters: int
    size: tuple[int, int]
    difference: float
    largest: float
    other_size: tuple[int, int] | None = None
    other_difference: float | None = None
    their_rounding: float | None = None
    """Of the original in float32, against itself in float64; where the difference is over the limit."""
    our_rounding: float | None = None
    """Of ours in float32, against the original in float64."""


def noisy(model: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=NOISE)
    return model.eval()


def cases(folder: Path) -> Iterator[Case]:
    timm, transformers, torchvision = (optional(name) for name in ("timm", "transformers", "torchvision"))

    def plainly(model: nn.Module, images: Tensor, native: bool) -> Tensor:
        return model(images)

    for name, family in TIMM.items():
        yield Case(f"timm {family}", name, lambda n=name: timm.create_model(n, dynamic_img_size=True), plainly)

    def hf_outputs(model: nn.Module, images: Tensor, native: bool) -> Tensor:
        asked = {} if native or "Dinov2" in type(model).__name__ else {"interpolate_pos_encoding": True}
        result = model(images, **asked)
        return result.logits if hasattr(result, "logits") else result.last_hidden_state

    for kind, config, values in HUGGING_FACE:

        def build(kind: str = kind, config: str = config, values: dict[str, Any] = values) -> nn.Module:
            return getattr(transformers, kind)(getattr(transformers, config)(num_labels=1000, **values))

        name = f"{values.get('hidden_size', 768)}/{values.get('patch_size', 16)}"
        tap = "norm" if kind.endswith("Model") else "logits"
        yield Case(f"Hugging Face {kind}", name, build, hf_outputs, tap=tap)
    for name in TORCHVISION:
        yield Case("torchvision", name, lambda n=name: getattr(torchvision.models, n)(), plainly, resizable=False)

    from foreign import google_arrays

    def as_npz(model: nn.Module, folder: Path) -> Path:
        import numpy as np

        np.savez(folder / "vit.npz", **google_arrays(model, "vit"))
        noisy(model)
        model.load_pretrained(str(folder / "vit.npz"))
        return folder / "vit.npz"

    for name in NPZ:
        build_npz = lambda n=name: timm.create_model(n, dynamic_img_size=True)  # noqa: E731
        yield Case("Google .npz", name, build_npz, plainly, source=as_npz)


def furthest(a: Tensor, b: Tensor) -> float:
    return (a - b).abs().max().item()


@torch.no_grad()
def compare(case: Case, folder: Path) -> Row:
    torch.manual_seed(0)
    theirs = noisy(case.build())
    source = case.source(theirs, folder)
    with contextlib.redirect_stdout(io.StringIO()):
        ours = adopt(source).model
    (height, width), patch = ours.config.size, ours.config.patch_size

    def outputs(size: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
        images = torch.randn(1, ours.config.in_channels, *size, generator=torch.Generator().manual_seed(1))
        found: dict[str, Tensor] = {}
        ours(images, tap=lambda name, tensor: found.setdefault(name, tensor) if name == case.tap else tensor)
        return images, found[case.tap], case.outputs(theirs, images, size == (height, width))

    images, found, expected = outputs((height, width))
    native = furthest(found, expected)
    other = (height - 2 * patch, width + patch) if case.resizable else None
    at_other = furthest(*outputs(other)[1:]) if other else None
    parameters = sum(parameter.numel() for parameter in theirs.parameters())
    rounding = (None, None)
    if native > LIMIT:
        exact = case.outputs(theirs.double(), images.double(), True)
        rounding = (furthest(expected, exact), furthest(found, exact))
    largest = expected.abs().max().item()
    return Row(case.family, case.name, parameters, (height, width), native, largest, other, at_other, *rounding)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "adopt-parity.json")
    parser.add_argument(
        "--only", nargs="*", default=[], help="words, one of which a model must contain; FILE keeps its other rows"
    )
    options = parser.parse_args()
    rows = []
    print(f"{'family':54} {'model':38} {'parameters':>13}  {'size':>9} {'difference':>10} {'largest':>8}  other size")
    with tempfile.TemporaryDirectory() as folder:
        for case in cases(Path(folder)):
            if options.only and not any(word in f"{case.family} {case.name}" for word in options.only):
                continue
            row = compare(case, Path(folder))
            rows.append(row)
            other = "-"
            if row.other_size:
                other = f"{row.other_size[0]} x {row.other_size[1]} {row.other_difference:10.1e}"
            size = f"{row.size[0]} x {row.size[1]}"
            print(f"{row.family:54} {row.model:38} {row.parameters:13,}  {size:>9} {row.difference:10.1e} "
                  f"{row.largest:8.2f}  {other}", flush=True)  # fmt: skip
            if row.their_rounding is not None:
                print(f"{'':56}against the original in float64: the original {row.their_rounding:.1e}, "
                      f"ours {row.our_rounding:.1e}", flush=True)  # fmt: skip
            gc.collect()
    worst = max(max(row.difference, row.other_difference or 0) for row in rows)
    print(f"largest difference of {len(rows)} models: {worst:.1e} (at most {LIMIT:.0e})")
    versions = {name: version(name) for name in ("torch", "timm", "transformers", "torchvision")}
    about = {"machine": hardware.describe(torch.device("cpu")), "versions": versions, "limit": LIMIT, "noise": NOISE}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    found = {(row.family, row.model): asdict(row) for row in rows}
    if options.only and options.out.exists():
        earlier = json.loads(options.out.read_text())["rows"]
        found = {(row["family"], row["model"]): row for row in earlier} | found
    options.out.write_text(json.dumps({**about, "rows": list(found.values())}, indent=2) + "\n")


if __name__ == "__main__":
    main()
