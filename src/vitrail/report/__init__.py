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
    from vitrail.report.run_page import run_page
    from vitrail.runs.comparison import Comparison
    from vitrail.runs.directory import Run
    from vitrail.runs.layout import COMPARISON, RUN, runs_in
    from vitrail.runs.plan import plan_kind

    directory = Path(directory)
    run, comparison = Run(directory), Comparison(directory)
    if comparison.finished:
        html = comparison_page(comparison)
    elif run.begun:
        if run.config and "train" not in run.config:
            raise InputError(
                f"{directory} is a saved model that was not trained here ({run.adoption or 'saved from a run'}): try "
                f"'vitrail explain {quoted(directory)} IMAGE...'"
            )
        html = run_page(run)
    elif runs := runs_in(directory):
        if plan_kind(directory) in ("study", "reproduction"):
            raise InputError(f"{directory} is no comparison: name one of the runs in it, such as {runs[0]}")
        raise InputError(
            f"{directory} has no {COMPARISON} yet: 'vitrail resume {quoted(directory)}' completes its runs"
        )
    else:
        raise InputError(f"{directory} is neither a run nor a comparison: it has no {RUN} and no {COMPARISON}")

    # A name that is no text (undecodable bytes in a file name) must not stop the page.
    files.write_bytes(run.report, html.encode("utf-8", errors="replace"))
    return run.report
