"""Models small enough to know by heart."""

import torch

from vitrail.configs import CNNConfig, ViTConfig
from vitrail.models.cnn import CNN
from vitrail.models.tap import untapped
from vitrail.models.vit import Attention, ViT


def small_vit(**changes):
    """Random weights, none of them zero, in evaluation mode."""
    sizes = {"image_size": 12, "patch_size": 4, "embed_dim": 16, "depth": 3, "num_heads": 2, "mlp_dim": 24}
    torch.manual_seed(0)
    model = ViT(ViTConfig(**{**sizes, "num_classes": 5, **changes}))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model.eval()


def small_cnn(**changes):
    sizes = {"image_size": 16, "widths": (4, 6), "blocks_per_stage": 1, "hidden": (10,), "num_classes": 5}
    torch.manual_seed(0)
    return CNN(CNNConfig(**{**sizes, **changes})).eval()


class BiasedAttention(Attention):
    """Adds a random bias to the scores of every head, query and key, and keeps the weights that it has used."""

    def __init__(self, config):
        super().__init__(config)
        tokens = config.num_placed_prefix + config.num_registers + config.num_patches
        self.bias = 3 * torch.randn(config.num_heads, tokens, tokens)

    def weights(self, q, k, heads=slice(None), queries=slice(None)):
        scores = (q[:, heads][:, :, queries] * self.scores["scale"]) @ k[:, heads].mT
        return (scores + self.bias[heads][:, queries]).softmax(dim=-1)

    def forward(self, x, tap=untapped):
        seen = {}

        def mixing(name, tensor):
            if name == "z":
                self.used = self.weights(seen["q"], seen["k"])
                tensor = self.used @ seen["v"]
            seen[name] = tap(name, tensor)
            return seen[name]

        return super().forward(x, mixing)


def biased_vit(**changes):
    """A model whose attention is another than that of q and k alone."""
    model = small_vit(**changes)
    for block in model.blocks:
        biased = BiasedAttention(model.config)
        biased.load_state_dict(block.attn.state_dict())
        block.attn = biased.eval()
    return model


def color_vit(readout=("cls",)):
    """Its score of class c is how much of colour c there is in the image: classes are red, green, blue.

    Patches embed as their mean colour; one attention that looks everywhere alike carries them to the class token;
    the MLP adds nothing.
    """
    sizes = {"image_size": 16, "patch_size": 4, "embed_dim": 4, "depth": 1, "num_heads": 1, "mlp_dim": 4}
    model = ViT(ViTConfig(**sizes, num_classes=3, readout=readout)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        for norm in (model.norm, model.blocks[0].norm1, model.blocks[0].norm2):
            norm.weight.fill_(1)
        for channel in range(3):
            model.patch_embed.proj.weight[channel, channel * 16 : (channel + 1) * 16] = 1 / 16
        model.blocks[0].attn.qkv.weight[8:] = torch.eye(4)
        model.blocks[0].attn.proj.weight.copy_(torch.eye(4))
        model.head[0].weight.copy_(torch.eye(3, 4))
    return model


def red_and_blue(batch=2):
    """Black images (batch, 3, 16, 16) with four red patches top left and four blue ones bottom right."""
    images = torch.zeros(batch, 3, 16, 16)
    images[:, 0, :8, :8] = 1
    images[:, 2, 8:, 8:] = 1
    return images
