"""Messages for a training that goes wrong: what the figures mean and what usually causes them."""

from collections.abc import Mapping
from pathlib import Path

from mono2many.data.dataset import ClipDataset, spread_out
from mono2many.data.measure import THRESHOLDS, quick_displacement, thumbnail
from mono2many.geometry.camera import PLAUSIBLE_FOV

START_UP = 0.3
"""Share of the training in which depth may still be flat: depth and motion have to find each other."""

LOOKED_AT = 32
"""Samples of which `static_camera` compares a pair."""

SATURATED = 1e-5
"""A mean sigmoid this close to 0 or 1 has no gradient left to recover by: reported at once."""


def collapse(scalars: Mapping[str, float], progress: float, rate: float, fov: float) -> str | None:
    """One line with the likely cause and the figure that shows it, if training has collapsed; else None.
    `progress`: share of the training done; `rate`: learning rate; `fov`: the camera's, in degrees."""
    if "sigmoid" not in scalars:
        return None
    stuck = not SATURATED < scalars["sigmoid"] < 1 - SATURATED
    masked = scalars.get("kept", 1.0) < 0.02
    if progress < START_UP and not (stuck or masked):
        return None
    found = _symptom(scalars, rate)
    if found is None:
        return None
    symptom, causes = found
    if not PLAUSIBLE_FOV[0] <= fov <= PLAUSIBLE_FOV[1]:
        causes = f"the camera's field of view of {fov:.0f} degrees is not plausible: check the camera file"
    return f"{symptom}: {causes}"


def _symptom(scalars: Mapping[str, float], rate: float) -> tuple[str, str] | None:
    sigmoid, variation = scalars["sigmoid"], scalars["disparity_variation"]
    motion = scalars.get("translation")
    seen, kept = scalars.get("seen", 1.0), scalars.get("kept", 1.0)
    if seen < 0.02:
        return (
            f"the neighbours show only {seen:.1%} of the pixels",
            f"the predicted motion leaves the image; lower --learning-rate (now {rate:.1e}), or check the "
            "camera file",
        )
    if kept < 0.02:
        return (
            f"the auto-mask leaves only {kept:.1%} of the pixels to learn from",
            "the camera hardly moves between neighbours (larger --frame-step), or motion is not found yet "
            "(--automask-from 0.5, or --no-automask)",
        )
    if motion is not None and motion < 1e-4:
        return (
            f"no camera motion is found (mean translation {motion:.1e})",
            "does the camera move between neighbours? Try a larger --frame-step; mono2many check measures it",
        )
    if sigmoid > 0.95:
        return (
            f"depth is at its smallest nearly everywhere (mean sigmoid {sigmoid:.3f})",
            f"lower --learning-rate (now {rate:.1e}), or check the camera's focal length",
        )
    if sigmoid < 1e-3:
        return (
            f"depth is at its largest nearly everywhere (mean sigmoid {sigmoid:.1e})",
            "neighbours that hardly move (--frame-step), cars at the camera's speed (--automask), or a wrong "
            "camera file",
        )
    if variation < 0.05:
        return (
            f"disparity is nearly constant (it varies by {variation:.1%} within an image)",
            "wrong camera file, too little motion (--frame-step), or from scratch without --recipe scratch",
        )
    return None


def static_camera(dataset: ClipDataset) -> str | None:
    """A warning where the camera is static in most pairs of neighbours; None where it moves."""
    if not any(dataset.offsets):  # the stereo partner only
        return None
    displacements = []
    for (index,) in spread_out(len(dataset), LOOKED_AT, 1):
        sample = dataset.batch([index])
        if bool(sample.exists[0, 1]):
            first, second = (thumbnail(frame[None] / 255) for frame in sample.frames[0, :2])
            displacements.append(quick_displacement(first, second))
    pairs = len(displacements)
    static = sum(displacement < THRESHOLDS.static for displacement in displacements)
    if static <= pairs / 2:
        return None
    return (
        f"the camera is static in {static} of {pairs} pairs of neighbours looked at, from which no depth can "
        "be learnt: a model would learn a constant or nonsense; give footage from a moving camera, or "
        "neighbours further apart (--frame-step)"
    )


def not_finite(step: int, in_a_row: int, skipped: int, rate: float, folder: Path) -> str:
    """Why losses may be infinite or not a number, and which checkpoint is left."""
    saved = sorted((folder / "checkpoints").glob("step-*.pt"))
    kept = f"the last good checkpoint is kept ({saved[-1]})" if saved else "no checkpoint was saved yet"
    return (
        f"loss or gradient is not finite at step {step}, {in_a_row} steps in a row ({skipped} in all), "
        f"learning rate {rate:.1e}: lower --learning-rate, use --precision fp32, or look for broken frames "
        f"(mono2many check); {kept}"
    )
