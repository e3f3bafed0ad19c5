"""The command `mono2many`. Nothing heavy is imported until a command really runs."""

import os
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from mono2many import __version__
from mono2many.commands import habits
from mono2many.errors import InputError, InputWarning, nearest

COMMANDS = (
    "train",
    "evaluate",
    "predict",
    "info",
    "cache",
    "scale",
    "prepare",
    "check",
    "import-weights",
    "bench",
    "street",
)
"""Each is a module of mono2many.commands with its settings and run()."""

HELP = """mono2many {version}: depth and camera motion from ordinary video

usage: mono2many COMMAND [OPTIONS]          mono2many COMMAND --help   lists the options
                                            mono2many COMMAND --debug  shows where an error comes from

  train      learn depth from videos, folders of images, or the embedded street
  evaluate   score a model: depth metrics, or how well it explains unseen frames
  predict    depth of images, folders and videos; the camera's trajectory through them
  info       what a model is and was trained on; info starter: of the one that comes with mono2many
  scale      find out how many metres a model's unit is, and store it with the model
  prepare    video: cuts, standing and blurred frames of your own videos. kitti: fetch, unpack, check.
             synthetic: the embedded street in the layouts of data sets
  check      look at data before training on it
  import-weights  published MonoDepth and ManyDepth weights as a model folder
  cache      list, check and prune the cache of decoded frames
  bench      how fast this machine trains and predicts
  street     the embedded street as a video with its camera file, to try things on
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; a mistake of the user's is one line on stderr and exit status 2."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments[:1] == ["--debug"]:  # before the command, too
        arguments = [*arguments[1:], *arguments[:1]]
    if not arguments or arguments[0] in ("-h", "--help", "help", "--debug"):
        print(HELP.format(version=__version__), end="")
        return
    if arguments[0] in ("-V", "--version"):
        print(f"mono2many {__version__}")
        return
    name, rest = arguments[0], arguments[1:]
    if name not in COMMANDS:
        theirs = habits.COMMANDS.get(name)
        hint = f": here it is mono2many {theirs}" if theirs else nearest(name, COMMANDS)
        hint += "; mono2many --help lists them"
        print(f"mono2many: unknown command {name!r}{hint}", file=sys.stderr)
        sys.exit(2)
    module = import_module(f"mono2many.commands.{name.replace('-', '_')}")
    with warnings.catch_warnings():
        show_others = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *place: Any) -> None:
            if issubclass(category, InputWarning):
                print(f"mono2many {name}: {message}", file=sys.stderr)
            else:
                show_others(message, category, *place)

        warnings.showwarning = show  # type: ignore[assignment]
        warnings.filterwarnings("ignore", "Image size")  # Pillow's, of an image that it reads nevertheless
        run(module.run, f"mono2many {name}", rest)


def run(command: Callable[[list[str]], None], program: str, arguments: list[str]) -> None:
    """A command, whose user's mistakes end it with one line on stderr and status 2; with --debug they, and
    what the operating system refuses, come with their traceback."""
    debug = "--debug" in arguments
    try:
        command([word for word in arguments if word != "--debug"])
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output, such as `head`, has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python writes there at its end
        sys.exit(1)
    except (InputError, OSError) as error:
        if debug:
            raise
        said = str(error)
        if isinstance(error, OSError) and error.strerror:
            said = f"{error.filename or 'a file'}: {error.strerror}; check the path and its rights"
        # a loader's process wraps the message in its own traceback
        said = said.strip().splitlines()[-1].removeprefix("mono2many.errors.InputError: ")
        print(f"{program}: {said}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
