"""Measure how fast Vitrail does what it exists for, beside other libraries.

    python -m benchmarks.speed [SECTION ...] [--all] [--data PATH] [--out FILE]

Without sections, all of them; --all adds larger models, and peers compiled wherever they can be.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import time
from pathlib import Path

# As the command line sets it: threads that wait sleep.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from rich.console import Console
from rich.table import Table

from benchmarks.speed import data, inference, looking, loop, scaling, startup, timing, training
from benchmarks.speed.timing import Row

SECTIONS = {
    "training": training,
    "inference": inference,
    "loop": loop,
    "data": data,
    "looking": looking,
    "scaling": scaling,
    "startup": startup,
}


def table(rows: list[Row]) -> Table:
    """A group; the last column says how many times better the first row is."""
    shown = Table(title=rows[0].group, title_justify="left", box=None, pad_edge=False)
    shown.add_column("", no_wrap=True)
    for head in (rows[0].unit, "± half the range", "MFU", "first is better by"):
        shown.add_column(head, justify="right")
    for row in rows:
        unit = "" if row.unit == rows[0].unit else f" {row.unit}"
        mfu = "" if row.utilisation is None else f"{row.utilisation:.0%}"
        better = "" if row.unit != rows[0].unit else f"{row.times(rows[0]):.2f}"
        shown.add_row(row.name, f"{row.value:,.4g}{unit}", f"{row.spread:.0%}" if row.spread else "", mfu, better)
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--data", default="shapes", help="what the loop trains on [shapes]")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if unknown := set(options.sections) - set(SECTIONS):
        parser.error(f"no section {', '.join(sorted(unknown))}: there are {', '.join(SECTIONS)}")
    console = Console()
    started = time.perf_counter()
    measured: list[Row] = []
    for name in options.sections or SECTIONS:
        extra = {"data": options.data} if name == "loop" else {}
        for rows in SECTIONS[name].measure(options.all, **extra):
            measured += rows
            console.print(table(rows), "")
            if options.out:
                record = {**timing.machine(), "rows": [dataclasses.asdict(row) for row in measured]}
                options.out.parent.mkdir(parents=True, exist_ok=True)
                options.out.write_text(json.dumps(record, indent=2) + "\n")
    wrote = f", wrote {options.out}" if options.out else ""
    console.print(f"{(time.perf_counter() - started) / 60:.1f} minutes{wrote}")


if __name__ == "__main__":
    main()
