"""The Vision Transformer: known answers on paper, and invariants of every variant."""

import dataclasses
from typing import Literal, get_args, get_origin, get_type_hints

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

import vitrail
from vitrail.configs import ViTConfig
from vitrail.errors import InputError
from vitrail.models.initialization import mimetic
from vitrail.models.positions import resample, rows_and_columns, sincos_2d
from vitrail.models.stems import LinearStem, patchify
from vitrail.models.vit import ViT, attend, attention_weights

SMALL = ViTConfig(
    image_size=16, patch_size=4, in_channels=3, num_classes=5, embed_dim=32, depth=2, num_heads=4, mlp_dim=48
)


def images_for(config: ViTConfig, batch: int = 3, seed: int = 0) -> torch.Tensor:
    return torch.randn(batch, config.in_channels, *config.size, generator=torch.Generator().manual_seed(seed))


def small_vit(**changes) -> ViT:
    torch.manual_seed(0)
    return ViT(dataclasses.replace(SMALL, **changes))


def test_attention_by_hand():
    # Scores of the first query: 1 and 0 times scale ln 3, so that softmax gives 3/4 and 1/4.
    q = torch.tensor([[1.0, 0.0], [0.0, 0.0]])[None, None]
    k = torch.tensor([[1.0, 0.0], [0.0, 1.0]])[None, None]
    v = torch.tensor([[4.0, 0.0], [0.0, 8.0]])[None, None]
    weights = attention_weights(q, k, scale=float(torch.log(torch.tensor(3.0))))
    torch.testing.assert_close(weights[0, 0], torch.tensor([[0.75, 0.25], [0.5, 0.5]]))
    expected = torch.tensor([[3.0, 2.0], [2.0, 4.0]])
    torch.testing.assert_close(attend(q, k, v, scale=float(torch.log(torch.tensor(3.0))))[0, 0], expected)


@settings(max_examples=30, deadline=None)
@given(tokens=st.integers(1, 80), dim=st.sampled_from([4, 8, 32]), scale=st.floats(0.01, 0.3), seed=st.integers(0, 99))
def test_attend_is_the_weights_times_the_values(tokens, dim, scale, seed):
    generator = torch.Generator().manual_seed(seed)
    q, k, v = torch.randn(3, 2, 3, tokens, dim, generator=generator)
    weights = attention_weights(q, k, scale)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3, tokens))
    torch.testing.assert_close(attend(q, k, v, scale), weights @ v, atol=1e-5, rtol=1e-5)
    low = attend(q.bfloat16(), k.bfloat16(), v.bfloat16(), scale).float()
    torch.testing.assert_close(low, weights @ v, atol=0.15, rtol=0.1)


def test_block_equals_torchs_own_encoder_layer():
    """The whole block against torch.nn.TransformerEncoderLayer with the same weights."""
    block = small_vit().blocks[0].eval()
    torch.nn.init.normal_(block.attn.qkv.bias)
    theirs = torch.nn.TransformerEncoderLayer(
        32, 4, 48, dropout=0.0, activation="gelu", layer_norm_eps=1e-6, batch_first=True, norm_first=True
    ).eval()
    names = {
        "self_attn.in_proj_weight": block.attn.qkv.weight,
        "self_attn.in_proj_bias": block.attn.qkv.bias,
        "self_attn.out_proj.weight": block.attn.proj.weight,
        "self_attn.out_proj.bias": block.attn.proj.bias,
        "linear1.weight": block.mlp.fc1.weight,
        "linear1.bias": block.mlp.fc1.bias,
        "linear2.weight": block.mlp.fc2.weight,
        "linear2.bias": block.mlp.fc2.bias,
        "norm1.weight": block.norm1.weight,
        "norm1.bias": block.norm1.bias,
        "norm2.weight": block.norm2.weight,
        "norm2.bias": block.norm2.bias,
    }
    theirs.load_state_dict(names)
    x = torch.randn(2, 7, 32)
    torch.testing.assert_close(block(x), theirs(x), atol=1e-5, rtol=1e-5)


