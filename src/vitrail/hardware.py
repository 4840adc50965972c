"""What the machine can do, from its features and never from a clock: exact resume depends on it."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import platform
import shutil
import threading
from collections.abc import Iterator

import torch

from vitrail.errors import InputError


def choose_device(wanted: str) -> torch.device:
    """`auto` is the first GPU, else the CPU. Raises InputError for a device that is not there."""
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wanted)
        if device.type not in ("cpu", "cuda", "mps", "xpu"):
            raise InputError(f"device {wanted!r} cannot be used: use auto, cpu, cuda, mps or xpu")
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device {wanted!r} cannot be used here: {str(error).splitlines()[0]}") from error
    return device


def settle(device: torch.device, threads: int | None) -> None:
    """CPU threads, where given, and sums in a fixed order on a GPU: what a run is repeated by."""
    if threads:
        torch.set_num_threads(threads)
    if device.type == "cuda":
        # cuBLAS adds up in a fixed order only with this workspace, set before its first product.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)


_ONE_AT_A_TIME = threading.RLock()


@contextlib.contextmanager
def settings_kept() -> Iterator[None]:
    """A run sets PyTorch's threads and determinism for itself: whoever asked for it finds theirs again.

    These, and PyTorch's random numbers, belong to the whole process: of its threads one trains or tests at a time,
    and the others wait.
    """
    with _ONE_AT_A_TIME, _settings_restored():
        yield


@contextlib.contextmanager
def _settings_restored() -> Iterator[None]:
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict, warn_only=warn_only)


def available_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu_has(feature: str) -> bool:
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(capabilities.get(feature, False))


def fast_bf16(device: torch.device) -> str | None:
    """The hardware feature that makes bf16 products faster than fp32 ones, or None."""
    if device.type == "cuda":
        return "tensor cores" if torch.cuda.get_device_capability(device)[0] >= 8 else None
    if device.type == "cpu":
        return next((f for f in ("amx_bf16", "avx512_bf16") if _cpu_has(f)), None)
    return None


def can_compile(device: torch.device) -> str | None:
    """Why compilation would fail here, or None."""
    if device.type == "cuda" and importlib.util.find_spec("triton") is None:
        return "Triton was not found"
    if device.type == "cpu" and not any(shutil.which(name) for name in ("g++", "clang++", "c++")):
        return "no C++ compiler was found"
    return None


def compiling_pays(device: torch.device) -> bool:
    """Whether compiled steps are faster: measured so on GPUs and on CPUs with AMX, not on CPUs without."""
    return device.type == "cuda" or _cpu_has("amx_bf16")


def describe(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    name = ""
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as lines:
            name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    return f"{name or platform.processor() or platform.machine()}, {available_cores()} cores"
