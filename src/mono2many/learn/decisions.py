"""What `learn` decides about footage, from what was measured of it: pure functions, without PyTorch."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from mono2many.errors import InputError
from mono2many.files import entries, entry

PIXELS = 60_000
"""About so many at training size: larger ones validated worse and take longer (docs/experiments/learn.md)."""
SIDES = 96, 768
"""Least and greatest side at training size, in multiples of STRIDE."""
STRIDE = 32
AIM = 0.004
"""Displacement between neighbours to reach by the frame step, in shares of the width. The starter's pose
network knows steps of 0.75 to 1.5 m: on a highway (0.0048 a frame) 1 learns earlier than 2 (as above)."""
FARTHEST = 5
"""Greatest frame step."""
BATCH = 4
FEWEST_FRAMES = 40
"""Of a video that can be learnt from: fewer show too little of the world."""
FEWEST_STEPS, MOST_EPOCHS = 100, 20
"""Below this number of steps nothing is gained; above this number of passes over the frames nothing more."""
HOLD_OUT, FEWEST_HELD = 0.1, 8
"""Share of the frames that are held out, and the number below which their error says little."""
DEEPEST = 0.3
"""Of the height: an ego vehicle that fills more is masked, not cut off."""
OVERHEAD = 1.15
"""Time of a training by that of its steps: validations, checkpoints."""


class Decision(NamedTuple):
    """One line of what is printed and stands in the report."""

    name: str
    value: str
    reason: str
    flag: str
    """That changes it; empty: none does."""


@dataclass(frozen=True)
class Footage:
    """What `prepare video` measured of a video."""

    name: str
    height: int
    width: int
    frames: int
    """That are usable, in all clips."""
    left_out: int
    motion: float
    """Median displacement from frame to frame, in shares of the width."""
    masked: bool = False
    bottom: float = 0.0
    """Share of the height, at the bottom, that is masked almost over the whole width."""

    @classmethod
    def of_list(cls, name: str, values: dict[str, Any]) -> "Footage":
        """Of the contents of a list of clips. ValueError where it is damaged."""
        used = sum(len(entries(clip, "frames", int)) for clip in entries(values, "clips", dict))
        return cls(
            name,
            entry(values, "height", int, 1, 1e5),
            entry(values, "width", int, 1, 1e5),
            used,
            entry(values, "frames", int, 1, 1e9) - used,
            entry(values, "motion", float, 0, 1),
            values.get("mask") is not None,
        )


@dataclass(frozen=True)
class Wishes:
    """What the user fixed; None: to be decided."""

    height: int | None = None
    width: int | None = None
    frame_step: int | None = None
    steps: int | None = None
    camera: tuple[str, ...] = ()
    fov: float | None = None
    mask: tuple[str, ...] = ()
    start_from: str = "starter"


def enough(videos: Sequence[Footage]) -> None:
    """InputError where there is too little to learn from."""
    frames = sum(video.frames for video in videos)
    if frames < FEWEST_FRAMES:
        left = sum(video.left_out for video in videos)
        raise InputError(
            f"{frames} usable frames ({left} left out: static, repeated, or in clips that are too short); at "
            f"least {FEWEST_FRAMES} from a moving camera are needed: give a longer video, or use the starter "
            "as it is: mono2many predict VIDEO"
        )


def training_size(
    videos: Sequence[Footage], wishes: Wishes, crop: float = 0.0
) -> tuple[tuple[int, int], Decision]:
    """Height and width in multiples of 32: the shape of the videos, about PIXELS large. crop: share of the
    height that is cut off at the bottom."""
    aspect = math.exp(sum(math.log(v.width / v.height / (1 - crop)) for v in videos) / len(videos))
    sides = range(SIDES[0], SIDES[1] + 1, STRIDE)
    heights = sides if wishes.height is None else [wishes.height]
    widths = sides if wishes.width is None else [wishes.width]

    def misfit(size: tuple[int, int]) -> float:
        height, width = size
        return abs(math.log(width / height / aspect)) + 0.5 * abs(math.log(height * width / PIXELS))

    height, width = min(((h, w) for h in heights for w in widths), key=misfit)
    shapes = dict.fromkeys(f"{v.width}x{v.height}" for v in videos)
    shape = f"the {'mean ' * (len(shapes) > 1)}shape of {', '.join(shapes)}, about {PIXELS:,} pixels"
    reason = shape if wishes.height is None else "as given"
    return (height, width), Decision("size", f"{width}x{height}", reason, "--height, --width")


def frame_step(videos: Sequence[Footage], wishes: Wishes) -> tuple[int, Decision]:
    """How far apart neighbours are, in usable frames."""
    motion = sum(v.motion * v.frames for v in videos) / sum(v.frames for v in videos)
    seen = f"from frame to frame the image moves by {motion:.2%} of its width"
    if wishes.frame_step is not None:
        return wishes.frame_step, Decision("frame step", str(wishes.frame_step), "as given", "--frame-step")
    step = min(FARTHEST, max(1, round(AIM / max(motion, 1e-6))))
    return step, Decision("frame step", str(step), seen, "--frame-step")


def start(wishes: Wishes) -> tuple[dict[str, Any], Decision]:
    """Flags of what the training begins from."""
    if wishes.start_from == "none":
        return {"recipe": "scratch"}, Decision("start", "none", "random weights, as given", "--start-from")
    flags = {"recipe": "video", "start_from": wishes.start_from}
    return flags, Decision("start", wishes.start_from, "it predicts depth already", "--start-from")


def camera(wishes: Wishes) -> tuple[dict[str, Any], Decision]:
    """Flags of the camera."""
    if wishes.camera:
        return {"camera": wishes.camera}, Decision("camera", " ".join(wishes.camera), "as given", "--camera")
    if wishes.fov is not None:
        return {"fov": wishes.fov}, Decision("camera", f"{wishes.fov:g} degrees wide", "as given", "--fov")
    reason = "its focal length is estimated in training, roughly where the drive is straight"
    return {"camera": ("learn",)}, Decision("camera", "learnt", reason, "--camera FILE.json, --fov")


def held_out(videos: Sequence[Footage]) -> tuple[float, Decision]:
    """Share of the end of each clip on which the model is scored."""
    frames = sum(v.frames for v in videos)
    share = min(0.25, max(HOLD_OUT, FEWEST_HELD / frames))
    count = round(share * frames)
    return share, Decision("held out", f"the last {share:.0%} ({count} frames)", "for the score", "")


def mask(videos: Sequence[Footage], wishes: Wishes) -> tuple[dict[str, Any], Decision]:
    """Flags of what is fixed to the camera. What fills the bottom over the whole width is cut off: masked it
    would still be seen by the pose network, which then learns worse (docs/experiments/learn.md)."""
    if wishes.mask:
        return {"mask": wishes.mask}, Decision("mask", " ".join(wishes.mask), "as given", "--mask")
    found, other = [v.name for v in videos if v.masked], "--mask FILE.png, --mask none"
    if not found:
        return {}, Decision("mask", "none", "nothing is fixed to the camera", other)
    crop = max(video.bottom for video in videos)
    where = f"fixed to the camera, in {', '.join(found)}"
    if len(found) == len(videos) and min(v.bottom for v in videos) > crop - 0.05 and 0 < crop <= DEEPEST:
        return {"crop_bottom": crop}, Decision(
            "mask",
            f"the bottom {crop:.1%} cut off, the rest masked",
            f"{where}; it fills the width there",
            other,
        )
    return {}, Decision("mask", "found", where, other)


class Times(NamedTuple):
    """Seconds."""

    budget: float
    spent: float
    """Until now."""
    reserved: float
    """For predictions and score."""
    per_step: float

    @property
    def left(self) -> float:
        return self.budget - self.spent - self.reserved


def steps(times: Times, frames: int, wishes: Wishes) -> tuple[int, Decision]:
    """How long the training is. InputError where the time does not suffice."""
    if wishes.steps is not None:
        return wishes.steps, Decision("steps", str(wishes.steps), "as given", "--steps")
    per_step = times.per_step * OVERHEAD
    count = int(times.left / per_step)
    if count < FEWEST_STEPS:
        least = math.ceil((times.spent + times.reserved + FEWEST_STEPS * per_step) / 60)
        raise InputError(
            f"--minutes {times.budget / 60:g}: too few; measuring took {times.spent / 60:.1f} minutes, "
            f"prediction will take about {times.reserved / 60:.1f}, {FEWEST_STEPS} steps "
            f"{FEWEST_STEPS * per_step / 60:.1f}: give --minutes {least} or more"
        )
    most = max(FEWEST_STEPS, MOST_EPOCHS * frames // BATCH)
    reason = f"{times.left / 60:.0f} of {times.budget / 60:g} minutes at {times.per_step:.2f} s a step"
    if count > most:
        count, reason = most, f"{MOST_EPOCHS} passes over {frames} frames, in less than {reason}"
    return count, Decision("steps", str(count), reason, "--minutes, --steps")


def as_words(flags: Mapping[str, Any]) -> list[str]:
    """Keywords of a recipe as words of a command line."""
    words = ["--datatype", "video"]
    for name, value in flags.items():
        values = value if isinstance(value, list | tuple) else [value]
        words += ["--" + name.replace("_", "-"), *map(str, values)]
    return words
