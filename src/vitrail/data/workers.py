"""The same work on many files, on all cores: in threads when it is little, else in processes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from vitrail.data.members import Member
from vitrail.errors import RunError
from vitrail.progress import track

Result = TypeVar("Result")
Work = Callable[[int, Sequence[Member]], Result]
"""Of the place of the first of some files, and the files."""

# Below this, starting processes (about a second) costs more than they save over threads, which share one interpreter.
_IN_THREADS_SECONDS = 1.5
_THREAD_FILES = 16
_SECONDS_PER_FILE = 1e-4
_SECONDS_PER_BYTE = 1.5e-8
_CHUNK_FILES = 500
_CHUNK_BYTES = 16 * 2**20
_IDLE_SECONDS = 20


def chunks(members: Sequence[Member], most_files: int) -> Iterator[tuple[int, int]]:
    """Bounds (start, stop) of runs of files small enough to show progress and to share out evenly."""
    start, total = 0, 0
    for at, member in enumerate(members):
        if at > start and (at - start >= most_files or total + member.size > _CHUNK_BYTES):
            yield start, at
            start, total = at, 0
        total += member.size
    if start < len(members):
        yield start, len(members)


def over_chunks(work: Work[Result], members: Sequence[Member], description: str) -> Iterator[tuple[int, Result]]:
    """Yield (start, work(start, members[start:stop])) for every chunk, in any order, showing progress.

    `work` can be pickled, and threads may share it. Raises RunError where a process was killed.
    """
    seconds = len(members) * _SECONDS_PER_FILE + sum(m.size for m in members) * _SECONDS_PER_BYTE
    results = _in_threads if seconds < _IN_THREADS_SECONDS else _in_processes
    with track(description, len(members), "images") as advance:
        for start, count, result in results(work, members):
            advance(count)
            yield start, result


def _in_threads(work: Work[Result], members: Sequence[Member]) -> Iterator[tuple[int, int, Result]]:
    """Decoders work outside the interpreter's lock."""
    import joblib

    bounds = chunks(members, _THREAD_FILES)
    # Filters of warnings belong to the whole process: what threads do to them is undone here.
    with warnings.catch_warnings(action="ignore"), ThreadPoolExecutor(joblib.cpu_count()) as threads:
        yield from threads.map(lambda bound: _work_on(work, bound[0], members[slice(*bound)]), bounds)


def _in_processes(work: Work[Result], members: Sequence[Member]) -> Iterator[tuple[int, int, Result]]:
    import joblib

    bounds = list(chunks(members, _CHUNK_FILES))
    jobs = min(joblib.cpu_count(), len(bounds))
    with joblib.parallel_config("loky", n_jobs=jobs, idle_worker_timeout=_IDLE_SECONDS):
        parallel = joblib.Parallel(return_as="generator_unordered", batch_size=1)
        calls = (joblib.delayed(_work_on)(work, start, members[start:stop]) for start, stop in bounds)
        try:
            yield from parallel(calls)
        except BrokenProcessPool as error:
            raise RunError("a process that decodes images was killed, probably for lack of memory") from error


def _work_on(work: Work[Result], start: int, members: Sequence[Member]) -> tuple[int, int, Result]:
    return start, len(members), work(start, members)
