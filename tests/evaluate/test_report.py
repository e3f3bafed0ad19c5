import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from PIL import Image
from torch import Tensor

from mono2many.evaluate.charts import curve, histogram
from mono2many.evaluate.depth import Evaluation, evaluate_each, guesses
from mono2many.evaluate.gallery import chosen_ranks, gallery, rank_label, thicken
from mono2many.evaluate.report import data_uri, write_report
from mono2many.metrics.protocol import PROTOCOLS
from mono2many.types import Clip, Frame, InputError

PROTOCOL = PROTOCOLS["synthetic-80m"]
NAN = float("nan")


class Slopes:
    """Three grounds, 8 x 16 pixels; the image's brightness says which one it is."""

    clips = (Clip("slope <b>", 3),)

    def fingerprint(self) -> str:
        return repr(self)

    def frame(self, clip: int, index: int) -> Frame:
        depth = torch.linspace(40, 5, 8)[:, None].expand(8, 16).contiguous()
        moving = torch.zeros(8, 16, dtype=torch.bool)
        moving[5:, :4] = True
        image = torch.full((3, 8, 16), index, dtype=torch.uint8)
        return Frame(image, torch.eye(3), depth, moving)


def worse_with_every_image(image: Tensor) -> Tensor:
    """The left quarter is too far by 1.2, 1 and 1.5: image 1 is the best, then 0, then 2."""
    depth = torch.linspace(40, 5, 8)[:, None].expand(8, 16).clone()
    depth[:, :4] *= {0: 1.2, 1: 1.0, 2: 1.5}[int(image[0, 0, 0])]
    return 1 / depth


@pytest.fixture(scope="module")
def evaluations() -> dict[str, Evaluation]:
    reader = Slopes()
    training = [reader.frame(0, 0)]
    return evaluate_each({"model": worse_with_every_image, **guesses(training, PROTOCOL)}, reader, PROTOCOL)


class Outline(HTMLParser):
    """Checks that tags close in order, and keeps what the page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.loads += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data")]
        if tag not in ("meta", "link", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_report_is_one_file_that_fetches_and_runs_nothing(
    tmp_path: Path, evaluations: dict[str, Evaluation]
) -> None:
    pictures = gallery(worse_with_every_image, Slopes(), PROTOCOL, evaluations["model"])
    path = write_report(
        tmp_path / "new folder" / "report.html",
        "Slopes & <script>alert(1)</script>",
        evaluations,
        pictures,
        {"Model": "runs/<i>1</i>"},
        curve=[(0, 0.5), (100, 0.25)],
    )
    assert [entry.name for entry in path.parent.iterdir()] == ["report.html"]
    text = path.read_text()
    outline = Outline()
    outline.feed(text)
    assert outline.open == []
    assert "script" not in outline.seen
    assert outline.seen.count("img") == 12
    assert outline.seen.count("svg") == 2
    assert all(load.startswith("data:") for load in outline.loads)
    assert "url(" not in text.replace("url(#", "")  # a drawing may name its own parts
    assert "@import" not in text
    for words in (
        "Slopes &amp; &lt;script&gt;",
        "runs/&lt;i&gt;1&lt;/i&gt;",
        "slope &lt;b&gt;",
        "synthetic-80m",
    ):
        assert words in text


def test_the_report_shows_the_best_the_median_and_the_worst_image(evaluations: dict[str, Evaluation]) -> None:
    pictures = gallery(worse_with_every_image, Slopes(), PROTOCOL, evaluations["model"])
    assert [picture.label for picture in pictures] == ["Best", "Median", "Worst"]
    assert [picture.caption[-7:] for picture in pictures] == ["frame 1", "frame 0", "frame 2"]
    assert pictures[0].abs_rel == pytest.approx(0, abs=1e-6)
    assert pictures[0].prediction.equal(pictures[0].truth)
    assert all(picture.error.shape == picture.image.shape == (3, 8, 16) for picture in pictures)


def test_the_headline_is_the_models_error_over_the_better_guess(
    tmp_path: Path, evaluations: dict[str, Evaluation]
) -> None:
    rows = {"model": evaluations["constant"], "constant": evaluations["constant"]}
    text = write_report(tmp_path / "report.html", "Slopes", rows).read_text()
    assert re.search(r'class="figure">1\.00<small>×', text)
    assert "no better than not looking" in text


def test_a_report_without_guesses_pictures_or_curve_says_the_error_alone(
    tmp_path: Path, evaluations: dict[str, Evaluation]
) -> None:
    text = write_report(tmp_path / "report.html", "Slopes", {"model": evaluations["constant"]}).read_text()
    assert f'class="figure">{evaluations["constant"].metrics.abs_rel:.3f}<' in text
    assert "<img" not in text


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, evaluations: dict[str, Evaluation]) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write the report to"):
        write_report(tmp_path / "file" / "report.html", "Slopes", evaluations)


def test_a_png_in_the_page_is_the_picture() -> None:
    picture = torch.arange(3 * 4 * 5, dtype=torch.uint8).reshape(3, 4, 5)
    head, data = data_uri(picture, "PNG").split(",")
    assert head == "data:image/png;base64"
    pixel = Image.open(io.BytesIO(base64.b64decode(data))).getpixel((2, 1))
    assert pixel == tuple(picture[:, 1, 2].tolist())


def test_of_seven_images_three_are_the_first_the_fourth_and_the_last() -> None:
    assert chosen_ranks(7, 3) == [0, 3, 6]
    assert chosen_ranks(7, 1) == [3]
    assert chosen_ranks(2, 5) == [0, 1]
    assert chosen_ranks(1, 3) == [0]
    assert [rank_label(rank, 7) for rank in (0, 1, 3, 6)] == ["Best", "Rank 2 of 7", "Median", "Worst"]
    assert rank_label(0, 1) == "The only image"


def test_a_lonely_lidar_point_is_drawn_five_pixels_wide_with_its_own_prediction() -> None:
    truth, depth = torch.full((9, 9), NAN), torch.full((9, 9), 7.0)
    truth[4, 4], depth[4, 4] = 10.0, 20.0
    thick_depth, thick_truth = thicken(depth, truth)
    assert int(thick_truth.isfinite().sum()) == 25
    assert (thick_truth[2:7, 2:7] == 10).all()
    assert (thick_depth[2:7, 2:7] == 20).all()


def test_the_drawings_say_their_figures_and_are_well_formed() -> None:
    bars = histogram([0.05, 0.35, 0.36, 0.39], "Abs <Rel>", bins=4)
    line = curve([(100, 0.125), (0, 0.5)], "Abs <Rel>", ("guess", 0.3))
    for drawing, words in (
        (bars, ("median 0.355", "Abs &lt;Rel&gt;", "images")),
        (line, ("0.125", "guess, 0.300")),
    ):
        assert ElementTree.fromstring(drawing).tag.endswith("svg")
        assert all(word in drawing for word in words)
