import io
import json
import multiprocessing
import os
import pickle
import resource
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from rich.console import Console

from mono2many.data.cache import CachedReader, cached, damage
from mono2many.data.cache_entries import entries, show_cache
from mono2many.datasets.base import ReadOptions
from mono2many.datasets.video import VideoData
from mono2many.datasets.video.reader import VideoReader
from mono2many.io.images import write_image
from mono2many.street.reader import StreetSettings, SyntheticReader
from mono2many.types import Frame, FrameSequence, InputError

FIELDS = ("image", "intrinsics", "depth", "moving", "world_from_camera")


class Numbers:
    """Pictures that say where they come from; it counts how many were opened, and may be slow."""

    def __init__(self, *lengths, pause=0.0, name="numbers"):
        self.clips = [
            FrameSequence(str(i), n, tuple(map(float, range(n))), i, (20, 40)) for i, n in enumerate(lengths)
        ]
        self.opened, self.pause, self.name = 0, pause, name

    def fingerprint(self):
        return self.name

    def frame(self, clip, index):
        self.opened += 1
        time.sleep(self.pause)
        return Frame(torch.full((3, 8, 10), 10 * clip + index, dtype=torch.uint8), torch.eye(3))


def same(reader, cache):
    assert list(cache.clips) == list(reader.clips)
    for clip, listed in enumerate(reader.clips):
        for index in range(listed.frames):
            ours, theirs = cache.frame(clip, index), reader.frame(clip, index)
            for field in FIELDS:
                a, b = getattr(ours, field), getattr(theirs, field)
                assert (a is None) == (b is None)
                assert a is None or torch.equal(a.nan_to_num(-1), b.nan_to_num(-1))
    return True


def test_frames_are_those_of_the_reader_with_depth_and_all(tmp_path):
    street = SyntheticReader(StreetSettings(2, 2, 16, 32), "train")
    cache = cached(street, tmp_path)
    assert cache.frame(1, 1).depth is not None
    assert cache.fingerprint() == street.fingerprint()
    assert same(street, cache)


def test_a_second_opening_builds_nothing_and_says_nothing(tmp_path):
    seen = []
    cached(Numbers(3, 4), tmp_path, progress=lambda *done: seen.append(done), say=pytest.fail)
    assert seen == [(i, 7) for i in range(1, 8)]
    again = Numbers(3, 4)
    assert same(Numbers(3, 4), cached(again, tmp_path, 0, pytest.fail, pytest.fail))
    assert again.opened == 0


def test_processes_write_the_same_bytes_as_one(tmp_path):
    folders = [cached(Numbers(3, 4), tmp_path / str(workers), workers).folder for workers in (0, 2)]
    for path in folders[0].iterdir():
        assert path.read_bytes() == (folders[1] / path.name).read_bytes()


def test_the_default_folder_is_that_of_the_environment():
    root = Path(os.environ["MONO2MANY_CACHE"])
    assert cached(Numbers(3, name="here"), None).folder.parent == root


def test_other_settings_and_touched_files_have_frames_of_their_own(tmp_path):
    for i in range(6):
        write_image(tmp_path / "pictures" / f"{i}.png", torch.full((3, 8, 10), 20 * i, dtype=torch.uint8))

    def value(**more):
        settings = VideoData((str(tmp_path / "pictures"),), fov=60.0)
        reader = VideoReader(settings, ReadOptions(8, 10, **more), "train")
        cache = cached(reader, tmp_path / "cache")
        return cache.folder.name, int(cache.frame(0, 0).image.max())

    before = value()
    assert value() == before
    assert value(crop_bottom=0.5)[0] != before[0]
    write_image(tmp_path / "pictures" / "0.png", torch.full((3, 8, 10), 9, dtype=torch.uint8))
    assert value()[0] != before[0]
    assert value()[1] == 9


def flip(name, at=0, after=b""):
    """Turn one bit of the byte at `at`, counted from the end of what `after` matches."""

    def damage(folder):
        content = bytearray((folder / name).read_bytes())
        content[content.find(after) + len(after) + at] ^= 1
        (folder / name).write_bytes(content)

    return damage


def cut(folder):
    os.truncate(folder / "image.npy", (folder / "image.npy").stat().st_size - 1)


