"""The report is complete, inert, accessible and the same every time."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from builders import NASTY, Recipe, write_comparison, write_run
from pages import Page, page, saved
from PIL import Image

from vitrail import plots
from vitrail.errors import InputError
from vitrail.report import embedding, write_report
from vitrail.runs.directory import Run


@pytest.fixture(scope="module")
def typical(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("typical") / "run", Recipe())


@pytest.fixture(scope="module")
def typical_page(typical: Path) -> Page:
    return page(typical)


def test_a_run_shows_everything(typical: Path, typical_page: Page) -> None:
    found = typical_page
    titles = ("Results", "Learning curves", "Step by step", "Class by class", "Confusions", "Images and patches")
    for title in (*titles, "Most confident mistakes", "Settings"):
        assert found.says(title)
    assert found.says("32 × 32 × 3 → 64 patches of 4 × 4 × 3 = 64 vectors of 48")
    evaluation = json.loads((typical / "evaluation.json").read_text())
    accuracy = f"{100 * evaluation['accuracy']:.1f} %"
    assert found.says(f"It is right in {accuracy} of")
    assert found.words.index("It is right in") < found.words.index("Test accuracy")
    assert found.says("vitrail compare cifar10 --epochs 10")
    assert len(found.all("img")) == 16
    assert not found.says("not complete")
    assert not found.says("Validated on the test images")


def test_every_table_and_figure_can_be_saved(typical_page: Page) -> None:
    links = [a for a in typical_page.all("a") if "download" in a]
    by_ending = Counter(str(a["download"]).rpartition(".")[2] for a in links)
    tables, figures = len(typical_page.all("table")), len(typical_page.all("figure"))
    assert by_ending["csv"] == by_ending["tex"] == tables > 5
    assert by_ending["svg"] == figures - len(typical_page.all("img")) > 8
    [metrics] = [saved(str(a["href"]))[1] for a in links if a["download"] == "metrics-after-10-epochs.csv"]
    found = list(csv.reader(io.StringIO(metrics.removeprefix("\ufeff"))))
    assert found[1:] == [
        [cell.replace("−", "-") for cell in row] for row in typical_page.rows("Metrics after 10 epochs")
    ]


def test_a_run_of_several_is_not_told_to_compare(tmp_path: Path) -> None:
    run = write_run(tmp_path / "all" / "vit-seed0", Recipe())
    assert page(run).says("vitrail compare cifar10")
    (tmp_path / "all" / "plan.json").write_text(json.dumps({"kind": "comparison"}))
    assert not page(run).says("vitrail compare cifar10")
    (tmp_path / "all" / "plan.json").write_text('{"of": "another program"}')
    assert page(run).says("vitrail compare cifar10")


def test_the_same_directory_gives_the_same_bytes(typical: Path, typical_page: Page) -> None:
    assert write_report(typical).read_text(encoding="utf-8") == typical_page.text


def test_a_report_needs_no_torch(typical: Path) -> None:
    write = f"from vitrail.report import write_report; write_report({str(typical)!r})"
    code = f"import sys; {write}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    assert done.stderr == ""


def test_importing_the_report_is_cheap() -> None:
    code = "import sys, vitrail.report; print([m for m in ('matplotlib', 'numpy', 'jinja2') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_names_from_outside_are_inert(tmp_path: Path) -> None:
    recipe = Recipe(
        class_names=NASTY,
        epochs=2,
        model_name="<img src=x onerror=alert(1)>",
        source='/home/"><script>x</script>.zip',
        image_names='"><script>alert({})</script>.png',
    )
    directory = write_run(tmp_path / '"><script>alert(2)<', recipe)
    info = json.loads((directory / "run.json").read_text())
    info |= {"choices": ["</style><script>alert(3)</script>"], "hardware": "<b onclick=x>"}
    (directory / "run.json").write_text(json.dumps(info))
    found = page(directory)
    assert found.says("<script>alert(1)</script>")
    assert found.says("<script>alert(7)</script>.png")
    assert "<script" not in found.text.lower()
    assert "<img src=x" not in found.text
    assert "\u202e" not in found.text
    assert "\x00" not in found.text


def test_two_hundred_epochs_fifty_thousand_steps_a_hundred_classes(tmp_path: Path) -> None:
    names = tuple(f"kind of thing {i}" for i in range(100))
    recipe = Recipe(
        class_names=names, epochs=200, steps_per_epoch=250, size=(64, 64), patch_size=8, samples=12, mistakes=16
    )
    found = page(write_run(tmp_path, recipe))
    assert found.says("The chart shows the 20 hardest of 100 classes.")
    assert found.says("The axes number the classes from 0")


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(class_names=("cat", "dog"), size=(224, 224), patch_size=16, epochs=1, samples=3, mistakes=2),
        Recipe(class_names=tuple("0123456789"), channels=1, size=(8, 8), patch_size=2, epochs=3, steps_per_epoch=2),
        Recipe(size=(32, 96), patch_size=8, epochs=2, nulls=("auroc", "top5"), samples=2, mistakes=0),
        Recipe(patch_size=None, epochs=2, samples=2, mistakes=2),
        Recipe(stem="conv", epochs=2, samples=2, mistakes=2),
        Recipe(channels=4, size=(16, 16), epochs=2, samples=0, mistakes=0),
    ],
    ids=["one-epoch", "digits", "non-square", "cnn", "conv-stem", "no-samples"],
)
def test_all_kinds_of_runs(tmp_path: Path, recipe: Recipe) -> None:
    found = page(write_run(tmp_path, recipe))
    has_patches = recipe.patch_size is not None and recipe.stem == "linear" and recipe.samples > 0
    assert found.says("It is cut") == has_patches
    assert found.says("Not defined for this data, and so not drawn") == (
        bool(recipe.nulls) or len(recipe.class_names) < 5
    )
    if recipe.mistakes == 0:
        assert found.says("None: every test image was classified correctly.")


@pytest.mark.parametrize(
    ("keep", "lacks"),
    [
        ((), "None of its 10 epochs is done, the test images have not been measured and no sample images"),
        (("metrics",), "3 of 10 epochs are done, the test images have not been measured"),
        (("metrics", "evaluation"), "3 of 10 epochs are done and no sample images have been saved"),
    ],
)
def test_an_interrupted_run_says_what_it_lacks(tmp_path: Path, keep: tuple[str, ...], lacks: str) -> None:
    directory = write_run(tmp_path / "my run", Recipe(epochs=3), keep)
    info = json.loads((directory / "run.json").read_text())
    info["config"]["train"]["epochs"] = 10
    (directory / "run.json").write_text(json.dumps(info))
    found = page(directory)
    assert found.says(lacks)
    assert found.says(f"vitrail resume '{directory}'")


def test_validation_on_the_test_images_is_said_first(tmp_path: Path) -> None:
    found = page(write_run(tmp_path, Recipe(val_split="test", epochs=2, samples=1, mistakes=0)))
    assert found.says("Validated on the test images.")
    assert found.words.index("Validated on the test images.") < found.words.index("Results")
    assert found.says("validation (test images)")


def test_classes_without_test_images_are_named_where_averages_are(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", Recipe(class_names=("cat", "dog", "emu", "<b>owl</b>")))
    sentence = "averages over the 2 of 4 classes that have some"
    assert sentence not in page(run).words
    stored = json.loads((run / "evaluation.json").read_text())
    for i in (2, 3):
        stored["per_class"][i] |= {"images": 0, "recall": None, "f1": None}
        stored["confusion_matrix"][i] = [0] * 4
    (run / "evaluation.json").write_text(json.dumps(stored))
    text = page(run).words
    assert sentence in text
    assert "Without test images: emu, <b>owl</b>." in text


def test_a_finished_run_without_its_samples_is_told_to_be_evaluated(tmp_path: Path) -> None:
    directory = write_run(tmp_path / "run", Recipe(epochs=3), ("metrics", "evaluation"))
    assert page(directory).says(f"No sample images have been saved. This saves them: vitrail evaluate {directory}")
    (directory / "evaluation.json").unlink()
    assert page(directory).says(f"vitrail resume {directory}")


def test_a_run_killed_before_its_first_step(tmp_path: Path) -> None:
    directory = write_run(tmp_path, Recipe(), keep=())
    (directory / "steps.jsonl").unlink()
    assert page(directory).says("None of its 10 epochs is done")


def test_an_unfinished_last_line_is_forgiven(tmp_path: Path) -> None:
    directory = write_run(tmp_path, Recipe(epochs=2), keep=("metrics",))
    before, steps = Run(directory).metrics, Run(directory).steps
    for name in ("steps.jsonl", "metrics.jsonl"):
        with (directory / name).open("a") as file:
            file.write('{"step": 81, "lo')
    after = Run(directory)
    assert after.metrics == before
    assert after.steps.loss.tolist() == steps.loss.tolist()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("run.json", "{"),
        ("run.json", "[]"),
        ("metrics.jsonl", "oops\n{}\n"),
        ("metrics.jsonl", "3\n"),
        ("steps.jsonl", "{]\n"),
        ("evaluation.json", '{"images": 3}'),
        ("evaluation.json", '{"images": 3, "per_class": [], "confusion_matrix": [[1, 2]]}'),
        ("samples.safetensors", "no tensors here"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, name: str, content: str) -> None:
    directory = write_run(tmp_path, Recipe(epochs=1, samples=1, mistakes=0))
    (directory / name).write_text(content)
    with pytest.raises(InputError, match=re.escape(f"{directory / name} is damaged")) as caught:
        write_report(directory)
    assert "\n" not in str(caught.value)
    assert not (directory / "report.html").exists()


def test_a_directory_that_is_neither(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither a run nor a comparison"):
        write_report(tmp_path)


def test_a_study_has_runs_and_no_report_of_its_own(tmp_path: Path) -> None:
    directory = write_comparison(tmp_path, seeds=1, epochs=1, samples=0, mistakes=0)
    (directory / "comparison.json").unlink()
    (directory / "study.json").write_text("{}")
    with pytest.raises(InputError, match="is no comparison: name one of the runs in it, such as"):
        write_report(directory)


def test_a_comparison_that_was_interrupted_says_how_to_go_on(tmp_path: Path) -> None:
    directory = write_comparison(tmp_path, seeds=1, epochs=1, samples=0, mistakes=0)
    (directory / "comparison.json").unlink()
    with pytest.raises(InputError, match=re.escape(f"'vitrail resume {directory}' completes its runs")):
        write_report(directory)


def test_a_comparison_shows_its_models_side_by_side(tmp_path: Path) -> None:
    directory = write_comparison(tmp_path, seeds=3, epochs=6, samples=1, mistakes=1)
    write_report(directory / "vit-small-seed1")
    found = page(directory)
    stored = json.loads((directory / "comparison.json").read_text())["models"]
    for name, model in stored.items():
        accuracy = model["test"]["accuracy"]
        assert found.says(f"{100 * accuracy['mean']:.2f} ± {100 * accuracy['std']:.2f}")
        assert found.says(name)
    for words in ("3.19 million", "2.45 million", "209 million", "355 ± 4", "24 min 03 s ± 11.0 s"):
        assert found.says(words)
    for title in ("training accuracy (%)", "validation accuracy (%)", "training loss (nats)", "validation loss (nats)"):
        assert found.says(title)
    assert [a["href"] for a in found.all("a") if (a["href"] or "").startswith("./")] == [
        "./vit-small-seed1/report.html"
    ]


def test_a_comparison_of_one_seed_claims_no_spread(tmp_path: Path) -> None:
    found = page(write_comparison(tmp_path, seeds=1, epochs=1, val_split="test", samples=0, mistakes=0))
    assert found.says("With one seed there is no telling how much of that is chance.")
    assert found.says("Validated on the test images.")
    results = re.search(r"<caption>Test, mean.*?</table>", found.text, re.S)
    assert results is not None
    assert "±" not in re.sub(r"<caption>.*?</caption>", "", results.group())


def test_an_unfinished_comparison(tmp_path: Path) -> None:
    directory = write_comparison(tmp_path, seeds=2, epochs=2, samples=0, mistakes=0)
    (directory / "cnn-plain-seed1" / "evaluation.json").unlink()
    stored = json.loads((directory / "comparison.json").read_text())
    stored["models"]["cnn-plain"] |= {"test": {}, "seconds": None}
    stored["models"]["absent"] = {}
    (directory / "comparison.json").write_text(json.dumps(stored))
    found = page(directory)
    assert found.says("Incomplete: cnn-plain-seed1.")
    assert found.says("No run directories of absent are here")


def test_metrics_that_are_not_finite_are_gaps(tmp_path: Path) -> None:
    directory = write_run(tmp_path, Recipe(epochs=3, samples=0, mistakes=0))
    text = (directory / "metrics.jsonl").read_text()
    (directory / "metrics.jsonl").write_text(re.sub(r'"val_loss": [\d.]+', '"val_loss": NaN', text))
    assert "nan" not in page(directory).words.lower()


def test_a_matrix_of_many_classes_keeps_its_colours() -> None:
    rng = np.random.default_rng(0)
    counts = np.diag(rng.integers(1, 40, 700)) + (rng.random((700, 700)) < 0.02)
    text = str(embedding.draw(plots.confusion_matrix(counts.astype(np.int64), ["c"] * 700), "matrix", "alt").svg)
    kind, encoded = re.search(r"data:image/(\w+);base64,([^\"]+)", text).groups()
    assert kind == "webp"
    with Image.open(io.BytesIO(base64.b64decode(encoded))) as picture:
        pixels = np.asarray(picture.convert("RGBA"))
    assert len(np.unique(pixels[pixels[..., 3] > 0][:, :3], axis=0)) == 2
