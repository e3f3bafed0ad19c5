"""Stages of a prediction side by side: reading, networks and writing, each on a thread of its own."""

from collections.abc import Iterable, Iterator
from queue import Full, Queue
from threading import Event, Thread
from typing import TypeVar

Item = TypeVar("Item")
END = object()


def ahead(items: Iterable[Item], most: int = 2) -> Iterator[Item]:
    """The items, made on another thread while earlier ones are used; at most so many wait. What goes wrong
    there is raised here; where this is left early, that thread ends after its current item."""
    queue: Queue[object] = Queue(most)
    left = Event()

    def give(item: object) -> bool:
        while not left.is_set():
            try:
                queue.put(item, timeout=0.1)
            except Full:
                continue
            return True
        return False

    def make() -> None:
        try:
            for item in items:
                if not give(item):
                    return
        except BaseException as error:
            give(_Failure(error))
        else:
            give(END)

    thread = Thread(target=make, name="ahead", daemon=True)
    thread.start()
    try:
        while (item := queue.get()) is not END:
            if isinstance(item, _Failure):
                raise item.error
            yield item  # type: ignore[misc]
    finally:
        left.set()
        thread.join()
        if (close := getattr(items, "close", None)) is not None:
            close()


class _Failure:
    def __init__(self, error: BaseException) -> None:
        self.error = error
