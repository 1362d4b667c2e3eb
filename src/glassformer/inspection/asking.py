"""From a text and the answer that is asked about to a question, for each of the six tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from glassformer.data.batch import Batch
from glassformer.data.examples import AnswerSpan
from glassformer.errors import InputError
from glassformer.inspection.question import SPECIAL, Number, Question, Side, Term, said, side_of, terms_of
from glassformer.model import Transformer
from glassformer.tasks.answering import Answering, both
from glassformer.tasks.classification import Classification
from glassformer.tasks.filling import Filling
from glassformer.tasks.generation import Generation
from glassformer.tasks.hidden import Hidden
from glassformer.tasks.model import Model
from glassformer.tasks.reading import batch_of, encoded, single, turned
from glassformer.tasks.rewriting import Rewriting
from glassformer.tasks.tagging import OUTSIDE, Tagging
from glassformer.tasks.task import Text
from glassformer.tasks.wanted import number_of, placed, span_in
from glassformer.text.tokenizer import Encoding, Tokenizer
from glassformer.text.windows import windows
from glassformer.text.words import words

ENDS = ("start", "end")
Target = str | int | Number | None


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the user said of the answer."""

    target: Target = None  # None: the model's own
    against: str | int | None = None  # the answer that it is weighed against
    position: int | None = None  # which new token, word or hidden word; None: the target's first place, else the first
    written: str | None = None  # what stands before the token that is asked about, in place of the model's own

    def __post_init__(self) -> None:
        if self.position is not None and (type(self.position) is not int or self.position < 0):
            raise InputError(f"position is {self.position!r}; expected a number, 0 for the first token or word")


def question_of(model: Model, text: Text, asked: Asked | None = None) -> Question:
    """The run in which this answer is made, and the logits that decide it."""
    asked = asked or Asked()
    if isinstance(asked.target, Number):
        plain = asked if isinstance(model.task, Hidden) else replace(asked, target=None)
        words = f"{asked.target.step} at {asked.target.place}"
        return replace(asking(model, text, plain), terms=(), number=asked.target, words=words)
    question = asking(model, text, asked)
    if len({(term.position, term.column) for term in question.terms}) < len(question.terms):
        raise InputError(f"{asked.target!r} and {asked.against!r} begin with the same token; name two that differ")
    return question


def asking(model: Model, text: Text, asked: Asked) -> Question:
    """By the model's task."""
    for kind, made in MAKERS.items():
        if isinstance(model.task, kind):
            if asked.written is not None and kind not in (Generation, Rewriting):
                raise InputError("what was written before was given, but this model writes no text; leave it out")
            found: Question = made(model.task, model.transformer, text, asked)
            return found
    raise InputError("this model has no task and so no answer to ask about; use one that has a head")


def rows_asked(task: Hidden, model: Transformer, text: Text, asked: Asked) -> Question:
    """A number of a step: the rows themselves are all that such a model answers."""
    if not isinstance(asked.target, Number):
        raise InputError(
            "this model has no task and so no answer to ask about; use one that has a head, or ask about a number of a "
            "step with target=Number(step, place)"
        )
    (encoding,) = encoded(task.tokenizer, [text], model.config.limit)
    batch = batch_of(model, task.tokenizer, [encoding])
    return Question(batch=batch, sides=read_sides(model, text, encoding), terms=(), words="")


def classified(task: Classification, model: Transformer, text: Text, asked: Asked) -> Question:
    """A label's logit, or a number that the model measures."""
    (encoding,) = encoded(task.tokenizer, [text], model.config.limit)
    batch = batch_of(model, task.tokenizer, [encoding])
    column = best(model, batch, None) if asked.target is None else label(asked.target, task.labels)
    against = None if asked.against is None else label(asked.against, task.labels)
    other = None if against is None else task.labels[against]
    return Question(
        batch=batch,
        sides=read_sides(model, text, encoding),
        terms=terms_of(None, column, against),
        words=said(task.labels[column], other) if task.kind != "number" else f"the value of {task.labels[column]}",
    )


def tagged(task: Tagging, model: Transformer, text: Text, asked: Asked) -> Question:
    """A label's logit at the first token of a word: by default the first with this label, else of the first name."""
    plain = single(text, "names are found in")
    (whole,) = task.encoded([plain])
    encoding = windows(whole, model.config.limit)[0].encoding
    batch, found = batch_of(model, task.tokenizer, [encoding]), words(plain, encoding.offsets, encoding.places(0))
    places = [word.places[0] for word in found]
    if asked.position is None:
        labels = [task.labels[best(model, batch, place)] for place in places]
        wanted = None if asked.target is None else task.labels[label(asked.target, task.labels)]
        named = next((n for n, each in enumerate(labels) if each != OUTSIDE), 0)
        number = labels.index(wanted) if wanted in labels else named
    else:
        number = among(asked.position, len(places), "word")
    place = places[number]
    column = best(model, batch, place) if asked.target is None else label(asked.target, task.labels)
    against = None if asked.against is None else label(asked.against, task.labels)
    other = None if against is None else task.labels[against]
    word = plain[found[number].start : found[number].end]
    return Question(
        batch=batch,
        sides=read_sides(model, plain, encoding),
        terms=terms_of(place, column, against),
        words=said(task.labels[column], other, f" at {word!r}"),
    )


