"""The training loop: it owns all that has a memory (weights, optimiser, step, files); steps own none.

for every step: batch -> step -> weights; now and then log, validate, save
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor, nn

from mono2many.config import TrainConfig
from mono2many.data.augment import Augmentation, to_batch
from mono2many.data.dataset import BatchOrder, ClipDataset, batches, spread_out
from mono2many.losses.objective import MonoTerms
from mono2many.models.checkpoint import save_model
from mono2many.models.mono import MonoArchitecture
from mono2many.train.diagnose import collapse, not_finite
from mono2many.train.folder import claim_folder, restore_run, save_run, write_settings
from mono2many.train.logs import RunLog
from mono2many.train.optim import learning_rate
from mono2many.train.setup import RunState, build_run, in_words, make_fabric, open_dataset, progress_bar
from mono2many.train.signals import stop_requested
from mono2many.train.steps import StepPlan, StepResult, mono_step, supervised_step
from mono2many.train.validate import validate
from mono2many.types import Batch, InputError, Report

STAGES = ((0.2, ((0, 2),)), (0.6, ((0, 1), (0, 2))), (1.0, ((0, 0), (0, 1))))
"""Coarse to fine: until this share of the training, these (map, pyramid level) pairs."""

VALIDATED = 64
"""Samples looked at in a validation, spread evenly."""


def train(config: TrainConfig, console: Console | None = None) -> Path:
    """Train as configured and return the run's folder, which is also a model folder.

    Raises InputError for settings or data that cannot work.
    Ctrl-C and SIGTERM: the step is finished and saved, then KeyboardInterrupt.
    """
    console = console or Console(stderr=True)
    folder = Path(config.run.out) / config.run.name
    checkpoint = claim_folder(folder, config.run.resume)
    fabric = make_fabric(config)
    dataset = open_dataset(config, "train", console)
    val_dataset = open_dataset(config, "val", console)
    fabric.seed_everything(config.run.seed, verbose=False)
    state = build_run(config, fabric, folder)
    start, best = (0, float("inf")) if checkpoint is None else restore_run(state, checkpoint)
    size, seed = config.optim.batch_size, config.run.seed
    steps = config.optim.steps or max(1, config.optim.epochs * (len(dataset) // size))
    order = BatchOrder(len(dataset), size, seed, start, steps, fabric.global_rank, fabric.world_size)
    write_settings(folder, config)
    with RunLog(folder, console, fabric.is_global_zero) as log:
        log.say(
            f"[bold]{folder}[/]: {len(dataset)} samples in {len(dataset.reader.clips)} clips, "
            f"steps {start} to {steps} of {size}, {in_words(state)}"
        )
        with stop_requested() as stop:
            finished = _run(config, state, log, dataset, val_dataset, order, best, stop)
        if not finished:
            again = f"mono2many train --out {config.run.out} --name {config.run.name} --resume"
            log.say(f"stopped and saved; go on with: {again}", "yellow")
            raise KeyboardInterrupt
        log.say(f"model: {folder}   curves: tensorboard --logdir {folder}")
    return folder


def plan_at(config: TrainConfig, architecture: MonoArchitecture, progress: float) -> StepPlan:
    """What a step computes at this share of the training."""
    loss = config.loss
    heads: tuple[tuple[int, int], ...]
    if loss.multi_scale == "coarse-to-fine":
        heads = next(heads for until, heads in STAGES if progress < until or until == 1.0)
    elif loss.multi_scale == "own":
        heads = tuple((s, s) for s in range(architecture.scales))
    else:
        heads = tuple((s, 0) for s in range(architecture.scales))
    terms = MonoTerms(
        ssim=loss.ssim,
        automask=loss.automask and progress >= loss.automask_from,
        combine=loss.combine,
        mask_unseen=loss.mask_unseen,
        smoothness=loss.smoothness,
        min_depth=architecture.min_depth,
        max_depth=architecture.max_depth,
    )
    return StepPlan(architecture, terms, heads, loss.pyramid, loss.camera_scaling, loss.tie_noise)


def _run(
    config: TrainConfig,
    state: RunState,
    log: RunLog,
    dataset: ClipDataset,
    val_dataset: ClipDataset,
    order: BatchOrder,
    best: float,
    stop: Callable[[], bool],
) -> bool:
    """True when all steps were taken, False when asked to stop."""
    fabric, optim, run, steps = state.fabric, config.optim, config.run, order.stop
    augmentation = Augmentation(optim.mirror, optim.jitter, optim.mirror_camera)
    device, offsets = fabric.device, config.data.offsets
    # frames that lie in memory are stacked faster than a process hands them over
    workers = 0 if config.data.cache == "memory" else config.data.workers
    loader = batches(dataset, order, workers, pin=device.type == "cuda")
    val_loader = batches(val_dataset, spread_out(len(val_dataset), VALIDATED, 8), 0, pin=False)

    def val_batches() -> Iterator[Batch]:
        return (to_batch(clips, offsets, device) for clips in val_loader)

    val_every = run.val_every or max(1, steps // 10)
    clock = Clock(order.start)
    warned = ""
    with progress_bar(log.console, log.enabled) as bar:
        task = bar.add_task("training", total=steps, completed=order.start)
        for step, clips in enumerate(loader, order.start):
            done, progress = step + 1, step / steps
            last = done == steps
            logs_now, pictures = done % run.log_every == 0 or last, done % run.picture_every == 0
            saves_now = done % val_every == 0 or last
            rate = learning_rate(step, steps, optim.learning_rate, optim.schedule, optim.warm_up)
            for group in state.optimiser.param_groups:
                group["lr"] = rate
            batch = to_batch(clips, offsets, device, augmentation, run.seed, step)
            plan = plan_at(config, state.card.architecture, progress)
            loss, report = _step(config, state.model, batch, plan, step, pictures)
            if (logs_now or saves_now or device.type == "cpu") and not _finite(loss, report):
                raise InputError(not_finite(step, rate))
            state.optimiser.zero_grad(set_to_none=True)
            fabric.backward(loss)
            state.optimiser.step()
            if pictures:
                log.pictures(done, report)
            if logs_now:
                values = {
                    "loss": loss.item(),
                    **{name: value.item() for name, value in report.scalars.items()},
                }
                speed = clock.steps_per_second(done) * optim.batch_size
                rates = {"learning_rate": rate, "samples_per_s": round(speed, 2)}
                log.event("train", done, {**values, **rates})
                figures = f"loss {values['loss']:.4f}  {speed:.1f} samples/s"
                bar.update(task, description=figures)
                if not log.console.is_terminal:
                    log.say(f"step {done} of {steps}: {figures}")
                warned = _warn(log, done, collapse(values, progress), warned)
            bar.update(task, completed=done)
            if saves_now:
                with clock.stopped():
                    result = validate(state.model, state.card.architecture, val_batches())
                log.event("val", done, result.to_json())
                log.say(f"step {done}: {result.describe()}")
                if result.error < best:
                    best = result.error
                    save_model(state.folder / "best", state.network, state.card)
                save_run(state, done, run.keep, best)
            elif stop():
                save_run(state, done, run.keep, best)
                return False
    return True


class Clock:
    """Steps per second since the last question, pauses left out."""

    def __init__(self, step: int) -> None:
        self.step, self.since = step, time.monotonic()

    def steps_per_second(self, step: int) -> float:
        now = time.monotonic()
        speed = (step - self.step) / (now - self.since)
        self.step, self.since = step, now
        return speed

    @contextmanager
    def stopped(self) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.since += time.monotonic() - began


def _warn(log: RunLog, step: int, cause: str | None, said: str) -> str:
    """Say a cause of collapse, once as long as it stays the same; returns what has been said."""
    begins = cause.split(" (")[0] if cause else ""
    if cause is not None and begins != said:
        log.say(f"step {step}: {cause}", "yellow")
        log.event("warning", step, {"text": cause})
    return begins


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
