"""Messages for a training that goes wrong: what the figures mean and what usually causes them."""

from collections.abc import Iterator, Mapping
from math import inf
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from mono2many.data.dataset import ClipDataset, spread_out
from mono2many.data.measure import THRESHOLDS, quick_displacement, thumbnail
from mono2many.evaluate.photometric import AS_MUCH, NO_MOTION
from mono2many.geometry.camera import PLAUSIBLE_FOV
from mono2many.train.folder import TrainState
from mono2many.train.recipes import RECIPES
from mono2many.train.settings import OptimConfig, Recipe
from mono2many.train.validate import Validation

START_UP = 0.3
"""Share of the training in which depth may still be flat: depth and motion have to find each other."""
COMPARED_PAIRS = 32
"""Pairs of neighbours that `static_camera` compares."""
SATURATED = 1e-5
"""A mean sigmoid this close to 0 or 1 has no gradient left to recover by: reported at once."""
SETTLED = 0.5
"""Share of the training after which validation should have found depth."""
HIGH_RATE = 4
"""Times the recipe's learning rate from which a collapse is blamed on it."""
FAR_BELOW, NEARLY_ALL_FAR = 0.3, 0.75
"""Shares of the pixels beyond what motion can show: of the image's lower half, where no sky is, and of the
whole image, where only a few objects are nearer. The streets' exact depth has 0.05 and 0.36 at most."""
FLAT_GROUND = 1.15
"""Disparity of the lowest rows over that below the middle, of a road without gradient. The streets'
exact depth has 1.9 and 2.3."""
SHORT = 200
"""Steps below which a run is too short to have overfitted."""
WORSE = 1.02
"""Times the best validation error that is no fluctuation."""
AT_GUESS = 0.03
"""A learnt focal length that moved less, as a share, stayed at its guess. Street 0.23, highway 0.023 and
0.013."""


def too_high(optim: OptimConfig, recipe: Recipe) -> str:
    """The first suspect of a collapse where --learning-rate is far above the recipe's; else empty."""
    usual = RECIPES[recipe].get("optim", {}).get("learning_rate", OptimConfig.learning_rate)
    if optim.learning_rate < HIGH_RATE * usual:
        return ""
    return f"--learning-rate {optim.learning_rate:.1e} is probably too high (of this recipe: {usual:.1e})"


def collapse(
    scalars: Mapping[str, float], progress: float, rate: float, fov: float, suspect: str = ""
) -> str | None:
    """One line with the likely cause and the figure that shows it, if training has collapsed; else None.
    `progress`: share of the training done; `rate`: learning rate; `fov`: the camera's, in degrees; `suspect`:
    a cause that is likelier than those of the symptom."""
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
    cause = suspect or cause
    if not PLAUSIBLE_FOV[0] <= fov <= PLAUSIBLE_FOV[1]:
        cause = f"the camera's field of view of {fov:.0f} degrees is not plausible: check the camera file"
    return f"{symptom}: {cause}"


def doubts(
    result: Validation, train_state: TrainState, best: Path, done: int, steps: int, suspect: str = ""
) -> Iterator[str]:
    """What a validation after `done` of `steps` steps shows to be wrong, a line each, as in `collapse`.
    train_state: after it; best: the folder of the best model."""
    progress = done / steps
    errors, ratio, (far, below, ground, _) = train_state.errors, result.photometric.ratio, result.shape
    if progress < START_UP:
        return
    if len(errors) > 2 and errors[-3] < errors[-2] < errors[-1] and errors[-1] > WORSE * train_state.best:
        length = "more" if steps < SHORT else "fewer"
        cause = "more footage, a larger size (--height, --width), a lower --learning-rate or "
        cause += f"{length} --steps would help"
        yield (
            f"validation got worse twice in a row ({', '.join(f'{e:.3f}' for e in errors)}): the best model "
            f"is of step {train_state.best_step} ({best}), which predict and evaluate take unless --last is "
            f"given; {suspect or cause}"
        )
    if result.photometric.still < NO_MOTION:
        yield (
            f"the validation frames hardly move (un-warped error {result.photometric.still:.4f}): what is "
            "best there says nothing; hold out others (--hold-out), or take a larger --frame-step"
        )
    elif ratio >= AS_MUCH:
        cause = (
            suspect
            or "lower --learning-rate, check camera file and motion (mono2many check), or give more footage"
        )
        yield f"the photometric error is {ratio:.2f} times that of the un-warped neighbour: {cause}"
    if progress < SETTLED:
        return
    if done == steps and train_state.best_step == 0 and train_state.best < inf:
        yield (
            f"no validation was better than the one before training ({train_state.best:.3f}): that model "
            f"({best}) is what predict and evaluate take unless --last is given; lower --learning-rate, or "
            "give more footage and more --steps"
        )
    if far >= NEARLY_ALL_FAR:
        cause = "the camera hardly moves (larger --frame-step; mono2many prepare video leaves it out)"
        yield (
            f"nearly all, {far:.0%} of the image, is farther than motion can show, at most what moves by "
            f"itself is near: {suspect or cause}"
        )
    elif below >= FAR_BELOW:
        cause = "cars at the camera's speed (--automask), reflections (--no-automask), or little motion "
        cause += "(--frame-step)"
        yield (
            f"of the image {far:.0%}, and of its lower half {below:.0%}, is farther than motion can show: "
            f"{suspect or cause}; --start-from starter holds depth"
        )
    elif ground < FLAT_GROUND:
        cause = "the road has no texture or the auto-mask leaves it out (--no-automask), or wrong camera file"
        yield (
            f"the image's lowest part is as far as its middle (disparity x {ground:.2f}): if it shows a "
            f"road, {suspect or cause}; --start-from starter holds depth"
        )


def camera_at_guess(learnt: Float[Tensor, "N 3 3"], start: Float[Tensor, "N 4"], width: int) -> str | None:
    """A warning where learnt focal lengths stayed at their initial guess; None where one moved. start: as in
    LearntCameras."""
    moved = float((learnt[:, 0, 0] / width / start[:, 0].to(learnt) - 1).abs().max())
    if moved >= AT_GUESS:
        return None
    return (
        f"the learnt focal length stayed at its initial guess (it moved by {moved:.1%}): this footage does "
        "not determine it (the camera must turn): give --camera FILE, or --fov near the true one"
    )


def static_camera(dataset: ClipDataset, validation: bool = False) -> str | None:
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
    found = f"the camera is static in {static} of {pairs} pairs of neighbours"
    if validation:
        return (
            f"{found} in the validation frames: what is best there says little; hold out others (--hold-out, "
            "or cut the end off)"
        )
    return (
        f"{found}: no depth can be learnt from them; give footage from a moving camera, or neighbours "
        "further apart (--frame-step)"
    )


def not_finite(step: int, in_a_row: int, skipped: int, rate: float, saved: Path | None) -> str:
    """Why losses may be infinite or not a number, and which checkpoint is left."""
    kept = f"the last good checkpoint is kept ({saved})" if saved else "no checkpoint was saved yet"
    return (
        f"loss or gradient is not finite at step {step}, {in_a_row} steps in a row ({skipped} in all), "
        f"learning rate {rate:.1e}: continue with --resume --precision fp32, start again with a lower "
        f"--learning-rate, or look for broken frames (mono2many check); {kept}"
    )
