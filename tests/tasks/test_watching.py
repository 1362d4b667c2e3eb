"""Generation token by token: looking changes nothing, every run is verified, and the beam search's tree is its own."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import glassformer as gf
from glassformer.errors import InputError
from glassformer.glass.beam_tree import BeamTree
from glassformer.glass.contrastive_tree import ContrastiveTree
from glassformer.glass.generation import GenerationTrace
from glassformer.glass.trace import Trace
from glassformer.show.beams import told
from glassformer.show.board import Board
from glassformer.show.chapters import chapters
from glassformer.show.labels import Labels
from glassformer.show.worked import Writer
from glassformer.tasks.model import Model

from .test_model import small
from .test_wanted import perturbed, reader, writer

PROMPT = "the cat"
SOURCE = "I love data"
SEARCHES: dict[str, dict[str, Any]] = {
    "greedy": {},
    "drawn": {"temperature": 1.5, "seed": 3},
    "beams": {"num_beams": 3},
    "short beams": {"num_beams": 3, "length_penalty": -1.0, "early_stopping": True},
    "drawn beams": {"num_beams": 2, "temperature": 1.3, "seed": 1},
    "ruled": {"repetition_penalty": 1.4, "no_repeat_ngram_size": 2},
    "ruled beams": {"num_beams": 2, "no_repeat_ngram_size": 2},
    "cut off": {"num_beams": 2, "max_new_tokens": 2},
    "groups": {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.8},
    "single groups": {"num_beams": 3, "num_beam_groups": 3, "diversity_penalty": 2.5, "length_penalty": -1.0},
    "ruled groups": {
        "num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.8, "no_repeat_ngram_size": 2,
        "forced_prefix_ids": (4,),
    },
    "agreed": {"num_beams": 6, "agreement_power": 0.5},
    "agreed groups": {
        "num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.8, "agreement_power": 0.3,
    },
    "agreed drawn beams": {"num_beams": 4, "temperature": 1.3, "seed": 1, "agreement_power": 1.0},
    "agreed ruled beams": {"num_beams": 4, "no_repeat_ngram_size": 2, "agreement_power": 0.5},
    "contrastive": {"penalty_alpha": 0.6, "top_k": 4},
    "likeness alone": {"penalty_alpha": 1.0, "top_k": 3},
    "ruled contrastive": {"penalty_alpha": 0.5, "top_k": 4, "no_repeat_ngram_size": 1},
}  # fmt: skip
GROWN = ("beams", "cut off", "groups", "contrastive", "likeness", "agreed")


def relative_pair() -> Model:
    """A random pair of stacks whose distances and shared key heads the cache has to get right."""
    model = gf.load("worked-example")
    config = replace(
        model.config, d_model=8, heads=4, kv_heads=2, d_ff=12, norm="rms", positions="relative",
        attention_scale=True, relative_buckets=8,
    )  # fmt: skip
    torch.manual_seed(1)
    transformer = gf.Transformer(config).eval().double()
    checkpoint = replace(model.checkpoint, transformer=transformer)
    return perturbed(Model(checkpoint, model.tokenizer, model.source_tokenizer))


def rotary() -> Model:
    return perturbed(
        small("language-model", stack="decoder", positions="rotary", kv_heads=1, norm="rms", norm_first=True)
    )


MODELS: dict[str, tuple[Any, str]] = {
    "decoder": (writer, PROMPT),
    "rotary": (rotary, PROMPT),
    "worked": (lambda: gf.load("worked-example"), SOURCE),
    "pair": (relative_pair, SOURCE),
}


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("name", MODELS)
def test_looking_changes_nothing_and_all_adds_up(name: str, search: str, tmp_path: Path) -> None:
    make, text = MODELS[name]
    model, options = make(), {"max_new_tokens": 7, **SEARCHES[search]}
    answer = model(text, **options)
    seen = model.trace_generation(text, **options)
    assert (seen.answer, tuple(each.id for each in seen.tokens)) == (answer.text, answer.ids)
    assert tuple(each.log_probability for each in seen.tokens) == answer.log_probabilities
    verified = seen.verify()
    assert verified.max_error <= 1e-10, verified.worst
    assert not verified.unchecked
    assert (seen.tree is not None) == any(each in search for each in GROWN)
    seen.save(tmp_path / "seen")
    again = GenerationTrace.load(tmp_path / "seen")
    assert again.written == seen.written
    assert again.verify() == verified
    assert [list(run) for run in again] == [list(run) for run in seen]
    assert len(list(seen.lines())) == len(seen.tokens)


@pytest.mark.parametrize("name", MODELS)
def test_each_token_has_its_run(name: str) -> None:
    make, text = MODELS[name]
    seen = make().trace_generation(text, max_new_tokens=5, alternatives=4)
    assert len(seen) == len(seen.tokens)
    for number, (run, token) in enumerate(zip(seen, seen.tokens, strict=True)):
        best = run["head.probabilities"].value[0, -1]
        assert int(best.argmax()) == token.id
        assert token.probability == pytest.approx(float(best.max()), abs=1e-12)
        assert [one.id for one in token.alternatives] == best.topk(4).indices.tolist()
        if number:
            assert run.tokens["decoder"] == [[seen.tokens[number - 1].token]]
            assert any(step.name.endswith("past_key") for step in run.values())
    without = make().trace_generation(text, max_new_tokens=5, past=False)
    assert [list(run) for run in without] == [
        [n for n in run if not n.endswith(("past_key", "past_value", "all_key", "all_value"))] for run in seen
    ]


def test_only_what_is_asked_for_is_kept() -> None:
    seen = writer().trace_generation(PROMPT, keep="decoder.layers.1.self_attention.weights", max_new_tokens=4)
    assert [list(run) for run in seen] == [["decoder.layers.1.self_attention.weights"]] * 4
    assert [run["decoder.layers.1.self_attention.weights"].value.shape[2] for run in seen][1:] == [1, 1, 1]
    with pytest.raises(InputError, match="near it are .*decoder.layers.1.self_attention.weights"):
        writer().trace_generation(PROMPT, keep="decoder.layers.1.self_attention.weight", max_new_tokens=2)
    pair = gf.load("worked-example").trace_generation(SOURCE, keep="encoder.output")
    assert pair.source is not None
    assert list(pair.source) == ["encoder.output"]
    assert all(not list(run) for run in pair)


def test_a_text_that_outgrows_the_positions_is_read_again() -> None:
    model = writer()
    seen = model.trace_generation(PROMPT, max_new_tokens=60)
    assert len(seen.tokens) == 60
    assert seen.answer == model(PROMPT, max_new_tokens=60).text
    assert max(len(run.tokens["decoder"][0]) for run in seen) == model.config.max_positions // 2
    assert seen.verify().max_error <= 1e-10


def test_a_language_s_own_model_ships_and_its_beams_are_seen() -> None:
    model = gf.load("tatoeba-en-fr")
    seen = model.trace_generation("Where is the station?")
    assert seen.tree is not None
    assert seen.tree.beams == 5
    assert seen.answer == model("Where is the station?").text == "Où est la gare\u202f?"
    verified = seen.verify()
    assert verified.max_relative_error <= 1e-4
    assert not verified.unchecked


# ------------------------------------------------------------------ the tree


def brute_force(model: Model, beams: int, steps: int) -> list[list[tuple[tuple[int, ...], float, str]]]:
    """A beam search written down anew, on lists, without a cache: (tokens, score, fate) of all that is weighed."""
    (ids,) = model.task.prompts([PROMPT], model.config)
    ends = set(model.task.ends)
    open_ones: list[tuple[tuple[int, ...], float]] = [((), 0.0)]
    levels = []
    for step in range(1, steps + 1):
        weighed = []
        for written, score in open_ones:
            with torch.no_grad():
                logits = model.transformer(target=torch.tensor([[*ids, *written]]))[0, -1].numpy()
            logs = logits - logits.max() - math.log(np.exp(logits - logits.max()).sum())
            weighed += [((*written, token), score + float(log)) for token, log in enumerate(logs)]
        weighed.sort(key=lambda one: -one[1])
        weighed = weighed[: (1 + len(ends)) * beams]
        over = step == steps
        open_ones = [one for one in weighed if one[0][-1] not in ends][:beams]
        level = []
        for rank, (written, score) in enumerate(weighed):
            closes = over or written[-1] in ends
            fate = "ended" if closes and rank < beams else "dropped"
            if not closes and (written, score) in open_ones:
                fate = "kept"
            level.append((written, score, fate))
        levels.append(level)
    return levels


@pytest.mark.parametrize("beams", [2, 4])
def test_the_tree_is_that_of_a_search_on_lists(beams: int) -> None:
    model, steps = writer(), 4
    tree = model.trace_generation(PROMPT, num_beams=beams, max_new_tokens=steps, early_stopping="never").tree
    expected = brute_force(model, beams, steps)
    assert isinstance(tree, BeamTree)
    assert len(tree.levels) == steps
    for level, wanted in zip(tree.levels, expected, strict=True):
        assert [tuple(node.id for node in tree.path(each.number)) for each in level] == [one[0] for one in wanted]
        assert [each.score for each in level] == pytest.approx([one[1] for one in wanted], abs=1e-10)
        assert [each.fate for each in level] == [one[2] for one in wanted]
    answer = model(PROMPT, num_beams=beams, max_new_tokens=steps, early_stopping="never")
    assert tuple(node.id for node in tree.answer) == answer.ids
    assert tree.finished[0].score == pytest.approx(answer.score, abs=1e-12)
    assert f"{PROMPT}{tree.answer[-1].text}" == answer.text


def groups_on_lists(model: Model, options: dict[str, Any], steps: int) -> list[list[tuple[Any, ...]]]:
    """Vijayakumar et al. 2018, algorithm 1, on lists, without a cache: (tokens, penalty, score, fate) by group."""
    (ids,) = model.task.prompts([PROMPT], model.config)
    ends, number = set(model.task.ends), options["num_beam_groups"]
    size = options["num_beams"] // number
    groups: list[list[tuple[tuple[int, ...], float]]] = [[((), 0.0)] for _ in range(number)]
    levels = []
    for step in range(1, steps + 1):
        before: list[int] = []
        for place, group in enumerate(groups):
            weighed = []
            for written, score in group:
                with torch.no_grad():
                    logits = model.transformer(target=torch.tensor([[*ids, *written]]))[0, -1].numpy()
                logs = logits - logits.max() - math.log(np.exp(logits - logits.max()).sum())
                for token, log in enumerate(logs):
                    cost = options["diversity_penalty"] * before.count(token)
                    weighed.append(((*written, token), cost, score + float(log) - cost))
            weighed.sort(key=lambda one: -one[2])
            weighed = weighed[: (1 + len(ends)) * size]
            open_ones = [one for one in weighed if one[0][-1] not in ends][:size]
            before += [one[0][-1] for one in open_ones]
            closes = [step == steps or one[0][-1] in ends for one in weighed]
            levels.append(
                [
                    (*one, "kept" if not over and one in open_ones else "ended" if over and rank < size else "dropped")
                    for rank, (one, over) in enumerate(zip(weighed, closes, strict=True))
                ]
            )
            groups[place] = [(written, score) for written, _, score in open_ones]
    return levels


@pytest.mark.parametrize("groups", [2, 4])
def test_the_tree_of_groups_is_that_of_a_search_on_lists(groups: int) -> None:
    model, steps = writer(), 3
    options: dict[str, Any] = {"num_beams": 4, "num_beam_groups": groups, "diversity_penalty": 0.7}
    tree = model.trace_generation(PROMPT, **options, max_new_tokens=steps, early_stopping="never").tree
    assert isinstance(tree, BeamTree)
    expected = groups_on_lists(model, options, steps)
    assert len(tree.stages) == len(expected) == steps * groups
    for (_, nodes), wanted in zip(tree.stages, expected, strict=True):
        assert [tuple(node.id for node in tree.path(each.number)) for each in nodes] == [one[0] for one in wanted]
        assert [each.penalty for each in nodes] == pytest.approx([one[1] for one in wanted], abs=1e-14)
        assert [each.score for each in nodes] == pytest.approx([one[2] for one in wanted], abs=1e-10)
        assert [each.fate for each in nodes] == [one[3] for one in wanted]


def test_groups_are_told_with_what_their_choices_cost() -> None:
    tree = gf.load("worked-example").trace_generation(
        SOURCE, num_beams=4, num_beam_groups=2, diversity_penalty=0.5
    ).tree  # fmt: skip
    assert tree is not None
    text = str(tree)
    assert text.startswith("position 0, group 0\n")
    for said in ("position 1, group 1", "penalty  0.5000", "without its penalty of 0.5 it would have been kept",
                 "only the best 2 may end", "number 4 of those that ended"):  # fmt: skip
        assert said in text
    assert [line.plain for line in told(tree)] == text.splitlines()
    assert "4 beams in 2 groups, diversity penalty 0.5" in repr(tree)
    assert [node.rank for node in tree.levels[0]] == list(range(8))


def test_contrastive_choices_are_those_of_the_definition() -> None:
    model, steps, alpha = writer(), 5, 0.6
    seen = model.trace_generation(PROMPT, penalty_alpha=alpha, top_k=4, max_new_tokens=steps)
    tree = seen.tree
    assert isinstance(tree, ContrastiveTree)
    assert len(seen) == len(seen.tokens) + 1 == len(tree.levels) + 1
    (written,) = model.task.prompts([PROMPT], model.config)
    for level, token in zip(tree.levels, seen.tokens, strict=True):
        with torch.no_grad():
            likely = model.transformer(target=torch.tensor([written]))[0, -1].softmax(-1)
            ids = likely.topk(4).indices.tolist()
            read = model.transformer.body(None, torch.tensor([[*written, each] for each in ids]))
        like = [max(torch.cosine_similarity(row[-1], one, dim=0).item() for one in row[:-1]) for row in read]
        scores = [(1 - alpha) * float(likely[each]) - alpha * value for each, value in zip(ids, like, strict=True)]
        assert [node.id for node in level] == ids
        assert [node.penalty for node in level] == pytest.approx(like, abs=1e-12)
        assert [node.score for node in level] == pytest.approx(scores, abs=1e-12)
        (won,) = (node for node in level if node.chosen)
        assert won.score == max(node.score for node in level)
        assert token.id == won.id == ids[int(np.argmax(scores))]
        written.append(won.id)
    assert [node.fate for node in tree.answer] == ["kept"] * (steps - 1) + ["ended"]
    text = str(tree)
    assert "written: the greatest score" in text
    assert "below" in text
    assert [line.plain for line in told(tree)] == text.splitlines()
    assert "among the 4 likeliest, penalty alpha 0.6" in repr(tree)


def test_a_contrastive_choice_is_a_chapter_of_the_run_that_read_the_candidates(tmp_path: Path) -> None:
    seen = gf.load("worked-example").trace_generation(SOURCE, penalty_alpha=0.6, top_k=4)
    tree = seen.tree
    assert tree is not None
    run = seen[2]
    names = [f"search.{name}" for name in ("written", "confidence", "likeness", "penalty", "score")]
    assert [step.name for step in run.select("search.*")] == names
    assert run["search.score"].value.tolist() == [node.score for node in tree.levels[1]]
    assert run["search.penalty"].value.tolist() == [node.penalty for node in tree.levels[1]]
    labels = Labels(run)
    assert labels.along(run["search.likeness"], 0) == tuple(node.token for node in tree.levels[1])
    assert labels.along(run["search.likeness"], 1) == ("<bos>", tree.answer[0].token)
    assert chapters(run.values())[-1].title == "Which candidate is written"
    for name in names[2:]:
        board = Board(run[name], labels)
        line = Writer(board, 15).entry(0, 1)
        assert line is not None
        assert line.check == pytest.approx(line.recorded, abs=1e-12)
        assert board.equation()
    alone = gf.load("worked-example").trace_generation(SOURCE, penalty_alpha=0.6, top_k=4, keep="search.score")
    assert [list(each) for each in alone] == [[], *[["search.score"]] * 3]
    for name in names[2:]:
        step = run[name]
        run._steps[name] = replace(step, value=step.value + 1e-3)
        assert seen.verify().max_error >= 1e-3 - 1e-9
        run._steps[name] = step
    run._steps["search.written"] = replace(run["search.written"], value=run["search.written"].value + 1e-3)
    assert seen.verify().max_error >= 1e-3 - 1e-9


WRONG: dict[str, Any] = {
    "penalty": lambda n: replace(n, penalty=n.penalty + 0.1),
    "score": lambda n: replace(n, score=n.score + 0.1),
    "log-probability": lambda n: replace(n, log_probability=n.log_probability - 0.1),
    "row": lambda n: replace(n, row=(n.row + 1) % 2),
    "chosen": lambda n: replace(n, fate="kept"),
}


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("search", ["groups", "contrastive"])
def test_a_wrong_node_of_other_searches_is_caught(what: str, search: str) -> None:
    seen = gf.load("worked-example").trace_generation(SOURCE, **SEARCHES[search])
    tree = seen.tree
    assert tree is not None
    place = next(n.number for n in tree.nodes if n.position == 1 and n.fate == "dropped")
    node = WRONG[what](tree.nodes[place])
    changed = replace(tree, nodes=(*tree.nodes[:place], node, *tree.nodes[place + 1 :]))
    seen.written = replace(seen.written, tree=changed)
    assert seen.verify().max_error > 0.01


def test_the_tree_is_told() -> None:
    tree = gf.load("worked-example").trace_generation(SOURCE, num_beams=3).tree
    assert tree is not None
    text = str(tree)
    for said in ("kept as beam 0", "dropped: 3 open ones are better", "number 1 of those that ended",
                 "only the best 3 may end", "later put out by 3 better ones", "the search was over then"):  # fmt: skip
        assert said in text
    assert [line.plain for line in told(tree)] == text.splitlines()
    assert {node.number for node in tree.children(None)} == {node.number for node in tree.levels[0]}
    assert all(child.parent == 0 for child in tree.children(0))
    assert tree.as_dict()["nodes"][0]["reason"] == tree.nodes[0].reason
    assert "3 beams" in repr(tree)


CHANGES: dict[str, Any] = {
    "score": lambda n: replace(n, score=n.score + 0.1),
    "log-probability": lambda n: replace(n, log_probability=n.log_probability - 0.1),
    "token": lambda n: replace(n, id=(n.id + 1) % 5),
    "dropped": lambda n: replace(n, fate="dropped", beam=None),
    "ended": lambda n: replace(n, fate="ended"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_wrong_node_is_caught(what: str) -> None:
    seen = gf.load("worked-example").trace_generation(SOURCE, num_beams=3)
    tree = seen.tree
    assert tree is not None
    changed = replace(tree, nodes=(*tree.nodes[:7], CHANGES[what](tree.nodes[7]), *tree.nodes[8:]))
    seen.written = replace(seen.written, tree=changed)
    assert seen.verify().max_error > 0.01
    swapped = replace(tree, finished=tree.finished[::-1])
    seen.written = replace(seen.written, tree=swapped)
    assert seen.verify().max_error > 0.01


def test_a_wrong_agreement_or_order_is_caught() -> None:
    seen = gf.load("worked-example").trace_generation(SOURCE, num_beams=4, agreement_power=0.5)
    tree, good = seen.tree, seen.written
    assert isinstance(tree, BeamTree)
    assert seen.verify().max_error < 1e-9
    first, *others = tree.finished
    assert first.agreement is not None
    assert "what they agree on most" in repr(tree)
    assert f"agreement {first.agreement:.4f}, number 1 of those that ended" in str(tree)
    for wrong in (replace(first, agreement=first.agreement - 0.1), replace(first, score=first.score - 0.1)):
        seen.written = replace(good, tree=replace(tree, finished=(wrong, *others)))
        assert seen.verify().max_error > 0.01
    seen.written = replace(good, tree=replace(tree, finished=tree.finished[::-1]))
    assert seen.verify().max_error > 0.01


def test_a_wrong_token_or_a_broken_chain_is_caught() -> None:
    seen = writer().trace_generation(PROMPT, max_new_tokens=4)
    good = seen.written
    seen.written = replace(good, tokens=(replace(good.tokens[0], log_probability=-9.0), *good.tokens[1:]))
    assert seen.verify().max_error > 1e-3
    seen.written = good
    name = "decoder.layers.0.self_attention.past_value"
    step = seen[2][name]
    seen[2]._steps[name] = replace(step, value=step.value + 1e-3)
    assert seen.verify().max_error >= 1e-3 - 1e-9


def test_a_generation_is_no_trace_and_the_other_way_round(tmp_path: Path) -> None:
    seen = writer().trace_generation(PROMPT, max_new_tokens=2)
    seen.save(tmp_path / "generation")
    seen[0].save(tmp_path / "trace")
    with pytest.raises(InputError, match="holds a generation, and a trace was asked for"):
        Trace.load(tmp_path / "generation")
    with pytest.raises(InputError, match="holds a trace, and a generation was asked for"):
        GenerationTrace.load(tmp_path / "trace")


@pytest.mark.parametrize(
    ("make", "options", "said"),
    [
        (writer, {"alternatives": -1}, "alternatives is -1"),
        (writer, {"beam": 3}, "no option 'beam'"),
        (lambda: reader("token-label", 3), {}, "token by token, but this model writes no text"),
    ],
)
def test_what_cannot_be_followed_is_refused(make: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        make().trace_generation(PROMPT, **options)
