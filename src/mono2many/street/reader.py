"""An endless set of procedural streets with exact depth: data for the demo, the tests and the README.

Every scene follows from (seed, split, scene number) alone. Frames are drawn when asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from mono2many.street.noise import Array
from mono2many.street.render import Rendering, View, render
from mono2many.street.roads import Road
from mono2many.street.scene import CONTACT, SHADOW, Car, Street, travelled
from mono2many.street.shapes import Decal, Quads, around, cast, footprint, join, own_axes
from mono2many.street.town import build_town
from mono2many.street.wide import build_wide
from mono2many.types import Frame, FrameSequence, InputError, Split

CO_MOVING = 0.15
"""A vehicle is co-moving at a frame where its velocity in the world differs from the camera's by less than
this share of the camera's speed. Both are taken from the frame before to the frame after; while the camera
stands nothing is co-moving."""
SPLITS: tuple[Split, ...] = ("train", "val", "test")
Variety = Literal["town", "wide"]
Drive = Literal["steady", "stop-and-go"]
FRAMES = 2
"""Version of the frames: to be raised when the same files give other frames, so that caches are made anew."""


@dataclass(frozen=True)
class StreetSettings:
    """What to draw. Square pixels, the principal point in the middle."""

    scenes: int = 320
    frames: int = 4
    """Of each scene."""
    height: int = 96
    width: int = 320
    seed: int = 0
    step: float = 0.75
    """Metres per frame; each scene's own speed is 0.75 to 1.25 times that."""
    moving: bool = True
    """Other cars drive."""
    variety: Variety = "town"
    """town: town streets by day, f = 0.58 x width. wide: all kinds of road, traffic, light and camera."""
    drive: Drive = "steady"
    """steady: at one speed. stop-and-go: the camera halts and creeps in a queue, `step` sets the top."""

    def __post_init__(self) -> None:
        for name, least in (("scenes", 1), ("frames", 1), ("height", 16), ("width", 16), ("seed", 0)):
            value = getattr(self, name)
            if value < least:
                raise InputError(f"--{name} must be at least {least}, got {value}; try {max(least, 1)}")
        if self.seed >= 2**32:
            raise InputError(f"--seed must be below 2**32, got {self.seed}; try {self.seed % 2**32}")
        if not 0 <= self.step <= 5:
            raise InputError(f"--scene-step must lie in 0 .. 5 metres per frame, got {self.step}; try 0.75")


class SyntheticReader:
    """Procedural streets as a Reader: one clip per scene. Cheap to pickle; frames do not depend on order."""

    def __init__(self, settings: StreetSettings, split: Split) -> None:
        if split not in SPLITS:
            raise InputError(f"--split must be one of {', '.join(SPLITS)}, got {split!r}; try 'train'")
        self.settings = settings
        self.split = split

    @property
    def clips(self) -> Sequence[FrameSequence]:
        return [
            FrameSequence(f"street-{self.split}-{i:04d}", self.settings.frames)
            for i in range(self.settings.scenes)
        ]

    def fingerprint(self) -> str:
        return f"street {FRAMES} {self.settings} {self.split}"

    def frame(self, clip: int, index: int) -> Frame:
        settings = self.settings
        if not (0 <= clip < settings.scenes and 0 <= index < settings.frames):
            have = f"{settings.scenes} clips of {settings.frames} frames"
            raise IndexError(f"no frame {index} of clip {clip}: there are {have}")
        street = build_street(settings, self.split, clip)
        view = camera(street, settings, index)
        drawn = draw(street, view, index)
        middle = (view.width - 1) / 2, (view.height - 1) / 2
        return Frame(
            image=torch.from_numpy(drawn.image),
            intrinsics=torch.tensor([[view.focal, 0, middle[0]], [0, view.focal, middle[1]], [0, 0, 1]]),
            depth=torch.from_numpy(drawn.depth),
            moving=torch.from_numpy(drawn.quad >= len(street.quads.kind)),
            world_from_camera=torch.from_numpy(view.world_from_camera).float(),
            co_moving=torch.from_numpy(co_moving(street, settings, index)[drawn.quad]),
        )