SILENT_DAMAGES = {
    "a bit of a picture": flip("image.npy", 1000),
    "a bit of a header": flip("image.npy", 70),
    "a bit of a camera": flip("intrinsics.npy", -1),
    "a bit of a digest": flip("index.json", 9, after=b'"files": {"image": ['),
}
DAMAGES = {
    "a bit of the fingerprint": flip("index.json", after=b'"numb'),
    "the end of a file": cut,
    "a file": lambda folder: (folder / "image.npy").unlink(),
    "the index": lambda folder: (folder / "index.json").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_what_is_damaged_or_missing_is_noticed_said_in_one_line_and_built_again(damage, tmp_path):
    folder = cached(Numbers(3, 4), tmp_path).folder
    damage(folder)
    said, reader = [], Numbers(3, 4)
    assert same(Numbers(3, 4), cached(reader, tmp_path, say=said.append))
    assert reader.opened == 8  # the first twice, for its size
    assert len(said) == 1
    assert "building it again" in said[0]
    assert "\n" not in said[0]
    cached(Numbers(3, 4), tmp_path, say=pytest.fail)


@pytest.mark.parametrize("harm", (SILENT_DAMAGES | DAMAGES).values(), ids=SILENT_DAMAGES | DAMAGES)
def test_a_check_finds_every_changed_byte(harm, tmp_path):
    folder = cached(Numbers(3, 4), tmp_path).folder
    assert damage(folder) is None
    harm(folder)
    assert damage(folder)


def test_the_cache_is_listed_checked_and_what_is_old_is_removed(tmp_path):
    old, new = (cached(Numbers(3, 4, name=name), tmp_path).folder for name in ("old", "new"))
    os.utime(old, (0, 0))
    flip("image.npy", 1000)(old)
    console = Console(file=io.StringIO(), width=200)
    assert show_cache(str(tmp_path), False, None, console)
    assert not show_cache(str(tmp_path), True, None, console)
    said = console.file.getvalue()
    assert "1970" in said
    assert "damaged: image.npy: not as written" in said
    assert entries(tmp_path) == [new, old]
    assert show_cache(str(tmp_path), True, 10.0, console)
    assert entries(tmp_path) == [new]


def build(pipe, root, workers, pause):
    cached(Numbers(20, pause=pause), root, workers, lambda *done: pipe.send(done), pipe.send)


def builder(*arguments):
    """Another process that builds a cache, and the pipe out of which come its progress and what it says."""
    context = multiprocessing.get_context("fork")
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=build, args=(send, *arguments))
    process.start()
    send.close()
    return process, receive


def everything(pipe):
    with suppress(EOFError):
        while True:
            yield pipe.recv()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_builder_killed_half_way_leaves_nothing_that_looks_finished(workers, tmp_path):
    process, pipe = builder(tmp_path, workers, 0.05)
    assert (3, 20) in everything(pipe)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".lock", ".part"]
    assert same(Numbers(20), cached(Numbers(20), tmp_path, say=pytest.fail))
    assert sorted(path.suffix for path in tmp_path.iterdir()) == ["", ".lock"]


def test_two_processes_race_and_one_builds(tmp_path):
    racers = [builder(tmp_path, 0, 0.02) for _ in range(2)]
    told = [list(everything(pipe)) for _, pipe in racers]
    for process, _ in racers:
        process.join()
        assert process.exitcode == 0
    waited, built = sorted(told, key=len)
    assert built == [(i, 20) for i in range(1, 21)]
    assert len(waited) == 1
    assert "waiting for it" in waited[0]
    assert same(Numbers(20), cached(Numbers(20), tmp_path, say=pytest.fail))


class Huge(Numbers):
    def frame(self, clip, index):
        return Frame(torch.zeros((), dtype=torch.uint8).expand(3, 30_000, 30_000), torch.eye(3))


def test_too_little_space_is_said_before_anything_is_written(tmp_path):
    with pytest.raises(InputError, match=r"needs 27000\.00 GB.*--cache-dir.*--cache off") as caught:
        cached(Huge(10_000), tmp_path)
    assert "\n" not in str(caught.value)
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]


class DiskFills(Numbers):
    def frame(self, clip, index):
        if index == 5:  # from here on the system refuses to write, in this process only
            resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        return super().frame(clip, index)


def test_a_disk_that_fills_up_is_said_in_one_line_and_leaves_nothing(tmp_path):
    with pytest.raises(InputError, match=r"cannot be written.*--cache-dir.*--cache off") as caught:
        cached(DiskFills(900), tmp_path, workers=1)
    assert "\n" not in str(caught.value)
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_picture_that_cannot_be_read_is_named_in_one_line(workers, tmp_path):
    for i in range(8):
        write_image(tmp_path / "pictures" / f"{i}.png", torch.randint(0, 256, (3, 8, 10)).to(torch.uint8))
    os.truncate(tmp_path / "pictures" / "3.png", 150)
    settings = VideoData((str(tmp_path / "pictures"),), fov=60.0)
    reader = VideoReader(settings, ReadOptions(8, 10), "train")
    with pytest.raises(InputError, match=r"3\.png") as caught:
        cached(reader, tmp_path / "cache", workers)
    assert "\n" not in str(caught.value)


def test_it_pickles_as_a_path_and_a_frame_may_be_written_on_without_harm(tmp_path):
    cache = cached(Numbers(3), tmp_path)
    sent = pickle.dumps(cache)
    assert len(sent) < 500
    cache.frame(0, 1).image.fill_(99)
    cache.stack("image", [(0, 1)]).fill_(99)
    assert same(Numbers(3), pickle.loads(sent))
    assert isinstance(cached(Numbers(3), tmp_path, say=pytest.fail), CachedReader)
    assert json.loads((cache.folder / "index.json").read_text())["files"].keys() == {"image", "intrinsics"}
