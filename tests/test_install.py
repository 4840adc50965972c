"""What `make` installs: torch and torchvision come as a pair, without which timm does not import."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

INSTALL = Path(__file__).parents[1] / "scripts" / "install"


def installing(venv: Path, imports: bool) -> tuple[str, list[str]]:
    """What the script says, and what it asks a Python for that does nothing; whether torchvision is said to import."""
    python, asked = venv / "bin" / "python", venv / "asked"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\necho "$@" >> {asked}\n[ "$1" != -c ] || exit {0 if imports else 1}\n')
    python.chmod(0o755)
    done = subprocess.run(["bash", INSTALL, sys.executable, venv], capture_output=True, text=True, check=True)
    return done.stdout, asked.read_text().splitlines()


def test_torch_and_torchvision_are_asked_for_together_and_first(tmp_path):
    said, asked = installing(tmp_path / "venv", imports=True)
    pair, project = (line for line in asked if " install " in line)
    assert {"torch", "torchvision"} <= set(pair.split())
    assert "--editable" in project
    assert "--extra-index-url" not in project
    assert not [line for line in asked if "uninstall" in line]
    assert "note:" not in said


def test_a_torchvision_of_another_build_is_replaced_or_spoken_of(tmp_path):
    said, asked = installing(tmp_path / "venv", imports=False)
    assert [line.split()[2] for line in asked if "pip" in line] == ["uninstall", "install", "install"]
    assert "'import timm' does not" in said


@pytest.mark.skipif(find_spec("timm") is None, reason="timm is not installed: pip install 'vitrail[adopt]'")
def test_timm_imports_by_itself():
    vision = find_spec("torchvision")
    assert vision is not None
    if "+cu" in Path(vision.origin).with_name("version.py").read_text() and torch.version.cuda is None:
        pytest.skip("torchvision was built for CUDA and torch without: the package index here has no pair of them")
    subprocess.run([sys.executable, "-c", "import timm, torchvision"], check=True)
