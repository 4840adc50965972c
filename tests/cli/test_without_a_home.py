"""A user whom the system does not know, as in a container that is started under a number."""

import os
import pwd

import platformdirs
import pytest
from command_lines import TINY, fails, images

from vitrail.cli import run


@pytest.fixture
def homeless(monkeypatch):
    def nobody(uid):
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    for variable in ("HOME", "VITRAIL_DATA_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)


def test_the_cure_is_one_line_and_works(homeless, tmp_path, capsys, plain):
    with pytest.raises(RuntimeError):
        platformdirs.user_cache_dir("vitrail")
    data = images(tmp_path / "two")
    fails(["doctor", str(data)], capsys, "no home directory", "--data-dir", "VITRAIL_DATA_DIR")
    fails(["train", str(data), *TINY], capsys, "no home directory", "--data-dir", "VITRAIL_DATA_DIR")
    cured = ["--data-dir", str(tmp_path / "kept"), "--epochs", "1", "--out", str(tmp_path / "run")]
    assert run(["train", str(data), *TINY, *cured]) == 0
    assert os.listdir(tmp_path / "kept")


def test_what_is_in_the_package_needs_no_folder(homeless, capsys):
    assert run(["doctor", "digits"]) == 0