def answered(task: Answering, model: Transformer, text: Text, asked: Asked) -> Question:
    """The logits of both ends of an answer, or of one: target is "start", "end", a piece of the context, or none."""
    if asked.against is not None or asked.position is not None:
        raise InputError("an answer is asked about by target: start, end, or a piece of the context; name nothing else")
    pair = both(text)
    (found,) = task.found(model, [pair], task.search)
    _, (lot,) = task.windows(model, [pair], task.search)
    first = found.places[0]
    ends: tuple[str, ...] = ENDS
    piece = AnswerSpan(text=pair[1][first.start : first.end], start=first.start)
    window = lot[first.window]
    if asked.target in ENDS:
        ends = (str(asked.target),)
    elif asked.target is not None:
        piece = placed(AnswerSpan(text=str(asked.target), start=-1), pair[1])
        window = next((one for one in lot if span_in(one, piece) != SPECIAL), lot[0])
    places = dict(zip(ENDS, span_in(window, piece), strict=True))
    if tuple(places.values()) == SPECIAL:
        raise InputError(f"no window holds the answer {piece.text[:30]!r} whole; give a shorter one")
    told = " and ".join(ends)
    return Question(
        batch=batch_of(model, task.tokenizer, [window.encoding]),
        sides=read_sides(model, pair, window.encoding),
        terms=tuple(Term(places[end], ENDS.index(end)) for end in ends),
        words=f"the logit of the {told} of {piece.text!r}",
    )


def filled(task: Filling, model: Transformer, text: Text, asked: Asked) -> Question:
    """A word's logit where one is hidden."""
    (encoding,) = task.encoded(model, [text])
    hidden = task.hidden(encoding)
    place = hidden[among(asked.position or 0, len(hidden), "hidden word")]
    batch = batch_of(model, task.tokenizer, [encoding])
    column, against = tokens_asked(task.tokenizer, model, batch, place, asked, None)
    return Question(
        batch=batch,
        sides=read_sides(model, text, encoding),
        terms=terms_of(place, column, against),
        words=said_of(task.tokenizer, asked, column, against),
    )


def generated(task: Generation, model: Transformer, text: Text, asked: Asked) -> Question:
    """A token's logit behind the text and what the model wrote before it, or behind what is said to stand there."""
    (prompt,) = task.prompts([text], model.config)
    number: int | None = None
    if asked.written is not None:
        (ids,) = task.prompts([f"{text}{asked.written}"], model.config)
        chosen = None
    else:
        number = asked.position or 0
        (answer,) = task.answer(model, [text], max_new_tokens=number + 1, seed=SEED)
        among(number, len(answer.ids), "new token")
        ids, chosen = [*prompt, *answer.ids[:number]], answer.ids[number]
    batch = Batch(target=torch.tensor([ids], device=model.tokens.weight.device))
    column, against = tokens_asked(task.tokenizer, model, batch, len(ids) - 1, asked, chosen)
    return Question(
        batch=batch,
        sides=(written_side(task.tokenizer, ids),),
        terms=terms_of(len(ids) - 1, column, against),
        words=said_of(task.tokenizer, asked, column, against, number),
        token=number,
    )


def rewritten(task: Rewriting, model: Transformer, text: Text, asked: Asked) -> Question:
    """A token's logit behind what was written before it."""
    plain = task.plain([text])[0]
    (source,) = task.sources([plain], model.config)
    number: int | None = None
    if asked.written is not None:
        behind, chosen = task.tokenizer.ids([asked.written], special=False)[0], None
    else:
        (answer,) = task.answer(model, [plain])
        number = first_place(task.tokenizer, answer.ids, asked) if asked.position is None else asked.position
        among(number, len(answer.ids), "new token")
        behind, chosen = list(answer.ids[:number]), answer.ids[number]
    ids = [task.start, *behind]
    batch = Batch(source=torch.tensor([source]), target=torch.tensor([ids])).to(model.tokens.weight.device)
    column, against = tokens_asked(task.tokenizer, model, batch, len(ids) - 1, asked, chosen)
    return Question(
        batch=batch,
        sides=(source_side(task, plain, source), written_side(task.tokenizer, ids)),
        terms=terms_of(len(ids) - 1, column, against),
        words=said_of(task.tokenizer, asked, column, against, number),
        token=number,
    )


SEED = 0  # of what is drawn, as in a run that is looked at
MAKERS: Mapping[type, Callable[..., Question]] = {
    Classification: classified,
    Tagging: tagged,
    Answering: answered,
    Hidden: rows_asked,
    Filling: filled,
    Generation: generated,
    Rewriting: rewritten,
}


# ------------------------------------------------------------------ what is chosen


def best(model: Transformer, batch: Batch, position: int | None) -> int:
    """The number of the highest logit."""
    with torch.inference_mode():
        logits = model(**batch.inputs())[0]
    return int((logits if position is None else logits[position]).argmax())


