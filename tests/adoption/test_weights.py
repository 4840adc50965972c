"""Checkpoints as training code writes them: what wraps the weights is taken off, accounted for, or named."""

import argparse
import re

import numpy as np
import pytest
import torch
from foreign import CLASSES, adopt_with_report, of_kind, pictures, timm_vit
from safetensors.torch import save_file

from vitrail.adoption import adopt
from vitrail.adoption.weights import read_weights
from vitrail.errors import InputError


@pytest.fixture(scope="module")
def theirs():
    return timm_vit()


@pytest.fixture
def state(theirs):
    return {name: tensor.clone() for name, tensor in theirs.state_dict().items()}


def behind(prefix, state):
    return {prefix + name: tensor for name, tensor in state.items()}


def spoiled(state):
    return {name: tensor + 1 for name, tensor in state.items()}


@torch.no_grad()
def same(ours, theirs):
    images = pictures((32, 32))
    torch.testing.assert_close(ours.model(images), theirs(images), atol=1e-5, rtol=0)


def safe(path, tensors):
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return path


@pytest.mark.parametrize("prefix", ["module.", "model.", "_orig_mod.", "backbone.", "_orig_mod.module.model.", "net."])
def test_a_prefix_common_to_all_names(prefix, state, theirs, tmp_path):
    ours, report = adopt_with_report(safe(tmp_path / "a.safetensors", behind(prefix, state)))
    same(ours, theirs)
    left = prefix.replace("_orig_mod.", "")
    assert any(repr(left) in str(row) for row in report) or not left


def test_compiled_blocks(state, theirs, tmp_path):
    names = {re.sub(r"^(blocks\.\d+)", r"\1._orig_mod", name): tensor for name, tensor in state.items()}
    same(adopt(safe(tmp_path / "a.safetensors", names)), theirs)


CHECKPOINTS = {
    "model_state_dict": lambda state: {"epoch": 1, "model_state_dict": state, "optimizer_state_dict": {"state": {}}},
    "timm's .pth.tar": lambda state: {
        "arch": "vit_tiny_patch16_224", "state_dict": spoiled(state), "state_dict_ema": state, "optimizer": {},
        "args": argparse.Namespace(lr=0.1), "metric": np.float64(7), "version": 2,
    },
    "Lightning": lambda state: {
        "state_dict": {**behind("model.", state), "criterion.weight": torch.ones(3)}, "hyper_parameters": {"lr": 0.1},
    },
    "DINO": lambda state: {
        "student": behind("module.backbone.", spoiled(state)), "epoch": 3,
        "teacher": {**behind("backbone.", state), "head.mlp.0.weight": torch.ones(2, 2)},
    },
    "DINOv2": lambda state: {
        "model": {
            **behind("student.backbone.", spoiled(state)), "dino_loss.center": torch.ones(2),
            **{re.sub(r"(blocks)\.(\d)", r"\1.0.\2", "teacher.backbone." + name): of for name, of in state.items()},
            **{f"{of}.dino_head.mlp.0.weight": torch.ones(2, 2) for of in ("student", "teacher")},
        },
    },
    "student and teacher": lambda state: {**behind("student.", spoiled(state)), **behind("teacher.", state)},
    "weight averaging": lambda state: {**behind("module.", state), "n_averaged": torch.tensor(3)},
}  # fmt: skip
TAKEN = {
    "timm's .pth.tar": "state_dict_ema",
    "DINO": "teacher",
    "student and teacher": "teacher.",
    "DINOv2": "teacher.backbone.",
}


@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_checkpoints(kind, state, theirs, tmp_path):
    path = tmp_path / "checkpoint.pth.tar"
    torch.save(CHECKPOINTS[kind](state), path)
    ours, report = adopt_with_report(path, allow_pickle=True)
    same(ours, theirs)
    chosen = [str(row) for row in of_kind(report, "assumed") if "of the models in the file" in str(row)]
    assert [repr(TAKEN[kind]) in row for row in chosen] == ([True] if kind in TAKEN else [])
    assert of_kind(report, "dropped")


