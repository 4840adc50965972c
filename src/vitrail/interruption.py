"""SIGINT and SIGTERM become a question that the work asks where it can stop."""

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

    if threading.current_thread() is not threading.main_thread():
        yield check
        return
    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def receive(signum: int, frame: FrameType | None) -> None:
        received.append(signum)
        signal.signal(signum, previous[signal.Signals(signum)])

    for number in previous:
        signal.signal(number, receive)
    try:
        yield check
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
