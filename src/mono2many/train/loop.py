"""The training loop: it owns all that has a memory (weights, optimiser, step, files); steps own none.

open readers -> decode once -> for every step: batch -> step -> weights, log, now and then validate, save
"""

import json
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from lightning.fabric import Fabric
from lightning_utilities.core import rank_zero
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from mono2many.config import TrainConfig
from mono2many.data.augment import Augmentation, to_batch
from mono2many.data.dataset import BatchOrder, ClipDataset, Preloaded, batches, spread_out
from mono2many.data.reader import SourceSettings, open_reader
from mono2many.data.video import VideoReader
from mono2many.losses.objective import MonoTerms
from mono2many.models.checkpoint import (
    ModelCard,
    load_training_state,
    load_weights,
    save_model,
    save_training_state,
    write_atomically,
)
from mono2many.models.mono import MonoArchitecture, MonoDepth
from mono2many.train.diagnose import collapse, not_finite
from mono2many.train.logs import RunLog, provenance
from mono2many.train.optim import learning_rate, make_optimiser
from mono2many.train.signals import stop_requested
from mono2many.train.steps import StepPlan, StepResult, mono_step, supervised_step
from mono2many.train.validate import validate
from mono2many.types import Batch, InputError, Report, Split

STAGES = ((0.2, ((0, 2),)), (0.6, ((0, 1), (0, 2))), (1.0, ((0, 0), (0, 1))))
"""Coarse to fine: until this share of the training, these (map, pyramid level) pairs."""


Progressed = Callable[[int, int], None]

VALIDATED = 64
"""Samples looked at in a validation, spread evenly."""


@dataclass(frozen=True)
class RunState:
    """What moves while a run goes on; the counters live in the loop."""

    fabric: Fabric
    network: MonoDepth
    """The bare module; `model` is the same behind Fabric's precision and processes."""
    model: nn.Module
    optimiser: torch.optim.Optimizer
    folder: Path
    card: ModelCard


def train(config: TrainConfig, console: Console | None = None) -> Path:
    """Train as configured and return the run's folder, which is also a model folder.

    Raises InputError for settings or data that cannot work.
    Ctrl-C and SIGTERM: the step is finished and saved, then KeyboardInterrupt.
    """
    console = console or Console(stderr=True)
    folder = Path(config.run.out) / config.run.name
    checkpoint = _claim(folder, config.run.resume)
    fabric = make_fabric(config)
    dataset = open_dataset(config, "train", console)
    val_dataset = open_dataset(config, "val", console)
    fabric.seed_everything(config.run.seed, verbose=False)
    state = _build(config, fabric, folder)
    per_epoch = len(dataset) // config.optim.batch_size
    steps = config.optim.steps or max(1, config.optim.epochs * per_epoch)
    start = 0 if checkpoint is None else _restore(state, checkpoint)
    order = BatchOrder(
        len(dataset),
        config.optim.batch_size,
        config.run.seed,
        start,
        steps,
        fabric.global_rank,
        fabric.world_size,
    )
    write_atomically(folder / "run.json", lambda path: path.write_text(_run_json(config)))
    with RunLog(folder, console, fabric.is_global_zero) as log:
        log.say(
            f"[bold]{folder}[/]: {len(dataset)} samples in {len(dataset.reader.clips)} clips, "
            f"steps {start} to {steps} of {config.optim.batch_size}, {_words(state)}"
        )
        with stop_requested() as stop:
            finished = _run(config, state, log, dataset, val_dataset, order, steps, stop)
        if not finished:
            again = f"mono2many train --out {config.run.out} --name {config.run.name} --resume"
            log.say(f"stopped and saved; go on with: {again}", "yellow")
            raise KeyboardInterrupt
        log.say(f"model: {folder}   curves: tensorboard --logdir {folder}")
    return folder


def make_fabric(config: TrainConfig) -> Fabric:
    """Device and precision. bf16 `auto`: where the machine computes in it."""
    rank_zero.log.setLevel(logging.WARNING)  # our first line says device and precision
    device = config.run.device
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: torch sees no CUDA device here; use --device cpu or auto")
    wants_cuda = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    fast = torch.cuda.is_bf16_supported() if wants_cuda else device in ("cpu", "auto") and cpu_has_bf16()
    bf16 = config.run.precision == "bf16" or (config.run.precision == "auto" and fast)
    fabric = Fabric(accelerator=device, devices=1, precision="bf16-mixed" if bf16 else "32-true")
    fabric.launch()
    return fabric


def cpu_has_bf16() -> bool:
    """True where the processor multiplies bfloat16 itself (AVX512-BF16 or AMX); emulation is slower."""
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, check, lambda: False)() for check in checks)


