import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vitrail.training import muon
from vitrail.training.muon import Muon, orthogonalize

SHAPES = [(6, 4), (4, 6), (4, 4), (3, 12), (6, 4), (4, 6), (1, 5)]


def trained(optimizer, steps=4):
    torch.manual_seed(0)
    params = [torch.nn.Parameter(torch.randn(shape)) for shape in SHAPES]
    made = optimizer(params)
    for _ in range(steps):
        for p in params:
            p.grad = torch.randn_like(p)
        made.step()
    return params, made


def reference(params):
    return torch.optim.Muon(params, lr=0.1, weight_decay=0.05, momentum=0.9, adjust_lr_fn="match_rms_adamw")


@pytest.mark.parametrize("at_once", [2**25, 30, 1])
def test_it_computes_what_torchs_does_one_by_one(at_once, monkeypatch):
    monkeypatch.setattr(muon, "_MOST_TOGETHER", at_once)
    ours, optimizer = trained(lambda params: Muon(params, 0.1, 0.05, 0.9))
    theirs, expected = trained(reference)
    # The updates are computed in bf16, whose rounding depends on the order of sums.
    for p, q in zip(ours, theirs, strict=True):
        torch.testing.assert_close(p, q, atol=0.01, rtol=0.01)
        torch.testing.assert_close(optimizer.state[p]["momentum_buffer"], expected.state[q]["momentum_buffer"])


@settings(deadline=None)
@given(st.integers(1, 4), st.integers(1, 12), st.integers(2, 5), st.integers(0, 2**16))
def test_singular_values_end_near_one(count, rows, wider, seed):
    torch.manual_seed(seed)
    given_matrices = torch.randn(count, rows, wider * rows)
    values = torch.linalg.svdvals(orthogonalize(given_matrices))
    assert values.max() < 1.3
    # What is small at the start is not there after five iterations; the others are.
    start = torch.linalg.svdvals(given_matrices / torch.linalg.matrix_norm(given_matrices, keepdim=True))
    assert (values[start > 0.05] > 0.6).all()


def test_a_parameter_without_a_gradient_stays():
    params = [torch.nn.Parameter(torch.ones(2, 3)) for _ in range(2)]
    params[0].grad = torch.ones(2, 3)
    Muon(params, 0.1, 0.05, 0.9).step()
    assert torch.equal(params[1], torch.ones(2, 3))
    assert not torch.equal(params[0], torch.ones(2, 3))


def test_a_zero_gradient_only_decays():
    p = torch.nn.Parameter(torch.ones(2, 3))
    p.grad = torch.zeros(2, 3)
    Muon([p], 0.1, 0.5, 0.9).step()
    torch.testing.assert_close(p.detach(), torch.full((2, 3), 0.95))


def test_a_convolutions_kernels_are_rows_of_a_matrix():
    torch.manual_seed(0)
    matrix = torch.nn.Parameter(torch.randn(8, 36))
    kernels = torch.nn.Parameter(matrix.detach().view(8, 4, 3, 3).clone())
    matrix.grad = torch.randn(8, 36)
    # As a convolution of channels that lie side by side leaves it.
    kernels.grad = matrix.grad.view(8, 4, 3, 3).contiguous(memory_format=torch.channels_last)
    Muon([matrix, kernels], 0.1, 0.05, 0.9).step()
    torch.testing.assert_close(kernels.detach().flatten(1), matrix.detach())
