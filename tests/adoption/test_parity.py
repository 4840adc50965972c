"""The same logits as the original, for every family, at the native and at another size."""

import re

import foreign
import pytest
import torch
from foreign import (
    HF,
    TIMM,
    adopt_with_report,
    hf_model,
    hf_outputs,
    of_kind,
    pictures,
    sizes,
    timm_vit,
    torchvision_vit,
)
from safetensors.torch import save_file

import vitrail
from vitrail.adoption import adopt
from vitrail.classifier import Classifier
from vitrail.errors import InputError

CLOSE = {"atol": 1e-5, "rtol": 0}


def accounted(report):
    return sum(row.numbers for kind in ("copied", "summed", "dropped") for row in of_kind(report, kind))


@pytest.mark.parametrize("kind", TIMM)
@torch.no_grad()
def test_timm(kind):
    theirs = timm_vit(**TIMM[kind])
    ours, report = adopt_with_report(theirs)
    for size in sizes(ours.model.config.size):
        images = pictures(size, ours.model.config.in_channels)
        expected = theirs(images)
        assert expected.std() > 0.1
        torch.testing.assert_close(ours.model(images), expected, **CLOSE)
    assert accounted(report) == sum(tensor.numel() for tensor in theirs.state_dict().values())


@pytest.mark.parametrize("kind", HF)
@torch.no_grad()
def test_hugging_face(kind):
    theirs = hf_model(kind)
    ours, report = adopt_with_report(theirs)
    native = ours.model.config.size
    # Of positions of a rectangle, transformers can only use what it has.
    for size in sizes(native)[: 1 if "rectangle" in kind else 2]:
        images = pictures(size)
        expected = hf_outputs(theirs, images, size == native)
        assert expected.std() > 0.1
        found = {}
        logits = ours.model(images, tap=lambda name, tensor, found=found: found.setdefault(name, tensor))
        if expected.ndim == 3:
            torch.testing.assert_close(logits, expected[:, 0], **CLOSE)
            logits = found["norm"]
        torch.testing.assert_close(logits, expected, **CLOSE)
    assert accounted(report) == sum(tensor.numel() for tensor in theirs.state_dict().values())


@pytest.mark.parametrize("changes", [{}, {"representation_size": foreign.WIDTH}], ids=["linear head", "tanh head"])
@torch.no_grad()
def test_torchvision(changes):
    theirs = torchvision_vit(**changes)
    for head in theirs.heads.children():
        if isinstance(head, torch.nn.Linear):
            # torchvision starts with a head of zeros.
            torch.nn.init.normal_(head.weight, std=0.1)
    ours, report = adopt_with_report(theirs)
    images = pictures((32, 32))
    torch.testing.assert_close(ours.model(images), theirs(images), **CLOSE)
    assert accounted(report) == sum(tensor.numel() for tensor in theirs.state_dict().values())


@pytest.mark.parametrize("wrapped", [False, True])
@torch.no_grad()
def test_torchvision_with_a_head_of_ones_own(wrapped, tmp_path):
    """As tutorials replace it; bare or behind dropout."""
    theirs = torchvision_vit()
    head = torch.nn.Linear(foreign.WIDTH, 3)
    theirs.heads = torch.nn.Sequential(torch.nn.Dropout(0.1), head) if wrapped else head
    save_file(theirs.state_dict(), tmp_path / "a.safetensors")
    images = pictures((32, 32))
    for source in (theirs, tmp_path / "a.safetensors"):
        torch.testing.assert_close(adopt(source).model(images), theirs.eval()(images), **CLOSE)
    theirs.heads = torch.nn.Sequential(torch.nn.Linear(foreign.WIDTH, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3))
    with pytest.raises(InputError, match=r"heads\.2"):
        adopt(theirs)


@pytest.mark.parametrize(
    "build",
    [
        lambda: timm_vit(**TIMM["class token unread and unplaced"]),
        lambda: timm_vit(**TIMM["dinov2, swiglu"]),
        lambda: timm_vit(**TIMM["distilled"]),
        lambda: hf_model("Dinov2WithRegistersForImageClassification"),
        lambda: hf_model("ViTModel"),
        torchvision_vit,
    ],
    ids=["timm, registers", "timm, swiglu", "timm, distilled", "hf, registers", "hf, no head", "torchvision"],
)
def test_an_adopted_model_is_saved_and_loaded_like_any_other(build, tmp_path):
    ours = adopt(build())
    ours.save(tmp_path / "adopted")
    again = vitrail.load(tmp_path / "adopted")
    images = pictures((32, 48))
    assert torch.equal(again.logits(images), ours.logits(images))
    assert isinstance(again, Classifier)
    assert (again.preprocessing, again.class_names) == (ours.preprocessing, ours.class_names)
    assert again.model.config == ours.model.config


def test_it_is_a_copy_in_float32():
    theirs = timm_vit().to(torch.bfloat16).train()
    ours = adopt(theirs).model
    before = {name: tensor.clone() for name, tensor in ours.state_dict().items()}
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.zero_()
    assert not ours.training
    assert all(tensor.dtype == torch.float32 for tensor in before.values())
    assert all(torch.equal(tensor, before[name]) for name, tensor in ours.state_dict().items())


