import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from typing import Any

import pytest
import torch
from rich.console import Console
from torch import Tensor

from mono2many.evaluate.depth import Evaluation, Row, compare, score_frames
from mono2many.evaluate.frames import EvalFrame, EvalSet, reader_frames
from mono2many.evaluate.predictors import (
    Disparities,
    Method,
    baselines,
    mean_log_depth,
    with_baselines,
)
from mono2many.evaluate.present import print_table
from mono2many.metrics.protocol import PROTOCOLS, Protocol
from mono2many.types import Frame, FrameSequence, InputError, Reader

MODEL = Row(Method.MODEL)
PROTOCOL = PROTOCOLS["synthetic-80m"]
NAN = float("nan")


def frame_of(depth: Tensor | None, brightness: int = 0, moving: Tensor | None = None) -> Frame:
    height, width = (4, 6) if depth is None else depth.shape
    image = torch.full((3, height, width), brightness, dtype=torch.uint8)
    return Frame(image, torch.eye(3), depth, moving)


@dataclass(frozen=True)
class Shelf:
    """A reader of one clip of frames held in memory."""

    frames: tuple[Frame, ...]

    @property
    def clips(self) -> Sequence[FrameSequence]:
        return [FrameSequence("shelf", len(self.frames))]

    def fingerprint(self) -> str:
        return repr(self)

    def frame(self, clip: int, index: int) -> Frame:
        return self.frames[index]


def three_walls() -> Shelf:
    """Walls at 5, 10 and 20 metres, whose images are as bright as they are far."""
    return Shelf(tuple(frame_of(torch.full((4, 6), float(z)), z) for z in (5, 10, 20)))


def evaluate(
    predict: Disparities, reader: Reader, protocol: Protocol = PROTOCOL, **settings: Any
) -> dict[Row, Evaluation]:
    frames = reader_frames(reader, settings.pop("places", None))
    eval_set = EvalSet("shelf", frames, len(frames), protocol)
    return score_frames(eval_set, predict, **settings).rows


def from_functions(functions: dict[Method, Callable[[Tensor], Tensor]]) -> Disparities:
    def predict(frames: Sequence[EvalFrame]) -> Iterator[dict[Method, Tensor]]:
        for frame in frames:
            yield {method: function(frame.open().image)[None] for method, function in functions.items()}

    return predict


def always(disparity: Tensor) -> Disparities:
    return from_functions({Method.MODEL: lambda image: disparity})


def half_the_depth(image: Tensor) -> Tensor:
    return 2 / image[0].float()


by_brightness = from_functions({Method.MODEL: half_the_depth})


def test_a_prediction_of_half_the_truth_has_no_error_and_ratio_two_without_spread() -> None:
    result = evaluate(by_brightness, three_walls())[MODEL]
    assert (result.protocol.name, result.images) == ("synthetic-80m", 3)
    assert result.metrics.abs_rel == pytest.approx(0, abs=1e-6)
    assert result.median_ratio == pytest.approx(2)
    assert result.spread == pytest.approx(0, abs=1e-6)
    assert result.regions == {}
    assert [image.index for image in result.per_image] == [0, 1, 2]


def test_the_spread_of_a_constant_is_that_of_the_walls() -> None:
    # Ratios 5, 10, 20 over their median 10: 0.5, 1, 2, whose variance is 5.25 / 3 - (3.5 / 3)^2 = 3.5 / 9.
    result = evaluate(always(torch.ones(4, 6)), three_walls())[MODEL]
    assert result.median_ratio == pytest.approx(10)
    assert result.spread == pytest.approx((3.5 / 9) ** 0.5)


def test_without_alignment_a_constant_ten_is_wrong_by_one_nothing_and_a_half() -> None:
    protocol = replace(PROTOCOL, align="none")
    result = evaluate(always(torch.full((2, 2), 0.1)), three_walls(), protocol)[MODEL]
    assert [image.metrics.abs_rel for image in result.per_image] == pytest.approx([1, 0, 0.5])
    assert result.metrics.abs_rel == pytest.approx(0.5)
    assert result.metrics.a1 == pytest.approx(1 / 3)


def test_moving_and_static_pixels_are_averaged_over_the_images_that_have_them() -> None:
    depth = torch.full((4, 4), 10.0)
    some, none = torch.zeros(4, 4, dtype=torch.bool), torch.zeros(4, 4, dtype=torch.bool)
    some[0] = True
    doubled = depth.clone()
    doubled[0] = 20  # a quarter of the pixels: the median stays 10
    shelf = Shelf((frame_of(depth, moving=some), frame_of(depth, moving=none)))
    result = evaluate(always(1 / doubled), shelf)[MODEL]
    assert result.metrics.abs_rel == pytest.approx(0.25)
    assert list(result.regions) == ["static", "moving"]
    assert result.regions["moving"].abs_rel == pytest.approx(1)
    assert result.regions["static"].abs_rel == pytest.approx((0 + 0.25) / 2)


