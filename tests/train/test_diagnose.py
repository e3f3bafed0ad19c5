import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mono2many.data.dataset import ClipDataset
from mono2many.evaluate.photometric import PhotometricScore, Prediction
from mono2many.street.reader import StreetSettings, SyntheticReader
from mono2many.train.diagnose import (
    camera_at_guess,
    collapse,
    doubts,
    not_finite,
    static_camera,
    too_high,
)
from mono2many.train.folder import TrainState
from mono2many.train.settings import OptimConfig
from mono2many.train.shape import DepthShape, depth_shape, shape_figures
from mono2many.train.validate import Validation
from mono2many.types import Batch, Frame, FrameSequence

HEALTHY = {"sigmoid": 0.1, "disparity_variation": 0.6, "translation": 0.02, "seen": 0.9, "kept": 0.5}


def test_a_healthy_run_and_a_young_one_are_left_alone() -> None:
    assert collapse(HEALTHY, 0.9, 1e-4, 60.0) is None
    assert collapse({**HEALTHY, "disparity_variation": 0.0}, 0.1, 1e-4, 60.0) is None
    assert collapse(HEALTHY, 0.9, 1e-4, 170.0) is None


def test_what_cannot_come_back_is_said_at_once() -> None:
    for change, words in (
        ({"sigmoid": 2e-12}, "depth is at its largest"),
        ({"kept": 0.001}, "leaves only 0.1%"),
    ):
        text = collapse({**HEALTHY, **change}, 0.01, 1e-4, 60.0)
        assert text is not None
        assert words in text


def test_each_collapse_is_named_with_its_figure_and_a_flag() -> None:
    for change, words in (
        ({"disparity_variation": 0.01}, ("nearly constant", "1.0%", "--frame-step")),
        ({"sigmoid": 0.99}, ("depth is at its smallest", "0.990", "--learning-rate", "3.0e-04")),
        ({"sigmoid": 2e-5}, ("depth is at its largest", "2.0e-05", "--automask")),
        ({"translation": 0.0}, ("no camera motion", "--frame-step", "mono2many check")),
        ({"kept": 0.01}, ("auto-mask", "1.0%", "--automask-from")),
        ({"seen": 0.01, "kept": 0.0}, ("neighbours show only 1.0%", "camera file")),
    ):
        text = collapse({**HEALTHY, **change}, 0.9, 3e-4, 60.0)
        assert text is not None
        assert all(word in text for word in words)


def test_an_implausible_camera_is_the_first_suspect_of_any_collapse() -> None:
    text = collapse({**HEALTHY, "disparity_variation": 0.01}, 0.9, 3e-4, 151.0)
    assert text is not None
    assert "nearly constant" in text
    assert "151 degrees" in text


def test_a_loss_that_is_not_finite_names_the_checkpoint_that_is_left() -> None:
    assert "no checkpoint was saved yet" in not_finite(10, 20, 25, 1e-3, None)
    text = not_finite(10, 20, 25, 1e-3, Path("step-00000008.pt"))
    assert all(
        word in text for word in ("20 steps in a row", "25 in all", "--learning-rate", "step-00000008")
    )


def test_a_static_camera_is_named_and_one_that_drives_is_not() -> None:
    def street(step: float) -> ClipDataset:
        return ClipDataset(SyntheticReader(StreetSettings(2, 3, 96, 320, step=step), "train"), (-1, 1))

    assert static_camera(street(0.75)) is None
    warning = static_camera(street(0.0))  # cars drive past it
    assert warning is not None
    assert "static in 4 of 4 pairs" in warning
    assert "--frame-step" in warning


def test_validation_frames_that_hardly_move_are_named() -> None:
    class Still:
        clips = (FrameSequence("end of the video", 6),)

        def frame(self, clip: int, index: int) -> Frame:
            noise = torch.Generator().manual_seed(0)
            image = torch.randint(0, 256, (3, 64, 96), generator=noise, dtype=torch.uint8)
            return Frame(image, torch.eye(3))

        def fingerprint(self) -> str:
            return ""

    warning = static_camera(ClipDataset(Still(), (-1, 1)), validation=True)
    assert warning is not None
    assert "static in 5 of 5 pairs of neighbours in the validation frames" in warning
    assert "--hold-out" in warning


