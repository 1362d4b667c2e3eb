"""The one loop: read, score, choose, until nothing is open."""

from collections.abc import Collection, Iterator

import torch
from torch import Tensor

from glassformer.config import TransformerConfig
from glassformer.data.batch import Batch
from glassformer.decoding.beam import Beam
from glassformer.decoding.chooser import Chooser, Prospects
from glassformer.decoding.constraints import Constraints
from glassformer.decoding.contrastive import Contrastive
from glassformer.decoding.endings import Endings
from glassformer.decoding.groups import Groups
from glassformer.decoding.options import Decoding
from glassformer.decoding.reader import Reader, evaluating, left_padded
from glassformer.decoding.records import Candidates, Hypothesis, Token
from glassformer.decoding.sampling import Draw
from glassformer.decoding.single import Drawn, Single, likeliest
from glassformer.decoding.watching import Watch
from glassformer.decoding.words import in_tokens
from glassformer.errors import InputError
from glassformer.model import Transformer
from glassformer.nn.twin import SearchReader
from glassformer.text.tokenizer import Tokenizer


def search(
    model: Transformer,
    batch: Batch,
    options: Decoding,
    *,
    ends: Collection[int],
    tokenizer: Tokenizer | None = None,
    history: list[Candidates] | None = None,
    watch: Watch | None = None,
) -> list[list[Hypothesis]]:
    """The best hypotheses for every row of a batch, best first; those that are drawn in the order of drawing.

    The batch's target is what each answer begins with: the start token of a translation, the prompt of a
    language model. `ends` are the tokens that close an answer; the `tokenizer` is needed where options are
    texts. Whatever is weighed on the way is written into `history`, if there is one: the whole tree of a beam
    search. With a `watch` all that is read is read a second time, with a trace, and decides nothing.
    """
    prepared = Prepared(model, batch, options, ends, tokenizer, watch)
    chooser = prepared.chooser(history)
    for _ in prepared.run(chooser):
        pass
    return chooser.hypotheses(options.num_return_sequences)


def stream(
    model: Transformer,
    batch: Batch,
    options: Decoding,
    *,
    ends: Collection[int],
    tokenizer: Tokenizer | None = None,
    alternatives: int = 0,
) -> Iterator[Token]:
    """Every token as soon as it is chosen, with the likeliest `alternatives` beside it."""
    if options.num_beams > 1:
        raise InputError(
            f"{options.num_beams} beams agree only at the end; to see tokens come, use num_beams = 1"
        )
    prepared = Prepared(model, batch, options, ends, tokenizer)
    return prepared.run(prepared.chooser(alternatives=alternatives))


class Prepared:
    """A search of which only the steps are still to be made."""

    def __init__(
        self,
        model: Transformer,
        batch: Batch,
        options: Decoding,
        ends: Collection[int],
        tokenizer: Tokenizer | None,
        watch: Watch | None = None,
    ) -> None:
        self.watch = watch
        self.model, self.source, self.source_mask = model, batch.source, batch.source_mask
        self.target, self.mask = beginning(batch)
        self.options = in_tokens(options, tokenizer)
        self.limits = limits(batch, self.options, model.config)
        closing = frozenset(ends)
        self.endings = Endings(closing)
        if options.stop_strings:
            before = real_rows(self.target, self.mask)
            self.endings = Endings(closing, options.stop_strings, tokenizer, before)

    def chooser(self, history: list[Candidates] | None = None, alternatives: int | None = None) -> Chooser:
        """What the options choose by; with `alternatives` it tells every token as soon as it is chosen."""
        options, given = self.options, (self.limits, self.endings, self.options)
        beams = options.num_beams > 1 or history is not None
        if history is not None and options.do_sample and options.num_beams == 1:
            raise InputError("tokens drawn one by one grow no tree; set do_sample to False or num_beams above 1")
        if options.contrastive:
            return Contrastive(*given, alternatives, history)
        if options.num_beam_groups > 1:
            return Groups(*given, history)
        answers, least = (1, len(self.endings.tokens) + 1) if beams else (options.num_return_sequences, 1)
        draw = Draw(options, len(self.limits), answers, least) if options.do_sample else None
        if beams:
            return Beam(*given, options.num_beams, draw, history)
        return Single(*given, likeliest if draw is None else Drawn(draw), alternatives)

    @torch.inference_mode()
    def run(self, chooser: Chooser) -> Iterator[Token]:
        """Read, score, choose, until nothing is open."""
        rules = None
        if self.options.constrained:
            rules = Constraints(self.options, self.target, self.mask, self.limits, self.endings.tokens)
        with evaluating(self.model):
            reader = self._reader()
            reader.read(self.target, self.mask)
            while True:
                choice = chooser.choose(Prospects(reader, rules, beams=self.options.num_beams > 1))
                yield from choice.certain
                if not choice.tokens:
                    return
                if rules is not None:
                    rules.follow(choice.tokens, choice.rows)
                reader.read_on(choice.tokens, choice.rows)

    def _reader(self) -> SearchReader:
        """The source, where there is one, read once: by the model's quick twin, unless somebody watches."""
        twin = self.model.quick
        if self.watch is None and twin is not None:
            quick = twin.reader(self.source, self.source_mask, hidden=self.options.contrastive)
            if quick is not None:
                return quick
        reader = Reader(self.model)
        if self.source is not None:
            memory = self.model.encode(self.source, source_mask=self.source_mask)
            reader = Reader(self.model, memory, self.source_mask)
        if self.watch is None:
            return reader
        return self.watch.beside(reader, self.source, self.source_mask)


def limits(batch: Batch, options: Decoding, config: TransformerConfig) -> list[int]:
    """How many new tokens each answer may have; the last one needs no position, unless it is weighed by being read.

    A text without a source may be longer than the positions: see Reader.
    """
    begun = lengths(*beginning(batch))
    unread = 0 if options.contrastive else 1
    room = [config.max_positions - length + unread for length in begun]
    if min(room) < 1 and (config.positions.startswith("learned") or options.max_new_tokens is None):
        raise InputError(
            f"the text has {max(begun)} tokens, but this model has {config.max_positions} positions; "
            "shorten the text or split it"
        )
    if options.max_new_tokens is None:
        return room
    most = [options.max_new_tokens] * len(begun)
    if batch.source is None:
        return most
    if config.positions.startswith("learned"):
        most = list(map(min, most, room))
    if options.beyond_source is None:
        return most
    sources = lengths(batch.source, batch.source_mask)
    return [min(limit, length + options.beyond_source) for limit, length in zip(most, sources, strict=True)]


def beginning(batch: Batch) -> tuple[Tensor, Tensor | None]:
    """What the answers begin with, every row ending where it goes on, and what of it is no padding."""
    assert batch.target is not None, "an answer begins with at least one token"
    if batch.target_mask is None:
        return batch.target, None
    return left_padded(batch.target, batch.target_mask)


def lengths(ids: Tensor, mask: Tensor | None) -> list[int]:
    """How many tokens of each row are no padding."""
    if mask is None:
        return [ids.shape[1]] * ids.shape[0]
    counts: list[int] = mask.long().sum(dim=1).tolist()
    return counts


def real_rows(ids: Tensor, mask: Tensor | None) -> list[list[int]]:
    """The rows without their padding, which stands before them."""
    rows: list[list[int]] = ids.tolist()
    return [row[len(row) - length :] for row, length in zip(rows, lengths(ids, mask), strict=True)]
