"""Ctrl-C and SIGTERM ask for a stop; the loop finishes its step and saves first."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from mono2many.errors import Terminated


@contextmanager
def stop_requested() -> Iterator[Callable[[], bool]]:
    """Inside, the signals only set what the yielded function returns; a second one acts as it always does. At
    the end SIGTERM raises Terminated in place of a KeyboardInterrupt.

    In a thread other than the main one, where signals cannot be caught, it never returns True.
    """
    asked: list[int] = []
    before: dict[int, Any] = {}

    def ask(number: int, _: FrameType | None) -> None:
        asked.append(number)
        signal.signal(number, before[number])

    if threading.current_thread() is threading.main_thread():
        before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    except KeyboardInterrupt as stop:
        if signal.SIGTERM in asked:
            raise Terminated(*stop.args) from stop
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
