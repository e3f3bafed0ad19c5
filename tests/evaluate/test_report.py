import base64
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import torch
from PIL import Image
from torch import Tensor

from mono2many.evaluate.depth import Evaluation, Outcome, RangeScore, Row, score_frames
from mono2many.evaluate.frames import EvalFrame, EvalSet, reader_frames
from mono2many.evaluate.predictors import Method, baselines, with_baselines
from mono2many.evaluate.report.gallery import (
    GalleryItem,
    best_and_worst,
    colour_maps,
    enlarge_points,
    gallery,
)
from mono2many.evaluate.report.page import data_uri, histogram, write_report
from mono2many.metrics.protocol import PROTOCOLS
from mono2many.metrics.published import PublishedResult
from mono2many.types import Frame, FrameSequence, InputError

PROTOCOL = PROTOCOLS["synthetic-80m"]
MODEL, CONSTANT = Row(Method.MODEL), Row(Method.CONSTANT)
NAN = float("nan")


class Slopes:
    """Three grounds, 8 x 16 pixels; the image's brightness says which one it is."""

    clips = (FrameSequence("slope <b>", 3),)

    def fingerprint(self) -> str:
        return repr(self)

    def frame(self, clip: int, index: int) -> Frame:
        depth = torch.linspace(40, 5, 8)[:, None].expand(8, 16).contiguous()
        moving = torch.zeros(8, 16, dtype=torch.bool)
        moving[5:, :4] = True
        image = torch.full((3, 8, 16), index, dtype=torch.uint8)
        return Frame(image, torch.eye(3), depth, moving)


def worse_with_every_image(frames: Sequence[EvalFrame]) -> Iterator[dict[Method, Tensor]]:
    """The left quarter is too far by 1.2, 1 and 1.5: image 1 is the best, then 0, then 2."""
    for frame in frames:
        depth = torch.linspace(40, 5, 8)[:, None].expand(8, 16).clone()
        depth[:, :4] *= {0: 1.2, 1: 1.0, 2: 1.5}[frame.index]
        yield {Method.MODEL: 1 / depth[None]}


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    reader = Slopes()
    frames = reader_frames(reader)
    eval_set = EvalSet("slopes", frames, len(frames), PROTOCOL)
    predict = with_baselines(worse_with_every_image, baselines([reader.frame(0, 0)], PROTOCOL))
    return score_frames(eval_set, predict)


@pytest.fixture(scope="module")
def evaluations(outcome: Outcome) -> dict[Row, Evaluation]:
    return outcome.rows


def best_to_worst(outcome: Outcome) -> list[GalleryItem]:
    return gallery(outcome, best_and_worst(outcome.rows[MODEL].per_image))


def written(path: Path, evaluations: dict[Row, Evaluation], **values: Any) -> str:
    """The page of these, about slopes."""
    write_report(path / "report.html", "Slopes", evaluations, MODEL, **values)
    return (path / "report.html").read_text()


class Outline(HTMLParser):
    """Checks that tags close in order, and stores what the page would load."""

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
    tmp_path: Path, outcome: Outcome, evaluations: dict[Row, Evaluation]
) -> None:
    images = best_to_worst(outcome)
    path = tmp_path / "new folder" / "report.html"
    title, facts = "Slopes & <script>alert(1)</script>", {"Model": "runs/<i>1</i>"}
    write_report(path, title, evaluations, MODEL, images, facts)
    assert [entry.name for entry in path.parent.iterdir()] == ["report.html"]
    text = path.read_text()
    outline = Outline()
    outline.feed(text)
    assert outline.open == []
    assert "script" not in outline.seen
    assert outline.seen.count("img") == 12
    assert outline.seen.count("svg") == 2
    assert all(load.startswith("data:") for load in outline.loads)
    assert "url(" not in text.replace("url(#", "")  # a chart may name its own parts
    assert "@import" not in text
    for words in (
        "Slopes &amp; &lt;script&gt;",
        "runs/&lt;i&gt;1&lt;/i&gt;",
        "slope &lt;b&gt;",
        "synthetic-80m",
    ):
        assert words in text


def test_the_report_shows_the_best_and_the_worst_images(outcome: Outcome) -> None:
    images = best_to_worst(outcome)
    assert [item.label for item in images] == ["Best 1", "Best 2", "Worst 1"]
    assert [item.caption[-7:] for item in images] == ["frame 1", "frame 0", "frame 2"]
    assert images[0].abs_rel == pytest.approx(0, abs=1e-6)
    assert images[0].prediction.equal(images[0].truth)
    assert all(item.error.shape == item.image.shape == (3, 8, 16) for item in images)


def test_the_headline_is_the_models_error_over_the_better_baseline(
    tmp_path: Path, evaluations: dict[Row, Evaluation]
) -> None:
    rows = {MODEL: evaluations[CONSTANT], CONSTANT: evaluations[CONSTANT]}
    text = written(tmp_path, rows)
    assert re.search(r'class="figure">1\.00<small>×', text)
    assert "no better than a baseline that ignores the image" in text


def test_a_report_without_baselines_or_images_shows_the_error_alone(
    tmp_path: Path, evaluations: dict[Row, Evaluation]
) -> None:
    text = written(tmp_path, {MODEL: evaluations[CONSTANT]})
    assert f'class="figure">{evaluations[CONSTANT].metrics.abs_rel:.3f}<' in text
    assert "<img" not in text


