"""Training: resume equals uninterrupted, bit for bit; nothing saved is ever lost."""

import dataclasses
import functools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from small_run import CHECKS_PER_EPOCH, CNN, STEPS_PER_EPOCH, VIT, data, fit, interrupting_after, run_config

from vitrail import checkpoint, files
from vitrail.configs import AugmentConfig, ClassificationConfig, ViTConfig
from vitrail.data.dataset import ImageDataset
from vitrail.errors import InputError, Interrupted, RunError
from vitrail.inspection import attention_history
from vitrail.models.initialization import whiten
from vitrail.models.stems import patchify
from vitrail.models.summary import summarize
from vitrail.training.cost import cumulative_cost
from vitrail.training.learner import Learner
from vitrail.training.objectives import classification
from vitrail.training.optim import moving_average
from vitrail.training.recorders import Display, duration
from vitrail.training.trainer import Trainer

VARIANTS = {
    "vit, adamw": {},
    "cnn": {"model": CNN},
    "muon": {"optimizer": "muon"},
    "strided stem, muon": {"optimizer": "muon", "model": dataclasses.replace(VIT, stem="conv")},
    "pooled stem, muon": {"optimizer": "muon", "model": dataclasses.replace(VIT, stem="pooled")},
    "adam": {"optimizer": "adam"},
    "sgd": {"optimizer": "sgd"},
    "average": {"ema_decay": 0.8},
    "cnn, average": {"model": CNN, "ema_decay": 0.8},
    "bf16": {"precision": "bf16"},
    "clip and smooth": {"clip_norm": 0.1, "objective": ClassificationConfig(label_smoothing=0.1)},
    "small images first": {"small_side": 4, "small_until": 0.4},
    "whitened patches, average": {"whiten_patches": True, "ema_decay": 0.8},
    "all augmentation": {
        "augment": AugmentConfig(2, True, 3, 0.3, policy="trivialaugment", mixup=0.4, cutmix=1.0),
    },
}


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_resume_equals_uninterrupted(changes, tmp_path):
    """Interrupted in the middle of an epoch, while validating, and at the end of an epoch."""
    config = run_config(**changes)
    whole = fit(config, tmp_path / "whole")
    broken = tmp_path / "broken"
    for steps in (3, 3, 2):
        with pytest.raises(Interrupted):
            fit(config, broken, interrupting_after(steps))
    assert fit(config, broken) == whole
    if isinstance(config.model, ViTConfig):
        watched, expected = (attention_history.read(tmp_path / run) for run in ("broken", "whole"))
        assert watched.epochs.tolist() == expected.epochs.tolist() == [1, 2, 3]
        assert np.array_equal(watched.maps, expected.maps)
    for name in ("steps.jsonl", "metrics.jsonl"):
        rows, expected = (files.read_json_lines(tmp_path / run / name) for run in ("broken", "whole"))
        for row in rows + expected:
            row.pop("seconds", None)
            row.pop("images_per_second", None)
        assert rows == expected


def test_the_first_steps_see_small_images(tmp_path, monkeypatch):
    seen = []
    step = Learner.step

    def noting(self, batch, lr):
        seen.append(tuple(batch.inputs.shape[-2:]))
        return step(self, batch, lr)

    monkeypatch.setattr(Learner, "step", noting)
    fit(run_config(small_side=4, small_until=0.4), tmp_path)
    steps = 3 * STEPS_PER_EPOCH
    assert seen == [(4, 4)] * round(0.4 * steps) + [(8, 8)] * (steps - round(0.4 * steps))


WIDE = dataclasses.replace(VIT, image_size=(8, 16))


@pytest.mark.parametrize(
    "changes",
    [{"small_side": 8}, {"small_side": 3}, {"small_side": 4, "model": CNN}, {"small_side": 4, "model": WIDE}],
)
def test_small_images_must_suit_the_model(changes):
    with pytest.raises(InputError, match="small_side is"):
        run_config(**changes)


def test_one_image_is_no_batch_to_normalise_by():
    run_config(batch_size=1)
    for model in (CNN, dataclasses.replace(VIT, stem="pooled")):
        with pytest.raises(InputError, match="batch norm needs at least two images"):
            run_config(model, batch_size=1)


def test_an_epoch_without_a_timed_step_is_shown(capsys):
    row = {"epoch": 1, "val_accuracy": None, "train_loss": 1.0, "train_accuracy": 0.5, "val_loss": None}
    Display("a run", 1, 1, 8, lambda share: share).epoch({**row, "images_per_second": None, "seconds": 0.0}, None)
    assert "- img/s" in capsys.readouterr().out


