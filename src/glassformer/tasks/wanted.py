"""A text with the answer that is wanted of it, as the run in which the loss of that answer is made."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from glassformer.data.batch import IGNORE, Batch, Inputs
from glassformer.data.examples import AnswerSpan
from glassformer.errors import InputError
from glassformer.glass.trace import Trace
from glassformer.model import Transformer
from glassformer.nn.heads import guess_of
from glassformer.nn.loss import LossKind, LossSteps, PretrainingLossSteps, overheard
from glassformer.tasks.answering import Answering, both
from glassformer.tasks.classification import Classification
from glassformer.tasks.filling import Filling
from glassformer.tasks.generation import Generation
from glassformer.tasks.reading import encoded, run_of, single, too_long
from glassformer.tasks.rewriting import Rewriting
from glassformer.tasks.tagging import Tagging, firsts
from glassformer.tasks.task import Run, Task, Text
from glassformer.text.windows import Window

NOWHERE = (0, 0)  # the first position: this window does not hold the answer


@dataclass(frozen=True)
class Wanted:
    """A run whose batch carries labels, which loss they are for, and what is wanted in words."""

    run: Run
    kind: LossKind
    words: str
    over: str = "V"  # the axis of a choice at each position
    weights: Tensor | None = None  # of each label: how much it counts
    follows: Tensor | None = None  # B: 0 where the second text follows the first, 1 where it does not

    def loss(self, model: Transformer, smoothing: float = 0.0, trace: Trace | None = None) -> Tensor:
        """The mean loss of a label; with a trace, every number on the way to it."""
        inputs, labels, mask = self.run.batch.inputs(), self.run.batch.labels, None
        assert labels is not None, "an answer that is wanted comes with its labels"
        if self.follows is not None:
            return self._both(model, inputs, labels, smoothing, trace)
        if self.kind == "span":  # its loss reads the mask, so the mask is there even where nothing is padding
            inputs, mask = whole(inputs, model.decoder is not None)
        given: dict[str, Any] = {"smoothing": smoothing, "over": self.over, "weights": self.weights}
        steps = LossSteps(self.kind, ignored=IGNORE, **given)
        found: Tensor = steps(model(**inputs, trace=trace), labels, mask, trace)
        return found

    def _both(
        self, model: Transformer, inputs: Inputs, labels: Tensor, smoothing: float, trace: Trace | None
    ) -> Tensor:
        """The hidden words, and which text follows which."""
        if smoothing:
            raise InputError("hidden words and neighbours are learnt without smoothing; leave label_smoothing out")
        look = Trace(()) if trace is None else trace  # a head guesses about neighbours where somebody looks
        with overheard(guess_of(model.head)) as guesses:
            logits = model(**inputs, trace=look)
        found: Tensor = PretrainingLossSteps(ignored=IGNORE)(logits, labels, guesses[0], self.follows, look)
        return found


def whole(inputs: Inputs, decodes: bool) -> tuple[Inputs, Tensor]:
    """The same inputs with a mask over what the head reads, which says that nothing of it is padding."""
    read = inputs["target"] if decodes else inputs["source"]
    assert read is not None, "a head reads what was given to the last stack"
    mask = torch.ones_like(read, dtype=torch.bool)
    masked: Inputs = {**inputs, "target_mask": mask} if decodes else {**inputs, "source_mask": mask}
    return masked, mask


def wanted_of(task: Task, model: Transformer, text: Text, target: Any, **options: Any) -> Wanted:
    """The run of a text in which each label of `target` stands where the answer is made.

    What a target is depends on the task: a text for those that write (for a language model what follows the text);
    a label, several labels or numbers; a label for each word between spaces; a piece of the context, a text or an
    AnswerSpan, and "" where there is no answer; a word for each that is hidden.

    Options of the loss: `class_weights` of labels and names, how much each label counts, by name or in their order;
    `follows` of hidden words in two texts, whether the second follows the first, for a model that guesses that too.
    """
    for kind, made in MAKERS.items():
        if isinstance(task, kind):
            check_options(options, OPTIONS.get(kind, ()))
            found: Wanted = made(task, model, text, target, **options)
            return found
    raise InputError("a target was given, but this model has no task and so no loss; use one that has a head")


def check_options(options: Mapping[str, Any], known: Sequence[str]) -> None:
    """Refuse what is no part of this task's loss."""
    for name in options:
        if name == "r_drop":
            raise InputError(
                "R-Drop compares two passes in which other values are dropped, and nothing is dropped while a step is "
                "looked at, so its part of the loss would be 0; leave r_drop out"
            )
        if name not in known:
            there = f"there are {', '.join(known)}" if known else "leave it out"
            raise InputError(f"the loss of this task has no option {name!r}; {there}")


