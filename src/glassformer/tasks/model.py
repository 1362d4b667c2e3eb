"""A model as its user knows it: text in, answer out, and every number in between."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from glassformer import adapters, pretrained
from glassformer.config import TransformerConfig
from glassformer.decoding.prompts import MOST
from glassformer.decoding.shortlist import FILE as SHORTLIST
from glassformer.decoding.shortlist import OWN, Shortlist, has_own, shortlist_of
from glassformer.engine.prepare import Precision, Preparation, prepare, unaided
from glassformer.engine.rounding import parted_weights
from glassformer.errors import InputError
from glassformer.families import FAMILIES
from glassformer.foreign import reading
from glassformer.glass.edits import AnyEdit, Look
from glassformer.glass.generation import GenerationTrace
from glassformer.glass.learning import learn
from glassformer.glass.names import Names
from glassformer.glass.tape import Tape
from glassformer.glass.trace import Edit, Trace
from glassformer.glass.update import AdamW
from glassformer.model import Transformer
from glassformer.pretrained import Checkpoint
from glassformer.tasks.answering import Answering
from glassformer.tasks.chat import Chat
from glassformer.tasks.classification import Classification
from glassformer.tasks.editing import in_force
from glassformer.tasks.filling import Filling
from glassformer.tasks.generation import GeneratedText, Generation
from glassformer.tasks.hidden import Hidden
from glassformer.tasks.rewriting import Rewriting
from glassformer.tasks.summarization import Summarization
from glassformer.tasks.tagging import Tagging
from glassformer.tasks.task import Run, Task, Text
from glassformer.tasks.translation import Translation
from glassformer.tasks.wanted import Wanted, wanted_of
from glassformer.tasks.watching import watched
from glassformer.text.chat import Message
from glassformer.text.cutting import Tokenization
from glassformer.text.tokenizer import Tokenizer


class Model:
    """A transformer with its tokenizers and its task."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        tokenizer: Tokenizer,
        source_tokenizer: Tokenizer | None = None,
        *,
        task: str | None = None,
    ) -> None:
        self.checkpoint, self.tokenizer, self.source_tokenizer = checkpoint, tokenizer, source_tokenizer
        self.task = task_of(checkpoint, tokenizer, source_tokenizer, task)

    @property
    def transformer(self) -> Transformer:
        """The model itself, a torch module."""
        return self.checkpoint.transformer

    @property
    def config(self) -> TransformerConfig:
        """Everything that decides its numbers."""
        return self.transformer.config

    @property
    def names(self) -> Names:
        """What it can say about the numbers of its traces: its words and its labels."""
        source = self.source_tokenizer or self.tokenizer
        return Names(
            source_word=source.token,
            word=self.tokenizer.token,
            labels=tuple(self.checkpoint.labels or ()),
        )

    def __call__(self, text: str | Text | Sequence[Text], context: str | None = None, **options: Any) -> Any:
        """The answer to a text (or to a text and its context); a list gives a list."""
        options = self._with_shortlist(options)
        if context is not None:
            if not isinstance(text, str):
                raise InputError("a context goes with one text; for many, give a list of (text, context)")
            return self.task.answer(self.transformer, [(text, context)], **options)[0]
        if isinstance(text, str | tuple):
            return self.task.answer(self.transformer, [text], **options)[0]
        return list(self.task.answer(self.transformer, list(text), **options))

    def trace(
        self,
        text: Text,
        context: str | None = None,
        *,
        target: Any = None,
        label_smoothing: float = 0.0,
        keep: str | Iterable[str] = "*",
        edits: Mapping[str, Edit] | None = None,
        **options: Any,
    ) -> Trace:
        """Every number of the run that makes the answer to this text; `edits` replaces some of them on the way.

        Models that write take the options of their answers here too, such as `target_language` or `max_new_tokens`.
        With a `target`, the answer that is wanted (see `wanted_of`), the run is the one that learns from it, and its
        loss follows as the steps `loss.*`; its options, such as `class_weights`, are told there too.
        """
        if context is not None:
            text = (str(text), context)
        trace = Trace(keep, edits)
        if target is not None:
            trace.names = self.names
            wanted = wanted_of(self.task, self.transformer, text, target, **options)
            with torch.inference_mode():
                self.loss(wanted, label_smoothing, trace)
            trace.check()
            return trace
        with unaided(self.transformer):  # what is looked at is what answered
            run = self._seen(options).run(self.transformer, text, **options)
        return self.traced(run, trace)

    def trace_training_step(
        self,
        text: Text,
        context: str | None = None,
        *,
        target: Any,
        label_smoothing: float = 0.0,
        optimizer: AdamW | None = None,
        keep: str | Iterable[str] = "*",
        **options: Any,
    ) -> Trace:
        """Every number of one step of training on this text and the `target` that is wanted of it (see `wanted_of`).

        The run and its loss as in `trace`; then `gradient.*`, the gradient of every step and parameter, from the loss
        back to the embeddings; then `update.*`, one update by AdamW with its moments. The model itself stays as it is,
        and nothing is dropped at random while it is looked at.
        """
        if context is not None:
            text = (str(text), context)
        wanted = wanted_of(self.task, self.transformer, text, target, **options)
        tape = Tape()
        trace = Trace(keep, tape=tape)
        with torch.enable_grad():
            self.loss(wanted, label_smoothing, trace)
            if trace.touch is not None:
                raise InputError("an edit is in force, and what is replaced has no way back; leave the edit first")
            learn(trace, tape, optimizer or AdamW())
        trace.check()
        return trace

    def trace_windows(
        self,
        text: Text,
        context: str | None = None,
        *,
        keep: str | Iterable[str] = "*",
        **options: Any,
    ) -> list[Trace]:
        """One trace for each window in which a long text is read; of a text that is read at once the only one."""
        if context is not None:
            text = (str(text), context)
        return [self.traced(run, Trace(keep)) for run in self.runs(text, **options)]

    def runs(self, text: Text, **options: Any) -> list[Run]:
        """Everything that the model reads of a text at once, as it is read: one run, or one for each window."""
        task = self._seen(options)
        with unaided(self.transformer):
            if isinstance(task, Answering | Tagging):
                return task.runs(self.transformer, text, **options)
            return [task.run(self.transformer, text, **options)]

    def tokenization(self, text: str) -> Tokenization:
        """How a text that is read is cut into tokens, merge by merge or piece by piece, and numbered."""
        if isinstance(self.task, Rewriting):
            return self.task.source_tokenizer.steps(f"{self.task.prefix}{text}")
        return self.tokenizer.steps(text)

    def trace_generation(
        self,
        text: str,
        *,
        keep: str | Iterable[str] = "*",
        past: bool = True,
        alternatives: int = 5,
        **options: Any,
    ) -> GenerationTrace:
        """A text as it is written: one trace for each token, with its probability and the likeliest `alternatives`.

        The runs are those of the search, a token at a time with a cache; `past=False` keeps of them only what is new,
        and not the keys and values of earlier positions. The options are those of the model's answers; with several
        beams the whole tree of the search is kept too.
        """
        writer = self._writer("a text was to be written token by token")
        seen = watched(
            writer, self.transformer, text, keep=keep, past=past, alternatives=alternatives, **options
        )
        for run in seen.every:
            run.names = self.names
        return seen

    def traced(self, run: Run, trace: Trace | None = None) -> Trace:
        """Every number of a run."""
        trace = Trace() if trace is None else trace
        trace.names = self.names
        trace.begun = run.begun
        with torch.inference_mode():
            self.transformer(**run.batch.inputs(), trace=trace)
        trace.check()
        trace.tokens, trace.answer, trace.segments = run.tokens, run.answer, run.segments
        trace.conclusion = None if trace.edited else run.conclusion
        return trace

    def _seen(self, options: Mapping[str, Any]) -> Any:
        """The task, where it has these options."""
        known = OPTIONS.get(type(self.task))
        if not options or isinstance(self.task, Answering):  # which names what it does not know itself
            return self.task
        if known is None:
            return self._writer("options of writing were given")
        for name in options:
            if name not in known:
                raise InputError(
                    f"options of writing were given, but this model writes no text; there is no option {name!r} "
                    f"here, only {', '.join(known)}"
                )
        return self.task

    @contextmanager
    def edit(self, *edits: AnyEdit) -> Iterator["Model"]:
        """The model with some of its values or weights replaced, until the context is left.

        Edits are what `zero`, `mean`, `replace`, `patch`, `steer` and `weight` in glassformer.inspection return. They
        work in their order, those of an outer context first, on every run: answers, streams, beams, batches, traces.
        """

        def looking(pattern: str) -> Look:
            few: dict[str, Any] = {"max_new_tokens": 1} if isinstance(self.task, Generation) else {}
            return lambda text: self.trace(text, keep=pattern, **few)

        with in_force(self.transformer, edits, looking):
            yield self

    def loss(
        self, wanted: Wanted, label_smoothing: float = 0.0, trace: Trace | None = None
    ) -> torch.Tensor:
        """The mean loss of a label of the answer that is wanted; with a trace, every number on the way to it."""
        run, loss = wanted.run, wanted.loss(self.transformer, label_smoothing, trace)
        if trace is not None:
            trace.tokens, trace.answer, trace.segments = run.tokens, run.answer, run.segments
            trace.wanted, trace.conclusion = wanted.words, None if trace.edited else run.conclusion
        return loss

    def chat(
        self,
        messages: str | Sequence[Message],
        *,
        template: str | None = None,
        variables: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> GeneratedText:
        """What the model says next in a conversation such as [{"role": "user", "content": "Hello."}].

        The conversation is written as the model's chat template says; `template` names one where it has several, and
        `variables` are whatever else the template understands. The other options are those of its answers.
        """
        said = {"template": template, "variables": variables}
        chat = Chat.published(self.task, self.checkpoint.generation, **said)
        return chat.answer(self.transformer, [messages], **options)[0]

    def stream(self, text: str, **options: Any) -> Iterator[str]:
        """What a model writes, piece by piece as it comes; the options are those of its answers."""
        return self._writer("a stream was asked for").pieces(
            self.transformer, text, **self._with_shortlist(options)
        )

    def shortlist(self, name: str | Path | Shortlist = OWN) -> Shortlist:
        """What alone a translation may be made of: "own" is the file in the model's folder.

        Whoever answers with it many times reads it once: `model(text, shortlist=model.shortlist())`.
        """
        if not isinstance(self.task, Translation):
            raise InputError(
                "a shortlist says what a translation may be made of, and this model does not translate; leave it out"
            )
        return shortlist_of(name, self.checkpoint.folder, self.config)

    def _with_shortlist(self, options: dict[str, Any]) -> dict[str, Any]:
        """The same options with the shortlist itself in the place of its name."""
        name = options.get("shortlist")
        return options if name is None else {**options, "shortlist": self.shortlist(name)}

    def _writer(self, why: str) -> Generation | Rewriting:
        """The task, if it writes text."""
        if not isinstance(self.task, Generation | Rewriting):
            raise InputError(f"{why}, but this model writes no text: its head is {self.config.head}")
        return self.task

    def prepare(self, precision: Precision = "auto", *, prompt_bytes: int = MOST) -> Preparation:
        """Pack the weights for quick answers: "float32", "bfloat16", "int8", "int4", or "auto", as suits the processor.

        At float32 the answers stay the same. A trace is always the model's own, in the numbers of its weights. A text
        that begins as an earlier one is read from where they differ; up to `prompt_bytes` of keys and values are kept
        for that.
        """
        preparation = prepare(self.transformer, precision, prompt_bytes=prompt_bytes)
        if preparation.note is not None:
            warnings.warn(preparation.note, stacklevel=2)
        return preparation

    def save_pretrained(
        self,
        folder: str | Path,
        *,
        dtype: str | None = None,
        shard_size: int | None = None,
        precision: str | None = None,
    ) -> None:
        """Write a checkpoint folder; where the family is published, `transformers` opens it.

        With a `precision`, "int8" or "int4", weights are written as the whole numbers that the engine rounds them to;
        such a folder is smaller, and only `load` opens it.
        """
        if precision not in (None, "int8", "int4"):
            raise InputError(f"precision is {precision!r}; expected 'int8' or 'int4', or a dtype in its place")
        rounded = None if precision is None else parted_weights(self.transformer, precision)
        own = isinstance(self.task, Translation) and has_own(self.checkpoint.folder)
        shortlist = self.shortlist() if own else None
        pretrained.save(self.checkpoint, folder, dtype=dtype, shard_size=shard_size, rounded=rounded)
        if shortlist is not None:
            shortlist.save(Path(folder) / SHORTLIST)
        self.tokenizer.save_with(folder, self.source_tokenizer)

    def __repr__(self) -> str:
        count = sum(parameter.numel() for parameter in self.transformer.parameters())
        return f"Model({self.config.stack}, {self.config.head}, {count:,} parameters)"


def load(name: str | Path, *, task: str | None = None, precision: Precision | None = None) -> Model:
    """A model by the name of one that ships, a checkpoint folder, or a name on the hub.

    The folder may be one that CTranslate2 or llama2.c wrote.

    `task` chooses among those that a model of several is made for, such as T5: "translation" or "summarization".
    With a `precision` it is prepared for quick answers; see `Model.prepare`.
    """
    model = read(name, task)
    if precision is not None:
        model.prepare(precision)
    return model


def read(name: str | Path, task: str | None) -> Model:
    """A model as its files have it."""
    folder = pretrained.resolve(name)
    foreign = reading.read(folder)
    if foreign is not None:
        return Model(foreign.checkpoint, foreign.tokenizer, foreign.source_tokenizer, task=task)
    checkpoint = adapters.load_whole(folder)
    folder = adapters.tokenizer_folder(folder)
    return Model(checkpoint, Tokenizer.load(folder), Tokenizer.load_source(folder), task=task)


OPTIONS: Mapping[type, tuple[str, ...]] = {  # of tasks that read
    Classification: ("threshold", "truncate"),
    Tagging: ("aggregation", "window", "stride"),
    Filling: ("top",),
    Hidden: (),
}
REWRITING: Mapping[str, type[Rewriting]] = {"translation": Translation, "summarization": Summarization}
HEADS = {
    "language-model": "generation",
    "masked-language-model": "filling",
    "sequence-label": "classification",
    "token-label": "tagging",
    "answer-span": "answering",
    "hidden": "hidden",
}


def tasks_for(checkpoint: Checkpoint) -> tuple[str, ...]:
    """What a checkpoint is made for, by its stacks and its head; of a pair that writes, by what is said of it.

    Where nothing is, it may be for any text that is made of another; the first is meant where none is chosen.
    """
    config, raw = checkpoint.transformer.config, checkpoint.raw
    if config.stack != "encoder-decoder" or config.head != "language-model":
        return (HEADS[config.head],)
    for own in (raw.get("task"), FAMILIES[checkpoint.family].task):
        if own is not None and own in REWRITING:
            return (str(own),)
    said = raw.get("task_specific_params") or {}
    return tuple(task for task in REWRITING if any(name.startswith(task) for name in said)) or tuple(
        REWRITING
    )


def task_of(
    checkpoint: Checkpoint, tokenizer: Tokenizer, source_tokenizer: Tokenizer | None, task: str | None = None
) -> Task:
    """The task chosen among those that a checkpoint is made for, as its files say it is done."""
    possible = tasks_for(checkpoint)
    task = task or possible[0]
    if task not in possible:
        raise InputError(
            f"this model is made for {' or '.join(possible)}, and {task} was asked for; use another model"
        )
    labels, raw = checkpoint.labels, checkpoint.raw
    if task in REWRITING:
        return REWRITING[task].published(tokenizer, source_tokenizer, checkpoint.generation, raw)
    makers: Mapping[str, Callable[[], Task]] = {
        "generation": lambda: Generation.published(tokenizer, checkpoint.generation, raw),
        "filling": lambda: Filling(tokenizer),
        "classification": lambda: Classification.published(tokenizer, labels, raw),
        "tagging": lambda: Tagging.published(tokenizer, labels, raw),
        "answering": lambda: Answering.published(tokenizer, raw),
        "hidden": lambda: Hidden(tokenizer),
    }
    return makers[task]()
