# %% [markdown]
# # The Annotated Vision Transformer
#
# The Vision Transformer in running code, line by line, from attention on four tokens to the inside of a trained model.
# The model is short. We write one in sixty lines, check that it computes what the library's does, train it in a loop of
# twenty lines, and then ask what a trained one looks at, and whether the answer can be believed.
#
# Three promises hold throughout:
#
# - **The code is the real one.** Parts 2 and 3 write the model on the page, and end with a comparison: on the same
#   weights, it gives the logits of the library's. Listings of the library are read from it when the page is made, and
#   the first line of each says where it is. (Only the decoder, which no ViT needs, comes from a file beside this page.)
# - **Every number of ours is computed or checked here.** Where the text states a shape, a count or a result, a folded
#   cell next to it asserts it. If it were wrong, there would be no page. Numbers of others are listed at the end.
# - **It runs on a laptop.** The page is a script, `docs/annotated_vit.py`, and also a notebook to try things in. It
#   needs no GPU and no download. Made anew, with all its trainings, it takes about five minutes on two cores.
#
# You should know what a matrix product is and what training by gradient descent means, and be able to read PyTorch. Two
# things may be new in listings: `rearrange` of einops reshapes a tensor by a pattern of names, and `Float[Tensor, "batch
# token dim"]` beside an argument is its shape in names. Every cell is there: those that only draw, tabulate or check are
# folded, and the first of them, before part 1, has the imports.
#
# A letter means the same from start to end of a part: $N$ is a number of tokens (from part 3 on, of patches), $D$ the
# width of a token, $h$ the number of heads, $L$ the number of blocks, $K$ keys in an equation and the number of classes
# elsewhere. *Head* alone is one of the attentions that run side by side; the *classification head* is the last layer.
# Equations count blocks from 1; code and figures count layers from 0.
#
# There are exercises, with their answers folded away, and things to vary. If you only want to see the model, go to part 3; to see
# into a trained one, go to part 8.

# %% tags=["hide-input"]
import dataclasses
import inspect
import json
import math
import os
import tempfile
import textwrap
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from IPython import get_ipython
from IPython.display import Markdown, display
from torch import nn

import vitrail
from vitrail import plots, progress
from vitrail.models.presets import preset
from vitrail.tables import Table, to_markdown

from annotated import decoder, diagrams

progress.console.quiet = True
RUNS = tempfile.TemporaryDirectory(prefix="annotated-vit-")
WORK = Path(RUNS.name)
THREADS = torch.get_num_threads()
DATA = os.environ.get("VITRAIL_DOCS_DATA", "shapes")


def show(*objects):
    """The source of functions and classes of the library, as it is installed."""
    parts = []
    for each in objects:
        lines, first = inspect.getsourcelines(each)
        path = Path(inspect.getsourcefile(each))
        where = "/".join(path.parts[-3:] if "vitrail" in path.parts else path.parts[-2:])
        parts.append(f"# {where}, line {first}\n{textwrap.dedent(''.join(lines)).rstrip()}")
    return Markdown("```python\n" + "\n\n\n".join(parts) + "\n```")


def table(header, rows, caption=""):
    return Markdown(to_markdown(Table(caption, header, [[str(cell) for cell in row] for row in rows])))


# %% [markdown]
# ## 1. Why patches?
#
# For about ten years, to let a computer see meant to train a convolutional network. A convolution looks at a small
# window, say 3 × 3 pixels, and applies the same weights at every place. This builds in two beliefs about images.
# *Locality*: what matters to a pixel is near it. *Translation equivariance*: a cat is a cat wherever it sits, so if the
# image moves, the features move with it. Both are nearly always true. A network that has them built in does not have to
# learn them, and so it learns from few images.
#
# A Vision Transformer (ViT) gives both up, almost entirely. It cuts the image into square patches, turns every patch
# into a vector, and hands the vectors to a Transformer as if they were the words of a sentence. From the first layer
# on, every patch can look at every other. Nothing tells the model that two patches are neighbours, or even that they
# form a grid. All of that has to be learned from data.
#
# Why would one want this? Because a belief that is built in is also a limit. A convolution cannot relate two far
# corners of an image until many layers have widened its view. Attention can do it in the first layer, and learns from
# the data where to look. When there is enough data, what is learned turns out to be better than what was built in.
#
# "Enough" is the catch. Dosovitskiy et al. (2021) found that on ImageNet alone, 1.3 million images, their large models
# fall behind residual CNNs of the same size. After pre-training on JFT, 303 million images, they are ahead. These are
# the published results of the largest one, ViT-H/14 pre-trained on JFT and then fine-tuned:
#
# | benchmark | accuracy in % |
# |---|---|
# | ImageNet | 88.55 |
# | ImageNet ReaL (cleaned labels) | 90.72 |
# | CIFAR-100 | 94.55 |
# | VTAB (mean of 19 tasks) | 77.63 |
#
# Source: Dosovitskiy et al. (2021), [arXiv:2010.11929](https://arxiv.org/abs/2010.11929), table 2. No laptop reproduces
# these. What a laptop can do is show, line by line, how the model works, and on a small scale also where it fails for
# want of data. In part 7 we train on 600 images and watch it fail. In part 8 we train on more and look inside.
#
# > **Exercise.** A convolution of 3 × 3 sees 3 × 3 pixels. How many such layers, of stride 1, must follow each other
# > until one output depends on both ends of a row of 32 pixels?
# >
# > <details><summary>Answer</summary>
# >
# > Each layer adds one pixel on either side: after $n$ layers an output sees $2 n + 1$ pixels in a row. $2 n + 1 \geq 32$
# > needs $n = 16$. One attention layer does it at once.
# >
# > </details>

# %% [markdown]
# ## 2. The Transformer
#
# The Transformer was made for translation (Vaswani et al. 2017, [arXiv:1706.03762](https://arxiv.org/abs/1706.03762)).
# An encoder reads the sentence in one language. A decoder writes it in another, word by word. A ViT keeps the left
# half, the encoder, and drops the right.

# %% tags=["hide-input"]
diagrams.encoder_decoder()

# %% [markdown]
# ### Attention
#
# A *token* is a vector that stands for a piece of the input: a word, or for us a patch. Attention lets tokens exchange
# information. Every token makes three vectors of itself, by three learned matrices:
#
# $$Q = X W_Q, \qquad K = X W_K, \qquad V = X W_V$$
#
# The *query* says what the token is looking for. The *key* says what it has to offer. The *value* is what it hands
# over. The scalar product of one token's query with another's key is a score: how well does the offer fit the wish? A
# softmax turns each token's scores $s_1, \ldots, s_N$ into weights that are positive and sum to one, $e^{s_i} / (e^{s_1} +
# \ldots + e^{s_N})$, and the output is the weighted mean of the values:
#
# $$\mathrm{Attention}(Q, K, V) = \mathrm{softmax}\left(\frac{Q K^{\top}}{\sqrt{d_k}}\right) V$$
#
# Here $d_k$ is the width of queries and keys. Why one divides by its square root is measured in part 3.

# %% tags=["hide-input"]
diagrams.scaled_dot_product_attention()

# %% [markdown]
# In code, this is two lines. It reads like the equation. We write it for queries, keys and values with any number of axes
# in front, such as the images of a batch:


# %%
def attention_weights(q, k):
    """How much every query attends to every key: rows that sum to one."""
    return (q @ k.mT / q.shape[-1] ** 0.5).softmax(dim=-1)


# %% [markdown]
# ### The shapes
#
# Take four tokens of 512 numbers, as in the original paper, and one attention that projects them to 64. This is every
# intermediate result with its shape:

# %%
torch.manual_seed(0)
X = torch.randn(4, 512)
W_Q, W_K, W_V = (torch.randn(512, 64) / 512**0.5 for _ in range(3))

Q, K, V = X @ W_Q, X @ W_K, X @ W_V
scores = Q @ K.T
A = attention_weights(Q, K)
Z = A @ V

table(
    ["", "what it is", "shape"],
    [
        ["$X$", "tokens", tuple(X.shape)],
        ["$W_Q, W_K, W_V$", "learned, one each", tuple(W_Q.shape)],
        ["$Q, K, V$", "queries, keys, values", tuple(Q.shape)],
        ["$Q K^{\\top}$", "a score for every pair of tokens", tuple(scores.shape)],
        ["$A$", "weights; every row sums to one", tuple(A.shape)],
        ["$Z = A V$", "output: for every token a mix of values", tuple(Z.shape)],
    ],
)

# %% tags=["check"]
assert Q.shape == K.shape == V.shape == Z.shape == (4, 64) and scores.shape == A.shape == (4, 4)
torch.testing.assert_close(A.sum(dim=1), torch.ones(4))
torch.testing.assert_close(A, (scores / 8).softmax(dim=1))
torch.testing.assert_close(F.scaled_dot_product_attention(Q, K, V), Z)  # torch's own

# %% [markdown]
# Notice the one shape that has no 512 and no 64 in it: the scores are $4 \times 4$. Attention costs as much memory as
# there are *pairs* of tokens. For $N$ tokens that is $N^2$, and part 9 comes back to it.
#
# ### The same by hand
#
# Shapes are not yet understanding. So here is an attention that is small enough for paper and a pocket calculator:
# three tokens of two numbers, with $d_k = 4$.
#
# $$X = \begin{pmatrix} 1 & 0 \\ 0 & 1 \\ 1 & 1 \end{pmatrix} \qquad W_Q = \begin{pmatrix} 1 & 0 & 1 & 0 \\ 0 & 1 & 0 & 1 \end{pmatrix} \qquad W_K = \begin{pmatrix} 2 & 0 & 0 & 0 \\ 0 & 0 & 0 & 2 \end{pmatrix} \qquad W_V = \begin{pmatrix} 10 & 0 \\ 0 & 10 \end{pmatrix}$$
#
# The third token is the sum of the first two, so its query, key and value are the sums of theirs:
#
# $$Q = \begin{pmatrix} 1 & 0 & 1 & 0 \\ 0 & 1 & 0 & 1 \\ 1 & 1 & 1 & 1 \end{pmatrix} \qquad K = \begin{pmatrix} 2 & 0 & 0 & 0 \\ 0 & 0 & 0 & 2 \\ 2 & 0 & 0 & 2 \end{pmatrix} \qquad V = \begin{pmatrix} 10 & 0 \\ 0 & 10 \\ 10 & 10 \end{pmatrix}$$
#
# Row 1 of the scores holds the first query times each key: 2, 0, 2. All scores, then divided by $\sqrt{4} = 2$:
#
# $$Q K^{\top} = \begin{pmatrix} 2 & 0 & 2 \\ 0 & 2 & 2 \\ 2 & 2 & 4 \end{pmatrix} \qquad \frac{Q K^{\top}}{2} = \begin{pmatrix} 1 & 0 & 1 \\ 0 & 1 & 1 \\ 1 & 1 & 2 \end{pmatrix}$$
#
# Now the softmax, row by row. In the first row the exponentials are $e, 1, e$ with $e = 2.718$. Their sum is 6.437, so
# the weights are 0.422, 0.155 and 0.422. In the third row divide everything by $e$ first: $1, 1, e$ sum to 4.718, and
# the weights are 0.212, 0.212 and 0.576. The first row of the output is then
#
# $$0.422 \, (10, 0) + 0.155 \, (0, 10) + 0.422 \, (10, 10) = (8.45, 5.78)$$
#
# and the third is $(7.88, 7.88)$. The first token asked for things like itself. It found two, itself and the third, and
# the third brought along something of the second. That is how information moves.
#
# > **Exercise.** Multiply $W_K$ by 10 and do the first row again. What has attention become? And what if $W_K$ is zero?
# >
# > <details><summary>Answer</summary>
# >
# > The scores become 10, 0, 10, so the weights are 0.49999, 0.00002, 0.49999: practically a choice of those that fit,
# > with nothing left for the others. With zero keys all scores are 0 and all weights $\frac{1}{3}$: a plain mean. The size
# > of keys and queries decides how sharply a head looks.
# >
# > </details>

