"""SIGINT and SIGTERM end the work where it can stop, and what was saved is said."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from vitrail.errors import Interrupted


@contextmanager
def interruptible() -> Iterator[Callable[[], None]]:
    """Yields `check()`, which raises Interrupted once a signal has arrived. A second signal acts at once."""
    received: list[int] = []

    def check() -> None:
        if received:
            raise Interrupted(received[0])

    with _on_signals(received.append):
        yield check


@contextmanager
def interruptible_anywhere() -> Iterator[None]:
    """A signal raises Interrupted wherever the work is: for what writes nothing before its end."""

    def stop(signum: int) -> None:
        raise Interrupted(signum)

    with _on_signals(stop):
        yield


@contextmanager
def _on_signals(act: Callable[[int], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def receive(signum: int, frame: FrameType | None) -> None:
        signal.signal(signum, previous[signal.Signals(signum)])
        act(signum)

    for number in previous:
        signal.signal(number, receive)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