def draw(street: Street, view: View, index: int) -> Rendering:
    """The street at a frame. Quads numbered from len(street.quads.kind) belong to driving cars."""
    cars = [drive(street.road, car, index) for car in street.traffic]
    quads = join([street.quads, *(quads for quads, _ in cars)])
    contact = [Decal(spot, *CONTACT) for _, spot in cars]
    shadows = [
        Decal(cast(spot, car.reach), *SHADOW, False, True)
        for (_, spot), car in zip(cars, street.traffic, strict=True)
        if car.reach is not None
    ]
    return render(replace(street, quads=quads, decals=[*street.decals, *contact, *shadows]), view)


def camera(street: Street, settings: StreetSettings, index: int) -> View:
    """Where the camera is at a frame: forward along its lane, swaying, with a little pitch and roll."""
    s = travelled(street, index)
    heading, pitch, roll = street.sway
    phase = 2 * np.pi * s / heading[1] + heading[2]
    # u' = tan(yaw) nearly: the camera looks where it goes
    u = street.lane + heading[0] * heading[1] / (2 * np.pi) * np.sin(phase)
    yaw = np.arctan(heading[0] * np.cos(phase)) + heading[3]
    (x, z), angle = street.road.place(s, u)
    tilt = pitch[3] + pitch[0] * np.sin(2 * np.pi * s / pitch[1] + pitch[2])
    lean = roll[3] + roll[0] * np.sin(2 * np.pi * s / roll[1] + roll[2])
    own = own_axes(angle + yaw)
    own[:, 1] *= -1  # right, down, forward
    cos, sin = np.cos(tilt), np.sin(tilt)
    nod = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    cos, sin = np.cos(lean), np.sin(lean)
    world_from_camera = np.eye(4)
    world_from_camera[:3, :3] = own @ nod @ np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    world_from_camera[:3, 3] = x, -street.height, z
    return View(settings.height, settings.width, street.focal * settings.width, world_from_camera)


def co_moving(street: Street, settings: StreetSettings, index: int) -> NDArray[np.bool_]:
    """Whether each quad that `draw` numbers belongs to a co-moving vehicle (CO_MOVING) at a frame; then one
    False more, for the number -1 of no quad."""
    around_it = index - 1, index + 1
    before, after = (camera(street, settings, i).world_from_camera[[0, 2], 3] for i in around_it)
    step, found = after - before, [np.zeros(len(street.quads.kind), bool)]
    for car in street.traffic:
        before, after = (place(street.road, car, i)[1][[0, 2]] for i in around_it)
        keeps = np.linalg.norm(after - before - step) < CO_MOVING * np.linalg.norm(step)
        found.append(np.full(len(car.quads.kind), keeps))
    return np.concatenate([*found, [False]])


def place(road: Road, car: Car, index: int) -> tuple[Array, Array]:
    """world_from_own of a moving car at a frame: rotation, position."""
    return road.frame(car.s + travelled(car, index), car.u, np.pi if car.speed < 0 else 0)


def drive(road: Road, car: Car, index: int) -> tuple[Quads, Array]:
    """A moving car's quads at a frame, and the dark beneath it."""
    rotation, position = place(road, car, index)
    spot = footprint(around(0, car.width / 2 + 0.15, 0, car.length / 2 + 0.15)) @ rotation.T + position
    return car.quads.moved(rotation, position), spot


@lru_cache(maxsize=16)
def build_street(settings: StreetSettings, split: Split, scene: int) -> Street:
    """Scene number `scene` of a split."""
    build = {"town": build_town, "wide": build_wide}[settings.variety]
    entropy = [settings.seed, SPLITS.index(split), scene]
    return build(entropy, settings.frames, settings.step, settings.moving, settings.drive == "stop-and-go")
