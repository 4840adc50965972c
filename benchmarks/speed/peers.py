"""The same architecture in other libraries, built from our configuration."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from vitrail.adoption.optional import declare_missing_operators
from vitrail.configs import ViTConfig

# timm, Hugging Face and vit-pytorch import torchvision, which does not load beside every torch.
_declared = declare_missing_operators()


def timm_vit(config: ViTConfig) -> nn.Module:
    from timm.models.vision_transformer import VisionTransformer

    return VisionTransformer(
        img_size=config.size,
        patch_size=config.patch_size,
        num_classes=config.num_classes,
        embed_dim=config.embed_dim,
        depth=config.depth,
        num_heads=config.num_heads,
        mlp_ratio=config.mlp_dim / config.embed_dim,
        proj_drop_rate=config.dropout,
    )


class _Logits(nn.Module):
    """Hugging Face's models answer with an object."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images).logits


def huggingface_vit(config: ViTConfig, **options: object) -> nn.Module:
    import transformers

    theirs = transformers.ViTConfig(
        image_size=config.size[0],
        patch_size=config.patch_size,
        num_labels=config.num_classes,
        hidden_size=config.embed_dim,
        num_hidden_layers=config.depth,
        num_attention_heads=config.num_heads,
        intermediate_size=config.mlp_dim,
        hidden_dropout_prob=config.dropout,
        **options,
    )
    return _Logits(transformers.ViTForImageClassification(theirs))


def torchvision_vit(config: ViTConfig) -> nn.Module:
    from torchvision.models import VisionTransformer

    return VisionTransformer(
        image_size=config.size[0],
        patch_size=config.patch_size,
        num_classes=config.num_classes,
        num_layers=config.depth,
        num_heads=config.num_heads,
        hidden_dim=config.embed_dim,
        mlp_dim=config.mlp_dim,
        dropout=config.dropout,
    )


def vit_pytorch_vit(config: ViTConfig) -> nn.Module:
    from vit_pytorch import ViT

    return ViT(
        image_size=config.size,
        patch_size=config.patch_size,
        num_classes=config.num_classes,
        dim=config.embed_dim,
        depth=config.depth,
        heads=config.num_heads,
        dim_head=config.head_dim,
        mlp_dim=config.mlp_dim,
        dropout=config.dropout,
    )


PEERS: dict[str, Callable[[ViTConfig], nn.Module]] = {
    "timm": timm_vit,
    "Hugging Face": huggingface_vit,
    "torchvision": torchvision_vit,
    "vit-pytorch": vit_pytorch_vit,
}


_DROPPED = {
    "timm": ("mlp.drop",),
    "Hugging Face": (".layers.",),
    "torchvision": (".mlp.",),
    "vit-pytorch": (".1.net.",),
}
"""What the names of the dropouts that stay contain."""


def build(name: str, config: ViTConfig, device: torch.device) -> nn.Module:
    torch.manual_seed(0)
    model = PEERS[name](config).to(device)
    # Dropout stays where ours has it, after the MLP's two layers: elsewhere it would cost the others time that ours
    # does not pay. Hugging Face has it after attention and after the MLP, on two thirds as many numbers.
    for place, module in model.named_modules():
        if isinstance(module, nn.Dropout) and not any(part in place for part in _DROPPED[name]):
            module.p = 0.0
    return model
