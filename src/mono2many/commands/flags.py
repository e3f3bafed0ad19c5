"""From the words of a command line to its settings, and a mistake in them to one line."""

import contextlib
import io
import re
from typing import Any, TypeVar

import tyro

from mono2many.errors import InputError, nearest

Config = TypeVar("Config")


def parse(kind: type[Config], program: str, arguments: list[str], default: Config | None = None) -> Config:
    """Flags into a config; whatever is wrong with them becomes an InputError of one line."""
    settings: dict[str, Any] = {} if default is None else {"default": default}
    words = io.StringIO()
    try:
        with contextlib.redirect_stderr(words):
            return tyro.cli(
                kind, prog=program, args=arguments, config=(tyro.conf.OmitArgPrefixes,), **settings
            )
    except SystemExit as stop:
        if not stop.code:
            raise
        raise InputError(_one_line(words.getvalue(), arguments, program)) from None


def _one_line(boxed: str, arguments: list[str], program: str) -> str:
    """The parser's framed message as a sentence. What follows its first rule is long help; without a drawn
    frame (a terminal that has no such signs) a title and a rule come before it."""
    rule = r"(?m)^[ |+]*(?:[╭╰].*|[│ ]*[-─]{5}.*)$"
    parts = [part for part in re.split(rule, boxed) if part.strip()]
    part = parts[0] if "╭" in boxed or len(parts) < 2 else parts[1]
    text = " ".join(line.strip(" │|") for line in part.splitlines()).strip()
    text = re.sub(r"^Error parsing (?!--)\S+: ", "", text)
    needed = re.findall(r"(--[a-z-]+) \S+ ([^()]*)\(required\)", text)
    if needed:
        text = ", ".join(f"{flag} is needed: {what.strip(' .').lower()}" for flag, what in needed)
    unknown = re.match(r"Unrecognized options?: ([^,\s]+)", text)
    if unknown:
        flags = set(re.findall(r"--[a-z0-9-]+", boxed[boxed.find("Perhaps") :])) - {"--help"}
        hint = nearest(unknown[1].replace("_", "-").split("=")[0], flags)
        text = f"unknown option {unknown[1]}{hint}"
    return text + f" ({program} --help)" if program not in text else text


def value_of(arguments: list[str], flag: str) -> str | None:
    """What follows a flag, before the parser knows its defaults."""
    for at, word in enumerate(arguments):
        if word == flag and at + 1 < len(arguments):
            return arguments[at + 1]
        if word.startswith(flag + "="):
            return word.split("=", 1)[1]
    return None