def weights_of(class_weights: Any, labels: Sequence[str], model: Transformer) -> Tensor | None:
    """How much each label counts: by name, those not named 1, or in the order of the labels."""
    if class_weights is None:
        return None
    if isinstance(class_weights, Mapping):
        for name in class_weights:
            number_of(name, labels)
        class_weights = [class_weights.get(name, 1.0) for name in labels]
    values = list(class_weights)
    if len(values) != len(labels) or not all(type(each) in (int, float) and each >= 0 for each in values):
        raise InputError(f"class_weights are {class_weights!r}; expected a number of 0 or more for {', '.join(labels)}")
    return torch.tensor(values, dtype=model.tokens.weight.dtype, device=model.tokens.weight.device)


def read_target(task: Task, target: str) -> str | list[str]:
    """A target that was typed: a text, or what stands between commas where a task wants several things."""
    several = isinstance(task, Tagging | Filling) or getattr(task, "kind", "one") == "any"
    return [each.strip() for each in target.split(",")] if several else target


def rewritten(
    task: Rewriting,
    model: Transformer,
    text: Text,
    target: str,
    *,
    source_language: str | None = None,
    target_language: str | None = None,
) -> Wanted:
    """The decoder reads its start and the target; it is to write the target and its end."""
    task = task.between(source_language, target_language)
    source = task.sources(task.plain([text]), model.config)
    written = task.begun(task.tokenizer.ids([text_of(target)], special=False)[0])
    read, labels = [task.start, *written], [*written, task.ends[0]]
    fits(target, len(read), model)
    batch = Batch(source=torch.tensor(source), target=torch.tensor([read]), labels=torch.tensor([labels]))
    tokens = {
        "encoder": [list(map(task.source_tokenizer.token, source[0]))],
        "decoder": [list(map(task.tokenizer.token, read))],
    }
    return Wanted(Run(batch.to(model.tokens.weight.device), tokens, ""), "choice", target)


def generated(task: Generation, model: Transformer, text: Text, target: str) -> Wanted:
    """The text is read, its continuation is to be written; the text's own tokens have no labels."""
    (ids,) = task.prompts([text], model.config)
    whole = task.tokenizer.ids([f"{text}{text_of(target)}"], special=False)[0]
    frame = len(ids) - len(task.tokenizer.ids([str(text)], special=False)[0])
    joined = [*ids[: max(frame, 0)], *whole]
    together = len(joined) > len(ids) and joined[: len(ids)] == ids
    new = joined[len(ids) :] if together else task.tokenizer.ids([target], special=False)[0]
    read = [*ids, *new[:-1]]
    fits(target, len(read), model)
    labels = [*[IGNORE] * (len(ids) - 1), *new]
    batch = Batch(target=torch.tensor([read]), labels=torch.tensor([labels]))
    tokens = {"decoder": [list(map(task.tokenizer.token, read))]}
    return Wanted(Run(batch.to(model.tokens.weight.device), tokens, ""), "choice", target)


def labelled(
    task: Classification, model: Transformer, text: Text, target: Any, *, class_weights: Any = None
) -> Wanted:
    """One label; any number of them where any may hold; a number for each thing that a model measures."""
    run = task.run(model, text)
    if class_weights is not None and (task.kind != "one" or len(task.labels) < 2):
        raise InputError("class_weights are for one choice among labels, which this model does not make; leave them")
    if task.kind == "number":
        values = numbers_of(target, task.labels)
        labels = torch.tensor([values], dtype=model.tokens.weight.dtype)
        return with_labels(run, labels, "number", ", ".join(f"{value:g}" for value in values))
    if task.kind == "one" and len(task.labels) > 1:
        chosen_one = with_labels(run, torch.tensor([number_of(target, task.labels)]), "choice", str(target))
        return replace(chosen_one, weights=weights_of(class_weights, task.labels, model))
    names = [target] if isinstance(target, str) else list(target)
    chosen = {number_of(name, task.labels) for name in names}
    row = [float(number in chosen) for number in range(len(task.labels))]
    labels = torch.tensor([row], dtype=model.tokens.weight.dtype)
    return with_labels(run, labels, "any", ", ".join(names) or "no label")


def tagged(
    task: Tagging, model: Transformer, text: Text, target: Sequence[str], *, class_weights: Any = None
) -> Wanted:
    """A label for each word between spaces, wanted at the word's first token."""
    plain = single(text, "names are found in")
    (encoding,) = encoded(task.tokenizer, [plain], model.config.limit)
    starts = [word.start() for word in re.finditer(r"\S+", plain)]
    names = [target] if isinstance(target, str) else list(target)
    if len(names) != len(starts):
        raise InputError(
            f"{len(names)} labels were given for {len(starts)} words; give one for each piece between spaces"
        )
    row = [IGNORE] * len(encoding)
    for place, name in zip(firsts(plain, starts, encoding), names, strict=True):
        number = number_of(name, task.labels)
        if place is not None:
            row[place] = number
    found = with_labels(task.run(model, plain), torch.tensor([row]), "choice", " ".join(names), over="L")
    return replace(found, weights=weights_of(class_weights, task.labels, model))


