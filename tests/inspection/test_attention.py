import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from planted import small_vit

import vitrail
from vitrail.errors import InputError
from vitrail.inspection.attention import attention_distance, fuse, rollout
from vitrail.models.grid import TokenGrid

FUSIONS = ["mean", "max", "min"]


def random_weights(layers, batch, heads, tokens, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (3 * torch.randn(layers, batch, heads, tokens, tokens, generator=generator)).softmax(dim=-1)


def test_class_attention_of_two_tokens_by_hand():
    # One patch and the class token; scores 0 and ln 3 for the class token, so weights 1/4 and 3/4.
    model = small_vit(image_size=4, depth=1, num_heads=1, embed_dim=4, head="none", num_classes=4)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.blocks[0].norm1.weight.fill_(1)
        model.cls_token[..., 0] = 1.0
        model.positions.embed[0, 1, 1] = 1.0
        # LayerNorm turns (1, 0, 0, 0) into (3, -1, -1, -1) / sqrt(3) (but for epsilon).
        model.blocks[0].attn.qkv.weight[0, 0] = 1.0
        # Keys: the second component of a token, the class token's is -1/sqrt(3), the patch's 3/sqrt(3).
        model.blocks[0].attn.qkv.weight[4, 1] = 1.0
    capture = vitrail.inspect(model, torch.zeros(1, 3, 4, 4))
    q, k = 3 / 3**0.5, torch.tensor([-1 / 3**0.5, 3 / 3**0.5])
    expected = torch.exp(q * k[1] / 2) / torch.exp(q * k / 2).sum()
    assert expected == pytest.approx(1 / (1 + 2.718281828**-2), abs=1e-6)
    assert capture.class_attention().shape == (1, 1, 1, 1, 1)
    assert capture.class_attention().item() == pytest.approx(expected.item(), abs=1e-5)


@given(
    layers=st.integers(1, 4),
    batch=st.integers(1, 3),
    heads=st.integers(1, 3),
    tokens=st.integers(2, 9),
    fusion=st.sampled_from(FUSIONS),
    discard=st.sampled_from([0.0, 0.3, 0.9, 0.999]),
)
def test_rows_of_rollout_sum_to_one_whatever_is_chosen(layers, batch, heads, tokens, fusion, discard):
    result = rollout(random_weights(layers, batch, heads, tokens), fusion, discard)
    assert result.shape == (batch, tokens, tokens)
    assert (result >= 0).all()
    assert torch.allclose(result.sum(dim=-1), torch.ones(batch, tokens), atol=1e-6)


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("discard", [0.0, 0.5])
def test_identity_attention_rolls_out_to_identity(fusion, discard):
    identity = torch.eye(5).expand(3, 2, 4, 5, 5)
    assert torch.allclose(rollout(identity, fusion, discard), torch.eye(5).expand(2, 5, 5), atol=1e-7)


def test_two_layers_by_hand():
    first = torch.tensor([[0.5, 0.5], [0.0, 1.0]])
    second = torch.tensor([[0.0, 1.0], [0.5, 0.5]])
    # (A + I) / 2: [[.75, .25], [0, 1]] and [[.5, .5], [.25, .75]]; the second times the first.
    expected = torch.tensor([[0.375, 0.625], [0.1875, 0.8125]])
    assert torch.allclose(rollout(torch.stack([first, second])[:, None, None]), expected[None])


def test_fusions_and_discarding_by_hand():
    heads = torch.tensor([[[0.8, 0.2], [0.3, 0.7]], [[0.6, 0.4], [0.9, 0.1]]])[None]
    assert torch.allclose(fuse(heads, "mean")[0], torch.tensor([[0.7, 0.3], [0.6, 0.4]]))
    assert torch.allclose(fuse(heads, "max")[0], torch.tensor([[0.8, 0.4], [0.9, 0.7]]))
    assert torch.allclose(fuse(heads, "min")[0], torch.tensor([[0.6, 0.2], [0.3, 0.1]]))
    # The two smallest of the mean's four weights, 0.3 and 0.4, go; each row is brought back to one.
    expected = torch.tensor([[1.0, 0.0], [0.6 / 1.6, 1 / 1.6]])
    assert torch.allclose(rollout(heads[None], "mean", 0.5)[0], expected)


def test_every_image_of_a_batch_rolls_out_as_it_would_alone():
    weights = random_weights(3, 4, 2, 6)
    for fusion in FUSIONS:
        together = rollout(weights, fusion, 0.4)
        for i in range(4):
            assert torch.allclose(rollout(weights[:, i : i + 1], fusion, 0.4)[0], together[i])


def test_options_that_make_no_sense_are_refused():
    weights = random_weights(1, 1, 1, 3)
    with pytest.raises(InputError, match="'median': use one of mean, max, min"):
        rollout(weights, "median")
    with pytest.raises(InputError, match=r"discard is 1\.0"):
        rollout(weights, discard=1.0)


@pytest.mark.parametrize(("side", "patch", "pixels"), [(8, 4, 16.55), (14, 16, 116.5)])
@pytest.mark.parametrize("prefix", [(), ("class",), ("class", "register 1")])
def test_uniform_attention_looks_as_far_as_patches_lie_apart(side, patch, pixels, prefix):
    grid = TokenGrid(prefix, side, side, patch)
    uniform = torch.full((2, 3, grid.num_tokens, grid.num_tokens), 1 / grid.num_tokens)
    assert attention_distance(uniform, grid).tolist() == pytest.approx([pixels] * 3, abs=0.05)


def test_looking_at_oneself_is_no_distance_and_at_a_neighbour_one_patch():
    grid = TokenGrid(("class",), 3, 4, 8)
    assert attention_distance(torch.eye(13)[None, None], grid).tolist() == [0.0]
    below = torch.zeros(12, 12)
    for patch in range(12):
        below[patch, patch + 4 if patch < 8 else patch - 4] = 1
    weights = torch.zeros(1, 1, 13, 13)
    weights[..., 0] = 0.75
    weights[..., 1:, 1:] = 0.25 * below
    assert attention_distance(weights, grid).tolist() == pytest.approx([8.0])
    # A patch that looks at the class token alone has no distance, and takes none from the others.
    weights[..., 1:5, 1:] = 0
    weights[..., 1:5, 0] = 1
    assert attention_distance(weights, grid).tolist() == pytest.approx([8.0])
    weights[..., 1:] = 0
    assert attention_distance(weights, grid).isnan().all()
