"""The one loop: read, score, choose, until nothing is open."""

from collections.abc import Collection, Iterator

import torch
from torch import Tensor

from glassformer.config import TransformerConfig
from glassformer.data.batch import Batch
from glassformer.decoding.agreement import most_agreed_first
from glassformer.decoding.beam import Beam
from glassformer.decoding.chooser import Chooser, Prospects
from glassformer.decoding.constraints import Constraints
from glassformer.decoding.contrastive import Contrastive
from glassformer.decoding.endings import Endings
from glassformer.decoding.groups import Groups
from glassformer.decoding.options import ALONE, Decoding
from glassformer.decoding.prompts import PromptReader
from glassformer.decoding.reader import Reader, evaluating, left_padded, reader_of
from glassformer.decoding.records import Candidates, Hypothesis, Token
from glassformer.decoding.sampling import Draw
from glassformer.decoding.single import Drawn, Single, likeliest
from glassformer.decoding.speculation import Ahead, AheadReader, Drafter, Lookup, Smaller
from glassformer.decoding.watching import Watch
from glassformer.decoding.words import in_tokens
from glassformer.errors import InputError
from glassformer.model import Transformer
from glassformer.nn.twin import ModelReader, SearchReader
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
    ahead: Ahead | None = None,
    allowed: Tensor | None = None,
) -> list[list[Hypothesis]]:
    """The best hypotheses for every row of a batch, best first, or first what all agree with most; those that are drawn
    alone in the order of drawing.

    The batch's target is what each answer begins with: the start token of a translation, the prompt of a
    language model. `ends` are the tokens that close an answer; the `tokenizer` is needed where options are
    texts. Whatever is weighed on the way is written into `history`, if there is one: the whole tree of a beam
    search. With a `watch` all that is read is read a second time, with a trace, and decides nothing. `ahead` names an
    assistant to read ahead by, and counts what it guessed. Only the tokens `allowed` may be written, and those that the
    options force; None: all.
    """
    prepared = Prepared(model, batch, options, ends, tokenizer, watch, ahead, allowed)
    chooser = prepared.chooser(history)
    for _ in prepared.run(chooser):
        pass
    if not options.by_agreement:
        return chooser.hypotheses(options.num_return_sequences)
    ended = chooser.hypotheses(options.num_beams)
    return [most_agreed_first(each, options.agreement_power)[: options.num_return_sequences] for each in ended]


def stream(
    model: Transformer,
    batch: Batch,
    options: Decoding,
    *,
    ends: Collection[int],
    tokenizer: Tokenizer | None = None,
    alternatives: int = 0,
    ahead: Ahead | None = None,
    allowed: Tensor | None = None,
) -> Iterator[Token]:
    """Every token as soon as it is chosen, with the likeliest `alternatives` beside it."""
    if options.num_beams > 1:
        raise InputError(
            f"{options.num_beams} beams agree only at the end; to see tokens come, use num_beams = 1"
        )
    prepared = Prepared(model, batch, options, ends, tokenizer, ahead=ahead, allowed=allowed)
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
        ahead: Ahead | None = None,
        allowed: Tensor | None = None,
    ) -> None:
        self.watch, self.ahead = watch, ahead or Ahead()
        self.remembering: PromptReader | None = None
        self.model, self.source, self.source_mask = model, batch.source, batch.source_mask
        self.target, self.mask = beginning(batch)
        self.options = in_tokens(options, tokenizer)
        self.limits = limits(batch, self.options, model.config)
        self.allowed = with_forced(allowed, self.options, model)
        closing = frozenset(ends)
        self.endings = Endings(closing)
        if self.ahead.assistant is not None:
            check_assistant(model, self.ahead.assistant, options)
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
                try:
                    yield from choice.certain
                except GeneratorExit:  # whoever listens has heard enough
                    self._keep()
                    raise
                if not choice.tokens:
                    self._keep()
                    return
                if rules is not None:
                    rules.follow(choice.tokens, choice.rows)
                reader.read_on(choice.tokens, choice.rows)

    def _keep(self) -> None:
        """Leave what was read to later texts that begin alike."""
        if self.remembering is not None:
            self.remembering.keep()

    def _reader(self) -> SearchReader:
        """By the model's quick twin, unless somebody watches; and ahead, where that is asked for."""
        own = self._own_reader()
        drafter = self._drafter()
        reader: SearchReader = own
        if drafter is not None:
            options = self.options
            count = options.prompt_lookup_num_tokens or options.num_assistant_tokens
            reader = AheadReader(own, drafter, count, self.limits[0], self.ahead.drafts)
        if self.watch is None:
            return reader
        return self.watch.beside(reader, self.model, self.source, self.source_mask)

    def _own_reader(self) -> ModelReader:
        """Of one text that stands alone a reader that goes on from what the twin has read before."""
        quick, options = self.watch is None, self.options
        own = reader_of(
            self.model,
            self.source,
            self.source_mask,
            hidden=options.contrastive,
            quick=quick,
            allowed=self.allowed,
        )
        twin = self.model.quick if quick else None
        opened = type(own) is Reader and own.model is self.model  # the twin's weights are old ones
        if twin is None or opened or self.source is not None or len(self.target) > 1 or not options.single:
            return own
        self.remembering = PromptReader(twin.prompts, own)
        return self.remembering

    def _drafter(self) -> Drafter | None:
        """Who guesses what follows. A batch of several texts is not read ahead, nor one under edits."""
        wanted = self.ahead.assistant is not None or self.options.prompt_lookup_num_tokens is not None
        if not wanted or len(self.target) > 1 or self.model.touch is not None:
            return None
        if self.ahead.assistant is not None:
            smaller = self.ahead.assistant
            reader = reader_of(smaller, self.source, self.source_mask)
            return Smaller(smaller, reader, self.options, self.endings.tokens)
        shared = self.source is not None and self.model.source_tokens is None
        before = self.source[0].tolist() if shared and self.source is not None else ()
        return Lookup(before, self.endings.tokens)


def check_assistant(model: Transformer, assistant: Transformer, options: Decoding) -> None:
    """Refuse an assistant that cannot guess for this model, and searches that have several rows."""
    ours, theirs = model.config, assistant.config
    if not options.single or options.prompt_lookup_num_tokens is not None:
        raise InputError(f"an assistant reads ahead in one text alone; {ALONE}, and leave prompt_lookup_num_tokens out")
    for name in ("stack", "head", "vocab_size", "source_vocab_size"):
        if getattr(ours, name) != getattr(theirs, name):
            raise InputError(
                f"the assistant's {name} is {getattr(theirs, name)!r} and the model's {getattr(ours, name)!r}; "
                "give a smaller model of the same kind with the same vocabulary"
            )


def with_forced(allowed: Tensor | None, options: Decoding, model: Transformer) -> Tensor | None:
    """The tokens that may be written, from the lowest, with those that are written whatever may be; None: all."""
    if allowed is None:
        return None
    named = (*options.forced_prefix_ids, options.forced_bos_token_id, options.forced_eos_token_id)
    forced = [token for token in named if token is not None and token < model.config.vocab_size]
    return torch.tensor(sorted({*allowed.tolist(), *forced}), device=model.tokens.weight.device)


def limits(batch: Batch, options: Decoding, config: TransformerConfig) -> list[int]:
    """How many new tokens each answer may have; the last one needs no position, unless it is weighed by being read.

    A text without a source may be longer than the positions: see Reader.
    """
    begun = lengths(*beginning(batch))
    if min(begun) < 1:
        raise InputError("a row has no token to go on from; give each at least one that is no padding")
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