@torch.no_grad()
def test_attention_weights_are_those_of_hugging_face():
    theirs = hf_model("ViTForImageClassification", attn_implementation="eager")
    ours = adopt(theirs)
    images = pictures((32, 32))
    expected = torch.stack(theirs(images, output_attentions=True).attentions, dim=1)
    torch.testing.assert_close(vitrail.inspect(ours, images).attention(), expected, **CLOSE)


def test_what_differs_between_checkpoints_is_carried():
    hf = adopt(hf_model("ViTForImageClassification")).model.config
    assert (hf.norm_eps, hf.pos_antialias) == (1e-12, False)
    registers = adopt(hf_model("Dinov2WithRegistersModel")).model.config
    assert (registers.norm_eps, registers.pos_antialias, registers.num_registers) == (1e-6, True, 4)
    assert registers.mlp == "swiglu"
    assert adopt(hf_model("Dinov2ForImageClassification")).model.config.readout == ("cls", "mean")
    deit = adopt(hf_model("DeiTForImageClassification")).model.config
    assert (deit.readout, deit.num_registers) == (("cls",), 1)
    timm = adopt(timm_vit(**TIMM["deit-iii"])).model.config
    assert (timm.norm_eps, timm.pos_antialias, timm.pos_prefix) == (1e-6, True, False)
    assert timm.layer_scale is not None


class TestWhatIsNotKnown:
    """Is named, beside what is known, before any of it is used."""

    @pytest.mark.parametrize(
        ("changes", "found"),
        [
            ({"act_layer": "quick_gelu"}, "QuickGELU"),
            ({"act_layer": "gelu_tanh"}, "GELUTanh"),
            ({"pre_norm": True}, "norm_pre"),
            ({"qk_norm": True}, "normalised queries and keys"),
            ({"scale_attn_norm": True}, "attn.norm"),
            ({"scale_mlp_norm": True}, "mlp.norm"),
            ({"global_pool": "map"}, "attention pooling"),
            ({"global_pool": "avgmax"}, "avgmax"),
            ({"global_pool": "avg", "pool_include_prefix": True}, "those before the patches too"),
            ({"final_norm": False}, "last norm"),
            ({"norm_layer": "rmsnorm"}, "RmsNorm"),
            ({"patch_size": (8, 4)}, "patches of 8 x 4"),
            ({"in_chans": 4}, "4 channels"),
            ({"block_fn": foreign.timm.models.vision_transformer.ParallelThingsBlock}, "ParallelThingsBlock"),
            ({"block_fn": foreign.timm.models.vision_transformer.ResPostBlock}, "ResPostBlock"),
        ],
    )
    def test_of_timm(self, changes, found):
        with pytest.raises(InputError, match=f"{re.escape(found)}.*known are timm's"):
            adopt(timm_vit(**changes))

    def test_parts_that_differ_within_a_model(self):
        for part, name, value in [("norm1", "eps", 1e-3), ("mlp", "act", torch.nn.ReLU())]:
            theirs = timm_vit()
            setattr(getattr(theirs.blocks[1], part), name, value)
            with pytest.raises(InputError, match=r"several kinds|ReLU"):
                adopt(theirs)

    @pytest.mark.parametrize(
        ("changes", "found"),
        [
            ({"hidden_act": "quick_gelu"}, "quick_gelu"),
            ({"patch_size": [8, 4]}, r"patches of \(8, 4\)"),
            ({"head_dim": 16}, "3 heads of 16"),
        ],
    )
    def test_of_hugging_face(self, changes, found):
        _, values = HF["ViTForImageClassification"]
        config = foreign.transformers.ViTConfig(**{**values, **changes})
        with pytest.raises(InputError, match=f"{found}.*known are timm's"):
            adopt(foreign.transformers.ViTForImageClassification(config))

    def test_other_models(self):
        class Mine(foreign.VisionTransformer):
            pass

        config = foreign.transformers.BeitConfig(
            hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=32
        )
        others = {
            "Mine": Mine(img_size=32, patch_size=8, embed_dim=32, depth=1, num_heads=2),
            "torch.nn.modules.linear.Linear": torch.nn.Linear(2, 2),
            "BeitModel": foreign.transformers.BeitModel(config),
            "ViTForMaskedImageModeling": foreign.transformers.ViTForMaskedImageModeling(
                foreign.transformers.ViTConfig(**HF["ViTModel"][1], encoder_stride=8)
            ),
            "conv_stem_configs": foreign.torchvision.models.VisionTransformer(
                32, 8, 1, 2, 32, 32, conv_stem_configs=[
                    foreign.torchvision.models.vision_transformer.ConvStemConfig(8, 3, 8)
                ]
            ),
        }  # fmt: skip
        for found, model in others.items():
            with pytest.raises(InputError, match=f"{found}.*known are timm's"):
                adopt(model)

    def test_a_head_count_that_contradicts_the_model(self):
        with pytest.raises(InputError, match="3 attention heads, not 6"):
            adopt(timm_vit(), num_heads=6)
