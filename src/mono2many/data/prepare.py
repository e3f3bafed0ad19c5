"""The command `prepare video`: looks through films once and lists the clips that can be learnt from."""

import json
import math
import os
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from jaxtyping import UInt8
from rich.console import Console
from rich.progress import track
from torch import Tensor

from mono2many.data.measure import PairMeasures, measure_pairs, sharpness, shrink, to_grey
from mono2many.io.images import image_size, list_images, read_image, resize_image
from mono2many.io.videos import frame_times, probe_video, timed_frames
from mono2many.types import InputError

FORMAT, VERSION = "mono2many-clips", 1
WIDTH = 640
"""Frames are looked at in this width."""
REPEATED = 0.3 / 255
"""Mean difference to the frame before below which a frame repeats it. A highway at 25 frames/s has 1.3 / 255
and more; a repeated frame that was compressed again 0.2 / 255 at most."""
STANDING = 8e-4
"""A quarter of the picture moves less than this share of its width (half a pixel of 640): nothing to learn
from. A highway at 25 frames/s has 2.4e-3 and more."""
SAME_SCENE = 0.35
"""Agreement of neighbours below which a cut is possible. Highway, street and KITTI have 0.49 and more; pairs
across a cut 0.31 and less."""
JUMP = 1.5
"""A cut's difference to that of the pairs around it, at least: fast motion lasts, a cut does not."""
BLURRED = 0.5
"""Share of the sharpness of the frames around it, below which a frame is blurred."""
PAUSE = 1.0
"""Seconds without a kept frame that end a clip."""


@dataclass
class Look:
    """What was seen of a film, per frame in decoding order; comparisons are with the frame before."""

    width: int
    height: int
    step: float | None
    """Seconds from one wanted frame to the next; None where no one knows."""
    times: list[float | None] = field(default_factory=list)
    difference: list[float] = field(default_factory=list)
    agreement: list[float] = field(default_factory=list)
    sharpness: list[float] = field(default_factory=list)
    fate: list[str] = field(default_factory=list)
    """kept, duplicates, still or off_grid."""


def prepare_video(
    inputs: Sequence[str],
    out: str,
    fps: float | None = None,
    shortest: int = 12,
    console: Console | None = None,
) -> list[Path]:
    """Write OUT/STEM.clips.json for each film or folder of pictures; returns these paths.

    InputError where a film cannot be read to its end, or nothing is left of it.
    """
    console = console or Console(highlight=False)
    targets = [Path(out) / f"{_stem(Path(path))}.clips.json" for path in inputs]
    for path, count in Counter(targets).items():
        if count > 1:
            raise InputError(
                f"{path.name}: two inputs have this name; prepare them apart, with another --out"
            )
    for path in targets:
        _may_replace(path)
    for path, target in zip(map(Path, inputs), targets, strict=True):
        clips = clip_list(path, look(path, fps, console), target.parent, shortest)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
        temporary.write_text(json.dumps(clips) + "\n")
        temporary.replace(target)
        _summary(console, path, clips)
    lists = shlex.join(map(str, targets))
    console.print(
        f"Next, with the camera's file or --camera learn:\n  mono2many train --datatype video --data {lists} "
        "--camera learn",
        soft_wrap=True,
    )
    return targets


