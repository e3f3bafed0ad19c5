"""Does it matter what a decoder's convolutions see beyond the border?

The same small network, from the same first weights and with the same samples in the same order, learns depth
with each padding of its decoder; then its error is measured on streets it never saw, by distance from the
border. Writes padding.md (table), padding.json (all figures) and padding.png (picture).
"""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch
import tyro
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from mono2many.data.augment import Augmentation, to_batch
from mono2many.data.dataset import BatchOrder, ClipDataset
from mono2many.losses.objective import MonoTerms
from mono2many.metrics.protocol import PROTOCOLS, align
from mono2many.metrics.sparse import every_pixel
from mono2many.models.architecture import MonoArchitecture, Padding
from mono2many.models.mono import MonoDepth
from mono2many.street.reader import StreetSettings, SyntheticReader
from mono2many.train.optim import learning_rate, make_optimiser
from mono2many.train.plan import StepPlan
from mono2many.train.steps import Draw, mono_step
from mono2many.types import Batch, RawBatch, Split

PADDINGS: tuple[Padding, ...] = get_args(Padding)
BAND, OUTERMOST = 8, 2
STAGES = {0.2: ((0, 2),), 0.6: ((0, 1), (0, 2)), 1.0: ((0, 0), (0, 1))}
"""Coarse to fine: until this share of the steps, the map is judged at these pyramid levels."""


@dataclass(frozen=True)
class Settings:
    """Train one small network with three paddings; measure near the border and inside."""

    signal: Literal["supervised", "self"] = "supervised"
    """What teaches depth: the exact depth, or moving pictures alone (then give more steps)."""
    steps: int = 800
    """Of each training; there is one for every padding and seed."""
    seeds: tuple[int, ...] = (0, 1)
    """Each decides first weights and order of the samples."""
    scenes: int = 320
    """Streets to learn from; a quarter as many others are measured on."""
    height: int = 96
    """Of the pictures, a multiple of 32."""
    width: int = 160
    """Of the pictures, a multiple of 32."""
    out: Path = Path("outputs/padding")
    """Folder to write to."""


def draw_samples(s: Settings, split: Split, scenes: int) -> RawBatch:
    """The middle one of three frames of every street, with its neighbours."""
    dataset = ClipDataset(SyntheticReader(StreetSettings(scenes, 3, s.height, s.width), split), (-1, 1))
    return dataset.batch([3 * scene + 1 for scene in range(scenes)])


def some(samples: RawBatch, chosen: list[int]) -> RawBatch:
    return RawBatch(**{name: None if v is None else v[chosen] for name, v in vars(samples).items()})


def train(s: Settings, padding: Padding, seed: int, street: RawBatch) -> MonoDepth:
    architecture = MonoArchitecture("light", "light", padding, scales=1, pose_type="light")
    torch.manual_seed(seed)  # padding has no weights: the three begin alike
    model = MonoDepth(architecture).to(memory_format=torch.channels_last)
    optimiser, count = make_optimiser(model, "adamw", 1e-3), len(street.index)
    for step, chosen in enumerate(BatchOrder(count, min(8, count), seed, 0, s.steps)):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, s.steps, 1e-3, "cosine", warm_up=0.06)
        batch = to_batch(some(street, chosen), (-1, 1), "cpu", Augmentation(jitter=False), seed, step)
        progress = step / s.steps
        heads = next(heads for until, heads in STAGES.items() if progress < until)
        plan = StepPlan(architecture, MonoTerms(automask=progress >= 0.6), heads)
        if s.signal == "supervised":
            loss = supervised_loss(model, batch)
        else:
            loss, _ = mono_step(model, batch, plan, Draw(seed, step))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model.eval()


def supervised_loss(model: MonoDepth, batch: Batch) -> Tensor:
    """|log depth - log exact depth|, where that is below 80 m."""
    assert batch.depth is not None
    known = batch.depth.isfinite() & (batch.depth < 80)
    error = (model.depth(batch.target_jittered).log() + torch.where(known, batch.depth, 1).log()).abs()
    return error.masked_fill(~known, 0).sum() / known.sum().clamp(min=1)


@torch.no_grad()
def relative_errors(model: MonoDepth, samples: RawBatch) -> tuple[Tensor, Tensor]:
    """|depth - truth| / truth (NaN where the protocol does not count) and disparity in 1/m, each N H W."""
    errors, disparities = [], []
    assert samples.depth is not None
    for image, truth in zip(samples.frames[:, :1], samples.depth, strict=True):
        disparity = model.depth(image / 255)[0]
        aligned = align(disparity, every_pixel(truth), PROTOCOLS["synthetic-80m"])
        assert aligned is not None
        depth, kept = (flat.view_as(truth) for flat in (aligned.depth, aligned.kept))
        errors.append(((depth - truth).abs() / truth).masked_fill(~kept, torch.nan))
        disparities.append(disparity / aligned.ratio)
    return torch.stack(errors), torch.stack(disparities)


