"""The pixels that an adopted model sees are those of the original's own transform."""

import json

import foreign
import numpy as np
import pytest
import torch
from foreign import hf_model, timm_vit
from PIL import Image

from vitrail.adoption import adopt
from vitrail.adoption.optional import optional

SIZES = [
    *((640, 427), (427, 640), (500, 375), (333, 500), (1024, 683), (80, 61), (57, 56), (30, 22), (22, 30), (128, 72)),
    *((71, 128), (231, 410), (401, 399), (32, 32), (33, 32), (35, 36), (512, 341), (97, 211), (640, 425), (100, 33)),
]


def picture(width: int, height: int) -> Image.Image:
    """Edges and noise, on which a shift by a pixel shows."""
    rng = np.random.default_rng(width)
    ramp = np.add.outer(np.arange(height) * 7, np.arange(width) * 3)[..., None] * np.array([1, 2, 3])
    return Image.fromarray((ramp % 256 // 2 + rng.integers(0, 128, (height, width, 3))).astype(np.uint8))


def off(ours, transformed, image) -> float:
    """The mean difference, of 255."""
    std = torch.tensor(ours.preprocessing.std)[:, None, None]
    return float(((ours.prepare(image)[0] - transformed) * std).abs().mean()) * 255


@pytest.mark.parametrize(
    "changes", [{}, {"crop_pct": 0.875}, {"crop_pct": 1.0, "interpolation": "bilinear"}, {"crop_mode": "squash"}]
)
@pytest.mark.parametrize("size", [(32, 32), (24, 40)])
def test_timm(changes, size):
    theirs = timm_vit(img_size=size)
    cfg = {"input_size": (3, *size), "interpolation": "bicubic", "crop_pct": 0.9, "mean": (0.5,) * 3, "std": (0.5,) * 3}
    theirs.pretrained_cfg = {**cfg, **changes}
    transform = optional("timm.data").create_transform(**theirs.pretrained_cfg)
    ours = adopt(theirs)
    assert max(off(ours, transform(picture(*of)), picture(*of)) for of in SIZES) < 0.01


@pytest.mark.parametrize("kind", ["Bit", "ViT", "DeiT"])
@pytest.mark.parametrize("backend", ["Pil", ""])
def test_hugging_face(kind, backend, tmp_path):
    size = {"shortest_edge": 36} if kind == "Bit" else {"height": 36, "width": 36}
    crop = {} if kind == "ViT" else {"crop_size": {"height": 32, "width": 32}}
    processor = getattr(foreign.transformers, f"{kind}ImageProcessor{backend}")(size=size, **crop)
    processor.save_pretrained(tmp_path)
    hf_model("ViTForImageClassification").save_pretrained(tmp_path)
    assert json.loads((tmp_path / "preprocessor_config.json").read_text())["size"]
    ours = adopt(tmp_path)
    images = [picture(*of) for of in SIZES]
    apart = [off(ours, processor(image, return_tensors="pt")["pixel_values"][0], image) for image in images]
    assert max(apart) < (0.01 if backend else 1)


def test_a_photograph_is_not_decoded_in_a_hurry(tmp_path):
    """Path, image and array: the same, where our own training would take a smaller decoding of a large JPEG."""
    picture(640, 427).save(tmp_path / "a.jpg", quality=95)
    ours = adopt(timm_vit())
    opened = Image.open(tmp_path / "a.jpg")
    from_path, from_image = ours.prepare(tmp_path / "a.jpg"), ours.prepare(opened)
    assert torch.equal(from_path, from_image)
    assert torch.equal(from_path, ours.prepare(np.asarray(opened)))