def test_published_numbers_stand_below_the_models_own_with_their_source(
    tmp_path: Path, evaluations: dict[Row, Evaluation]
) -> None:
    paper = PublishedResult(
        "synthetic-80m", "Walls & all", (0.132, None, 4.5, None, 0.845, None, None), "A <1>"
    )
    text = written(tmp_path, evaluations, published=[paper])
    table = text[text.index("Published numbers") :]
    ours, theirs = re.findall(r"<tr[ >].*?</tr>", table[: table.index("</table>")])[-2:]
    assert f"<td>{evaluations[MODEL].metrics.abs_rel:.3f}</td>" in ours
    cells = re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", theirs)
    assert cells == ["Walls &amp; all", "0.132", "–", "4.500", "–", "0.845", "–", "–", "A &lt;1&gt;"]


def test_marks_stand_above_every_number(tmp_path: Path, evaluations: dict[Row, Evaluation]) -> None:
    marks = ["SYNTHETIC: not KITTI", "CONTAMINATED: 3 of 3 <images>"]
    text = written(tmp_path, evaluations, marks=marks)
    places = [text.index(word) for word in ("SYNTHETIC", "3 of 3 &lt;images&gt;", 'class="figure"')]
    assert places == sorted(places)


def test_errors_near_and_far_are_a_table(tmp_path: Path, evaluations: dict[Row, Evaluation]) -> None:
    near, far = evaluations[CONSTANT].metrics, evaluations[MODEL].metrics
    ranges = (RangeScore(0.0, 10.0, 12345, 3, near), RangeScore(10.0, 80.0, 7, 1, far))
    row = {MODEL: replace(evaluations[MODEL], ranges=ranges)}
    text = written(tmp_path, row)
    assert re.search(rf">0 to 10 m</th><td>{near.abs_rel:.3f}</td>.*<td>12,345</td><td>3</td>", text)
    assert re.search(rf">10 to 80 m</th><td>{far.abs_rel:.3f}</td>.*<td>7</td><td>1</td>", text)


def test_the_first_image_of_a_group_is_shown_and_the_others_on_demand(
    tmp_path: Path, outcome: Outcome, evaluations: dict[Row, Evaluation]
) -> None:
    shown = best_to_worst(outcome)
    labels = ("Best 1", "Best 2", "Best 3", "Worst 1", "Worst 2")
    images = [replace(shown[0], label=label) for label in labels]
    text = written(tmp_path, evaluations, images=images)
    order = re.findall(r"<b>(\w+ \d)</b>|<summary>([\w ]+) <span>|(</details>)", text)
    best = ["Best 1", "Best 2 to Best 3", "Best 2", "Best 3", "</details>"]
    worst = ["Worst 1", "Worst 2", "Worst 2", "</details>"]
    assert ["".join(found) for found in order][:9] == best + worst


def test_no_image_is_among_both_the_best_and_the_worst(evaluations: dict[Row, Evaluation]) -> None:
    three = evaluations[MODEL].per_image  # image 1 is the best, then 0, then 2
    assert best_and_worst(three, 1) == [("Best 1", 1), ("Worst 1", 2)]
    assert best_and_worst(three) == [("Best 1", 1), ("Best 2", 0), ("Worst 1", 2)]


def test_a_right_prediction_of_another_size_and_unit_is_pale_where_lidar_measured() -> None:
    truth = torch.full((20, 1280), NAN)
    truth[10, ::40] = 8.0
    image = torch.zeros(3, 4, 8, dtype=torch.uint8)
    small, _, _, error = colour_maps(image, torch.full((2, 4), 5.0), truth, PROTOCOL)
    assert small.shape == error.shape == (3, 10, 640)
    coloured = error.bool().any(0)
    assert coloured.float().mean() == pytest.approx(3 * (2 + 31 * 3) / 6400)  # 3 x 3 each, the first cut off
    assert error[:, coloured].float().std(1).max() == 0
    assert error[:, coloured].float().mean() == pytest.approx(221, abs=2)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, evaluations: dict[Row, Evaluation]) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"report\.html: cannot write"):
        written(tmp_path / "file", evaluations)


def test_a_png_in_the_page_is_the_image() -> None:
    image = torch.arange(3 * 4 * 5, dtype=torch.uint8).reshape(3, 4, 5)
    head, data = data_uri(image, "PNG").split(",")
    assert head == "data:image/png;base64"
    pixel = Image.open(io.BytesIO(base64.b64decode(data))).getpixel((2, 1))
    assert pixel == tuple(image[:, 1, 2].tolist())


def test_a_lonely_lidar_point_is_drawn_three_pixels_wide_with_its_own_prediction() -> None:
    truth, depth = torch.full((18, 18), NAN), torch.full((18, 18), 7.0)
    truth[8, 8], depth[8, 8] = 10.0, 20.0
    truth[9, 9], depth[9, 9] = 11.0, 30.0  # behind it, in the same pixel when drawn
    large_depth, large_truth = enlarge_points(depth, truth, (9, 9))
    assert int(large_truth.isfinite().sum()) == 9
    assert (large_truth[3:6, 3:6] == 10).all()
    assert (large_depth[3:6, 3:6] == 20).all()


def test_a_chart_shows_its_numbers_and_is_well_formed() -> None:
    drawing = histogram([0.05, 0.35, 0.36, 0.39], "Abs <Rel>", bins=4)
    assert ElementTree.fromstring(drawing).tag.endswith("svg")
    assert all(word in drawing for word in ("median 0.355", "Abs &lt;Rel&gt;", "images"))