def test_patches_are_the_image_row_by_row():
    image = torch.arange(2 * 4 * 6).view(1, 2, 4, 6)
    patches = patchify(image, 2)
    assert patches.shape == (1, 6, 8)
    # The second patch of the first row: columns 2 and 3 of rows 0 and 1, first channel then second.
    assert patches[0, 1].tolist() == [2, 3, 8, 9, 26, 27, 32, 33]


def test_a_32_pixel_image_becomes_64_vectors_of_48():
    assert patchify(torch.zeros(1, 3, 32, 32), 4).shape == (1, 64, 48)


def test_linear_embedding_is_a_strided_convolution():
    stem = LinearStem(4, 3, 32)
    images = images_for(SMALL)
    convolved = F.conv2d(images, stem.proj.weight.view(32, 3, 4, 4), stem.proj.bias, stride=4)
    torch.testing.assert_close(stem(images), convolved.flatten(2).mT, atol=1e-5, rtol=1e-5)


VARIANTS = {
    "default": {},
    "mean": {"readout": ("mean",)},
    "distilled": {"readout": ("cls", "dist")},
    "cls and mean": {"readout": ("cls", "mean")},
    "dist alone": {"readout": ("dist",)},
    "registers": {"num_registers": 3},
    "registers, mean": {"num_registers": 3, "readout": ("mean",)},
    "sincos": {"pos_embed": "sincos"},
    "learned2d": {"pos_embed": "learned2d"},
    "no positions": {"pos_embed": "none"},
    "conv stem": {"stem": "conv"},
    "pooled stem": {"stem": "pooled"},
    "layer scale": {"layer_scale": 0.1},
    "qk norm": {"qk_norm": True},
    "mimetic": {"attention_init": "mimetic"},
    "tanh head": {"head": "tanh"},
    "model scale": {"attention_scale": "model"},
    "rectangle": {"image_size": (8, 24)},
    "all dropouts": {"dropout": 0.5, "attn_dropout": 0.5, "embed_dropout": 0.5, "drop_path": 0.5},
}


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_identity_tap_changes_nothing_and_sees_everything(changes):
    model = small_vit(**changes).eval()
    config, images, seen = model.config, images_for(model.config), {}

    def tap(name, tensor):
        assert name not in seen
        seen[name] = tuple(tensor.shape)
        return tensor

    assert torch.equal(model(images, tap), model(images))
    tokens = model.token_grid().num_prefix + config.num_patches
    expected = {"embed": (3, tokens, 32), "norm": (3, tokens, 32), "logits": (3, 5)}
    for i in range(2):
        expected |= {f"blocks.{i}.attn.{name}": (3, 4, tokens, 8) for name in "qkvz"}
        expected |= {f"blocks.{i}.mlp.hidden": (3, tokens, 48), f"blocks.{i}": (3, tokens, 32)}
    assert seen == expected


# Also what is added to the configuration later: its weights must be those that are reported.
CHOICES = VARIANTS | {
    f"{name} {choice}": {name: choice, "num_classes": SMALL.embed_dim}
    for name, kind in get_type_hints(ViTConfig).items()
    if get_origin(kind) is Literal
    for choice in get_args(kind)
}