FAR = 750.0


@pytest.fixture
def street() -> Prediction:
    """A road 1.5 m below the camera between facades 7 m beside it, sky, a car; 0.75 m forward per frame."""
    k = torch.tensor([[186.0, 0, 159.5], [0, 186.0, 47.5], [0, 0, 1]])
    x, y = torch.arange(320) - k[0, 2], torch.arange(96)[:, None] - k[1, 2]
    facades = torch.where(y > -x.abs() / 3, 7 * k[0, 0] / x.abs(), FAR)
    depth = torch.minimum(facades, torch.where(y > 0, 1.5 * k[1, 1] / y, FAR)).clamp(max=FAR)
    depth[40:60, 100:140] = 20.0
    moving = torch.zeros(1, 96, 320, dtype=torch.bool)
    moving[:, 40:60, 100:140] = True
    black, both = torch.zeros(1, 3, 96, 320), torch.zeros(1, 2, 3, 96, 320)
    cameras, exist = k.expand(1, 2, 3, 3), torch.tensor([[True, True]])
    index = torch.zeros(1, dtype=torch.int64)
    batch = Batch(
        black, both, exist, k[None], cameras, black, both, source_offsets=(-1, 1), index=index, moving=moving
    )
    forward = torch.eye(4).repeat(1, 2, 1, 1)
    forward[:, :, 2, 3] = torch.tensor([-0.75, 0.75])
    return Prediction(batch, depth[None], forward)


def half_the_road(depth: Tensor, _: Tensor) -> None:
    depth[:, 48:, :160] = FAR


def flat_road(depth: Tensor, _: Tensor) -> None:
    depth[:, 48:] = 8.0


def all_but_moving(depth: Tensor, moving: Tensor) -> None:
    depth[~moving] = FAR


STREET = DepthShape(far=0.2, far_below=0.0, ground=2.0, holes=0.0)


def said(
    shape: DepthShape = STREET,
    ratio: float = 0.6,
    errors: tuple[float, ...] = (0.6,),
    progress: float = 0.9,
    suspect: str = "",
    steps: int = 1000,
) -> list[str]:
    result = Validation(PhotometricScore(4, ratio, 1.0), None, shape)
    train_state = TrainState(9, min(errors), 3, errors)
    return list(doubts(result, train_state, Path("run/best"), round(progress * steps), steps, suspect))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (None, ()),
        (half_the_road, ("of its lower half 5", "farther than motion can show", "--automask")),
        (flat_road, ("as far as its middle (disparity x 1.00)", "--no-automask", "camera file")),
        (all_but_moving, ("nearly all", "at most what moves by itself is near", "--frame-step")),
    ],
)
def test_a_collapse_of_parts_of_the_image_is_told_from_a_street(
    street: Prediction, change: Callable[[Tensor, Tensor], None] | None, words: tuple[str, ...]
) -> None:
    depth, moving = street.depth.clone(), street.batch.moving
    assert moving is not None
    if change is not None:
        change(depth, moving)
    shape = depth_shape([shape_figures(Prediction(street.batch, depth, street.source_from_target))])
    found = said(shape)
    assert len(found) == bool(words)
    assert all(word in text for text in found for word in words)
    assert said(shape, progress=0.4) == []
    # depth and motion in another unit are the same
    longer = street.source_from_target.clone()
    longer[..., :3, 3] *= 7
    again = depth_shape([shape_figures(Prediction(street.batch, 7 * depth, longer))])
    assert again == pytest.approx(shape, abs=2e-3, nan_ok=True)


def test_a_car_that_is_a_hole_is_below_the_road_by_its_own_area(street: Prediction) -> None:
    def holes(depth: Tensor) -> float:
        return depth_shape([shape_figures(Prediction(street.batch, depth, street.source_from_target))]).holes

    depth = street.depth.clone()
    few = holes(depth)  # pixels at the horizon
    assert few < 3e-4
    depth[:, 70:90, 150:180] = FAR
    assert holes(depth) == pytest.approx(few + 20 * 30 / (96 * 320), rel=1e-3)
    assert math.isnan(holes(torch.full_like(depth, 8.0)))  # there is no road


