"""The one training loop: batches in, records out, weights better after each step."""

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any, Protocol

import torch
from torch import Tensor

from glassformer.data.batch import Batch
from glassformer.errors import InputError
from glassformer.evaluation.score import lower_is_better
from glassformer.model import Transformer
from glassformer.training.checkpoint import Save, average_weights, holding, load_weights, weights
from glassformer.training.compiling import attention_without_plans, compiler, is_compiled
from glassformer.training.loss import Loss, Objective, TokenLoss
from glassformer.training.memory import kept_memory
from glassformer.training.optimizer import (
    AdamW,
    clip_gradient,
    load_optimizer,
    make_optimizer,
    optimizer_tensors,
)
from glassformer.training.precision import chosen
from glassformer.training.progress import Progress, Window
from glassformer.training.random_state import random_state, set_random_state
from glassformer.training.recipe import TrainingTable
from glassformer.training.record import Record
from glassformer.training.run_folder import Checkpoint, RunFolder
from glassformer.training.schedule import Schedule
from glassformer.training.tables import by_rows, tables_of
from glassformer.training.utilization import Utilization, ids

LOG = logging.getLogger(__name__)
Evaluate = Callable[[Transformer], Mapping[str, float]]


class Batches(Protocol):
    """What to train on: an epoch's batches are a function of its number alone."""

    def __len__(self) -> int:
        """Batches in an epoch."""

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """The batches of epoch 0, 1, ..., from batch `start` on."""


def train(
    model: Transformer,
    batches: Batches,
    training: TrainingTable,
    *,
    seed: int = 0,
    objective: Objective | None = None,
    evaluate: Evaluate | None = None,
    rates: Mapping[str, float] | None = None,
    folder: RunFolder | None = None,
    save: Save | None = None,
    clock: Callable[[], float] = time.monotonic,
    optimizer: AdamW | None = None,
) -> Iterator[Record]:
    """Train `model` in place and yield records; with a folder that holds a checkpoint, go on from it.

    `evaluate(model)` gives the dev figures; `training.metric` is one of them. `rates` are shares of the learning rate
    by parameter; who wants to look at the moments on the way brings the `optimizer` itself, made by `make_optimizer`.
    `save(path)` writes the model as a published checkpoint folder: so `best/` and `last/` are made. Without a folder
    nothing is written.

    Torch's global random state is seeded (dropout draws from it). A run whose end is given in steps or epochs
    gives the same bits whether or not it was killed and resumed; one that ends by the clock goes on from the
    same bits, but a schedule that looks at the end then follows the clock. At the end the model holds the
    weights of the last step; the best ones are in the folder. Compiled (see `training.compile`) it gives the same
    numbers up to rounding, and draws other random ones; so it does where it is resumed, whose first batch is not.
    """
    run = _Run(
        model=model,
        batches=batches,
        training=training,
        objective=objective or TokenLoss(training.label_smoothing),
        evaluate=evaluate,
        folder=folder,
        save=save,
        clock=clock,
        optimizer=optimizer or make_optimizer(model, training, rates),
    )
    run.start(seed)
    yield from run.records()


