"""The kinds of surface: their numbers, and who paints each."""

from collections.abc import Callable
from functools import partial

from mono2many.street.noise import Array
from mono2many.street.paint import (
    Rays,
    Road,
    paint_body,
    paint_cabin,
    paint_facade,
    paint_ground,
    paint_plain,
    paint_wheel,
)
from mono2many.street.roads import paint_ramp
from mono2many.street.wide_paint import (
    paint_board,
    paint_box,
    paint_hill,
    paint_skyline,
    paint_turf,
    paint_wood,
)

SKY = -1
KIND = {
    "ground": 0, "ball": 1, "wheel": 2, "plain": 3, "facade": 4, "body": 5, "cabin": 6,
    "box": 7, "board": 8, "turf": 9, "wood": 10, "hill": 11, "skyline": 12,
    "clean body": 13, "clean cabin": 14, "ramp": 15,
}  # fmt: skip
PAINTERS: dict[int, Callable[[Rays, Road], Array]] = {
    KIND["ground"]: paint_ground,
    KIND["wheel"]: paint_wheel,
    KIND["plain"]: paint_plain,
    KIND["facade"]: paint_facade,
    KIND["body"]: paint_body,
    KIND["cabin"]: paint_cabin,
    KIND["box"]: paint_box,
    KIND["board"]: paint_board,
    KIND["turf"]: paint_turf,
    KIND["wood"]: paint_wood,
    KIND["hill"]: paint_hill,
    KIND["ramp"]: paint_ramp,
    KIND["skyline"]: paint_skyline,
    KIND["clean body"]: partial(paint_body, grime=0.07),
    KIND["clean cabin"]: partial(paint_cabin, grime=0.07),
}
OUTLINED = {KIND["wood"], KIND["hill"], KIND["skyline"]}
"""Quads whose upper edge is an outline; see wide_paint.outline."""
