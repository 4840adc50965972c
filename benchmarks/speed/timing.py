"""How the benchmarks measure: everything that is compared runs in turn, in one process; medians; nothing by hand."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import torch
import torch._dynamo

from vitrail import hardware
from vitrail.configs import DataConfig, ModelConfig, RunConfig, TrainConfig
from vitrail.data.dataset import ImageDataset
from vitrail.data.preprocessing import Preprocessing
from vitrail.training.data import TrainingData
from vitrail.training.initial import initial_model
from vitrail.training.learner import Learner
from vitrail.training.objectives import build_objective
from vitrail.training.objectives.classification import Batch

Action = Callable[[], object]


@dataclass(frozen=True)
class Row:
    """One measured thing. Rows of a group are compared with each other, the first being ours."""

    group: str
    name: str
    value: float
    unit: str
    spread: float = 0.0
    """Half the range of the repetitions, as a share of the median."""
    utilisation: float | None = None
    """Floating-point operations of the model per second, as a share of the machine's bf16 matrix product."""

    @property
    def more_is_better(self) -> bool:
        return self.unit.endswith("/s")

    def times(self, reference: Row) -> float:
        """How many times better the reference is than this."""
        ratio = reference.value / self.value
        return ratio if self.more_is_better else 1 / ratio


def our_step(model: ModelConfig, train: TrainConfig, images: torch.Tensor, labels: torch.Tensor) -> Action:
    """A training step of a resolved configuration, on these inputs."""
    config = RunConfig(DataConfig("none"), model, train)
    none = np.zeros(0, np.int64)
    pixels = np.zeros((0, model.in_channels, *model.size), np.uint8)
    ones = (1.0,) * model.in_channels
    data = TrainingData(
        ImageDataset(pixels, none), none, none, Preprocessing(model.size, model.in_channels, ones, ones)
    )
    hardware.settle(torch.device(train.device), train.threads)
    built = initial_model(config, data)
    learner = Learner(built, build_objective(config, data, built), train)
    return lambda: learner.step(Batch(images, labels), lr=1e-4)


def alternate(actions: Mapping[str, Action], repeats: int = 5, warm: int = 1) -> dict[str, list[float]]:
    """Seconds of each action, `repeats` times, one after the other in turn: what disturbs one disturbs all."""
    for _ in range(warm):
        for action in actions.values():
            action()
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(repeats):
        for name, action in actions.items():
            synchronize()
            started = time.perf_counter()
            action()
            synchronize()
            seconds[name].append(time.perf_counter() - started)
    return seconds


def rates(group: str, seconds: Mapping[str, list[float]], amount: float, unit: str) -> list[Row]:
    """`amount` per second, median."""
    return [Row(group, name, amount / statistics.median(s), unit, _spread(s)) for name, s in seconds.items()]


def durations(group: str, seconds: Mapping[str, list[float]], unit: str = "ms") -> list[Row]:
    scale = {"ms": 1e3, "s": 1.0}[unit]
    return [Row(group, name, scale * statistics.median(s), unit, _spread(s)) for name, s in seconds.items()]


def _spread(seconds: list[float]) -> float:
    return (max(seconds) - min(seconds)) / 2 / statistics.median(seconds)


def exponent(sizes: list[float], costs: list[float]) -> float:
    """The slope in log-log: 2 where doubling the size costs four times as much."""
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def device() -> torch.device:
    return hardware.choose_device("auto")


def forget_compiled() -> None:
    """Models compiled earlier count towards Dynamo's limit, past which it would silently run eagerly."""
    torch.compiler.reset()
    torch._dynamo.config.fail_on_recompile_limit_hit = True


def deterministic(action: Action, on: bool) -> Action:
    """Ours trains deterministically on a GPU, whereas peers do as their users do: the switch is the whole process's."""

    def switched() -> object:
        torch.use_deterministic_algorithms(on, warn_only=True)
        return action()

    return switched


def synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


@dataclass(frozen=True)
class Product:
    """A large matrix product, many times over: the most that a model could reach, measured in turn with it."""

    dtype: torch.dtype
    repeats: int = 20

    @property
    def shape(self) -> tuple[int, int, int]:
        return (4096, 1024, 1024) if device().type == "cpu" else (8192, 8192, 8192)

    def action(self) -> Action:
        m, k, n = self.shape
        a, b = (torch.randn(size, device=device()).to(self.dtype) for size in ((m, k), (k, n)))
        out = torch.empty(m, n, device=device(), dtype=self.dtype)

        def multiply() -> None:
            for _ in range(self.repeats):
                torch.mm(a, b, out=out)

        return multiply

    def flops(self) -> float:
        """Of one `action`."""
        m, k, n = self.shape
        return 2.0 * m * k * n * self.repeats


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    libraries = ("torch", "timm", "transformers", "torchvision", "vit-pytorch", "numpy", "pillow")
    return {
        "machine": hardware.describe(device()),
        "bf16": hardware.fast_bf16(device()),
        "python": platform.python_version(),
        "versions": {name: found for name in libraries if (found := _version(name))},
    }


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None
