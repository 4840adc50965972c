import gc
import subprocess
import sys

import numpy as np
import pytest
import torch
from planted import biased_vit, small_cnn, small_vit

import vitrail
from vitrail.classifier import Classifier
from vitrail.data.preprocessing import Preprocessing
from vitrail.errors import InputError
from vitrail.inspection import attention

KINDS = {
    "class token": {},
    "mean": {"readout": ("mean",)},
    "distilled": {"readout": ("cls", "dist")},
    "registers": {"num_registers": 3},
    "registers, mean": {"num_registers": 3, "readout": ("mean",)},
    "rectangle": {"image_size": (8, 16)},
    "model scale, qk norm": {"attention_scale": "model", "qk_norm": True},
    "swiglu, last norm behind": {"mlp": "swiglu", "final_norm": "readout", "readout": ("cls", "mean")},
    "no head": {"head": "none", "num_classes": 16},
}


@pytest.fixture(params=KINDS.values(), ids=KINDS.keys())
def vit(request):
    return small_vit(**request.param)


def images_for(model, batch=4):
    return torch.randn(batch, 3, *model.config.size, generator=torch.Generator().manual_seed(1))


def test_logits_are_bit_identical_with_and_without_capture(vit):
    images = images_for(vit)
    with torch.no_grad():
        assert torch.equal(vitrail.inspect(vit, images, hidden=True).logits, vit(images))


@pytest.mark.parametrize("changes", [{}, {"readout": ("mean",), "num_registers": 2}], ids=["class token", "mean"])
def test_attention_is_reported_as_the_model_computes_it(changes):
    model = biased_vit(**changes)
    capture = vitrail.inspect(model, images_for(model))
    used = torch.stack([block.attn.used for block in model.blocks], dim=1)
    assert torch.equal(capture.attention(), used)
    torch.testing.assert_close(capture.attention(-1, [1]), used[:, 2:, 1:])
    torch.testing.assert_close(used @ capture.v, capture.z)
    rows = used[:, :, :, 0] if "readout" not in changes else used[:, :, :, 2:].mean(dim=3)
    torch.testing.assert_close(capture.class_attention(heads=[1, 0]), capture.grid.patches(rows)[:, :, [1, 0]])
    torch.testing.assert_close(capture.rollout(), attention.rollout(used.transpose(0, 1)))
    plain = small_vit(**changes)
    assert not torch.allclose(vitrail.inspect(plain, images_for(plain)).attention(), used, atol=0.1)


def test_everything_has_the_shape_that_is_promised(vit):
    config, images = vit.config, images_for(vit)
    capture = vitrail.inspect(vit, images, hidden=True)
    grid, (h, w) = capture.grid, config.grid
    tokens = h * w + sum(token in config.readout for token in ("cls", "dist")) + config.num_registers
    assert (grid.height, grid.width, grid.num_tokens, grid.patch_size) == (h, w, tokens, 4)
    assert capture.tokens.shape == (4, 4, tokens, 16)
    for name in "qkvz":
        assert getattr(capture, name).shape == (4, 3, 2, tokens, 8)
    assert capture.hidden.shape == (4, 3, tokens, 24)
    assert capture.attention().shape == (4, 3, 2, tokens, tokens)
    assert capture.attention(-1, [1]).shape == (4, 1, 1, tokens, tokens)
    assert capture.class_attention(layers=[0, 2]).shape == (4, 2, 2, h, w)
    assert capture.rollout().shape == (4, tokens, tokens)
    assert capture.attention_distance().shape == (3, 2)
    assert capture.logits.shape == (4, config.num_classes)


def naive_weights(block, x, heads):
    """Attention weights by loops over images and heads, in double precision."""
    attention = block.attn
    weight, bias = attention.qkv.weight.double(), attention.qkv.bias.double()
    x = torch.nn.functional.layer_norm(x.double(), (16,), block.norm1.weight.double(), block.norm1.bias.double(), 1e-6)
    weights = torch.empty(len(x), heads, x.shape[1], x.shape[1])
    for i in range(len(x)):
        for h in range(heads):
            q, k = (x[i] @ weight[at + h * 8 :][:8].T + bias[at + h * 8 :][:8] for at in (0, 16))
            if attention.q_norm.__class__.__name__ == "QKNorm":
                q, k = (t - t.mean(dim=-1, keepdim=True) for t in (q, k))
                q, k = (t / (t.square().mean(dim=-1, keepdim=True) + 1e-5).sqrt() for t in (q, k))
                q, k = q * attention.q_norm.weight, k * attention.k_norm.weight
            scores = torch.exp(q @ k.T * attention.scores["scale"])
            weights[i, h] = scores / scores.sum(dim=-1, keepdim=True)
    return weights


