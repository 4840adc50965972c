"""Directories that are one process's own."""

import os
import subprocess
import sys

import pytest

from vitrail import files
from vitrail.errors import InputError

_CLAIMS = """
import sys, time
from pathlib import Path
from vitrail import files
from vitrail.errors import InputError
print("ready", flush=True)
sys.stdin.readline()
try:
    with files.claimed(Path(sys.argv[1]), "name another --out") as directory:
        (directory / sys.argv[2]).touch()
        print("in", flush=True)
        sys.stdin.readline()
except InputError as error:
    print(error, flush=True)
"""


def test_of_four_processes_that_ask_for_a_directory_at_once_one_gets_it(tmp_path):
    wanted = str(tmp_path / "out")
    asking = [
        subprocess.Popen(
            [sys.executable, "-c", _CLAIMS, wanted, str(i)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for i in range(4)
    ]
    for process in asking:
        assert process.stdout.readline() == "ready\n"
    for process in asking:
        process.stdin.write("now\n")
        process.stdin.flush()
    said = [process.stdout.readline().strip() for process in asking]
    for process in asking:
        process.communicate("end\n")
    assert said.count("in") == 1
    assert [path.name for path in files.contents(tmp_path / "out")] == [str(said.index("in"))]
    refused = {f"{wanted} is in use by another process", f"{wanted} is not empty: name another --out"}
    assert set(said) - {"in"} <= refused


def test_a_lock_outlives_what_is_replaced_in_the_directory(tmp_path):
    with files.locked(tmp_path):
        files.write_json(tmp_path / "run.json", {"replaced": True})
        with pytest.raises(InputError, match="in use by another process"), files.locked(tmp_path):
            pass
    with files.locked(tmp_path):
        pass


def test_a_directory_that_was_claimed_and_left_empty_is_free_again(tmp_path):
    for _ in range(2):
        with files.claimed(tmp_path / "out", "name another") as directory:
            assert files.contents(directory) == []
    (directory / "kept").touch()
    with pytest.raises(InputError, match="not empty: name another"), files.claimed(directory, "name another"):
        pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_what_cannot_be_written_to_needs_no_lock(tmp_path):
    tmp_path.chmod(0o500)
    with files.locked(tmp_path):
        pass
