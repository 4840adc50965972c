"""What is chosen where the user did not: from configuration, data and hardware features, never from a clock."""

from __future__ import annotations

import dataclasses

from vitrail import hardware
from vitrail.configs import AugmentConfig, ModelConfig, Size, TrainConfig
from vitrail.data.mirroring import Mirroring
from vitrail.errors import InputError
from vitrail.models.summary import summarize

_TARGET_STEPS = 3000
# Up to 300 epochs were no better: on 62, 150 and 500 digits 83.1, 90.8 and 95.6 %, with 100 82.7, 90.7 and 95.7 %.
_MIN_EPOCHS, _MAX_EPOCHS = 10, 100
_EPOCHS_TO_AUGMENT = 5
# CutMix pays where images are few: see the recipe `small-data`.
_FEW = 1000
# vit-compare on 8,000 MNIST images for 3 epochs: 96.1 % with Muon, 94.9 % with AdamW. vit-digits: 97.8 % and 98.9 %.
_WIDE_ENOUGH_FOR_MUON = 128
# Multiply-adds of a batch below which threads wait for each other longer than they work.
_WORTH_SHARING = 5e8
# Compiling takes half a minute or more: it must be repaid by the whole run's floating-point operations.
_REPAYS_ON_CPU, _REPAYS_ON_GPU = 1e14, 5e15


def choose_model(native_size: Size | None) -> str:
    """The preset for images of this size (None where sizes differ): tiny ones, small ones, or photographs."""
    if native_size is None or max(native_size) > 36:
        return "vit-photo"
    return "vit-digits" if max(native_size) <= 8 else "vit-32"


def choose_cnn(native_size: Size | None) -> str:
    """The CNN to hold a ViT for images of this size against."""
    return "cnn-digits" if choose_model(native_size) == "vit-digits" else "resnet18"


def choose_image_size(model: ModelConfig, native_size: Size | None) -> Size:
    """The images' own size where all share one that suits the model, else the model's.

    It suits where both sides lie between half the model's and the model's, and the patch size divides them.
    """
    if native_size is None:
        return model.size
    patch = model.patch_size or 1
    suits = all(side % patch == 0 and own / 2 <= side <= own for side, own in zip(native_size, model.size, strict=True))
    return native_size if suits else model.size


