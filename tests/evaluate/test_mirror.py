from pathlib import Path

import numpy as np
import pytest
import torch

from mono2many.evaluate.mirror import blend_mirrored, with_mirror

PARITY = Path(__file__).parents[3] / "shared" / "facts" / "parity.npz"


@pytest.mark.skipif(not PARITY.exists(), reason="the reference programs' numbers are not on this machine")
def test_the_blend_is_that_of_the_reference_program() -> None:
    facts = np.load(PARITY)
    plain, unmirrored = (torch.from_numpy(facts[f"post_{name}"]) for name in ("plain", "unmirrored"))
    np.testing.assert_allclose(blend_mirrored(plain, unmirrored), facts["post_result"], rtol=1e-5)


def test_the_left_end_is_the_mirrored_ones_the_right_end_the_plain_ones_the_middle_their_mean() -> None:
    blended = blend_mirrored(torch.full((2, 101), 1.0), torch.full((2, 101), 3.0))
    torch.testing.assert_close(blended[0, [0, 5, 10, 50, 90, 95, 100]], torch.tensor([3.0, 3, 2, 2, 2, 1, 1]))


def test_a_network_that_treats_both_sides_alike_gains_nothing_from_the_mirror() -> None:
    image = torch.randint(1, 255, (3, 4, 40), dtype=torch.uint8)
    torch.testing.assert_close(with_mirror(lambda picture: picture[0].float())(image), image[0].float())
