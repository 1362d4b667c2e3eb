"""Answers to questions: every span of every window weighed by brute force on the logits of `transformers`."""

import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch

import glassformer as gf
from glassformer.errors import InputError
from glassformer.tasks.answering import Search, Span
from glassformer.text.tokenizer import Tokenizer
from glassformer.text.windows import windows

from .published import TEXTS, bart, bert

CLASS = "ForQuestionAnswering"
QUESTIONS = ("Who visited Paris?", "Where is the café-bar?", "ok?")
LONG = " ".join(TEXTS)
MAKE = {"bert": bert, "bart": bart}

Weighed = list[tuple[int, int, float]]  # start, end, probability, best first


def brute_force(
    model: Any,
    tokenizer: Tokenizer,
    question: str,
    context: str,
    window: int,
    stride: int | None,
    longest: int,
) -> tuple[Weighed, float]:
    """Every piece of text that may be the answer, and how likely it is that there is none."""
    best: dict[tuple[int, int], float] = {}
    nothing = 1.0
    spans = [match.span() for match in re.finditer(r"[^\W_]+|[^\w\s]|_", context)]
    for one in windows(tokenizer.encode(question, context), window, stride):
        encoding, inside = one.encoding, list(one.places)
        inputs = {"input_ids": torch.tensor([encoding.ids])}
        if model.config.model_type == "bert":
            inputs["token_type_ids"] = torch.tensor([encoding.segments])
        with torch.no_grad():
            said = model(**inputs)
        kept = [0, *inside]
        start = dict(zip(kept, said.start_logits[0, kept].softmax(0).tolist(), strict=True))
        end = dict(zip(kept, said.end_logits[0, kept].softmax(0).tolist(), strict=True))
        nothing = min(nothing, start[0] * end[0])
        worded = [place for place in inside if context[slice(*encoding.offsets[place])].strip()]
        for first in worded:
            for last in worded:
                if first <= last < first + longest:
                    characters = [encoding.offsets[first][0], encoding.offsets[last][1]]
                    touched = [(a, b) for a, b in spans if a < characters[1] and b > characters[0]]
                    piece = touched[0][0], touched[-1][1]
                    best[piece] = max(best.get(piece, 0.0), start[first] * end[last])
    ranked = sorted(((*piece, share) for piece, share in best.items()), key=lambda each: -each[2])
    return ranked, nothing


def told(span: Span) -> tuple[int, int]:
    return span.start, span.end


@pytest.mark.parametrize("family", MAKE)
@pytest.mark.parametrize(
    ("window", "stride", "longest"),
    [(149, None, 30), (60, None, 30), (60, 5, 3), (50, 1000, 1), (70, None, 500)],
)
def test_answers_are_the_likeliest_spans_of_all_windows(
    family: str, window: int, stride: int | None, longest: int, tmp_path: Path
) -> None:
    model, tokenizer = MAKE[family](tmp_path, f"{family.title()}{CLASS}", max_position_embeddings=300)
    pairs = [(question, context) for question in QUESTIONS[:2] for context in (TEXTS[0], LONG)]
    answers = gf.load(tmp_path)(pairs, window=window, stride=stride, longest=longest, keep=6)
    for (question, context), answer in zip(pairs, answers, strict=True):
        expected, _ = brute_force(model, tokenizer, question, context, window, stride, longest)
        found = [answer, *answer.others]
        assert [one.probability for one in found] == pytest.approx(
            [share for _, _, share in expected[:6]], rel=1e-9
        )
        assert told(answer) == expected[0][:2]
        assert len({told(one) for one in found}) == 6
        assert {told(one) for one in found} <= {each[:2] for each in expected[:8]}  # of equals either
        assert all(one.text == context[one.start : one.end] for one in found)


def test_no_answer_is_given_where_it_is_likelier(tmp_path: Path) -> None:
    model, tokenizer = bert(tmp_path, f"Bert{CLASS}")
    ours = gf.load(tmp_path)
    assert not ours.task.no_answer
    with torch.no_grad():
        model.qa_outputs.bias.zero_()
    for question in QUESTIONS:
        ranked, nothing = brute_force(model, tokenizer, question, LONG, 70, None, 30)
        margin = math.log(nothing) - math.log(ranked[0][2])
        always = ours(question, LONG, window=70, keep=3)
        assert always.text == LONG[slice(*ranked[0][:2])]
        assert always.margin == pytest.approx(margin, abs=1e-9)
        none = ours(question, LONG, window=70, no_answer=True, threshold=margin - 0.01, keep=3)
        assert (none.text, none.start, none.end) == ("", 0, 0)
        assert none.probability == pytest.approx(nothing, rel=1e-9)
        assert str(none) == "(no answer)"
        assert [told(one) for one in none.others] == [told(always), told(always.others[0])]
        some = ours(question, LONG, window=70, no_answer=True, threshold=margin + 0.01, keep=3)
        assert told(some) == told(always)
        shares = [one.probability for one in some.others]
        assert shares == sorted(shares, reverse=True)


