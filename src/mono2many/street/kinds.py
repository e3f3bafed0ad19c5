"""The kinds of surface: their numbers, and who paints each."""

from functools import partial

from mono2many.street import paint, wide_paint
from mono2many.street.paint import Painter

_PAINTERS: dict[str, Painter] = {
    "wheel": paint.paint_wheel,
    "plain": paint.paint_plain,
    "facade": paint.paint_facade,
    "body": paint.paint_body,
    "cabin": paint.paint_cabin,
    "box": wide_paint.paint_box,
    "board": wide_paint.paint_board,
    "turf": wide_paint.paint_turf,
    "wood": wide_paint.paint_wood,
    "hill": wide_paint.paint_hill,
    "skyline": wide_paint.paint_skyline,
    "clean body": partial(paint.paint_body, grime=0.07),
    "clean cabin": partial(paint.paint_cabin, grime=0.07),
}
# the renderer paints balls, the road ground and ramps
KIND = {name: number for number, name in enumerate(("ground", "ball", *_PAINTERS, "ramp"))}
PAINTERS = {KIND[name]: painter for name, painter in _PAINTERS.items()}
OUTLINED = {KIND["wood"], KIND["hill"], KIND["skyline"]}
"""Quads whose upper edge is an outline; see wide_paint.outline."""
