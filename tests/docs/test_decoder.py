"""The decoder of the annotated document: torch's own block, and what a mask promises."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from annotated.decoder import DecoderBlock, MultiHeadAttention, causal_mask, masked_attention_weights
from vitrail.models.vit import attention_weights

sizes = st.fixed_dictionaries(
    {
        "batch": st.integers(1, 3),
        "target": st.integers(1, 7),
        "source": st.integers(1, 7),
        "heads": st.integers(1, 4),
        "head_dim": st.integers(1, 8),
        "mlp_dim": st.integers(1, 24),
    }
)
seeds = st.integers(0, 99)


def torchs_own(block: DecoderBlock) -> torch.nn.TransformerDecoderLayer:
    """torch.nn.TransformerDecoderLayer with the same weights."""
    dim, heads, mlp_dim = block.norm1.normalized_shape[0], block.self_attention.heads, block.mlp[0].out_features
    theirs = torch.nn.TransformerDecoderLayer(
        dim, heads, mlp_dim, dropout=0.0, activation="relu", batch_first=True, norm_first=block.norm_first
    )
    pairs = {"linear1": block.mlp[0], "linear2": block.mlp[2]}
    pairs |= {name: getattr(block, name) for name in ("norm1", "norm2", "norm3")}
    names = {f"{name}.{kind}": getattr(ours, kind) for name, ours in pairs.items() for kind in ("weight", "bias")}
    for name, ours in (("self_attn", block.self_attention), ("multihead_attn", block.cross_attention)):
        for kind in ("weight", "bias"):
            stacked = torch.cat([getattr(layer, kind) for layer in (ours.query, ours.key, ours.value)])
            names |= {f"{name}.in_proj_{kind}": stacked, f"{name}.out_proj.{kind}": getattr(ours.proj, kind)}
    theirs.load_state_dict(names)
    return theirs.to(block.norm1.weight).eval()


@pytest.mark.parametrize("norm_first", [False, True])
@settings(max_examples=25, deadline=None)
@given(size=sizes, seed=seeds)
def test_block_equals_torchs_own_decoder_layer(norm_first, size, seed):
    torch.manual_seed(seed)
    dim = size["heads"] * size["head_dim"]
    block = DecoderBlock(dim, size["heads"], size["mlp_dim"], norm_first).double().eval()
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    x, memory = (torch.randn(size["batch"], size[length], dim).double() for length in ("target", "source"))
    mask = torch.nn.Transformer.generate_square_subsequent_mask(size["target"])
    with torch.no_grad():
        theirs = torchs_own(block)(x, memory, tgt_mask=mask.double())
        torch.testing.assert_close(block(x, memory), theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("norm_first", [False, True])
def test_a_token_never_depends_on_later_ones(norm_first):
    torch.manual_seed(0)
    block = DecoderBlock(8, 2, 16, norm_first)
    x, memory = torch.randn(1, 6, 8, requires_grad=True), torch.randn(1, 4, 8, requires_grad=True)
    out = block(x, memory)
    for token in range(6):
        to_x, to_memory = torch.autograd.grad(out[0, token].square().sum(), (x, memory), retain_graph=True)
        depends = (to_x[0] != 0).any(dim=-1)
        assert depends.tolist() == [other <= token for other in range(6)]
        assert (to_memory[0] != 0).any(dim=-1).all(), "the whole source is seen"


@settings(max_examples=25, deadline=None)
@given(size=sizes, seed=seeds)
def test_masked_weights_are_a_share_of_what_came_before(size, seed):
    torch.manual_seed(seed)
    tokens, dim = size["target"], size["heads"] * size["head_dim"]
    x = 3 * torch.randn(size["batch"], tokens, dim)
    weights = MultiHeadAttention(dim, size["heads"]).weights(x, x, causal_mask(tokens))
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(size["batch"], size["heads"], tokens))
    assert (weights.triu(diagonal=1) == 0).all()
    assert (weights[..., 0, 0] == 1).all(), "the first token sees only itself"


@settings(max_examples=25, deadline=None)
@given(size=sizes, seed=seeds)
def test_a_mask_of_zeros_changes_nothing(size, seed):
    torch.manual_seed(seed)
    q = torch.randn(size["batch"], size["heads"], size["target"], size["head_dim"])
    k = torch.randn(size["batch"], size["heads"], size["source"], size["head_dim"])
    mask = torch.zeros(size["target"], size["source"])
    assert torch.equal(masked_attention_weights(q, k, 0.5, mask), attention_weights(q, k, 0.5))

    dim = size["heads"] * size["head_dim"]
    attention = MultiHeadAttention(dim, size["heads"])
    x, memory = torch.randn(2, size["target"], dim), torch.randn(2, size["source"], dim)
    assert torch.equal(attention(x, memory, mask), attention(x, memory))


def test_causal_mask_by_hand():
    inf = float("inf")
    assert causal_mask(3).tolist() == [[0, -inf, -inf], [0, 0, -inf], [0, 0, 0]]