def test_only_the_named_frames_are_evaluated() -> None:
    result = evaluate(by_brightness, three_walls(), places=[(0, 2), (0, 0)])[MODEL]
    assert [image.index for image in result.per_image] == [2, 0]


def test_frames_without_depth_are_left_out() -> None:
    shelf = Shelf((frame_of(None), *three_walls().frames))
    assert len(reader_frames(shelf)) == 4
    assert evaluate(by_brightness, shelf)[MODEL].images == 3


def test_data_without_any_depth_is_refused() -> None:
    with pytest.raises(InputError, match="synthetic-80m"):
        evaluate(by_brightness, Shelf((frame_of(None),)))
    with pytest.raises(InputError, match="baseline"):
        mean_log_depth([frame_of(None)], PROTOCOL)


def test_a_prediction_that_is_not_a_number_is_refused_with_the_frames_name() -> None:
    with pytest.raises(InputError, match=r"image 0 of the list \(shelf, frame 0\)"):
        evaluate(always(torch.full((4, 6), NAN)), three_walls())


def test_the_baseline_is_the_geometric_mean_of_each_pixel() -> None:
    first = frame_of(torch.tensor([[2.0, 4.0], [9.0, NAN]]))
    second = frame_of(torch.tensor([[8.0, NAN], [9.0, 100.0]]))
    # (2 8)^(1/2); 4 alone; 9; never counted (unmeasured, beyond 80 m): the mean of its row
    expected = torch.tensor([[4.0, 4.0], [9.0, 9.0]])
    torch.testing.assert_close(mean_log_depth([first, second], PROTOCOL), expected)


def test_a_row_never_measured_takes_the_nearest_rows_mean() -> None:
    depth = torch.full((4, 2), NAN)
    depth[1], depth[3] = torch.tensor([2.0, 8.0]), torch.tensor([5.0, 5.0])
    baseline = mean_log_depth([frame_of(depth)], PROTOCOL)
    expected = torch.tensor([[4.0, 4.0], [2.0, 8.0], [4.0, 4.0], [5.0, 5.0]])
    torch.testing.assert_close(baseline, expected)


def test_the_per_pixel_baseline_is_right_where_every_scene_is_the_same() -> None:
    ground = torch.tensor([[40.0] * 3, [20.0] * 3, [10.0] * 3, [5.0] * 3])
    shelf = Shelf((frame_of(ground), frame_of(ground)))
    results = evaluate(with_baselines(always(torch.ones(2, 2)), baselines(shelf.frames, PROTOCOL)), shelf)
    assert results[Row(Method.MEAN_LOG_DEPTH)].metrics.abs_rel == pytest.approx(0, abs=1e-6)
    # The median of the truth is 15, which is what any constant becomes: (25/40 + 5/20 + 5/10 + 10/5) / 4.
    assert results[Row(Method.CONSTANT)].metrics.abs_rel == pytest.approx(3.375 / 4)


def test_the_model_is_compared_with_the_better_baseline() -> None:
    protocol = replace(PROTOCOL, align="none")
    predictions = from_functions(
        {
            Method.MODEL: lambda image: 1 / (image[0].float() * 1.1),
            Method.CONSTANT: lambda image: 1 / (image[0].float() * 1.5),
            Method.MEAN_LOG_DEPTH: lambda image: 1 / (image[0].float() * 0.75),
        }
    )
    comparison = compare(evaluate(predictions, three_walls(), protocol), MODEL)
    assert comparison is not None
    assert comparison.baseline == Row(Method.MEAN_LOG_DEPTH)
    assert comparison.ratio == pytest.approx(0.1 / 0.25, rel=1e-5)


def test_an_evaluation_survives_json() -> None:
    result = evaluate(by_brightness, three_walls())[MODEL]
    written = json.loads(json.dumps(result.to_json()))
    assert written["protocol"] == "synthetic-80m"
    assert written["per_image"][2]["clip"] == "shelf"
    assert written["metrics"]["a1"] == 1


def test_the_table_names_the_protocol_the_rows_and_the_number_of_images() -> None:
    shelf = three_walls()
    evaluations = evaluate(with_baselines(by_brightness, baselines(shelf.frames, PROTOCOL)), shelf)
    console = Console(width=140, record=True, file=StringIO())
    print_table(console, evaluations)
    text = console.export_text()
    for word in (
        "synthetic-80m",
        "Abs Rel",
        "model",
        "per-pixel mean log depth",
        "constant",
        "2.000 ± 0.000",
    ):
        assert word in text