def answered(task: Answering, model: Transformer, text: Text, target: str | AnswerSpan) -> Wanted:
    """Where the answer starts and ends, in the first window that holds it whole; "" is no answer."""
    question, context = both(text)
    _, (lot,) = task.windows(model, [(question, context)], task.search)
    answer = target if isinstance(target, AnswerSpan) else AnswerSpan(text=text_of(target, True), start=-1)
    if not answer.text:
        window, places = lot[0], NOWHERE
    else:
        answer = placed(answer, context)
        found = ((window, span_in(window, answer)) for window in lot)
        window, places = next((each for each in found if each[1] != NOWHERE), (lot[0], NOWHERE))
        if places == NOWHERE:
            raise InputError(f"no window holds the answer {answer.text[:30]!r} whole; give a shorter one")
    run = run_of(model, task.tokenizer, window.encoding, str(task.answer(model, [text])[0]))
    return with_labels(run, torch.tensor([places]), "span", answer.text or "(no answer)")


def filled(
    task: Filling, model: Transformer, text: Text, target: str | Sequence[str], *, follows: bool | None = None
) -> Wanted:
    """The word at each mask, a single token of the vocabulary; of two texts also whether the second follows."""
    (encoding,) = task.encoded(model, [text])
    words, places = [target] if isinstance(target, str) else list(target), task.hidden(encoding)
    if len(words) != len(places):
        raise InputError(f"{len(words)} words were given for {len(places)} hidden ones; give one for each")
    row = [IGNORE] * len(encoding)
    for place, word in zip(places, words, strict=True):
        spelt = task.tokenizer.ids([f" {word}", word], special=False)
        alone = [ids[0] for ids in spelt if len(ids) == 1]
        if not alone or alone[0] == task.tokenizer.unk_id:
            raise InputError(f"{word!r} is no single token of this model; give a word that is")
        row[place] = alone[0]
    found = with_labels(task.run(model, text), torch.tensor([row]), "choice", " ".join(words))
    return found if follows is None else replace(found, follows=neighbours(model, text, follows))


def neighbours(model: Transformer, text: Text, follows: bool) -> Tensor:
    """The label of the guess about two texts: 0 where the second follows the first."""
    if not model.config.next_sentence:
        raise InputError("this model does not guess whether a text follows another; leave follows out")
    if isinstance(text, str):
        raise InputError("follows is said of two texts, and one was given; give the second as context")
    return torch.tensor([int(not follows)], device=model.tokens.weight.device)


def with_labels(run: Run, labels: Tensor, kind: LossKind, words: str, over: str = "V") -> Wanted:
    """The same run with labels beside what is read."""
    device = (run.batch.target if run.batch.source is None else run.batch.source).device  # type: ignore[union-attr]
    return Wanted(replace(run, batch=replace(run.batch, labels=labels.to(device))), kind, words, over)


def number_of(label: object, labels: Sequence[str]) -> int:
    """A label's number."""
    if label not in labels:
        raise InputError(f"there is no label {label!r}; this model's are {', '.join(labels)}")
    return labels.index(str(label))


def numbers_of(target: Any, labels: Sequence[str]) -> list[float]:
    """The numbers wanted of a model that measures, in the order of its labels."""
    values: Any = [target.get(name) for name in labels] if isinstance(target, Mapping) else target
    values = [values] if isinstance(values, int | float) else list(values)
    if len(values) != len(labels) or not all(type(value) in (int, float) for value in values):
        raise InputError(f"the target is {target!r}; expected a number for each of {', '.join(labels)}")
    return [float(value) for value in values]


def text_of(target: object, empty: bool = False) -> str:
    """A target that is a text."""
    if not isinstance(target, str) or not (empty or target.strip()):
        raise InputError(f"the target is {target!r}; expected a text, such as the right answer")
    return target


def fits(target: str, length: int, model: Transformer) -> None:
    """Refuse a target that a model has no positions for."""
    limit = model.config.limit
    if limit is not None and length > limit:
        raise too_long(target, length, limit)


def placed(answer: AnswerSpan, context: str) -> AnswerSpan:
    """An answer and where it stands: at its first place, where none was given."""
    start = context.find(answer.text) if answer.start < 0 else answer.start
    if start < 0 or context[start : start + len(answer.text)] != answer.text:
        raise InputError(f"the answer {answer.text[:30]!r} does not stand in the context; give a piece of it")
    return replace(answer, start=start)


def span_in(window: Window, answer: AnswerSpan) -> tuple[int, int]:
    """The positions of an answer's first and last token, if the window holds it whole."""
    start, end = answer.start, answer.start + len(answer.text)
    offsets = window.encoding.offsets
    touched = [place for place in window.places if offsets[place][0] < end and offsets[place][1] > start]
    if not touched or offsets[touched[0]][0] > start or offsets[touched[-1]][1] < end:
        return NOWHERE
    return touched[0], touched[-1]


OPTIONS: Mapping[type, tuple[str, ...]] = {
    Rewriting: ("source_language", "target_language"),
    Classification: ("class_weights",),
    Tagging: ("class_weights",),
    Filling: ("follows",),
}
MAKERS: Mapping[type, Callable[..., Wanted]] = {
    Rewriting: rewritten,
    Generation: generated,
    Classification: labelled,
    Tagging: tagged,
    Answering: answered,
    Filling: filled,
}
