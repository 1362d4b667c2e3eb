"""The rules beside the logits processors of transformers, in float64."""

import pytest
import torch
from torch import Tensor
from transformers.generation import logits_process as theirs

from glassformer.data.batch import Batch
from glassformer.decoding.constraints import NOTHING, Constraints
from glassformer.decoding.options import Decoding
from glassformer.decoding.search import search
from glassformer.errors import InputError

ROWS, VOCABULARY, LONGEST = 6, 12, 9
ENDS = torch.tensor([1, 7])
BANNED = ((3,), (4, 5), (4, 6), (2, 2, 8), (1,))


def rules(options: Decoding, target: Tensor, mask: Tensor | None = None) -> Constraints:
    return Constraints(options, target, mask, [LONGEST] * len(target), ENDS.tolist())


def expected(options: Decoding, written: Tensor, scores: Tensor, begun: int) -> Tensor:
    """What theirs make of the scores, in the order in which `generate` calls them."""
    processors = theirs.LogitsProcessorList()
    if options.repetition_penalty != 1:
        processors.append(theirs.RepetitionPenaltyLogitsProcessor(options.repetition_penalty))
    if options.no_repeat_ngram_size:
        processors.append(theirs.NoRepeatNGramLogitsProcessor(options.no_repeat_ngram_size))
    if options.bad_words_ids:
        banned = [list(sequence) for sequence in options.bad_words_ids]
        processors.append(theirs.NoBadWordsLogitsProcessor(banned, ENDS))
    if options.min_new_tokens:
        processors.append(theirs.MinNewTokensLengthLogitsProcessor(begun, options.min_new_tokens, ENDS))
    if options.forced_bos_token_id is not None:
        assert begun == 1, "theirs looks for the start token of a pair"
        processors.append(theirs.ForcedBOSTokenLogitsProcessor(options.forced_bos_token_id))
    if options.forced_eos_token_id is not None:
        last = options.forced_eos_token_id
        processors.append(theirs.ForcedEOSTokenLogitsProcessor(begun + LONGEST, last))
    found: Tensor = processors(written, scores.clone())
    return found


OPTIONS = [
    Decoding(),
    Decoding(repetition_penalty=1.7),
    Decoding(repetition_penalty=0.6),
    Decoding(no_repeat_ngram_size=1),
    Decoding(no_repeat_ngram_size=2),
    Decoding(no_repeat_ngram_size=3),
    Decoding(bad_words_ids=BANNED),
    Decoding(min_new_tokens=3),
    Decoding(forced_bos_token_id=4, forced_eos_token_id=1),
    Decoding(
        repetition_penalty=1.3,
        no_repeat_ngram_size=2,
        bad_words_ids=BANNED,
        min_new_tokens=5,
        forced_eos_token_id=7,
    ),
]


@pytest.mark.parametrize(
    ("options", "begun"),
    [(options, n) for options in OPTIONS for n in (1, 4) if n == 1 or options.forced_bos_token_id is None],
)
def test_each_step_scores_what_theirs_scores(options: Decoding, begun: int) -> None:
    torch.manual_seed(0)
    target = torch.randint(2, 9, (ROWS, begun))
    written, mine = target, rules(options, target)
    for _ in range(LONGEST):
        scores = torch.randn(ROWS, VOCABULARY, dtype=torch.float64)
        given = scores.clone()
        assert torch.equal(mine.applied(scores), expected(options, written, scores, begun))
        assert torch.equal(scores, given)  # what the model said stays as it was
        tokens = torch.randint(2, 9, (ROWS,))
        mine.follow(tokens.tolist(), None)
        written = torch.cat([written, tokens[:, None]], dim=1)


def test_rows_may_move_and_double() -> None:
    options = Decoding(repetition_penalty=1.5, no_repeat_ngram_size=2)
    target = torch.tensor([[2, 3, 2], [4, 4, 5]])
    mine = rules(options, target)
    rows, tokens = torch.tensor([1, 0, 1]), torch.tensor([4, 3, 6])
    mine.follow(tokens.tolist(), rows.tolist())
    written = torch.cat([target[rows], tokens[:, None]], dim=1)
    scores = torch.randn(3, VOCABULARY, dtype=torch.float64)
    assert torch.equal(mine.applied(scores), expected(options, written, scores, 3))


@pytest.mark.parametrize("options", OPTIONS)
def test_padding_is_no_token(options: Decoding) -> None:
    """A padded row is treated as it would be alone, whatever number stands in its padding."""
    alone = torch.tensor([[5, 2]])
    padded, mask = torch.tensor([[6, 6, 5, 2]]), torch.tensor([[0, 0, 1, 1]])
    scores = torch.randn(1, VOCABULARY, dtype=torch.float64)
    mine = rules(options, padded, mask)
    assert mine.written.tolist() == [[NOTHING, NOTHING, 5, 2]]
    assert torch.equal(mine.applied(scores), rules(options, alone).applied(scores))


def test_a_prefix_is_written_first_behind_a_language() -> None:
    mine = rules(Decoding(forced_bos_token_id=9, forced_prefix_ids=(3, 4)), torch.tensor([[0]]))
    for token in (9, 3, 4):
        found = mine.applied(torch.randn(1, VOCABULARY))
        assert found.isfinite().nonzero().tolist() == [[0, token]]
        mine.follow([token], None)
    assert mine.applied(torch.randn(1, VOCABULARY)).isfinite().all()


def test_a_token_beyond_the_vocabulary_is_refused() -> None:
    mine = rules(Decoding(bad_words_ids=((VOCABULARY,),)), torch.tensor([[0]]))
    with pytest.raises(InputError, match="token 12 was named, but this model's tokens are 0 to 11"):
        mine.applied(torch.zeros(1, VOCABULARY))


@pytest.mark.parametrize(
    "options",
    [
        Decoding(),
        Decoding(num_beams=2),
        Decoding(do_sample=True),
        Decoding(penalty_alpha=0.5, top_k=3),
        Decoding(num_beams=2, do_sample=True),
        Decoding(num_beams=2, num_beam_groups=2, diversity_penalty=1.0),
    ],
)
def test_where_nothing_may_follow_the_search_says_so(scripted: type, options: Decoding) -> None:
    model = scripted(lambda ids: [0.0, -1.0, -2.0, -3.0])
    changed = options.changed(no_repeat_ngram_size=1, max_new_tokens=9)
    with pytest.raises(InputError, match="every token is forbidden at some point"):
        search(model, Batch(target=torch.zeros(1, 1, dtype=torch.long)), changed, ends=[])
