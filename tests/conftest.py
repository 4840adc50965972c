"""What every test shares: few threads, checked shapes, and a cache of its own."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import pytest
from jaxtyping import install_import_hook

# Annotated shapes are checked in tests only: in use they cost time, and under compile they do not trace.
install_import_hook(["vitrail.models", "vitrail.classifier", "vitrail.inspection"], "beartype.beartype")

import torch

# Two workers of one thread each do more than one of two.
torch.set_num_threads(1 if "PYTEST_XDIST_WORKER" in os.environ else 2)


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """Decoded images of tests never enter the user's cache."""
    os.environ["VITRAIL_DATA_DIR"] = str(tmp_path_factory.mktemp("data"))
