"""Many users of the web page, and what is left of their files."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from time import sleep

import pytest
from gradio_client import Client, handle_file
from playwright.sync_api import Browser

from mono2many.predict.predictor import Predictor
from mono2many.serve.page import serving
from mono2many.types import InputError
from page_visits import LIMITS, free_port, jpeg, open_page
from small_models import FILM


@pytest.fixture(autouse=True)
def _quiet_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else gradio_client reports to huggingface.co."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def test_four_users_at_once_get_each_their_own_answer(browser: Browser, address: str) -> None:
    contexts = [browser.new_context() for _ in range(4)]
    visits = [open_page(context, address) for context in contexts]
    for number, visit in enumerate(visits):
        visit.begin(f"{number}.jpg", jpeg(number % len(FILM)))
    for number, visit in enumerate(visits):
        assert f"{number}_depth.npy" in visit.answer()
        assert visit.errors == []
    for context in contexts:
        context.close()


def test_fifty_bad_files_at_once_are_all_answered(address: str, tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.{'jpg' if number % 2 else 'mp4'}" for number in range(50)]
    for number, path in enumerate(paths):
        path.write_bytes(os.urandom(number))

    def ask(user: int) -> dict[Path, str]:
        call = Client(address, verbose=False, httpx_kwargs={"timeout": 600}).predict
        return {p: str(call(handle_file(p), "one", 65, api_name="/answer")[0]) for p in paths[user::10]}

    with ThreadPoolExecutor(10) as threads:
        answers = {path: said for found in threads.map(ask, range(10)) for path, said in found.items()}
    assert len(answers) == 50
    assert all(path.name in said and 'role="alert"' in said for path, said in answers.items())


def files_in(folder: Path) -> set[Path]:
    return {Path(root, name) for root, _, names in os.walk(folder) for name in names}


def test_files_are_removed_after_their_time_and_at_the_end(
    browser: Browser, predictors: dict[str, Predictor]
) -> None:
    soon = replace(LIMITS, keep_minutes=1 / 60)
    with serving(predictors, "127.0.0.1", free_port(), soon) as address:
        folder = Path(os.environ["GRADIO_TEMP_DIR"]).parent
        at_start = files_in(folder)
        context = browser.new_context()
        visit = open_page(context, address)
        assert "photo_depth.npy" in visit.upload("photo.jpg", jpeg())
        for _ in range(600):
            left = files_in(folder)
            if left == at_start and not list(folder.glob("result-*")):
                break
            sleep(0.1)
        assert left == at_start
        assert not list(folder.glob("result-*"))
        visit.page.get_by_role("button", name="Predict").click()
        said = visit.page.locator(".m2m-error").inner_text()
        assert said == "photo.jpg: was removed after 0.0166667 minutes; upload it again"
        context.close()
    assert not folder.exists()


def test_a_port_in_use_is_named(predictors: dict[str, Predictor], address: str) -> None:
    port = int(address.rstrip("/").rpartition(":")[2])
    with (
        pytest.raises(InputError, match=f"--port {port} of --host 127.0.0.1 cannot be used"),
        serving(predictors, "127.0.0.1", port, LIMITS),
    ):
        pass
