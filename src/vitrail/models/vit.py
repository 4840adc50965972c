"""The Vision Transformer of Dosovitskiy et al. (2021), "An Image is Worth 16x16 Words", arXiv:2010.11929.

Read it from top to bottom: attention, the MLP, the encoder block, the model. The equations are the paper's:

    z_0  = [x_class; x_1 E; ...; x_N E] + E_pos       (1)
    z'_l = MSA(LN(z_{l-1})) + z_{l-1}                 (2)
    z_l  = MLP(LN(z'_l)) + z'_l                       (3)
    y    = LN(z_L^0)                                  (4)
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from jaxtyping import Float
from torch import Tensor, nn

from vitrail.configs import Size, ViTConfig
from vitrail.models.grid import TokenGrid
from vitrail.models.initialization import mimetic
from vitrail.models.layers import Dropout, QKNorm, SwiGLU, dropout, residual_branch
from vitrail.models.positions import POSITIONS
from vitrail.models.stems import STEMS, patch_grid
from vitrail.models.tap import Tap, untapped, within

# On a CPU in bf16, two batched products and a softmax take 1/3 of the fused kernel's time at 65 tokens and 4/5
# at 1,025; in fp32 the fused kernel is at least as fast at every length.
_LONGEST_EXPLICIT_ATTENTION = 1100


def attention_weights(
    q: Float[Tensor, "batch head query dim"], k: Float[Tensor, "batch head key dim"], scale: float
) -> Float[Tensor, "batch head query key"]:
    """How much every query attends to every key: softmax(q k^T scale), rows that sum to one.

    Vaswani et al. (2017), arXiv:1706.03762, equation 1; appendix A, equation 6 of the ViT paper.
    """
    return ((q * scale) @ k.mT).softmax(dim=-1)


def attend(
    q: Float[Tensor, "batch head query dim"],
    k: Float[Tensor, "batch head key dim"],
    v: Float[Tensor, "batch head key dim"],
    scale: float,
    dropout_p: float = 0.0,
) -> Float[Tensor, "batch head query dim"]:
    """`attention_weights(q, k, scale) @ v`, without keeping the weights where that is the faster way.

    `dropout_p` is the share of weights that dropout zeroes (scaling up the rest): pass 0 except in training.
    """
    explicit = q.device.type == "cpu" and q.dtype == torch.bfloat16 and q.shape[-2] <= _LONGEST_EXPLICIT_ATTENTION
    if not explicit:
        return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout_p, scale=scale)
    return dropout(attention_weights(q, k, scale), dropout_p).to(v.dtype) @ v


class Attention(nn.Module):
    """Multi-head self-attention (MSA): `num_heads` attentions side by side, concatenated and projected.

    Appendix A of the ViT paper, equations 5 to 8.
    """

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        # All that decides the weights besides q and k: whether they are used or asked for, the arguments are the same.
        self.scores = {"scale": config.attention_width**-0.5}
        self.dropout = config.attn_dropout
        self.qkv = nn.Linear(config.embed_dim, 3 * config.embed_dim)
        self.q_norm, self.k_norm = (QKNorm(config.head_dim) if config.qk_norm else nn.Identity() for _ in "qk")
        self.proj = nn.Linear(config.embed_dim, config.embed_dim)
        self.hidden_matrices = {"qkv": 3, "proj": 1}

    def forward(self, x: Float[Tensor, "batch token dim"], tap: Tap = untapped) -> Float[Tensor, "batch token dim"]:
        q, k, v = rearrange(
            self.qkv(x), "batch token (qkv head dim) -> qkv batch head token dim", qkv=3, head=self.num_heads
        )
        q, k, v = tap("q", self.q_norm(q)), tap("k", self.k_norm(k)), tap("v", v)
        z = tap("z", attend(q, k, v, **self.scores, dropout_p=self.dropout if self.training else 0.0))
        return self.proj(rearrange(z, "batch head token dim -> batch token (head dim)"))

    def weights(
        self,
        q: Float[Tensor, "batch head token dim"],
        k: Float[Tensor, "batch head token dim"],
        heads: list[int] | slice = slice(None),
        queries: slice = slice(None),
    ) -> Float[Tensor, "batch _ _ token"]:
        """The weights by which `forward` mixes the values, of these heads and queries, from q and k as tapped."""
        return attention_weights(q[:, heads][:, :, queries], k[:, heads], **self.scores)


class MLP(nn.Module):
    """Two linear layers with GELU between them, applied to every token alike (section 3.1)."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.embed_dim, config.mlp_dim)
        self.fc2 = nn.Linear(config.mlp_dim, config.embed_dim)
        self.hidden_matrices = {"fc1": 1, "fc2": 1}
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Float[Tensor, "batch token dim"], tap: Tap = untapped) -> Float[Tensor, "batch token dim"]:
        hidden = tap("hidden", F.gelu(self.fc1(x)))
        return self.dropout(self.fc2(self.dropout(hidden)))