# %% tags=["check"]
X3 = torch.tensor([[1.0, 0], [0, 1], [1, 1]])
Q3 = X3 @ torch.tensor([[1.0, 0, 1, 0], [0, 1, 0, 1]])
K3 = X3 @ torch.tensor([[2.0, 0, 0, 0], [0, 0, 0, 2]])
V3 = X3 @ torch.tensor([[10.0, 0], [0, 10]])
assert Q3.tolist() == [[1, 0, 1, 0], [0, 1, 0, 1], [1, 1, 1, 1]]
assert K3.tolist() == [[2, 0, 0, 0], [0, 0, 0, 2], [2, 0, 0, 2]] and V3.tolist() == [[10, 0], [0, 10], [10, 10]]
assert (Q3 @ K3.T).tolist() == [[2, 0, 2], [0, 2, 2], [2, 2, 4]]
A3 = attention_weights(Q3, K3)
close = dict(atol=6e-4, rtol=0)
torch.testing.assert_close(A3[0], torch.tensor([0.422, 0.155, 0.422]), **close)
torch.testing.assert_close(A3[2], torch.tensor([0.212, 0.212, 0.576]), **close)
assert round(2 * math.e + 1, 3) == 6.437 and round(2 + math.e, 3) == 4.718
Z3 = A3 @ V3
torch.testing.assert_close(Z3, torch.tensor([[8.45, 5.78], [5.78, 8.45], [7.88, 7.88]]), atol=6e-3, rtol=0)
torch.testing.assert_close(
    attention_weights(Q3, 10 * K3)[0], torch.tensor([0.49999, 0.00002, 0.49999]), atol=5e-6, rtol=0
)

# %% [markdown]
# ### Many heads
#
# One attention can look for one kind of thing. A sentence or an image needs many: this head looks to the left, that one
# finds the same colour elsewhere. So $h$ attentions run side by side, each with its own projections of the whole token
# to $d_k = D / h$ numbers.
# Their outputs are concatenated and mixed by one more matrix:
#
# $$\mathrm{MSA}(X) = [Z_1; Z_2; \ldots; Z_h] \, W_O$$
#
# With $D = 512$ and $h = 8$, every head has 64 numbers. The projections and products of eight narrow heads cost as much
# as those of one wide attention, and they can look at eight places at once. Only the weights, $N^2$ of them for each
# head, are eight times as many.

# %% tags=["hide-input"]
diagrams.multi_head_attention()

# %% [markdown]
# The three projections of all heads are one linear layer, `qkv`, three times as wide as a token. One call of `rearrange`
# takes the result apart. Its pattern says how the last axis is ordered: first all queries, then all keys, then all
# values; within each of these one head after the other; and within a head its numbers.


# %%
class Attention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x):
        q, k, v = rearrange(self.qkv(x), "b token (qkv head d) -> qkv b head token d", qkv=3, head=self.heads)
        z = attention_weights(q, k) @ v
        return self.proj(rearrange(z, "b head token d -> b token (head d)"))


# %%
attention = Attention(dim=512, heads=8)
tokens = torch.randn(1, 4, 512)
attention(tokens).shape

# %% tags=["check"]
assert attention(tokens).shape == (1, 4, 512)
assert attention.qkv.weight.shape == (3 * 512, 512) and attention.proj.weight.shape == (512, 512)
# torch's own, from the same weights.
theirs = nn.MultiheadAttention(512, 8, batch_first=True)
theirs.in_proj_weight, theirs.in_proj_bias = attention.qkv.weight, attention.qkv.bias
theirs.out_proj.load_state_dict(attention.proj.state_dict())
torch.testing.assert_close(theirs(tokens, tokens, tokens, need_weights=False)[0], attention(tokens))

# %% [markdown]
# ### The feed-forward network
#
# Attention moves information between tokens. It does little *with* it: for given weights the output is linear in the
# values. The thinking is done by a small network that is applied to each token alone. It widens the token, usually four
# times, bends it, and narrows it again:
#
# $$\mathrm{MLP}(x) = \mathrm{GELU}(x W_1 + b_1) \, W_2 + b_2$$
#
# The bend in the original Transformer is ReLU, which cuts off all that is negative. A ViT uses GELU,
# $\mathrm{GELU}(x) = x \, \Phi(x)$, where $\Phi$ is the distribution function of the standard normal. It is a ReLU
# whose corner has been rounded. For large $x$ it is $x$, for very negative $x$ it is 0. In between it dips to -0.17, so
# a unit that is slightly negative still gets a gradient and can recover.

# %% tags=["hide-input"]
from vitrail.plots import style

figure, (left, right) = style.charts(["activation", "its slope"], (7.0, 2.7), 1)
x = torch.linspace(-4, 4, 401, requires_grad=True)
for i, (name, bend) in enumerate({"GELU": F.gelu, "ReLU": F.relu}.items()):
    y = bend(x)
    slope = torch.autograd.grad(y.sum(), x)[0]
    left.plot(x.detach(), y.detach(), **style.line(i, 401), label=name)
    right.plot(x.detach(), slope, **style.line(i, 401))
style.legend(figure, left)
figure

# %% tags=["check"]
fine = torch.linspace(-4, 4, 80_001, dtype=torch.float64)
assert round(float(F.gelu(fine).min()), 2) == -0.17
torch.testing.assert_close(F.gelu(fine), fine * torch.special.ndtr(fine))


# %%
class MLP(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))


# %% [markdown]
# ### The encoder block
#
# A block is attention, then the MLP, with two additions that make deep stacks trainable. **Layer norm** brings every
# token to mean 0 and variance 1 over its own numbers, then scales and shifts each number by learned factors. The
# **residual connection** adds the input of each part to its output, so that a part only has to learn a correction:
#
# $$z' = \mathrm{MSA}(\mathrm{LN}(z)) + z$$
#
# $$z'' = \mathrm{MLP}(\mathrm{LN}(z')) + z'$$

# %% tags=["hide-input"]
diagrams.encoder_block("pre", "post")

# %% [markdown]
# Where the norm stands is the difference that matters between a ViT's block and the block of 2017. The original normalises
# after the sum, *post-norm*: $\mathrm{LN}(z + f(z))$. A ViT normalises before each part, *pre-norm*:
# $z + f(\mathrm{LN}(z))$. It looks like a detail. But write out what a pre-norm stack computes after $L$ parts:
#
# $$z_L = z_0 + f_1(\mathrm{LN}(z_0)) + f_2(\mathrm{LN}(z_1)) + \ldots + f_L(\mathrm{LN}(z_{L-1}))$$
#
# The input reaches the end untouched, and every part adds to it. On the way back the gradient has the same free path.
# In a post-norm stack each sum goes through another norm, and there is no such path. Post-norm can be trained, but it
# wants a careful warm-up of the learning rate (Xiong et al. 2020,
# [arXiv:2002.04745](https://arxiv.org/abs/2002.04745)). One price of pre-norm is that the sum is never normalised at
# the end, which is why a ViT has one more norm after the last block.
#
# The block in code:


# %%
class Block(nn.Module):
    def __init__(self, dim, heads, hidden):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = MLP(dim, hidden)

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


# %%
block = Block(dim=512, heads=8, hidden=2048)
block(tokens).shape

# %% tags=["check"]
assert block(tokens).shape == tokens.shape
normed = block.norm1(tokens)
torch.testing.assert_close(normed.mean(-1), torch.zeros(1, 4), atol=1e-6, rtol=0)
torch.testing.assert_close(normed.var(-1, unbiased=False), torch.ones(1, 4))
stack = [Block(512, 8, 2048) for _ in range(3)]
z, parts = tokens, []
for each in stack:
    parts.append(each.attn(each.norm1(z)))
    parts.append(each.mlp(each.norm2(z + parts[-1])))
    z = each(z)
torch.testing.assert_close(z, tokens + sum(parts))

# %% [markdown]
# > **Exercise.** Set `proj` and `fc2` of a block to zero, weights and biases. What does the block compute? Why might one
# > begin training there?
# >
# > <details><summary>Answer</summary>
# >
# > Both parts add nothing, so the block hands its input on unchanged, at any depth of the stack. The gradient then
# > reaches every block as if the others were not there. Layer scale, which part 4 mentions, begins near this point.
# >
# > </details>

# %% tags=["check"]
for layer in (block.attn.proj, block.mlp.fc2):
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
assert torch.equal(block(tokens), tokens)

# %% [markdown]
# ### What a ViT leaves out: the decoder
#
# The decoder writes a sentence one word at a time. That needs two things that an encoder does not have.
#
# The first is a **mask**. While training, the decoder is given the whole right answer at once and predicts every word
# from the ones before. It must not peek at those that come after. So before the softmax, minus infinity is added to
# every score that points forward. Since $e^{-\infty} = 0$, such a key gets a weight of exactly 0, and the keys that are
# left share the whole weight:
#
# $$\mathrm{softmax}\left(\frac{Q K^{\top}}{\sqrt{d_k}} + M\right), \qquad M = \begin{pmatrix} 0 & -\infty & -\infty \\ 0 & 0 & -\infty \\ 0 & 0 & 0 \end{pmatrix}$$
#
# In our example by hand, the first token is left alone with itself: weights 1, 0, 0. The second has the scores 0 and 1
# and the weights 0.269 and 0.731. The third could see everything before, and nothing changes for it. Why not set the
# weights themselves to zero, after the softmax? Because then the rows would no longer sum to one.
#
# This page brings its decoder along in a file, since no ViT needs one:

# %% tags=["hide-input"]
show(decoder.causal_mask, decoder.masked_attention_weights)

# %%
decoder.masked_attention_weights(Q3[None, None], K3[None, None], 4**-0.5, decoder.causal_mask(3))[0, 0]

# %% tags=["check"]
M3 = decoder.masked_attention_weights(Q3[None, None], K3[None, None], 4**-0.5, decoder.causal_mask(3))[0, 0]
torch.testing.assert_close(M3[:2], torch.tensor([[1, 0, 0], [0.269, 0.731, 0]]), **close)
torch.testing.assert_close(M3[2], A3[2])
assert (M3.triu(1) == 0).all() and (decoder.causal_mask(3) == -torch.inf).sum() == 3

# %% [markdown]
# The second is **cross-attention**. To translate, the decoder must look at the sentence it translates. Its queries come
# from the words written so far, but keys and values come from the encoder's output. With 4 words written and 6 words to
# translate the weights are no longer square: $4 \times 6$ for every head.

# %% tags=["hide-input"]
diagrams.decoder_block()

# %% tags=["hide-input"]
show(decoder.MultiHeadAttention, decoder.DecoderBlock)

# %%
torch.manual_seed(0)
decode = decoder.DecoderBlock(dim=512, heads=8, mlp_dim=2048)
source, written = torch.randn(1, 6, 512), torch.randn(1, 4, 512)
tuple(decode(written, source).shape), tuple(decode.cross_attention.weights(written, source).shape)

# %% tags=["check"]
assert decode(written, source).shape == (1, 4, 512)
assert decode.cross_attention.weights(written, source).shape == (1, 8, 4, 6)
changed = written.clone()
changed[:, -1] += 1
before, after = decode(written, source), decode(changed, source)
torch.testing.assert_close(before[:, :-1], after[:, :-1])  # no word sees a later one
assert (before[:, -1] - after[:, -1]).abs().max() > 0.01

# %% [markdown]
# A classifier writes nothing. The image is there all at once, so there is no future to hide and no mask. There is one
# input and not two, so there is nothing to cross over to. What is left is the encoder. That is the whole reason why a
# ViT is simpler than the model it comes from.
#
# > **Exercise.** A decoder without its mask is trained to predict every next word. What does it learn, and what happens
# > when it has to write?
# >
# > <details><summary>Answer</summary>
# >
# > It learns to copy: the next word stands there to be looked at, so the loss falls to nearly nothing. When it writes,
# > there is no next word yet, and it has learned nothing else.
# >
# > </details>
#
# ## 3. The Vision Transformer
#
# Now the image. Nearly all of this part is new against the Transformer of 2017, and it is little: how an image becomes
# tokens, and how tokens become a class.

# %% tags=["hide-input"]
diagrams.vision_transformer()

# %% [markdown]
# In equations, those of Dosovitskiy et al. (2021):
#
# $$z_0 = [x_{\mathrm{class}}; \, x_1 E; \, x_2 E; \, \ldots; \, x_N E] + E_{\mathrm{pos}}$$
#
# $$z'_l = \mathrm{MSA}(\mathrm{LN}(z_{l-1})) + z_{l-1}, \qquad l = 1, \ldots, L$$
#
# $$z_l = \mathrm{MLP}(\mathrm{LN}(z'_l)) + z'_l, \qquad l = 1, \ldots, L$$
#
# $$y = \mathrm{LN}(z_L^0)$$
#
# You know the second and the third: they are the block. This part explains the first and the last.
#
# ### An image as a sequence
#
# An image of $H \times W$ pixels with $C$ channels is cut into squares of $P \times P$. That makes
#
# $$N = \frac{H W}{P^2}$$
#
# patches, and each is written out as one vector of $P^2 C$ numbers. For 32 × 32 pixels in three colours and $P = 4$:
# $N = 64$ patches of 48 numbers. No number is lost or made, $32 \cdot 32 \cdot 3 = 3072 = 64 \cdot 48$. They are just
# in another order.


