"""A percent script becomes an executed notebook."""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path

import jupytext
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

from site_builder.errors import BuildError

_SHOWN_LINES = 12
_FIRST = "from site_builder.figures import register; register()"
_ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_DOCS = Path(__file__).parents[1]


def execute(script: Path) -> NotebookNode:
    """The notebook of a script in jupytext's percent format with all its outputs.

    Runs in the script's folder, and says which cell begins. Raises BuildError with the source of the first cell that
    fails, and its error.
    """
    notebook = jupytext.read(script, fmt="py:percent")
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        resources={"metadata": {"path": str(script.parent)}},
        record_timing=False,
        coalesce_streams=True,
        extra_arguments=[f"--InteractiveShellApp.exec_lines={_FIRST}", "--log-level=ERROR"],
    )
    started = time.monotonic()

    def say(cell: NotebookNode, cell_index: int) -> None:
        if cell.cell_type == "code":
            seconds = round(time.monotonic() - started)
            print(f"{script.name}: cell {cell_index + 1} of {len(notebook.cells)}, {seconds} s", file=sys.stderr)

    client.on_cell_start = say
    path = os.pathsep.join([str(_DOCS), *filter(None, [os.environ.get("PYTHONPATH")])])
    # As the command line has it: threads that wait for each other spinning keep other programs' threads waiting.
    env = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ, "PYTHONPATH": path}
    try:
        client.execute(env=env)
    except CellExecutionError as error:
        raise BuildError(_account(script, notebook, error)) from None
    return notebook


def plain(text: str) -> str:
    """What a program wrote, without the codes that colour it in a terminal."""
    return _ESCAPES.sub("", text)


def _account(script: Path, notebook: NotebookNode, error: CellExecutionError) -> str:
    failed = next(
        number
        for number, cell in enumerate(notebook.cells, start=1)
        if any(output.output_type == "error" for output in cell.get("outputs", []))
    )
    source = notebook.cells[failed - 1].source.splitlines()
    shown = [*source[:_SHOWN_LINES], *(["..."] if len(source) > _SHOWN_LINES else [])]
    lines = "\n".join(f"    {line}" for line in shown)
    return f"{script.name}: cell {failed} of {len(notebook.cells)} fails\n{lines}\n{error.ename}: {plain(error.evalue)}"