def look(path: Path, fps: float | None, console: Console) -> Look:
    """Decode a film, or open a folder's pictures, once, and measure each frame against its forerunners."""
    unwanted: set[float | None] = set()
    if path.is_dir():
        if fps is not None:
            raise InputError(f"{path}: --fps {fps:g} needs times, which pictures do not have; leave it out")
        images = list_images(path)
        height, width = image_size(images[0])
        seen, total = Look(width, height, None), len(images)
        frames = _pictures(images, (height, width))
    else:
        info, times = probe_video(path), frame_times(path)
        step = 1 / fps if fps else usual_step(times)
        seen, total = Look(info.width, info.height, step), info.frames
        if step:
            unwanted |= set(times).difference(times[i] for i in on_grid(times, step))
        frames = timed_frames(path, WIDTH)
    before: Tensor | None = None
    kept: Tensor | None = None
    for time, image in track(frames, path.name, total, console=console, transient=True):
        large = to_grey(image[None], WIDTH)
        grey = shrink(large)
        pair = None if before is None else measure_pairs(before, grey)
        if time in unwanted:
            fate = "off_grid"
        else:
            since = pair if kept is before or kept is None else measure_pairs(kept, grey)
            fate = "kept" if since is None else _fate(since)
        seen.times.append(time)
        seen.difference.append(0.0 if pair is None else pair.difference.item())
        seen.agreement.append(1.0 if pair is None else pair.agreement.item())
        seen.sharpness.append(sharpness(large).item())
        seen.fate.append(fate)
        before, kept = grey, grey if fate == "kept" else kept
    return seen


def clip_list(path: Path, seen: Look, folder: Path, shortest: int) -> dict[str, Any]:
    """What goes into the list that lies in `folder`. InputError where no clip is long enough."""
    cuts = find_cuts(seen.difference, seen.agreement)
    kept = [i for i, fate in enumerate(seen.fate) if fate == "kept"]
    first = next((time for time in seen.times if time is not None), 0.0)
    pause = max(PAUSE, 2.5 * (seen.step or 0))
    clips: list[list[int]] = []
    for i in kept:
        last = clips[-1][-1] if clips else 0
        start, end = seen.times[last], seen.times[i]
        waited = (i - last) / 25 if start is None or end is None else end - start
        if not clips or waited > pause or any(last < cut <= i for cut in cuts):
            clips.append([])
        clips[-1].append(i)
    long = [clip for clip in clips if len(clip) >= shortest]
    left_out = {name: seen.fate.count(name) for name in ("duplicates", "still", "off_grid")}
    left_out["short_clips"] = len(kept) - sum(map(len, long))
    if not long:
        raise InputError(
            f"{path}: nothing is left of {len(seen.fate)} frames: {_words(left_out, len(seen.fate))}; film "
            f"while the camera moves, or allow shorter clips than --shortest {shortest}"
        )
    used = sorted(i for clip in long for i in clip)
    return {
        "format": FORMAT,
        "version": VERSION,
        "film": _relative(path, folder),
        "bytes": 0 if path.is_dir() else path.stat().st_size,
        "width": seen.width,
        "height": seen.height,
        "fps": None if seen.step is None else 1 / seen.step,
        "clips": [{"frames": clip, "times": _since(first, [seen.times[i] for i in clip])} for clip in long],
        "frames": len(seen.fate),
        "left_out": left_out,
        "cuts": cuts,
        "blurred": [used[k] for k in find_blurred([seen.sharpness[i] for i in used])],
    }


def usual_step(times: Sequence[float]) -> float | None:
    """Seconds between frames at the most frequent rate: the mean of the intervals near the commonest."""
    gaps = [later - time for time, later in pairwise(times) if later > time]
    if not gaps:
        return None
    commonest = Counter(round(gap, 3) for gap in gaps).most_common(1)[0][0]
    near = [gap for gap in gaps if abs(gap - commonest) <= max(0.15 * commonest, 0.0015)]
    return sum(near) / len(near)


def on_grid(times: Sequence[float], step: float) -> list[int]:
    """Numbers of the frames nearest to times that are `step` apart, at most one each. After a gap the grid
    starts anew; it follows a clock that runs a little fast or slow."""
    chosen: list[int] = []
    start, place, error = 0.0, 0, 0.0
    for i, time in enumerate(times):
        if i == 0 or time - times[i - 1] > 1.5 * step:
            start, place, error = time, 0, 0.0
            chosen.append(i)
            continue
        at = math.ceil((time - start) / step - 0.55)  # half way belongs to the place before
        new_error = time - start - at * step
        if at > place:
            start += 0.1 * error
            chosen.append(i)
        elif abs(new_error) < abs(error):
            chosen[-1] = i
        else:
            continue
        place, error = at, new_error
    return chosen


