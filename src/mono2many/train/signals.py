"""Ctrl-C, SIGTERM and a time limit ask for a stop; the loop finishes its step and saves first."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import inf
from types import FrameType
from typing import Any

from mono2many.errors import Terminated


@dataclass(frozen=True)
class Stop:
    """Whether to stop, when called."""

    deadline: float = inf
    """On the monotonic clock."""
    signals: list[int] = field(default_factory=list)
    """Those that came."""

    @property
    def by_time(self) -> bool:
        """As far as this process knows, only its deadline can have stopped it."""
        return self.deadline < inf and not self.signals

    def __call__(self) -> bool:
        return bool(self.signals) or time.monotonic() >= self.deadline


@contextmanager
def stop_requested(deadline: float = inf) -> Iterator[Stop]:
    """Inside, the signals only add to what is yielded; a second one acts as it always does. At the end
    SIGTERM raises Terminated in place of a KeyboardInterrupt.

    In a thread other than the main one, where signals cannot be caught, none ever comes.
    """
    stop = Stop(deadline)
    before: dict[int, Any] = {}

    def ask(number: int, _: FrameType | None) -> None:
        stop.signals.append(number)
        signal.signal(number, before[number])

    if threading.current_thread() is threading.main_thread():
        before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    except KeyboardInterrupt as interrupt:
        if signal.SIGTERM in stop.signals:
            raise Terminated(*interrupt.args) from interrupt
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
