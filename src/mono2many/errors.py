"""The one exception for what a user can mend. Apart from types.py so that settings need no torch."""


class InputError(ValueError):
    """The message is one line: what was found, what was wanted, what to do, with the flag or the file named.
    The command line prints it alone and exits with status 2."""
