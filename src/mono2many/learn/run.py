"""The command `learn`: measure, decide, train, predict, score, each by the command that exists for it. What
is done already is not done again."""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple, cast

from rich.console import Console

from mono2many.commands import evaluate, predict, scale, train
from mono2many.datasets.video import VideoData
from mono2many.datasets.video.clips import LIST
from mono2many.datasets.video.prepare import prepare_video
from mono2many.evaluate.run import Notes
from mono2many.files import UNREADABLE, entries, entry, explained, read_json, user_path, write_text
from mono2many.io.images import read_image
from mono2many.io.inputs import expand, name_of
from mono2many.learn import decisions
from mono2many.learn.decisions import Decision, Footage, Wishes
from mono2many.learn.footage import bottom_of, check_flags, mask_file, masks_drawn
from mono2many.learn.timing import seconds_per_step
from mono2many.models.checkpoint import read_card
from mono2many.models.starter import best_of
from mono2many.terminal import command, say, text_console
from mono2many.types import InputError

PLAN, MODEL, LISTS = "learn.json", "model", "prepared"
"""In the folder of a `learn`: what was decided, the run, the lists of clips."""
AGAIN = "give a new --out"
NO_WISHES = Wishes()
LATEST = 1.1
"""Time after which a training ends that is slower than measured, by that of its steps."""
PREDICTION = 2.0
"""Time of predictions and score, by that of the first look through the videos."""


class Plan(NamedTuple):
    """What was decided, as PLAN stores it."""

    inputs: list[str]
    wishes: dict[str, Any]
    flags: dict[str, Any]
    """Of `mono2many train`, as keywords of `recipe`."""
    decisions: list[Decision]
    minutes: float
    """The time that the number of steps is for."""
    trained: bool = False
    """The training has ended, by its steps or its time."""


def learn(
    inputs: Sequence[str],
    out: str | Path | None = None,
    minutes: float = 30.0,
    wishes: Wishes = NO_WISHES,
    on: str = "auto",
) -> Path:
    """All of it, on a device; returns the folder that holds everything, by default learnt/VIDEO. Raises
    InputError; KeyboardInterrupt says that the same call continues."""
    inputs = expand(inputs)
    out = user_path(out or Path("learnt") / name_of(inputs[0]))
    try:
        return _learn(inputs, out, minutes, wishes, on, text_console())
    except KeyboardInterrupt as stop:
        raise type(stop)("the same command continues") from stop


def _learn(
    inputs: Sequence[str], out: Path, minutes: float, wishes: Wishes, on: str, console: Console
) -> Path:
    begun = time.monotonic()
    plan = _stored(out, inputs, minutes, wishes)
    if plan is None:
        plan = _decided(inputs, out, minutes, wishes, on, console)
        write_text(out / PLAN, json.dumps(plan._asdict(), indent=2) + "\n")
    else:
        kept = "" if plan.minutes == minutes else f", for --minutes {plan.minutes:g}"
        say(console, f"{out}: continues as decided before{kept}")
    for decision in plan.decisions:
        flag = f"   ({decision.flag})" if decision.flag else ""
        say(console, f"  {decision.name:11} {decision.value}: {decision.reason}{flag}")
    model, device = out / MODEL, ["--device", on]
    words = [*decisions.as_words(plan.flags), "--out", str(out), "--name", MODEL, *device]
    if not plan.trained:
        train.run([*words, "--resume"] if (model / "run.json").exists() else words)
        plan = plan._replace(trained=True)
        write_text(out / PLAN, json.dumps(plan._asdict(), indent=2) + "\n")
    _scale(model, device, console)
    pictures = masks_drawn(inputs, plan.flags["data"], plan.flags.get("mask", ()))
    pictures |= _predict(plan, inputs, model, out, device)
    report = ["--report", str(out / "report.html"), "--json", str(out / "score.json")]
    evaluate.run(["--model", str(model), *report, *device], Notes(plan.decisions, pictures))
    metric = read_card(best_of(model)).scale == "metres"
    took = f"took {(time.monotonic() - begun) / 60:.1f} minutes"
    say(console, f"{out}: report.html, and depth and trajectory of each video; {took}")
    if not metric:
        known = command("scale", "--model", model, "--scale-from", "speed", "FILE")
        say(console, f"depth is known up to scale; for metres: {known} (or camera-height METRES)")
    return out


