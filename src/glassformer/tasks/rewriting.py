"""A text in, a text made of it out, by a pair of stacks: what translation and summarization have alike."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from glassformer.config import TransformerConfig
from glassformer.data.batch import Batch, pad
from glassformer.decoding.options import Decoding
from glassformer.decoding.pieces import Pieces, alone, cut, pieces
from glassformer.decoding.records import Candidates, Hypothesis, Token
from glassformer.decoding.search import search, stream
from glassformer.decoding.shortlist import Shortlist
from glassformer.decoding.speculation import Assistant, Drafts, ahead_by
from glassformer.errors import InputError
from glassformer.glass.views import Displayed
from glassformer.model import Transformer
from glassformer.tasks.reading import batches, in_order, single, too_long
from glassformer.tasks.task import Run, Text
from glassformer.tasks.written import written
from glassformer.text.languages import Languages
from glassformer.text.tokenizer import Tokenizer

BEYOND = 50  # tokens more than its source that a text may have; Vaswani et al. 2017, section 6.1


@dataclass(frozen=True, kw_only=True)
class Rewritten(Displayed):
    """What a text was made into; as a string it is its text."""

    text: str
    score: float  # the summed log-probability of its tokens, divided by length ** length_penalty
    ids: tuple[int, ...]
    tokens: tuple[str, ...]
    log_probabilities: tuple[float, ...]  # one a token
    complete: bool  # False: cut off because no more tokens were allowed
    drafts: Drafts | None = None  # where it was read ahead: how many guesses were right
    others: tuple["Rewritten", ...] = ()  # the next best ones, if they were asked for

    def __str__(self) -> str:
        return self.text


class Rewriting:
    """Encodes sources, searches with a model for what they are made into, decodes that.

    An answer begins with the token `start` (by default the tokenizer's <bos>) and is closed by one of `ends`
    (its <eos>). Without a `source_tokenizer` one is for both sides. `decoding` holds for every call that brings none of
    its own. `prefix` is put before every source: models of several tasks are told by it which is meant. A model of
    many languages is told which: `source_language`, `target_language`.
    """

    task: ClassVar[str]  # as config.json names it
    made: ClassVar[type[Rewritten]]
    usual: ClassVar[Decoding]

    def __init__(
        self,
        tokenizer: Tokenizer,
        source_tokenizer: Tokenizer | None = None,
        *,
        start: int | None = None,
        ends: Iterable[int] | None = None,
        decoding: Decoding | None = None,
        prefix: str = "",
    ) -> None:
        self.tokenizer, self.source_tokenizer = tokenizer, source_tokenizer or tokenizer
        self.decoding, self.prefix = decoding or self.usual, prefix
        self.start = _known(tokenizer.bos_id if start is None else start, "start", "<bos>")
        self.ends = tuple(ends or (_known(tokenizer.eos_id, "close", "<eos>"),))
        self.pad = tokenizer.pad_id if tokenizer.pad_id is not None else self.ends[0]
        source_pad = self.source_tokenizer.pad_id
        self.source_pad = source_pad if source_pad is not None else 0
        self.languages = Languages.of(self.source_tokenizer)
        self.source_language: int | None = None  # their tokens
        self.target_language: int | None = None

    @classmethod
    def published(
        cls,
        tokenizer: Tokenizer,
        source_tokenizer: Tokenizer | None,
        generation: Mapping[str, Any],
        raw: Mapping[str, Any],
    ) -> Self:
        """As a checkpoint's generation_config.json says, or, where it has none, its config.json.

        What config.json says of this task alone stands above both.
        """
        own = specific(raw, cls.task)
        said = {**(generation or raw), **own}
        start = generation.get("decoder_start_token_id", raw.get("decoder_start_token_id"))
        ends = generation.get("eos_token_id", raw.get("eos_token_id"))
        bound = {} if said.get("max_length") else {"beyond_source": BEYOND}
        return cls(
            tokenizer,
            source_tokenizer,
            start=start,
            ends=[ends] if isinstance(ends, int) else ends,
            decoding=Decoding.read(said, **bound),
            prefix=own.get("prefix") or raw.get("prefix") or "",
        )

    def between(self, source_language: str | None = None, target_language: str | None = None) -> Self:
        """The same task from one language, or into another."""
        task = copy(self)
        if source_language is not None:
            if self.languages.place == "announced":
                raise InputError(
                    "this model sees by itself what language a text is in; name target_language alone"
                )
            task.source_language = self.languages.id(source_language)
        if target_language is not None:
            task.target_language = self.languages.id(target_language)
            if self.languages.place == "after":
                task.start = task.target_language
        return task

    def decided(self, decoding: Decoding | None) -> Decoding:
        """How to search, the token that the target's language puts first included."""
        decoding = decoding or self.decoding
        if self.languages.place != "before":
            return decoding
        return replace(decoding, forced_bos_token_id=self._first(decoding))

    def begun(self, ids: list[int]) -> list[int]:
        """What is written, its language's token before it where the model puts it there."""
        return ids if self.languages.place != "before" else [self._first(self.decoding), *ids]

    def _first(self, decoding: Decoding) -> int:
        """The token of the language that is written."""
        asked = (self.target_language, decoding.forced_bos_token_id, self.decoding.forced_bos_token_id)
        first = next((token for token in asked if token is not None), None)
        if first is None:
            known = ", ".join(sorted(self.languages.ids))
            raise InputError(f"this model writes many languages; name target_language, one of {known}")
        return first

    def question(self, sources: Sequence[Sequence[int]]) -> Batch:
        """Encoded sources, and the start of what they are made into."""
        source, mask = pad(sources, self.source_pad)
        return Batch(source=source, source_mask=mask, target=torch.full((len(sources), 1), self.start))

    def sources(
        self, texts: Sequence[str], config: TransformerConfig, *, truncate: bool = False
    ) -> list[list[int]]:
        """The ids of each source; an empty text is refused, and a longer one than the model, unless it may be cut."""
        for number, text in enumerate(texts, start=1):
            if not text.strip():
                which = f"text {number} of {len(texts)}" if len(texts) > 1 else "the text"
                raise InputError(f"{which} is empty; give at least one word")
        encoded = [
            self.languages.framed(ids, self.source_language, self.target_language)
            for ids in self.source_tokenizer.ids([self.prefix + text for text in texts])
        ]
        limit = config.limit
        if limit is None:
            return encoded
        if truncate:
            return [self.cut(ids, limit) for ids in encoded]
        for text, ids in zip(texts, encoded, strict=True):
            if len(ids) > limit:
                raise too_long(text, len(ids), limit)
        return encoded

    def cut(self, ids: list[int], limit: int) -> list[int]:
        """A source as short as the model needs it: what closes it stays."""
        added = self.source_tokenizer.special_ids
        last = next((back for back, id in enumerate(reversed(ids)) if id not in added), len(ids))
        last = min(last, limit)
        return ids if len(ids) <= limit else [*ids[: limit - last], *ids[len(ids) - last :]]

    def rewrite(
        self,
        model: Transformer,
        texts: Sequence[str],
        decoding: Decoding | None = None,
        *,
        tokens: int = 8192,
        truncate: bool = False,
        assistant: Assistant | None = None,
        shortlist: Shortlist | None = None,
    ) -> list[Rewritten]:
        """What every text is made into, in order; `tokens` bounds what a batch reads at once."""
        found = self.each(
            model, texts, decoding, tokens=tokens, truncate=truncate, assistant=assistant, shortlist=shortlist
        )
        return in_order(found, len(texts))

    def each(
        self,
        model: Transformer,
        texts: Sequence[str],
        decoding: Decoding | None = None,
        *,
        tokens: int = 8192,
        truncate: bool = False,
        assistant: Assistant | None = None,
        shortlist: Shortlist | None = None,
    ) -> Iterator[tuple[int, Rewritten]]:
        """(number of the text, what it is made into) as they are found, short texts first.

        A smaller model as `assistant` guesses what follows, as in `Generation.each`. With a `shortlist` the texts of a
        batch are made of nothing but what their tokens may become.
        """
        decoding = self.decided(decoding)
        one_by_one = assistant is not None or decoding.prompt_lookup_num_tokens is not None
        encoded = self.sources(texts, model.config, truncate=truncate)
        device = model.tokens.weight.device
        for numbers in batches([len(ids) for ids in encoded], 1 if one_by_one else tokens // decoding.rows):
            sources = [encoded[number] for number in numbers]
            ahead = ahead_by(assistant, self.tokenizer)
            found = search(
                model,
                self.question(sources).to(device),
                decoding,
                ends=self.ends,
                tokenizer=self.tokenizer,
                ahead=ahead,
                allowed=self.allowed(shortlist, sources),
            )
            for number, hypotheses in zip(numbers, found, strict=True):
                told = self.told(hypotheses, decoding.stop_strings)
                yield number, replace(told, drafts=ahead.drafts) if one_by_one else told

    def allowed(self, shortlist: Shortlist | None, sources: Sequence[Sequence[int]]) -> Tensor | None:
        """The tokens that these sources may be made into, N; None: all.

        Of one vocabulary for both sides also their own, since names stay as they are.
        """
        if shortlist is None:
            return None
        own = sources if self.source_tokenizer is self.tokenizer else ()
        return shortlist.allowed(sources, {*self.ends, *self.tokenizer.special_ids, *chain(*own)})

    def stream(
        self,
        model: Transformer,
        text: str,
        decoding: Decoding | None = None,
        *,
        alternatives: int = 0,
        shortlist: Shortlist | None = None,
        **options: Any,
    ) -> Iterator[Token]:
        """Every token as soon as it is chosen, without beams, with the likeliest `alternatives` beside it."""
        decoding = (decoding or self.decoding.streamed).changed(**options)
        return stream(
            model,
            self._one(model, text),
            self.decided(decoding),
            ends=self.ends,
            tokenizer=self.tokenizer,
            alternatives=alternatives,
            allowed=self.allowed(shortlist, self.sources([text], model.config)),
        )

    def pieces(
        self,
        model: Transformer,
        text: Text,
        decoding: Decoding | None = None,
        *,
        source_language: str | None = None,
        target_language: str | None = None,
        shortlist: Shortlist | None = None,
        **options: Any,
    ) -> Iterator[str]:
        """The text of an answer as it comes, piece by piece."""
        task = self.between(source_language, target_language)
        decoding = (decoding or self.decoding.streamed).changed(**options)
        (plain,) = self.plain([text])
        tokens = task.stream(model, plain, alone(decoding), shortlist=shortlist)
        return pieces(tokens, Pieces(self.tokenizer, stop_strings=decoding.stop_strings))

    def tree(
        self, model: Transformer, text: str, decoding: Decoding | None = None
    ) -> tuple[Rewritten, list[Candidates]]:
        """An answer, and all that its beam search weighed, step by step."""
        history: list[Candidates] = []
        decoding, ends = self.decided(decoding), self.ends
        question = self._one(model, text)
        found = search(model, question, decoding, ends=ends, tokenizer=self.tokenizer, history=history)
        return self.told(found[0], decoding.stop_strings), history

    def told(self, hypotheses: Sequence[Hypothesis], stop_strings: Sequence[str] = ()) -> Rewritten:
        """The best hypothesis as text, the others beside it."""
        best, *others = (
            self.made(
                text=cut(self.tokenizer.decode(one.ids), stop_strings),
                score=one.score,
                ids=one.ids,
                tokens=tuple(map(self.tokenizer.token, one.ids)),
                log_probabilities=one.log_probabilities,
                complete=one.closed,
            )
            for one in hypotheses
        )
        return replace(best, others=tuple(others)) if others else best

    def answer(
        self,
        model: Transformer,
        texts: Sequence[Text],
        decoding: Decoding | None = None,
        *,
        source_language: str | None = None,
        target_language: str | None = None,
        truncate: bool = False,
        assistant: Assistant | None = None,
        shortlist: Shortlist | None = None,
        **options: Any,
    ) -> list[Rewritten]:
        """`rewrite`, as every task calls it, with options of the decoding by name.

        `truncate` lets the end of a text be left out that is longer than the model.
        """
        task = self.between(source_language, target_language)
        decoding = (decoding or self.decoding).changed(**options)
        plain = self.plain(texts)
        return task.rewrite(
            model, plain, decoding, truncate=truncate, assistant=assistant, shortlist=shortlist
        )

    def check(
        self,
        model: Transformer,
        texts: Sequence[Text],
        *,
        source_language: str | None = None,
        target_language: str | None = None,
        truncate: bool = False,
        **options: object,
    ) -> None:
        """Refuse what `answer` would, before anything is computed."""
        task = self.between(source_language, target_language)
        task.sources(task.plain(texts), model.config, truncate=truncate)

    def plain(self, texts: Sequence[Text]) -> list[str]:
        """Texts that are no pairs."""
        return [single(text, f"a {self.task} is made of") for text in texts]

    def run(
        self,
        model: Transformer,
        text: Text,
        decoding: Decoding | None = None,
        *,
        source_language: str | None = None,
        target_language: str | None = None,
        truncate: bool = False,
        **options: Any,
    ) -> Run:
        """The decoder's last run: all positions of the answer, each seeing what stands before it."""
        task = self.between(source_language, target_language)
        decoding = (decoding or self.decoding).changed(**options)
        best = task.rewrite(model, task.plain([text]), decoding, truncate=truncate)[0]
        read = [task.start, *best.ids[:-1]]
        source = task.sources(task.plain([text]), model.config, truncate=truncate)
        batch = Batch(source=torch.tensor(source), target=torch.tensor([read]))
        tokens = {
            "encoder": [list(map(self.source_tokenizer.token, source[0]))],
            "decoder": [list(map(self.tokenizer.token, read))],
        }
        made = written(best, task.decided(decoding))
        return Run(batch.to(model.tokens.weight.device), tokens, best.text, made, begun=1)

    def _one(self, model: Transformer, text: str) -> Batch:
        return self.question(self.sources([text], model.config)).to(model.tokens.weight.device)


def specific(raw: Mapping[str, Any], task: str) -> Mapping[str, Any]:
    """What config.json says of one task alone; where it knows several of a kind, none is meant."""
    said = raw.get("task_specific_params") or {}
    alike = [name for name in said if name.startswith(task)]
    name = task if task in said else alike[0] if len(alike) == 1 else None
    return {} if name is None else said[name]


def _known(token: int | None, what: str, usual: str) -> int:
    if token is None:
        raise InputError(
            f"the tokenizer has no token to {what} an answer ({usual}); train it with one or name another"
        )
    return token
