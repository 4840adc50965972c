import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vitrail.models.layers import Dropout, dropout


@settings(deadline=None)
@given(st.floats(0.0, 0.95), st.integers(1, 300), st.sampled_from([torch.float32, torch.bfloat16]))
def test_dropout_keeps_or_zeroes_and_keeps_the_mean(probability, size, dtype):
    torch.manual_seed(size)
    x = torch.ones(size, 257, dtype=dtype, requires_grad=True)
    dropped = dropout(x, probability)
    kept = dropped != 0
    # Six standard deviations, a few elements more where they are rare, and the rounding of the probability to 2^-16.
    deviation = (probability * (1 - probability) / kept.numel()) ** 0.5
    assert abs(kept.float().mean() - (1 - probability)) < 6 * deviation + 4 / kept.numel() + 2**-15
    scale = 1 / (1 - probability)
    torch.testing.assert_close(dropped[kept], torch.full_like(dropped[kept], scale), rtol=2**-7, atol=0)
    dropped.sum().backward()
    torch.testing.assert_close(x.grad, dropped.detach())


def test_dropout_follows_torchs_seed_and_is_different_every_time():
    x = torch.ones(64, 64)
    torch.manual_seed(0)
    first, second = dropout(x, 0.5), dropout(x, 0.5)
    assert not torch.equal(first, second)
    torch.manual_seed(0)
    assert torch.equal(dropout(x, 0.5), first)
    assert dropout(x, 0.0) is x
    assert torch.equal(Dropout(0.5).eval()(x), x)
