"""How a model is trained."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Annotated, Literal

from tyro.conf import arg

from vitrail.configs.objectives import ClassificationConfig, ObjectiveConfig
from vitrail.configs.offered import Everyday, Flat
from vitrail.configs.validation import (
    check_kinds,
    require,
    require_fractions,
    require_not_negative,
    require_positive,
    require_seed,
)

_MOST_THREADS = 1024


@dataclass(frozen=True)
class AugmentConfig:
    """Random changes to training images, drawn per image (mixup and CutMix: one share per batch)."""

    crop: int | None = None
    """Pad by this many pixels (reflecting) and crop back at random [an eighth of images of 16 pixels or more, from
    5 epochs on]"""
    flip: bool | None = None
    """Mirror left and right, half of the time [from 5 epochs on, where mirrored images keep their class: measured]"""
    cutout: int = 0
    """Side in pixels of a random square set to the mean (DeVries & Taylor 2017, arXiv:1708.04552)."""
    color_jitter: float = 0.0
    """Brightness, contrast and saturation are each scaled by up to this fraction."""
    policy: Literal["none", "randaugment", "trivialaugment"] | None = "none"
    """RandAugment (Cubuk et al. 2020, arXiv:1909.13719) or TrivialAugment (Mueller & Hutter 2021, arXiv:2103.10158)
    [trivialaugment for colour images of 16 pixels or more, from 5 epochs on]"""
    policy_version: Literal[1, 2] = 2
    """2: the policy's operations are Pillow's; 1: as they were before, for what was begun or recorded then."""
    mixup: float = 0.0
    """Alpha of mixup's Beta distribution (Zhang et al. 2018, arXiv:1710.09412); 0 is off."""
    cutmix: float | None = 0.0
    """Alpha of CutMix's Beta distribution (Yun et al. 2019, arXiv:1905.04899); 0 is off [1 for fewer than 1,000 colour
    images, from 5 epochs on]"""

    def __post_init__(self) -> None:
        check_kinds(self)
        numbers = (f.name for f in fields(self) if not f.name.startswith("policy"))
        require_not_negative(self, *numbers, group="augment.")


NO_AUGMENTATION = AugmentConfig(crop=0, flip=False)


@dataclass(frozen=True)
class TrainConfig:
    """How the model is trained."""

    epochs: Everyday[int | None] = None
    """Passes over the training images [from their number, in at most 10 minutes]"""
    time_budget: Everyday[float | None] = None
    """Minutes of training, in place of --epochs: how many fit is measured before the first step [none]"""
    batch_size: Everyday[int | None] = None
    """Images per step [from their number]"""
    optimizer: Flat[Literal["adam", "adamw", "sgd", "muon"] | None] = None
    """Adam adds the decay to the gradient (L2); AdamW decouples it; Muon takes the weights between a ViT's hidden
    layers and AdamW the rest [muon for a ViT of width 128 or more, else adamw]"""
    lr: Everyday[float | None] = None
    """Peak learning rate [from optimizer and model]"""
    weight_decay: float | None = None
    """How fast weights shrink [from the optimizer]"""
    betas: tuple[float, float] = (0.9, 0.999)
    """Of Adam and AdamW."""
    momentum: float = 0.9
    """Of SGD; Muon uses 0.95."""
    schedule: Literal["constant", "cosine", "linear"] = "cosine"
    """The learning rate after the warm-up: constant, or falling to 0."""
    warmup: float | None = None
    """The share of all steps over which the learning rate rises from 0 [from the schedule]"""
    objective: Annotated[ObjectiveConfig, arg(name="")] = field(default_factory=ClassificationConfig)
    """What is learned. On the command line its options are among the others: `--train.label-smoothing`."""
    clip_norm: float | None = None
    """Scale gradients down to this norm [off]"""
    ema_decay: float | None = None
    """Evaluate and save a moving average of the weights, which keeps less than this share in the first steps [off]"""
    whiten_patches: bool = False
    """A linear stem starts by decorrelating the training images' patches (Jordan 2024, arXiv:2404.00498)."""
    augment: AugmentConfig = AugmentConfig()
    small_side: int | Literal["auto"] | None = None
    """A ViT's first steps see images of this height and width: fewer tokens, more images in the same time (progressive
    resizing, Tan & Le 2021, arXiv:2104.00298, section 4); auto: three quarters of the side [off]"""
    small_until: float = 0.5
    """The share of all steps that do, where `small_side` is given."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto: bf16 where the hardware multiplies it faster; strided convolutions of a stem stay in float32 on a CPU."""
    compile: Literal["auto", "on", "off"] = "auto"
    """auto: where the run is long enough to repay it."""
    device: str = "auto"
    """cpu, cuda, cuda:1, mps or xpu; auto: the first CUDA GPU, else the CPU."""
    threads: int | None = None
    """CPU threads [all cores, or one where a step is too small to share]"""
    seed: Everyday[int] = 0
    """Of initialisation, order, dropout and augmentation, not of the split"""
    checkpoint_every: int | None = None
    """Steps between checkpoints; one is saved after every epoch in any case [those alone]"""
    track: Flat[Literal["none", "tensorboard"]] = "none"
    """Also write TensorBoard's files"""

    def __post_init__(self) -> None:
        object.__setattr__(self, "betas", tuple(self.betas))
        check_kinds(self)
        require_seed("seed", self.seed)
        require(
            self.epochs is None or self.time_budget is None,
            "epochs and time_budget both say how long to train: leave one of them out",
        )
        require(
            self.threads is None or self.threads <= _MOST_THREADS,
            f"threads is {self.threads}: it must be at most {_MOST_THREADS}",
        )
        require_positive(self, "epochs", "time_budget", "batch_size", "lr", "clip_norm", "threads", "checkpoint_every")
        if self.small_side != "auto":
            require_positive(self, "small_side")
        require_not_negative(self, "weight_decay")
        require_fractions(self, "momentum", "small_until")
        require(
            self.warmup is None or 0 <= self.warmup < 1,
            f"warmup is {self.warmup}: it must be a share of the steps, below 1",
        )
        require(
            self.ema_decay is None or 0 < self.ema_decay < 1,
            f"ema_decay is {self.ema_decay}: it must lie between 0 and 1",
        )
        require(
            len(self.betas) == 2 and all(0 <= b < 1 for b in self.betas),
            f"betas is {self.betas}: it must be two numbers below 1",
        )


RECOMMENDED = TrainConfig(
    betas=(0.9, 0.95),
    schedule="linear",
    objective=ClassificationConfig(label_smoothing=0.1),
    clip_norm=1.0,
    augment=AugmentConfig(policy=None, cutmix=None),
    small_side="auto",
    small_until=0.75,
)
"""What a training begins with that follows no recipe: found on CIFAR-10, see the recipes `cifar10-90` and `small-data`.
`TrainConfig()` is the plain one, with which studies are made."""
