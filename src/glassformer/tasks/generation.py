"""Generation: the beginning of a text in, the text that goes on out."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, Self

import torch

from glassformer.config import TransformerConfig
from glassformer.data.batch import Batch, pad
from glassformer.decoding.options import Decoding
from glassformer.decoding.pieces import Pieces, alone, cut, followed, pieces
from glassformer.decoding.records import Hypothesis, Token
from glassformer.decoding.search import search, stream
from glassformer.decoding.speculation import Assistant, Drafts, ahead_by
from glassformer.decoding.words import in_tokens
from glassformer.errors import InputError
from glassformer.glass.views import Displayed
from glassformer.model import Transformer
from glassformer.tasks.reading import batches, in_order, single
from glassformer.tasks.task import Run, Text
from glassformer.tasks.written import written
from glassformer.text.tokenizer import Tokenizer

LENGTH = 40  # new tokens, where neither the model nor its user says how many
WATCHED = 16  # new tokens in a run that is looked at
TOKENS = 16384  # in a batch, those still to be written included


@dataclass(frozen=True, kw_only=True)
class GeneratedText(Displayed):
    """A text with what was written behind it; as a string it is all of that."""

    text: str
    new: str  # what was written
    score: float  # of a beam what it was chosen by, else the mean log-probability of its tokens
    ids: tuple[int, ...]  # the new tokens
    tokens: tuple[str, ...]
    log_probabilities: tuple[float, ...]  # one a token: the model's own
    complete: bool  # False: cut off because no more tokens were allowed
    drafts: Drafts | None = None  # where it was read ahead: how many guesses were right
    others: tuple["GeneratedText", ...] = ()  # more of them, if they were asked for

    def __str__(self) -> str:
        return self.text


class Generation:
    """Goes on with texts. Radford et al. 2019.

    Any of `ends` closes a text, by default the tokenizer's <eos>. `decoding` holds for every call that brings none of
    its own; single options of it may be changed by name.
    """

    def __init__(
        self, tokenizer: Tokenizer, *, ends: Collection[int] | None = None, decoding: Decoding | None = None
    ) -> None:
        self.tokenizer = tokenizer
        usual = () if tokenizer.eos_id is None else (tokenizer.eos_id,)
        self.ends = tuple(usual if ends is None else ends)
        self.decoding = decoding or Decoding(max_new_tokens=LENGTH)
        self.framed = True

    @classmethod
    def published(cls, tokenizer: Tokenizer, generation: Mapping[str, Any], raw: Mapping[str, Any]) -> Self:
        """As a checkpoint's generation_config.json says, or, where it has none, its config.json.

        A `max_length` there counts the prompt too; how much is written is left to `max_new_tokens`.
        """
        said = {name: value for name, value in (generation or raw).items() if name not in LENGTHS}
        ends = generation.get("eos_token_id", raw.get("eos_token_id"))
        known = [
            end for end in ([ends] if isinstance(ends, int) else ends or ()) if end < tokenizer.vocab_size
        ]
        return cls(tokenizer, ends=known or None, decoding=Decoding.read(said, max_new_tokens=LENGTH))

    def unframed(self) -> Self:
        """The same for texts that bring all special tokens with them, as a conversation does."""
        task = copy(self)
        task.framed = False
        return task

    def deciding(self, decoding: Decoding) -> Self:
        """The same, written otherwise where a call says nothing."""
        task = copy(self)
        task.decoding = decoding
        return task

    def answer(
        self, model: Transformer, texts: Sequence[Text], decoding: Decoding | None = None, **options: Any
    ) -> list[GeneratedText]:
        """Each text gone on with, in order."""
        return in_order(self.each(model, texts, decoding, **options), len(texts))

    def each(
        self,
        model: Transformer,
        texts: Sequence[Text],
        decoding: Decoding | None = None,
        *,
        tokens: int = TOKENS,
        assistant: Assistant | None = None,
        **options: Any,
    ) -> Iterator[tuple[int, GeneratedText]]:
        """(number of the text, the text gone on with) as they are found, short ones first.

        A smaller model as `assistant` guesses what follows, and the model reads its guesses at once: each text by
        itself. The text found without drawing is the same.
        """
        decoding = (decoding or self.decoding).changed(**options)
        one_by_one = assistant is not None or decoding.prompt_lookup_num_tokens is not None
        prompts, device = self.prompts(texts, model.config), model.tokens.weight.device
        new = decoding.max_new_tokens or model.config.max_positions
        for numbers in batches([len(ids) + new for ids in prompts], 1 if one_by_one else tokens // decoding.rows):
            ids, mask = pad([prompts[number] for number in numbers], self.tokenizer.pad_id or 0, side="left")
            batch = Batch(target=ids, target_mask=mask).to(device)
            ahead = ahead_by(assistant, self.tokenizer)
            found = search(model, batch, decoding, ends=self.ends, tokenizer=self.tokenizer, ahead=ahead)
            for number, hypotheses in zip(numbers, found, strict=True):
                told = self.told(str(texts[number]), prompts[number], hypotheses, decoding)
                yield number, replace(told, drafts=ahead.drafts) if one_by_one else told

    def stream(
        self,
        model: Transformer,
        text: Text,
        decoding: Decoding | None = None,
        *,
        alternatives: int = 0,
        assistant: Assistant | None = None,
        **options: Any,
    ) -> Iterator[Token]:
        """Every new token as soon as it is chosen, with the likeliest `alternatives` beside it."""
        decoding = (decoding or self.decoding.streamed).changed(**options)
        target = torch.tensor(self.prompts([text], model.config), device=model.tokens.weight.device)
        return stream(
            model,
            Batch(target=target),
            decoding,
            ends=self.ends,
            tokenizer=self.tokenizer,
            alternatives=alternatives,
            ahead=ahead_by(assistant, self.tokenizer),
        )

    def pieces(
        self,
        model: Transformer,
        text: Text,
        decoding: Decoding | None = None,
        *,
        assistant: Assistant | None = None,
        **options: Any,
    ) -> Iterator[str]:
        """The new text as it comes; the pieces together are what `answer` calls `new`."""
        decoding = (decoding or self.decoding.streamed).changed(**options)
        (ids,) = self.prompts([text], model.config)
        tokens = self.stream(model, text, alone(decoding), assistant=assistant)
        return pieces(tokens, Pieces(self.tokenizer, ids, decoding.stop_strings))

    def check(
        self,
        model: Transformer,
        texts: Sequence[Text],
        decoding: Decoding | None = None,
        *,
        assistant: Assistant | None = None,
        **options: Any,
    ) -> None:
        """Refuse what `answer` would, before anything is computed."""
        ahead_by(assistant, self.tokenizer)
        in_tokens((decoding or self.decoding).changed(**options), self.tokenizer)
        self.prompts(texts, model.config)

    def run(self, model: Transformer, text: Text, **options: Any) -> Run:
        """The run whose last position chose the last token; what is drawn is drawn with one seed.

        A run is for looking at: it ends after a few new tokens unless `max_new_tokens` asks for more, and in any case
        where the positions do.
        """
        decoding = self.watched(options)
        (ids,) = self.prompts([text], model.config)
        limit = model.config.limit
        if limit is not None:
            room = limit - len(ids) + 1
            decoding = replace(decoding, max_new_tokens=min(decoding.max_new_tokens or room, room))
        if decoding.seed is None:
            decoding = replace(decoding, seed=0)
        (answer,) = self.answer(model, [text], decoding)
        read = [*ids, *answer.ids[:-1]]
        batch = Batch(target=torch.tensor([read], device=model.tokens.weight.device))
        tokens = {"decoder": [list(map(self.tokenizer.token, read))]}
        return Run(batch, tokens, answer.text, written(answer, decoding), begun=len(ids))

    def watched(self, options: Mapping[str, Any]) -> Decoding:
        """How a text is written that is looked at: a few new tokens, unless more are asked for."""
        few = min(self.decoding.max_new_tokens or WATCHED, WATCHED)
        return self.decoding.changed(**{"max_new_tokens": few, **options})

    def prompts(self, texts: Sequence[Text], config: TransformerConfig) -> list[list[int]]:
        """The ids of each beginning. Nothing closes it; an empty one is the token that begins a text."""
        found = [self._prompt(single(text, "what is gone on with is")) for text in texts]
        limit = config.limit
        for text, ids in zip(texts, found, strict=True):
            if limit is not None and len(ids) > limit:
                raise InputError(
                    f"the text {str(text)[:30]!r} has {len(ids)} tokens, but this model has {limit} positions; "
                    "leave its beginning out"
                )
        return found

    def told(
        self, text: str, prompt: Sequence[int], hypotheses: Sequence[Hypothesis], decoding: Decoding
    ) -> GeneratedText:
        """The first hypothesis as text, the others beside it."""
        first, *others = (
            GeneratedText(
                text=f"{text}{new}",
                new=new,
                score=one.score,
                ids=one.ids,
                tokens=tuple(map(self.tokenizer.token, one.ids)),
                log_probabilities=one.log_probabilities,
                complete=one.closed,
            )
            for one in hypotheses
            for new in [cut(followed(self.tokenizer, prompt, one.ids), decoding.stop_strings)]
        )
        return replace(first, others=tuple(others)) if others else first

    def _prompt(self, text: str) -> list[int]:
        encoding = self.tokenizer.encode(text, special=self.framed)
        ids = list(encoding.ids)
        while (
            self.framed
            and ids
            and ids[-1] in self.tokenizer.special_ids
            and encoding.offsets[len(ids) - 1] == (0, 0)
        ):
            if ids == [self.tokenizer.bos_id]:
                break
            ids.pop()  # put there by the tokenizer, to close the text
        if ids:
            return ids
        if self.tokenizer.bos_id is None:
            raise InputError(
                "the text is empty, and this model has no token to begin one with; give at least one word"
            )
        return [self.tokenizer.bos_id]


LENGTHS = ("max_length", "min_length")
