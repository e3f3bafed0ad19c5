"""The training loop: it owns all that has a memory (weights, optimiser, step, files); steps own none.

for every step: batch -> step -> weights; now and then log, validate, save
"""

import re
import shlex
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from math import inf, isinf
from pathlib import Path

import torch
from lightning_fabric import Fabric
from rich.console import Console
from torch import Tensor

from mono2many.data.augment import Augmentation, to_batch
from mono2many.data.dataset import BatchOrder, ClipDataset, batches, spread_out
from mono2many.data.rng import step_seed
from mono2many.geometry.camera import horizontal_fov
from mono2many.models.cameras import with_learnt_cameras
from mono2many.models.checkpoint import save_model
from mono2many.models.many import ManyDepth
from mono2many.predict.ahead import ahead
from mono2many.terminal import command, text_console
from mono2many.train.cameras import focal_lengths, learnt_intrinsics, write_cameras
from mono2many.train.diagnose import camera_at_guess, collapse, doubts, not_finite, static_camera, too_high
from mono2many.train.fabric import agreed, make_fabric
from mono2many.train.folder import (
    TrainState,
    begin_folder,
    checkpoints_of,
    owned_folder,
    restore_run,
    save_run,
)
from mono2many.train.guard import FiniteGuard
from mono2many.train.logs import Clock, RunLog
from mono2many.train.optim import freeze_statistics, freeze_teacher, learning_rate
from mono2many.train.origin import keep_start
from mono2many.train.plan import plan_at, range_momentum
from mono2many.train.remarks import remarks
from mono2many.train.resume import Changes
from mono2many.train.resume import in_words as changes_in_words
from mono2many.train.settings import TrainConfig
from mono2many.train.setup import (
    RunState,
    build_run,
    fetched_weights,
    in_words,
    open_dataset,
    progress_bar,
)
from mono2many.train.signals import Stop, stop_requested
from mono2many.train.steps import Draw, StepResult, many_step, mono_step
from mono2many.train.together import ending_together
from mono2many.train.validate import Validation, validate
from mono2many.types import Batch, InputError, RawBatch, StepOutput

VALIDATED = 64
"""Samples of a validation, spread evenly."""
SKIPPED_IN_A_ROW = 20
"""Steps whose loss or gradient is not finite, after which a run stops."""


def train(config: TrainConfig, console: Console | None = None) -> Path:
    """Train as configured and return the run's folder, which is also a model folder.

    Raises InputError for settings or data that cannot work.
    After --max-minutes the step is finished, validated and saved. Ctrl-C and SIGTERM: it is finished and
    saved, then KeyboardInterrupt (Terminated), whose text is the command that continues the run.
    """
    console = console or text_console(stderr=True)
    limit = config.run.max_minutes
    deadline = inf if limit is None else time.monotonic() + 60 * limit
    folder = Path(config.run.out) / config.run.name
    with owned_folder(folder, config) as checkpoints, ending_together(make_fabric(config)) as fabric:
        # of several processes the first decides from what the run is resumed
        return _train(config, folder, fabric.broadcast(checkpoints), console, fabric, deadline)


