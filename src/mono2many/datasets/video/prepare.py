"""The command `prepare video`: decodes videos once and lists the clips that a model can be trained on."""

import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool
from rich.console import Console
from rich.text import Text
from torch import Tensor
from torch.nn import functional as F

from mono2many.data.measure import (
    SHARPNESS_WIDTH,
    THRESHOLDS,
    PairMeasures,
    find_blurred,
    find_cuts,
    grey_and_sharpness,
    measure_pairs,
    size_at_width,
)
from mono2many.data.static_mask import Spread, hidden_in_words, static_mask
from mono2many.datasets.video.clips import FORMAT, LIST, VERSION, checked_size
from mono2many.errors import one_line
from mono2many.files import read_json, telling_progress, write_text
from mono2many.geometry.camera import Size
from mono2many.io.images import (
    image_folder,
    image_size,
    read_image,
    resize_image,
    warn_of_few_levels,
    write_image,
)
from mono2many.io.inputs import expand, name_of
from mono2many.io.videos import probe_video, timed_frames
from mono2many.models.checkpoint import input_size, read_card
from mono2many.models.starter import STARTER
from mono2many.terminal import command, say, text_console, track
from mono2many.types import InputError

PAUSE = 1.0
"""Seconds without a kept frame that end a clip."""
IMAGE_RATE = 25
"""Frames per second that images are taken to have."""
WORDS = {
    "duplicates": "repeated",
    "still": "static",
    "off_grid": "beyond the frame rate",
    "short_clips": "in short clips",
}
"""Why frames are left out: the list's key and the summary's words."""


class FrameRecord(NamedTuple):
    """What was measured of a frame; difference and agreement are with the frame before."""

    time: float | None
    """Seconds; None where they are not known."""
    difference: float
    agreement: float
    sharpness: float
    fate: str
    """kept, duplicates, still or off_grid."""
    motion: float = 0.0
    """Displacement since the last frame that was kept: upper quartile, in shares of the width."""


class Scan(NamedTuple):
    """A video, or a folder of images, with its frames in decoding order."""

    size: Size
    """Height and width."""
    step: float | None
    """Seconds from one wanted frame to the next; None where they are not known."""
    frames: list[FrameRecord]
    mask: Bool[Tensor, "h w"]
    """False on what is fixed to the camera, of a small frame."""
    gaps: Sequence[int] = ()
    """Frames that do not follow the one before: an image of another kind lies between them."""


def prepare_video(
    inputs: Sequence[str],
    out: str,
    shortest: int = 12,
    console: Console | None = None,
    advise: bool = True,
) -> list[Path]:
    """Write OUT/STEM.clips.json for each video or folder of images; returns these paths. InputError where a
    video cannot be read to its end, or none of its frames is left. advise: print the training command."""
    console = console or text_console()
    paths = [Path(path) for path in expand(inputs)]
    names = [name_of(path) for path in paths]
    targets = [Path(out) / f"{name}{LIST}" for name in names]
    # in a folder of their own: beside videos or images they would be read as frames
    masks = [Path(out) / "masks" / f"{name}.png" for name in names]
    for mask, target in zip(masks, targets, strict=True):
        if mask.exists() and not target.exists():
            raise InputError(f"{mask}: exists, without its list; move it away, or give another --out")
    for target, count in Counter(targets).items():
        if count > 1:
            raise InputError(
                f"{target.name}: two inputs have this name; rename one, or give each an --out of its own"
            )
        if target.exists() and not is_list(target):
            raise InputError(f"{target}: exists and is no list of clips; move it away, or give another --out")
    written = list[Path]()
    with telling_progress(lambda: f"{len(written)} of {len(targets)} lists are written"):
        for path, target, mask in zip(paths, targets, masks, strict=True):
            seen = scan(path, console)
            clips = clip_list(path, seen, target.parent, shortest)
            clips["mask"] = None if seen.mask.all() else f"masks/{mask.name}"
            write_text(target, json.dumps(clips) + "\n")
            if clips["mask"]:
                write_mask(mask, seen)
            written.append(target)
            print_summary(console, path, clips)
            if clips["mask"]:
                where = f"{hidden_in_words(seen.mask)} (masks/{one_line(mask.name)})"
                say(console, f"  fixed to the camera: {where}; leave it in: --mask none")
    if advise:
        _advise(targets, (clips["height"], clips["width"]), names[0], console)
    return targets


