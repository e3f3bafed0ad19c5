"""The command `mono2many`. Nothing heavy is imported until a command really runs."""

import codecs
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from types import FrameType
from typing import Any

from mono2many import __version__
from mono2many.commands import habits
from mono2many.errors import InputError, InputWarning, Terminated, nearest, one_line
from mono2many.files import FULL

COMMANDS = (
    "learn",
    "train",
    "evaluate",
    "predict",
    "reconstruct",
    "info",
    "cache",
    "scale",
    "export",
    "prepare",
    "check",
    "import-weights",
    "bench",
    "street",
    "serve",
)
"""Each is a module of mono2many.commands with its settings and run()."""

PLAIN = {"±": "+-", "–": "-", "…": "...", "×": "x", "’": "'"}
"""For terminals that have ASCII only."""

HELP = """mono2many {version}: depth and camera motion from ordinary video

usage: mono2many COMMAND [OPTIONS]          mono2many COMMAND --help   lists the options
                                            mono2many COMMAND --debug  shows where an error comes from

  learn      fit a model to your own videos with one command: measure, train, predict, score
  train      train depth and pose networks on videos, folders of images, or the procedural street
  evaluate   score a model: depth metrics, or photometric error of unseen frames
  predict    depth of images, folders and videos; the camera's trajectory through them
  reconstruct  points, mesh and trajectory of a whole video; a page that shows them
  info       networks, size, scale and training data of a model; by default of the starter
  scale      estimate the metric scale of a model and store it with the model
  export     a model for ONNX Runtime, OpenVINO or torch.export, compared with the original
  prepare    video: cuts, static and blurred frames of your own videos. kitti: download, unpack, check.
             synthetic: the procedural street in the layouts of data sets
  check      check data before training: camera, motion, overlap, brightness
  import-weights  published MonoDepth and ManyDepth weights as a model folder
  cache      list, check and prune the cache of decoded frames
  bench      how fast this machine trains and predicts
  street     a video of the procedural street with its camera file, to try the commands on
  serve      a web page on this machine: upload an image or a video, see and download its depth
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; a mistake of the user's is one line on stderr and exit status 2."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments[:1] == ["--debug"]:  # before the command, too
        arguments = [*arguments[1:], *arguments[:1]]
    name = arguments[0] if arguments else "help"
    if name not in COMMANDS:
        run(_about, "mono2many", [name])
        return

    def command(rest: list[str]) -> None:
        with warnings.catch_warnings():
            _print_warnings(f"mono2many {name}")
            import_module(f"mono2many.commands.{name.replace('-', '_')}").run(rest)

    run(command, f"mono2many {name}", arguments[1:])


def _about(words: list[str]) -> None:
    """What is said without a command."""
    if not words or words[0] in ("-h", "--help", "help"):
        print(HELP.format(version=__version__), end="")
    elif words[0] in ("-V", "--version"):
        print(f"mono2many {__version__}")
    else:
        theirs = habits.COMMANDS.get(words[0])
        hint = f": here it is mono2many {theirs}" if theirs else nearest(words[0], COMMANDS)
        raise InputError(f"unknown command {words[0]!r}{hint}; mono2many --help lists them")


def _print_warnings(program: str) -> None:
    """An InputWarning is one line on stderr."""
    show_others = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *place: Any) -> None:
        if issubclass(category, InputWarning):
            _complain(f"{program}: {one_line(str(message))}")
        else:
            show_others(message, category, *place)

    warnings.showwarning = show  # type: ignore[assignment]
    warnings.filterwarnings("ignore", "Image size")  # Pillow's, of an image that it reads nevertheless


def run(command: Callable[[list[str]], None], program: str, arguments: list[str]) -> None:
    """A command, whose user's mistakes end it with one line on stderr and status 2; with --debug they, and
    what the operating system refuses, come with their traceback. Ctrl-C and SIGTERM end it with one line that
    says how far it came, and status 130 or 143."""
    debug = "--debug" in arguments
    _ready_streams()
    try:
        with _terminable():
            try:
                command([word for word in arguments if word != "--debug"])
            finally:
                sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output, such as `head`, has closed it
        _silence()
        sys.exit(1)
    except (InputError, OSError) as error:
        if debug:
            raise
        _complain(f"{program}: {_reason(error)}")
        _silence()
        sys.exit(2)
    except KeyboardInterrupt as stop:
        _complain(f"{program}: stopped; {stop}".removesuffix("; "))
        sys.exit(143 if isinstance(stop, Terminated) else 130)


def _reason(error: InputError | OSError) -> str:
    """What a user can mend, in one line."""
    said, mark = str(error).strip(), "mono2many.errors.InputError: "
    if isinstance(error, OSError) and error.strerror:
        remedy = "free some space" if error.errno in FULL else "check the path and its rights"
        said = f"{os.fsdecode(error.filename or 'output')}: {error.strerror}; {remedy}"
    if said.startswith("Caught "):  # a loader's process wraps the message in its own traceback
        said = said.rpartition(mark)[2] if mark in said else said.splitlines()[-1]
    return one_line(said)


def _complain(line: str) -> None:
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:
        _silence()


def _silence() -> None:
    """Nothing more is written; else Python complains at its end of what it could not write."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # a stream of a test's has no number
            stream.flush()
            continue
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _ready_streams() -> None:
    """Makes standard output and error fit for every text: where they are closed, where their encoding lacks a
    character, and for names of files that are not UTF-8, whose bytes are written as they are."""
    codecs.register_error("mono2many", _any_character)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        with suppress(AttributeError):  # a stream of a test's
            getattr(sys, name).reconfigure(errors="mono2many")


def _any_character(error: UnicodeError) -> tuple[str | bytes, int]:
    assert isinstance(error, UnicodeEncodeError)
    letter = error.object[error.start]
    if "\udc80" <= letter <= "\udcff":  # how Python holds such a byte
        return bytes([ord(letter) & 0xFF]), error.start + 1
    return PLAIN.get(letter, letter.encode("ascii", "backslashreplace").decode()), error.start + 1


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM raises Terminated."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Terminated

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
