"""What is printed: text as it is, never markup, and commands that can be pasted into a shell."""

import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import Progress, TextColumn
from rich.text import Text

from mono2many.errors import one_line

Item = TypeVar("Item")


def text_console(stderr: bool = False) -> Console:
    """On which brackets and colons in names stay what they are, also in tables."""
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)


def say(console: Console, line: str | Text, style: str | None = None) -> None:
    """Print a line on any console; a long one is not broken."""
    console.print(line if isinstance(line, Text) else Text(line), style=style, soft_wrap=True)


def track(
    items: Iterable[Item],
    title: str,
    total: int | None = None,
    console: Console | None = None,
    hidden: bool = False,
) -> Iterator[Item]:
    """The items, while a terminal shows how many are done; the bar goes away at the end."""
    name = TextColumn("{task.description}", style="progress.description", markup=False)
    columns = (name, *Progress.get_default_columns()[1:])
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        yield from bar.track(items, total, description=one_line(title))


def command(*words: str | Path) -> str:
    """`mono2many WORDS`; a Path that begins with a minus is no flag."""
    safe = [f"./{w}" if isinstance(w, Path) and str(w).startswith("-") else str(w) for w in words]
    return shlex.join(["mono2many", *safe])
