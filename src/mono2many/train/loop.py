"""The training loop: it owns all that has a memory (weights, optimiser, step, files); steps own none.

for every step: batch -> step -> weights; now and then log, validate, save
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from lightning.fabric import Fabric
from rich.console import Console
from torch import Tensor

from mono2many.data.augment import Augmentation, to_batch
from mono2many.data.dataset import BatchOrder, ClipDataset, batches, spread_out
from mono2many.data.marker import SYNTHETIC
from mono2many.data.rng import step_seed
from mono2many.losses.objective import MonoTerms
from mono2many.models.cameras import with_learnt_cameras
from mono2many.models.checkpoint import save_model
from mono2many.models.many import ManyDepth
from mono2many.models.mono import MonoArchitecture
from mono2many.train.cameras import focal_lengths, widest_fov
from mono2many.train.diagnose import collapse, not_finite, static_camera
from mono2many.train.folder import TrainState, begin_folder, claim_folder, restore_run, save_run
from mono2many.train.guard import FiniteGuard
from mono2many.train.logs import RunLog
from mono2many.train.optim import learning_rate
from mono2many.train.settings import TrainConfig
from mono2many.train.setup import (
    RunState,
    build_run,
    in_words,
    make_fabric,
    open_dataset,
    progress_bar,
)
from mono2many.train.signals import stop_requested
from mono2many.train.start import batch_norms, freeze_statistics, keep_start
from mono2many.train.steps import StepPlan, StepResult, many_step, mono_step, supervised_step
from mono2many.train.validate import validate
from mono2many.types import Batch, InputError

STAGES = ((0.2, ((0, 2),)), (0.6, ((0, 1), (0, 2))), (1.0, ((0, 0), (0, 1))))
"""Coarse to fine: until this share of the training, these (map, pyramid level) pairs."""

RANGE_MEMORY = 0.99
"""Of the running average of the sweep's range (Watson et al. 2021)."""

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
    try:
        return _train(config, folder, checkpoint, console)
    except InputError:
        with suppress(OSError):  # where nothing began, nothing stays
            folder.rmdir()
        raise