def _stored(out: Path, inputs: Sequence[str], minutes: float, wishes: Wishes) -> Plan | None:
    """What an earlier call decided, if this is its continuation; None where that has not begun to train and
    something else is wanted now. InputError where it has."""
    if not (out / PLAN).exists():
        return None
    values = read_json(out / PLAN, AGAIN)
    with explained(f"{out / PLAN}: is no plan as it should be", AGAIN, (*UNREADABLE, KeyError, TypeError)):
        plan = Plan(
            entries(values, "inputs", str),
            entry(values, "wishes", dict),
            entry(values, "flags", dict),
            [Decision(*map(str, words)) for words in entries(values, "decisions", list)],
            float(values.get("minutes", minutes)),
            bool(values.get("trained", False)),
        )
        asked = json.loads(json.dumps(asdict(wishes)))
        changed = [name for name, value in asked.items() if plan.wishes[name] != value]
    if plan.inputs != [str(Path(name).resolve()) for name in inputs]:
        raise InputError(f"{out}: was made of {' '.join(plan.inputs)}; {AGAIN} for other videos")
    begun = (out / MODEL / "run.json").exists()
    if not begun and (changed or plan.minutes != minutes):
        return None
    if changed:
        flags = ", ".join("--" + name.replace("_", "-") for name in changed)
        raise InputError(f"{out}: was started with another value of {flags}; {AGAIN}, or give the same value")
    return plan


def _decided(
    inputs: Sequence[str], out: Path, minutes: float, wishes: Wishes, device: str, console: Console
) -> Plan:
    """Look through the videos and decide."""
    begun = time.monotonic()
    start, by_start = decisions.start(wishes)
    camera, by_camera = decisions.camera(wishes)
    size = {} if wishes.height is None else {"height": wishes.height, "width": wishes.width}
    check_flags(inputs, start | camera | size | ({"mask": wishes.mask} if wishes.mask else {}))
    lists, videos = prepare_video(inputs, str(out / LISTS), console=console, advise=False), []
    for path in lists:
        with explained(f"{path}: is no list of clips as it should be", AGAIN, UNREADABLE):
            found = Footage.of_list(path.name.removesuffix(LIST), read_json(path, AGAIN))
            videos.append(replace(found, bottom=bottom_of(path)))
    decisions.enough(videos)
    looked = time.monotonic() - begun
    mask, by_mask = decisions.mask(videos, wishes)
    (height, width), by_size = decisions.training_size(videos, wishes, mask.get("crop_bottom", 0.0))
    step, by_step = decisions.frame_step(videos, wishes)
    share, by_share = decisions.held_out(videos)
    flags: dict[str, Any] = {
        "data": [str(path.resolve()) for path in lists],
        "height": height,
        "width": width,
        "frame_step": step,
        "hold_out": share,
        "batch_size": decisions.BATCH,
    }
    flags |= start | camera | mask
    frames = sum(video.frames for video in videos)
    per_step = 0.0 if wishes.steps else seconds_per_step(flags | {"device": device})
    spent = time.monotonic() - begun
    times = decisions.Times(60 * minutes, spent, PREDICTION * looked, per_step)
    count, by_count = decisions.steps(times, frames, wishes)
    if wishes.steps is None:
        flags["max_minutes"] = round(LATEST * times.left / 60, 2)
    return Plan(
        [str(Path(path).resolve()) for path in inputs],
        asdict(wishes),
        flags | {"steps": count},
        [by_start, by_size, by_step, by_camera, by_mask, by_share, by_count],
        minutes,
    )


def _scale(model: Path, device: Sequence[str], console: Console) -> None:
    """Metres where the videos know them."""
    if read_card(best_of(model)).scale == "metres":
        return
    try:
        scale.run(["--model", str(model), "--scale-from", "auto", *device])
    except InputError as error:
        say(console, f"depth stays known up to scale: {error}")


def _predict(
    plan: Plan, inputs: Sequence[str], model: Path, out: Path, device: Sequence[str]
) -> dict[str, Any]:
    """Depth video and trajectory of each video; returns the trajectories' plots."""
    data, fov = tuple(plan.flags["data"]), plan.flags.get("fov")
    settings = VideoData(data, tuple(plan.flags.get("camera", ())), fov)
    settings = cast(VideoData, settings.with_learnt_cameras(str(best_of(model))))
    files, pictures = settings.camera, {}
    for number, name in enumerate(inputs):
        camera = ["--camera", files[number if len(files) > 1 else 0]] if files else ["--fov", str(fov)]
        words = [name, "--model", str(model), "--out", str(out), *camera, *device]
        mask = mask_file(data[number], number, plan.flags.get("mask", ()))
        hides = [] if mask is None else ["--mask", str(mask)]
        plot = out / f"{name_of(name)}_trajectory.png"
        if not plot.exists():
            predict.run([*words, *hides, "--save", "video", "--poses", "tum", "--refine-motion"])
        pictures[f"trajectory, {name_of(name)}{_cuts(data[number])}"] = read_image(plot)
    return pictures


def _cuts(path: str) -> str:
    """What a trajectory through the video of this list crosses."""
    with explained(f"{path}: is no list of clips as it should be", AGAIN, UNREADABLE):
        cuts = entries(read_json(path, AGAIN), "cuts", int)
    at = f"frame {cuts[0]}" if len(cuts) == 1 else f"{len(cuts)} frames"
    return f"; arbitrary at {at}, where the video is cut" if cuts else ""
