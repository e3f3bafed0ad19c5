"""The report of a score without measured depth: how each frame looks when it is made from its neighbours."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from mono2many.evaluate.photometric import Prediction, reconstruct
from mono2many.evaluate.report.gallery import MAX_WIDTH
from mono2many.evaluate.report.page import render
from mono2many.geometry.ground import holes
from mono2many.io.colour import colour_disparity
from mono2many.io.images import resize_image

HOLE_COLOUR = torch.tensor([255, 0, 255], dtype=torch.uint8)
"""Of pixels below the road's plane."""
ERROR_LIMIT = 0.5
"""Photometric error at the bright end of the colour map."""


@dataclass(frozen=True)
class ViewItem:
    """A frame with what was made of it, all RGB and of one size."""

    label: str
    """Why it is shown, for example 'Worst 1'."""
    caption: str
    """Which it is."""
    ratio: float
    """Photometric error / that of the un-warped neighbours."""
    images: Mapping[str, UInt8[Tensor, "3 H W"]]


def view_maps(predictions: Iterable[Prediction]) -> Iterator[dict[str, UInt8[Tensor, "3 _ _"]]]:
    """Of each frame: itself, its disparity, its holes (if any), the view from each neighbour (black where
    it sees nothing) and the error of the best view, MAX_WIDTH wide at most."""
    for p in predictions:
        below, _ = holes(1 / p.depth.float(), p.batch.intrinsics, p.batch.valid_mask)
        (views, seen, error, known), _ = reconstruct(p)
        for i, target in enumerate(p.batch.target):
            images = {"frame": as_bytes(target), "disparity": colour_disparity(1 / p.depth[i].float())}
            if below[i].any():
                images["holes"] = torch.where(below[i], HOLE_COLOUR[:, None, None], images["frame"])
            for s, offset in enumerate(p.batch.source_offsets):
                if bool(p.batch.source_exists[i, s]):
                    images[f"made from frame {offset:+d}"] = as_bytes(views[i, s] * seen[i, s])
            masked = torch.where(known[i], error[i], torch.nan)
            images["photometric error"] = colour_disparity(masked, 0.0, ERROR_LIMIT)
            height, width = target.shape[1:]
            scale = min(1.0, MAX_WIDTH / width)
            size = (round(height * scale), round(width * scale))
            yield {name: resize_image(image, size) for name, image in images.items()}


def as_bytes(image: Float[Tensor, "3 H W"]) -> UInt8[Tensor, "3 H W"]:
    """From [0, 1] to 0 .. 255, on the host."""
    return (image * 255).round().clamp(0, 255).to(torch.uint8).cpu()


def write_views(
    path: str | Path,
    title: str,
    rows: Sequence[tuple[str, float, float]],
    items: Sequence[ViewItem],
    facts: Mapping[str, str],
    decisions: Sequence[tuple[str, str, str, str]] = (),
    pictures: Mapping[str, UInt8[Tensor, "3 _ _"]] | None = None,
) -> None:
    """Write the page. rows: name, photometric error, its ratio to the un-warped neighbours'; the first is the
    model's. decisions: name, value, reason, flag. InputError where the file cannot be written."""
    values: dict[str, Any] = {
        "title": title,
        "rows": rows,
        "items": items,
        "facts": facts,
        "decisions": decisions,
    }
    values |= {"pictures": pictures or {}, "today": date.today().isoformat(), "limit": ERROR_LIMIT}
    render(path, "views.html.jinja", **values)
