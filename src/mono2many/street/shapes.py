"""What a street is made of: flat quadrilaterals, balls, and quads on the ground that darken it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Ints = NDArray[np.integer]


@dataclass(frozen=True)
class Quads:
    """Q flat convex quadrilaterals. Paint lives in each quad's own metres: a along its first edge, b up."""

    corners: Array
    """Q 4 3, world metres, around the edge; the first two lie at the bottom."""
    kind: NDArray[np.uint8]
    """Q, index into PAINTERS."""
    colour: Array
    """Q 3"""
    accent: Array
    """Q 3, a second colour."""
    params: Array
    """Q P, what the painter wants to know."""
    outward: Array
    """Q 3, unit normal."""

    def moved(self, rotation: Array, position: Array) -> "Quads":
        """The same quads after the rigid motion p -> rotation p + position."""
        corners = self.corners @ rotation.T + position
        outward = self.outward @ rotation.T
        return Quads(corners, self.kind, self.colour, self.accent, self.params, outward)

    def only(self, which: list[int]) -> "Quads":
        """Some of the quads."""
        return Quads(*(getattr(self, name)[which] for name in Quads.__annotations__))


def join(parts: list[Quads]) -> Quads:
    """All the quads of `parts`, in order."""
    return Quads(*(np.concatenate([getattr(p, name) for p in parts]) for name in Quads.__annotations__))


@dataclass(frozen=True)
class Balls:
    """N balls (foliage)."""

    centre: Array
    radius: Array
    colour: Array


@dataclass(frozen=True)
class Decals:
    """D quads on the ground that darken it: shadows, patches, covers."""

    corners: Array
    strength: Array
    """D, share of the light that is taken away."""
    soft: Array
    """D, metres over which the edge fades."""
    round: NDArray[np.bool_]
    """D, the ellipse inside the quad, not the whole quad."""
    sun: NDArray[np.bool_]
    """D, takes away the sun's share of the light only, and two of them no more than one."""