def test_a_validation_that_gets_worse_twice_names_the_best_step_and_a_fluctuation_does_not() -> None:
    (text,) = said(errors=(0.5, 0.52, 0.55))
    assert "worse twice in a row (0.500, 0.520, 0.550): the best model is of step 3 (run/best)" in text
    assert "unless --last" in text
    assert text.endswith(
        "more footage, a larger size (--height, --width), a lower --learning-rate or fewer --steps would help"
    )
    (short,) = said(errors=(0.5, 0.52, 0.55), steps=150)
    assert "fewer --steps" not in short
    assert "more --steps" in short
    assert said(errors=(0.5, 0.55, 0.52)) == said(errors=(0.5, 0.501, 0.502)) == said(errors=(0.5, 0.6)) == []


def test_a_training_that_was_never_better_than_its_start_says_so_at_its_end() -> None:
    result, start = Validation(PhotometricScore(4, 0.6, 1.0), None, STREET), TrainState(9, 0.5, 0, (0.6,))
    (text,) = doubts(result, start, Path("run/best"), 1000, 1000)
    assert text.startswith("no validation was better than the one before training (0.500): that model (run/b")
    assert list(doubts(result, start, Path("run/best"), 900, 1000)) == []
    assert list(doubts(result, TrainState(9, 0.5, 3, (0.6,)), Path("run/best"), 1000, 1000)) == []


def test_a_ratio_above_1_is_said_with_its_number() -> None:
    (text,) = said(ratio=2.9)
    assert "2.90 times that of the un-warped neighbour: lower --learning-rate" in text
    assert said(ratio=2.9, progress=0.2) == said(ratio=1.02) == []
    still = Validation(PhotometricScore(4, 0.09, 1e-6), None, STREET)
    (text,) = doubts(still, TrainState(9, 0.5, 3, (0.5,)), Path("best"), 900, 1000)
    assert text.startswith("the validation frames hardly move (un-warped error 0.0000)")
    assert "nothing moves" in still.photometric.verdict
    assert PhotometricScore(4, 2.9, 1.0).verdict == "its error is 2.90 times that of the un-warped neighbour"
    assert PhotometricScore(4, 1.0, 1.0).verdict == "the un-warped neighbour explains the images as well"
    assert PhotometricScore(4, 0.9, 1.0).verdict == PhotometricScore(4, 0.9, 1.0, 0.95, 8.0).verdict == ""
    lost = PhotometricScore(4, 0.9, 1.0, 0.75, 8.0)
    assert lost.verdict == "its error is 1.20 times that of the best constant depth"


def test_a_learning_rate_far_above_the_recipes_is_the_first_suspect() -> None:
    assert too_high(OptimConfig(learning_rate=3e-4), "default") == ""
    assert too_high(OptimConfig(learning_rate=3e-3), "scratch") == ""
    suspect = too_high(OptimConfig(learning_rate=1e-2), "scratch")
    assert suspect == "--learning-rate 1.0e-02 is probably too high (of this recipe: 1.0e-03)"
    assert suspect in said(ratio=2.9, suspect=suspect)[0]
    text = collapse({**HEALTHY, "sigmoid": 0.99}, 0.9, 1e-2, 60.0, suspect)
    assert text is not None
    assert text.endswith(suspect)


def test_a_learnt_camera_that_stayed_at_its_guess_is_named_and_one_that_moved_is_not() -> None:
    start = torch.tensor([[0.785, 1.2, 0.5, 0.5]])

    def learnt(share: float) -> Tensor:
        return torch.tensor([[[320 * share, 0, 160], [0, 300, 48], [0, 0, 1]]])

    text = camera_at_guess(learnt(0.795), start, 320)  # the highway of docs/experiments/learnt-cameras.md
    assert text is not None
    assert "moved by 1.3%" in text
    assert "--camera FILE" in text
    assert camera_at_guess(learnt(0.604), start, 320) is None  # the street
