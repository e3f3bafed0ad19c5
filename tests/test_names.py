"""Names of files and runs are printed and used as they are, on every terminal."""

import errno
import io
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from rich.console import Console

from mono2many import cli
from mono2many.cli import main, run
from mono2many.data.cache import cache_root
from mono2many.datasets.kitti.files import numbered_images
from mono2many.datasets.video import VideoTraining
from mono2many.datasets.video.prepare import prepare_video
from mono2many.errors import InputError, one_line
from mono2many.files import user_path
from mono2many.io.images import list_images
from mono2many.io.trajectories import draw_trajectories
from mono2many.io.videos import VideoWriter
from mono2many.terminal import command, say, text_console, track

NAMES = ("Film [bold].mp4", "a [-b] [red] $x_$ :car:.mp4", os.fsdecode(b"caf\xe9 'two'.mp4"), "line\nend.mp4")


@pytest.mark.parametrize("name", NAMES)
def test_prepare_prints_names_whole_and_a_command_that_can_be_pasted(tmp_path: Path, name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    picture = torch.randint(0, 256, (3, 64, 96), dtype=torch.uint8, generator=generator)
    with VideoWriter(tmp_path / name, 10.0) as video:
        for number in range(6):
            video.write(picture.roll(4 * number, 2))
    console = Console(file=io.StringIO(), width=40)  # with markup, as anyone's
    (target,) = prepare_video([str(tmp_path / name)], str(tmp_path / "lists [red]"), 3, console)
    assert isinstance(console.file, io.StringIO)
    said = console.file.getvalue().lstrip()
    assert said.startswith(f"decoding 6 frames of {one_line(name)}\n")
    assert f"\n{one_line(name)}: 6 frames" in said
    pasted = shlex.split(said[said.index("mono2many train") :])
    assert pasted[pasted.index("--data") + 1] == str(target)
    assert target.exists()
    assert json.loads(target.read_text())["film"] == f"../{name}"


def test_text_is_printed_as_it_is_on_any_console_and_in_tables_and_bars() -> None:
    for console in (Console(file=io.StringIO(), width=20), text_console()):
        with console.capture() as captured:
            say(console, "[b]x[/i] :smile: and a long line of words", "red")
        assert captured.get() == "[b]x[/i] :smile: and a long line of words\n"
    console = Console(file=io.StringIO(), width=80, force_terminal=True)
    assert list(track([1, 2], "a [/b]\n:car:", 2, console)) == [1, 2]
    assert isinstance(console.file, io.StringIO)
    assert r"a [/b]\n:car:" in console.file.getvalue()


def test_a_command_can_be_pasted() -> None:
    words = ("train", "--data", Path("-a b.mp4"), "--name", "my run")
    assert shlex.split(command(*words))[1:] == ["train", "--data", "./-a b.mp4", "--name", "my run"]


def test_a_plot_takes_any_name(tmp_path: Path) -> None:
    poses = torch.eye(4, dtype=torch.float64).repeat(3, 1, 1)
    draw_trajectories(tmp_path / "a.png", {os.fsdecode(b"$x_ \xe9\n"): {"predicted": poses}}, "m")
    assert (tmp_path / "a.png").exists()


@pytest.mark.parametrize(
    "names",
    [
        ["1.5.png", "1.25.png", "0.75.png", "10.125.png", "9.png"],
        ["t_12.5.png", "t_12.25.png", "t_2.75.png"],
        ["1305031102.5.png", "1305031102.175304123.png", "1305031102.175304122.png"],
        ["take1.10.png", "take1.9.png", "take1.2.png"],
        ["2026.11.28.png", "2026.11.3.png", "2026.2.28.png"],
        ["frame²10.png", "frame²9.png", "frame²².png", "²5.png", "²4.png"],
    ],
)
def test_times_sort_as_numbers_and_superscripts_are_letters(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).touch()
    expected = {
        "9.png": ["0.75.png", "1.25.png", "1.5.png", "9.png", "10.125.png"],
        "²4.png": ["frame²9.png", "frame²10.png", "frame²².png", "²4.png", "²5.png"],
    }.get(names[-1], names[::-1])
    assert [path.name for path in list_images(tmp_path)] == expected


def test_copies_and_superscripts_are_no_numbered_files(tmp_path: Path) -> None:
    for name in ("0.json", "1.json", "0 (copy).json", "².json", "camera.json"):
        (tmp_path / "cameras").mkdir(exist_ok=True)
        (tmp_path / "cameras" / name).touch()
    settings = VideoTraining(data=("a.mp4", "b.mp4"), camera=("learn",))
    assert [Path(file).name for file in settings.with_learnt_cameras(str(tmp_path)).camera] == [  # type: ignore[attr-defined]
        "0.json",
        "1.json",
    ]
    for name in ("000001.png", "00000².png", "000001 (copy).png"):
        (tmp_path / name).touch()
    assert list(numbered_images(tmp_path, 6)) == [1]


@pytest.mark.parametrize("encoding", ["ascii", "utf-8", "latin-1"])
def test_every_terminal_takes_every_text(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding, "strict"))
    run(lambda words: print("±0.5 – " + words[0]), "x", [os.fsdecode(b"\xff.png")])
    plain = "±0.5 – ".encode(encoding, "ignore") if encoding != "ascii" else b"+-0.5 - "
    wanted = plain.replace(b"\xb10.5  ", b"\xb10.5 - ") + b"\xff.png\n"
    assert raw.getvalue() == wanted


def test_an_error_is_one_line_with_any_name(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a\nb", "a\x1b[31m\r", "a\u2028"):
        with pytest.raises(SystemExit):
            main([name])
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert said.startswith("mono2many: unknown command 'a\\")

    def fails(words: list[str]) -> None:
        trace = "Caught InputError in DataLoader worker process 0.\nOriginal Traceback:\n  File"
        raise InputError(f"{trace}\nmono2many.errors.InputError: a\nb: is broken\n")

    def full(words: list[str]) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "x.log")

    for function, said in (
        (fails, r"a\nb: is broken"),
        (full, "x.log: No space left on device; free some space"),
    ):
        with pytest.raises(SystemExit):
            run(function, "x", [])
        assert capsys.readouterr().err == f"x: {said}\n"


def test_without_a_home_everything_has_its_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import pwd

    monkeypatch.delenv("MONO2MANY_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_root() == tmp_path / ".cache" / "mono2many"
    monkeypatch.setattr("os.access", lambda *_: False)
    assert not cache_root().is_relative_to(tmp_path)
    monkeypatch.undo()
    monkeypatch.delenv("MONO2MANY_CACHE", raising=False)
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: {}[uid])
    assert re.fullmatch(r"mono2many-\d+", cache_root().name)
    assert user_path("~/a") == Path("~/a")
    assert user_path("~nobody.here/a") == Path("~nobody.here/a")


def test_a_file_that_begins_with_a_tilde_is_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    Path("~").mkdir()
    assert user_path("~") == Path("~")
    assert user_path("~/a") == Path.home() / "a"


def test_a_closed_pipe_ends_quietly_for_help_too() -> None:
    for close in ("stdout", "stderr"):
        with subprocess.Popen(
            [sys.executable, "-m", "mono2many", "--help" if close == "stdout" else "unknown"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            getattr(process, close).close()
            assert (process.stderr if close == "stdout" else process.stdout).read() == b""  # type: ignore[union-attr]
        assert process.returncode == (1 if close == "stdout" else 2)
    assert cli.PLAIN["±"] == "+-"
