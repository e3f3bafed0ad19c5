"""A download goes on where it stopped, whatever stopped it, and is the served file in the end."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from mono2many.datasets.kitti.fetch import discard, fetch, remote_size
from mono2many.types import InputError

DATA = random.Random(1).randbytes(3_000_000)


def serve(files: Any, name: str = "a.zip", data: bytes = DATA) -> str:
    (files.folder / name).write_bytes(data)
    return f"{files.url}/{name}"


def test_after_dropped_connections_and_503_the_bytes_agree_and_none_was_sent_twice(
    files: Any, tmp_path: Path
) -> None:
    url, path, seen = serve(files), tmp_path / "to" / "a.zip", [0]
    files.cut, files.busy = 0.8, 0.3
    fetch(url, path, lambda done, total: seen.append(done if total == len(DATA) else -1), wait=0.0)
    assert path.read_bytes() == DATA
    resumed = [line for line in files.asked if "bytes=" in line]
    assert len(resumed) >= 4
    assert files.sent <= len(DATA) + len(resumed)  # each goes on from the last byte that had come
    assert seen == sorted(seen)
    assert seen[-1] == len(DATA)
    assert list(path.parent.iterdir()) == [path]


def test_a_server_that_cannot_send_parts_sends_all_again(files: Any, tmp_path: Path) -> None:
    url, path = serve(files), tmp_path / "a.zip"
    files.ranges, files.cut = False, 0.8
    fetch(url, path, tries=50, wait=0.0)
    assert path.read_bytes() == DATA
    assert files.sent > len(DATA)


def begin(path: Path, data: bytes) -> None:
    """What a killed download leaves."""
    path.with_name("a.zip.part").write_bytes(data)
    path.with_name("a.zip.json").write_text(json.dumps({"size": len(DATA), "tag": f'"{hash(DATA)}"'}))


def test_another_process_goes_on_where_the_first_was_killed(files: Any, tmp_path: Path) -> None:
    url, path = serve(files), tmp_path / "a.zip"
    begin(path, DATA[:2_000_000])
    fetch(url, path)
    assert path.read_bytes() == DATA
    assert files.asked == ["/a.zip bytes=1999999-"]
    assert files.sent == 1_000_001


def test_what_was_whole_but_had_not_its_name_yet_costs_one_byte(files: Any, tmp_path: Path) -> None:
    url, path = serve(files), tmp_path / "a.zip"
    begin(path, DATA)
    fetch(url, path)
    assert path.read_bytes() == DATA
    assert files.sent == 1


@pytest.mark.parametrize("left", [b"x" * 1_000_000, b"x" * 4_000_000])
@pytest.mark.parametrize("tag", ['"old"', ""])
def test_what_was_begun_of_another_file_is_not_gone_on_with(
    files: Any, tmp_path: Path, left: bytes, tag: str
) -> None:
    url, path = serve(files), tmp_path / "a.zip"
    begin(path, left)
    path.with_name("a.zip.json").write_text(json.dumps({"size": 5_000_000, "tag": tag}))
    fetch(url, path, wait=0.0)
    assert path.read_bytes() == DATA


def test_a_note_that_was_cut_short_costs_what_had_come_and_nothing_else(files: Any, tmp_path: Path) -> None:
    url, path = serve(files), tmp_path / "a.zip"
    begin(path, b"x" * 1_000)
    path.with_name("a.zip.json").write_text('{"size": 30')
    fetch(url, path)
    assert path.read_bytes() == DATA
    assert files.asked == ["/a.zip"]


def test_it_gives_up_with_one_line_and_keeps_what_has_come(files: Any, tmp_path: Path) -> None:
    url, path = serve(files), tmp_path / "a.zip"
    begin(path, DATA[:1_000])
    files.busy = 1.0
    with pytest.raises(InputError, match=r"answers 503 .*, 3 times in a row; what has arrived is kept"):
        fetch(url, path, tries=3, wait=0.0)
    assert len(files.asked) == 3
    assert path.with_name("a.zip.part").read_bytes() == DATA[:1_000]
    discard(path)
    assert {p.name for p in tmp_path.iterdir()} == {"served"}


def test_a_file_that_is_not_there_is_asked_for_once(files: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the server answers 404"):
        fetch(f"{files.url}/none.zip", tmp_path / "a.zip")
    assert len(files.asked) == 1
    assert remote_size(f"{files.url}/none.zip") is None
    assert remote_size("http://127.0.0.1:9/none.zip") is None
    assert remote_size(serve(files)) == len(DATA)
    assert files.sent == 0