def resolve_training(
    train: TrainConfig, model: ModelConfig, num_images: int, mirroring: Mirroring | None = None
) -> tuple[TrainConfig, tuple[str, ...]]:
    """`train` with nothing left open, and a line for each thing chosen that is not obvious, saying why.

    `mirroring` is what was measured of the images' mirror images.

    Raises InputError for a batch larger than the training set, or a device or compiler that is not there.
    """
    notes: list[str] = []
    device = hardware.choose_device(train.device)
    batch_size = train.batch_size
    if batch_size is None:
        # Few images go in even batches: those that fill none would wait for another epoch.
        even = num_images // -(-num_images // 32)
        batch_size = 128 if num_images >= 4096 else 64 if num_images >= 1024 else even
    if batch_size > num_images:
        raise InputError(
            f"a batch of {batch_size} is more than the {num_images} training images: use --batch-size {num_images} "
            "or less"
        )
    epochs = train.epochs
    if epochs is None:
        steps = num_images // batch_size
        epochs = min(max(round(_TARGET_STEPS / steps), _MIN_EPOCHS), _MAX_EPOCHS)
        notes.append(
            f"{epochs} epochs: {epochs * steps:,} steps; about {_TARGET_STEPS:,} are right for most, within "
            f"{_MIN_EPOCHS} and {_MAX_EPOCHS} epochs"
        )

    optimizer = train.optimizer
    if optimizer is None:
        wide = model.embed_dim is not None and model.embed_dim >= _WIDE_ENOUGH_FOR_MUON
        optimizer = "muon" if wide else "adamw"
        if wide:
            notes.append("optimizer muon: a ViT of this width learns faster with it than with adamw")
    elif optimizer == "muon" and model.embed_dim is None:
        optimizer = "adamw"
        notes.append("optimizer adamw: muon is for the blocks of a ViT")
    train = dataclasses.replace(train, optimizer=optimizer)

    precision = train.precision
    if precision == "auto":
        feature = hardware.fast_bf16(device)
        precision = "bf16" if feature else "fp32"
        reason = f"this {device.type} multiplies it faster ({feature})" if feature else "no fast bf16 here"
        notes.append(f"precision {precision}: {reason}")

    compiler_missing = hardware.can_compile(device)
    compile_ = train.compile
    if compile_ == "on" and compiler_missing:
        raise InputError(f"--train.compile on: {compiler_missing}; install one, or leave compilation off")
    if compile_ == "auto":
        compile_, reason = "off", ""
        operations = 6 * summarize(model).multiply_adds * num_images * epochs
        if compiler_missing:
            reason = compiler_missing
        elif not hardware.compiling_pays(device):
            reason = f"it does not speed up training on this {device.type}"
        elif operations < (_REPAYS_ON_GPU if device.type == "cuda" else _REPAYS_ON_CPU):
            reason = "the run is too short to repay it"
        else:
            compile_, reason = "on", "the run is long enough to repay it"
        notes.append(f"compile {compile_}: {reason}")

    threads = train.threads
    if threads is None:
        tiny = device.type == "cpu" and summarize(model).multiply_adds * batch_size < _WORTH_SHARING
        threads = 1 if tiny else hardware.available_cores()
        if tiny:
            notes.append("1 thread: a step is too small to share")

    augment = _resolve_augmentation(train.augment, model, num_images, epochs, mirroring)
    if augment != train.augment:
        notes.append(f"augmentation: {_described(augment)}")
        if epochs >= _EPOCHS_TO_AUGMENT and mirroring and mirroring.known:
            notes.append(
                f"mirrored images {'change' if mirroring.harms else 'keep'} their class: a linear classifier is right "
                f"on {mirroring.right:,} as they are, on {mirroring.mirrored:,} mirrored"
            )
    small_side = train.small_side
    if small_side == "auto":
        small_side = _small_side(model)
        if small_side:
            notes.append(
                f"images of {small_side} pixels for the first {train.small_until:.0%} of the steps: they are quicker"
            )

    resolved = dataclasses.replace(
        train,
        epochs=epochs,
        time_budget=None,
        batch_size=batch_size,
        lr=train.lr if train.lr is not None else _default_lr(train, model),
        weight_decay=train.weight_decay if train.weight_decay is not None else _DEFAULT_DECAY[optimizer],
        warmup=train.warmup if train.warmup is not None else (0.0 if train.schedule == "constant" else 0.05),
        augment=augment,
        small_side=small_side,
        precision=precision,
        compile=compile_,
        device=str(device),
        threads=threads,
    )
    return resolved, tuple(notes)


_DEFAULT_DECAY = {"adam": 0.0, "adamw": 0.05, "muon": 0.05, "sgd": 5e-4}


def _default_lr(train: TrainConfig, model: ModelConfig) -> float:
    """Wider models want smaller steps: 1e-3 at width 256, 2e-3 up to 128, and falling with the width beyond."""
    if train.optimizer == "sgd":
        return 0.05
    if model.embed_dim is None:
        return 1e-3
    return (2e-3 if train.optimizer == "muon" else 1e-3) * min(2.0, 256 / model.embed_dim)


def _resolve_augmentation(
    augment: AugmentConfig, model: ModelConfig, num_images: int, epochs: int, mirroring: Mirroring | None
) -> AugmentConfig:
    """Images that are seen a few times only cannot be learned by heart: varying them would just slow learning."""
    often, side, in_colour = epochs >= _EPOCHS_TO_AUGMENT, min(model.size), model.in_channels == 3
    large = often and side >= 16
    few = large and in_colour and num_images < _FEW
    alike = not mirroring.harms if mirroring and mirroring.known else in_colour
    return dataclasses.replace(
        augment,
        crop=(side // 8 if large else 0) if augment.crop is None else augment.crop,
        flip=(often and alike) if augment.flip is None else augment.flip,
        policy=("trivialaugment" if large and in_colour else "none") if augment.policy is None else augment.policy,
        cutmix=float(few) if augment.cutmix is None else augment.cutmix,
    )


def _described(augment: AugmentConfig) -> str:
    parts = [
        f"crops shifted by up to {augment.crop} pixels" if augment.crop else "no crops",
        "mirroring" if augment.flip else "no mirroring",
        augment.policy if augment.policy != "none" else "",
        "cutmix" if augment.cutmix else "",
    ]
    return ", ".join(filter(None, parts))


def _small_side(model: ModelConfig) -> int | None:
    """Three quarters of a ViT's square images, in whole patches; None where that leaves less than 16 pixels."""
    patch, (height, width) = model.patch_size, model.size
    if patch is None or not model.heads or height != width:
        return None
    side = height * 3 // 4 // patch * patch
    return side if 16 <= side < height else None
