from pathlib import Path

from mono2many.data.dataset import ClipDataset
from mono2many.street.reader import StreetSettings, SyntheticReader
from mono2many.train.diagnose import collapse, not_finite, static_camera

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
