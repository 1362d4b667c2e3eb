"""Chat: a conversation in, the model's next words in it out, by the template that it was taught them in."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from glassformer.decoding.options import Decoding
from glassformer.errors import InputError
from glassformer.model import Transformer
from glassformer.tasks.generation import GeneratedText, Generation
from glassformer.tasks.reading import single
from glassformer.tasks.task import Run, Task, Text
from glassformer.text import chat
from glassformer.text.chat import Message

LENGTH = 512  # new tokens, where neither the model nor its user says how many
Said = Text | Sequence[Message]  # a text alone is what the user says first


class Chat:
    """Answers conversations. What is said first, about all of them, is `system`.

    `template` names one of several that a model may have; `variables` are whatever else its templates understand.
    """

    def __init__(
        self,
        generation: Generation,
        *,
        template: str | None = None,
        system: str | None = None,
        variables: Mapping[str, Any] | None = None,
    ) -> None:
        tokenizer = generation.tokenizer
        self.generation, self.decoding = generation.unframed(), generation.decoding
        self.template, self.special = chat.chosen(tokenizer.chat_templates, template), tokenizer.named
        self.system, self.variables = system, dict(variables or {})

    @classmethod
    def published(cls, task: Task, generation: Mapping[str, Any], **said: Any) -> "Chat":
        """By a checkpoint's own task and generation_config.json; an answer may be longer than a text's end."""
        if not isinstance(task, Generation):
            raise InputError(
                "a conversation was given, but this model does not go on with texts; use one that does"
            )
        if generation.get("max_new_tokens") is None:
            task = task.deciding(replace(task.decoding, max_new_tokens=LENGTH))
        return cls(task, **said)

    def prompt(self, said: Said) -> str:
        """A conversation as the model reads it, up to where its answer begins."""
        if isinstance(said, str | tuple):
            said = [{"role": "user", "content": single(said, "what is answered is")}]
        if self.system is not None and isinstance(said, Sequence):
            said = [{"role": "system", "content": self.system}, *said]
        return chat.rendered(self.template, said, self.special, **self.variables)

    def answer(
        self, model: Transformer, texts: Sequence[Said], decoding: Decoding | None = None, **options: Any
    ) -> list[GeneratedText]:
        """The model's words after each conversation, and these alone."""
        found = self.generation.answer(model, [*map(self.prompt, texts)], decoding, **options)
        return [
            replace(one, text=one.new, others=tuple(replace(other, text=other.new) for other in one.others))
            for one in found
        ]

    def pieces(
        self, model: Transformer, text: Said, decoding: Decoding | None = None, **options: Any
    ) -> Iterator[str]:
        """The model's words as they come."""
        return self.generation.pieces(model, self.prompt(text), decoding, **options)

    def check(
        self, model: Transformer, texts: Sequence[Said], decoding: Decoding | None = None, **options: Any
    ) -> None:
        """Refuse what `answer` would, before anything is computed."""
        self.generation.check(model, [*map(self.prompt, texts)], decoding, **options)

    def run(self, model: Transformer, text: Said, **options: Any) -> Run:
        """The run whose last position chose the last token."""
        return self.generation.run(model, self.prompt(text), **options)
