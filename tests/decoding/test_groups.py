"""Groups of beams beside the textbook's search on lists, and what the groups are for."""

import pytest
import torch

from glassformer.data.batch import Batch
from glassformer.decoding.options import Decoding
from glassformer.decoding.records import Candidates, Hypothesis
from glassformer.decoding.search import search
from glassformer.errors import InputError
from glassformer.model import Transformer

from .test_search import END, SOURCES, close, question, said, translator

Open = list[tuple[tuple[int, ...], tuple[float, ...], float]]  # tokens, their log-probabilities, total


def plain(model: Transformer, batch: Batch, row: int, options: Decoding) -> list[Hypothesis]:
    """Vijayakumar et al. 2018, algorithm 1, one sentence, nothing kept from step to step."""
    size = options.num_beams // options.num_beam_groups
    groups: list[Open] = [[((), (), 0.0)] for _ in range(options.num_beam_groups)]
    ended: list[list[Hypothesis]] = [[] for _ in groups]
    for length in range(1, options.max_new_tokens + 1):
        chosen: list[int] = []
        for number, group in enumerate(groups):
            if not group:
                continue
            continued: Open = []
            for (ids, logs, total), after in zip(
                group, said(model, batch, row, [ids for ids, *_ in group]), strict=True
            ):
                for token, value in enumerate(after[-1]):
                    cost = options.diversity_penalty * chosen.count(token)
                    continued.append(((*ids, token), (*logs, value), total + value - cost))
            continued.sort(key=lambda one: -one[2])
            del continued[2 * size :]
            over = [one for one in continued if one[0][-1] == END or length == options.max_new_tokens]
            for ids, logs, total in [one for one in continued[:size] if one in over]:
                score = total / length**options.length_penalty
                ended[number].append(
                    Hypothesis(ids=ids, log_probabilities=logs, score=score, closed=ids[-1] == END)
                )
            ended[number] = sorted(ended[number], key=lambda one: -one.score)[:size]
            chosen += [ids[-1] for ids, *_ in continued if ids[-1] != END][:size]
            groups[number] = [one for one in continued if one not in over][:size]
            best = groups[number][0][2] / length**options.length_penalty if groups[number] else None
            if len(ended[number]) == size and (best is None or best <= ended[number][-1].score):
                groups[number] = []
    found = sorted(sum(ended, []), key=lambda one: -one.score)
    return found[: options.num_return_sequences]


@pytest.mark.parametrize(("groups", "penalty"), [(2, 0.5), (3, 1.0), (6, 0.3), (3, 100.0)])
def test_a_cached_padded_batch_finds_what_a_plain_search_finds(groups: int, penalty: float) -> None:
    model, batch = translator(groups), question(*SOURCES)
    options = Decoding(
        num_beams=6,
        num_beam_groups=groups,
        diversity_penalty=penalty,
        max_new_tokens=7,
        num_return_sequences=6,
    )
    found = search(model, batch, options, ends=[END])
    for row, hypotheses in enumerate(found):
        assert close(hypotheses, plain(model, batch, row, options))


def test_groups_say_more_different_things_than_beams() -> None:
    model, batch = translator(5), question(*SOURCES)
    options = Decoding(num_beams=6, min_new_tokens=2, max_new_tokens=7, num_return_sequences=6)
    together = search(model, batch, options, ends=[END])
    apart = search(model, batch, options.changed(num_beam_groups=6, diversity_penalty=100.0), ends=[END])
    for some, more in zip(together, apart, strict=True):
        assert len({one.ids[0] for one in more}) == 6  # no first token twice
        assert len({one.ids[0] for one in some}) < 6


def test_the_first_group_searches_as_if_alone() -> None:
    model, batch = translator(6), question(*SOURCES)
    alone = search(model, batch, Decoding(num_beams=2, max_new_tokens=7), ends=[END])
    options = Decoding(num_beams=4, num_beam_groups=2, diversity_penalty=1.0, max_new_tokens=7)
    grouped = search(model, batch, options.changed(num_return_sequences=4), ends=[END])
    for (best,), found in zip(alone, grouped, strict=True):
        assert any(close([best], [one]) for one in found)


def test_what_is_forced_costs_no_group_anything() -> None:
    model, batch = translator(7), question(*SOURCES)
    options = Decoding(
        num_beams=4, num_beam_groups=4, diversity_penalty=2.0, forced_prefix_ids=(3, 4), max_new_tokens=2,
        num_return_sequences=4,
    )  # fmt: skip
    for found in search(model, batch, options, ends=[END]):
        assert [one.ids for one in found] == [(3, 4)] * 4
        assert [one.score for one in found] == [0.0] * 4


def test_what_is_weighed_is_written_down_and_changes_nothing() -> None:
    model, batch = translator(3), question(*SOURCES)
    options = Decoding(num_beams=4, num_beam_groups=2, diversity_penalty=1.0, max_new_tokens=5)
    history: list[Candidates] = []
    assert search(model, batch, options, ends=[END], history=history) == search(model, batch, options, ends=[END])
    assert {(level.sentence, level.group) for level in history} == {(s, g) for s in range(len(SOURCES)) for g in (0, 1)}
    for level in history:
        assert {one.penalty for one in level.candidates} <= ({0.0} if level.group == 0 else {0.0, 1.0, 2.0})
    assert any(one.penalty for level in history for one in level.candidates)


def test_a_single_draw_grows_no_tree() -> None:
    with pytest.raises(InputError, match="tokens drawn one by one grow no tree"):
        search(translator(0), question([3, 1]), Decoding(do_sample=True), ends=[END], history=[])
    torch.manual_seed(0)
    history: list[object] = []
    drawn = Decoding(num_beams=2, do_sample=True, max_new_tokens=4)
    assert search(translator(0), question([3, 1]), drawn, ends=[END], history=history)
    assert history
