from mono2many.train.diagnose import collapse, not_finite

HEALTHY = {"sigmoid": 0.1, "disparity_variation": 0.6, "translation": 0.02}


def test_a_healthy_run_and_a_young_one_are_left_alone() -> None:
    assert collapse(HEALTHY, 0.9) is None
    assert collapse({**HEALTHY, "disparity_variation": 0.0}, 0.1) is None


def test_what_cannot_come_back_is_said_at_once() -> None:
    text = collapse({**HEALTHY, "sigmoid": 2e-12}, 0.01)
    assert text is not None
    assert "as far as" in text


def test_each_collapse_is_named_with_its_figure_and_a_flag() -> None:
    for change, words in (
        ({"disparity_variation": 0.01}, ("nearly constant", "1.0%", "--frame-step")),
        ({"sigmoid": 0.99}, ("as near as", "0.990", "--learning-rate")),
        ({"sigmoid": 2e-5}, ("as far as", "2.0e-05", "--automask")),
        ({"translation": 0.0}, ("no camera motion", "--frame-step")),
    ):
        text = collapse({**HEALTHY, **change}, 0.9)
        assert text is not None
        assert all(word in text for word in words)
    assert "--learning-rate" in not_finite(10, 1e-3)