def test_the_decoder_of_a_masked_autoencoder(tmp_path):
    theirs = timm_vit(num_classes=0)
    decoder = {
        "mask_token": torch.ones(1, 1, 8),
        "decoder_embed.weight": torch.ones(8, 8),
        "decoder_pos_embed": torch.ones(1),
    }
    ours, report = adopt_with_report(safe(tmp_path / "a.safetensors", {**theirs.state_dict(), **decoder}))
    same(ours, theirs)
    assert sum(row.tensors for row in of_kind(report, "dropped")) == 3


class Own:
    pass


@pytest.mark.parametrize(
    ("value", "named"), [(Own(), r"test_weights\.Own"), (torch.nn.Linear(2, 2), r"torch\.nn\.modules\.linear\.Linear")]
)
@pytest.mark.parametrize("whole", [True, False])
def test_what_is_more_than_tensors_is_named_in_one_line(value, named, whole, tmp_path):
    torch.save(value if whole else {"model": {}, "config": value}, tmp_path / "a.pth")
    with pytest.raises(InputError, match=rf"holds a {named}.*torch\.save\(model\.state_dict\(\)") as error:
        adopt(tmp_path / "a.pth", allow_pickle=True)
    assert str(error.value).isprintable()
    assert "weights_only" not in str(error.value)


def test_programs_and_damage(tmp_path, recwarn):
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)), tmp_path / "a.pt")
    (tmp_path / "b.pt").write_bytes(b"garbage")
    torch.save([torch.zeros(2)], tmp_path / "c.pt")
    torch.save({"state_dict": {"a": torch.zeros(2), "b": 3}}, tmp_path / "d.pt")
    recwarn.clear()
    for name, message in [("a", "TorchScript"), ("b", "damaged"), ("c", "holds a list"), ("d", "b is a int")]:
        with pytest.raises(InputError, match=message) as error:
            adopt(tmp_path / f"{name}.pt", allow_pickle=True)
        assert str(error.value).isprintable()
    assert not recwarn.list


def test_what_a_larger_module_holds_beside_the_model(state, tmp_path):
    """A head of one's own is not the ViT's: left out, the answers would be others."""
    path = tmp_path / "a.safetensors"
    for beside, message in [
        ({"classifier.weight": torch.ones(3, CLASSES)}, r"beside the model under 'backbone\.', has classifier\.weight"),
        (behind("encoder_k.", spoiled(state)), r"several models \(backbone\., encoder_k\.\)"),
    ]:
        with pytest.raises(InputError, match=message):
            adopt(safe(path, {**behind("backbone.", state), **beside}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"blocks.0.attn.qkv.weight": torch.ones(576, 192, dtype=torch.int8)}, "as int8, so it is quantised"),
        ({"norm.weight": torch.full((192,), torch.inf)}, r"norm\.weight that are not finite"),
        ({"blocks.0.attn.qkv.lora_A.weight": torch.ones(2, 192)}, "LoRA: merge it"),
        ({"blocks.0.attn.qkv.weight_scale": torch.ones(2)}, "quantised weights"),
        ({"blocks.0.mlp.fc1.parametrizations.weight.original0": torch.ones(2)}, "weights in parts"),
    ],
)
def test_weights_that_are_not_plain_numbers(changes, message, state, tmp_path):
    with pytest.raises(InputError, match=message):
        adopt(safe(tmp_path / "a.safetensors", {**state, **changes}))


def test_half_precision_is_read_as_it_is(state, tmp_path):
    halves = {name: tensor.half() for name, tensor in state.items()}
    found, _ = read_weights(safe(tmp_path / "a.safetensors", halves), allow_pickle=False)
    assert all(torch.equal(tensor, halves[name].float()) for name, tensor in found.items())
    assert all(tensor.dtype == torch.float32 for tensor in found.values())
