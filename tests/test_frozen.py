"""A classifier that was made ready to answer quickly answers as it did."""

from __future__ import annotations

import subprocess
import sys

import pytest

from vitrail import hardware
from vitrail.classifier import Classifier
from vitrail.data.preprocessing import Preprocessing
from vitrail.errors import InputError
from vitrail.models.build import build_model
from vitrail.models.presets import preset


@pytest.mark.slow
def test_a_compiled_classifier_gives_the_same_answers():
    # In a process of its own: the shape checks of tests do not trace.
    code = """
import torch
from vitrail.classifier import Classifier
from vitrail.data.preprocessing import Preprocessing
from vitrail.models.build import build_model
from vitrail.models.presets import preset
torch.manual_seed(0)
torch.set_num_threads(2)
config = preset("vit-digits")
classifier = Classifier(build_model(config), Preprocessing(config.size, 1, (0.5,), (0.25,)), tuple("0123456789"))
torch.nn.init.normal_(classifier.model.head[-1].weight)
images = torch.randn(5, config.in_channels, *config.size)
exact = classifier.logits(images)
for batch_size in (1, 8):
    compiled = classifier.compiled(batch_size)
    close = (2e-2 if compiled.frozen.bf16 else 1e-5) * exact.abs().max()
    assert compiled.logits(images).shape == exact.shape
    assert (compiled.logits(images) - exact).abs().max() < close
    assert torch.get_num_threads() == 2
for model in (classifier.model, compiled.frozen._compiled._orig_mod):
    torch.nn.init.zeros_(model.head[-1].weight)
    assert (compiled.logits(images) - exact).abs().max() < close
assert not torch.allclose(classifier.logits(images), exact)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


def test_without_a_compiler_it_says_what_to_do(monkeypatch):
    monkeypatch.setattr(hardware, "can_compile", lambda device: "no C++ compiler was found")
    config = preset("vit-digits")
    classifier = Classifier(build_model(config), Preprocessing(config.size, 1, (0.5,), (0.25,)), tuple("0123456789"))
    with pytest.raises(InputError, match="no C\\+\\+ compiler was found: install one"):
        classifier.compiled()


@pytest.mark.slow
def test_what_was_not_compiled_is_refused():
    code = """
import pytest, torch
from vitrail.classifier import Classifier
from vitrail.data.preprocessing import Preprocessing
from vitrail.errors import InputError
from vitrail.models.build import build_model
from vitrail.models.presets import preset
torch.set_num_threads(2)
config = preset("vit-digits")
classifier = Classifier(build_model(config), Preprocessing(config.size, 1, (0.5,), (0.25,)), tuple("0123456789"))
with pytest.raises(InputError, match="a batch of 0"):
    classifier.compiled(0)
compiled = classifier.compiled()
with pytest.raises(InputError, match="images of 1 x 12 x 12: this classifier was compiled for 1 x 8 x 8"):
    compiled.logits(torch.zeros(1, 1, 12, 12))
larger = Classifier(classifier.model, Preprocessing((12, 12), 1, (0.5,), (0.25,)), tuple("0123456789")).compiled()
assert larger.logits(torch.zeros(1, 1, 12, 12)).shape == (1, 10)
assert torch.get_num_threads() == 2
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)
