"""How an answer follows from the last step: recomputed, saved, told, and caught when anything in it is wrong."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import glassformer as gf
from glassformer.errors import InputError
from glassformer.glass.conclusion.entities import Tagged, grouped
from glassformer.glass.conclusion.label import Labelled
from glassformer.glass.conclusion.span import Answered
from glassformer.glass.conclusion.words import Filled, Written
from glassformer.glass.trace import Trace
from glassformer.tasks.model import Model
from glassformer.tasks.tagging import Scheme

from .published import bart, bert, labels
from .test_wanted import CASES, LONG, kind, reader, writer

MARKED = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
QUESTION = "Who visited Paris?"


def classifier(choice: str) -> Model:
    configured = "none" if choice == "number" else choice
    return kind(reader("sequence-label", 4, pooler=True, label_choice=configured), choice)


def tagger(folder: Path) -> Model:
    bert(folder, "BertForTokenClassification", max_position_embeddings=40, **labels(*MARKED))
    return gf.load(folder)


def answerer(folder: Path, family: str = "bert") -> Model:
    {"bert": bert, "bart": bart}[family](folder, f"{family.title()}ForQuestionAnswering", max_position_embeddings=150)
    return gf.load(folder)


def traced(name: str, folder: Path) -> list[Trace]:
    """The traces of one kind of answer."""
    if name in ("one", "any", "number"):
        return [classifier(name).trace("the cat sat")]
    if name == "yes or no":
        return [kind(reader("sequence-label", 1), "one").trace("the cat sat")]
    if name == "filled":
        make, text, _, _ = CASES["filling"]
        return [make().trace(text, top=7)]
    if name == "written":
        return [writer().trace("the cat", max_new_tokens=6), gf.load("worked-example").trace("I love data")]
    if name == "beams":
        return [gf.load("worked-example").trace("I love data", num_beams=3, length_penalty=0.5)]
    if name.startswith("names"):
        aggregation = name.partition(" ")[2] or "first"
        return tagger(folder).trace_windows(LONG, aggregation=aggregation)
    options = {"no_answer": True, "threshold": -100.0} if name == "no answer" else {}
    return answerer(folder).trace_windows(QUESTION, LONG, window=60, **options)


KINDS = ("one", "any", "number", "yes or no", "filled", "written", "beams", "names", "names mean", "names simple",
         "answer", "no answer")  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_from_the_last_step_to_the_answer(name: str, tmp_path: Path) -> None:
    for number, trace in enumerate(traced(name, tmp_path)):
        verified = trace.verify()
        told = [check for check in verified.checks if check.name.startswith("answer.")]
        assert told
        assert max(check.error for check in told) <= 1e-10
        assert not verified.unchecked
        assert trace.conclusion is not None
        path = tmp_path / f"{number}.safetensors"
        trace.save(path)
        again = Trace.load(path)
        assert again.conclusion == trace.conclusion
        assert again.verify() == verified
        assert len(str(trace.conclusion).splitlines()) >= 1
        assert trace.conclusion.as_dict()["kind"] == trace.conclusion.kind


def test_windows_of_a_long_text_are_all_seen(tmp_path: Path) -> None:
    traces = traced("answer", tmp_path / "a")
    assert len(traces) > 3
    made = [trace.conclusion for trace in traces]
    assert all(isinstance(one, Answered) for one in made)
    assert [one.window for one in made] == list(range(len(traces)))  # type: ignore[union-attr]
    assert len({replace(one, window=0) for one in made}) == 1  # type: ignore[type-var]
    answer = gf.load(tmp_path / "a")(QUESTION, LONG, window=60, keep=4)
    best = made[0]
    assert isinstance(best, Answered)
    assert (best.answer, best.probability, best.margin) == (answer.text, answer.probability, answer.margin)
    assert best.candidates[0].log_probability == pytest.approx(math.log(answer.probability), abs=1e-12)
    one = gf.load(tmp_path / "a").trace(QUESTION, LONG, window=60, keep="head.*")
    assert isinstance(one.conclusion, Answered)
    assert one.conclusion.window == best.candidates[0].window
    names = traced("names", tmp_path / "b")
    covered = {token.window for token in names[0].conclusion.tokens}  # type: ignore[union-attr]
    assert covered == set(range(len(names)))
    assert [len(trace.tokens["encoder"][0]) for trace in names] == [40] * len(names)


def test_a_short_text_has_one_window() -> None:
    (trace,) = classifier("one").trace_windows("the cat")
    assert trace.verify().max_error <= 1e-10
    assert [str(each) for each in gf.load("worked-example").trace_windows("I love data")] == [
        str(gf.load("worked-example").trace("I love data"))
    ]


def wrong(trace: Trace, conclusion: Any) -> float:
    """The largest difference once the record says something else."""
    trace.conclusion = conclusion
    return max(check.error for check in trace.verify().checks if check.name.startswith("answer."))


def test_a_wrong_label_is_caught(tmp_path: Path) -> None:
    (trace,) = traced("one", tmp_path)
    made = trace.conclusion
    assert isinstance(made, Labelled)
    other = min(made.scores, key=lambda each: each.probability or 0.0)
    assert wrong(trace, replace(made, chosen=(other.label,))) > 1e-3
    assert wrong(trace, replace(made, scores=(replace(made.scores[0], logit=9.0), *made.scores[1:]))) > 1
    moved = (replace(made.scores[0], probability=0.123), *made.scores[1:])
    assert wrong(trace, replace(made, scores=moved)) > 1e-3
    (trace,) = traced("any", tmp_path)
    made = trace.conclusion
    assert isinstance(made, Labelled)
    assert wrong(trace, replace(made, chosen=())) > 1e-3 or not made.chosen


def test_a_wrong_name_is_caught(tmp_path: Path) -> None:
    trace = traced("names", tmp_path)[0]
    made = trace.conclusion
    assert isinstance(made, Tagged)
    assert made.names
    assert math.isinf(wrong(trace, replace(made, names=made.names[1:])))
    word = replace(made.words[0], probability=made.words[0].probability / 2)
    assert wrong(trace, replace(made, words=(word, *made.words[1:]))) > 1e-3
    others = [label for label in MARKED if label != made.words[1].label]
    word = replace(made.words[1], label=others[0])
    assert wrong(trace, replace(made, words=(made.words[0], word, *made.words[2:]))) > 1e-3
    shares = tuple(reversed(made.tokens[0].probabilities))
    assert wrong(trace, replace(made, tokens=(replace(made.tokens[0], probabilities=shares), *made.tokens[1:]))) > 1e-3


def test_a_wrong_answer_is_caught(tmp_path: Path) -> None:
    trace = traced("answer", tmp_path)[1]
    made = trace.conclusion
    assert isinstance(made, Answered)
    first, second, *rest = made.candidates
    assert wrong(trace, replace(made, candidates=(second, first, *rest))) > 1e-6
    assert wrong(trace, replace(made, candidates=(replace(first, start=first.start + 1), second, *rest))) > 1
    assert math.isinf(wrong(trace, replace(made, answer=second.text)))
    assert wrong(trace, replace(made, margin=made.margin + 0.5)) == pytest.approx(0.5)
    assert math.isinf(wrong(trace, replace(made, may_have_none=True, threshold=made.margin - 1)))
    window = replace(made.windows[1], start_logits=made.windows[0].start_logits)
    assert wrong(trace, replace(made, windows=(made.windows[0], window, *made.windows[2:]))) > 1e-3
    window = replace(made.windows[0], no_answer=0.0)
    assert wrong(trace, replace(made, windows=(window, *made.windows[1:]))) > 1e-3


def test_a_wrong_word_is_caught(tmp_path: Path) -> None:
    (trace,) = traced("filled", tmp_path)
    made = trace.conclusion
    assert isinstance(made, Filled)
    hidden = made.hidden[0]
    assert wrong(trace, Filled(hidden=(replace(hidden, candidates=hidden.candidates[1:]), *made.hidden[1:]))) > 1e-6
    trace = traced("written", tmp_path)[0]
    said = trace.conclusion
    assert isinstance(said, Written)
    assert wrong(trace, replace(said, score=said.score + 1)) == pytest.approx(1.0)
    token = replace(said.tokens[0], id=(said.tokens[0].id + 1) % 20)
    assert wrong(trace, replace(said, tokens=(token, *said.tokens[1:]))) > 1e-3


def test_what_was_not_kept_is_not_checked_and_an_edit_concludes_nothing() -> None:
    model = classifier("one")
    trace = model.trace("the cat", keep="*.weights")
    assert "answer" in trace.verify().unchecked
    edited = model.trace("the cat", edits={"head.logits": torch.neg})
    assert edited.conclusion is None


def test_a_beam_under_rules_says_that_its_score_is_no_sum() -> None:
    model = gf.load("worked-example")
    plain = model.trace("I love data", num_beams=2).conclusion
    ruled = model.trace("I love data", num_beams=2, repetition_penalty=1.3).conclusion
    assert isinstance(plain, Written)
    assert isinstance(ruled, Written)
    assert (plain.by_sum, ruled.by_sum) == (True, False)
    assert "rules or chance" in str(ruled)


@pytest.mark.parametrize(
    "known",
    [MARKED, ("O", "S-A", "B-A", "I-A", "E-A"), ("O", "A", "B-C-D"), ("B-A", "U-A", "L-A", "I-A", "O"), ("O", "A")],
)
def test_names_are_grouped_as_the_scheme_does(known: tuple[str, ...]) -> None:
    chance = torch.Generator().manual_seed(0)
    scheme = Scheme(known)
    for _ in range(300):
        row = [known[n] for n in torch.randint(0, len(known), (9,), generator=chance).tolist()]
        assert grouped(row, known) == scheme.spans(row), row


@pytest.mark.parametrize(
    ("make", "options", "said"),
    [
        (lambda: classifier("one"), {"aggregation": "first"}, "no option 'aggregation' here, only threshold"),
        (lambda: reader("hidden"), {"top": 3}, "writes no text"),
        (lambda: reader("token-label", 3), {"aggregation": "last"}, "aggregation is 'last'"),
        (lambda: reader("answer-span"), {"top": 1}, "no 'top'"),
    ],
)
def test_options_that_a_task_does_not_have_are_refused(make: Any, options: dict[str, Any], said: str) -> None:
    text = ("the dog", "the cat sat") if make().config.head == "answer-span" else "the cat"
    with pytest.raises(InputError, match=said):
        make().trace(text, **options)
