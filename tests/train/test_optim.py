import pytest

from mono2many.train.optim import learning_rate


def test_the_papers_schedule_drops_to_a_tenth_after_15_of_20_epochs() -> None:
    rates = [learning_rate(step, 20, 1e-4, "step") for step in range(20)]
    assert rates[:15] == [1e-4] * 15
    assert rates[15:] == pytest.approx([1e-5] * 5)


def test_cosine_rises_to_the_peak_and_falls_to_half_of_it_half_way() -> None:
    assert learning_rate(0, 110, 1.0, "cosine", warm_up=10 / 110) == pytest.approx(0.1)
    assert learning_rate(9, 110, 1.0, "cosine", warm_up=10 / 110) == pytest.approx(1.0)
    assert learning_rate(60, 110, 1.0, "cosine", warm_up=10 / 110) == pytest.approx(0.5)
    assert learning_rate(109, 110, 1.0, "cosine", warm_up=10 / 110) < 1e-3
