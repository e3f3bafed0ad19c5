"""Files that are complete or not there, one writer at a time, and errors that name file and remedy."""

import errno
import multiprocessing
import os
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from mono2many.errors import InputError
from mono2many.files import atomic_write, explained, file_lock, read_json, write_text, writing


def write_half(path: Path) -> None:
    path.write_text("half")
    raise ZeroDivisionError


def test_a_file_is_replaced_when_it_is_complete_and_else_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    write_text(path, "old")
    with pytest.raises(ZeroDivisionError), atomic_write(path) as temporary:
        write_half(temporary)
    assert path.read_text() == "old"
    write_text(path, "new")
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_a_full_disk_is_said_in_one_line_and_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(InputError, match=r"a\.txt: the disk is full.*free some space"), atomic_write(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text() == "old"


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", "Expecting property name"), ("[1]", "holds a list, wanted an object"), (None, "No such file")],
)
def test_what_is_no_json_object_is_refused_with_its_name_and_the_remedy(
    tmp_path: Path, text: str | None, said: str
) -> None:
    path = tmp_path / "a.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=rf"a\.json: .*{said}.*; write it again") as caught:
        read_json(path, "write it again")
    assert "\n" not in str(caught.value)


def test_an_error_for_the_user_passes_as_it_is() -> None:
    with pytest.raises(InputError, match=r"^mine$"), explained("a", "b", (ValueError,)):
        raise InputError("mine")


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    place = tmp_path / "file" / "a.txt"
    with pytest.raises(InputError, match=r"a\.txt: cannot write.*check the folder"), writing(place):
        pass


def hold(path: Path, ready: Event, done: Event) -> None:
    with file_lock(path, lambda: None):
        ready.set()
        done.wait(30)


def test_a_lock_that_another_process_holds_is_refused_or_waited_for(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    ready, done = context.Event(), context.Event()
    process = context.Process(target=hold, args=(tmp_path / "lock", ready, done))
    process.start()
    assert ready.wait(30)

    def refuse() -> None:
        raise InputError("busy")

    with pytest.raises(InputError, match="busy"), file_lock(tmp_path / "lock", refuse):
        pass
    with file_lock(tmp_path / "lock", done.set) as locked:  # its holder lets go when we complain
        assert locked
    process.join()
