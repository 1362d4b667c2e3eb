"""From a recipe and the user's files to a running training: everything read, encoded and built."""

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch

from glassformer import adapters, pretrained
from glassformer.data.examples import Skipped, subject
from glassformer.errors import InputError
from glassformer.families.family import LABEL_HEADS
from glassformer.model import Transformer
from glassformer.nn.low_rank import low_ranks
from glassformer.pretrained import Checkpoint
from glassformer.text.tokenizer import Tokenizer
from glassformer.training.lessons import LESSONS
from glassformer.training.lessons.lesson import OPTIONAL, Lesson
from glassformer.training.loop import Batches, train
from glassformer.training.optimizer import AdamW, make_optimizer
from glassformer.training.recipe import Recipe
from glassformer.training.record import Record
from glassformer.training.roles import locate
from glassformer.training.run_folder import RunFolder
from glassformer.training.start import Origin, config_of, continued, new_checkpoint, tokenizer_of
from glassformer.training.tuning import rates, tune

MEASURED = ("dev", "test")  # the roles whose examples nothing is learnt from
FINISHED = ("best", "averaged", "last")  # a run's models, the one to use first


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A run of which only the steps are still to be made."""

    recipe: Recipe
    folder: RunFolder
    tokenizer: Tokenizer
    source_tokenizer: Tokenizer | None  # where the language that is translated from has one of its own
    checkpoint: Checkpoint
    lesson: Lesson[Any]
    batches: Batches
    examples: Mapping[str, Sequence[Any]]  # by role
    left_out: Mapping[str, int]  # why -> how many examples
    origin: Origin | None
    drawn: Sequence[str]  # parameters of a trained model that are new
    skipped: Sequence[Skipped]  # lines of the files that hold no example

    @property
    def model(self) -> Transformer:
        """The transformer that learns."""
        return self.checkpoint.transformer

    def optimizer(self) -> AdamW:
        """What moves the weights, for those who want to look at its moments while it does."""
        recipe = self.recipe
        return make_optimizer(self.model, recipe.training, rates(self.model, recipe.tuning, recipe.training))

    def records(
        self, clock: Callable[[], float] = time.monotonic, optimizer: AdamW | None = None
    ) -> Iterator[Record]:
        """Train, and yield a record now and then; at the end the test files are scored with the best weights."""
        recipe, dev = self.recipe, self.examples.get("dev")
        yield from train(
            self.model,
            self.batches,
            recipe.training,
            seed=recipe.seed,
            objective=self.lesson.objective(self.examples["train"]),
            evaluate=(lambda model: self.lesson.evaluate(model, dev)) if dev else None,
            folder=self.folder,
            save=self.save,
            clock=clock,
            optimizer=optimizer or self.optimizer(),
        )
        if self.examples.get("test"):
            yield self.tested()

    def tested(self) -> Record:
        """The test files' figures with the weights that were chosen."""
        chosen = next(self.folder.path / name for name in FINISHED if (self.folder.path / name).is_dir())
        checkpoint = adapters.load_whole(chosen)
        checkpoint.transformer.to(self.model.tokens.weight.device)
        last = self.folder.records()[-1]  # of this process or, where it only came to score, of an earlier one
        record = Record(
            kind="test",
            step=last["step"],
            epoch=last["epoch"],
            seconds=last["seconds"],
            metrics=self.lesson.tested(checkpoint, self.examples["test"]),
        )
        self.folder.log(record)
        return record

    def save(self, path: Path) -> None:
        """Write a model folder: config.json, weights, tokenizer; what LoRA learnt is an adapter's folder."""
        checkpoint = replace(self.checkpoint, raw={**self.checkpoint.raw, **self.lesson.learnt()})
        if low_ranks(self.model):
            assert self.origin is not None, "an adapter stands beside a trained model"
            adapters.save_adapter(checkpoint, path, self.origin.name)
            return
        pretrained.save(checkpoint, path)
        self.tokenizer.save_with(path, self.source_tokenizer)

    def steps_an_epoch(self) -> int:
        """How many steps go over all examples once."""
        return math.ceil(len(self.batches) / self.recipe.training.accumulate)

    def most_steps(self) -> float:
        """How many steps the run will have, if it does not end by the clock or by patience."""
        training = self.recipe.training
        epochs = math.inf if training.epochs is None else training.epochs
        most = math.inf if training.max_steps is None else training.max_steps
        return min(most, max(training.min_steps, epochs * self.steps_an_epoch()))

    def sizes(self) -> dict[str, int]:
        """What it is about, in figures."""
        dropped = len(getattr(self.batches, "dropped", ()))
        parameters = list(self.model.parameters())
        learning = sum(each.numel() for each in parameters if each.requires_grad)
        every = sum(each.numel() for each in parameters)
        sizes = {role: len(examples) for role, examples in self.examples.items()}
        return {
            **{f"{role} examples": size for role, size in sizes.items()},
            **{why: count for why, count in self.left_out.items() if count},
            "too long": dropped,
            "batches an epoch": len(self.batches),
            "tokens known": self.tokenizer.vocab_size,
            "parameters": every,
            **({} if learning == every else {"parameters that learn": learning}),
        }


