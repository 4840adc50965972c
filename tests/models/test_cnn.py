"""The CNNs: shapes, taps, and images that do not fit."""

import pytest
import torch

from vitrail.configs import CNNConfig
from vitrail.errors import InputError
from vitrail.models.cnn import CNN

PLAIN = CNNConfig(image_size=16, in_channels=1, num_classes=4, widths=(4, 4, 8, 8), hidden=(16,))
RESIDUAL = CNNConfig(image_size=16, num_classes=4, block="residual", widths=(4, 4, 8, 8, 16, 16), hidden=())


@pytest.mark.parametrize("config", [PLAIN, RESIDUAL], ids=["plain", "residual"])
def test_identity_tap_changes_nothing_and_sees_every_stage(config):
    torch.manual_seed(0)
    model, seen = CNN(config).eval(), {}
    images = torch.randn(2, config.in_channels, 16, 16)

    def tap(name, tensor):
        seen[name] = tuple(tensor.shape)
        return tensor

    assert torch.equal(model(images, tap), model(images))
    sizes = [8, 4] if config is PLAIN else [16, 8, 4]
    stages = {f"stages.{i}": (2, config.widths[2 * i], s, s) for i, s in enumerate(sizes)}
    assert seen == stages | {"logits": (2, 4)}


@pytest.mark.parametrize("size", [(17, 23), (28, 28), (8, 40)])
@pytest.mark.parametrize("config", [PLAIN, RESIDUAL], ids=["plain", "residual"])
def test_any_image_size_that_can_be_halved(config, size):
    import dataclasses

    model = CNN(dataclasses.replace(config, image_size=size)).eval()
    assert model(torch.randn(2, config.in_channels, *size)).shape == (2, 4)


def test_an_image_too_small_to_halve_is_named():
    with pytest.raises(InputError, match="3 x 16 cannot be halved 2 times: use at least 4 pixels"):
        CNNConfig(image_size=(3, 16), widths=(4, 4, 8, 8))
    with pytest.raises(InputError, match="5 widths do not fill stages of 2"):
        CNNConfig(widths=(1, 2, 3, 4, 5))
