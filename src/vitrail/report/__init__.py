"""One self-contained HTML file per run or comparison, drawn from its directory alone."""

from __future__ import annotations

from pathlib import Path

from vitrail import files
from vitrail.errors import InputError
from vitrail.text import quoted


def write_report(directory: Path | str) -> Path:
    """Write `report.html` into a run or a comparison and return its path.

    The file needs no network and no JavaScript, and the same directory always gives the same bytes.

    Raises:
        InputError: where `directory` holds neither `run.json` nor `comparison.json`, or a file in it is damaged.
    """
    from vitrail.report.comparison_page import comparison_page
    from vitrail.report.records import read_comparison, read_run
    from vitrail.report.run_page import run_page

    directory = Path(directory)
    if (directory / "comparison.json").is_file():
        html = comparison_page(read_comparison(directory))
    elif (directory / "run.json").is_file():
        run = read_run(directory)
        if run.config and "train" not in run.config:
            raise InputError(
                f"{directory} is a saved model that was not trained here: try 'vitrail explain {quoted(directory)} "
                "IMAGE...'"
            )
        html = run_page(run)
    elif runs := sorted(directory.glob("*-seed*/run.json")):
        if any((directory / plan).is_file() for plan in ("study.json", "reproduction.json")):
            raise InputError(f"{directory} is no comparison: name one of the runs in it, such as {runs[0].parent}")
        raise InputError(
            f"{directory} has no comparison.json yet: 'vitrail resume {quoted(directory)}' completes its runs"
        )
    else:
        raise InputError(f"{directory} is neither a run nor a comparison: it has no run.json and no comparison.json")

    path = directory / "report.html"
    # A name that is no text (undecodable bytes in a file name) must not stop the page.
    files.write_bytes(path, html.encode("utf-8", errors="replace"))
    return path