def run_recipe(
    recipe: Recipe, data: Sequence[str], out: Path | str, *, resume: bool = False, device: str = "cpu"
) -> Iterator[Record]:
    """A whole run in one call."""
    yield from prepare(recipe, data, out, resume=resume, device=device).records()


def prepare(
    recipe: Recipe, data: Sequence[str], out: Path | str, *, resume: bool = False, device: str = "cpu"
) -> Prepared:
    """Read and build what the recipe's task needs; where something cannot be used, no folder stays behind."""
    kind = checked(recipe)
    if recipe.training.threads:
        torch.set_num_threads(recipe.training.threads)
    origin = None if recipe.model.start is None else Origin.of(recipe.model.start)
    if origin is None:  # a configuration that cannot be is told before the files are read
        known = {"vocab_size": recipe.tokenizer.vocab_size, **decided(kind, recipe, 2)}
        config_of(recipe.model, kind.fields, known)
    given = gathered(kind, recipe, data)
    folder = RunFolder.resume(out, recipe) if resume else RunFolder.create(out, recipe)
    try:
        folder.hold_to(given.described())
        return built(kind, recipe, given, folder, origin, device)
    except InputError:
        if not resume:
            folder.discard()
        raise


@dataclass(frozen=True, kw_only=True)
class Given:
    """What the user's files hold."""

    examples: Mapping[str, Sequence[Any]]  # by role
    labels: tuple[str, ...]
    left_out: Mapping[str, int]
    skipped: Sequence[Skipped]

    def described(self) -> dict[str, Any]:
        """What tells these examples from others, as plain values."""
        return {
            "examples": {role: len(examples) for role, examples in self.examples.items()},
            "labels": list(self.labels),
            "sha256": {role: digest(examples) for role, examples in self.examples.items()},
        }


def digest(examples: Sequence[Any]) -> str:
    """The beginning of the SHA-256 of all examples, in their order."""
    found = hashlib.sha256()
    for example in examples:
        found.update(repr(example).encode("utf-8", "surrogatepass"))
    return found.hexdigest()[:16]


def gathered(kind: type[Lesson[Any]], recipe: Recipe, data: Sequence[str]) -> Given:
    """The examples of each role, and the labels that those to learn from have."""
    found = {role: place.read(kind.kind, recipe.data) for role, place in locate(data, recipe.data).items()}
    examples = {role: kind.chosen(each.examples, recipe) for role, each in found.items()}
    other = sum(len(each.examples) - len(examples[role]) for role, each in found.items())
    if recipe.data.held_out and "dev" not in examples:
        examples["train"], examples["dev"] = kind.divided(examples["train"], recipe.data.held_out)
    left_out = {"with other labels": other}
    if recipe.data.unseen:
        examples["train"], left_out["seen in dev or test"] = unseen(examples)
    labels = kind.named(examples["train"])
    kind.check_labels(labels, recipe)
    for role in MEASURED:
        refuse_unseen(kind.named(examples.get(role, ())), labels, role)
    if dev := examples.get("dev"):
        refuse_metric(recipe, kind.measures_of(recipe, dev), "such dev examples are")
    skipped = [line for each in found.values() for line in each.skipped]
    return Given(examples=examples, labels=labels, left_out=left_out, skipped=skipped)


def unseen(examples: Mapping[str, Sequence[Any]]) -> tuple[Sequence[Any], int]:
    """The training examples about nothing that dev or test examples are about, and how many others there were."""
    seen = {subject(each) for role, every in examples.items() if role != "train" for each in every}
    kept = [each for each in examples["train"] if subject(each) not in seen]
    if not kept:
        raise InputError("dev and test files hold every training text; give other files, or unseen = false")
    return kept, len(examples["train"]) - len(kept)


