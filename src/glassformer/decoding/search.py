"""The one loop: read, score, choose, until nothing is open."""

from collections.abc import Collection, Iterator

import torch
from torch import Tensor

from glassformer.config import TransformerConfig
from glassformer.data.batch import Batch
from glassformer.decoding.beam import Beam
from glassformer.decoding.chooser import Chooser
from glassformer.decoding.constraints import Constraints
from glassformer.decoding.greedy import Greedy
from glassformer.decoding.options import Decoding
from glassformer.decoding.reader import Reader, evaluating, left_padded
from glassformer.decoding.records import Candidates, Hypothesis, Token
from glassformer.errors import InputError
from glassformer.model import Transformer


def search(
    model: Transformer,
    batch: Batch,
    options: Decoding,
    *,
    ends: Collection[int],
    history: list[Candidates] | None = None,
) -> list[list[Hypothesis]]:
    """The best hypotheses for every row of a batch, best first.

    The batch's target is what each answer begins with: the start token of a translation, the prompt of a
    language model. `ends` are the tokens that close an answer. Whatever is weighed on the way is written into
    `history`, if there is one: the whole tree of a beam search.
    """
    most, closing = _prepared(model, batch, options, ends)
    chooser: Chooser
    if options.num_beams == 1 and history is None:
        chooser = Greedy(most, closing, options)
    else:
        chooser = Beam(most, closing, options, history)
    for _ in run(model, batch, chooser, _rules(batch, options, most, closing)):
        pass
    return [hypotheses[: options.num_return_sequences] for hypotheses in chooser.hypotheses()]


def stream(
    model: Transformer, batch: Batch, options: Decoding, *, ends: Collection[int], alternatives: int = 0
) -> Iterator[Token]:
    """Every token as soon as it is chosen, with the likeliest `alternatives` beside it."""
    if options.num_beams > 1:
        raise InputError(f"{options.num_beams} beams agree only at the end; to see tokens come, use num_beams = 1")
    most, closing = _prepared(model, batch, options, ends)
    chooser = Greedy(most, closing, options, alternatives)
    return run(model, batch, chooser, _rules(batch, options, most, closing))


@torch.inference_mode()
def run(
    model: Transformer, batch: Batch, chooser: Chooser, rules: Constraints | None = None
) -> Iterator[Token]:
    """Read, score, choose, until nothing is open."""
    with evaluating(model):
        reader, logits = begin(model, batch)
        while True:
            scored = score(logits)
            choice = chooser.choose(scored if rules is None else rules.allowed(scored))
            yield from choice.certain
            if not len(choice.tokens):
                return
            if choice.rows is not None:
                reader.select(choice.rows)
            if rules is not None:
                rules.follow(choice.tokens, choice.rows)
            logits = reader.read(choice.tokens[:, None])


def begin(model: Transformer, batch: Batch) -> tuple[Reader, Tensor]:
    """The source read once, the beginning of the answers read, and what may follow: logits B V."""
    memory = None
    if batch.source is not None:
        memory = model.encode(batch.source, source_mask=batch.source_mask)
    target, mask = _target(batch), batch.target_mask
    if mask is not None:
        target, mask = left_padded(target, mask)
    reader = Reader(model, memory, batch.source_mask)
    return reader, reader.read(target, mask)


def score(logits: Tensor) -> Tensor:
    """N V -> N V: the log-probability of every token, in float32 at least."""
    wide = logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
    return wide.log_softmax(dim=-1)


def limits(batch: Batch, options: Decoding, config: TransformerConfig) -> list[int]:
    """How many new tokens each answer may have; the last one is not read again and needs no position."""
    target = _target(batch)
    rows, length = target.shape
    room = config.max_positions - length + 1
    most = options.max_new_tokens
    if most is None or config.positions == "learned":
        if room < 1:
            raise InputError(
                f"the text has {length} tokens, but this model has {config.max_positions} positions; "
                "shorten the text or split it"
            )
        most = room if most is None else min(most, room)
    if options.beyond_source is None or batch.source is None:
        return [most] * rows
    return [min(most, length + options.beyond_source) for length in _lengths(batch.source, batch.source_mask)]


def _prepared(
    model: Transformer, batch: Batch, options: Decoding, ends: Collection[int]
) -> tuple[list[int], Tensor]:
    closing = torch.tensor(sorted(ends), dtype=torch.long, device=_target(batch).device)
    return limits(batch, options, model.config), closing


def _rules(batch: Batch, options: Decoding, most: list[int], closing: Tensor) -> Constraints | None:
    return Constraints(options, _target(batch), most, closing) if options.constrained else None


def _target(batch: Batch) -> Tensor:
    assert batch.target is not None, "an answer begins with at least one token"
    return batch.target


def _lengths(ids: Tensor, mask: Tensor | None) -> list[int]:
    if mask is None:
        return [ids.shape[1]] * ids.shape[0]
    lengths: list[int] = mask.long().sum(dim=1).tolist()
    return lengths
