"""What every test shares: few threads, and checked shapes."""

import os

os.environ.setdefault("MPLBACKEND", "agg")

from jaxtyping import install_import_hook

# Annotated shapes are checked in tests only: in use they cost time, and under compile they do not trace.
install_import_hook(["vitrail.models"], "beartype.beartype")

import torch

torch.set_num_threads(2)