@pytest.mark.parametrize("low", [False, True], ids=["fp32", "bf16"])
@pytest.mark.parametrize("changes", CHOICES.values(), ids=CHOICES)
def test_the_weights_that_the_model_names_are_those_it_mixes_values_by(changes, low):
    model, seen = small_vit(**changes).eval(), {}
    with torch.autocast("cpu", torch.bfloat16, enabled=low):
        model(images_for(model.config), lambda name, t: seen.setdefault(name, t))
    for i, block in enumerate(model.blocks):
        q, k, v, z = (seen[f"blocks.{i}.attn.{name}"].float() for name in "qkvz")
        weights = block.attn.weights(q, k)
        torch.testing.assert_close(
            weights @ v, z, **({"atol": 0.05, "rtol": 0.05} if low else {"atol": 1e-5, "rtol": 1e-5})
        )
        some = block.attn.weights(q, k, heads=[3, 1], queries=slice(2, 4))
        torch.testing.assert_close(some, weights[:, [3, 1], 2:4])


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_every_parameter_is_reached_by_the_gradient(changes):
    # Dropped branches get no gradient, so the model is in evaluation mode.
    model = small_vit(**changes).eval()
    model(images_for(model.config)).square().sum().backward()
    unreached = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert unreached == []


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_a_batch_equals_its_images_one_by_one(changes):
    model = small_vit(**changes).eval()
    images = images_for(model.config)
    singles = torch.cat([model(image[None]) for image in images])
    torch.testing.assert_close(model(images), singles, atol=1e-5, rtol=1e-5)


def test_what_a_tap_returns_takes_the_values_place():
    model, images = small_vit().eval(), images_for(SMALL)
    silenced = model(images, lambda name, t: torch.zeros_like(t) if name == "blocks.1.attn.z" else t)
    model.blocks[1].attn.proj.weight.data.zero_()
    torch.testing.assert_close(silenced, model(images))


def test_without_positions_the_order_of_patches_is_invisible():
    """And with positions it is not."""
    image = images_for(SMALL, batch=1)
    top_bottom_swapped = torch.cat([image[..., 8:, :], image[..., :8, :]], dim=-2)
    blind, sighted = small_vit(pos_embed="none").eval(), small_vit(pos_init_std=1.0).eval()
    torch.testing.assert_close(blind(image), blind(top_bottom_swapped), atol=1e-5, rtol=1e-5)
    assert (sighted(image) - sighted(top_bottom_swapped)).abs().max() > 1e-3


def test_scores_are_scaled_by_the_heads_width_or_the_models():
    assert small_vit().blocks[0].attn.scores["scale"] == pytest.approx(8**-0.5)
    assert small_vit(attention_scale="model").blocks[0].attn.scores["scale"] == pytest.approx(32**-0.5)


def test_dropout_acts_in_training_only():
    model, images = small_vit(**VARIANTS["all dropouts"]), images_for(SMALL)
    assert not torch.equal(model(images), model(images))
    model.eval()
    assert torch.equal(model(images), model(images))


def test_stochastic_depth_drops_whole_samples_and_keeps_the_mean():
    from vitrail.models.layers import DropPath

    torch.manual_seed(0)
    out = DropPath(0.25)(torch.ones(4000, 3, 2))
    values = out.view(4000, -1)
    assert ((values == 0).all(1) | (values == 1 / 0.75).all(1)).all()
    assert out.mean().item() == pytest.approx(1, abs=0.03)


def test_sincos_positions_are_symmetric_and_most_alike_to_themselves():
    table = sincos_2d((4, 6), 32)[0]
    similarity = table @ table.T
    torch.testing.assert_close(similarity, similarity.T)
    torch.testing.assert_close(similarity.diagonal(), torch.full((24,), 16.0))
    assert (similarity.argmax(1) == torch.arange(24)).all()


def test_resampling_keeps_prefix_and_constants():
    table = torch.cat([torch.full((1, 2, 3), 7.0), torch.full((1, 16, 3), 0.5)], dim=1)
    out = resample(table, 2, (4, 4), (3, 7))
    assert out.shape == (1, 2 + 21, 3)
    torch.testing.assert_close(out[:, :2], table[:, :2])
    torch.testing.assert_close(out[:, 2:], torch.full((1, 21, 3), 0.5))
    assert resample(table, 2, (4, 4), (4, 4)) is table