class Block(nn.Module):
    """One encoder block, pre-norm: x + MSA(LN(x)), then x + MLP(LN(x)) (equations 2 and 3)."""

    def __init__(self, config: ViTConfig, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.embed_dim, eps=config.norm_eps)
        self.attn = Attention(config)
        self.branch1 = residual_branch(config.embed_dim, config.layer_scale, drop_path)
        self.norm2 = nn.LayerNorm(config.embed_dim, eps=config.norm_eps)
        self.mlp = SwiGLU(config) if config.mlp == "swiglu" else MLP(config)
        self.branch2 = residual_branch(config.embed_dim, config.layer_scale, drop_path)

    def forward(self, x: Float[Tensor, "batch token dim"], tap: Tap = untapped) -> Float[Tensor, "batch token dim"]:
        x = x + self.branch1(self.attn(self.norm1(x), within(tap, "attn")))
        return x + self.branch2(self.mlp(self.norm2(x), within(tap, "mlp")))


class ViT(nn.Module):
    """The Vision Transformer: patches become tokens, `depth` encoder blocks mix them, a head reads them.

    Tokens are ordered: class token, distillation token, registers, then the patches row by row; the first
    three kinds exist where the configuration asks for them. `forward` passes these results through `tap`:

    ```
    embed               (batch, token, embed_dim)         equation 1, with registers
    blocks.{i}.attn.q   (batch, head, token, head_dim)    also .k and .v; normalised where qk_norm is on
    blocks.{i}.attn.z   (batch, head, token, head_dim)    every head's output, before the projection
    blocks.{i}.mlp.hidden  (batch, token, mlp_dim)        after GELU (or the product of SwiGLU)
    blocks.{i}          (batch, token, embed_dim)         equation 3
    norm                (batch, token, embed_dim)         equation 4, for all tokens (not with final_norm="readout")
    logits              (batch, class)
    ```
    """

    undecayed = ("cls_token", "dist_token", "registers")

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.config = config
        dim = config.embed_dim
        # Before every other part: optimizer states of earlier versions count parameters in this order.
        self.positions = POSITIONS[config.pos_embed](config)
        self.patch_embed = STEMS[config.stem](config.patch_size, config.in_channels, dim)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim)) if "cls" in config.readout else None
        self.dist_token = nn.Parameter(torch.zeros(1, 1, dim)) if "dist" in config.readout else None
        self.registers = nn.Parameter(torch.zeros(1, config.num_registers, dim)) if config.num_registers else None
        self.dropout = Dropout(config.embed_dropout)
        self.blocks = nn.ModuleList(
            Block(config, config.drop_path * i / max(config.depth - 1, 1)) for i in range(config.depth)
        )
        width = config.readout_dim
        self.norm = nn.LayerNorm(dim if config.final_norm == "tokens" else width, eps=config.norm_eps)
        hidden = [nn.Linear(width, dim), nn.Tanh()] if config.head == "tanh" else []
        last = [] if config.head == "none" else [nn.Linear(dim if hidden else width, config.num_classes)]
        self.head = nn.Sequential(*hidden, *last)
        self.initialize()

    def token_grid(self, image_size: Size | None = None) -> TokenGrid:
        """What the tokens of every layer stand for, for images of this size in pixels; by default of the configured."""
        height, width = image_size or self.config.size
        patch = self.config.patch_size
        return TokenGrid(self.config.prefix_tokens, height // patch, width // patch, patch)

    def initialize(self) -> None:
        """Xavier-uniform matrices, zero biases (as in the paper's JAX code), and a small head.

        Queries, keys and values are three matrices that happen to be stored as one. The position embeddings and
        the class token start at `pos_init_std`: where patches are few and small, embeddings of 0.02 are drowned
        by the patches, and order is learned late or never.
        """
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        for attention in (module for module in self.modules() if isinstance(module, Attention)):
            for matrix in attention.qkv.weight.chunk(3):
                nn.init.xavier_uniform_(matrix)
            if self.config.attention_init == "mimetic":
                mimetic(attention.qkv, attention.proj, attention.num_heads)
        for vectors in (self.cls_token, self.dist_token, *self.positions.parameters()):
            if vectors is not None:
                nn.init.normal_(vectors, std=self.config.pos_init_std)
        if self.registers is not None:
            nn.init.normal_(self.registers, std=0.02)
        for layer in [*self.head][-1:]:
            nn.init.trunc_normal_(layer.weight, std=0.02)

    def embed(self, images: Float[Tensor, "batch channel height width"]) -> Float[Tensor, "batch token dim"]:
        """Equation 1: patch embeddings behind the class token, plus positions; registers come in without one."""
        positions = self.positions.embeddings(patch_grid(images.shape[-2:], self.config.patch_size))
        x = self.patch_embed(images)
        prefix = [token for token in (self.cls_token, self.dist_token) if token is not None]
        x = torch.cat([*(repeat(token, "1 t d -> b t d", b=len(x)).to(x.dtype) for token in prefix), x], dim=1)
        if positions is not None:
            # Tokens without a position come first. Under autocast the tokens stay in bf16 from here on.
            x = x + F.pad(positions, (0, 0, x.shape[1] - positions.shape[1], 0)).to(x)
        if self.registers is not None:
            registers = repeat(self.registers, "1 t d -> b t d", b=len(x)).to(x.dtype)
            x = torch.cat([x[:, : len(prefix)], registers, x[:, len(prefix) :]], dim=1)
        return self.dropout(x)

    def read(self, x: Float[Tensor, "batch token dim"]) -> Float[Tensor, "batch readout"]:
        """Class token, distillation token, mean of the patches, or several side by side."""
        readers = {
            "cls": lambda: x[:, 0],
            "dist": lambda: x[:, self.config.num_placed_prefix - 1],
            "mean": lambda: x[:, len(self.config.prefix_tokens) :].mean(dim=1),
        }
        return torch.cat([readers[name]() for name in self.config.readout], dim=-1)

    def forward(
        self, images: Float[Tensor, "batch channel height width"], tap: Tap | None = None
    ) -> Float[Tensor, "batch class"]:
        tap = tap or untapped
        x = tap("embed", self.embed(images))
        for i, block in enumerate(self.blocks):
            x = tap(f"blocks.{i}", block(x, within(tap, f"blocks.{i}")))
        return tap("logits", self.classify(x, tap))

    def classify(self, x: Float[Tensor, "batch token dim"], tap: Tap = untapped) -> Float[Tensor, "batch class"]:
        """Equation 4 and the head, for the tokens after any block."""
        if self.config.final_norm == "readout":
            return self.head(self.norm(self.read(x)))
        return self.head(self.read(tap("norm", self.norm(x))))
