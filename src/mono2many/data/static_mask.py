"""What is fixed to the camera: the ego vehicle along the bottom, burnt-in text and logos, black bars.

While the camera moves, the world's edges move in the image; those of a bonnet, a clock or a bar stay at the
same pixel. Low variation in time is not enough: sky and plain asphalt have it too. Scenery that happens to
stay (the horizon of a straight motorway, a lorry ahead for a minute) lies in the middle of the image: text is
looked for near the upper and the lower border only, and a band along the bottom has to span the width.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

FEWEST = 20
"""Frames below which nothing is called fixed."""
MOST = 80
"""Frames that are enough."""
SLOPE = 3 / 255
"""Of an edge that counts, in grey values per pixel: the mean of all frames."""
STRONG_SLOPE = 8 / 255
"""Of text and of the ego vehicle's edge. Windscreen reflections on the highway: 3 to 5."""
ALWAYS, OFTEN = 0.9, 0.6
"""Share of the frames in which a fixed edge, and a digit that changes, is seen as in the mean. Highway:
bonnet 0.95 and more, lane markings 0.6, horizon 0.9."""
LOWER = 2 / 3
"""Share of the height above which no ego vehicle is looked for."""
MARGIN = 0.2
"""Share of the height, from above and from below, in which text is looked for."""
SPANNED = 0.6
"""Share of the width along which the ego vehicle's edge is in view."""
NEAR = 4
"""Pixels between parts of one text."""
SMALLEST = 1.5e-3
"""Share of the image below which a text is a speck: a stain on the windscreen."""
BLACK, CHANGE = 32 / 255, 12 / 255
"""Brightest value of a black bar, and by how much it varies at most."""
GROWN = 2
"""Pixels by which the mask is larger than what was found."""


class Spread:
    """Of frames that are added one after the other some that are spread evenly, MOST or fewer."""

    def __init__(self) -> None:
        self.frames, self.count, self.stride = list[Tensor](), 0, 1

    def add(self, frame: Tensor) -> None:
        if self.count % self.stride == 0:
            self.frames.append(frame)
        self.count += 1
        if len(self.frames) == MOST:
            self.frames, self.stride = self.frames[::2], 2 * self.stride


@torch.no_grad()
def static_mask(frames: Float[Tensor, "N H W"]) -> Bool[Tensor, "H W"]:
    """Pixels that show the world: False on what is fixed to the camera.

    frames: grey, 0 to 1, about 320 wide, spread over the moving parts of a video (40 to 100). Of fewer than
    FEWEST all pixels are True."""
    _, height, width = frames.shape
    usable = torch.ones(height, width, dtype=torch.bool)
    if len(frames) < FEWEST:
        return usable
    top, bottom, left, right = black_bars(frames)
    inside = slice(top, height - bottom), slice(left, width - right)
    usable[:] = False
    usable[inside] = True
    view = frames[:, *inside]
    if min(view.shape[1:]) >= 4 * NEAR:
        slope, share = persistence(view)
        band = ego_vehicle(slope, share)
        usable[inside] = ~(band | overlays(slope, share))
    return ~_grown(~usable, GROWN)


def black_bars(frames: Float[Tensor, "N H W"]) -> list[int]:
    """Rows at the top and at the bottom, columns at the left and at the right, that are black in all frames
    and end at a straight line. The sky of a night does not."""
    low, high = frames.amin(0), frames.amax(0)
    black = (high < BLACK) & (high - low < CHANGE)
    found = []
    for lines in (black, black.flip(0), black.T, black.T.flip(0)):
        share = lines.float().mean(1)
        count = int((share > 0.995).long().cumprod(0).sum())
        straight = float(share[count : count + 3].min()) < 0.3 if 0 < count < 0.4 * len(share) else False
        found.append(count if straight else 0)
    return found


def persistence(
    frames: Float[Tensor, "N H W"],
) -> tuple[Float[Tensor, "H W"], Float[Tensor, "H W"]]:
    """Length of the mean gradient, in grey values per pixel, and the share of frames whose gradient has its
    direction within 45 degrees and at least 0.4 of its length."""
    padded = F.pad(frames[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    across = (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]) / 2
    down = (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]) / 2
    x, y = across.mean(0), down.mean(0)
    slope = torch.hypot(x, y)
    along = (across * x + down * y) / (slope + 1e-6)
    aside = (across * y - down * x).abs() / (slope + 1e-6)
    seen = (along > aside) & (along > 0.4 * slope) & (along > 0.6 * SLOPE)
    return slope, seen.float().mean(0)


