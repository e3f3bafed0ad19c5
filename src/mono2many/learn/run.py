"""The command `learn`: measure, decide, train, predict, score, each by the command that exists for it. What
is done already is not done again."""

import copy
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from rich.console import Console

from mono2many.commands import evaluate, predict, scale, train
from mono2many.data.augment import Augmentation, to_batch
from mono2many.datasets.video import VideoData
from mono2many.datasets.video.clips import LIST
from mono2many.datasets.video.prepare import prepare_video
from mono2many.evaluate.run import Notes
from mono2many.files import UNREADABLE, entries, entry, explained, read_json, user_path, write_text
from mono2many.io.images import read_image
from mono2many.io.inputs import expand, name_of
from mono2many.learn import decisions
from mono2many.learn.decisions import Decision, Footage, Wishes
from mono2many.models.checkpoint import load_model, read_card
from mono2many.models.mono import MonoDepth
from mono2many.models.starter import best_of
from mono2many.terminal import command, say, text_console
from mono2many.train.fabric import make_fabric
from mono2many.train.origin import as_configured
from mono2many.train.plan import plan_at
from mono2many.train.recipes import recipe
from mono2many.train.steps import mono_step
from mono2many.types import InputError, RawBatch

PLAN, MODEL, LISTS = "learn.json", "model", "prepared"
"""In the folder of a `learn`: what was decided, the run, the lists of clips."""
AGAIN = "give a new --out"
NO_WISHES = Wishes()
PREDICTION = 2.0
"""Time of predictions and score, by that of the first look through the videos."""


class Plan(NamedTuple):
    """What was decided, as PLAN stores it."""

    inputs: list[str]
    wishes: dict[str, Any]
    flags: dict[str, Any]
    """Of `mono2many train`, as keywords of `recipe`."""
    decisions: list[Decision]


def learn(
    inputs: Sequence[str],
    out: str | Path | None = None,
    minutes: float = 30.0,
    wishes: Wishes = NO_WISHES,
    on: str = "auto",
) -> Path:
    """All of it, on a device; returns the folder that holds everything, by default learnt/VIDEO. Raises
    InputError."""
    console, inputs = text_console(), expand(inputs)
    out = user_path(out or Path("learnt") / name_of(inputs[0]))
    plan = _stored(out, inputs, wishes)
    if plan is None:
        plan = _decided(inputs, out, minutes, wishes, on, console)
        write_text(out / PLAN, json.dumps(plan._asdict(), indent=2) + "\n")
    else:
        say(console, f"{out}: continues as decided before")
    for decision in plan.decisions:
        flag = f"   ({decision.flag})" if decision.flag else ""
        say(console, f"  {decision.name:11} {decision.value}: {decision.reason}{flag}")
    model, device = out / MODEL, ["--device", on]
    words = [*decisions.as_words(plan.flags), "--out", str(out), "--name", MODEL, *device]
    train.run([*words, "--resume"] if (model / "run.json").exists() else words)
    _scale(model, device, console)
    pictures = _predict(plan, inputs, model, out, device)
    report = ["--report", str(out / "report.html"), "--json", str(out / "score.json")]
    evaluate.run(["--model", str(model), *report, *device], Notes(plan.decisions, pictures))
    metric = read_card(best_of(model)).scale == "metres"
    say(console, f"{out}: report.html, and depth and trajectory of each video")
    if not metric:
        known = command("scale", "--model", model, "--scale-from", "speed", "FILE")
        say(console, f"depth is known up to scale; for metres: {known} (or camera-height METRES)")
    return out


