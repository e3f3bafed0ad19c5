"""What settings name without importing it exists."""

import re
from pathlib import Path
from pkgutil import resolve_name

import mono2many.datasets


def test_every_function_that_is_imported_later_is_there() -> None:
    files = Path(mono2many.datasets.__file__).parent.rglob("*.py")
    places = re.findall(r'imported_later\("(.*?)"\)', "".join(path.read_text() for path in files))
    assert len(places) > 15
    assert all(callable(resolve_name(place)) for place in places)