def test_whether_there_may_be_no_answer_stands_in_the_configuration(tmp_path: Path) -> None:
    bert(tmp_path, f"Bert{CLASS}")
    path = tmp_path / "config.json"
    plain = path.read_text("utf-8")
    path.write_text(plain.replace("{", '{"no_answer": true, "no_answer_threshold": -1.5,', 1), "utf-8")
    model = gf.load(tmp_path)
    assert model.task.search == Search(no_answer=True, threshold=-1.5)
    model.save_pretrained(tmp_path / "again")
    assert gf.load(tmp_path / "again").task.search == model.task.search
    path.write_text(plain.replace("{", '{"no_answer": "yes",', 1), "utf-8")
    with pytest.raises(InputError, match="no_answer is 'yes'"):
        gf.load(tmp_path)


def test_what_a_windows_logits_are_shifted_by_changes_nothing(tmp_path: Path) -> None:
    model, _ = bert(tmp_path, f"Bert{CLASS}")
    before = gf.load(tmp_path)(QUESTIONS[0], LONG, window=60, keep=4, no_answer=True)
    with torch.no_grad():
        model.qa_outputs.bias += 17.0
    model.save_pretrained(tmp_path)
    after = gf.load(tmp_path)(QUESTIONS[0], LONG, window=60, keep=4, no_answer=True)
    assert [told(one) for one in (after, *after.others)] == [told(one) for one in (before, *before.others)]
    assert after.probability == pytest.approx(before.probability, rel=1e-9)


def test_many_are_as_each_alone(tmp_path: Path) -> None:
    bert(tmp_path, f"Bert{CLASS}")
    model = gf.load(tmp_path)
    pairs = [(question, context) for question in QUESTIONS for context in (LONG, TEXTS[3], TEXTS[1])]
    for pair, answer in zip(pairs, model(pairs), strict=True):
        alone = model(*pair)
        assert told(alone) == told(answer)
        assert alone.probability == pytest.approx(answer.probability, rel=1e-9)


def test_the_trace_is_of_the_window_that_holds_the_answer(tmp_path: Path) -> None:
    bert(tmp_path, f"Bert{CLASS}", max_position_embeddings=60, seed=3)
    model = gf.load(tmp_path)
    begun = set()
    for question in QUESTIONS:
        trace, answer = model.trace(question, LONG), model(question, LONG)
        assert trace.answer == str(answer)
        tokens = trace.tokens["encoder"][0]
        assert len(tokens) == 60
        lot = windows(model.tokenizer.encode(question, LONG), 60)
        (window,) = [one for one in lot if one.encoding.tokens == tokens]
        covered = [window.encoding.offsets[place] for place in window.places]
        assert covered[0][0] < answer.end
        assert answer.start < covered[-1][1]
        begun.add(window.first)
        probabilities = trace["head.probabilities"].value[0]
        assert len(probabilities) == 60
        assert trace.verify().max_error <= 1e-10
    assert begun != {0}


@pytest.mark.parametrize(
    ("asked", "options", "said"),
    [
        ("who", {}, "question alone.*context"),
        (("who", " "), {}, "empty"),
        (("who", "\x00"), {}, "context has no word"),
        (("who " * 160, "me"), {}, "483 tokens, and a window has 150"),
        (("who", "me"), {"top": 3}, "no 'top'; it has window, stride, longest"),
        (("who", "me"), {"keep": 0}, "keep is 0"),
        (("who", "me"), {"window": 151}, "151 tokens.*150 positions"),
        (("who", "me"), {"threshold": float("nan")}, "threshold is nan"),
    ],
)
def test_bad_input_is_refused(asked: Any, options: dict[str, Any], said: str, tmp_path: Path) -> None:
    bert(tmp_path, f"Bert{CLASS}")
    model = gf.load(tmp_path)
    with pytest.raises(InputError, match=said):
        model(asked, **options)
    with pytest.raises(InputError, match=said):
        model.task.check(model.transformer, [asked], **options)
