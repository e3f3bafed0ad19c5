"""Stop-and-go: the camera halts and creeps in a queue, among vehicles that do the same.

After t frames the camera has come X(t) metres. A vehicle of the queue is at s + X(t + early): it follows the
same course, so many frames sooner (Newell 2002). Whoever stands further ahead in a lane is earlier too, and X
never falls: the gap between two is never below the one at which they stand.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from mono2many.street.noise import Array
from mono2many.street.roads import Road
from mono2many.street.scene import Car
from mono2many.street.shapes import Real
from mono2many.street.traffic import GAPS, moving, vehicle

EARLIER = 0.3, 2.0
"""Frames by which a vehicle is earlier than the one behind it: the least and the most."""
LANES_APART = 4.0
"""Frames by which the queue of another lane may be earlier or later than the camera's."""
LONG = 100.0
"""Metres of each queue ahead of the camera."""
CYCLE = 123
"""Frames in which the camera has halted and driven, at the most."""


@dataclass(frozen=True)
class Course:
    """How the queue moves over a clip."""

    come: Array
    """Metres at the frames of its own clock, never falling."""
    start: float
    """The clip's frame 0 on that clock."""
    frames: int

    def travelled(self, early: Real = 0.0) -> Array:
        """X(t + early) of the frames -1 to `frames`, metres; X(0) = 0."""
        clock = self.start + np.arange(-1, self.frames + 1) + early
        frames = np.arange(len(self.come))
        return np.interp(clock, frames, self.come) - np.interp(self.start, frames, self.come)


def stop_and_go(rng: Generator, frames: int, top: Real) -> Course:
    """Pull away, drive evenly, brake, stand, again and again; at most `top` metres per frame, mostly less. A
    longer clip goes on as a shorter one began."""
    start = LANES_APART + 1 + rng.uniform(0, CYCLE)
    speeds: list[float] = []
    enough = start + frames + 2 * CYCLE  # the first vehicles of a queue are some 50 frames earlier
    while len(speeds) < enough:
        share = 0.1 + 0.9 * rng.random() ** 2
        away, brake = (int(8 + 24 * share * rng.uniform(0.7, 1.3)) for _ in range(2))
        up, down = (np.arange(1, n + 1) / (n + 1) for n in (away, brake))
        eased = [u * u * (3 - 2 * u) for u in (up, np.ones(rng.integers(5, 26)), 1 - down)]
        speeds += (top * share * np.concatenate([*eased, np.zeros(rng.integers(6, 21))])).tolist()
    return Course(np.cumsum([0.0, *speeds]), start, frames)


def queues(
    rng: Generator, road: Road, lanes: Sequence[tuple[float, float]], own: int, course: Course,
    top: Real, lit: bool, sun_shift: Array,
) -> list[Car]:  # fmt: skip
    """A dense queue in each lane (u of its middle, width), with many lorries. `own` is the camera's lane."""
    cars = []
    for i, (middle, width) in enumerate(lanes):
        early = 0.0 if i == own else rng.uniform(-LANES_APART, LANES_APART)
        s = rng.uniform(4, 8) if i == own else rng.uniform(-20, -8)
        while s < LONG:
            shape = vehicle(rng, "motorway")
            early += rng.uniform(*EARLIER)
            room = max((width - shape.width) / 2 - 0.2, 0.05)
            u = middle + float(np.clip(rng.normal(0, 0.15), -room, room))
            longer = 1 / (1 - road.curvature * u)  # a lane inside a bend is shorter than the road's middle
            car = moving(shape, s + shape.length / 2 * longer, u, top, lit, sun_shift)
            cars.append(replace(car, travelled=course.travelled(early)))
            s += (shape.length + rng.uniform(*GAPS["jam"])) * longer
    return cars
