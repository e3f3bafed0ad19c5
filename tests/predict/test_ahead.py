import threading
import time
from collections.abc import Iterator

import pytest

from mono2many.predict.ahead import ahead


def test_the_items_come_in_order_from_another_thread() -> None:
    threads = set[str]()

    def items() -> Iterator[int]:
        for i in range(100):
            threads.add(threading.current_thread().name)
            yield i

    assert list(ahead(items(), 3)) == list(range(100))
    assert threads == {"ahead"}


def test_no_more_than_so_many_wait() -> None:
    made = list[int]()

    def items() -> Iterator[int]:
        for i in range(50):
            made.append(i)
            yield i

    for used, _ in enumerate(ahead(items(), 2)):
        time.sleep(0.002)
        assert len(made) <= used + 4  # this one, two that wait, one that is being made


def test_what_goes_wrong_is_raised_where_the_items_are_used() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("no second")

    found = ahead(items(), 2)
    assert next(found) == 1
    with pytest.raises(ValueError, match="no second"):
        next(found)


def test_where_it_is_left_early_the_thread_ends_and_the_items_are_closed() -> None:
    closed = threading.Event()

    def items() -> Iterator[int]:
        try:
            yield from range(1000)
        finally:
            closed.set()

    found = ahead(items(), 2)
    assert next(found) == 0
    found.close()  # type: ignore[attr-defined]
    assert closed.wait(5)
    assert not [thread for thread in threading.enumerate() if thread.name == "ahead"]
