"""Completion by the Tab key, as the shells themselves carry it out."""

import os
import shutil
import subprocess

import pytest
from command_lines import fails

from vitrail.cli import VERBS, run


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home directory of its own."""
    for name in ("XDG_DATA_HOME", "ZDOTDIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


COMPLETE = """
for line in "$@"; do
    read -ra COMP_WORDS <<< "$line"
    [[ "$line" != *" " ]] || COMP_WORDS+=("")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMPREPLY=()
    _vitrail
    echo "${COMPREPLY[*]}"
done
"""


def completed(home, *lines: str) -> list[list[str]]:
    """What bash offers after each of these beginnings."""
    code = f"source {home}/.bashrc{COMPLETE}"
    done = subprocess.run(["bash", "-c", code, "bash", *lines], capture_output=True, text=True, check=True, cwd=home)
    return [line.split() for line in done.stdout.removesuffix("\n").split("\n")]


def test_bash_completes_verbs_options_choices_and_paths(home, capsys):
    assert run(["--install-completion", "bash"]) == 0
    assert "next: open a new bash" in capsys.readouterr().out
    (home / "photos").mkdir()
    verbs, train, option, nested, choice, path, none = completed(
        home,
        "vitrail ",
        "vitrail tr",
        "vitrail train photos --bat",
        "vitrail train photos --model.patch",
        "vitrail train photos --val-split te",
        "vitrail train photos --out pho",
        "vitrail train pho",
    )
    assert set(VERBS) <= set(verbs)
    assert train == ["train"]
    assert option == ["--batch-size"]
    assert nested == ["--model.patch-size"]
    assert choice == ["test"]
    assert path == ["photos"]
    assert none == [], "then bash offers files by itself, and what was typed stays"


def test_what_is_installed_once_stays_once(home, monkeypatch):
    (home / ".bashrc").write_text("alias ll='ls -l'")
    monkeypatch.setenv("SHELL", "/usr/bin/bash")
    for _ in range(2):
        assert run(["--install-completion"]) == 0
    first, *_, last = (home / ".bashrc").read_text().splitlines()
    assert first == "alias ll='ls -l'"
    assert (home / ".bashrc").read_text().count(last) == 1


@pytest.mark.skipif(not shutil.which("zsh"), reason="zsh is not installed")
def test_zsh_finds_the_function(home):
    assert run(["--install-completion", "zsh"]) == 0
    code = "source $HOME/.zshrc; print $_comps[vitrail]; autoload +X _vitrail && functions _vitrail | wc -l"
    done = subprocess.run(["zsh", "-fc", code], capture_output=True, text=True, check=True, env=os.environ)
    name, lines = done.stdout.split()
    assert name == "_vitrail"
    assert int(lines) > 100


def test_another_shell_is_refused(home, capsys, monkeypatch):
    fails(["--install-completion", "fish"], capsys, "name the shell", "bash", "zsh")
    monkeypatch.delenv("SHELL", raising=False)
    fails(["--install-completion"], capsys, "name the shell")
    assert not list(home.iterdir())
