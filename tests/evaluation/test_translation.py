"""Our figures are sacrebleu's, called directly."""

import random

import pytest
import sacrebleu
import torch

from glassformer.config import TransformerConfig
from glassformer.data.examples import Pair
from glassformer.decoding.options import Decoding
from glassformer.errors import InputError
from glassformer.evaluation.report import grouped_by_source as grouped
from glassformer.evaluation.translation import evaluate, report, score
from glassformer.model import Transformer
from glassformer.tasks.translation import Translation
from glassformer.text.tokenizer import Tokenizer

WORDS = ("Le", "petit", "chat,", "la", "grande", "table", "et", ";", "j'aime", "lire", "1,5", "livre", "!")


def sentences(count: int, seed: int) -> list[str]:
    chosen = random.Random(seed)
    return [" ".join(chosen.choices(WORDS, k=chosen.randint(3, 9))) for _ in range(count)]


HYPOTHESES, FIRST, SECOND = (sentences(40, seed) for seed in range(3))


@pytest.mark.parametrize("lowercase", [False, True])
def test_one_reference(lowercase: bool) -> None:
    ours = score(HYPOTHESES, FIRST, lowercase=lowercase)
    bleu, chrf = sacrebleu.BLEU(lowercase=lowercase), sacrebleu.CHRF(lowercase=lowercase)
    assert ours["bleu"].value == bleu.corpus_score(HYPOTHESES, [FIRST]).score
    assert ours["chrf"].value == chrf.corpus_score(HYPOTHESES, [FIRST]).score
    assert ours["bleu"].signature == str(bleu.get_signature())
    assert ours["chrf"].signature == str(chrf.get_signature())
    assert f"case:{'lc' if lowercase else 'mixed'}" in ours["bleu"].signature


def test_several_references_and_not_the_same_number() -> None:
    both = enumerate(zip(FIRST, SECOND, strict=True))
    rows = [[one, other] if number % 3 else [one] for number, (one, other) in both]
    ours = score(HYPOTHESES, rows)
    columns = [FIRST, [row[1] if len(row) > 1 else None for row in rows]]
    bleu = sacrebleu.BLEU()
    assert ours["bleu"].value == bleu.corpus_score(HYPOTHESES, columns).score
    assert "nrefs:var" in ours["bleu"].signature
    everywhere = score(HYPOTHESES, [list(row) for row in zip(FIRST, SECOND, strict=True)])
    assert everywhere["chrf"].value == sacrebleu.CHRF().corpus_score(HYPOTHESES, [FIRST, SECOND]).score
    assert "nrefs:2" in everywhere["chrf"].signature


def test_the_interval_is_sacrebleus() -> None:
    ours = score(HYPOTHESES, FIRST, bootstrap=50)["bleu"]
    theirs = sacrebleu.BLEU().corpus_score(HYPOTHESES, [FIRST], n_bootstrap=50)
    assert (ours.mean, ours.interval) == pytest.approx((theirs._mean, theirs._ci), rel=1e-6)  # float32 there
    assert "bs:50|seed:12345" in ours.signature
    assert str(ours).startswith(f"BLEU {ours.value:.2f} (95 %: {ours.low:.2f} to {ours.high:.2f}) [")
    plain = score(HYPOTHESES, FIRST)["bleu"]
    assert plain.interval is None
    assert str(plain) == f"BLEU {plain.value:.2f} [{plain.signature}]"


def test_a_source_on_several_lines_has_several_references() -> None:
    sources, references = grouped(["a", "b", "a", "a"], ["1", "2", "3", "1"])
    assert sources == ["a", "b"]
    assert references == [["1", "3"], ["2"]]


@pytest.mark.parametrize(
    ("hypotheses", "references", "said"),
    [
        ([], [], "no translations to score"),
        (["a"], ["b", "c"], "1 translations came with 2 references"),
        (["a", "b"], [["c"], []], "translation 2 has no reference"),
    ],
)
def test_what_cannot_be_scored_is_refused(hypotheses: list[str], references: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        score(hypotheses, references)


def test_sources_without_their_references_are_refused() -> None:
    with pytest.raises(InputError, match="2 sources came with 1 references"):
        grouped(["a", "b"], ["c"])


def test_a_model_is_scored_on_each_source_once() -> None:
    pairs = [Pair("un chat", "a cat"), Pair("un chien", "a dog"), Pair("un chat", "one cat")]
    texts = [text for pair in pairs for text in (pair.source, pair.target)]
    tokenizer = Tokenizer.train("words", texts, vocab_size=20)
    torch.manual_seed(0)
    config = TransformerConfig(
        stack="encoder-decoder",
        vocab_size=tokenizer.vocab_size,
        d_model=8,
        heads=2,
        d_ff=8,
        encoder_layers=1,
        decoder_layers=1,
    )
    model, task, options = Transformer(config), Translation(tokenizer), Decoding(max_new_tokens=5)
    written = [str(answer) for answer in task.rewrite(model, ["un chat", "un chien"], options)]
    expected = score(written, [["a cat", "one cat"], ["a dog"]])
    assert evaluate(task, model, pairs, options) == {name: each.value for name, each in expected.items()}


def test_the_end_of_a_source_that_is_too_long_is_not_read_and_that_is_told() -> None:
    pairs = [Pair("un " * 20 + "chat", "a cat"), Pair("un chien", "a dog")]
    tokenizer = Tokenizer.train("words", [text for pair in pairs for text in (pair.source, pair.target)], vocab_size=20)
    model = Transformer(
        TransformerConfig(
            stack="encoder-decoder", vocab_size=tokenizer.vocab_size, d_model=8, heads=2, d_ff=8,
            encoder_layers=1, decoder_layers=1, max_positions=8,
        )
    )  # fmt: skip
    found = report(Translation(tokenizer), model, pairs, Decoding(max_new_tokens=3))
    assert found.notes == ("1 text is longer than the 8 tokens that the model reads; its end was not read.",)