def test_the_time_left_knows_that_small_images_come_first(capsys, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("vitrail.training.recorders.time.monotonic", lambda: clock[0])
    train = run_config(small_side=4, small_until=0.5).train
    small, full = (summarize(dataclasses.replace(VIT, image_size=side)).multiply_adds for side in (4, 8))
    display = Display("a run", 1, 100, 8, functools.partial(cumulative_cost, model=VIT, train=train))
    with display.recording(0, 0, None):
        clock[0] = 100.0
        display.step({"step": 50, "loss": 1.0})
    assert f"  {duration(100 * full / small)} left  4 img/s" in capsys.readouterr().out
    with display.recording(50, 0, None):
        clock[0] = 200.0
        display.step({"step": 75, "loss": 1.0})
    assert "  1:40 left  2 img/s" in capsys.readouterr().out


def test_whitened_tokens_of_training_images_are_uncorrelated(tmp_path):
    wide = dataclasses.replace(VIT, embed_dim=32)
    trainer = Trainer(run_config(wide, whiten_patches=True), data(), tmp_path, lambda: None)
    train, preprocessing = trainer.data.train, trainer.data.preprocessing
    images = preprocessing.normalize(torch.from_numpy(trainer.data.dataset.read(train)))
    tokens = trainer.learner.model.patch_embed(images).detach().flatten(0, 1)
    torch.testing.assert_close(tokens.mean(dim=0), torch.zeros(32), atol=1e-4, rtol=0)
    spread = torch.linalg.eigvalsh(torch.cov(tokens.mT))[-16:]
    patches = patchify(images, 4).flatten(0, 1)
    variances = torch.linalg.eigvalsh(torch.cov(patches.mT))
    torch.testing.assert_close(spread, 32 / 16 * variances / (variances + 0.3 * variances.mean()), rtol=1e-3, atol=1e-4)


def test_a_narrow_model_keeps_the_components_that_vary_most():
    torch.manual_seed(0)
    proj, scales = torch.nn.Linear(6, 2), torch.tensor([1, 0.1, 9, 0.1, 0.1, 5])
    whiten(proj, torch.randn(5000, 6) * scales)
    reach = proj.weight.detach().abs().amax(dim=0) * scales
    assert (reach[[2, 5]] > 0.5).all()
    assert (reach[[0, 1, 3, 4]] < 0.1).all()


@pytest.mark.parametrize("model", [CNN, dataclasses.replace(VIT, stem="conv"), dataclasses.replace(VIT, stem="pooled")])
def test_only_a_linear_stem_can_be_whitened(model):
    with pytest.raises(InputError, match="linear stem"):
        run_config(model, whiten_patches=True)


def test_what_is_observed_changes_nothing_and_is_the_same_after_interruptions(tmp_path):
    def observe(model):
        torch.rand(3)
        return {"bias": float(model.head[-1].bias.detach().abs().sum()), "training": model.training}

    config = run_config()
    plain = fit(config, tmp_path / "plain")
    assert not (tmp_path / "plain" / "observations.jsonl").exists()
    assert fit(config, tmp_path / "whole", observe=observe) == plain
    for steps in (3, 6, 3, 2):
        with pytest.raises(Interrupted):
            fit(config, tmp_path / "broken", interrupting_after(steps), observe)
    assert fit(config, tmp_path / "broken", observe=observe) == plain
    rows, expected = (files.read_json_lines(tmp_path / run / "observations.jsonl") for run in ("broken", "whole"))
    assert rows == expected
    assert [(row["epoch"], row["step"]) for row in rows] == [(k, k * STEPS_PER_EPOCH) for k in range(4)]
    assert rows[0]["bias"] == 0 < rows[1]["bias"]


@pytest.mark.parametrize(
    ("model", "changes"),
    [
        (VIT, {}),
        (VIT, {"optimizer": "muon", "ema_decay": 0.8}),
        (dataclasses.replace(VIT, pos_embed="learned2d"), {"ema_decay": 0.8}),
    ],
    ids=["learned", "learned, muon, average", "learned2d, average"],
)
def test_a_checkpoint_with_the_names_of_an_earlier_version_is_resumed(model, changes, tmp_path):
    """Both that of the weights to use, and where that is an average that of the trained ones beside it."""
    config = run_config(model, **changes)
    whole = fit(config, tmp_path / "whole")
    broken = tmp_path / "broken"
    with pytest.raises(Interrupted):
        fit(config, broken, interrupting_after(3))
    [path] = (broken / "checkpoints").iterdir()
    now = {"positions.embed": "pos_embed", "positions.rows": "pos_rows", "positions.columns": "pos_columns"}
    before = {f"{owner}{name}": f"{owner}{old}" for name, old in now.items() for owner in ("", "model.")}
    found = checkpoint.load(path)
    tensors = {
        part: {before.get(name, name): tensor for name, tensor in of_part.items()}
        for part, of_part in found.tensors.items()
    }
    assert tensors["model"].keys() != found.tensors["model"].keys()
    checkpoint.save(broken / "checkpoints", dataclasses.replace(found, tensors=tensors))
    assert fit(config, broken) == whole


@pytest.mark.slow
def test_compiled_resume_equals_uninterrupted(tmp_path):
    """In processes of their own: checked shapes and an earlier compilation would both be in the way."""

    def run(name: str, interrupt_after: int) -> int:
        script = [sys.executable, str(Path(__file__).with_name("small_run.py"))]
        return subprocess.run([*script, str(tmp_path / name), "on", str(interrupt_after)], check=False).returncode

    assert run("whole", 0) == 0
    assert run("broken", CHECKS_PER_EPOCH + 2) == 130
    assert run("broken", 0) == 0
    whole, broken = (
        (tmp_path / name / "checkpoints" / f"step-{3 * STEPS_PER_EPOCH:08d}" / "model.safetensors").read_bytes()
        for name in ("whole", "broken")
    )
    assert broken == whole


def test_it_learns_and_reports_every_metric(tmp_path):
    fit(run_config(epochs=3), tmp_path)
    rows = files.read_json_lines(tmp_path / "metrics.jsonl")
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert [row["step"] for row in rows] == [5, 10, 15]
    assert rows[-1]["train_accuracy"] > rows[0]["train_accuracy"]
    names = ("loss", "accuracy", "top5", "auroc", "f1", "precision", "recall")
    expected = {f"{part}_{name}" for part in ("train", "val") for name in names}
    assert set(rows[0]) == expected | {"epoch", "step", "lr", "seconds", "images_per_second"}
    assert rows[0]["train_top5"] is None
    steps = files.read_json_lines(tmp_path / "steps.jsonl")
    assert [row["step"] for row in steps] == list(range(1, 16))
    assert set(steps[0]) == {"step", "loss", "accuracy", "lr"}


@pytest.mark.parametrize("damage", ["truncate", "alter", "delete", "alter state", "truncate state"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(damage, tmp_path, capsys):
    config = run_config()
    whole = fit(config, tmp_path / "whole")
    with pytest.raises(Interrupted):
        fit(config, tmp_path / "run", interrupting_after(2 * CHECKS_PER_EPOCH + 2))
    latest = sorted((tmp_path / "run" / "checkpoints").glob("step-*"))[-1]
    victim = latest / ("state.json" if "state" in damage else "optimizer.safetensors")
    content = victim.read_bytes()
    if damage.startswith("truncate"):
        victim.write_bytes(content[: len(content) // 2])
    elif damage == "delete":
        victim.unlink()
    elif damage == "alter state":
        victim.write_text(victim.read_text().replace('"batch": 2', '"batch": 1'))
        assert victim.read_bytes() != content
    else:
        victim.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert fit(config, tmp_path / "run") == whole
    assert "is damaged" in capsys.readouterr().out


def test_a_kill_between_two_renames_loses_no_checkpoint(tmp_path):
    """The first checkpoint is saved again, and the process ends when the old one has made room for the new one."""
    config = run_config()
    whole = fit(config, tmp_path / "whole")
    with pytest.raises(Interrupted):
        fit(config, tmp_path / "run", interrupting_after(2))
    checkpoints = tmp_path / "run" / "checkpoints"
    [only] = checkpoints.iterdir()
    only.rename(checkpoints / f".tmp-{only.name}-superseded")
    (checkpoints / f".tmp-{only.name}-123").mkdir()
    checkpoint.clear_unfinished(checkpoints)
    assert [path.name for path in checkpoints.iterdir()] == [only.name]
    assert fit(config, tmp_path / "run") == whole


def test_a_full_disk_loses_no_earlier_checkpoint(tmp_path, monkeypatch):
    config = run_config()
    whole = fit(config, tmp_path / "whole")
    real = checkpoint.save_file
    calls = 0

    def full(tensors, path):
        nonlocal calls
        calls += 1
        if calls > 4:
            path.write_bytes(b"half a file")
            raise OSError(28, "No space left on device")
        real(tensors, path)

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(RunError, match=r"step 10 could not be saved .*No space left.* earlier checkpoints are intact"):
        fit(config, tmp_path / "run")
    assert [p.name for p in (tmp_path / "run" / "checkpoints").iterdir()] == ["step-00000005"]
    monkeypatch.setattr(checkpoint, "save_file", real)
    assert fit(config, tmp_path / "run") == whole


def test_a_batch_without_a_finite_loss_is_skipped_and_the_fourth_fails(tmp_path, monkeypatch):
    real, step = classification.F.cross_entropy, 0

    def poisoned(bad: set[int]):
        def loss(*args, **kwargs):
            nonlocal step
            step += 1
            return real(*args, **kwargs) * (float("nan") if step in bad else 1.0)

        return loss

    monkeypatch.setattr(classification.F, "cross_entropy", poisoned({2, 3, 9}))
    fit(run_config(model=CNN), tmp_path / "three")
    rows = files.read_json_lines(tmp_path / "three" / "steps.jsonl")
    assert [row["step"] for row in rows if row["loss"] is None] == [2, 3, 9]
    latest = checkpoint.load(sorted((tmp_path / "three" / "checkpoints").glob("step-*"))[-1])
    assert latest.state["skipped"] == [2, 3, 9]
    assert all(torch.isfinite(t.float()).all() for t in latest.tensors["model"].values())

    step = 0
    monkeypatch.setattr(classification.F, "cross_entropy", poisoned({2, 3, 9, 12}))
    with pytest.raises(RunError, match=r"at steps 2, 3, 9, 12: training diverged; try a lower --lr"):
        fit(run_config(model=CNN), tmp_path / "four")


def test_the_last_checkpoint_holds_the_average_of_the_weights(tmp_path):
    """With a decay so small that the average is the latest weights, both are alike; with a large one they are not."""
    from safetensors.torch import load_file

    for decay, alike in ((1e-6, True), (0.9, False)):
        directory = tmp_path / str(decay)
        fit(run_config(ema_decay=decay), directory)
        last = sorted((directory / "checkpoints").glob("step-*"))[-1]
        average, stored = load_file(last / "model.safetensors"), load_file(last / "optimizer.safetensors")
        close = all(torch.allclose(t, stored[f"model.{name}"], atol=1e-4) for name, t in average.items())
        assert close is alike


def test_an_average_of_a_short_run_is_of_its_latest_weights():
    """After n + 1 models that say 0, 1, ..., n: by hand for few, and by the decay alone in the long run."""
    average, model, known = [torch.zeros(1)], [torch.zeros(1)], 0.0
    for count in range(1, 2000):
        model[0].fill_(count)
        kept = min(0.99, (1 + count) / (10 + count))
        known = kept * known + (1 - kept) * count
        moving_average(average, model, torch.tensor(count), decay=0.99)
        assert average[0].item() == pytest.approx(known, rel=1e-4)
        assert average[0].item() > 0.5 * count or count < 3
    assert 1999 - average[0].item() == pytest.approx(0.99 / 0.01, rel=0.02)
    counts = [torch.tensor([3])]
    moving_average(counts, [torch.tensor([7])], torch.tensor(1), decay=0.99)
    assert counts[0].item() == 7


def test_of_mixed_images_the_larger_part_is_what_should_be_recognised(tmp_path, monkeypatch):
    def swapped(images, shares, mixup, cutmix):
        return images.flip(0), 0.9 * shares.flip(0) + 0.1 * shares

    monkeypatch.setattr(classification, "mix", swapped)
    fit(run_config(epochs=3, lr=3e-3, augment=AugmentConfig(crop=0, flip=False, mixup=1.0)), tmp_path)
    rows = files.read_json_lines(tmp_path / "metrics.jsonl")
    assert rows[-1]["train_accuracy"] > 0.6


def test_only_the_last_two_checkpoints_are_kept(tmp_path):
    fit(run_config(checkpoint_every=2), tmp_path)
    assert [p.name for p in sorted((tmp_path / "checkpoints").iterdir())] == ["step-00000014", "step-00000015"]
    state = json.loads((tmp_path / "checkpoints" / "step-00000015" / "state.json").read_text())
    assert set(state["sha256"]) == {"model.safetensors", "optimizer.safetensors", "epoch.safetensors", "state"}


def test_models_of_one_seed_see_the_same_images_in_the_same_order(tmp_path, monkeypatch):
    seen = {}
    real = ImageDataset.read
    for name, model in (("vit", VIT), ("cnn", CNN)):
        order = seen.setdefault(name, [])
        monkeypatch.setattr(
            ImageDataset, "read", lambda self, i, order=order: (order.append(tuple(i)), real(self, i))[1]
        )
        fit(run_config(model=model), tmp_path / name)
    # The single image that whose attention is stored through a ViT's training is read besides.
    batches = {name: [indices for indices in order if len(indices) > 1] for name, order in seen.items()}
    assert batches["vit"] == batches["cnn"]
    assert batches["vit"][0] != batches["vit"][6]