def find_cuts(difference: Sequence[float], agreement: Sequence[float]) -> list[int]:
    """Numbers of the frames that show another scene than the frame before."""
    found = []
    for i in range(1, len(difference)):
        around = [*difference[max(1, i - 4) : i], *difference[i + 1 : i + 5]]
        moving = [value for value in around if value > REPEATED] or [0.0]
        if agreement[i] < SAME_SCENE and difference[i] > JUMP * median(moving):
            found.append(i)
    return found


def find_blurred(values: Sequence[float]) -> list[int]:
    """Positions whose sharpness is far below the median of the 12 before and 12 after."""
    return [i for i, value in enumerate(values) if value < BLURRED * median(values[max(0, i - 12) : i + 13])]


def _fate(since: PairMeasures) -> str:
    if since.difference.item() < REPEATED:
        return "duplicates"
    standing = since.most.item() < STANDING and since.agreement.item() > SAME_SCENE
    return "still" if standing else "kept"


def _pictures(
    images: Sequence[Path], size: tuple[int, int]
) -> Iterator[tuple[float | None, UInt8[Tensor, "3 h w"]]]:
    height, width = size
    small = (max(1, round(height * WIDTH / width)), WIDTH) if width > WIDTH else size
    for path in images:
        image = read_image(path)
        if tuple(image.shape[1:]) != size:
            raise InputError(
                f"{path}: is {image.shape[2]}x{image.shape[1]}, but the folder's first picture is "
                f"{width}x{height}; keep one camera and size per folder"
            )
        yield None, resize_image(image, small)


def _stem(path: Path) -> str:
    return path.resolve().name if path.is_dir() else path.stem


def _relative(path: Path, folder: Path) -> str:
    """As seen from the list's folder; absolute where there is no such way (another drive)."""
    try:
        return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
    except ValueError:
        return str(path.resolve())


def _since(first: float, times: Sequence[float | None]) -> list[float] | None:
    known = [round(time - first, 6) for time in times if time is not None]
    return known if len(known) == len(times) else None


def _may_replace(path: Path) -> None:
    """A list of an earlier look may be replaced, nothing else."""
    if not path.exists():
        return
    try:
        ours = json.loads(path.read_text())["format"] == FORMAT
    except (OSError, ValueError, KeyError, TypeError):
        ours = False
    if not ours:
        raise InputError(f"{path}: exists and is no list of clips; move it away, or give another --out")


def _words(left_out: dict[str, int], frames: int) -> str:
    names = {"duplicates": "repeated", "still": "standing", "off_grid": "beyond the frame rate"}
    said = [f"{n} {names.get(k, 'in short clips')} ({n / frames:.1%})" for k, n in left_out.items() if n]
    return ", ".join(said) or "nothing"


def _summary(console: Console, path: Path, clips: dict[str, Any]) -> None:
    rate = "pictures" if clips["fps"] is None else f"{clips['fps']:.4g} frames/s"
    frames, kept = clips["frames"], sum(len(clip["frames"]) for clip in clips["clips"])
    number, blurred = len(clips["clips"]), clips["blurred"]
    console.print(f"[bold]{path.name}[/]: {frames} frames, {clips['width']}x{clips['height']}, {rate}")
    console.print(f"  kept      {kept} ({kept / frames:.1%}) in {number} clip{'s'[: number != 1]}")
    console.print(f"  left out  {_words(clips['left_out'], frames)}")
    for name, numbers in (("cuts", clips["cuts"]), ("blurred", blurred)):
        shown = " ".join(map(str, numbers[:10])) + (" ..." if len(numbers) > 10 else "")
        console.print(f"  {name:9} {len(numbers)}" + (f", at frame {shown}" if numbers else ""))