def _advise(targets: Sequence[Path], size: Size, name: str, console: Console) -> None:
    """Print the command that trains on these lists."""
    height, width = input_size(read_card(STARTER), size)
    words: list[str | Path] = [
        "train",
        "--start-from",
        STARTER,
        "--datatype",
        "video",
        "--data",
        *targets,
        "--camera",
        "learn",
    ]
    words += ["--height", str(height), "--width", str(width), "--batch-size", "4", "--steps", "500"]
    say(
        console,
        "Next, with the camera's file in place of `learn` where there is one (without --start-from ImageNet "
        f"weights are downloaded):\n  {command(*words, '--name', name)}",
    )


def write_mask(path: Path, seen: Scan) -> None:
    """As large as the video: white where it is used."""
    mask = F.interpolate(seen.mask[None, None].float(), seen.size, mode="nearest-exact")[0]
    write_image(path, (255 * mask.expand(3, -1, -1)).to(torch.uint8))


def is_list(path: Path) -> bool:
    try:
        return read_json(path, "").get("format") == FORMAT
    except InputError:
        return False


def scan(path: Path, console: Console) -> Scan:
    """Decode a video, or open a folder's images, once; measure each frame against the one before and against
    the last one that was kept."""
    step, off_grid, gaps = None, set[float](), list[int]()
    if path.is_dir():
        folder = image_folder(path)
        images, gaps = folder.images, [run.start for run in folder.runs[1:]]
        warn_of_few_levels(path, images)
        size, total = image_size(images[0]), len(images)
        frames = shrunk_images(images, size)
    else:
        info = probe_video(path)
        size, total, step = (info.height, info.width), info.frames, usual_step(info.times)
        off_grid = beyond_rate(info.times, step or 0)
        frames = timed_frames(path, SHARPNESS_WIDTH)
    records: list[FrameRecord] = []
    before: Tensor | None = None
    kept: Tensor | None = None
    spread = Spread()
    if not console.is_terminal:  # which shows a bar instead
        say(console, f"decoding {total} frames of {one_line(path.name)}")
    for time, image in track(frames, path.name, total, console=console):
        grey, sharp = grey_and_sharpness(image)
        pair = None if before is None else measure_pairs(before, grey)
        since_kept = pair if kept is None or kept is before else measure_pairs(kept, grey)
        fate = "off_grid" if time in off_grid else fate_of(since_kept)
        motion = 0.0 if since_kept is None else since_kept.most.item()
        difference = 0.0 if pair is None else pair.difference.item()
        agreement = 1.0 if pair is None else pair.agreement.item()
        records.append(FrameRecord(time, difference, agreement, sharp, fate, motion))
        before = grey
        if fate == "kept":
            kept = grey
            spread.add(grey)
    return Scan(size, step, records, static_mask(torch.cat(spread.frames)), gaps)


def shrunk_images(paths: Sequence[Path], size: Size) -> Iterator[tuple[float | None, Tensor]]:
    """A folder's images, as `timed_frames` gives those of a video: without times, shrunk."""
    small = size_at_width(*size, SHARPNESS_WIDTH) if size[1] > SHARPNESS_WIDTH else size
    for path in paths:
        yield None, resize_image(checked_size(read_image(path), size, path), small)


def fate_of(since_kept: PairMeasures | None) -> str:
    """Of a frame, by its comparison with the last one that was kept; None: it is the first."""
    if since_kept is None:
        return "kept"
    if since_kept.repeated.item():
        return "duplicates"
    one_scene = since_kept.agreement > THRESHOLDS.same_scene
    return "still" if (since_kept.static & one_scene).item() else "kept"


