"""The web page with small models."""

import sys
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from mono2many.models.checkpoint import ModelCard
from mono2many.models.many import ManyDepth
from mono2many.models.mono import MonoDepth
from mono2many.predict.predictor import Predictor
from mono2many.serve.page import serving
from page_visits import LIMITS, Visit, free_port, open_page
from small_models import LIGHT, MANY, lively


@pytest.fixture(scope="session")
def connections() -> list[tuple[object, ...]]:
    """The addresses to which this process connects, and the names that it looks up, from now on."""
    found = list[tuple[object, ...]]()

    def note(event: str, arguments: tuple[object, ...]) -> None:
        if event == "socket.connect" and isinstance(arguments[1], tuple):
            found.append(arguments[1])
        if event == "socket.getaddrinfo":
            found.append(arguments)

    sys.addaudithook(note)
    return found


@pytest.fixture(scope="session")
def predictors() -> dict[str, Predictor]:
    return {
        "one": Predictor(lively(MonoDepth(LIGHT)), ModelCard(LIGHT, 64, 96)),
        "many": Predictor(lively(ManyDepth(MANY)), ModelCard(MANY, 64, 96)),
    }


@pytest.fixture(scope="session")
def address(connections: list[tuple[object, ...]], predictors: dict[str, Predictor]) -> Iterator[str]:
    with serving(predictors, "127.0.0.1", free_port(), LIMITS) as found:
        yield found


@pytest.fixture
def visit(browser: Browser, address: str) -> Iterator[Visit]:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    yield open_page(context, address)
    context.close()