def test_weights_are_those_of_naive_maths(vit):
    capture = vitrail.inspect(vit, images_for(vit))
    found, tokens = capture.attention(), capture.tokens
    assert torch.allclose(found.sum(dim=-1), torch.ones(()), atol=1e-6)
    for i, block in enumerate(vit.blocks):
        assert torch.allclose(found[:, i], naive_weights(block, tokens[:, i], 2), atol=1e-5)


def test_tokens_lead_from_the_embedding_to_the_logits(vit):
    images = images_for(vit)
    capture = vitrail.inspect(vit, images)
    with torch.no_grad():
        assert torch.equal(capture.tokens[:, 0], vit.embed(images))
        for i, block in enumerate(vit.blocks):
            assert torch.allclose(block(capture.tokens[:, i]), capture.tokens[:, i + 1], atol=1e-6)
        assert torch.allclose(vit.classify(capture.tokens[:, -1]), capture.logits, atol=1e-6)


def test_one_layer_and_head_are_those_of_all(vit):
    capture = vitrail.inspect(vit, images_for(vit))
    assert torch.allclose(capture.attention([2, 0], -1), capture.attention()[:, [2, 0]][:, :, [1]], atol=1e-6)
    assert torch.allclose(capture.class_attention(1, 0), capture.class_attention()[:, [1]][:, :, [0]], atol=1e-6)


def test_class_attention_is_the_row_of_the_class_token_or_the_mean_of_all_patches(vit):
    capture = vitrail.inspect(vit, images_for(vit))
    weights, grid = capture.attention(), capture.grid
    rows = weights[:, :, :, 0] if "class" in grid.prefix else weights[:, :, :, grid.num_prefix :].mean(dim=3)
    assert torch.allclose(capture.class_attention().flatten(3), rows[..., grid.num_prefix :], atol=1e-6)


def test_a_batch_equals_its_images_one_by_one(vit):
    images = images_for(vit, 32)
    together = vitrail.inspect(vit, images)
    for i in (0, 13, 31):
        alone = vitrail.inspect(vit, images[i : i + 1])
        for name in ("logits", "tokens", "q", "z"):
            assert torch.allclose(getattr(alone, name)[0], getattr(together, name)[i], atol=1e-5)
        assert torch.allclose(alone.attention()[0], together.attention()[i], atol=1e-5)
        assert torch.allclose(alone.rollout()[0], together.rollout()[i], atol=1e-5)


def test_an_image_of_another_size_has_its_own_grid():
    model = small_vit(num_registers=1)
    capture = vitrail.inspect(model, torch.randn(2, 3, 8, 20))
    assert (capture.grid.height, capture.grid.width) == (2, 5)
    assert capture.class_attention().shape == (2, 3, 2, 2, 5)
    with pytest.raises(InputError, match="10 x 12 cannot be cut into patches of 4"):
        vitrail.inspect(model, torch.randn(2, 3, 10, 12))


@pytest.mark.parametrize("build", [small_vit, small_cnn])
def test_the_model_is_left_as_it_was(build):
    model = build()
    model.train()
    next(iter(model.children())).eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    vitrail.inspect(model, images_for(model))
    for method in ("grad-cam", "occlusion"):
        vitrail.attribute(model, images_for(model), method)
    assert [module.training for module in model.modules()] == modes
    assert not any(module._forward_hooks or module._backward_hooks for module in model.modules())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_memory_does_not_grow_with_the_images_seen():
    model = small_vit()
    images = images_for(model, 10)

    def tensors_alive():
        gc.collect()
        return sum(issubclass(type(o), torch.Tensor) for o in gc.get_objects())

    def look():
        capture = vitrail.inspect(model, images)
        return capture.rollout().sum() + vitrail.attribute(model, images, "relevancy").sum()

    look()
    before = tensors_alive()
    for _ in range(20):
        look()
    assert tensors_alive() == before


def test_a_cnn_shows_its_feature_maps_and_says_what_it_lacks():
    model = small_cnn()
    capture = vitrail.inspect(model, torch.randn(3, 3, 16, 16))
    assert [tuple(f.shape) for f in capture.features] == [(3, 4, 8, 8), (3, 6, 4, 4)]
    for ask in (lambda: capture.tokens, lambda: capture.grid, capture.attention, capture.rollout):
        with pytest.raises(InputError, match="a CNN has no tokens"):
            ask()
    with pytest.raises(InputError, match="a ViT has no stages"):
        _ = vitrail.inspect(small_vit(), torch.randn(1, 3, 12, 12)).features