def main(s: Settings) -> None:
    began = time.monotonic()
    runs: list[dict[str, Any]] = []
    pictures: dict[str, tuple[Tensor, Tensor]] = {}
    s.out.mkdir(parents=True, exist_ok=True)
    street, unseen = draw_samples(s, "train", s.scenes), draw_samples(s, "test", max(1, s.scenes // 4))
    y, x = torch.arange(s.height)[:, None], torch.arange(s.width)
    border = torch.stack(torch.broadcast_tensors(y, s.height - 1 - y, x, s.width - 1 - x)).amin(0)
    regions = {"whole image": border >= 0, f"inside ({BAND} px and more)": border >= BAND}
    regions |= {f"border ({BAND} px)": border < BAND, f"outermost {OUTERMOST} px": border < OUTERMOST}
    for seed in s.seeds:
        for padding in PADDINGS:
            errors, disparities = relative_errors(train(s, padding, seed, street), unseen)
            abs_rel = {n: errors[:, r].nanmean(1).nanmean().item() for n, r in regions.items()}
            rings = [errors[:, border == d].nanmean(1).nanmean().item() for d in range(s.height // 4)]
            runs.append({"padding": padding, "seed": seed, "abs_rel": abs_rel, "by_distance": rings})
            pictures.setdefault(padding, (disparities[0], errors.nanmean(0)))
            print(f"{time.monotonic() - began:4.0f} s  seed {seed} {padding:9} {abs_rel}", flush=True)
    about = {"protocol": "synthetic-80m", "images": len(unseen.index), "settings": asdict(s)}
    (s.out / "padding.json").write_text(json.dumps({**about, "runs": runs}, indent=1, default=str))
    lines = [f"| Abs Rel, {s.signal} | {' | '.join(regions)} |", "|---" * (len(regions) + 1) + "|"]
    for padding in PADDINGS:
        values = [[r["abs_rel"][n] for r in runs if r["padding"] == padding] for n in regions]
        cells = [f"{sum(v) / len(v):.3f} ({', '.join(f'{x:.3f}' for x in v)})" for v in values]
        lines.append(f"| {padding} | {' | '.join(cells)} |")
    (s.out / "padding.md").write_text("\n".join(lines) + "\n")
    draw_picture(s.out / "padding.png", unseen.frames[0, 0], pictures, runs)
    print("\n".join(lines))


def draw_picture(path: Path, image: Tensor, pictures: dict[str, Any], runs: list[dict[str, Any]]) -> None:
    """An image and its disparities; below, error by distance and its map near a corner (first seed)."""
    figure = Figure(figsize=(14, 5.2), layout="constrained")
    axes = figure.subplots(2, 4)
    axes[0, 0].imshow(image.permute(1, 2, 0))
    axes[0, 0].set_title("an unseen street; dotted: border band")
    brightest = pictures["reflect"][0].quantile(0.98)
    height, width = image.shape[-2:]
    for column, padding in enumerate(PADDINGS, 1):
        disparity, error = pictures[padding]
        axes[0, column].imshow(disparity, cmap="magma", vmin=0, vmax=brightest)
        axes[0, column].set_title(f"{padding}: disparity (bright is near)")
        heat = axes[1, column].imshow(error, cmap="viridis", vmin=0, vmax=0.4)
        axes[1, column].set(xlim=(-0.5, width // 4 - 0.5), ylim=(height - 0.5, 3 * height // 4 - 0.5))
        axes[1, column].set_title(f"{padding}: mean error, corner")
        curves = torch.tensor([r["by_distance"] for r in runs if r["padding"] == padding])
        axes[1, 0].plot(curves.mean(0), label=padding, color=f"C{column}", linewidth=2)
        axes[1, 0].plot(curves.T, color=f"C{column}", linewidth=0.5)
    figure.colorbar(heat, ax=axes[1, 3], label="Abs Rel")
    for axis in (*axes[0], *axes[1, 1:]):
        axis.set_axis_off()
        corner, size = (BAND - 0.5, BAND - 0.5), (width - 2 * BAND, height - 2 * BAND)
        axis.add_patch(Rectangle(corner, *size, fill=False, edgecolor="white", linestyle=":"))
    axes[1, 0].axvline(BAND - 0.5, color="grey", linestyle=":")
    axes[1, 0].set(xlabel="pixels from the border (thin: single seeds)", ylabel="Abs Rel")
    axes[1, 0].legend()
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    main(tyro.cli(Settings))
