"""From the words of a command line to its settings, and a mistake in them to one line."""

import contextlib
import io
import re
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

import tyro

from mono2many.commands.habits import here
from mono2many.datasets.choice import data_set_flags
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
        own = flags_of(kind if default is None else default)
        raise InputError(_one_line(words.getvalue(), own, program)) from None


def flags_of(settings: Any) -> set[str]:
    """Of settings, or of a class of such without parts; of those that have a data set, all data sets'."""
    found = set[str]()
    for f in fields(settings):
        value = getattr(settings, f.name, None)
        if is_dataclass(value):
            found |= flags_of(value)
        found |= data_set_flags() if f.name == "dataset" else {"--" + f.name.replace("_", "-")}
    return found


def _one_line(boxed: str, own: set[str], program: str) -> str:
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
        word = unknown[1].split("=")[0]
        known = here(program, word, own)
        text = f"unknown option {unknown[1]}" + (
            f": {known}" if known else nearest(word.replace("_", "-"), flags)
        )
    return text + f" ({program} --help)" if program not in text else text


def value_of(arguments: list[str], flag: str) -> str | None:
    """What follows a flag, before the parser knows its defaults."""
    for at, word in enumerate(arguments):
        if word == flag and at + 1 < len(arguments):
            return arguments[at + 1]
        if word.startswith(flag + "="):
            return word.split("=", 1)[1]
    return None
