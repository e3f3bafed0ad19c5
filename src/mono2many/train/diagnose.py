"""Words for a training that goes wrong: what the figures mean and what usually causes them."""

from collections.abc import Mapping

START_UP = 0.3
"""Share of the training in which depth may still be flat: depth and motion have to find each other."""

SATURATED = 1e-5
"""A mean sigmoid so near to 0 or 1 has no gradient left to come back: said at once."""


def collapse(scalars: Mapping[str, float], progress: float) -> str | None:
    """One line that names a likely cause if disparity has collapsed, else None. `progress` is 0 to 1."""
    if "sigmoid" not in scalars:
        return None
    stuck = not SATURATED < scalars["sigmoid"] < 1 - SATURATED
    if progress < START_UP and not stuck:
        return None
    sigmoid, variation = scalars["sigmoid"], scalars["disparity_variation"]
    motion = scalars.get("translation")
    if motion is not None and motion < 1e-4:
        return (
            f"no camera motion is found (mean translation {motion:.1e}): does the camera move between "
            "neighbours? Try a larger --frame-step"
        )
    if sigmoid > 0.95:
        return (
            f"everything is as near as it can be (mean sigmoid {sigmoid:.3f}): lower --learning-rate, or "
            "check the camera's focal length"
        )
    if sigmoid < 1e-3:
        return (
            f"everything is as far as it can be (mean sigmoid {sigmoid:.1e}): neighbours that hardly move "
            "(--frame-step), cars driving along (--automask), or a wrong camera file"
        )
    if variation < 0.05:
        return (
            f"disparity is nearly constant (it varies by {variation:.1%} within an image): wrong camera "
            "file, too little motion (--frame-step), or from scratch without --recipe scratch"
        )
    return None


def not_finite(step: int, learning_rate: float) -> str:
    """Why a loss may be infinite or not a number."""
    return (
        f"the loss is not finite at step {step} (learning rate {learning_rate:.1e}): lower --learning-rate, "
        "use --precision fp32, or look for broken frames; weights of the last good checkpoint are kept"
    )