def test_a_classifier_takes_pictures_and_a_bare_model_does_not():
    model = small_vit()
    preprocessing = Preprocessing((12, 12), 3, (0.5,) * 3, (0.25,) * 3)
    classifier = Classifier(model, preprocessing, tuple("abcde"))
    picture = np.random.default_rng(0).integers(0, 256, (30, 20, 3), np.uint8)
    capture = vitrail.inspect(classifier, picture)
    assert torch.allclose(capture.logits, classifier.logits(picture), atol=1e-6)
    with pytest.raises(InputError, match="float tensor"):
        vitrail.inspect(model, picture)


@pytest.mark.parametrize("shape", [(3, 12, 12), (2, 1, 12, 12), (1, 2, 3, 12, 12)])
def test_a_tensor_that_does_not_fit_is_an_input_error(shape):
    with pytest.raises(InputError, match=r"the model takes \(batch, 3, height, width\)"):
        vitrail.inspect(small_vit(), torch.randn(shape))


@pytest.mark.parametrize(
    ("layers", "heads", "message"),
    [(3, 0, "no layer 3"), (0, -3, "no head -3"), ([0, 7], 0, "no layer 7")],
)
def test_a_layer_or_head_that_is_not_there_is_named(layers, heads, message):
    capture = vitrail.inspect(small_vit(), torch.randn(1, 3, 12, 12))
    with pytest.raises(InputError, match=message):
        capture.attention(layers, heads)


def test_layers_may_be_numbers_of_any_library():
    capture = vitrail.inspect(small_vit(), torch.randn(1, 3, 12, 12))
    for layers in (np.int64(1), np.array([1]), torch.tensor(1), [torch.tensor(1)]):
        assert torch.equal(capture.attention(layers), capture.attention(1))


def test_what_was_not_asked_for_is_not_kept():
    with pytest.raises(InputError, match="hidden=True"):
        _ = vitrail.inspect(small_vit(), torch.randn(1, 3, 12, 12)).hidden


def test_bf16_gives_float32_results_near_those_of_float32():
    model = small_vit()
    images = images_for(model)
    exact, rough = vitrail.inspect(model, images), vitrail.inspect(model, images, precision="bf16")
    assert rough.taken["blocks.0.attn.q"].dtype == torch.bfloat16
    assert rough.tokens.dtype == rough.attention().dtype == rough.logits.dtype == torch.float32
    assert torch.allclose(rough.attention().sum(dim=-1), torch.ones(()), atol=1e-5)
    assert (rough.attention() - exact.attention()).abs().mean() < 0.02


@pytest.mark.slow
def test_a_compiled_model_gives_the_same_with_and_without_capture():
    # In a process of its own: the shape checks of tests do not trace.
    code = """
import sys; sys.path.insert(0, "tests/inspection")
import torch, vitrail
from planted import small_vit
model, images = small_vit(), torch.randn(4, 3, 12, 12)
compiled = torch.compile(model)
for precision, close in (("fp32", 1e-5), ("bf16", 1e-2)):
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        plain = compiled(images).float()
    capture = vitrail.inspect(compiled, images, precision=precision)
    scale = plain.abs().max()
    assert (capture.logits - plain).abs().max() <= close * scale, (precision, (capture.logits - plain).abs().max())
    eager = vitrail.inspect(model, images, precision=precision)
    assert (capture.attention() - eager.attention()).abs().max() < (1e-5 if precision == "fp32" else 5e-2)
from vitrail.inspection import METHODS, attribute
for method in METHODS:
    assert torch.equal(attribute(compiled, images, method, 1), attribute(model, images, method, 1)), method
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


def test_the_grid_names_its_tokens_and_measures_between_patches():
    grid = small_vit(readout=("cls", "dist", "mean"), num_registers=2, image_size=(8, 12)).token_grid()
    assert grid.prefix == ("class", "distillation", "register 1", "register 2")
    assert (grid.num_patches, grid.num_tokens) == (6, 10)
    assert grid.distances()[0].tolist() == pytest.approx([0, 4, 8, 4, 32**0.5, 80**0.5])
    tokens = torch.arange(10.0).expand(3, 10)
    assert grid.patches(tokens).tolist() == [[[4, 5, 6], [7, 8, 9]]] * 3
    assert torch.equal(grid.patches(tokens.T, dim=0)[..., 0], grid.patches(tokens)[0])
