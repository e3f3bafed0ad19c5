"""The one exception and the one warning for what a user can mend. Apart from types.py so that settings need
no torch."""

import warnings
from collections.abc import Iterable
from difflib import get_close_matches
from importlib import import_module
from types import ModuleType
from unicodedata import category


class InputError(ValueError):
    """The message is one line: what was found, what was wanted, what to do, with the flag or the file named.
    The command line prints it alone and exits with status 2."""


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a command as Ctrl-C does."""


class InputWarning(UserWarning):
    """What was read can be used, but the user should know of something. One line, as of an InputError; the
    command line prints it to stderr."""


def warn(text: str) -> None:
    """An InputWarning; Python shows the same text once."""
    warnings.warn(text, InputWarning, stacklevel=2)


def one_line(text: str) -> str:
    """With line ends and control characters, such as those in a file's name, as escapes."""
    return "".join(repr(c)[1:-1] if category(c) in ("Cc", "Zl", "Zp") else c for c in text)


def printable(text: str) -> str:
    """One line, with escapes also for the bytes of a name that is not UTF-8."""
    return one_line(text).encode("utf-8", "backslashreplace").decode()


def nearest(word: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown word: the known one that was probably meant."""
    near = get_close_matches(word, list(known), 1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else ""


def library(name: str, extra: str) -> ModuleType:
    """An optional library. InputError where it is not installed, or lacks a library of the system."""
    try:
        return import_module(name)
    except ImportError as error:
        why = "is not installed" if isinstance(error, ModuleNotFoundError) else f"cannot be loaded ({error})"
        raise InputError(
            f"this needs {name}, which {why}: pip install 'mono2many[{extra}]', or in a clone '.[{extra}]'"
        ) from None
