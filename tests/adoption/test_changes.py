"""What is changed on request: against timm's own changes, and where a picture must not notice."""

import dataclasses

import foreign
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from foreign import CLASSES, TIMM, adopt_with_report, hf_model, of_kind, pictures, timm_vit, torchvision_vit
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vitrail.adoption import adopt
from vitrail.adoption.changes import changed, resize_patches
from vitrail.adoption.sources import read
from vitrail.errors import InputError

CLOSE = {"atol": 1e-5, "rtol": 0}


@settings(max_examples=20, deadline=None)
@given(old=st.integers(2, 9), new=st.integers(2, 9), seed=st.integers(0, 99))
def test_patches_are_resized_as_timm_does(old, new, seed):
    weight = torch.randn(5, 3, old, old, generator=torch.Generator().manual_seed(seed))
    expected = foreign.timm.layers.resample_patch_embed(weight, [new, new])
    torch.testing.assert_close(resize_patches(weight, (new, new)), expected, atol=1e-4, rtol=1e-4)


@settings(max_examples=20, deadline=None)
@given(old=st.integers(2, 6), growth=st.integers(0, 6), seed=st.integers(0, 99))
def test_larger_patches_give_the_same_embeddings(old, growth, seed):
    """Beyer et al. (2023), section 3.4: where patches grow, resizing them and the weights changes nothing."""
    generator = torch.Generator().manual_seed(seed)
    weight, patches = torch.randn(5, 3, old, old, generator=generator), torch.randn(4, 3, old, old, generator=generator)
    larger = F.interpolate(patches, size=(old + growth, old + growth), mode="bicubic", antialias=True)
    resized = resize_patches(weight, (old + growth, old + growth))
    torch.testing.assert_close(resized.flatten(1) @ larger.flatten(1).T, weight.flatten(1) @ patches.flatten(1).T,
                               atol=1e-4, rtol=1e-4)  # fmt: skip


@pytest.mark.parametrize("kind", ["plain", "gap", "deit-iii", "class token unread"])
@pytest.mark.parametrize(
    ("image_size", "patch_size"), [((16, 48), None), (None, 16), ((48, 64), 4)], ids=["image", "patch", "both"]
)
@torch.no_grad()
def test_sizes_as_timm_changes_them(kind, image_size, patch_size):
    theirs = timm_vit(**TIMM[kind])
    ours, report = adopt_with_report(theirs, image_size=image_size, patch_size=patch_size)
    theirs.set_input_size(image_size, None if patch_size is None else (patch_size, patch_size))
    config = ours.model.config
    assert (config.size, config.patch_size) == (image_size or (32, 32), patch_size or 8)
    assert ours.preprocessing.image_size == config.size
    images = pictures(config.size)
    torch.testing.assert_close(ours.model(images), theirs(images), **CLOSE)
    assert len(of_kind(report, "resampled")) == (1 if patch_size is None else 2)


@torch.no_grad()
def test_positions_are_resampled_with_the_models_own_antialias():
    """Beforehand or while it runs: the same, for one model that has it and one that has not."""
    for kind, antialias in (("Dinov2Model", False), ("Dinov2WithRegistersModel", True)):
        theirs = hf_model(kind)
        ours = adopt(theirs, image_size=(16, 48)).model
        images = pictures((16, 48))
        assert ours.config.pos_antialias == antialias
        torch.testing.assert_close(ours(images), theirs(images).pooler_output, **CLOSE)


@pytest.mark.parametrize("build", [torchvision_vit, lambda: hf_model("ViTForImageClassification")], ids=["rgb", "half"])
def test_grey_pictures_keep_their_logits(build):
    """Through the whole of it, resizing included, and with a mean and std for each colour."""
    theirs = build()
    colour, grey = adopt(theirs), adopt(theirs, in_channels=1)
    pixels = np.random.default_rng(0).integers(0, 256, (4, 45, 60), dtype=np.uint8)
    as_rgb = [np.repeat(image[..., None], 3, axis=2) for image in pixels]
    assert grey.preprocessing.channels == grey.model.config.in_channels == 1
    torch.testing.assert_close(grey.logits(list(pixels)), colour.logits(as_rgb), **CLOSE)


