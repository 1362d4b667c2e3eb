"""Writing a text token by token while every run is looked at."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from glassformer.data.batch import Batch
from glassformer.decoding.options import Decoding
from glassformer.decoding.pieces import followed
from glassformer.decoding.records import Candidates, Hypothesis
from glassformer.decoding.search import search
from glassformer.decoding.tree import grown
from glassformer.decoding.watching import Reading, Watch, note_choices
from glassformer.glass.generation import (
    Alternative,
    ChosenToken,
    GenerationTrace,
    Written,
    check_patterns,
)
from glassformer.glass.search_tree import SearchTree
from glassformer.model import Transformer
from glassformer.tasks.generation import Generation
from glassformer.tasks.rewriting import Rewriting
from glassformer.text.tokenizer import Tokenizer

EARLIER = ("!*.past_key", "!*.past_value", "!*.all_key", "!*.all_value")  # what a cache keeps of earlier positions


@dataclass(frozen=True)
class Prepared:
    """A search that is about to be made."""

    batch: Batch
    decoding: Decoding
    ends: tuple[int, ...]
    source: list[str]  # the tokens of the source, if there is one
    spelt: Callable[[Sequence[int]], str]  # the text of new tokens
    told: Callable[[list[Hypothesis]], tuple[str, str]]  # the answer, and what of it is new


def watched(
    task: Generation | Rewriting,
    model: Transformer,
    text: str,
    *,
    keep: str | Iterable[str] = "*",
    past: bool = True,
    alternatives: int = 5,
    **options: Any,
) -> GenerationTrace:
    """The runs behind an answer, one for each token; see `Model.trace_generation`."""
    prepared = prepared_by(task, model, text, options)
    decoding = alone(prepared.decoding)
    patterns = (keep,) if isinstance(keep, str) else tuple(keep)
    watch = Watch(patterns if past else (*patterns, *EARLIER), alternatives)
    history: list[Candidates] | None = [] if decoding.num_beams > 1 or decoding.contrastive else None
    ((best, *_),) = search(
        model,
        prepared.batch,
        decoding,
        ends=prepared.ends,
        tokenizer=task.tokenizer,
        history=history,
        watch=watch,
    )
    tree = None
    if history is not None:
        tree = grown(history, decoding, task.tokenizer.token, prepared.spelt)
        if decoding.contrastive:
            note_choices(watch.readings, history, float(decoding.penalty_alpha))
    answer, new = prepared.told([best])
    written = Written(
        answer=answer,
        new=new,
        tokens=chosen(best, tree, watch.readings, task.tokenizer),
        likeliest=not (decoding.do_sample or decoding.constrained or tree),
        rows=tuple(reading.rows for reading in watch.readings),
        tree=tree,
    )
    made = finished(watch, written, prepared, task.tokenizer)
    check_patterns(patterns, made.every)
    return made


def finished(watch: Watch, written: Written, prepared: Prepared, tokenizer: Tokenizer) -> GenerationTrace:
    """The runs with the names of what they read."""
    runs = [reading.trace for reading in watch.readings]
    for number, (run, reading) in enumerate(zip(runs, watch.readings, strict=True)):
        run.tokens = {"decoder": [list(map(tokenizer.token, row)) for row in reading.ids]}
        if prepared.source:
            run.tokens["encoder"] = [prepared.source]
        if number < len(written.tokens):
            run.answer = written.tokens[number].token
        if written.tree is not None and "search.written" in run.every_name:
            before = [node.token for node in written.tree.answer[: number - 1]]
            run.tokens["search"] = [[*map(tokenizer.token, watch.readings[0].ids[0]), *before]]
    if watch.source is not None:
        watch.source.tokens, watch.source.answer = {"encoder": [prepared.source]}, written.answer
    return GenerationTrace(runs, written, watch.source)


def chosen(
    best: Hypothesis, tree: SearchTree | None, readings: Sequence[Reading], tokenizer: Tokenizer
) -> tuple[ChosenToken, ...]:
    """The tokens of the answer, each with the row that chose it and what else was likely there."""
    rows = [0] * len(best.ids)
    if tree is not None:
        rows = [node.row for node in tree.answer]
    return tuple(
        ChosenToken(
            position=position,
            id=id,
            token=tokenizer.token(id),
            log_probability=log_probability,
            alternatives=tuple(
                Alternative(id=other, token=tokenizer.token(other), probability=math.exp(log))
                for other, log in readings[position].likeliest[row]
            ),
            row=row,
        )
        for position, (id, log_probability, row) in enumerate(
            zip(best.ids, best.log_probabilities, rows, strict=True)
        )
    )


def alone(decoding: Decoding) -> Decoding:
    """The same for one answer; what is drawn is drawn with one seed."""
    if decoding.do_sample and decoding.seed is None:
        decoding = replace(decoding, seed=0)
    return replace(decoding, num_return_sequences=1)


def prepared_by(
    task: Generation | Rewriting, model: Transformer, text: str, options: dict[str, Any]
) -> Prepared:
    """What a task's search begins with."""
    if isinstance(task, Generation):
        return going_on(task, model, text, options)
    return rewriting(task, model, text, **options)


def going_on(task: Generation, model: Transformer, text: str, options: dict[str, Any]) -> Prepared:
    """A prompt, gone on with for a few tokens unless more are asked for."""
    decoding = task.watched(options)
    (ids,) = task.prompts([text], model.config)
    target = torch.tensor([ids], device=model.tokens.weight.device)

    def told(hypotheses: list[Hypothesis]) -> tuple[str, str]:
        answer = task.told(text, ids, hypotheses, decoding)
        return answer.text, answer.new

    def spelt(new: Sequence[int]) -> str:
        return followed(task.tokenizer, ids, new)

    return Prepared(Batch(target=target), decoding, task.ends, [], spelt, told)


def rewriting(
    task: Rewriting,
    model: Transformer,
    text: str,
    decoding: Decoding | None = None,
    *,
    source_language: str | None = None,
    target_language: str | None = None,
    truncate: bool = False,
    **options: Any,
) -> Prepared:
    """A source, and the token that what is made of it begins with."""
    task = task.between(source_language, target_language)
    decided = task.decided((decoding or task.decoding).changed(**options))
    (source,) = task.sources(task.plain([text]), model.config, truncate=truncate)
    batch = task.question([source]).to(model.tokens.weight.device)

    def told(hypotheses: list[Hypothesis]) -> tuple[str, str]:
        answer = task.told(hypotheses, decided.stop_strings).text
        return answer, answer

    tokens = list(map(task.source_tokenizer.token, source))
    return Prepared(batch, decided, task.ends, tokens, task.tokenizer.decode, told)