def clip_list(path: Path, seen: Scan, folder: Path, shortest: int) -> dict[str, Any]:
    """The contents of the list that lies in `folder`. InputError where no clip is long enough."""
    frames = seen.frames
    cuts = find_cuts([f.difference for f in frames], [f.agreement for f in frames])
    long = [clip for clip in split_at([*cuts, *seen.gaps], seen) if len(clip) >= shortest]
    used = [i for clip in long for i in clip]
    fates = Counter[str](f.fate for f in frames)
    fates["short_clips"] = fates["kept"] - len(used)
    left_out = {name: fates[name] for name in WORDS}
    if not long:
        remedy = (
            f"record while the camera moves; clips of fewer than {shortest} frames are left out "
            "(prepare video --shortest)"
        )
        remedy = "convert the files of other kinds that lie between them" if seen.gaps else remedy
        raise InputError(
            f"{path}: nothing is left of {len(frames)} frames: {in_words(left_out, len(frames))}; {remedy}"
        )
    first = next((f.time for f in frames if f.time is not None), 0.0)
    clips: list[dict[str, Any]] = []
    for clip in long:
        times = [round(time - first, 6) for i in clip if (time := frames[i].time) is not None]
        clips.append({"frames": clip, "times": times if len(times) == len(clip) else None})
    return {
        "format": FORMAT,
        "version": VERSION,
        "film": Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix(),
        "bytes": 0 if path.is_dir() else path.stat().st_size,
        "width": seen.size[1],
        "height": seen.size[0],
        "fps": None if seen.step is None else 1 / seen.step,
        "clips": clips,
        "frames": len(frames),
        "motion": median(frames[i].motion for clip in long for i in clip[1:]),
        "left_out": left_out,
        "cuts": cuts,
        "blurred": [used[k] for k in find_blurred([frames[i].sharpness for i in used])],
    }


def split_at(cuts: Sequence[int], seen: Scan) -> list[list[int]]:
    """The kept frames' numbers, in clips that end at cuts or gaps and at long pauses."""
    pause = max(PAUSE, 2.5 * (seen.step or 0))
    clips: list[list[int]] = []
    for i, frame in enumerate(seen.frames):
        if frame.fate != "kept":
            continue
        last = clips[-1][-1] if clips else 0
        start, end = seen.frames[last].time, frame.time
        waited = (i - last) / IMAGE_RATE if start is None or end is None else end - start
        if not clips or waited > pause or any(last < cut <= i for cut in cuts):
            clips.append([])
        clips[-1].append(i)
    return clips


def usual_step(times: Sequence[float]) -> float | None:
    """Seconds between frames at the most frequent rate: the mean of the intervals near the commonest."""
    gaps = [later - time for time, later in pairwise(times) if later > time]
    if not gaps:
        return None
    commonest = Counter(round(gap, 3) for gap in gaps).most_common(1)[0][0]
    near = [gap for gap in gaps if abs(gap - commonest) <= max(0.15 * commonest, 0.0015)]
    return sum(near) / len(near)


def beyond_rate(times: Sequence[float], step: float) -> set[float]:
    """The times that follow the one taken before by little more than half a step, or less."""
    taken = list(times[:1])
    for time in times:
        if time - taken[-1] > 0.55 * step:
            taken.append(time)
    return set(times).difference(taken)


def in_words(left_out: dict[str, int], frames: int) -> str:
    return ", ".join(f"{n} {WORDS[k]} ({n / frames:.1%})" for k, n in left_out.items() if n) or "nothing"


def print_summary(console: Console, path: Path, clips: dict[str, Any]) -> None:
    rate = "images" if clips["fps"] is None else f"{clips['fps']:.4g} frames/s"
    frames, number = clips["frames"], len(clips["clips"])
    kept = sum(len(clip["frames"]) for clip in clips["clips"])
    plural = "" if number == 1 else "s"
    size = f"{clips['width']}x{clips['height']}"
    say(console, Text.assemble((one_line(path.name), "bold"), f": {frames} frames, {size}, {rate}"))
    say(console, f"  kept      {kept} ({kept / frames:.1%}) in {number} clip{plural}")
    say(console, f"  left out  {in_words(clips['left_out'], frames)}")
    for name in ("cuts", "blurred"):
        found = clips[name]
        shown = " ".join(map(str, found[:10])) + (" ..." if len(found) > 10 else "")
        say(console, f"  {name:9} {len(found)}" + (f", at frame {shown}" if found else ""))