def test_learned_rows_and_columns_lie_side_by_side():
    rows, columns = torch.randn(2, 3), torch.randn(4, 3)
    table = rows_and_columns(rows, columns, (2, 4))[0].view(2, 4, 6)
    for i in range(2):
        for j in range(4):
            assert torch.equal(table[i, j], torch.cat([rows[i], columns[j]]))
    # On a line, a position between two others has an embedding between theirs.
    line = torch.arange(4.0)[:, None]
    wider = rows_and_columns(line, line, (8, 4))[0].view(8, 4, 2)
    assert wider[:, 0, 0].tolist() == [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3]
    assert wider[0, :, 1].tolist() == [0, 1, 2, 3]


def test_sincos_positions_of_another_grid_are_those_of_the_places_where_its_patches_lie():
    whole = sincos_2d((6, 6), 32)[0].view(6, 6, 32)
    assert torch.equal(sincos_2d((6, 6), 32, spanning=(6, 6))[0].view(6, 6, 32), whole)
    # A patch of the coarse grid covers 3 x 3 of the fine one, and lies where the middle one does.
    coarse = sincos_2d((2, 2), 32, spanning=(6, 6))[0].view(2, 2, 32)
    torch.testing.assert_close(coarse, whole[1::3, 1::3])


@pytest.mark.parametrize("pos_embed", ["learned", "learned2d", "sincos", "none"])
def test_another_image_size_is_taken(pos_embed):
    model = small_vit(pos_embed=pos_embed).eval()
    assert model(torch.randn(2, 3, 24, 8)).shape == (2, 5)
    with pytest.raises(InputError, match=r"18 x 16 cannot be cut into patches of 4"):
        model(torch.randn(2, 3, 18, 16))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"image_size": 30},
            r"image height 30 .* patch_size 4: use an image height of 28 or 32, .* patch_size of 3 or 5",
        ),
        ({"image_size": (32, 3)}, r"image width 3 .* use an image width of 4"),
        ({"num_heads": 5}, r"num_heads 5 does not divide embed_dim 32: use 4 or 8 heads, or an embed_dim of 30 or 35"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"readout": ()}, "readout"),
        ({"pos_embed": "sincos", "embed_dim": 30, "num_heads": 5}, "28 or 32"),
        ({"pos_embed": "learned2d", "embed_dim": 15, "num_heads": 5}, "even embed_dim"),
        ({"stem": "conv", "patch_size": 1}, "conv stem .* power of 2"),
        ({"stem": "pooled", "patch_size": 1}, "pooled stem .* power of 2"),
        ({"depth": 0}, "depth is 0"),
    ],
)
def test_dimensions_that_do_not_fit_are_named_with_those_that_do(changes, message):
    with pytest.raises(InputError, match=message):
        dataclasses.replace(SMALL, **changes)


def test_mimetic_attention_looks_at_its_like_and_subtracts_it():
    torch.manual_seed(0)
    dim = 64
    qkv, proj = torch.nn.Linear(dim, 3 * dim), torch.nn.Linear(dim, dim)
    mimetic(qkv, proj, num_heads=1)
    q, k, v = qkv.weight.detach().chunk(3)
    for product, diagonal, noise in ((q.mT @ k, 0.7, 0.7), (proj.weight.detach() @ v, -0.4, 0.4)):
        assert product.diagonal().mean() == pytest.approx(diagonal, abs=4 * noise / dim)
        apart = product[~torch.eye(dim, dtype=torch.bool)]
        assert apart.std() == pytest.approx(noise / dim**0.5, rel=0.05)
        assert apart.mean().abs() < 4 * noise / dim**1.5


def test_mimetic_heads_with_sincos_positions_begin_by_looking_near():
    distances = {}
    for init in ("xavier", "mimetic"):
        torch.manual_seed(0)
        sizes = {"image_size": 32, "patch_size": 4, "embed_dim": 64, "depth": 1, "num_heads": 4, "mlp_dim": 64}
        config = ViTConfig(**sizes, pos_embed="sincos", qk_norm=True, readout=("mean",), attention_init=init)
        images = 0.1 * torch.randn(4, 3, 32, 32)
        distances[init] = vitrail.inspect(ViT(config), images).attention_distance()[0].mean()
    assert distances["mimetic"] < 0.9 * distances["xavier"]
