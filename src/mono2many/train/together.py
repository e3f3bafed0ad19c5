"""Several processes of one training end together: by NCCL, the others would wait for one that has failed."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from lightning_fabric import Fabric
from torch.distributed import TCPStore

FAILED = "failed"
"""Key that a process sets when it fails."""
EVERY = 0.5
"""Seconds between looks at it."""
PATIENCE = timedelta(seconds=5)
"""Of a look."""
GONE = 10
"""Looks in a row without an answer, after which the first process, which keeps the key, is gone. Where it has
only finished before the others, they finish in that time."""
LET_KNOW = 3 * EVERY
"""Seconds that the first process waits for the others to see the key, before it goes with it."""


@contextmanager
def ending_together(fabric: Fabric) -> Iterator[Fabric]:
    """An error in one process ends all of them within seconds; only that one says why, and the others exit
    without a word and with status 2. But those that are not the first of their machine exit with status 0,
    also after a stop: Lightning kills the first when one that it started exits with another status, and the
    first may not have said why yet."""
    if fabric.world_size == 1:
        yield fabric
        return
    store, over = _store(fabric), threading.Event()
    status = 0 if fabric.local_rank else 2
    watcher = threading.Thread(target=_watch, args=(store, over, status), name="other-processes", daemon=True)
    watcher.start()
    try:
        yield fabric
    except KeyboardInterrupt as stop:
        if stop.args and status == 0:  # agreed by all: the first one says it
            raise SystemExit(0) from None
        raise
    except Exception:
        if _has_failed(store) is not False:  # the connection to another is lost because it failed first
            _leave(status)
        over.set()
        store.set(FAILED, str(fabric.global_rank))
        if fabric.is_global_zero:
            time.sleep(LET_KNOW)
        raise
    finally:
        over.set()
        watcher.join()


def _store(fabric: Fabric) -> TCPStore:
    """Kept by the first process."""
    host = os.environ.get("MASTER_ADDR", "127.0.0.1")
    if fabric.is_global_zero:
        store = TCPStore(host, 0, None, True, PATIENCE, wait_for_workers=False)
        fabric.broadcast(store.port)
        return store
    return TCPStore(host, fabric.broadcast(0), None, False, PATIENCE, wait_for_workers=False)


def _watch(store: TCPStore, over: threading.Event, status: int) -> None:
    unanswered = 0
    while not over.wait(EVERY):
        failed = _has_failed(store)
        unanswered = unanswered + 1 if failed is None else 0
        if (failed or unanswered == GONE) and not over.is_set():
            _leave(status)


def _has_failed(store: TCPStore) -> bool | None:
    """Another process; None: the first does not answer."""
    try:
        return store.check([FAILED])
    except RuntimeError:
        return None


def _leave(status: int) -> None:
    """At once: the main thread may wait for the others in a call that no exception reaches."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
