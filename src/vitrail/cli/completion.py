"""`vitrail --install-completion`: the Tab key completes verbs, options, their choices and paths, in bash and zsh."""

import contextlib
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tyro
from platformdirs import user_data_path

from vitrail import files
from vitrail.cli.ending import done
from vitrail.cli.options import OPTIONS_ALONE, OptionsOf, Verb
from vitrail.errors import InputError
from vitrail.text import quoted

# Where tyro's function knows nothing it offers no files, and in bash an empty word, which would erase what was typed.
_BASH = """
_vitrail() {
  _tyro_vitrail
  [[ -n "${COMPREPLY[*]}" ]] || COMPREPLY=()
}
complete -o default -o bashdefault -F _vitrail vitrail
"""
_ZSH = """
(( compstate[nmatches] )) || _files
"""


def script(shell: str, verbs: dict[str, Verb]) -> str:
    """What the shell reads, made by tyro from the options of every verb."""
    kinds: dict[str, Any] = {}
    for name, verb in verbs.items():
        try:
            verb([OPTIONS_ALONE])
        except OptionsOf as found:
            kinds[name] = found.kind
    with contextlib.redirect_stdout(io.StringIO()) as written, contextlib.suppress(SystemExit):
        tyro.extras.subcommand_cli_from_dict(kinds, prog="vitrail", args=["--tyro-write-completion", shell, "-"])
    return written.getvalue() + {"bash": _BASH, "zsh": _ZSH}[shell]


def install(argv: Sequence[str], verbs: dict[str, Verb]) -> None:
    """Write the script for the named shell, or else the user's, and have the shell's start file read it."""
    shell = argv[0] if argv else Path(os.environ.get("SHELL", "")).name
    if shell not in ("bash", "zsh") or len(argv) > 1:
        raise InputError("name the shell: 'vitrail --install-completion bash', or zsh")
    folder = user_data_path("vitrail") / shell
    folder.mkdir(parents=True, exist_ok=True)
    if shell == "bash":
        path, start = folder / "vitrail.bash", Path.home() / ".bashrc"
        line = f"source {quoted(path)}"
    else:
        path, start = folder / "_vitrail", Path(os.environ.get("ZDOTDIR", Path.home())) / ".zshrc"
        line = f"fpath=({quoted(folder)} $fpath); autoload -Uz compinit && compinit"
    files.write_bytes(path, script(shell, verbs).encode())
    before = start.read_text(encoding="utf-8", errors="replace") if start.exists() else ""
    if line not in before.splitlines():
        with start.open("a", encoding="utf-8") as file:
            file.write(f"\n# Completion of vitrail\n{line}\n")
    done(path, start, then=f"open a new {shell}, type 'vitrail tr' and press Tab")
