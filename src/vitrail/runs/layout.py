"""The names in the directory of a run, and in that of several."""

from __future__ import annotations

from pathlib import Path

from vitrail.files import numbered, read_json

# Of a run.
RUN = "run.json"  # resolved configuration, machine, versions, class names, preprocessing
STEPS, METRICS = "steps.jsonl", "metrics.jsonl"  # a row for every step, and for every finished epoch
SEEN = "seen.safetensors"  # hashes of the images that trained or validated it
OBSERVATIONS = "observations.jsonl"  # what a study observed before training and after every epoch
ATTENTION = "attention.safetensors"  # to one image, after every epoch
CHECKPOINTS = "checkpoints"  # see `checkpoint`
TENSORBOARD = "tensorboard"  # its files, where the run writes them
EVALUATION, SAMPLES = "evaluation.json", "samples.safetensors"  # the held-out test, and pictures of it
INSPECTION = "inspection.safetensors"  # what the model section of the report shows; of a comparison, its pair of models
REPORT = "report.html"  # of a comparison, too
FAITHFULNESS = "faithfulness.json"  # how far attribution is to be believed
EXPLANATION = "explanation"  # -1, -2, ...: directories with these files, and FIGURES/<image>/<figure>.png
PAGE, ARRAYS, FIGURES = "explanation.html", "arrays.npz", "figures"
MEASURED = "measured.json"  # what a study measured of the run

# Of several runs, of which each has a directory <group>-seed<n>.
PLAN = "plan.json"  # their configurations, and what they are for
COMPARISON = "comparison.json"
RECORD, FINDING, FIGURE = "record.json", "finding.md", "figure"  # of a study

_SEED = "-seed"


def run_name(group: str, seed: int) -> str:
    """Of one of the runs that differ in their seeds alone."""
    return f"{group}{_SEED}{seed}"


def group_of(run: str) -> str:
    """The name that a run has without its seed."""
    return run.rpartition(_SEED)[0]


def runs_in(directory: Path) -> list[Path]:
    """The directories of the runs that have begun, of a directory of several."""
    return sorted(path.parent for path in directory.glob(f"*{_SEED}*/{RUN}"))


def record_file(directory: Path, name: str) -> Path:
    """The record of a recipe or a figure."""
    return directory / f"{name}.json"


def on_other_data(file: Path, label: str, data: str) -> Path:
    """Where what `file` says of a run's own data is said of others, named by `label`: numbered where others have it."""
    path = file.with_stem(f"{file.stem}-{label}")
    return numbered(path, lambda path: bool(read_json(path).get("data") == data))


def made_since(directory: Path) -> list[Path]:
    """Of a directory of several runs, what was made of their models after these were finished."""
    patterns = ("explanation-*/*", "faithfulness*.json", "evaluation-*.json")
    return [path for pattern in patterns for path in directory.glob(f"*{_SEED}*/{pattern}")]