# %%
def patchify(images, size):
    return rearrange(images, "b c (h p) (w q) -> b (h w) (c p q)", p=size, q=size)


# %%
from vitrail.data.sources import open_source

opened = open_source(DATA)
images = opened.load((32, 32), channels=3)
pixels = images.read(np.arange(len(images) - 64, len(images)))  # 64 images (channel, height, width) of bytes


def normalized(pixels):
    """Bytes as numbers around 0."""
    return (torch.from_numpy(pixels).float() / 255 - 0.5) / 0.25


x = normalized(pixels)
patches = patchify(x, 4)
tuple(x.shape), tuple(patches.shape)

# %% tags=["hide-input"]
plots.patches(pixels[1], 4)

# %% tags=["check"]
assert x.shape == (64, 3, 32, 32) and patches.shape == (64, 64, 48) and 32 * 32 * 3 == 3072 == 64 * 48
# The second patch is the second square of the first row: rows 0 to 3, columns 4 to 7.
assert torch.equal(patches[0, 1], x[0, :, 0:4, 4:8].flatten())
assert np.array_equal(plots.patch_vectors(pixels[0], 4), patchify(torch.from_numpy(pixels[:1]), 4)[0].numpy())

# %% [markdown]
# ### The patch embedding
#
# 48 raw numbers become a token of $D$ numbers by one learned matrix $E$, the same for every patch. The model of this
# part is small, with $D = 64$.
#
# You will often see the same thing written as a convolution with a kernel of $P \times P$ and a stride of $P$. It *is*
# the same. A convolution multiplies each window with its weights and adds up. When windows do not overlap, the windows
# are the patches. To see it, take the weights of the linear layer, lay each row out as $3 \times 4 \times 4$, and
# convolve:

# %%
torch.manual_seed(0)
E = nn.Linear(48, 64)
convolution = nn.Conv2d(3, 64, kernel_size=4, stride=4)
convolution.weight.data = E.weight.data.view(64, 3, 4, 4)
convolution.bias.data = E.bias.data

linear = E(patches)
convolved = convolution(x).flatten(2).mT
print(f"both {tuple(linear.shape)}; largest difference {(linear - convolved).abs().max():.1e}")

# %% tags=["check"]
assert linear.shape == convolved.shape == (64, 64, 64)
assert (linear - convolved).abs().max() < 1e-4

# %% [markdown]
# So a ViT does contain one convolution, and this is all the locality it is given. Within a patch, pixels are treated
# together. Between patches, nothing is said.
#
# ### The class token
#
# After the last block there are $N$ tokens, but one class is wanted. ViT borrows a trick from BERT: one more token is
# put in front, the *class token*. It belongs to no patch. Its start is learned, and is the same for every image. In
# every block it attends to the patches and collects what it needs, and at the end it alone is read.
#
# ### Positions
#
# Attention has a property that is easy to overlook: it does not know about order. If you shuffle the tokens, the
# outputs are shuffled the same way, and nothing else happens. One says that it is *permutation equivariant*. Layer norm
# and MLP act on each token alone, so the whole encoder is. For the class token this means that it cannot tell a
# photograph from the same patches in any other order.
#
# The remedy is to add to every token a vector that says where it is: the position embedding $E_{\mathrm{pos}}$, one row
# for each of the $N + 1$ tokens. In a ViT they are learned like any other weight, and they are *one-dimensional*: patch
# 17 has an embedding, but nothing says that it lies in the third row. Part 8 shows how much of the grid is found.
#
# ### The whole model
#
# That is all. `embed` is the first equation, `self.blocks` the second and third, and the last two lines of `forward` are
# the fourth and the head:


# %%
class ViT(nn.Module):
    def __init__(self, size, patch, classes, dim, depth, heads, hidden):
        super().__init__()
        self.patch = patch
        self.patch_embed = nn.Linear(3 * patch**2, dim)
        self.cls_token = nn.Parameter(torch.randn(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.randn(1, (size // patch) ** 2 + 1, dim))
        self.blocks = nn.Sequential(*[Block(dim, heads, hidden) for _ in range(depth)])
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.head = nn.Linear(dim, classes)

    def embed(self, images):
        x = self.patch_embed(patchify(images, self.patch))
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1)
        return x + self.pos_embed

    def forward(self, images):
        x = self.norm(self.blocks(self.embed(images)))
        return self.head(x[:, 0])


# %%
K = len(opened.class_names)
model = ViT(size=32, patch=4, classes=K, dim=64, depth=7, heads=8, hidden=256)
tuple(x.shape), tuple(model(x).shape)

# %% tags=["hide-input"]
pieces = ("class", "def attention", "def patchify")
lines = sum(len(cell.splitlines()) for cell in get_ipython().user_ns["In"] if cell.startswith(pieces))
Markdown(f"With attention, MLP, block and patches, the model has {lines} lines.")

# %% tags=["check"]
assert lines <= 60 and model(x).shape == (64, K)

# %% [markdown]
# Follow one image through `embed`:

# %%
with torch.no_grad():
    one = x[:1]
    embedded = model.patch_embed(patchify(one, 4))
    with_class = torch.cat([model.cls_token, embedded], dim=1)
    z0 = with_class + model.pos_embed

steps = {
    "image": one,
    "patches": patchify(one, 4),
    "patch embeddings": embedded,
    "with the class token": with_class,
    "plus positions": z0,
}
table(["", "shape"], [[name, tuple(value.shape)] for name, value in steps.items()])

# %% tags=["check"]
torch.testing.assert_close(model.embed(one), z0)
assert [tuple(v.shape) for v in steps.values()] == [(1, 3, 32, 32), (1, 64, 48), (1, 64, 64), (1, 65, 64), (1, 65, 64)]

# %% [markdown]
# ### The same logits as the library's
#
# Is this the model that the rest of the page, and `vitrail train`, use? Build the library's at the same size, and give
# ours its weights. They go by the same names but for three, where the library offers a choice of parts (part 4). Then
# compare the logits:

# %%
from vitrail.configs import ViTConfig
from vitrail.models import stems, vit

OURS = {"patch_embed.proj": "patch_embed", "positions.embed": "pos_embed", "head.0": "head"}


def take_weights(ours, library):
    weights = library.state_dict()
    for theirs, name in OURS.items():
        weights = {key.replace(theirs, name): value for key, value in weights.items()}
    ours.load_state_dict(weights)


config = ViTConfig(
    image_size=32, patch_size=4, num_classes=K, embed_dim=64, depth=7, num_heads=8, mlp_dim=256, pos_init_std=1.0
)
torch.manual_seed(0)
library = vit.ViT(config)
take_weights(model, library)
with torch.no_grad():
    difference = (model(x) - library(x)).abs().max()
print(f"largest difference of {64 * K} logits: {difference:.1e}")

# %% tags=["check"]
assert difference < 1e-5 < 0.01 < model(x).std()
# And it trains alike: the gradients are equal, too.
for each in (model, library):
    each.zero_grad()
    F.cross_entropy(each(x), torch.arange(64) % K).backward()
torch.testing.assert_close(model.patch_embed.weight.grad, library.patch_embed.proj.weight.grad, atol=1e-6, rtol=1e-3)
torch.testing.assert_close(model.pos_embed.grad, library.positions.embed.grad, atol=1e-6, rtol=1e-3)

# %% [markdown]
# ### Without positions
#
# Do not take it on trust that order is lost without them. Here are our model, the same with all positions set to zero,
# an image, and the image with all its patches moved:

# %%
import copy

from vitrail.inspection.positions import shuffle_patches

blind = copy.deepcopy(model)
nn.init.zeros_(blind.pos_embed)
shuffled = shuffle_patches(x, patch_size=4)
with torch.no_grad():
    without = (blind(x) - blind(shuffled)).abs().max()
    learned = (model(x) - model(shuffled)).abs().max()
print(f"largest change of a logit: {without:.1e} without positions, {learned:.2f} with them")

# %% tags=["hide-input"]
both = plots.position_effect(
    [pixels[1], ((shuffled[1] * 0.25 + 0.5) * 255).round().clamp(0, 255).byte().numpy()],
    ["image", "shuffled"],
    torch.stack([blind(x[1:2])[0], blind(shuffled[1:2])[0]]).softmax(-1).detach().numpy(),
    opened.class_names,
)
both

# %% tags=["check"]
assert without < 1e-4 < 1e-3 < learned
order = torch.randperm(65)
with torch.no_grad():
    some = torch.randn(2, 65, 64)
    torch.testing.assert_close(model.blocks[0](some)[:, order], model.blocks[0](some[:, order]))

# %% [markdown]
# A practical point for small images: positions are added to the patch embeddings, so they must not be much smaller.
# They usually start at a standard deviation of 0.02. Where patches are few and small they then drown, and order is
# learned late. Ours start at 1.
#
# > **Exercise.** Swap the position embeddings of two patches, and swap the same two patches of the image. What happens to
# > the logits?
# >
# > <details><summary>Answer</summary>
# >
# > Nothing: every patch meets the position that it met before, and the encoder does not see the order. Position 17 is a
# > name, not a place.
# >
# > </details>

# %% tags=["check"]
swapped, moved = copy.deepcopy(model), patchify(x, 4)
moved[:, [3, 40]] = moved[:, [40, 3]]
with torch.no_grad():
    swapped.pos_embed[:, [4, 41]] = swapped.pos_embed[:, [41, 4]]
    moved = rearrange(moved, "b (h w) (c p q) -> b c (h p) (w q)", h=8, p=4, q=4)
    torch.testing.assert_close(swapped(moved), model(x), atol=1e-4, rtol=1e-4)
    assert (model(moved) - model(x)).abs().max() > 1e-3

# %% [markdown]
# ### The head, and probabilities
#
# Out come $K$ numbers, the *logits*, that can be anything. Softmax makes them probabilities:
#
# $$p_k = \frac{e^{y_k}}{\sum_{j=1}^{K} e^{y_j}}$$
#
# A fresh model knows nothing, and says so: every class gets about $1 / K$. Its loss is then about $\log K$. Remember
# this number. A loss near it means that nothing has been learned yet.

# %%
with torch.no_grad():
    probabilities = model(x).softmax(dim=-1)
print(f"{K} classes, 1/K = {1 / K:.3f}; probabilities from {probabilities.min():.3f} to {probabilities.max():.3f}")
print(f"log K = {math.log(K):.3f}")

# %% tags=["check"]
torch.testing.assert_close(probabilities.sum(-1), torch.ones(64))
assert 0.3 / K < probabilities.min() and probabilities.max() < 3 / K

# %% [markdown]
# ### Why the square root, and of what
#
# Back to a promise from part 2: why are scores divided by $\sqrt{d_k}$? Say that queries and keys have entries that are
# independent, with mean 0 and variance 1. A score is a sum of $d_k$ products, so its variance is $d_k$, and wide heads
# have large scores. Softmax of large scores puts nearly all weight on one key. There it is *saturated*: its gradient is
# nearly 0, and nothing can be learned. Dividing by $\sqrt{d_k}$ brings the variance back to 1 at any width.
#
# The $d_k$ here is the width of *one head*. A mistake that one meets in the wild is to take the width of the whole
# model, $D = h \, d_k$. Then the scores have a variance of $1 / h$. The more heads, the closer all scores are to each
# other, and the closer each head is to looking everywhere alike. Training can make the weights larger to undo it, but
# it starts from a head that does nothing but average.
#
# Two numbers tell the three cases apart: the entropy of the weights, which is $\log N$ for a head that looks everywhere
# alike and 0 for one that looks at a single token, and the largest weight. For 65 tokens and 8 heads:

# %%
generator = torch.Generator().manual_seed(0)
widths = (4, 8, 16, 32, 64, 128)
divisors = {
    "1 (no scale)": lambda d: 1.0,
    "root of the head's width": math.sqrt,
    "root of the model's": lambda d: math.sqrt(8 * d),
}
entropy, largest = {name: [] for name in divisors}, {name: [] for name in divisors}
for d in widths:
    q, k = torch.randn(2, 1, 64, 65, d, generator=generator)
    for name, divisor in divisors.items():
        weights = (q @ k.mT / divisor(d)).softmax(dim=-1)
        entropy[name].append(torch.special.entr(weights).sum(-1).mean().item())
        largest[name].append(weights.amax(-1).mean().item())

# %% tags=["hide-input"]
figure, axes = style.charts(["entropy of the weights, in nats", "largest weight"], (7.0, 2.9), 1)
for axis, of in zip(axes, (entropy, largest), strict=True):
    for i, (name, values) in enumerate(of.items()):
        axis.plot(widths, values, **style.line(i, len(widths)), label=name)
    axis.set_xscale("log", base=2)
    axis.set_xticks(widths, widths)
    axis.set_xlabel("width of a head")
axes[0].axhline(math.log(65), color=style.SOFT, linewidth=1, linestyle=":", label="looks everywhere alike")
axes[0].set_ylim(bottom=0)
axes[1].set_ylim(0, 1)
style.legend(figure, axes[0])
figure

# %% [markdown]
# Without a scale, entropy falls with the width: at 64, the width that heads commonly have, one key gets four fifths of
# the weight. With the head's width, entropy stays where it is, at about $\log 65 - \frac{1}{2}$. With the model's width
# it is within 2 % of the largest possible value, so that all heads see the same blur.
#
# The same in a model, not in random numbers. The library has the slip as an option, `attention_scale="model"`, because a
# published walk-through that we repeat in part 7 makes it. Here are two fresh models with equal weights that differ in
# the scale alone:

# %%
from vitrail.inspection import profile_heads

in_model = {}
for scale in ("head", "model"):
    torch.manual_seed(0)
    fresh = vit.ViT(dataclasses.replace(config, attention_scale=scale)).eval()
    in_model[scale] = profile_heads(fresh, x).entropy.mean().item()
    print(f"{scale:6} mean entropy {in_model[scale]:.2f} of at most {math.log(65):.2f} nats")

# %% tags=["check"]
most = math.log(65)
none, of_head, of_model = entropy.values()
assert none == sorted(none, reverse=True) and all(abs(e - (most - 0.5)) < 0.05 for e in of_head)
assert all(0.98 * most < e < most for e in of_model)
assert 0.75 < largest["1 (no scale)"][widths.index(64)] < 0.85
assert in_model["head"] < 0.97 * most < in_model["model"]
walk_through = preset("vit-annotated")
assert walk_through.attention_scale == "model" and walk_through.attention_width == 64 and walk_through.head_dim == 8

# %% [markdown]
# ## 4. The library's model
#
# The library's `models/vit.py` is the same model, with the parts that practice and later papers have added. Each is off
# unless the configuration asks for it. You know the sixty lines, so read these listings for the differences.
#
# **`tap`.** A function that the model calls with the name and value of every intermediate result. Without one, nothing is
# called; all of part 8 is seen through it. **Two ways to compute attention.** `attend` uses torch's fused kernel where that
# is faster, which gives the same output without ever keeping the weights in memory. **`QKNorm`** normalises queries and keys in each head, so that scores cannot grow
# without bound as large models train (Dehghani et al. 2023, [arXiv:2302.05442](https://arxiv.org/abs/2302.05442)).

# %% tags=["hide-input"]
show(vit.attention_weights, vit.attend, vit.Attention)

# %% [markdown]
# **Dropout** sets some numbers to zero at random while training, and scales up the rest so that the mean stays the
# same. A network that cannot rely on any one number spreads what it knows. When the model is used, nothing is dropped.
# It can act in three places, each with its own option: in the MLP (`dropout`), on the attention weights
# (`attn_dropout`), and on the embedded tokens (`embed_dropout`). **`SwiGLU`** is another MLP, whose hidden layer is a
# product of two (Shazeer 2020, [arXiv:2002.05202](https://arxiv.org/abs/2002.05202)). **`residual_branch`** passes its
# input on, unless one of two things is switched on: *stochastic depth*, which leaves the whole part out for some images
# of a batch (Huang et al. 2016, [arXiv:1603.09382](https://arxiv.org/abs/1603.09382)), and *layer scale*, which multiplies
# the part by learned numbers that start small (Touvron et al. 2021, [arXiv:2103.17239](https://arxiv.org/abs/2103.17239)).

# %% tags=["hide-input"]
show(vit.MLP, vit.Block)

# %% [markdown]
# **Stems.** The patch embedding is a choice: `linear` is the one of part 3, and has the checks that one wants on real
# images. `conv` and `pooled` put a few small convolutions before the first block, which brings some of the locality back
# that part 1 gave up (Xiao et al. 2021, [arXiv:2106.14881](https://arxiv.org/abs/2106.14881); Hassani et al. 2021,
# [arXiv:2104.05704](https://arxiv.org/abs/2104.05704)).

# %% tags=["hide-input"]
show(stems.patchify, stems.LinearStem, stems.ConvStem)

# %% [markdown]
# **Positions** are a choice, too: `learned` as in part 3, `learned2d` with one vector for each row and one for each
# column, `sincos` with the fixed sines and cosines of the Transformer, or `none`. For images of another size they are
# interpolated. **Registers** are further tokens without a position, where the model can keep what belongs to no patch
# (Darcet et al. 2024, [arXiv:2309.16588](https://arxiv.org/abs/2309.16588)). **`dist_token`** is a second class token, by
# which DeiT learns from another network's answers (Touvron et al. 2021,
# [arXiv:2012.12877](https://arxiv.org/abs/2012.12877)).

# %% tags=["hide-input"]
show(vit.ViT.embed)

# %% [markdown]
# **What the head reads** is `readout`: the class token, the mean of all patches, which works as well, or several. **The
# head** depends on when you ask. For *pre-training*, the paper puts one hidden layer with tanh before the last linear
# layer (`head="tanh"`). For *fine-tuning* on another data set, that is thrown away, and a single linear layer takes its
# place.

# %% tags=["hide-input"]
show(vit.ViT.__init__, vit.ViT.read, vit.ViT.forward, vit.ViT.classify)

# %% [markdown]
# > **Exercise.** A ViT with a class token, a distillation token and four registers gets an image of 32 × 32 in patches of
# > 4. How many tokens are in its blocks, and how many rows has its table of positions?
# >
# > <details><summary>Answer</summary>
# >
# > 64 patches and 6 others, 70 tokens. Registers have no position, so the table has 66 rows.
# >
# > </details>
#
# *To vary:* in the notebook of this page, put `num_registers=4`, another stem or `qk_norm=True` into `config` of part 3, and
# look at which names `take_weights` then calls unexpected or missing.

# %% tags=["check"]
whole = vit.ViT(dataclasses.replace(config, readout=("cls", "dist"), num_registers=4))
assert whole.embed(x).shape == (64, 70, 64) and whole.positions.embed.shape == (1, 66, 64)
heads = [vit.ViT(dataclasses.replace(config, head=head)).head for head in ("tanh", "linear")]
assert [type(m) for m in heads[0]] == [nn.Linear, nn.Tanh, nn.Linear] and [type(m) for m in heads[1]] == [nn.Linear]

# %% [markdown]
# ## 5. Compared
#
# ### With the Transformer of 2017
#
# | | Transformer | Vision Transformer |
# |---|---|---|
# | task | translate a sentence | classify an image |
# | stacks | encoder and decoder | encoder |
# | input | words, looked up in a table | patches of pixels, multiplied by a matrix |
# | tokens | as many as the sentence has; ours above had 4 | $N = H W / P^2$, the same for all images of one size |
# | positions | fixed sines and cosines | learned, one for each place |
# | class token | none | one, and it alone is read |
# | attention scope | encoder: all to all; decoder: backwards only, and across | all to all |
# | norm | after the sum | before each part, and once at the end |
# | activation | ReLU | GELU |
# | built-in bias | order of words, by the positions | nearly none: pixels of a patch belong together |
# | data | 4.5 million pairs of sentences (English to German) | 1.3 to 303 million images to pre-train on |
# | output | a distribution over words, for every word | one distribution over classes |
#
# ### With a convolutional network
#
# | | CNN | ViT |
# |---|---|---|
# | what a layer sees | a small window | the whole image |
# | what decides how inputs are mixed | weights that are fixed after training | the input itself, through queries and keys |
# | locality | built in | learned, where it helps |
# | if the image moves by one pixel | features move along (within a layer; strides later lose this) | patches change, and all may |
# | resolution | falls from stage to stage | one grid from first to last |
# | cost for $N$ places | grows as $N$ | attention grows as $N^2$ |
# | with few images | good | poor without help |
# | with very many | good, then flattens earlier | better still |
# | looking inside | feature maps | feature maps and attention |
#
# The row "with few images" is the one to remember when you choose. `vitrail compare` measures it on your own images:
# both kinds are trained on the same batches in the same order.
#
# > **Exercise.** An image moves to the right by exactly the width of a patch. What happens to the tokens of a ViT, as
# > embedded but without positions? And with them?
# >
# > <details><summary>Answer</summary>
# >
# > Without positions each token is found again one place to the right; only the first column is new. With them, each
# > meets another position, and no token is what it was. A convolution's features move along (up to its stride).
# >
# > </details>
#
# ## 6. Every parameter
#
# Where do the 86 million parameters of ViT-Base come from? One can count them with a pencil. Let $D$ be the width, $M$
# the width of the MLP, $L$ the depth, $P$ the patch size, $C$ the channels, $N$ the number of patches, and $K$ the
# number of classes. Every linear layer has a bias.
#
# | part | parameters | why |
# |---|---|---|
# | patch embedding | $P^2 C D + D$ | a matrix and a bias |
# | class token | $D$ | one token |
# | positions | $(N + 1) D$ | one for each patch and the class token |
# | queries, keys, values | $3 (D^2 + D)$ per block | three matrices; *the number of heads does not matter* |
# | attention output | $D^2 + D$ per block | $W_O$ |
# | MLP | $2 D M + M + D$ per block | in and out |
# | two layer norms | $4 D$ per block | scale and shift, twice |
# | last layer norm | $2 D$ | scale and shift |
# | head | $D K + K$ | one linear layer |
#
# With $M = 4 D$ a block has $12 D^2 + 13 D$ parameters, and nearly all of the model is $12 L D^2$. Twice as deep is
# twice as large; twice as wide is four times.


# %%
def count(c):
    """Parameters of a ViT with learned positions, a class token and a linear head, by part."""
    D, M, L = c.embed_dim, c.mlp_dim, c.depth
    return {
        "patch embedding": c.patch_size**2 * c.in_channels * D + D,
        "class token": D,
        "positions": (c.num_patches + 1) * D,
        "queries, keys, values": L * 3 * (D**2 + D),
        "attention output": L * (D**2 + D),
        "MLP": L * (2 * D * M + M + D),
        "layer norms": L * 4 * D + 2 * D,
        "head": D * c.num_classes + c.num_classes,
    }


# %% [markdown]
# The three published sizes are presets: `vit-b16`, `vit-l16` and `vit-h14`. The real modules are built on torch's
# *meta* device, where a tensor has a shape but no memory, so that even Huge is there at once. `summarize` is what the
# command `vitrail summary vit-b16` prints.

# %%
from vitrail.models.summary import summarize

names = ("vit-b16", "vit-l16", "vit-h14")
counts, built = {}, {}
for name in names:
    counts[name] = count(preset(name))
    with torch.device("meta"):
        built[name] = sum(p.numel() for p in vit.ViT(preset(name)).parameters())
    assert sum(counts[name].values()) == built[name] == summarize(preset(name)).parameters

c = {name: preset(name) for name in names}
rows = [["width, depth, heads", *(f"{c[n].embed_dim}, {c[n].depth}, {c[n].num_heads}" for n in names)]]
rows += [[part, *(f"{counts[n][part]:,}" for n in names)] for part in counts[names[0]]]
rows += [["**by the formulas**", *(f"**{sum(counts[n].values()):,}**" for n in names)]]
rows += [["the built module", *(f"{built[n]:,}" for n in names)]]
rows += [["`summarize`", *(f"{summarize(c[n]).parameters:,}" for n in names)]]
rows += [["published", "86M", "307M", "632M"]]
table(["", *names], rows)

# %% tags=["check"]
assert [built[n] for n in names] == [86_567_656, 304_326_632, 632_045_800]
for n in names:
    D = c[n].embed_dim
    assert c[n].mlp_dim == 4 * D
    assert sum(p.numel() for p in vit.Block(dataclasses.replace(c[n], depth=1), 0.0).parameters()) == 12 * D**2 + 13 * D
    assert 0.96 < 12 * c[n].depth * D**2 / built[n] < 1
L32 = sum(count(dataclasses.replace(c["vit-l16"], patch_size=32)).values())
of_8 = count(dataclasses.replace(c["vit-b16"], patch_size=8))
assert (of_8["patch embedding"], of_8["positions"], sum(of_8.values())) == (148_224, 602_880, 86_576_872)
assert (counts["vit-b16"]["patch embedding"], counts["vit-b16"]["positions"]) == (590_592, 151_296)
assert 785**2 == 616_225 and 197**2 == 38_809
assert round(L32 / 1e6, 1) == 306.5 and round((built["vit-b16"] - counts["vit-b16"]["head"]) / 1e6, 1) == 85.8

# %% [markdown]
# Huge agrees with the published size to the last digit given, and Base does without its head for 1,000 classes (85.8
# million): no single way of counting gives both. For Large the paper says 307 million, 1 % more than ViT-L/16 has with 1,000 classes. The paper gives one
# number for each width and depth, not for each patch size. The same model with patches of 32 has 306.5 million, so this
# may be what was counted.
#
# > **Exercise.** ViT-Base gets patches of 8 instead of 16, at the same image size of 224. Which rows of the table change?
# > How many parameters does it have then, and how many pairs of tokens does each head compare?
# >
# > <details><summary>Answer</summary>
# >
# > A patch has a quarter of the pixels, so the patch embedding shrinks from 590,592 to 148,224. There are 784 patches
# > instead of 196, so positions grow from 151,296 to 602,880. In all it has 86,576,872, nearly the same. But pairs of
# > tokens are $785^2 = 616225$ instead of $197^2 = 38809$, nearly 16 times as many. Parameters are not what a model costs.
# >
# > </details>
#
# The parameters of the small model that we train next, part by part, as the library lists them:


# %% tags=["hide-input"]
def shape(numbers):
    return " × ".join(map(str, numbers)) or "–"


summary = summarize(config)
table(
    ["part", "type", "input", "output", "parameters"],
    [[f"`{r.name}`", r.type, shape(r.input), shape(r.output), f"{r.parameters:,}"] for r in summary.rows],
)

# %% tags=["check"]
assert sum(count(config).values()) == summary.parameters == sum(p.numel() for p in model.parameters())

# %% [markdown]
# ## 7. Training on 600 images
#
# A published walk-through, "Annotation of Vision Transformer", trains a small ViT on 600 images of CIFAR-10 for 6 epochs
# and tests it on 200. We do so with the model of part 3, which has the size of its model: width 64, depth 7, 8 heads,
# patches of 4. As there, the 200 test images are looked at after every epoch, and nothing is chosen by them. (The images
# of this part and of part 3 are those of the environment variable `VITRAIL_DOCS_DATA`, such as `cifar10`; without it, of
# `shapes`, which part 8 describes.)
#
# ### The loop
#
# Training is one loop. Take a *batch* of images, in an order that is new in every epoch. *Augment* it: shift each image
# by up to 4 pixels and mirror half of them, so that none is seen twice alike. Compute the logits and the *loss*. Go
# *backward*, which gives every weight its gradient, and let the *optimiser* take a step against it. The size of the step,
# the learning rate, rises over the first steps, the *warm-up*, while the optimiser does not know yet how large gradients
# are; then it falls to 0 along a cosine. After each epoch, *measure* on images that were not trained on.

# %%
from vitrail.configs import DataConfig
from vitrail.data.augment import crop_and_flip
from vitrail.data.batches import epoch_order, step_seed
from vitrail.data.splits import split

divided = split(opened.labels, opened.split, DataConfig(DATA, train_subset=600, test_subset=200, val_split="test"))
train, test, answers = divided.train, divided.test, torch.from_numpy(opened.labels)

EPOCHS, BATCH, PEAK, WARMUP = 6, 128, 2e-3, 2
TOTAL = EPOCHS * (len(train) // BATCH)  # 24 steps

torch.manual_seed(0)
take_weights(model, vit.ViT(config))
optimizer = torch.optim.Adam(model.parameters(), lr=PEAK)
losses, accuracies = [], []

# %%
for epoch in range(EPOCHS):
    order = train[epoch_order(len(train), seed=0, epoch=epoch)]
    for start in range(0, len(order) - BATCH + 1, BATCH):
        step, batch = len(losses), order[start : start + BATCH]
        rising = (step + 1) / (WARMUP + 1)
        falling = 0.5 * (1 + math.cos(math.pi * max(step - WARMUP, 0) / (TOTAL - WARMUP)))
        optimizer.param_groups[0]["lr"] = PEAK * min(rising, falling)

        torch.manual_seed(step_seed(0, step))  # what is drawn at random here
        augmented = crop_and_flip(torch.from_numpy(images.read(batch)), pad=4, flip=True)
        loss = F.cross_entropy(model(normalized(augmented.numpy())), answers[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())

    with torch.no_grad():
        guesses = model(normalized(images.read(test))).argmax(dim=1)
    accuracies.append((guesses == answers[test]).float().mean().item())
    print(f"epoch {epoch + 1}: loss {np.mean(losses[-4:]):.3f}, accuracy on test images {accuracies[-1]:.1%}")

# %% [markdown]
# ### The same by the library
#
# `vitrail train`, or `vitrail.train` in Python, does this, and what a loop needs in practice: it chooses what you do not,
# saves checkpoints so that it can go on where it was stopped, computes all metrics, and writes a report. By itself it
# would choose more than the loop has, such as smoothed labels and clipped gradients. Told to do what the loop does, it
# does the same. These are both losses, step by step:

# %%
from vitrail.configs import AugmentConfig

few = dict(train_subset=600, test_subset=200, val_split="test", mean=(0.5,), std=(0.25,), threads=THREADS)
plain = dict(schedule="cosine", betas=(0.9, 0.999), label_smoothing=0.0, clip_norm=None, small_side=None)
same = dict(batch_size=BATCH, optimizer="adam", lr=PEAK, warmup=WARMUP / TOTAL, precision="fp32")
varied = AugmentConfig(crop=4, flip=True)
run = vitrail.train(DATA, config, out=WORK / "six-epochs", epochs=EPOCHS, augment=varied, **few, **plain, **same)

theirs = run.steps.loss
both = {"the loop": losses[:6], "`vitrail.train`": theirs[:6]}
table(["step", *"123456"], [[name, *(f"{loss:.5f}" for loss in of)] for name, of in both.items()])

# %% tags=["check"]
assert TOTAL == 24 == len(losses) == len(theirs)
np.testing.assert_allclose(losses[:6], theirs[:6], atol=2e-5)
np.testing.assert_allclose(losses, theirs, atol=5e-3)
assert abs(accuracies[-1] - run.metrics[-1]["val_accuracy"]) < 0.05

# %% [markdown]
# From here on the loop is the library's. What it measured:

# %%
METRICS = ("loss", "accuracy", "auroc", "f1", "precision", "recall", "top5")
table(
    ["epoch", *(f"{metric} (train / test)" for metric in METRICS)],
    [[row["epoch"], *(f"{row[f'train_{m}']:.3f} / {row[f'val_{m}']:.3f}" for m in METRICS)] for row in run.metrics],
)

# %% [markdown]
# What the columns mean, for $K$ classes:
#
# - **loss**: cross-entropy, the mean of $-\log p$ of the right class. Guessing gives $\log K$.
# - **accuracy**: the share of images whose most probable class is right. It is also called **top-1**. Guessing gives
#   $1 / K$.
# - **AUROC**: take one class. How often does an image of this class get a higher probability for it than an image of
#   another one does? Averaged over classes. Guessing gives 0.5, at any $K$. It sees that something was learned before
#   accuracy does, since it does not ask for the first place.
# - **precision**: of all images that were called a cat, the share that are one. Macro-averaged: computed for each
#   class, then the mean over classes.
# - **recall**: of all images of cats, the share that were called one, again as the mean over classes. Where every class
#   has the same number of images, this is the accuracy. The published walk-through averages what it calls accuracy over
#   classes, so it prints macro recall under three names (accuracy, recall, top-1), with the same digits.
# - **F1**: the harmonic mean of precision and recall of a class, then the mean over classes. A model that always
#   answers with two or three classes has a low one, even where its accuracy is passable.
# - **top-5**: the share of images whose class is among the five most probable. Guessing gives $5 / K$: with 10 classes
#   half, with 8 classes 0.625.


# %% tags=["hide-input"]
def curves(run, metric, title, guess=None, held_out="test"):
    rows = run.metrics
    epochs = np.array([row["epoch"] for row in rows])
    lines = {
        name: np.array([row[f"{part}_{metric}"] for row in rows])
        for name, part in (("training", "train"), (held_out, "val"))
    }
    if guess is not None:
        lines["guessing"] = np.full(len(rows), guess)
    figure = plots.metric_curves(epochs, lines, title)
    figure.axes[0].set_ylim(0, 1 if metric == "accuracy" else None)
    figure.set_size_inches(7.0, 2.8)
    return figure


curves(run, "loss", "loss", math.log(K))

# %% tags=["hide-input"]
curves(run, "accuracy", "accuracy", 1 / K)

# %% [markdown]
# The axes begin at 0, so that what looks flat is flat. Drawn from its least value to its largest, any loss looks as if
# much were happening.
#
# Here are the same numbers beside those that were published, and beside those that the recipe `annotated-600` gave over
# many seeds (`vitrail reproduce annotated-600`, with the preset `vit-annotated`). The recipe follows the walk-through where this page does not: the scale by the model's
# width, dropout on attention, a weight decay of 0.1, a constant learning rate, and no augmentation.

# %% tags=["hide-input"]
from vitrail.recipes.published import REPRODUCTIONS

published = REPRODUCTIONS["annotated-600"].values["annotated-600"]
TITLES = {"auroc": "AUROC", "f1": "F1", "accuracy": "accuracy (top-1)", "top5": "top-5"}


columns = {
    "published (CIFAR-10)": {m: (published[f"train_{m}"], published[f"val_{m}"]) for m in METRICS},
    f"this page ({opened.name})": {m: (run.metrics[-1][f"train_{m}"], run.metrics[-1][f"val_{m}"]) for m in METRICS},
}
kept = Path("..") / "results" / "annotated-600.json"
if kept.is_file():
    record = json.loads(kept.read_text())
    name = f"mean of {len(record['seeds'])} runs kept here ({record['data']})"
    columns[name] = {m: (record["train"][m]["mean"], record["val"][m]["mean"]) for m in METRICS}


def pair(values):
    return " / ".join("–" if value is None else f"{value:.4f}" for value in values)


table(
    ["train / test", *columns],
    [[TITLES.get(m, m), *(pair(of[m]) for of in columns.values())] for m in METRICS],
)

# %% tags=["hide-input"]
if "cifar" in opened.name.lower():
    note = (
        "All are of CIFAR-10 with 10 classes and as many images, but not the same images, nor the same random numbers."
    )
else:
    note = (
        f"**This page's column must not be compared with the others number by number.** They are of CIFAR-10, photographs "
        f"in 10 classes; it is of `{opened.name}`, in {K} classes, because this page is made without a network. What they "
        f"share is that little was learned: guessing has a loss of log 10 = 2.303 and an accuracy of 0.1 there, log {K} = "
        f"{math.log(K):.3f} and {1 / K:.3f} here. On CIFAR-10, where colour alone tells something, six epochs get a little "
        f"way from there; on `{opened.name}`, where it tells nothing, the test stays at guessing. (With 200 test images an "
        f"accuracy is known to about 5 points.)"
    )
Markdown(note)

# %% tags=["check"]
end = run.metrics[-1]
assert math.isclose(math.log(10), 2.303, abs_tol=1e-3)
assert abs(end["train_loss"] - math.log(K)) < 0.35 and end["train_accuracy"] < 3 / K + 0.05
assert abs(end["train_accuracy"] - end["val_accuracy"]) < 0.12
assert end["step"] == 24 and len(run.metrics) == 6

# %% [markdown]
# ### Why it underfits
#
# Training and test agree, and both are poor. This is not *over*fitting, where a model knows its training images by
# heart and others not. It is *under*fitting: it does not even know the images it has seen. The first suspect is **few
# steps**. 600 images make 4 full batches of 128, and six epochs are 24 steps. A ViT must first learn what a neighbour is,
# and 24 steps are little time for it. In the walk-through, two things may have worked against it besides:
#
# 1. **Weight decay in Adam.** Decay is added to the gradient there, and Adam then divides by the gradient's size. A
#    weight whose own gradient is small is pulled to zero about as fast as Adam can move it. AdamW, which keeps the two
#    apart, was invented for this reason ([arXiv:1711.05101](https://arxiv.org/abs/1711.05101)).
# 2. **The scale.** Divided by the model's width, all heads start as an average over the image (part 3). It weighs
#    little here: over ten seeds, the recipe `annotated-600-head`, which divides by the heads' own width, is not clearly
#    better (see the page of results).
#
# And if we give it more time? The same model and the same 600 images for 20 epochs, which makes 80 steps. To see how far
# it can go on these images, they are not augmented, and the learning rate stays constant: three changes at once, so this
# shows what more training can do, not which of the three did it.

# %%
alike = AugmentConfig(crop=0, flip=False)
constant = plain | dict(batch_size=BATCH, optimizer="adam", lr=PEAK, schedule="constant")
longer = vitrail.train(DATA, config, out=WORK / "more-epochs", epochs=20, augment=alike, **few, **constant)

# %% tags=["hide-input"]
curves(longer, "loss", "loss, 20 epochs", math.log(K))

# %% tags=["hide-input"]
curves(longer, "accuracy", "accuracy, 20 epochs", 1 / K)

# %% tags=["hide-input"]
end = longer.metrics[-1]
Markdown(
    f"Training accuracy ends at {end['train_accuracy']:.0%}, test accuracy at {end['val_accuracy']:.0%}; guessing gives "
    f"{1 / K:.1%}. The test loss is {end['val_loss']:.2f}, against {math.log(K):.2f} for guessing."
)

# %% tags=["check"]
assert end["step"] == 80 and 600 // 128 == 4
assert end["train_accuracy"] > run.metrics[-1]["train_accuracy"] + 0.1
assert end["train_accuracy"] > end["val_accuracy"] + 0.1

# %% [markdown]
# Training and test have parted. Now the model *over*fits: it begins to know its own images by heart, and the test
# images gain much less from it, or nothing. This is the hunger for data of part 1, on a laptop. With 600 images such a
# ViT can be trained too little or too much, but not well. There are two ways out, more data and help. The next part
# takes both. (Help alone goes a long way: with convolutions in front and images that are never the same twice, the
# recipe `small-data` is right more often than not.)
#
# > **Exercise.** One run on 8 classes has a training loss of 2.08 after its first epoch, another run one of 2.60. What has
# > happened in each?
# >
# > <details><summary>Answer</summary>
# >
# > $\log 8 = 2.079$: it guesses, and knows that it guesses. A loss above that is *worse* than guessing: the model is sure
# > of wrong answers. Usually the learning rate is too high.
# >
# > </details>
# >
# > **Exercise.** In the loop above, leave out `optimizer.zero_grad()`. What is the step then taken along?
# >
# > <details><summary>Answer</summary>
# >
# > `backward` adds to the gradients that are there, so the optimiser is given the sum of all gradients since the beginning.
# > It resembles momentum that never fades: old batches weigh as much as the last one.
# >
# > </details>
#
# *To vary:* in the notebook, set `WARMUP = 0` or `PEAK = 2e-2` in the loop, or give it 2,000 images instead of 600 (90
# steps instead of 24). Which of these changes the training loss by more than another seed does?
#
# ## 8. Inside a model that has learned
#
# To see what a ViT looks at, we want one that is right most of the time, and images of which we know what it *should*
# look at. The data set `shapes` is made for this. Each image has one larger object of 8 kinds on a coloured ground, and
# the label is its kind. Half of the images have a second, smaller object that is there to mislead. Colours tell
# nothing. And because the images are generated, the outline of every object is known to the pixel.
#
# Here are 5,000 of its images, and help of four sorts. A *convolutional stem* gives the model edges and corners to
# start from (part 4). Positions start large enough to be heard. Augmentation makes more of the images, as in part 7. And
# the optimiser is Muon, which replaces the update of each matrix by the nearest orthogonal one, so that all directions in
# it are changed by the same amount (Jordan et al. 2024); it learns faster here than Adam. Training takes about a minute on two cores.

# %%
small = ViTConfig(
    image_size=32,
    patch_size=4,
    num_classes=8,
    embed_dim=64,
    depth=4,
    num_heads=4,
    mlp_dim=128,
    stem="conv",
    pos_init_std=0.5,
)
trained = vitrail.train(
    "shapes",
    small,
    out=WORK / "shapes-model",
    train_subset=5000,
    test_subset=1000,
    epochs=8,
    batch_size=64,
    optimizer="muon",
    augment=varied,
    threads=THREADS,
    **plain,
)
classifier = vitrail.load(trained.directory)

# %% tags=["hide-input"]
curves(trained, "accuracy", "accuracy on shapes", 1 / 8, "validation")

# %% tags=["hide-input"]
accuracy = trained.evaluation["accuracy"]
Markdown(f"On 1,000 test images that it never saw, it is right in **{accuracy:.1%}**. Guessing gives 12.5 %.")

# %% tags=["check"]
assert accuracy > 0.75 and trained.evaluation["images"] == 1000
assert summarize(small).parameters < 200_000

# %% [markdown]
# What follows uses 400 test images, or the first of them where it says so. `vitrail.inspect` runs the model once and keeps
# what passes through:
# tokens of every depth, and queries, keys and values, from which it computes the attention weights on demand. This is
# the `tap` of part 4 at work.

# %%
from vitrail.data import shapes

places = np.arange(shapes.NUM_TRAIN, shapes.NUM_TRAIN + 400)
drawn = shapes.render(shapes.scenes(places))
inputs = classifier.preprocessing.normalize(torch.from_numpy(drawn.images))
labels = torch.from_numpy(drawn.labels)
predicted = classifier.logits(inputs).argmax(dim=1)

# An image that is classified rightly, and has a second object.
chosen = int(np.flatnonzero((predicted == labels).numpy() & (drawn.second >= 0))[0])
image = drawn.images[chosen]
capture = vitrail.inspect(classifier, inputs[chosen : chosen + 1])
tuple(capture.tokens.shape), tuple(capture.attention().shape)

# %% tags=["hide-input"]
kinds = shapes.CLASS_NAMES
Markdown(
    f"The image we follow shows a **{kinds[drawn.labels[chosen]]}**, and as the smaller object a "
    f"{kinds[drawn.second[chosen]]}. The model says {kinds[predicted[chosen]]}."
)

# %% tags=["check"]
assert capture.tokens.shape == (1, 5, 65, 64)  # image, embedding and four blocks, tokens, width
assert capture.attention().shape == (1, 4, 4, 65, 65)  # image, layer, head, query, key
torch.testing.assert_close(capture.attention().sum(-1), torch.ones(1, 4, 4, 65))
assert len(drawn.images) == 400 and np.isin(places, np.flatnonzero(shapes.SPLIT)).all()

# %% [markdown]
# ### Where the class token looks
#
# Each panel is one head of one layer. Its colours are the class token's attention to every patch, in multiples of what
# it would be if the patches shared all of it evenly. The last column is the mean of the heads.

# %% tags=["hide-input"]
plots.attention_grid(image, capture.class_attention()[0].numpy())

# %% [markdown]
# How did this come about? The library stores the attention for one image through training. Each column is the last layer's attention
# after an epoch; the first row is the mean over heads:

# %% tags=["hide-input"]
from vitrail.inspection import attention_history

seen = attention_history.read(trained.directory)
plots.training_strip(seen.image, seen.maps, seen.epochs, most=6)

# %% [markdown]
# ### Rollout
#
# The last layer's attention is about tokens that have been mixed three times already. What it calls patch 17 is no
# longer patch 17 alone. *Attention rollout* (Abnar & Zuidema 2020,
# [arXiv:2005.00928](https://arxiv.org/abs/2005.00928)) takes this into account. It assumes that in each layer half of a
# token comes from attention and half from the residual connection:
#
# $$R = \hat{A}_L \cdots \hat{A}_2 \hat{A}_1, \qquad \hat{A}_l = \frac{1}{2} (A_l + I)$$
#
# where $A_l$ is the mean over heads. The class token's row of $R$ says how much of each patch reaches it, if attention
# were all there is. It is not: values, MLPs and the head are left out. That is why it has to be measured before it is
# believed.

# %% tags=["hide-input"]
rolled = {
    f"{fusion} over heads": capture.grid.patches(capture.rollout(fusion)[0, 0]).numpy() for fusion in ("mean", "max")
}
plots.rollout_map(image, rolled)

# %% tags=["check"]
A_hat = [(capture.attention(layer).mean(dim=(1, 2))[0] + torch.eye(65)) / 2 for layer in range(4)]
torch.testing.assert_close(A_hat[3] @ A_hat[2] @ A_hat[1] @ A_hat[0], capture.rollout()[0], atol=1e-5, rtol=1e-4)

# %% [markdown]
# ### How far heads look
#
# For every head one can compute the mean distance, in pixels, between a patch and what it attends to. It is the ViT's
# counterpart of a CNN's receptive field, and a measure of how much locality was learned. The dashed line is what even
# attention would have.

# %%
profile = profile_heads(classifier, inputs[:200], labels[:200])
uniform = float(profile.grid.distances().mean())
by_layer = profile.distance.mean(dim=1)

# %% tags=["hide-input"]
plots.attention_distance(profile.distance.numpy(), uniform)

# %% tags=["hide-input"]
change = float(by_layer[-1] - by_layer[0])
word = "grows with depth" if change > 0.3 else "shrinks with depth" if change < -0.3 else "hardly changes with depth"
least, farthest = profile.distance.min(), profile.distance.max()
Markdown(
    f"In this model the mean distance {word}: from {by_layer[0]:.1f} pixels in the first layer to {by_layer[-1]:.1f} in the "
    f"last. Single heads lie between {least:.1f} and {farthest:.1f}; even attention has {uniform:.1f}."
)

# %% tags=["check"]
assert round(uniform, 1) == 16.5
assert 0 < float(least) <= float(farthest) < 30

# %% [markdown]
# In the large models of the paper (figure 7), some heads of the first layers look at close neighbours only and others
# look across the image, while in the last layers nearly all look far. Our images are 8 patches wide, and the
# convolutional stem has seen the neighbourhood already. So there is less for short-sighted heads to do.
#
# ### What heads specialise in
#
# Four numbers describe a head: its entropy (how widely it looks), its distance, the share of its attention that goes to
# the class token, and how much of the variance of its attention map is decided by the class of the image. `name_heads`
# puts a word to it where a single habit explains at least half of what a head does. Otherwise it says "mixed".

# %% tags=["hide-input"]
from vitrail.inspection import name_heads

words = name_heads(profile)
table(
    ["layer.head", "entropy (nats)", "distance (pixels)", "to the class token", "decided by class", "in words"],
    [
        [
            f"{layer}.{head}",
            f"{profile.entropy[layer, head]:.2f}",
            f"{profile.distance[layer, head]:.1f}",
            f"{profile.prefix[layer, head, 0]:.1%}",
            f"{profile.class_dependence[layer, head]:.0%}",
            words[layer][head],
        ]
        for layer in range(4)
        for head in range(4)
    ],
)

# %% [markdown]
# Which neighbour a head prefers is easier to see than to name. The middle of each square is the patch itself, and the
# rest is mean attention to the patch so many rows and columns away:

# %% tags=["hide-input"]
plots.head_offsets(profile.offsets.numpy())

# %% tags=["hide-input"]
mixed = sum(word == "mixed" for of in words for word in of)
evenly = profile.entropy.mean() / math.log(65)
Markdown(
    f"{mixed} of 16 heads are mixed. On average, the entropy is {evenly:.0%} of the largest possible one. It is tempting to "
    "tell a story about each head, and one should resist: a habit that explains less than half of a head does not explain "
    "the head."
)

# %% tags=["check"]
assert profile.images == 200 and 0.2 < evenly <= 1

# %% [markdown]
# ### From simple to complex
#
# In a CNN, first layers see edges and colours, later ones parts, the last ones objects. Does a ViT do the same, with
# one grid from first to last? First look. The three strongest principal components of the patch tokens, as red, green
# and blue. Like colours are like tokens:

# %% tags=["hide-input"]
from vitrail.inspection import features

several = vitrail.inspect(classifier, inputs[:100])
coloured = features.token_pca(torch.cat([several.tokens, capture.tokens]), several.grid)[-1]
plots.token_colors(image, coloured.numpy())

# %% [markdown]
# And the first six of the 64 numbers of each token, each as a map:

# %% tags=["hide-input"]
maps = features.feature_maps(classifier, inputs)
plots.feature_maps(image, [of[chosen].numpy() for of in maps.values()], most=6)

# %% [markdown]
# Then measure. From single patch tokens of each depth, a linear regression tries to read two things: something simple,
# the patch's mean colour, and something complex, the kind of the object that the patch lies on. It is fitted on 300
# images and tested on the other 100. One patch of 4 × 4 pixels cannot show a whole star. What its token knows of the star
# as embedded, it has from the neighbours that the convolutions of the stem see; what it knows more in later layers, it has
# from other patches by attention.


# %%
def fitted(features, wanted, new):
    """What a ridge regression makes of new features."""
    features, new = (F.pad(each.double(), (0, 1), value=1.0) for each in (features, new))
    shrink = 1e-2 * len(features) * torch.eye(features.shape[1], dtype=torch.float64)
    return new @ torch.linalg.solve(features.T @ features + shrink, features.T @ wanted.double())


squares = "b c (h p) (w q) -> b h w (c p q)"
covered = rearrange(torch.from_numpy(drawn.masks[:, :1]).float(), squares, p=4, q=4).mean(-1) > 0.5
colour = rearrange(inputs, "b c (h p) (w q) -> b h w c (p q)", p=4, q=4).mean(-1)
kind = labels[:, None, None].expand(-1, 8, 8)
fit, new = covered.clone(), covered.clone()
fit[300:], new[:300] = False, False

knows_colour, knows_kind = [], []
for of in maps.values():
    tokens = rearrange(of, "b d h w -> b h w d")
    tokens = (tokens - tokens.mean((0, 1, 2))) / tokens.std((0, 1, 2))
    error = (fitted(tokens[fit], colour[fit], tokens[new]) - colour[new]).square().sum()
    knows_colour.append(1 - float(error / (colour[new] - colour[new].mean(0)).square().sum()))
    guess = fitted(tokens[fit], F.one_hot(kind[fit], 8), tokens[new]).argmax(1)
    knows_kind.append(float((guess == kind[new]).float().mean()))

depths = ["embedding", *(f"block {i}" for i in range(4))]
table(
    ["read from one token", *depths],
    [
        ["colour of the patch (share of variance explained)", *(f"{value:.2f}" for value in knows_colour)],
        ["kind of the object (accuracy; guessing 0.125)", *(f"{value:.2f}" for value in knows_kind)],
    ],
)

# %% tags=["check"]
assert knows_kind[-1] > knows_kind[0] + 0.15 and knows_colour[0] > knows_colour[-1] + 0.05

# %% [markdown]
# The two go in opposite directions. As embedded, a token knows its colour well and the object poorly. Block by block it
# forgets about the colour, which is of no use for the label, and learns what it is part of. So yes, from simple to
# complex, though each token keeps its place on the grid.
#
# ### What the positions have learned
#
# Each small map below belongs to the patch at its place, and shows the cosine similarity of this patch's position
# embedding to all others.

# %%
from vitrail.inspection import accuracy_by_moved, position_similarity
from vitrail.inspection.positions import position_structure

similarity = position_similarity(classifier)
structure = position_structure(similarity)
moved = accuracy_by_moved(classifier, inputs[:200], labels[:200])

# %% tags=["hide-input"]
plots.position_similarity(similarity.numpy())

# %% tags=["hide-input"]
figure = plots.accuracy_by_moved((moved.moved / 64).numpy(), moved.accuracy.numpy(), 1 / 8)
figure.set_size_inches(7.0, 2.8)
figure

# %% tags=["hide-input"]
clearly = structure.recovered > 0.05
Markdown(
    f"Mean similarity is {structure.same_row:.3f} within a row, {structure.same_column:.3f} within a column and "
    f"{structure.apart:.3f} otherwise. "
    + (
        "The grid has been found. "
        if clearly
        else "That is hardly a grid. Embeddings that start as large random vectors are nearly orthogonal, and this "
        "tells all places apart from the first step on. There may be little need to move them. "
    )
    + f"But order is used, and how: accuracy falls from {moved.accuracy[0]:.0%} to {moved.accuracy[1]:.0%} when a quarter "
    f"of the patches change places, and to {moved.accuracy[-1]:.0%} when all do."
)

# %% tags=["check"]
assert moved.moved.tolist() == [0, 16, 32, 48, 64]
assert moved.accuracy[0] > 0.7 and moved.accuracy[-1] < 0.4

# %% [markdown]
# A similarity map is evidence of what the embeddings contain, not of whether the model uses order. For that one has to
# move patches and look.
#
# ### Two photographs, and the figures of the literature
#
# In the paper's models the maps of positions show rows, columns and distance (figure 7, centre). Ours show next to
# nothing, and a small model that learns labels cannot be expected to: to tell a star from a ring one need not know where
# it lies, so little pulls embeddings of neighbours together. It takes many images and long training until it happens.
#
# What a small model *can* show is that positions are learned where they matter. Take another task: half of the patches are
# hidden, and their pixels are to be told from the others, as in masked autoencoders (He et al. 2022,
# [arXiv:2111.06377](https://arxiv.org/abs/2111.06377); Xie et al. 2022,
# [arXiv:2111.09886](https://arxiv.org/abs/2111.09886)). This needs no labels, and two photographs are images enough: crops
# of 32 × 32 of `china.jpg` and `flower.jpg`, which come with scikit-learn, at a quarter of their size. Only the loss is new
# in the loop. `tap` hands us all tokens after the last norm, and the head makes 48 numbers of each, the pixels of a patch.
# 600 steps take less than a minute on two cores.

# %%
from sklearn.datasets import load_sample_images

from vitrail import hardware
from vitrail.configs import TrainConfig
from vitrail.training.optim import build_optimizers, learning_rate, set_learning_rate

photographs = load_sample_images().images  # china, flower: (height, width, channel)
quarter = torch.stack([torch.from_numpy(photo.copy()).permute(2, 0, 1) for photo in photographs]).float()
quarter = normalized(F.interpolate(quarter, scale_factor=0.25, mode="area").numpy())

torch.manual_seed(0)
guesser = vit.ViT(ViTConfig(32, 4, num_classes=48, embed_dim=64, depth=4, num_heads=4, mlp_dim=256, pos_init_std=0.2))
how = TrainConfig(optimizer="muon", lr=1e-2, weight_decay=0.0, warmup=0.05)
optimizers, steps = build_optimizers(guesser, how), 600
bf16 = torch.autocast("cpu", torch.bfloat16, enabled=bool(hardware.fast_bf16(torch.device("cpu"))))


def guess(images, hidden):
    """The pixels of every patch, from those patches that are not hidden (image, patch)."""
    covered = hidden.view(-1, 1, 8, 8).repeat_interleave(4, 2).repeat_interleave(4, 3)
    kept = {}
    guesser(images.masked_fill(covered, 0), lambda name, value: kept.setdefault(name, value))
    return guesser.head(kept["norm"][:, 1:])


errors = []
for step in range(steps):
    tops, lefts, which = (torch.randint(n, (64,)).tolist() for n in (quarter.shape[2] - 31, quarter.shape[3] - 31, 2))
    crops = torch.stack([quarter[i, :, y : y + 32, x : x + 32] for i, y, x in zip(which, tops, lefts, strict=True)])
    hidden = torch.rand(64, 64) < 0.5
    with bf16:
        guessed = guess(crops, hidden).float()
    loss = F.mse_loss(guessed[hidden], patchify(crops, 4)[hidden])
    loss.backward()
    set_learning_rate(optimizers, learning_rate(step, steps, how))
    for optimizer in optimizers:
        optimizer.step()
    guesser.zero_grad()
    errors.append(loss.item() / patchify(crops, 4)[hidden].var().item())
guesser.eval()
print(
    f"share of the variance of hidden pixels that is left: {errors[0]:.2f} at first, {np.mean(errors[-20:]):.2f} at last"
)

# %% [markdown]
# The first photograph, cut into crops, with half of the patches hidden, and with the model's guesses in their place:

# %% tags=["hide-input"]
whole = quarter[0, :, :96]
tiles = rearrange(whole, "c (r h) (k w) -> (r k) c h w", h=32, w=32)
hidden = torch.rand(len(tiles), 64, generator=torch.Generator().manual_seed(0)) < 0.5
with torch.no_grad():
    filled = torch.where(hidden[..., None], guess(tiles, hidden), patchify(tiles, 4))
covered = torch.where(hidden[..., None], 0.0, patchify(tiles, 4))
pictures = [patchify(tiles, 4), covered, filled]
figure, panels = style.charts(["photograph", "half of it hidden", "guessed"], (7.4, 1.9))
for axes, picture in zip(panels, pictures, strict=True):
    picture = rearrange(picture, "(r k) (y x) (c p q) -> (r y p) (k x q) c", r=3, y=8, p=4, q=4)
    axes.imshow((picture * 0.25 + 0.5).clamp(0, 1).numpy())
    axes.set_axis_off()
figure

# %% [markdown]
# And its positions, with the same function as above:

# %% tags=["hide-input"]
found = position_similarity(guesser)
grid = position_structure(found)
plots.position_similarity(found.numpy())

# %% tags=["hide-input"]
crops = rearrange(quarter[:, :, :96], "n c (r h) (k w) -> (n r k) c h w", h=32, w=32)
hidden = torch.rand(len(crops), 64, generator=torch.Generator().manual_seed(0)) < 0.5
covered = hidden.view(-1, 1, 8, 8).repeat_interleave(4, 2).repeat_interleave(4, 3)
reach = profile_heads(guesser, crops.masked_fill(covered, 0)).distance
plots.attention_distance(reach.numpy(), uniform)

# %% tags=["hide-input"]
Markdown(
    f"The grid is there: mean similarity is {grid.same_row:.2f} within a row, {grid.same_column:.2f} within a column and "
    f"{grid.apart:.2f} otherwise. Nobody told the model that there are rows. Its heads have found it useful, too: the mean "
    f"distance falls from {reach[0].mean():.1f} pixels in the first layer, where heads look everywhere, to "
    f"{reach[-1].mean():.1f} in the last, since what is hidden is best told from what lies beside it."
)

# %% tags=["check"]
assert np.mean(errors[-20:]) < 0.3 < 0.9 < errors[0]
assert grid.recovered > 0.1 > structure.recovered
assert reach[0].mean() > reach[-1].mean() + 3

# %% [markdown]
# This is the opposite of the paper's figure of distances (figure 7, right), where deep layers look far: that model names
# the whole image, this one a patch. What heads do depends on what they are trained for. A figure of one model is no law of
# nature.
#
# What no model of this page can show is a classifier that knows photographs. If you have one, name it in
# `VITRAIL_DOCS_MODEL`: a directory that `vitrail adopt` has written, or what it takes, such as
# `timm:vit_small_patch16_224`. This page then shows the paper's figures for it here, on the same two photographs.


# %% tags=["hide-input"]
def last_layer(image, maps):
    return plots.attention_grid(image, maps.numpy(), [int(looked.q.shape[1]) - 1])


if known := os.environ.get("VITRAIL_DOCS_MODEL"):
    large = vitrail.load(known) if Path(known).is_dir() else vitrail.adopt(known)
    shown = np.stack([large.preprocessing.read(photo) for photo in photographs])
    looked = vitrail.inspect(large, large.preprocessing.normalize(torch.from_numpy(shown)))
    each_place = looked.grid.distances()
    display(
        Markdown(f"`{Path(known).name}`, its positions, how far its heads look, and what its last layer's look at:"),
        plots.position_similarity(position_similarity(large).numpy()),
        plots.attention_distance(looked.attention_distance().numpy(), float(each_place.mean())),
        *map(last_layer, shown, looked.class_attention(-1)),
    )
else:
    display(Markdown("*This copy of the page was made without one.*"))

# %% [markdown]
# > **Exercise.** In the masked task, could a model without positions do better than to guess one colour for all hidden
# > patches of an image?
# >
# > <details><summary>Answer</summary>
# >
# > Hardly. All hidden patches look the same, so without positions their tokens are equal, and stay equal in every block:
# > the model must guess the same 4 × 4 pixels for all of them.
# >
# > </details>
#
# *To vary:* hide three quarters of the patches instead of half; start positions at 0.02 instead of 0.2 (the maps of
# positions become clearer, and the heads no longer look near: why?); give it photographs of your own.

# %% tags=["check"]
lost = copy.deepcopy(guesser)
nn.init.zeros_(lost.positions.embed)
kept = {}
with torch.no_grad():
    lost(crops.masked_fill(covered, 0), lambda name, value: kept.setdefault(name, value))
alike = kept["norm"][0, 1:][hidden[0]]
torch.testing.assert_close(alike, alike[:1].expand_as(alike), atol=1e-4, rtol=1e-4)

# %% [markdown]
# ### Attribution, and whether to believe it
#
# Attention shows where the model looks. It does not show what *spoke for the class*. Methods that claim to show this
# there are many, and they disagree. The same image, by five of them, and by two controls that know nothing of the
# model: random numbers, and a blob in the middle.

# %%
from vitrail.inspection import METHODS
from vitrail.inspection.faithfulness import table as trust_table
from vitrail.inspection.measuring import measure

methods = ("attention", "rollout", "grad-cam", "integrated-gradients", "occlusion", "random", "centre")
attributions = {name: vitrail.attribute(classifier, inputs[chosen : chosen + 1], name)[0].numpy() for name in methods}

# %% tags=["hide-input"]
plots.map_row(image, attributions, title=f"what is said to speak for {kinds[predicted[chosen]]}")

# %% [markdown]
# *Attention* is the last layer's, from the class token, and *rollout* is above: both are the same whatever the class.
# *Grad-CAM* weighs the features of the last block by the gradient of the class's logit. *Integrated gradients* adds
# up the gradient by the pixels on the straight way from a picture of the mean colour to this one. *Occlusion* hides one patch after the other and notes how
# far the logit falls.
#
# Five maps of one fact, and two of nothing. Which one is right? One can ask the model. Hide the patches that a map ranks
# highest, under the mean colour, and the probability of the class should collapse. Hide those that it ranks lowest, and little should happen. The area between
# the two curves is *LeRF − MoRF* (least relevant first, most relevant first): 0 for a random order, and more is better.
# *SaCo* compares patches pair by pair: does the one that a map ranks higher also have the larger effect when it is
# hidden? It lies between -1 and 1. *Pointing* is the share of
# images where the highest point lies on the object, which for `shapes` we know. *Response* is how much a map changes
# when the model's weights are drawn anew: a map that stays the same cannot show what was learned.
#
# Measured on 24 images that the model classifies rightly:

# %%
right = torch.nonzero(predicted == labels)[:24, 0]
measured = measure(
    classifier.model,
    inputs[right],
    labels[right],
    [METHODS[name] for name in methods],
    masks=torch.from_numpy(drawn.masks[right, 0]),
    data="shapes",
)

# %% tags=["hide-input"]
asked = {"lerf_minus_morf_mean": "LeRF − MoRF", "saco_mean": "SaCo", "pointing": "pointing", "response": "response"}
found = {
    title: {of.method: (i.mean, i.low, i.high) for of in measured.scores if (i := of.estimate(name)) is not None}
    for name, title in asked.items()
}
figure = plots.trust_chart(found)
figure.set_size_inches(7.4, 2.7)
figure

# %% tags=["hide-input"]
table(*trust_table(measured, tuple(asked)), "Means over 24 images ± half of their 95 % interval.")

# %% tags=["hide-input"]
from vitrail.estimate import estimate

gap = {of.method: of.values["lerf_minus_morf_mean"] for of in measured.scores}
real = [name for name in methods if not METHODS[name].is_control]
ahead = {c: {name: estimate(gap[name] - gap[c]) for name in real} for c in ("random", "centre")}
beats = {c: [name for name in real if ahead[c][name].low > 0] for c in ahead}
best = max(real, key=lambda name: gap[name].mean())


def listed(names):
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names) or "none of them"


Markdown(
    f"Compared image by image, by LeRF − MoRF: better than the random map, with 95 % confidence, are "
    f"**{listed(beats['random'])}**. Better than the blob in the middle: **{listed(beats['centre'])}**. No better than "
    f"random, as far as 24 images can tell: **{listed([name for name in real if name not in beats['random']])}**. The best "
    f"mean has {best}, {gap[best].mean():.2f}."
)

# %% tags=["check"]
assert measured.num_images == 24 and measured.cells == (8, 8)
assert set(found) == set(asked.values()) and all(len(of) == 7 for of in found.values())
assert gap["occlusion"].mean() > gap["random"].mean() < gap["centre"].mean()
assert all(of.fails_randomisation for of in measured.scores if of.is_control)

# %% [markdown]
# Three lessons stay whatever the numbers of one run. **Keep controls.** The blob in the middle does well, because
# things tend to be in the middle. A method that does not beat it, by one measure or another, has not shown that it found
# something in *this* image, however fine its maps look; and the measures need not agree. **Intervals matter.** With 24 images they are wide; `vitrail explain RUN --faithfulness` uses 200. **It
# depends on the model.** Which method is to be believed on yours is not settled by which one is best on ours, so
# measure.
#
# > **Exercise.** A method draws the same map for a trained model and for one with random weights, and its LeRF − MoRF is
# > high. Does it explain the model?
# >
# > <details><summary>Answer</summary>
# >
# > No. It has found where things are in images, as the blob in the middle has, and hiding things lowers any probability.
# > What does not depend on the weights cannot show what they have learned. That is what *response* measures.
# >
# > </details>
#
# ## 9. Limits, and what helps
#
# Each limit that this page has met, and what here addresses it. Options of the model and of training go with
# `vitrail train DATA --model NAME`, and `vitrail train --help-all` explains each.
#
# | limit | why | what helps | here |
# |---|---|---|---|
# | hunger for data | nothing is built in | take a model that has seen millions of images | `vitrail adopt timm:vit_small_patch16_224`, to use it and to look into it |
# | | | a convolutional stem | `--model.stem conv`, `--model.stem pooled` |
# | | | augmentation: more images out of those there are | `--train.augment.cutmix 1.0`, `--train.augment.mixup 0.2`, beside what is chosen by itself |
# | | | know whether more images would help | `vitrail study data-size` |
# | | | with few images, use a CNN | `vitrail compare DATA --models vit-compare cnn-compare --seeds 3` |
# | cost grows as $N^2$ | a score for every pair of tokens | larger patches: twice the side is a quarter of the tokens and a sixteenth of the pairs | `--model.patch-size 8`, `vitrail study patch-size` |
# | | | know it beforehand | `vitrail summary vit-b16` lists parameters and multiply-adds |
# | position | the encoder is blind to order | start positions larger, or use fixed ones | `--model.pos-init-std 0.5`, `--model.pos-embed sincos`, `vitrail study positions` |
# | | another image size has other places | positions are interpolated | `--image-size 48`; a trained model takes any size that its patch divides |
# | no translation equivariance | a shift of one pixel changes all patches | random crops, a convolutional stem | `--train.augment.crop 4`, `vitrail study hybrid`, `vitrail study translation` |
# | overfitting | more parameters than images | dropout, stochastic depth, decay | `--model.dropout 0.1`, `--model.drop-path 0.1`, `--train.weight-decay 0.1` with `--optimizer adamw` |
# | | | soft labels, averaged weights | `--train.label-smoothing 0.1` (chosen by itself), `--train.ema-decay 0.999` |
# | | | know what each of them does | `vitrail study regularisation` |
# | saturated or flat attention | scores of the wrong size | scale by the head's width; normalise queries and keys | `--model.attention-scale head` (the default), `--model.qk-norm` |
# | small devices | memory and arithmetic | a small preset | `--model vit-ti16`, `--model vit-digits` |
# | | | half the bits, where the hardware multiplies them faster | `--train.precision bf16` (chosen by itself) |
# | | | compilation, where it pays | `--train.compile on` (chosen by itself) |
# | | interruption | go on where it stopped | `vitrail resume RUN` |
# | maps that mislead | methods disagree | measure them | `vitrail explain RUN --faithfulness` |

# %% tags=["check"]
quarter = dataclasses.replace(small, patch_size=8)
assert quarter.num_patches * 4 == small.num_patches and quarter.num_patches**2 * 16 == small.num_patches**2
with torch.no_grad():
    assert classifier.model(torch.zeros(1, 3, 48, 40)).shape == (1, 8)  # another size, positions interpolated
base, tiny = summarize(preset("vit-b16")), summarize(preset("vit-ti16"))
assert base.multiply_adds > 10 * tiny.multiply_adds

# %% [markdown]
# ## 10. Where everything comes from
#
# | what | source |
# |---|---|
# | $\mathrm{softmax}(Q K^{\top} / \sqrt{d_k}) V$; the scale; many heads | Vaswani et al. (2017), [arXiv:1706.03762](https://arxiv.org/abs/1706.03762), equation 1, sections 3.2.1 and 3.2.2 |
# | the diagrams of part 2 | drawn anew, after figures 1 and 2 of the same |
# | mask and cross-attention | the same, section 3.2.3 |
# | 4.5 million pairs of sentences | the same, section 5.1 |
# | the example with integers | made up for this page |
# | GELU | Hendrycks & Gimpel (2016), [arXiv:1606.08415](https://arxiv.org/abs/1606.08415) |
# | layer norm | Ba et al. (2016), [arXiv:1607.06450](https://arxiv.org/abs/1607.06450) |
# | residual connections | He et al. (2016), [arXiv:1512.03385](https://arxiv.org/abs/1512.03385) |
# | dropout | Srivastava et al. (2014), Journal of Machine Learning Research 15 |
# | pre-norm and post-norm | Xiong et al. (2020), [arXiv:2002.04745](https://arxiv.org/abs/2002.04745) |
# | class token | Devlin et al. (2019), BERT, [arXiv:1810.04805](https://arxiv.org/abs/1810.04805) |
# | the equations of part 3; $N = H W / P^2$; head | Dosovitskiy et al. (2021), [arXiv:2010.11929](https://arxiv.org/abs/2010.11929), section 3.1, equations 1 to 4 |
# | the diagram of part 3 | drawn anew, after figure 1 of the same |
# | sizes of part 6 | the same, table 1 |
# | results of part 1 | the same, table 2 |
# | attention distance, similarity of positions | the same, figure 7 |
# | the parameter formulas | derived on this page, and checked against the modules |
# | the metrics that part 7 is set beside | A. B. Srinivasan and V. R. Ramesh Kutti, "Annotation of Vision Transformer", Illinois Institute of Technology, report, no year given |
# | Muon | Jordan et al. (2024), "Muon: An optimizer for hidden layers in neural networks", [kellerjordan.github.io/posts/muon](https://kellerjordan.github.io/posts/muon/) |
# | AdamW | Loshchilov & Hutter (2019), [arXiv:1711.05101](https://arxiv.org/abs/1711.05101) |
# | convolutional stem | Xiao et al. (2021), [arXiv:2106.14881](https://arxiv.org/abs/2106.14881); Hassani et al. (2021), [arXiv:2104.05704](https://arxiv.org/abs/2104.05704) |
# | rollout | Abnar & Zuidema (2020), [arXiv:2005.00928](https://arxiv.org/abs/2005.00928) |
# | Grad-CAM | Selvaraju et al. (2017), [arXiv:1610.02391](https://arxiv.org/abs/1610.02391) |
# | integrated gradients | Sundararajan et al. (2017), [arXiv:1703.01365](https://arxiv.org/abs/1703.01365) |
# | occlusion | Zeiler & Fergus (2014), [arXiv:1311.2901](https://arxiv.org/abs/1311.2901) |
# | hiding patches by rank | Samek et al. (2017), [arXiv:1509.06321](https://arxiv.org/abs/1509.06321); Petsiuk et al. (2018), [arXiv:1806.07421](https://arxiv.org/abs/1806.07421) |
# | SaCo | Wu et al. (2024), [arXiv:2404.01415](https://arxiv.org/abs/2404.01415) |
# | drawing weights anew as a check | Adebayo et al. (2018), [arXiv:1810.03292](https://arxiv.org/abs/1810.03292) |
# | `shapes` | made for this library: `vitrail/data/shapes.py` |
# | all other figures and numbers | computed by the code of this page |
#
# The form of this page, prose and running code in turn, is that of Alexander Rush's [The Annotated
# Transformer](https://nlp.seas.harvard.edu/annotated-transformer/) (2018).
