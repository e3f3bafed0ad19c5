"""The one exception and the one warning for what a user can mend. Apart from types.py so that settings need
no torch."""

import warnings
from collections.abc import Iterable
from difflib import get_close_matches


class InputError(ValueError):
    """The message is one line: what was found, what was wanted, what to do, with the flag or the file named.
    The command line prints it alone and exits with status 2."""


class InputWarning(UserWarning):
    """What was read can be used, but the user should know of something. One line, as of an InputError; the
    command line prints it to stderr."""


def warn(text: str) -> None:
    """An InputWarning; Python shows the same text once."""
    warnings.warn(text, InputWarning, stacklevel=2)


def nearest(word: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown word: the known one that was probably meant."""
    near = get_close_matches(word, list(known), 1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else ""
