"""Build the documents into a small site: `python docs/build.py`, then open build/docs/index.html."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from site_builder.adoption import adopted_models
from site_builder.errors import BuildError
from site_builder.results import CURVES, curves, results
from site_builder.site import build
from vitrail.plots.style import save_svg

_DOCS = Path(__file__).parent


def main(arguments: Sequence[str] | None = None, docs: Path = _DOCS) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=docs.parent / "build" / "docs", help="where the site goes")
    out = parser.parse_args(arguments).out
    started = time.monotonic()
    records = docs.parent / "results"
    if records.is_dir():
        if figure := curves(records):
            save_svg(figure, records / CURVES, CURVES)
        (docs / "results.md").write_text(results(records), encoding="utf-8")
    swept = docs.parent / "benchmarks" / "results" / "adoption.json"
    if swept.is_file():
        text = adopted_models(json.loads(swept.read_text(encoding="utf-8")))
        (docs / "adopted-models.md").write_text(text, encoding="utf-8")
    try:
        build(docs, out)
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"done in {(time.monotonic() - started) / 60:.1f} minutes", file=sys.stderr)
    print(out / "index.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
