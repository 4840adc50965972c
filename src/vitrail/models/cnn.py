"""The CNNs that a ViT is compared with: convolutions in stages, each of which halves the image."""

from __future__ import annotations

from itertools import pairwise

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vitrail.configs import CNNConfig, Size
from vitrail.errors import InputError
from vitrail.models.grid import TokenGrid
from vitrail.models.tap import Tap, untapped


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut (He et al. 2016, arXiv:1512.03385, figure 2 and table 1)."""

    def __init__(self, width_in: int, width_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width_out, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width_out)
        self.conv2 = nn.Conv2d(width_out, width_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width_out)
        self.shortcut = nn.Sequential()
        if stride != 1 or width_in != width_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(width_in, width_out, 1, stride=stride, bias=False), nn.BatchNorm2d(width_out)
            )

    def forward(self, x: Float[Tensor, "batch width height width_px"]) -> Tensor:
        branch = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(branch + self.shortcut(x))


def _plain_stages(config: CNNConfig) -> list[nn.Sequential]:
    stages = []
    widths = [config.in_channels, *config.widths]
    for start in range(0, len(config.widths), config.blocks_per_stage):
        layers: list[nn.Module] = []
        for width_in, width_out in pairwise(widths[start : start + config.blocks_per_stage + 1]):
            layers += [nn.Conv2d(width_in, width_out, 3, padding=1), nn.ReLU(inplace=True)]
        stages.append(nn.Sequential(*layers, nn.MaxPool2d(2), nn.BatchNorm2d(width_out)))
    return stages


def _residual_stages(config: CNNConfig) -> list[nn.Sequential]:
    first = config.widths[0]
    stem = [
        nn.Conv2d(config.in_channels, first, 3, padding=1, bias=False),
        nn.BatchNorm2d(first),
        nn.ReLU(inplace=True),
    ]
    stages = []
    widths = [first, *config.widths]
    for start in range(0, len(config.widths), config.blocks_per_stage):
        blocks = [
            BasicBlock(width_in, width_out, stride=2 if start > 0 and i == 0 else 1)
            for i, (width_in, width_out) in enumerate(pairwise(widths[start : start + config.blocks_per_stage + 1]))
        ]
        stages.append(nn.Sequential(*(stem if start == 0 else []), *blocks))
    return stages


class CNN(nn.Module):
    """Convolutional stages, then linear layers. `forward` passes through `tap`:

    ```
    stages.{i}   (batch, channel, height, width)   the feature maps after each stage
    logits       (batch, class)
    ```
    """

    positions = None

    def __init__(self, config: CNNConfig) -> None:
        super().__init__()
        self.config = config
        self.stages = nn.ModuleList(_plain_stages(config) if config.block == "plain" else _residual_stages(config))
        halved = 2**config.num_halvings
        # A strided convolution rounds up where pooling rounds down.
        height, width = (side // halved if config.block == "plain" else -(-side // halved) for side in config.size)
        area = height * width if config.hidden else 1
        self.pool = nn.Flatten() if config.hidden else nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        widths = [config.widths[-1] * area, *config.hidden]
        hidden: list[nn.Module] = []
        for width_in, width_out in pairwise(widths):
            hidden += [nn.Linear(width_in, width_out), nn.ReLU(inplace=True)]
        last = nn.Linear(widths[-1], config.num_classes)
        self.head = nn.Sequential(*hidden, last)
        self.initialize()
        nn.init.trunc_normal_(last.weight, std=0.02)

    def initialize(self) -> None:
        """Kaiming-normal weights for layers behind a ReLU (He et al. 2015, arXiv:1502.01852), zero biases."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(
        self, images: Float[Tensor, "batch channel height width"], tap: Tap | None = None
    ) -> Float[Tensor, "batch class"]:
        tap = tap or untapped
        x = images
        for i, stage in enumerate(self.stages):
            x = tap(f"stages.{i}", stage(x))
        return tap("logits", self.classify(x))

    def classify(self, x: Float[Tensor, "batch channel height width"]) -> Float[Tensor, "batch class"]:
        """The head, for what the last stage gives."""
        return self.head(self.pool(x))

    def token_grid(self, image_size: Size | None = None) -> TokenGrid:
        raise InputError("a CNN has no tokens: its feature maps come in stages")
