"""A street with things that are fixed to the camera painted over it."""

from functools import cache

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFont
from torch.nn import functional as F

from mono2many.data.static_mask import FEWEST, MOST, Spread, hidden_in_words, static_mask
from mono2many.street.reader import StreetSettings, SyntheticReader

FRAMES, HEIGHT, WIDTH = 24, 180, 320
COLUMNS, ROWS = torch.arange(WIDTH), torch.arange(HEIGHT)[:, None]


@cache
def street(variety):
    """Grey, 0 to 1, drawn at half the size."""
    reader = SyntheticReader(StreetSettings(1, 2 * FRAMES, HEIGHT // 2, WIDTH // 2, variety=variety), "test")
    images = torch.stack([reader.frame(0, 2 * i).image for i in range(FRAMES)]).float().mean(1) / 255
    return F.interpolate(images[:, None], (HEIGHT, WIDTH), mode="bilinear")[:, 0]


def bonnet(frames):
    """A dark arch that mirrors what is above it."""
    under = (ROWS > 156 + 9 * ((COLUMNS - 160) / 160) ** 2).expand(HEIGHT, WIDTH)
    mirrored = 0.1 + 0.2 * frames.flip(1)
    return torch.where(under, mirrored, frames), under


def clock(frames, seconds=7, x=10, y=6):
    """White text with a black outline, of which the last digits change from frame to frame."""
    font, shown, box = ImageFont.load_default(size=11), [], torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
    for i, frame in enumerate(frames):
        image = Image.fromarray((frame.numpy() * 255).astype(np.uint8))
        text = f"2026-11-29 14:03:{seconds * i % 60:02d}"
        draw = ImageDraw.Draw(image)
        draw.text((x, y), text, font=font, fill=255, stroke_width=1, stroke_fill=0)
        left, top, right, bottom = map(round, draw.textbbox((x, y), text, font=font, stroke_width=1))
        box[top:bottom, left:right] = True
        shown.append(torch.from_numpy(np.array(image)) / 255)
    return torch.stack(shown), box


def bars(frames, rows=20):
    bar = ((rows > ROWS) | (HEIGHT - rows - 1 < ROWS)).expand(HEIGHT, WIDTH)
    return frames.masked_fill(bar, 0.02), bar


def overlap(usable, painted):
    return float((~usable & painted).sum() / (~usable | painted).sum())


@pytest.mark.parametrize("variety", ["town", "wide"])
def test_nothing_of_a_street_is_fixed_to_the_camera(variety):
    assert static_mask(street(variety)).all()


@pytest.mark.parametrize(
    ("paint", "least", "where"),
    [(bonnet, 0.8, "the bottom"), (clock, 0.6, "the top"), (bars, 0.85, "the top and the bottom")],
)
def test_what_is_painted_over_a_street_is_found(paint, least, where):
    frames, painted = paint(street("town"))
    usable = static_mask(frames)
    assert overlap(usable, painted) > least
    assert float((painted & ~usable).sum() / painted.sum()) > 0.98
    assert hidden_in_words(usable) == f"{(~usable).float().mean():.1%} of the picture, at {where}"


def test_bars_bonnet_and_clock_are_found_together():
    frames, under = bonnet(street("town"))
    frames, text = clock(frames, y=18)
    frames, bar = bars(frames, 10)
    usable = static_mask(frames)
    for painted in (under, text, bar):
        assert not usable[painted].any()
    assert overlap(usable, under | text | bar) > 0.75


def test_a_bar_beside_a_sky_that_never_changes_is_found_and_the_sky_is_not():
    frames = street("wide").clone()
    frames[:, :60] = torch.linspace(0.5, 0.7, 60)[:, None]
    assert static_mask(frames).all()
    bar = (ROWS < 20).expand(HEIGHT, WIDTH)
    assert overlap(static_mask(frames.masked_fill(bar, 0.0)), bar) > 0.85


def test_a_black_sky_above_the_roofs_is_no_bar():
    skyline = 40 + 12 * torch.sin(COLUMNS / 20)
    assert static_mask(street("town").masked_fill(skyline > ROWS, 0.03)).all()


def test_a_horizon_and_a_lorry_ahead_that_never_move_are_no_part_of_the_vehicle():
    frames = street("town").clone()
    frames[:, :80] = 0.8
    frames[:, 60:140, 110:200] = 0.9
    frames[:, 62:138, 112:198] = 0.2
    frames[:, 120:126, 120:130] = 0.9
    assert static_mask(frames).all()


def test_few_frames_say_nothing():
    frames, _ = bars(street("town"))
    assert static_mask(frames[: FEWEST - 1]).all()


def test_of_many_frames_some_are_kept_that_are_spread_evenly():
    spread = Spread()
    for i in range(1000):
        spread.add(torch.tensor(i))
    numbers = torch.stack(spread.frames)
    assert MOST // 2 <= len(numbers) < MOST
    assert numbers[0] == 0
    assert numbers.diff().unique().tolist() == [16]
