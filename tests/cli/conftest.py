"""A finished run, and runs without what most tests do not look at."""

import shutil
from pathlib import Path

import pytest
from command_lines import SMALL

from vitrail.cli import run


@pytest.fixture(scope="session")
def _trained(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("runs") / "finished"
    assert run(["train", "digits", *SMALL, "--epochs", "2", "--out", str(directory)]) == 0
    return directory


@pytest.fixture
def finished(_trained, tmp_path_factory) -> Path:
    """A copy of its own for every test: some measure the run again, or take files from it."""
    return Path(shutil.copytree(_trained, tmp_path_factory.mktemp("runs") / "finished"))


@pytest.fixture
def plain(monkeypatch):
    """Runs end with the test: maps and reports take longer than a small training."""
    from vitrail.experiments import run as runs

    monkeypatch.setattr(runs, "store_summary", lambda *given: None)
    monkeypatch.setattr(runs, "write_report", lambda directory: directory)