def plan_at(config: TrainConfig, architecture: MonoArchitecture, progress: float) -> StepPlan:
    """What a step computes at this share of the training."""
    loss = config.loss
    heads: tuple[tuple[int, int], ...]
    if loss.multi_scale == "coarse-to-fine":
        heads = next(heads for until, heads in STAGES if progress < until or until == 1.0)
    elif loss.multi_scale == "own":
        heads = tuple((s, s) for s in range(config.model.scales))
    else:
        heads = tuple((s, 0) for s in range(config.model.scales))
    terms = MonoTerms(
        ssim=loss.ssim,
        automask=loss.automask and progress >= loss.automask_from,
        combine=loss.combine,
        mask_unseen=loss.mask_unseen,
        smoothness=loss.smoothness,
        min_depth=config.model.min_depth,
        max_depth=config.model.max_depth,
    )
    return StepPlan(architecture, terms, heads, loss.pyramid, loss.camera_scaling, loss.tie_noise)


def open_dataset(config: TrainConfig, split: Split, console: Console) -> ClipDataset:
    """The frames of a split with their neighbours, decoded once into memory unless --cache off."""
    scenes = config.data.scenes if split == "train" else config.data.val_scenes
    reader = open_reader(SourceSettings(**config.data.source(scenes)), split)
    if config.data.cache == "memory":
        with _progress_bar(console) as bar:
            task = bar.add_task(f"reading {split} frames", total=None)
            show: Progressed = lambda done, total: bar.update(task, completed=done, total=total)  # noqa: E731
            if isinstance(reader, VideoReader):  # videos are decoded in order, by this process
                reader.load(show)
                reader = Preloaded(reader)
            else:
                reader = Preloaded(reader, show, config.data.workers)
    return ClipDataset(reader, config.data.offsets, config.control == "other-clips" and split == "train")


def _build(config: TrainConfig, fabric: Fabric, folder: Path) -> RunState:
    m = config.model
    architecture = MonoArchitecture(
        encoder=m.encoder,
        decoder=m.decoder,
        padding=m.padding,
        scales=m.scales,
        pose_type=m.pose_type,
        pose_input=m.pose_input,
        pose_encoder=m.pose_encoder,
        sources=len(config.data.offsets),
        predictive_mask=m.predictive_mask,
        min_depth=m.min_depth,
        max_depth=m.max_depth,
    )
    known = config.run.resume or config.run.start_from is not None
    network = MonoDepth(architecture, "none" if known else m.encoder_weights)
    if config.run.start_from is not None and not config.run.resume:
        load_weights(network, config.run.start_from)
    network = network.to(memory_format=torch.channels_last)
    optimiser = make_optimiser(network, config.optim.optimiser, config.optim.learning_rate)
    model, optimiser = fabric.setup(network, optimiser)
    trained_on = " ".join(config.data.data) or config.data.datatype
    card = ModelCard(
        architecture, config.data.height, config.data.width, config.data.crop_bottom, trained_on=trained_on
    )
    return RunState(fabric, network, model, optimiser, folder, card)