def test_a_grey_model_sees_the_grey_of_colours():
    theirs = timm_vit(**TIMM["grey"])
    grey, colour = adopt(theirs), adopt(theirs, in_channels=3)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8))
    normalised = colour.preprocessing.normalize(torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None])
    luminance = torch.einsum("bchw,c->bhw", normalised, torch.tensor([0.299, 0.587, 0.114]))[:, None]
    torch.testing.assert_close(colour.logits(normalised), grey.logits(luminance), **CLOSE)
    with pytest.raises(InputError, match="only 3 to 1 and 1 to 3"):
        adopt(theirs, in_channels=2)


@pytest.mark.parametrize("head", ["linear", "tanh", "none"])
def test_another_number_of_classes_is_a_new_head_and_nothing_else(head):
    theirs = {
        "linear": timm_vit,
        "tanh": lambda: torchvision_vit(representation_size=foreign.WIDTH),
        "none": lambda: timm_vit(num_classes=0),
    }[head]()
    before, after = adopt(theirs), adopt(theirs, num_classes=4)
    assert after.class_names == ("class 0", "class 1", "class 2", "class 3")
    assert after.model.config.head == ("tanh" if head == "tanh" else "linear")
    last = "head.2" if head == "tanh" else "head.0"
    old, new = before.model.state_dict(), after.model.state_dict()
    assert {name for name in new if name not in old or not torch.equal(old[name], new[name])} == {
        f"{last}.weight", f"{last}.bias"
    }  # fmt: skip
    again = adopt(theirs, num_classes=4).model.state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in new.items())
    assert new[f"{last}.weight"].std() == pytest.approx(0.02, rel=0.2)


def test_the_conversion_report_says_all_of_it(capsys):
    theirs = timm_vit()
    ours, report = adopt_with_report(theirs, image_size=48, patch_size=16, in_channels=1, num_classes=3)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(report) + 2 <= 12
    assert [row.kind for row in report] == [
        "copied", "verified", "assumed", "resampled", "resampled", "summed", "dropped", "newly initialised"
    ]  # fmt: skip
    changed_tensors = {
        "patch_embed.proj.weight",
        "patch_embed.proj.bias",
        "positions.embed",
        "head.0.weight",
        "head.0.bias",
    }
    plain = [tensor for name, tensor in ours.model.state_dict().items() if name not in changed_tensors]
    assert (report[0].tensors, report[0].numbers) == (len(plain), sum(t.numel() for t in plain))
    assert "4 x 4 to 3 x 3" in "\n".join(lines)
    with pytest.raises(dataclasses.FrozenInstanceError):
        report[0].what = "another"


def test_a_change_to_what_it_is_changes_nothing():
    theirs = timm_vit()
    ours, report = adopt_with_report(theirs, image_size=32, patch_size=8, in_channels=3, num_classes=CLASSES)
    assert {row.kind for row in report} == {"copied", "verified", "assumed"}
    assert ours.model.config == adopt(theirs).model.config


def test_sizes_that_do_not_fit():
    theirs = timm_vit()
    with pytest.raises(InputError, match="not a multiple of patch_size 8: use an image height of 32 or 40"):
        adopt(theirs, image_size=36)
    with pytest.raises(InputError, match="not a multiple of patch_size 7"):
        adopt(theirs, patch_size=7)


def test_changes_leave_what_they_are_given():
    """`changed` is a function of its argument: the same model can be changed twice."""
    model = read(timm_vit())
    before = {name: tensor.clone() for name, tensor in model.tensors.items()}
    changed(model, (48, 48), 16, 1, 3)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.tensors.items())