def built(
    kind: type[Lesson[Any]],
    recipe: Recipe,
    given: Given,
    folder: RunFolder,
    origin: Origin | None,
    device: str,
) -> Prepared:
    """The tokenizer, the model, and the batches that it learns from."""
    torch.manual_seed(recipe.seed)
    fields, drawn = decided(kind, recipe, len(given.labels)), list[str]()
    if origin is None:
        place, texts = folder.path / "tokenizer", kind.texts(known_to(recipe, given))
        extra = kind.extra_tokens(recipe)
        tokenizer = tokenizer_of(recipe, texts, place, special=kind.special, extra=extra)
        checkpoint = new_checkpoint(recipe, tokenizer, given.labels, kind.fields, fields)
    else:
        tokenizer = origin.tokenizer
        checkpoint, drawn = continued(recipe, origin, given.labels, fields)
    told = kind.described(recipe, given.examples["train"])
    checkpoint = replace(checkpoint, raw={**checkpoint.raw, **told})
    tune(checkpoint.transformer, recipe.tuning)
    model = checkpoint.transformer.to(device)
    lesson = kind(recipe, tokenizer, given.labels)
    source_tokenizer = None if origin is None else origin.source_tokenizer
    lesson.prepare(checkpoint, source_tokenizer)
    for record in folder.records():
        if record["kind"] == "evaluation":
            lesson.recall(record["metrics"])
    for role in MEASURED:  # what they cannot be measured by is told before the first step
        if given.examples.get(role):
            lesson.batches(model, given.examples[role], seed=None)
    folder.list_left_out([str(each) for each in given.skipped])
    return Prepared(
        recipe=recipe,
        folder=folder,
        tokenizer=tokenizer,
        source_tokenizer=source_tokenizer,
        checkpoint=checkpoint,
        lesson=lesson,
        batches=lesson.batches(model, given.examples["train"], seed=recipe.seed),
        examples=given.examples,
        left_out=given.left_out,
        origin=origin,
        drawn=drawn,
        skipped=given.skipped,
    )


def known_to(recipe: Recipe, given: Given) -> Sequence[Any]:
    """The examples that a vocabulary is learnt from. One of characters is closed, and it must know all that is read."""
    if recipe.tokenizer.kind != "characters":
        return given.examples["train"]
    return [example for examples in given.examples.values() for example in examples]


def checked(recipe: Recipe) -> type[Lesson[Any]]:
    """The task of a recipe, if there is such a one and it can be learnt in this way."""
    if recipe.task not in LESSONS:
        raise InputError(f"there is no task {recipe.task!r} to train for; there is {', '.join(LESSONS)}")
    if recipe.tuning.method != "whole" and recipe.model.start is None:
        raise InputError(
            f"[tuning] method is {recipe.tuning.method!r}, but [model] names no trained model to start from; "
            "add start = NAME, or leave the method 'whole'"
        )
    kind = LESSONS[recipe.task]
    refuse_unused(recipe, kind)
    refuse_metric(recipe, kind.measures(recipe), f"this {recipe.task} is")
    for name, (off, needed) in OPTIONAL.items():
        table, _, key = name.partition(".")
        value = getattr(getattr(recipe, table), key)
        if value != off and name not in kind.takes(recipe):
            raise InputError(
                f"[{table}] {key} is {value!r} and asks for {needed}, which {recipe.task} as it is asked for here has "
                "not; leave it out"
            )
    return kind


def refuse_unused(recipe: Recipe, kind: type[Lesson[Any]]) -> None:
    """A line of the recipe that would change nothing is most likely not what was meant.

    LoRA's are left: the same recipe is tried with it and without.
    """
    model, table = recipe.model, recipe.tokenizer
    unused = {
        "pretraining": ({*keys(recipe.pretraining)} - kind.pretraining, f"which says nothing to {recipe.task}"),
        "decoding": (
            set() if kind.head == "language-model" else keys(recipe.decoding),
            f"but {recipe.task} writes no text",
        ),
        "tokenizer": (
            keys(table) if model.start else set() if table.use is None else keys(table) - {"use"},
            f"but {model.start or table.use} brings a tokenizer of its own",
        ),
    }
    for name, (never, why) in unused.items():
        own = getattr(recipe, name)
        for key, value in vars(type(own)()).items():
            if key in never and getattr(own, key) != value:
                raise InputError(f"[{name}] {key} is {getattr(own, key)!r}, {why}; leave it out")


def keys(table: Any) -> set[str]:
    """Of a table of the recipe."""
    return {each.name for each in fields(table)}


def refuse_metric(recipe: Recipe, known: Sequence[str], what: str) -> None:
    """A figure that is not measured chooses nothing."""
    if recipe.training.metric.lower() not in map(str.lower, known):
        raise InputError(
            f"[training] metric is {recipe.training.metric!r}; {what} measured by one of {', '.join(known)}"
        )


def refuse_unseen(found: Sequence[str], labels: Sequence[str], role: str) -> None:
    """A label that training never saw cannot be measured."""
    unseen = [label for label in found if label not in labels]
    if unseen:
        raise InputError(
            f"the {role} files have the label {unseen[0]!r}, which the training files do not have "
            f"({', '.join(labels)}); mend it, or add examples of it to the training files"
        )


def decided(kind: type[Lesson[Any]], recipe: Recipe, labels: int) -> dict[str, Any]:
    """The fields of a new model that its task leaves no choice about."""
    fields = {"head": kind.head, **kind.decided(recipe)}
    return {**fields, "labels": labels} if kind.head in LABEL_HEADS else fields