def _run(
    config: TrainConfig,
    state: RunState,
    log: RunLog,
    dataset: ClipDataset,
    val_dataset: ClipDataset,
    order: BatchOrder,
    steps: int,
    stop: Callable[[], bool],
) -> bool:
    """True when all steps were taken, False when asked to stop."""
    fabric, optim, run = state.fabric, config.optim, config.run
    augmentation = Augmentation(optim.mirror, optim.jitter, optim.mirror_camera)
    device, offsets = fabric.device, config.data.offsets
    # frames that lie in memory are stacked faster than a process hands them over
    workers = 0 if config.data.cache == "memory" else config.data.workers
    loader = batches(dataset, order, workers, pin=device.type == "cuda")
    val_loader = batches(val_dataset, spread_out(len(val_dataset), VALIDATED, 8), 0, pin=False)

    def val_batches() -> Iterator[Batch]:
        return (to_batch(clips, offsets, device) for clips in val_loader)

    val_every = run.val_every or max(1, steps // 10)
    best, since, seconds = float("inf"), order.start, time.monotonic()
    warned = ""
    with _progress_bar(log.console, log.enabled) as bar:
        task = bar.add_task("training", total=steps, completed=order.start)
        for step, clips in enumerate(loader, order.start):
            progress = step / steps
            rate = learning_rate(step, steps, optim.learning_rate, optim.schedule, optim.warm_up)
            for group in state.optimiser.param_groups:
                group["lr"] = rate
            batch = to_batch(clips, offsets, device, augmentation, run.seed, step)
            plan = plan_at(config, state.card.architecture, progress)
            pictures = (step + 1) % run.picture_every == 0
            loss, report = _step(config, state.model, batch, plan, step, pictures)
            last = step + 1 == steps
            logs_now = (step + 1) % run.log_every == 0 or last
            if (logs_now or device.type == "cpu") and not _finite(loss, report):
                raise InputError(not_finite(step, rate))
            state.optimiser.zero_grad(set_to_none=True)
            fabric.backward(loss)
            state.optimiser.step()
            if pictures:
                log.pictures(step + 1, report)
            if logs_now:
                now = time.monotonic()
                speed = (step + 1 - since) * optim.batch_size / (now - seconds)
                since, seconds = step + 1, now
                values = {
                    "loss": loss.item(),
                    **{name: value.item() for name, value in report.scalars.items()},
                }
                log.event(
                    "train", step + 1, {**values, "learning_rate": rate, "samples_per_s": round(speed, 2)}
                )
                bar.update(task, description=f"loss {values['loss']:.4f}  {speed:.1f} samples/s")
                cause = collapse(values, progress)
                if cause is not None and cause[:20] != warned:
                    log.say(f"step {step + 1}: {cause}", "yellow")
                    log.event("warning", step + 1, {"text": cause})
                warned = cause[:20] if cause else ""
            bar.update(task, completed=step + 1)
            if (step + 1) % val_every == 0 or last:
                paused = time.monotonic()
                result = validate(state.model, state.card.architecture, val_batches())
                seconds += time.monotonic() - paused
                log.event("val", step + 1, result.to_json())
                log.say(f"step {step + 1}: {result.describe()}")
                _save(state, step + 1, run.keep, log)
                if result.error < best:
                    best = result.error
                    save_model(state.folder / "best", state.network, state.card)
            elif stop():
                _save(state, step + 1, run.keep, log)
                return False
    return True


def _step(
    config: TrainConfig, model: nn.Module, batch: Batch, plan: StepPlan, step: int, pictures: bool
) -> StepResult:
    if config.control == "supervised":
        return supervised_step(model, batch, plan)
    return mono_step(model, batch, plan, config.run.seed, step, pictures)


def _finite(loss: Tensor, report: Report) -> bool:
    """Waits for the device. Motion that is not a number hides all pixels and leaves the loss finite, so every
    figure is looked at."""
    return bool(torch.stack([loss.detach(), *report.scalars.values()]).isfinite().all())


def _save(state: RunState, step: int, keep: int, log: RunLog) -> None:
    if not state.fabric.is_global_zero:
        return
    checkpoints = state.folder / "checkpoints"
    checkpoints.mkdir(exist_ok=True)
    save_training_state(
        checkpoints / f"step-{step:08d}.pt",
        {"model": state.network.state_dict(), "optimiser": state.optimiser.state_dict(), "step": step},
    )
    save_model(state.folder, state.network, state.card)
    for old in sorted(checkpoints.glob("step-*.pt"))[:-keep]:
        old.unlink()


def _restore(state: RunState, checkpoint: Path) -> int:
    saved = load_training_state(checkpoint)
    try:
        state.network.load_state_dict(saved["model"])
        state.optimiser.load_state_dict(saved["optimiser"])
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"{checkpoint}: holds other networks than these flags make; resume with --config "
            f"{state.folder / 'run.json'} --resume"
        ) from error
    return int(saved["step"])


def _claim(folder: Path, resume: bool) -> Path | None:
    """Make the run's folder, or find the last checkpoint in it."""
    found = sorted((folder / "checkpoints").glob("step-*.pt"))
    if resume and not found:
        raise InputError(f"--resume: no checkpoint in {folder / 'checkpoints'}; leave --resume out to begin")
    if not resume and (folder / "run.json").exists():
        raise InputError(
            f"{folder} holds a run already: add --resume to go on with it, or choose another --name"
        )
    folder.mkdir(parents=True, exist_ok=True)
    return found[-1] if resume else None


def _run_json(config: TrainConfig) -> str:
    """Settings (for --config) with what made them run."""
    return json.dumps({"settings": asdict(config), "made_by": provenance()}, indent=2) + "\n"


def _words(state: RunState) -> str:
    count = sum(p.numel() for p in state.network.parameters()) / 1e6
    precision = "bf16" if "bf16" in str(state.fabric._precision.precision) else "fp32"
    return f"{count:.1f} M parameters, {state.fabric.device}, {precision}"


def _progress_bar(console: Console, enabled: bool = True) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, disable=not enabled or not console.is_terminal, transient=True)
