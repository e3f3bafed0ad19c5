"""Messages for a training that goes wrong: what the figures mean and what usually causes them."""

from collections.abc import Mapping
from pathlib import Path

from mono2many.data.dataset import ClipDataset, spread_out
from mono2many.data.measure import THRESHOLDS, quick_displacement, thumbnail
from mono2many.geometry.camera import PLAUSIBLE_FOV

START_UP = 0.3
"""Share of the training in which depth may still be flat: depth and motion have to find each other."""
COMPARED_PAIRS = 32
"""Pairs of neighbours that `static_camera` compares."""
SATURATED = 1e-5
"""A mean sigmoid this close to 0 or 1 has no gradient left to recover by: reported at once."""


def collapse(scalars: Mapping[str, float], progress: float, rate: float, fov: float) -> str | None:
    """One line with the likely cause and the figure that shows it, if training has collapsed; else None.
    `progress`: share of the training done; `rate`: learning rate; `fov`: the camera's, in degrees."""
    sigmoid, variation = scalars["sigmoid"], scalars["disparity_variation"]
    seen, kept = scalars.get("seen", 1.0), scalars.get("kept", 1.0)
    motion = scalars.get("translation", 1.0)
    if progress < START_UP and SATURATED < sigmoid < 1 - SATURATED and kept >= 0.02:
        return None
    if seen < 0.02:
        symptom = f"the neighbours show only {seen:.1%} of the pixels"
        cause = f"the motion leaves the image: lower --learning-rate (now {rate:.1e}), check the camera file"
    elif kept < 0.02:
        symptom = f"the auto-mask leaves only {kept:.1%} of the pixels to learn from"
        cause = "no motion between neighbours (larger --frame-step), or not found yet (--automask-from 0.5)"
    elif motion < 1e-4:
        symptom = f"no camera motion is found (mean translation {motion:.1e})"
        cause = "does the camera move? mono2many check measures it; try a larger --frame-step"
    elif sigmoid > 0.95:
        symptom = f"depth is at its smallest nearly everywhere (mean sigmoid {sigmoid:.3f})"
        cause = f"lower --learning-rate (now {rate:.1e}), or check the camera's focal length"
    elif sigmoid < 1e-3:
        symptom = f"depth is at its largest nearly everywhere (mean sigmoid {sigmoid:.1e})"
        cause = "too little motion (--frame-step), cars at the camera's speed (--automask), wrong camera file"
    elif variation < 0.05:
        symptom = f"disparity is nearly constant (it varies by {variation:.1%} within an image)"
        cause = (
            "wrong camera file, too little motion (--frame-step), or from scratch without --recipe scratch"
        )
    else:
        return None
    if not PLAUSIBLE_FOV[0] <= fov <= PLAUSIBLE_FOV[1]:
        cause = f"the camera's field of view of {fov:.0f} degrees is not plausible: check the camera file"
    return f"{symptom}: {cause}"


def static_camera(dataset: ClipDataset) -> str | None:
    """A warning where the camera is static in most pairs of neighbours; None where it moves."""
    if not any(dataset.offsets):  # the stereo partner only
        return None
    displacements = []
    for (index,) in spread_out(len(dataset), COMPARED_PAIRS, 1):
        sample = dataset.batch([index])
        if bool(sample.exists[0, 1]):
            first, second = (thumbnail(frame[None] / 255) for frame in sample.frames[0, :2])
            displacements.append(quick_displacement(first, second))
    pairs = len(displacements)
    static = sum(displacement < THRESHOLDS.static for displacement in displacements)
    if static <= pairs / 2:
        return None
    return (
        f"the camera is static in {static} of {pairs} pairs of neighbours: no depth can be learnt from them; "
        "give footage from a moving camera, or neighbours further apart (--frame-step)"
    )


def not_finite(step: int, in_a_row: int, skipped: int, rate: float, saved: Path | None) -> str:
    """Why losses may be infinite or not a number, and which checkpoint is left."""
    kept = f"the last good checkpoint is kept ({saved})" if saved else "no checkpoint was saved yet"
    return (
        f"loss or gradient is not finite at step {step}, {in_a_row} steps in a row ({skipped} in all), "
        f"learning rate {rate:.1e}: lower --learning-rate, use --precision fp32, or look for broken frames "
        f"(mono2many check); {kept}"
    )
