"""A finished run, and runs without what most tests do not look at."""

from pathlib import Path

import pytest
from command_lines import SMALL

from vitrail.cli import run


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("runs") / "finished"
    assert run(["train", "digits", *SMALL, "--epochs", "2", "--out", str(directory)]) == 0
    return directory


@pytest.fixture
def plain(monkeypatch):
    """Runs end with the test: maps and reports take longer than a small training."""
    from vitrail.experiments import run as runs

    monkeypatch.setattr(runs, "store_summary", lambda *given: None)
    monkeypatch.setattr(runs, "write_report", lambda directory: directory)
