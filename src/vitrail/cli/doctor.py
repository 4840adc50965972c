"""`vitrail doctor`: what is wrong with a data set."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vitrail.cli.options import Data, DataDir, Folder, Layout, parse
from vitrail.errors import InputError
from vitrail.text import quoted


@dataclass(frozen=True)
class Doctor:
    data: Data
    out: Folder = None
    """For the sheet of ten samples per class [the current directory]"""
    layout: Layout = "auto"
    data_dir: DataDir = None


def doctor(argv: Sequence[str]) -> None:
    """Examine a data set: what is in it, what is wrong with it, and a sheet of samples.

    It makes one pass: class counts, sizes, unreadable files, duplicates across splits. It exits 2 where the data
    cannot be trained on.
    """
    options = parse(Doctor, argv, doctor)
    from vitrail.data.argument import is_below_data, refuse_below_data
    from vitrail.data.doctor import examine
    from vitrail.plots import sample_sheet
    from vitrail.progress import say, warn

    refuse_below_data(options.out, options.data)
    diagnosis = examine(options.data, options.data_dir, options.layout)
    for line in diagnosis.to_lines():
        say(line)
    folder = options.out or Path()
    if is_below_data(folder, options.data):
        warn("no sheet of samples: the current directory lies in the folder of the images; name another by --out")
    elif diagnosis.samples:
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder} is a file: name a directory by --out")
        sheet = folder / f"{diagnosis.name}-samples.png"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            sample_sheet(diagnosis.samples).savefig(sheet, dpi=100, bbox_inches="tight")
        except OSError as error:
            warn(f"{sheet} cannot be written ({error.strerror}): name a directory by --out")
        else:
            say(f"wrote {sheet}")
    if not diagnosis.ok:
        raise InputError(f"{options.data} cannot be trained on as it is: see above")
    say(f"next: vitrail train {quoted(options.data)}")
