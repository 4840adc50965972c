"""What a run's model looks at in given images, as a directory; and how far its maps are to be believed."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int, UInt8
from numpy import ndarray
from numpy.typing import NDArray

from vitrail import files
from vitrail.classifier import Classifier, Picture, Precision, load, predict_logits
from vitrail.configs import LayoutKind
from vitrail.data import shapes
from vitrail.data.argument import lasting, refuse_below_data
from vitrail.data.dataset import ImageDataset
from vitrail.errors import InputError, nearest
from vitrail.experiments.evaluating import measured_on, other_source
from vitrail.experiments.run import reopen
from vitrail.hardware import choose_device, fast_bf16
from vitrail.inspection.attribution import Method, cells, methods_for
from vitrail.inspection.explanation import Explanation
from vitrail.inspection.explanation import explain as explain_images
from vitrail.inspection.faithfulness import Faithfulness
from vitrail.inspection.faithfulness import read as read_faithfulness
from vitrail.inspection.measuring import measure
from vitrail.progress import track
from vitrail.report.explanation_page import explanation_figures, explanation_page, show_explanation
from vitrail.runs.directory import Run
from vitrail.runs.layout import ARRAYS, EXPLANATION, FAITHFULNESS, FIGURES, PAGE, on_other_data
from vitrail.runs.weights import latest_weights
from vitrail.text import listed, one_form, plural, slug

COUNT = 200
"""Images that faithfulness is measured on."""


@dataclass(frozen=True)
class Explained:
    """The files of an explanation."""

    directory: Path
    page: Path
    arrays: Path
    figures: tuple[Path, ...]
    explanations: tuple[Explanation, ...]
    class_names: tuple[str, ...]


@dataclass(frozen=True)
class _Request:
    """What is to be explained, found to be possible."""

    classifier: Classifier
    pixels: UInt8[ndarray, "n c h w"]
    names: tuple[str, ...]
    methods: tuple[Method, ...]
    target: int | None


def explain(
    run: str | Path,
    images: Sequence[Picture],
    methods: Sequence[str] | None = None,
    layer: int | None = None,
    head: int | None = None,
    target: str | int | None = None,
    out: str | Path | None = None,
) -> Explained:
    """Explain images by the model of a run or an adopted directory: a page, its figures, and their arrays.

    Args:
        run: a directory that `vitrail.load` takes.
        images: paths, PIL images or uint8 arrays.
        methods: names in `attribution.METHODS`; all that apply to the model by default.
        layer: show attention of this layer alone, counted from 0.
        head: show attention of this head alone, counted from 0.
        target: the class to explain, by name or number; of every image the predicted one by default.
        out: a new or empty directory; the first free `RUN/explanation-<n>` by default.

    Raises:
        InputError: for what cannot be used, naming it.
    """
    request = check(run, images, methods, layer, head, target, out)
    measured = read_faithfulness(Path(run) / FAITHFULNESS)
    device = choose_device("auto")
    request.classifier.model.to(device)
    place = Path(out) if out else files.first_free(Path(run), EXPLANATION)
    with files.claimed(place, "name another --out") as directory:
        try:
            return _explained(directory, request, measured, _precision(device), layer, head)
        except BaseException:
            # Half an explanation is none, and would be in the way of the next.
            shutil.rmtree(directory, ignore_errors=True)
            raise


def _explained(
    directory: Path,
    request: _Request,
    measured: Faithfulness | None,
    precision: Precision,
    layer: int | None,
    head: int | None,
) -> Explained:
    """The page, its figures and their arrays, in a directory that is claimed."""
    classifier, names = request.classifier, request.names
    page, arrays, figures = directory / PAGE, directory / ARRAYS, []
    explanations = explain_images(classifier, request.pixels, names, request.methods, request.target, precision)
    config, shown = classifier.model.config, []
    patch = config.patch_size if config.cuts_patches else None
    stems = [f"{number}-{slug(Path(name).stem)[:40]}" for number, name in enumerate(names, 1)]
    stored = {
        f"{stem}/{name}": array
        for stem, explanation in zip(stems, explanations, strict=True)
        for name, array in explanation.arrays().items()
    }
    _write(arrays, partial(np.savez_compressed, **stored))  # type: ignore[arg-type]
    with track("drawing figures", len(explanations), "images") as advance:
        for stem, explanation in zip(stems, explanations, strict=True):
            drawn = explanation_figures(explanation, classifier.class_names, patch, layer, head)
            for name, (figure, _) in drawn.items():
                path = directory / FIGURES / stem / f"{name}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                _write(path, partial(figure.savefig, format="png", dpi=150, bbox_inches="tight", facecolor="white"))
                figures.append(path)
            shown.append(show_explanation(stem, explanation, drawn, classifier.class_names, measured))
            advance()
    title = names[0] if len(names) == 1 else f"{len(names)} images"
    text = explanation_page(title, shown, config.has, measured, layer, head, classifier.adoption)
    files.write_bytes(page, text.encode())
    return Explained(directory, page, arrays, tuple(figures), tuple(explanations), classifier.class_names)


def _write(path: Path, save: Callable[[BytesIO], object]) -> None:
    """A file by what writes to an open one."""
    content = BytesIO()
    save(content)
    files.write_bytes(path, content.getvalue())


def check(
    run: str | Path,
    images: Sequence[Picture],
    methods: Sequence[str] | None = None,
    layer: int | None = None,
    head: int | None = None,
    target: str | int | None = None,
    out: str | Path | None = None,
) -> _Request:
    """Whether `explain` can be done, before anything long is begun or anything written.

    Raises InputError as `explain` does.
    """
    classifier = load(run)
    refuse_below_data(Path(out) if out else None, Run(Path(run)).data.get("source"))
    chosen = choose_methods(classifier, methods)
    label = None if target is None else find_class(classifier, target)
    _check_choice(classifier, layer, head)
    if not images:
        raise InputError("no images were given")
    pixels = np.stack([classifier.preprocessing.read(image) for image in images])
    names = _names(images)
    files.refuse_taken(Path(out) if out else None, "name another --out")
    return _Request(classifier, pixels, names, chosen, label)


def measure_faithfulness(
    run: str | Path,
    data: str | None = None,
    count: int = COUNT,
    methods: Sequence[str] | None = None,
    data_dir: Path | None = None,
    seed: int = 0,
    layout: LayoutKind = "auto",
) -> tuple[Faithfulness, Path]:
    """How far each attribution method's maps of this model are to be believed; and the file that says so.

    Measured on test images that the model classifies rightly (why it errs is another question), each explained for
    its class. Where the data is `shapes`, object masks are known and the maps are also held against them. The file is
    RUN/faithfulness.json, or for a run measured on other data than its own, and an adopted model on other data than
    first, RUN/faithfulness-<data>.json; methods that it holds and that are not measured again stay in it.

    Args:
        run: the directory of a run, or of an adopted model.
        data: a name or path as for `train`; the run's own test images by default.
        count: how many images, drawn at random (always the same).
        methods: as for `explain`.
        data_dir: where downloads and decoded images are kept.
        seed: of the controls and of the randomised model.
        layout: what the folders of `data` are, where they can be meant several ways.

    Raises:
        InputError: for what cannot be used, such as data of which the model classifies no image rightly, or a file
            whose other methods were measured on other images.
    """
    directory = Path(run)
    classifier = load(directory)
    device = choose_device("auto")
    classifier.model.to(device)
    chosen = choose_methods(classifier, methods)
    path = directory / FAITHFULNESS
    stranger = other_source(Run(directory), data, data_dir, layout)
    if data is not None and stranger is not None:
        taken = path.is_file() and files.read_json(path).get("data") != lasting(data)
        if taken or Run(directory).trained_here:
            path = on_other_data(path, slug(Path(data).stem), lasting(data))
    files.check_writable(directory)
    before = read_faithfulness(path)
    if data is not None and stranger is not None:
        measured = measured_on(classifier, Run(directory), stranger, data)
        dataset, test, name = measured.dataset, measured.indices, lasting(data)
    else:
        dataset, test, name = _own_test(directory, data, data_dir)
    right = _rightly_classified(classifier, dataset, test, count)
    kept = () if before is None else tuple(of for of in before.scores if of.method not in {m.name for m in chosen})
    grid = cells(classifier.model, classifier.preprocessing.image_size)
    if before is not None and kept and (before.data, before.num_images, before.cells) != (name, len(right), grid):
        raise InputError(
            f"{path} holds {listed(of.method for of in kept)}, measured on {before.num_images} images of "
            f"{Path(before.data).name}: ask for as many of the same, or remove the file"
        )
    images = classifier.preprocessing.normalize(torch.from_numpy(dataset.read(right)))
    masks = torch.from_numpy(shapes.masks(right, classifier.preprocessing.framing)) if name == "shapes" else None
    labels = torch.from_numpy(dataset.labels[right])
    found = measure(classifier.model, images, labels, chosen, masks, _precision(device), seed, name)
    weights = latest_weights(Run(directory).checkpoints)
    found = dataclasses.replace(found, scores=(*kept, *found.scores), weights=weights)
    files.write_json(path, found.to_json())
    return found, path


def choose_methods(classifier: Classifier, names: Sequence[str] | None) -> tuple[Method, ...]:
    """The methods of these names, or all that apply. Raises InputError naming those that apply for another name."""
    known = {method.name: method for method in methods_for(classifier.model)}
    if names is None:
        return tuple(known.values())
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        asked = f"there is no method {unknown[0]!r}" if unknown else "no method is named"
        raise InputError(f"{asked}: for this {classifier.model.config.kind} there are {', '.join(known)}")
    return tuple(known[name] for name in dict.fromkeys(names))


def find_class(classifier: Classifier, target: str | int) -> int:
    """The number of a class given by name, or by number where no class has that name. Raises InputError."""
    names = classifier.class_names
    known = [one_form(name) for name in names]
    if (name := one_form(str(target))) in known:
        return known.index(name)
    numbers = [str(number) for number in range(len(names))]
    if str(target) in numbers:
        return numbers.index(str(target))
    raise InputError(f"the model knows no class {target!r}: {nearest(str(target), names)}")


def _precision(device: torch.device) -> Precision:
    return "bf16" if fast_bf16(device) else "fp32"


def _check_choice(classifier: Classifier, layer: int | None, head: int | None) -> None:
    """Raises InputError for a layer or head that the model does not have."""
    config = classifier.model.config
    if not config.heads:
        if layer is not None or head is not None:
            raise InputError(f"a {config.kind} has no attention: leave out --layer and --head")
        return
    for what, number, count in (("layer", layer, len(config.heads)), ("head", head, min(config.heads))):
        if number is not None and not 0 <= number < count:
            raise InputError(f"there is no {what} {number}: the model has {count}, counted from 0 to {count - 1}")


def _names(images: Sequence[Picture]) -> tuple[str, ...]:
    """Of files their names, with as many of the folders above them as tell them apart."""
    parts = [Path(one).parts if isinstance(one, str | Path) else (f"image {i}",) for i, one in enumerate(images, 1)]
    for depth in range(1, max(map(len, parts)) + 1):
        names = tuple("/".join(of[-depth:]) for of in parts)
        if len(set(names)) == len(set(parts)):
            break
    return names


def _own_test(directory: Path, data: str | None, data_dir: Path | None) -> tuple[ImageDataset, Int[ndarray, " n"], str]:
    """A run's images and labels, which of them test, and what they are called."""
    prepared = reopen(directory, to_train=False, data=data, data_dir=data_dir)
    return prepared.dataset, prepared.splits.test, str(Run(directory).data["source"])


def _rightly_classified(
    classifier: Classifier, dataset: ImageDataset, test: NDArray[np.int64], count: int
) -> NDArray[np.int64]:
    """As many as asked for, or as there are, of the test images that the model classifies rightly, drawn at random."""
    if count < 2:
        raise InputError(f"{plural(count, 'image')}: too few for an interval, which needs 2 or more")
    right: list[int] = []
    order = np.random.default_rng(0).permutation(test)
    with track("looking for images that are classified rightly", count, "images") as advance:
        for some in np.array_split(order, max(1, -(-len(order) // count))):
            logits = predict_logits(classifier.model, dataset, some, classifier.preprocessing)
            found = some[logits.argmax(axis=1) == dataset.labels[some]][: count - len(right)]
            right += found.tolist()
            advance(len(found))
            if len(right) == count:
                break
    if len(right) < 2:
        raise InputError("the model classifies fewer than two of these images rightly: there is nothing to measure")
    return np.sort(np.array(right, np.int64))
