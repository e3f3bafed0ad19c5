"""What settings name without importing it exists."""

import re
from pathlib import Path
from pkgutil import resolve_name

import mono2many.datasets
from mono2many.datasets import DEFAULT
from mono2many.datasets.choice import named_in_card


def test_every_function_that_is_imported_later_is_there() -> None:
    files = Path(mono2many.datasets.__file__).parent.rglob("*.py")
    places = re.findall(r'imported_later\("(.*?)"\)', "".join(path.read_text() for path in files))
    assert len(places) > 15
    assert all(callable(resolve_name(place)) for place in places)


def test_a_card_of_the_street_names_it_in_the_words_of_any_version() -> None:
    for words in ("the procedural street (wide), exact depth", "the embedded street, exact depth"):
        assert named_in_card(words) is DEFAULT
    assert named_in_card("my_video.mp4") is None