def _train(config: TrainConfig, folder: Path, checkpoint: Path | None, console: Console) -> Path:
    fabric = make_fabric(config)
    with fabric.rank_zero_first():  # the others find the frames in the cache
        dataset = open_dataset(config, "train", console)
        val_dataset = open_dataset(config, "val", console)
    torch.manual_seed(config.run.seed)
    state = build_run(config, fabric, folder, dataset, resumes=checkpoint is not None)
    train_state = TrainState() if checkpoint is None else restore_run(state, checkpoint)
    size, seed = config.optim.batch_size, config.run.seed
    steps = config.optim.steps or max(1, config.optim.epochs * (len(dataset) // size))
    order = BatchOrder(
        len(dataset), size, seed, train_state.step, steps, fabric.global_rank, fabric.world_size
    )
    if fabric.is_global_zero:
        begin_folder(folder, config, train_state.step)
        if state.start is not None and checkpoint is None:
            keep_start(folder, str(config.run.start_from))
    with RunLog(folder, console, fabric.is_global_zero, train_state.step) as log:
        resumed = f"resumed from step {train_state.step}; " if checkpoint is not None else ""
        log.say(
            f"[bold]{folder}[/]: {resumed}{len(dataset)} samples in {len(dataset.reader.clips)} clips, "
            f"steps {train_state.step} to {steps}, {size} samples each, {in_words(state)}"
        )
        if dataset.without_neighbour:
            log.say(
                f"left out: {dataset.without_neighbour} training frames without a neighbour to learn from",
                "yellow",
            )
        if config.data.dataset.synthetic(config.dataset):
            log.say(SYNTHETIC, "yellow")
        if (warning := static_camera(dataset)) is not None:
            log.say(warning, "yellow")
            log.event("warning", train_state.step, {"text": warning})
        if state.card.architecture.stereo:
            unit, spread = state.card.factor, state.card.factor_spread or 0
            log.say(f"the model's unit is {unit:.4g} m ± {100 * spread:.1f} %: {state.card.factor_from}")
        if state.fresh_pose:
            log.say(
                f"{config.run.start_from} has no pose network: one of type "
                f"{state.card.architecture.pose_type} begins from nothing",
                "yellow",
            )
        if state.was_metric:
            log.say(
                "its scale in metres is forgotten, since the weights change: mono2many scale again", "yellow"
            )
        with stop_requested() as stop:
            finished = _run(config, state, log, dataset, val_dataset, order, train_state, stop)
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
        # the stereo baseline fixes the scale, which the floor must not choose; an anchor holds depth itself
        disparity_floor=0.0 if architecture.stereo or config.anchor > 0 else loss.disparity_floor,
        min_depth=architecture.min_depth,
        max_depth=architecture.max_depth,
    )
    return StepPlan(
        architecture,
        terms,
        heads,
        loss.pyramid,
        loss.camera_scaling,
        loss.tie_noise,
        anchor_at(config, progress),
        matched=config.control != "no-matching",
    )


def anchor_at(config: TrainConfig, progress: float) -> float:
    """Weight of the anchor at this share of the training."""
    until = config.loss.anchor_until
    return config.anchor if until == 1 else config.anchor * max(0.0, 1 - progress / until)


def _run(
    config: TrainConfig,
    state: RunState,
    log: RunLog,
    dataset: ClipDataset,
    val_dataset: ClipDataset,
    order: BatchOrder,
    train_state: TrainState,
    stop: Callable[[], bool],
) -> bool:
    """True when all steps were taken, False when asked to stop."""
    fabric, optim, run, steps = state.fabric, config.optim, config.run, order.stop
    augmentation = Augmentation(optim.mirror, optim.jitter, optim.mirror_camera)
    device, offsets, cameras = fabric.device, config.offsets, state.network.cameras
    freeze_at = config.many.freeze_at(steps, order.steps_per_epoch)
    # packed frames are gathered faster than a process hands them over
    workers = 0 if config.data.cache == "on" else config.data.workers
    loader = batches(dataset, order, workers, pin=device.type == "cuda")
    val_loader = batches(val_dataset, spread_out(len(val_dataset), VALIDATED, 8), 0, pin=False)

    def val_batches() -> Iterator[Batch]:
        for raw in val_loader:
            yield with_learnt_cameras(to_batch(raw, offsets, device), cameras)

    guard = FiniteGuard(state.network, fabric, train_state.skipped)
    val_every = run.val_every or max(1, steps // 10)
    save_every = run.save_every or val_every
    norms = batch_norms(state.network) if config.freezes_batchnorm else []
    clock = Clock(order.start)
    warned, unsaved = "", False
    with progress_bar(log.console, log.enabled) as bar:
        task = bar.add_task("training", total=steps, completed=order.start)
        for step, raw in enumerate(loader, order.start):
            done, progress = step + 1, step / steps
            last = done == steps
            logs_now, pictures = done % run.log_every == 0 or last, done % run.picture_every == 0
            vals_now, saves_now = done % val_every == 0 or last, done % save_every == 0 or last or unsaved
            frozen = step >= freeze_at
            rate = learning_rate(step, steps, optim.learning_rate, optim.schedule, optim.warm_up)
            if isinstance(state.network, ManyDepth):
                freeze_teacher(state.network, frozen)
                if frozen and config.many.fresh_optimiser:
                    rate = optim.learning_rate
                    if step == freeze_at:
                        state.optimiser.state.clear()
            freeze_statistics(norms)
            for group in state.optimiser.param_groups:
                held = "speed" in group and progress < optim.camera_from
                group["lr"] = 0.0 if held else rate * group.get("speed", 1.0)
            torch.manual_seed(step_seed(run.seed, step, fabric.global_rank))
            batch = to_batch(raw, offsets, device, augmentation, run.seed, step)
            batch = with_learnt_cameras(batch, cameras)
            plan = plan_at(config, state.card.architecture, progress)
            guard.before_step()
            loss, output = _step(config, state, batch, plan, step, frozen, pictures)
            loss = loss if cameras is None else loss + cameras.intrinsics_prior()
            state.optimiser.zero_grad(set_to_none=True)
            fabric.backward(loss)
            if isinstance(state.network, ManyDepth):  # a buffer: a skipped step takes it back
                state.network.depth.set_range(output.scalars["nearest"], output.scalars["farthest"])
            guard.apply(state.optimiser, [loss, *output.scalars.values()])
            stopping = _agreed(fabric, stop, done)
            if logs_now or vals_now or saves_now or stopping or device.type == "cpu":
                # the only waits for the device; while steps are skipped nothing is saved over the last good
                bad = guard.in_a_row
                if bad >= run.not_finite_limit:
                    raise InputError(not_finite(step, bad, guard.skipped, rate, state.folder))
                unsaved = bool(bad) and (unsaved or saves_now)
                vals_now = vals_now and (not bad or last)
                saves_now = (saves_now and not bad) or last or stopping
            if pictures:
                log.pictures(done, output)
            if logs_now:
                values = {"loss": loss.item(), **{name: v.item() for name, v in output.scalars.items()}}
                if cameras is not None:
                    values |= focal_lengths(state)
                speed = clock.steps_per_second(done) * optim.batch_size
                rates = {
                    "learning_rate": rate,
                    "samples_per_s": round(speed, 2),
                    "skipped_steps": guard.skipped,
                }
                log.event("train", done, {**values, **rates})
                figures = f"loss {values['loss']:.4f}  {speed:.1f} samples/s"
                bar.update(task, description=figures)
                if not log.console.is_terminal:
                    log.say(f"step {done} of {steps}: {figures}")
                fov = widest_fov(batch.intrinsics[0] if cameras is None else None, state)
                warned = _warn(log, done, collapse(values, progress, rate, fov), warned)
            bar.update(task, completed=done)
            best = train_state.best
            if vals_now and fabric.is_global_zero:
                with clock.stopped():
                    architecture = state.card.architecture
                    result = validate(state.network, architecture, val_batches(), fabric.autocast)
                    log.event("val", done, result.to_json())
                    log.say(f"step {done}: {result.describe()}")
                    best = min(best, result.error)
                    if result.error < train_state.best:
                        save_model(state.folder / "best", state.network, state.card)
            train_state = TrainState(done, best, guard.skipped if saves_now else train_state.skipped)
            if saves_now:
                with clock.stopped():
                    save_run(state, train_state, run.keep)
            if vals_now or saves_now:
                fabric.barrier()
            if stopping:
                return False
    return True


def _agreed(fabric: Fabric, stop: Callable[[], bool], done: int) -> bool:
    """Whether to stop now: several processes ask each other every tenth step, so that all do or none."""
    if fabric.world_size == 1:
        return stop()
    if done % 10:
        return False
    asked = fabric.all_reduce(torch.tensor(float(stop()), device=fabric.device), reduce_op="sum")
    assert isinstance(asked, Tensor)
    return bool(asked > 0)


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


def freeze_teacher(network: ManyDepth, frozen: bool) -> None:
    """Teacher and motion learn, or are fixed with their batch statistics (Watson et al. 2021, sec. 4). Motion
    that is refined on the images need not learn: held, it keeps the unit."""
    for part, held in (
        (network.teacher, frozen),
        (network.pose, frozen or network.architecture.refines_motion),
    ):
        part.train(not held).requires_grad_(not held)


def _step(
    config: TrainConfig,
    state: RunState,
    batch: Batch,
    plan: StepPlan,
    step: int,
    frozen: bool,
    pictures: bool,
) -> StepResult:
    if config.control == "supervised":
        return supervised_step(state.model, batch, plan)
    seed = config.run.seed
    if isinstance(state.network, ManyDepth):
        many, sweep = config.many, state.network.depth
        momentum = None if frozen and not many.frozen_at_once else RANGE_MEMORY
        if momentum is not None and many.teacher is not None:  # it knows its depths from the first step
            momentum = min(momentum, step / (step + 1))
        near, far = sweep.nearest, sweep.farthest
        return many_step(state.model, batch, plan, near, far, frozen, momentum, seed, step, pictures)
    start_disparity = None
    if state.start is not None and plan.anchor > 0:
        with torch.no_grad(), state.fabric.autocast():
            start_disparity = state.start(batch.target).float()
    return mono_step(state.model, batch, plan, seed, step, pictures, start_disparity)