def _train(
    config: TrainConfig,
    folder: Path,
    checkpoints: Sequence[Path],
    console: Console,
    fabric: Fabric,
    deadline: float,
) -> Path:
    with fabric.rank_zero_first():  # the others find the frames in the cache
        dataset = open_dataset(config, "train", console)
        val_dataset = open_dataset(config, "val", console)
    torch.manual_seed(config.run.seed)
    if not checkpoints and (fetched := fetched_weights(config)) and fabric.is_global_zero:
        console.print(f"ImageNet weights of {fetched}: downloaded where they are not in the cache of the hub")
    state = build_run(config, fabric, folder, dataset, resumes=bool(checkpoints))
    train_state, damaged = restore_run(state, checkpoints) if checkpoints else (TrainState(), [])
    size, begin = config.optim.batch_size, train_state.step
    steps = config.optim.steps or max(1, config.optim.epochs * (len(dataset) // size))
    if begin > steps:
        raise InputError(f"--steps {steps}: the run in {folder} has taken {begin} already; give more")
    shares = (fabric.global_rank, fabric.world_size)
    order = BatchOrder(len(dataset), size, config.run.seed, begin, steps, *shares)
    changed: Changes = {}
    if fabric.is_global_zero:
        changed = begin_folder(folder, config, begin, len(dataset), damaged)
        if state.start is not None and not checkpoints:
            keep_start(folder, str(config.run.start_from))
    with RunLog(folder, console, fabric.is_global_zero, begin) as log:
        for path in damaged:
            log.say(f"{path} is damaged (now {path.name}.damaged): resuming from the one before it", "yellow")
        resumed = f"resumed from step {begin}; " if checkpoints else ""
        log.say(
            f"{folder}: {resumed}{len(dataset)} samples in {len(dataset.reader.clips)} clips, "
            f"steps {begin} to {steps}, {size} samples each, {in_words(state)}"
        )
        if changed:
            log.say(f"changed, and recorded in run.json: {changes_in_words(changed)}", "yellow")
        for remark in remarks(config, state, dataset):
            log.say(remark, "yellow")
        for warning in (static_camera(dataset), static_camera(val_dataset, validation=True)):
            if warning is not None:
                log.warn(begin, warning)
        with stop_requested(deadline) as stop:
            loop = _Loop(config, state, log, order, train_state)
            finished = loop.run(dataset, val_dataset, stop)
            if not finished:
                again = command("train", "--out", Path(config.run.out), "--name", config.run.name, "--resume")
                saved = f"saved at step {loop.train_state.step}; continue with: {again}"
                if not stop.by_time:
                    raise KeyboardInterrupt(saved)
                log.say(f"--max-minutes {config.run.max_minutes:g} are over; {saved}")
        best, last = loop.train_state.best_step, loop.train_state.step
        is_last = best == last or isinf(loop.train_state.best)
        which = "" if is_last else f" (of step {best}: {folder}/best; the last one: --last)"
        curves = shlex.join(["tensorboard", "--logdir", str(folder)])
        log.say(f"model: {folder}{which}   curves: {curves}")
    return folder


class _Loop:
    """Takes the steps of a run."""

    def __init__(
        self, config: TrainConfig, state: RunState, log: RunLog, order: BatchOrder, train_state: TrainState
    ) -> None:
        self.config, self.state, self.log = config, state, log
        self.order, self.train_state = order, train_state
        optim = config.optim
        self.augmentation = Augmentation(optim.mirror, optim.jitter, optim.mirror_camera)
        self.freeze_at = round(config.many.freeze_from * order.stop)
        self.guard = FiniteGuard(state.network, state.fabric, train_state.skipped)
        self.clock = Clock(order.start)
        self.rate, self.fov = 0.0, 0.0
        """The learning rate, and the first camera's field of view in degrees."""
        self.suspect = too_high(optim, config.run.recipe)
        """What a collapse is first blamed on."""
        self.warned: dict[str, set[str]] = {}
        """The last symptoms, of steps and of validations."""
        self.save_postponed = False
        """A save was due after a skipped step."""

    def run(self, dataset: ClipDataset, val_dataset: ClipDataset, stop: Stop) -> bool:
        """True when all steps were taken, False when asked to stop."""
        fabric, run, steps = self.state.fabric, self.config.run, self.order.stop
        self.fov = horizontal_fov(dataset.batch([0]).intrinsics[0, 0], self.state.card.width)
        val_every = run.val_every or max(1, steps // 10)
        save_every = run.save_every or val_every
        # packed frames are gathered faster than a process hands them over
        workers = 0 if self.config.data.cache == "on" else self.config.data.workers
        on_gpu = fabric.device.type == "cuda"
        loader: Iterable[RawBatch] = batches(dataset, self.order, workers, pin=on_gpu)
        loader = ahead(loader) if on_gpu else loader  # page-locked by a thread while the GPU computes
        val_loader = batches(val_dataset, spread_out(len(val_dataset), VALIDATED, 8), 0, pin=False)
        with progress_bar(self.log.console, self.log.enabled) as bar:
            task = bar.add_task("training", total=steps, completed=self.order.start)
            for step, raw in enumerate(loader, self.order.start):
                if step == 0 and self.state.origin.begins_trained:
                    self._validate_start(self._batch(raw) for raw in val_loader)
                done = step + 1
                last, with_images = done == steps, done % run.picture_every == 0
                logs = last or done % run.log_every == 0
                validates = last or done % val_every == 0
                saves = last or done % save_every == 0 or self.save_postponed
                loss, output = self._take(step, raw, with_images)
                stopping = agreed(fabric, stop, done)
                validates = validates or (stopping and stop.by_time)
                if logs or validates or saves or stopping or fabric.device.type == "cpu":
                    # nothing is saved over the last good state
                    bad = self._was_skipped(step)
                    self.save_postponed = bad and saves
                    validates = validates and (last or not bad)
                    saves = last or stopping or (saves and not bad)
                if with_images:
                    self.log.images(done, output)
                if logs:
                    bar.update(task, description=self._log(done, loss, output))
                bar.update(task, completed=done)
                if validates and fabric.is_global_zero:
                    self._validate(done, (self._batch(raw) for raw in val_loader))
                skipped = self.guard.skipped if saves else self.train_state.skipped
                self.train_state = replace(self.train_state, step=done, skipped=skipped)
                if saves:
                    with self.clock.stopped():
                        save_run(self.state, self.train_state, run.keep)
                if validates or saves:
                    fabric.barrier()
                if stopping:
                    return False
        return True

    def _was_skipped(self, step: int) -> bool:
        """Whether the last step was skipped; too many of them end the run. The loop's only wait for the
        device."""
        in_a_row = self.guard.in_a_row
        if in_a_row >= SKIPPED_IN_A_ROW:
            saved = max(checkpoints_of(self.state.folder), default=None)
            raise InputError(not_finite(step, in_a_row, self.guard.skipped, self.rate, saved))
        return in_a_row > 0

    def _take(self, step: int, raw: RawBatch, with_images: bool) -> StepResult:
        """One step of the weights."""
        state, seed = self.state, self.config.run.seed
        frozen = step >= self.freeze_at
        self._prepare(step, frozen)
        torch.manual_seed(step_seed(seed, step, state.fabric.global_rank))
        batch = self._batch(raw, self.augmentation, step)
        self.guard.before_step()
        loss, output = self._step(batch, step, frozen, with_images)
        if state.network.cameras is not None:
            loss = loss + state.network.cameras.intrinsics_prior()
        state.optimiser.zero_grad(set_to_none=True)
        state.fabric.backward(loss)
        if isinstance(state.network, ManyDepth) and output.sweep_range is not None:
            state.network.depth.set_range(*output.sweep_range)  # buffers: a skipped step takes them back
        self.guard.apply(state.optimiser, [loss, *output.scalars.values()])
        return loss, output

    def _step(self, batch: Batch, step: int, frozen: bool, with_images: bool) -> StepResult:
        """Loss and output of the networks as they are."""
        config, state, draw = self.config, self.state, Draw(self.config.run.seed, step)
        plan = plan_at(config, state.card.architecture, step / self.order.stop)
        if isinstance(state.network, ManyDepth):
            momentum = range_momentum(config.many, step, frozen)
            plan = replace(plan, teacher_frozen=frozen, range_momentum=momentum)
            return many_step(state.model, batch, plan, draw, with_images)
        start_disparity = None
        if state.start is not None and plan.anchor > 0:
            with torch.no_grad(), state.fabric.autocast():
                start_disparity = state.start(batch.target).float()
        return mono_step(state.model, batch, plan, draw, with_images, start_disparity)

    def _prepare(self, step: int, frozen: bool) -> None:
        """What is frozen, and each weight's learning rate."""
        optim, state, steps = self.config.optim, self.state, self.order.stop
        rate = learning_rate(step, steps, optim.learning_rate, optim.schedule, optim.warm_up)
        if isinstance(state.network, ManyDepth):
            freeze_teacher(state.network, frozen)
            if frozen and self.config.many.fresh_optimiser:
                rate = optim.learning_rate
                if step == self.freeze_at:
                    state.optimiser.state.clear()
        if self.config.run.freeze_batchnorm and (self.config.fine_tunes or self.config.many.teacher):
            freeze_statistics(state.network)
        for group in state.optimiser.param_groups:
            waits = "speed" in group and step / steps < optim.camera_from
            group["lr"] = 0.0 if waits else rate * group.get("speed", 1.0)
        self.rate = rate

    def _batch(self, raw: RawBatch, augmentation: Augmentation | None = None, step: int = 0) -> Batch:
        device, seed = self.state.fabric.device, self.config.run.seed
        batch = to_batch(raw, self.config.offsets, device, augmentation, seed, step)
        return with_learnt_cameras(batch, self.state.network.cameras)

    def _log(self, done: int, loss: Tensor, output: StepOutput) -> str:
        """Write the figures, warn of a collapse; returns them for the progress bar."""
        log, state = self.log, self.state
        values = {"loss": loss.item(), **{k: v.item() for k, v in output.scalars.items()}}
        cameras, fov = learnt_intrinsics(state), self.fov
        if cameras is not None:
            values |= focal_lengths(cameras, state)
            fov = max(horizontal_fov(k, state.card.width) for k in cameras)
        speed = self.clock.steps_per_second(done) * self.config.optim.batch_size
        rates = {"learning_rate": self.rate, "samples_per_s": round(speed, 2)}
        log.event("train", done, {**values, **rates, "skipped_steps": self.guard.skipped})
        figures = f"loss {values['loss']:.4f}  {speed:.1f} samples/s"
        if not log.console.is_terminal:
            minutes = (self.order.stop - done) * self.config.optim.batch_size / speed / 60
            left = f", {minutes:.0f} min to go" if minutes >= 1 else ""
            log.say(f"step {done} of {self.order.stop}: {figures}{left}")
        cause = collapse(values, (done - 1) / self.order.stop, self.rate, fov, self.suspect)
        self._warn(done, "step", [cause])
        return figures

    def _warn(self, done: int, source: str, warnings: Iterable[str | None]) -> None:
        """Each once as long as its symptom, the words before its first figure, stays."""
        found = {re.split(r"[\d(]", warning)[0]: warning for warning in warnings if warning is not None}
        for symptom, warning in found.items():
            if symptom not in self.warned.get(source, ()):
                self.log.warn(done, warning)
        self.warned[source] = set(found)

    def _validate_start(self, val_batches: Iterator[Batch]) -> None:
        """Log the error of the model that training begins from, as step 0. It may be the best one where it is
        a new one: a ManyDepth that begins as its teacher, and matches."""
        if self.state.fabric.is_global_zero:
            if self.state.origin.teacher is not None:
                self._validate(0, val_batches)
            else:
                with self.clock.stopped():
                    self._scored(0, val_batches)
        self.state.fabric.barrier()

    def _scored(self, done: int, val_batches: Iterator[Batch]) -> Validation:
        """The validation after `done` steps, which is logged."""
        state = self.state
        result = validate(state.network, state.card.architecture, val_batches, state.fabric.autocast)
        self.log.event("val", done, result.to_json())
        self.log.say(f"step {done}: {result.describe()}")
        return result

    def _validate(self, done: int, val_batches: Iterator[Batch]) -> None:
        """Log the figures and what is wrong with them; the model is saved if its error is the smallest."""
        state, best = self.state, self.state.folder / "best"
        with self.clock.stopped():
            result = self._scored(done, val_batches)
            errors = (*self.train_state.errors, result.error)[-3:]
            self.train_state = replace(self.train_state, errors=errors)
            if result.error < self.train_state.best:
                save_model(best, state.network, state.card)
                write_cameras(state, best)
                self.train_state = replace(self.train_state, best=result.error, best_step=done)
        steps = self.order.stop
        found: list[str | None] = [*doubts(result, self.train_state, best, done, steps, self.suspect)]
        cameras = learnt_intrinsics(state)
        if done == self.order.stop and cameras is not None and state.network.cameras is not None:
            found.append(camera_at_guess(cameras, state.network.cameras.start, state.card.width))
        self._warn(done, "validation", found)
