"""Ctrl-C and SIGTERM ask for a stop; the loop finishes its step and saves first."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def stop_requested() -> Iterator[Callable[[], bool]]:
    """Inside, the signals only set what the yielded function returns; a second one acts as it always does.

    In a thread other than the main one, where signals cannot be caught, it never returns True.
    """
    asked = threading.Event()
    before: dict[int, Any] = {}

    def ask(number: int, _: FrameType | None) -> None:
        asked.set()
        signal.signal(number, before[number])

    if threading.current_thread() is threading.main_thread():
        before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
