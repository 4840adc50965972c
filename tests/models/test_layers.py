import pytest
import torch
import torch.nn.functional as F
from einops import rearrange
from hypothesis import given, settings
from hypothesis import strategies as st

from vitrail.configs import ViTConfig
from vitrail.models.build import build_model
from vitrail.models.layers import Dropout, dropout
from vitrail.models.stems import STEMS, ConvStem


@settings(max_examples=50, deadline=None)
@given(st.floats(0.0, 0.95), st.integers(1, 100), st.sampled_from([torch.float32, torch.bfloat16]))
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


def test_dropout_takes_any_layout_and_none_at_all():
    assert dropout(torch.empty(0, 3), 0.5).shape == (0, 3)
    x = torch.arange(1.0, 13).view(3, 4).mT
    dropped = dropout(x, 0.5)
    assert ((dropped == 0) | (dropped == 2 * x)).all()


def test_under_autocast_the_tokens_stay_in_bf16():
    config = ViTConfig(
        image_size=8, patch_size=4, num_classes=3, embed_dim=16, depth=2, num_heads=2, mlp_dim=32, layer_scale=0.1
    )
    kinds = {}
    with torch.autocast("cpu", torch.bfloat16):
        build_model(config)(torch.randn(2, 3, 8, 8), lambda name, x: kinds.setdefault(name, x.dtype) and x)
    assert kinds["embed"] == kinds["blocks.1"] == torch.bfloat16


def test_the_convolutional_stem_computes_in_float32_on_a_cpu():
    torch.manual_seed(0)
    stem, images = ConvStem(4, 3, 16), torch.rand(2, 3, 8, 8)
    kinds = []
    stem[1].register_forward_pre_hook(lambda module, inputs: kinds.append(inputs[0].dtype))
    expected = stem(images)
    with torch.autocast("cpu", torch.bfloat16):
        tokens = stem(images.bfloat16())
    assert kinds == [torch.float32, torch.float32]
    assert tokens.dtype == torch.bfloat16
    torch.testing.assert_close(tokens.float(), expected, atol=0.05, rtol=0.05)


def test_a_pooled_stem_is_what_its_parts_are_by_hand():
    torch.manual_seed(0)
    stem, x = STEMS["pooled"](8, 3, 512).train(), torch.rand(2, 3, 16, 8)
    tokens = stem(x)
    kernels = [p.detach() for p in stem.parameters() if p.ndim == 4]
    assert [len(kernel) for kernel in kernels] == [32, 32, 128, 128, 512, 512]

    def active(x, kernel):
        x = F.conv2d(x, kernel, padding=1)
        mean, variance = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), keepdim=True, correction=0)
        return ((x - mean) / (variance + 1e-5).sqrt()).relu()

    for first, second in zip(kernels[::2], kernels[1::2], strict=True):
        x = F.pad(active(x, first), (1, 1, 1, 1)).unfold(2, 3, 2).unfold(3, 3, 2).amax((-2, -1))
        x = active(x, second)
    torch.testing.assert_close(tokens, rearrange(x, "b d h w -> b (h w) d"), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", STEMS)
def test_tokens_move_with_the_image(name):
    torch.manual_seed(0)
    stem, image = STEMS[name](4, 3, 32).eval(), torch.rand(1, 3, 12, 48)
    left, right = (
        rearrange(stem(part), "1 (row column) d -> row column d", row=3) for part in (image[..., :44], image[..., 4:])
    )
    # As many columns away from both edges, whose padding is not part of the image, as a token sees.
    torch.testing.assert_close(left[:, 5:7], right[:, 4:6])