def _stored(out: Path, inputs: Sequence[str], wishes: Wishes) -> Plan | None:
    """What an earlier call decided, if this is its continuation. InputError where it is not."""
    if not (out / PLAN).exists():
        return None
    values = read_json(out / PLAN, AGAIN)
    with explained(f"{out / PLAN}: is no plan as it should be", AGAIN, (*UNREADABLE, KeyError, TypeError)):
        plan = Plan(
            entries(values, "inputs", str),
            entry(values, "wishes", dict),
            entry(values, "flags", dict),
            [Decision(*map(str, words)) for words in entries(values, "decisions", list)],
        )
        asked = json.loads(json.dumps(asdict(wishes)))
        changed = [name for name, value in asked.items() if plan.wishes[name] != value]
    if plan.inputs != [str(Path(name).resolve()) for name in inputs]:
        raise InputError(f"{out}: was made of {' '.join(plan.inputs)}; {AGAIN} for other videos")
    if changed:
        flags = ", ".join("--" + name.replace("_", "-") for name in changed)
        raise InputError(f"{out}: was started with another value of {flags}; {AGAIN}, or give the same value")
    return plan


def _decided(
    inputs: Sequence[str], out: Path, minutes: float, wishes: Wishes, device: str, console: Console
) -> Plan:
    """Look through the videos and decide."""
    begun = time.monotonic()
    lists, videos = prepare_video(inputs, str(out / LISTS), console=console, advise=False), []
    for path in lists:
        with explained(f"{path}: is no list of clips as it should be", AGAIN, UNREADABLE):
            videos.append(Footage.of_list(path.name.removesuffix(LIST), read_json(path, AGAIN)))
    decisions.enough(videos)
    looked = time.monotonic() - begun
    start, by_start = decisions.start(wishes)
    size, by_size = decisions.training_size(videos, wishes)
    step, by_step = decisions.frame_step(videos, wishes)
    camera, by_camera = decisions.camera(wishes)
    mask, by_mask = decisions.mask(videos, wishes)
    share, by_share = decisions.held_out(videos)
    flags: dict[str, Any] = {
        "data": [str(path.resolve()) for path in lists],
        "height": size[0],
        "width": size[1],
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
    return Plan(
        [str(Path(path).resolve()) for path in inputs],
        asdict(wishes),
        flags | {"steps": count},
        [by_start, by_size, by_step, by_camera, by_mask, by_share, by_count],
    )


def seconds_per_step(flags: dict[str, Any]) -> float:
    """Of a training with these flags, by two of its steps on noise after a first."""
    flags = dict(flags)
    config = recipe(flags.pop("recipe"), "video", **flags)
    fabric, d, size = make_fabric(config), config.data, config.optim.batch_size
    start = config.run.start_from
    network = MonoDepth(as_configured(config)) if start is None else load_model(best_of(start))[0]
    assert isinstance(network, MonoDepth)
    network, anchor = network.to(memory_format=torch.channels_last).train(), None
    if config.anchor:
        anchor = copy.deepcopy(network.depth).eval().to(fabric.device)
    model, optimiser = fabric.setup(network, torch.optim.Adam(network.parameters()))
    count = 1 + len(config.offsets)
    k = torch.tensor([[0.6 * d.width, 0, d.width / 2], [0, 0.6 * d.width, d.height / 2], [0, 0, 1]])
    raw = RawBatch(
        torch.randint(0, 256, (size, count, 3, d.height, d.width), dtype=torch.uint8),
        torch.ones(size, count, dtype=torch.bool),
        k.repeat(size, count, 1, 1),
        torch.arange(size),
    )
    plan, taken = plan_at(config, network.architecture, 0.9), list[float]()
    for number in range(3):
        begun = time.monotonic()
        batch, held = to_batch(raw, config.offsets, fabric.device, Augmentation(), 0, number), None
        if anchor is not None:
            with torch.no_grad(), fabric.autocast():
                held = anchor(batch.target).float()
        loss, _ = mono_step(model, batch, plan, start_disparity=held)
        optimiser.zero_grad()
        fabric.backward(loss)
        optimiser.step()
        loss.item()  # waits for the device
        taken.append(time.monotonic() - begun)
    return min(taken[1:])


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
        plot = out / f"{name_of(name)}_trajectory.png"
        if not plot.exists():
            predict.run([*words, "--save", "video", "--poses", "tum", "--refine-motion"])
        pictures[f"trajectory, {name_of(name)}"] = read_image(plot)
    return pictures