def ego_vehicle(slope: Float[Tensor, "H W"], share: Float[Tensor, "H W"]) -> Bool[Tensor, "H W"]:
    """All below the fixed edge that runs from the left to the right border in the lower third: where it
    mirrors the sky the inside may change. The strongest path, by dynamic programming; it may run along the
    lower border where the vehicle is out of view."""
    height, width = slope.shape
    first = int(LOWER * height)
    gain = torch.where((share > 0.5) & (slope > SLOPE), slope.clamp(max=STRONG_SLOPE) * share, 0)[first:]
    gain = F.pad(gain, (0, 0, 0, 1))  # a row below the image
    best, steps = gain[:, 0], []
    for column in gain[:, 1:].unbind(1):
        best, step = F.max_pool1d(best[None, None], 3, 1, 1, return_indices=True)
        steps.append(step[0, 0])
        best = best[0, 0] + column
    path = [int(best.argmax())]
    for step in reversed(steps):
        path.append(int(step[path[-1]]))
    rows = torch.tensor(path[::-1])
    seen = torch.where(slope > STRONG_SLOPE / 2, share, 0)[first:]
    seen = F.max_pool2d(F.pad(seen, (0, 0, 1, 2))[None], (3, 1), 1)[0][rows, torch.arange(width)]
    in_view = rows < height - first
    seen, low = seen[in_view], float(rows.float().mean()) > (1 - MARGIN) * height - first
    # near the lower border there is no scenery that stays, as a horizon does
    good = len(seen) > SPANNED * width and float((seen > 0.5).float().mean()) > 0.8
    good = good and float(seen.mean()) > (OFTEN if low else 0.8)
    # of several fixed edges close to each other the highest is the vehicle's outline
    edges = F.pad(((share > OFTEN) & (slope > SLOPE))[first:], (0, 0, NEAR, 1))
    steps_up = torch.arange(NEAR + 1)[:, None]
    above = edges[rows + NEAR - steps_up, torch.arange(width)]
    rows = (rows - (above * steps_up).amax(0)).float()
    side = 4 * NEAR  # narrower notches are filled
    for sign in (-1, 1):
        rows = sign * F.max_pool1d(sign * rows[None], 2 * side + 1, 1, side)[0]
    return (torch.arange(height)[:, None] >= first + rows) & good


def overlays(slope: Float[Tensor, "H W"], share: Float[Tensor, "H W"]) -> Bool[Tensor, "H W"]:
    """Text and logos: dense fixed edges close to each other, near the upper or the lower border."""
    height, width = slope.shape
    margin = int(MARGIN * height)
    edges = (share > OFTEN) & (slope > SLOPE)
    parts = _labels(_grown(edges, NEAR // 2))
    fixed = (share > ALWAYS) & (slope > STRONG_SLOPE)
    found = torch.zeros_like(edges)
    for label in parts[fixed].unique().tolist():
        part = edges & (parts == label)
        rows = part.any(1).nonzero()
        inside = int(rows[-1]) < margin or int(rows[0]) >= height - margin
        own = fixed & part
        dense = float(own.sum()) > 0.3 * float(part.sum())
        hull = _between(part & _grown(own, 2 * NEAR))
        if inside and dense and float(hull.sum()) > SMALLEST * height * width:
            found |= hull
    return found


def _between(part: Bool[Tensor, "H W"]) -> Bool[Tensor, "H W"]:
    """Filled from each row's first pixel to its last, and each column's."""
    filled = part
    for dim in (0, 1):
        before = filled.long().cumsum(dim) > 0
        after = filled.flip(dim).long().cumsum(dim).flip(dim) > 0
        filled = filled | (before & after)
    return filled


def _labels(region: Bool[Tensor, "H W"]) -> Float[Tensor, "H W"]:
    """A number for each connected part, 0 outside: the largest spreads until nothing changes."""
    labels = torch.arange(1.0, region.numel() + 1).view_as(region) * region
    while True:
        spread = F.max_pool2d(labels[None], 3, 1, 1)[0] * region
        if torch.equal(spread, labels):
            return labels
        labels = spread


def _grown(region: Bool[Tensor, "H W"], pixels: int) -> Bool[Tensor, "H W"]:
    return F.max_pool2d(region[None].float(), 2 * pixels + 1, 1, pixels)[0] > 0


def hidden_in_words(usable: Bool[Tensor, "H W"]) -> str:
    """Such as '5.1% of the picture, at the bottom'."""
    hidden = (~usable).float()
    (height, width), columns = hidden.shape, hidden.amin(0)
    rest = hidden * (1 - columns)
    shares = {
        "the top": rest[: height // 3].sum() / hidden.numel(),
        "the bottom": rest[2 * height // 3 :].sum() / hidden.numel(),
        "the left": columns[: width // 2].sum() / width,
        "the right": columns[width // 2 :].sum() / width,
        "the middle": rest[height // 3 : 2 * height // 3].sum() / hidden.numel(),
    }
    places = " and ".join(place for place, share in shares.items() if share > 1e-3)
    return f"{hidden.mean():.1%} of the picture, at {places}"
