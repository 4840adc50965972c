"""A finished run, and runs without what most tests do not look at."""

import shutil
from pathlib import Path

import pytest
from command_lines import SMALL, TINY, images

from vitrail import files
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


def _made_plain(monkeypatch):
    from vitrail.experiments import run as runs

    monkeypatch.setattr(runs, "store_summary", lambda *given: None)
    monkeypatch.setattr(runs, "write_report", lambda directory: directory)


@pytest.fixture
def plain(monkeypatch):
    """Runs end with the test: maps and reports take longer than a small training."""
    _made_plain(monkeypatch)


@pytest.fixture(scope="session")
def _pets(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("pets")
    images(place / "pets", classes=("cat", "dog", "owl"), count=10)
    with pytest.MonkeyPatch.context() as monkeypatch:
        _made_plain(monkeypatch)
        assert run(["train", str(place / "pets"), *TINY, "--epochs", "2", "--out", str(place / "run")]) == 0
    return place


@pytest.fixture
def pets(_pets, tmp_path) -> tuple[Path, Path]:
    """A finished run without maps and report, and the folder of its 30 images, of which 6 test; copies for one test."""
    shutil.copytree(_pets, tmp_path, dirs_exist_ok=True)
    stored = files.read_json(tmp_path / "run" / "run.json")
    stored["config"]["data"]["source"] = str(tmp_path / "pets")
    files.write_json(tmp_path / "run" / "run.json", stored)
    return tmp_path / "run", tmp_path / "pets"