@dataclass(kw_only=True)
class _Run:
    model: Transformer
    batches: Batches
    training: TrainingTable
    objective: Objective
    evaluate: Evaluate | None
    folder: RunFolder | None
    save: Save | None
    clock: Callable[[], float]
    optimizer: AdamW

    def __post_init__(self) -> None:
        self.device = next(self.model.parameters()).device
        self.parameters = [each for each in self.model.parameters() if each.requires_grad]
        self.tables = tables_of(self.model)
        self.schedule = Schedule.of(self.training)
        self.precision = chosen(self.training.precision, self.device)
        self.utilization = Utilization(self.model, self.precision)
        self.model.recompute_layers(self.training.gradient_checkpointing)
        self.progress = Progress()
        self.compiled = False  # whether layers are, once their operations are counted
        self.random: dict[str, Tensor] | None = None  # to be put back before the next batch is made
        self.opened = self.clock()  # the clock when `progress.seconds` was 0, had the run never stopped
        self.sums = self._no_sums()

    # ---- starting and going on

    def start(self, seed: int) -> None:
        """Begin at step 0, or where the folder's last checkpoint was."""
        if not len(self.batches):
            raise InputError("there is no batch to train on; give training files that hold examples")
        steps = self.folder.steps() if self.folder else []
        if self.folder and steps:
            self._restore(self.folder.read_checkpoint(steps[-1]))
            if self.save:
                self.folder.publish("last", self.save)  # the run may have ended between the two
        else:
            torch.manual_seed(seed)

    def _restore(self, checkpoint: Checkpoint) -> None:
        load_weights(self.model, checkpoint.model)
        load_optimizer(self.model, self.optimizer, dict(checkpoint.optimizer))
        self.random = {
            name: tensor for name, tensor in checkpoint.optimizer.items() if name.startswith("random/")
        }
        self.progress = Progress.from_dict(checkpoint.state)
        window = self.progress.window
        self.sums = torch.tensor([window.loss, window.nll, window.gradient_norm], device=self.device)
        self.opened = self.clock() - self.progress.seconds

    def _checkpoint(self) -> Checkpoint:
        self._settle_window()
        moments = optimizer_tensors(self.model, self.optimizer)
        return Checkpoint(
            model=weights(self.model),
            optimizer=moments | random_state(self.device),
            state=asdict(self.progress),
        )

    # ---- the run

    def records(self) -> Iterator[Record]:
        """Record after record; whatever randomness is used between two of them, training's is the same afterwards."""
        for record in self._steps():
            before = random_state(self.device)
            yield record
            set_random_state(before, self.device)

    def _steps(self) -> Iterator[Record]:
        """Step after step until a bound is reached."""
        try:
            self.compiled = is_compiled(self.training, self.device, *self._left())
            with kept_memory(self.device) as hand_back, compiler(self.compiled), attention_without_plans():
                for group in self._groups():
                    self._step(group)
                    yield from self._after_step()
                    hand_back()
                yield from self._finish()
        finally:
            self.model.compile_layers(False)
            if self.folder:
                self.folder.close()

    def _left(self) -> tuple[float, float]:
        """Steps and minutes that are still to come at most."""
        limit = self.training.max_minutes
        minutes = math.inf if limit is None else limit - self.progress.seconds / 60
        return self._total_steps() - self.progress.step, minutes

    def _groups(self) -> Iterator[list[Batch]]:
        """The batches of each step, from the place where the run stands until it ends."""
        progress = self.progress
        while not self._ended():
            stream = self.batches.epoch(progress.epoch, progress.position)
            if self.random is not None:
                set_random_state(self.random, self.device)
                self.random = None
            while not self._ended() and (group := list(islice(stream, self.training.accumulate))):
                progress.position += len(group)
                yield group
            if progress.position >= len(self.batches):
                progress.epoch += 1
                progress.position = 0
                progress.epoch_start = progress.step

    def _ended(self) -> bool:
        training, progress = self.training, self.progress
        return (
            (training.max_steps is not None and progress.step >= training.max_steps)
            or (training.epochs is not None and self._epochs_done() >= training.epochs and self._long_enough())
            or (training.max_minutes is not None and progress.seconds >= 60 * training.max_minutes)
            or (training.patience > 0 and progress.misses >= training.patience)
        )

    def _long_enough(self) -> bool:
        return self.progress.step >= self.training.min_steps

    def _epochs_done(self) -> int:
        return self.progress.epoch + (self.progress.position >= len(self.batches))

    def _total_steps(self) -> float:
        """How many steps the run will have had when it reaches its first bound."""
        training, progress = self.training, self.progress
        bounds = [math.inf]
        if training.max_steps is not None:
            bounds.append(training.max_steps)
        if training.epochs is not None:
            steps = math.ceil(len(self.batches) / training.accumulate)
            bounds.append(max(progress.epoch_start + (training.epochs - progress.epoch) * steps, training.min_steps))
        if training.max_minutes is not None and progress.seconds > 0:
            bounds.append(progress.step * 60 * training.max_minutes / progress.seconds)
        return min(bounds)

    def _step(self, group: list[Batch]) -> None:
        """One step on the mean over all labels of the group, however they are spread over its batches."""
        progress = self.progress
        self.model.train()
        labels = sum(batch.tokens for batch in group)
        self._find_gradient(group, labels)
        norm = clip_gradient(self.parameters, self.training.clip_norm or math.inf)
        self.sums[2] += norm
        progress.step += 1
        for each in self.optimizer.param_groups:
            each["lr"] = each["share"] * self.schedule.rate(progress.step, self._total_steps())
        self.optimizer.step()
        torch.autograd.graph.increment_version(self.parameters)  # a fused optimizer does not count what it changes
        self.optimizer.zero_grad(set_to_none=True)
        progress.window.labels += labels
        progress.window.read += sum(map(ids, group))
        progress.window.steps += 1
        progress.seconds = self.clock() - self.opened

    def _find_gradient(self, group: list[Batch], labels: int) -> None:
        """Compiled where it is wanted; what cannot be compiled here is computed as it stands, from now on."""
        if not self.compiled or not self._could_compile(group, labels):
            self._add_gradients(group, labels)  # so that what a failed try holds is free

    def _could_compile(self, group: list[Batch], labels: int) -> bool:
        """The gradient by compiled layers; where that fails all is as it was before."""
        sums, random = self.sums.clone(), random_state(self.device)
        try:
            self._add_gradients(group, labels)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:  # of which kind torch's compiler's are
            if not self.model.compiled:
                raise
            self.compiled, self.sums = False, sums
            set_random_state(random, self.device)
            self.optimizer.zero_grad(set_to_none=True)
            told = str(error).strip().partition("\n")[0] or type(error).__name__
            LOG.warning("layers could not be compiled (%s); training goes on without", told)
            return False
        return True

    def _add_gradients(self, group: list[Batch], labels: int) -> None:
        for batch in group:
            self.model.compile_layers(self.compiled and self.utilization.for_each is not None)
            with self._precision(), by_rows(self.tables), self.utilization.counted(batch):
                loss: Loss = self.objective(self.model, batch.to(self.device))
            (loss.total / labels).backward()  # type: ignore[no-untyped-call]
            self.sums[0] += loss.total.detach()
            self.sums[1] += loss.nll.detach()

    def _precision(self) -> AbstractContextManager[Any]:
        if self.precision == "bfloat16":
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        return nullcontext()

    # ---- after a step

    def _after_step(self) -> Iterator[Record]:
        step, training = self.progress.step, self.training
        if step % training.log_every == 0:
            yield self._log(self._train_record())
        if self.evaluate and step % training.evaluate_every == 0:
            yield self._log(self._evaluation())
        if self.folder and step % training.checkpoint_every == 0 and not self._ended():
            yield self._save_checkpoint()

    def _finish(self) -> Iterator[Record]:
        """What the last step left undone, its checkpoint last; then the average of the last checkpoints."""
        progress = self.progress
        if progress.window.steps:
            yield self._log(self._train_record())
        if self.evaluate and progress.evaluated < progress.step:
            yield self._log(self._evaluation())
        if self.folder and progress.step not in self.folder.steps():
            yield self._save_checkpoint()
        if self.folder and self.training.average_last > 1:
            yield self._log(self._average(self.folder))

    def _log(self, record: Record) -> Record:
        if self.folder:
            self.folder.log(record)
        return record

    def _record(self, kind: Any, **figures: Any) -> Record:
        progress = self.progress
        epoch = progress.epoch + (progress.position > 0)
        return Record(kind=kind, step=progress.step, epoch=epoch, seconds=progress.seconds, **figures)

    def _no_sums(self) -> Tensor:
        return torch.zeros(3, device=self.device)  # kept on the device: reading them would make it wait

    def _catch_up(self) -> None:
        """Wait for the steps that a GPU was given but has not made: their time is the steps' too."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
            self.progress.seconds = self.clock() - self.opened

    def _settle_window(self) -> None:
        self._catch_up()
        window = self.progress.window
        window.loss, window.nll, window.gradient_norm = self.sums.tolist()
        if not math.isfinite(window.loss + window.gradient_norm):
            raise InputError(
                f"at step {self.progress.step} the loss sums to {window.loss}, the gradient to "
                f"{window.gradient_norm}; lower learning_rate, raise warmup_steps or set clip_norm"
            )

    def _train_record(self) -> Record:
        self._settle_window()
        progress, window = self.progress, self.progress.window
        total = self._total_steps()
        record = self._record(
            "train",
            loss=window.loss / window.labels,
            nll=window.nll / window.labels,
            learning_rate=self.schedule.rate(progress.step, total),
            gradient_norm=window.gradient_norm / window.steps,
            tokens_per_second=window.labels / max(1e-9, progress.seconds - window.since),
            utilization=self.utilization.share(window.read, progress.seconds - window.since),
            time_left=self._time_left(total),
        )
        progress.window = Window(since=progress.seconds)
        self.sums = self._no_sums()
        return record

    def _time_left(self, total: float) -> float | None:
        if math.isinf(total):
            return None
        return max(0.0, (total - self.progress.step) * self.progress.seconds / self.progress.step)

    def _evaluation(self) -> Record:
        progress = self.progress
        with self._between_steps():
            metrics = self._measure()
            best = self._is_better(metrics)
            if best:
                progress.best = self._chosen(metrics)
                progress.best_loss = metrics.get("loss")
            progress.misses = 0 if best else progress.misses + 1
            if best and self.folder and self.save:
                self.folder.publish("best", self.save)
            progress.evaluated = progress.step
        return self._record("evaluation", metrics=metrics, best=best)

    @contextmanager
    def _between_steps(self) -> Iterator[None]:
        """What this takes is the run's time, and not that of the steps whose speed is told."""
        self._catch_up()
        progress = self.progress
        before = progress.seconds
        yield
        progress.seconds = self.clock() - self.opened
        progress.window.since += progress.seconds - before

    def _measure(self) -> dict[str, float]:
        """The dev figures; whatever randomness they use, training's is the same afterwards."""
        assert self.evaluate is not None
        self.model.eval()
        before = random_state(self.device)
        metrics = dict(self.evaluate(self.model))
        set_random_state(before, self.device)
        self.model.train()
        return metrics

    def _chosen(self, metrics: Mapping[str, float]) -> float:
        """The figure that chooses the best checkpoint; `metric = "BLEU"` finds `bleu`."""
        for name, value in metrics.items():
            if name.lower() == self.training.metric.lower():
                return value
        raise InputError(
            f"[training] metric is {self.training.metric!r}; "
            f"this task's evaluation gives {', '.join(metrics)}"
        )

    def _is_better(self, metrics: Mapping[str, float]) -> bool:
        """Whether the chosen figure is ahead of the best one, or equal with a lower loss."""
        value, best = self._chosen(metrics), self.progress.best
        if value == best and self.progress.best_loss is not None:
            return metrics["loss"] < self.progress.best_loss
        if math.isnan(value) or best is None:
            return not math.isnan(value)
        return value < best if lower_is_better(self.training.metric.lower()) else value > best

    def _save_checkpoint(self) -> Record:
        assert self.folder is not None
        checkpoint = self._checkpoint()
        record = self._log(self._record("checkpoint"))  # first: a resumed log ends with this line
        with self._between_steps():
            self.folder.write_checkpoint(self.progress.step, checkpoint, self.training.keep_last)
            if self.save:
                self.folder.publish("last", self.save)
        return record

    def _average(self, folder: RunFolder) -> Record:
        """The mean of the last checkpoints; published as best where it is."""
        steps = folder.steps()[-self.training.average_last :]
        files = [folder.checkpoint_folder(step) / "model.safetensors" for step in steps]
        with holding(self.model, average_weights(files)):
            metrics = self._measure() if self.evaluate else None
            best = metrics is None or self._is_better(metrics)
            if self.save:
                folder.publish("averaged", self.save)
            if best and self.save:
                folder.publish("best", self.save)
        return self._record("average", metrics=metrics, best=best)
