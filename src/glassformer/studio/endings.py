"""The end of a walk: how the answer follows from the last numbers, told by the run's own conclusion."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from glassformer.decoding.options import NAMES
from glassformer.errors import InputError
from glassformer.glass.conclusion.conclusion import Conclusion
from glassformer.glass.conclusion.span import SHOWN, Answered
from glassformer.glass.conclusion.words import Written
from glassformer.tasks.generation import Generation
from glassformer.tasks.model import Model
from glassformer.tasks.rewriting import Rewriting


class Told(NamedTuple):
    """What is said of a kind of conclusion."""

    title: str
    idea: str


WORDS: Mapping[str, Told] = {
    "written": Told(
        "Token after token becomes the answer",
        "Each row of probabilities belongs to one place of the answer, and one of its tokens was taken. The "
        "log-probabilities of all that were taken are added up; the pieces put together are the words.",
    ),
    "label": Told(
        "One label is the likeliest",
        "A label's logit says how much speaks for it; softmax turns the logits into probabilities that add up "
        "to one. The likeliest label is the answer.",
    ),
    "names": Told(
        "Labels of tokens become names",
        "Each token has a probability for every label. A word takes the label of its first token; B- says that "
        "a name begins with it, I- that a name goes on, O that it is no part of one. Words that belong together "
        "are a name.",
    ),
    "answer": Told(
        "A start and an end are an answer",
        "Each token of the context has a logit for being the answer's start and one for being its end. The "
        "log-probabilities of a start and an end are added; the piece of the context with the greatest sum is "
        "the answer, unless none is likelier.",
    ),
    "filled": Told(
        "The likeliest words fill the gaps",
        "At each hidden place every word of the vocabulary has a probability. The likeliest is filled in.",
    ),
}  # fmt: skip
ANY = "Each label is judged by itself, by a logistic function of its logit: every label above the threshold holds."
NUMBER = "The logits themselves are the answer: this model measures, and gives no probabilities."


def ended(conclusion: Conclusion | None, model: Model, options: Mapping[str, Any]) -> dict[str, Any]:
    """A conclusion with what is said of it, and its log-probabilities as probabilities too."""
    if conclusion is None:
        raise InputError("this run ends with its last step; only one that makes an answer has a conclusion")
    told = WORDS[conclusion.kind]
    found = conclusion.as_dict()
    idea = {"any": ANY, "number": NUMBER}.get(found.get("choice", ""), told.idea)
    found |= {"title": told.title, "idea": idea, "lines": list(conclusion.lines())}
    if isinstance(conclusion, Written):
        found["total"] = sum(each.log_probability for each in conclusion.tokens)
        found["how"] = searched(model, options)
    if isinstance(conclusion, Answered):
        del found["words"]
        found["candidates"] = [likely(each) for each in found["candidates"][:SHOWN]]
        found["no_answer_probability"] = math.exp(conclusion.no_answer)
        for window in found["windows"]:
            del window["start_logits"], window["end_logits"]
            window["best"] = likely(window["best"])
    return found


def likely(place: dict[str, Any]) -> dict[str, Any]:
    """A candidate with its probability beside the logarithm of it."""
    return {**place, "probability": math.exp(place["log_probability"])}


def searched(model: Model, options: Mapping[str, Any]) -> str:
    """How the tokens were chosen, in a sentence."""
    task = model.task
    assert isinstance(task, Generation | Rewriting), "only these write"
    decoding = task.decoding.changed(**{name: value for name, value in options.items() if name in NAMES})
    if decoding.do_sample:
        return "Each token was drawn by chance, by its probability: another draw would be another text."
    if decoding.num_beams > 1:
        taken = "that all ends agree with most" if decoding.by_agreement else "with the best score"
        return (
            f"The {decoding.num_beams} best beginnings went on side by side (a beam search), and the end {taken} was "
            "taken; so a token need not be the likeliest of its row."
        )
    return "Each token was the likeliest of its row."
