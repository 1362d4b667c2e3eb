"""A model as its user knows it: text in, answer out, and every number in between."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from glassformer import pretrained
from glassformer.config import TransformerConfig
from glassformer.errors import InputError
from glassformer.glass.trace import Edit, Trace
from glassformer.model import Transformer
from glassformer.pretrained import Checkpoint
from glassformer.tasks.answering import Answering
from glassformer.tasks.classification import Classification
from glassformer.tasks.filling import Filling
from glassformer.tasks.generation import Generation
from glassformer.tasks.hidden import Hidden
from glassformer.tasks.tagging import Tagging
from glassformer.tasks.task import Task, Text
from glassformer.tasks.translation import Translation
from glassformer.text.published import SOURCE_FOLDER
from glassformer.text.tokenizer import Tokenizer


class Model:
    """A transformer with its tokenizers and its task."""

    def __init__(
        self, checkpoint: Checkpoint, tokenizer: Tokenizer, source_tokenizer: Tokenizer | None = None
    ) -> None:
        self.checkpoint, self.tokenizer, self.source_tokenizer = checkpoint, tokenizer, source_tokenizer
        self.task = task_of(checkpoint, tokenizer, source_tokenizer)

    @property
    def transformer(self) -> Transformer:
        """The model itself, a torch module."""
        return self.checkpoint.transformer

    @property
    def config(self) -> TransformerConfig:
        """Everything that decides its numbers."""
        return self.transformer.config

    def __call__(self, text: str | Text | Sequence[Text], context: str | None = None, **options: Any) -> Any:
        """The answer to a text (or to a text and its context); a list gives a list."""
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
        keep: str | Iterable[str] = "*",
        edits: Mapping[str, Edit] | None = None,
        **languages: str,
    ) -> Trace:
        """Every number of the run that makes the answer to this text; `edits` replaces some of them on the way.

        A translator of many languages is told `source_language` and `target_language` here too.
        """
        if context is not None:
            text = (str(text), context)
        task = self.task
        if languages:
            if not isinstance(task, Translation):
                raise InputError("languages were named, but this model does not translate; leave them out")
            task = task.between(**languages)
        run = task.run(self.transformer, text)
        trace = Trace(keep, edits)
        with torch.inference_mode():
            self.transformer(**run.batch.inputs(), trace=trace)
        trace.tokens, trace.answer = run.tokens, run.answer
        return trace

    def save_pretrained(
        self, folder: str | Path, *, dtype: str | None = None, shard_size: int | None = None
    ) -> None:
        """Write a checkpoint folder; where the family is published, `transformers` opens it."""
        pretrained.save(self.checkpoint, folder, dtype=dtype, shard_size=shard_size)
        self.tokenizer.save(folder)
        if self.source_tokenizer is not None:
            self.source_tokenizer.save(Path(folder) / SOURCE_FOLDER)

    def __repr__(self) -> str:
        count = sum(parameter.numel() for parameter in self.transformer.parameters())
        return f"Model({self.config.stack}, {self.config.head}, {count:,} parameters)"


def load(name: str | Path) -> Model:
    """A model by the name of one that ships, a checkpoint folder, or a name on the hub."""
    folder = pretrained.resolve(name)
    checkpoint = pretrained.load_transformer(folder)
    return Model(checkpoint, Tokenizer.load(folder), Tokenizer.load_source(folder))


def task_of(checkpoint: Checkpoint, tokenizer: Tokenizer, source_tokenizer: Tokenizer | None) -> Task:
    """What a checkpoint is for, by its stacks and its head."""
    config, labels = checkpoint.transformer.config, checkpoint.labels
    if config.stack == "encoder-decoder" and config.head == "language-model":
        return Translation.published(tokenizer, source_tokenizer, checkpoint.generation, checkpoint.raw)
    tasks: dict[str, Task] = {
        "language-model": Generation(tokenizer),
        "masked-language-model": Filling(tokenizer),
        "sequence-label": Classification(tokenizer, labels),
        "token-label": Tagging(tokenizer, labels),
        "answer-span": Answering(tokenizer),
        "hidden": Hidden(tokenizer),
    }
    return tasks[config.head]