def among(number: int, count: int, what: str) -> int:
    """A number that there is."""
    if not 0 <= number < count:
        raise InputError(f"there is no {what} {number}; there are {count}, the first is 0")
    return number


def label(asked: object, labels: Sequence[str]) -> int:
    """A label by its name or its number."""
    return among(asked, len(labels), "label") if isinstance(asked, int) else number_of(asked, labels)


def tokens_asked(
    tokenizer: Tokenizer, model: Transformer, batch: Batch, position: int, asked: Asked, chosen: int | None
) -> tuple[int, int | None]:
    """The token that is asked about, by default the one that was chosen, and the one that it is weighed against."""
    assert not isinstance(asked.target, Number)
    if asked.target is not None:
        column = token_of(tokenizer, asked.target)
    else:
        column = best(model, batch, position) if chosen is None else chosen
    return column, None if asked.against is None else token_of(tokenizer, asked.against)


def first_place(tokenizer: Tokenizer, ids: Sequence[int], asked: Asked) -> int:
    """Where the target stands first in a text, or its beginning."""
    if asked.target is None or isinstance(asked.target, Number):
        return 0
    id = token_of(tokenizer, asked.target)
    return ids.index(id) if id in ids else 0


def token_of(tokenizer: Tokenizer, word: str | int) -> int:
    """A token's number: by itself, by its name in the vocabulary, or the first of those that spell a word."""
    return spelling(tokenizer, word)[0]


def spelling(tokenizer: Tokenizer, word: str | int) -> Sequence[int]:
    """The tokens of a word, or the one that is named."""
    if isinstance(word, int):
        return (among(word, tokenizer.vocab_size, "token"),)
    known = tokenizer.id(word)
    if known is not None:
        return (known,)
    spelt = [ids for ids in tokenizer.ids([f" {word}", word], special=False) if ids]
    if not spelt or spelt[0][0] == tokenizer.unk_id:
        raise InputError(f"{word!r} has no token in this model's vocabulary; name another word")
    return min(spelt, key=len)


def said_of(tokenizer: Tokenizer, asked: Asked, column: int, against: int | None, number: int | None = None) -> str:
    """Tokens in words, what was asked for beside those that only begin it, and which new token is meant."""

    def told(id: int, word: object) -> str:
        begins = isinstance(word, str) and len(spelling(tokenizer, word)) > 1
        return f"{shown(tokenizer, id)}, the first token of {word!r}," if begins else shown(tokenizer, id)

    words = said(told(column, asked.target), None if against is None else told(against, asked.against))
    return words.removesuffix(",") if number is None else f"{words.removesuffix(',')}, as new token {number}"


def shown(tokenizer: Tokenizer, id: int) -> str:
    """A token as text, in quotes."""
    return repr(tokenizer.decode([id]) or tokenizer.token(id))


# ------------------------------------------------------------------ what is read


def read_sides(model: Transformer, text: Text, encoding: Encoding) -> tuple[Side, ...]:
    """Of an encoder, of a decoder that reads, or of both when they read the same."""
    texts = (text,) if isinstance(text, str) else text
    plain = side_of("encoder", encoding.tokens, texts, encoding.offsets, encoding.texts)
    if model.encoder is None:
        return (replace(plain, name="decoder"),)
    if model.decoder is None:
        return (plain,)
    tokens, offsets, of = turned(encoding.tokens), turned(encoding.offsets), turned(encoding.texts)
    return plain, side_of("decoder", tokens, texts, offsets, of)


def source_side(task: Rewriting, text: str, ids: Sequence[int]) -> Side:
    """A source, the model's prefix and the marks of languages counted as added."""
    tokenizer, before = task.source_tokenizer, len(task.prefix)
    encoding = tokenizer.encode(task.prefix + text)
    own = {place: (start - before, end - before) for place, (start, end) in enumerate(encoding.offsets)
           if encoding.texts[place] is not None and start >= before}  # fmt: skip
    shift = next((s for s in range(len(ids)) if _fits(ids, s, encoding, own)), 0)
    offsets = [own.get(place - shift, SPECIAL) for place in range(len(ids))]
    of = [0 if place - shift in own else None for place in range(len(ids))]
    return side_of("encoder", list(map(tokenizer.token, ids)), (text,), offsets, of)


def _fits(ids: Sequence[int], shift: int, encoding: Encoding, own: Mapping[int, object]) -> bool:
    return all(place + shift < len(ids) and ids[place + shift] == encoding.ids[place] for place in own)


def written_side(tokenizer: Tokenizer, ids: Sequence[int]) -> Side:
    """What a decoder has read: its text is what its tokens say."""
    offsets, of, text = [], [], ""
    for count, id in enumerate(ids, start=1):
        longer = tokenizer.decode(ids[:count])
        added = id in tokenizer.special_ids or len(longer) <= len(text)
        offsets.append(SPECIAL if added else (len(text), len(longer)))
        of.append(None if added else 0)
        text = longer if len(longer) > len(text) else text
    return side_of("decoder", list(map(tokenizer.token, ids)), (text,), offsets, of)
