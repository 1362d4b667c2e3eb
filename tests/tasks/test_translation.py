import pytest
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from glassformer.config import TransformerConfig
from glassformer.decoding.options import Decoding
from glassformer.errors import InputError
from glassformer.model import Transformer
from glassformer.nn.cache import Cache
from glassformer.tasks.reading import batches
from glassformer.tasks.translation import Translation
from glassformer.text.tokenizer import Tokenizer

TEXTS = ["un chat", "le chien dort", "un chien", "le chat et le chien", "dort", "un chat dort", "et"]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train("words", TEXTS, vocab_size=20)


@pytest.fixture(scope="module")
def model(tokenizer: Tokenizer) -> Transformer:
    torch.manual_seed(0)
    config = TransformerConfig(
        stack="encoder-decoder",
        vocab_size=tokenizer.vocab_size,
        d_model=8,
        heads=2,
        d_ff=16,
        encoder_layers=1,
        decoder_layers=1,
        max_positions=8,
        dtype="float64",
    )
    model = Transformer(config)
    for parameter in model.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return model


def copier(model: Transformer) -> Transformer:
    """A model that writes what it reads."""
    copy = Transformer(model.config)

    def encode(source: Tensor, source_mask: Tensor | None = None) -> Tensor:
        return one_hot(source, copy.config.vocab_size).double() * 100.0

    def body(*, target: Tensor, memory: Tensor, cache: Cache, **masks: Tensor | None) -> Tensor:
        cache.length += target.shape[1]
        place = min(cache.length, memory.shape[1]) - 1  # a short sentence beside a long one has ended before
        return memory[:, place][:, None]

    vars(copy).update(encode=encode, body=body, head=torch.nn.Identity())
    del copy._modules["head"]
    return copy


def test_translations_come_back_in_order_whatever_the_batches(
    tokenizer: Tokenizer, model: Transformer
) -> None:
    task, copy = Translation(tokenizer), copier(model)
    for beams, tokens in ((1, 8192), (1, 1), (1, 8), (3, 30)):
        answers = task.rewrite(copy, TEXTS, Decoding(num_beams=beams, max_new_tokens=8), tokens=tokens)
        assert [str(answer) for answer in answers] == TEXTS
        assert all(answer.complete and answer.tokens[-1] == "<eos>" for answer in answers)
        assert [answer.text.split() for answer in answers] == [list(answer.tokens[:-1]) for answer in answers]


def test_batches_change_nothing(tokenizer: Tokenizer, model: Transformer) -> None:
    task, options = Translation(tokenizer), Decoding(num_beams=3, num_return_sequences=2, max_new_tokens=6)
    together = task.rewrite(model, TEXTS, options)
    for text, answer in zip(TEXTS, together, strict=True):
        (alone,) = task.rewrite(model, [text], options)
        assert alone.tokens == answer.tokens
        assert alone.score == pytest.approx(answer.score, abs=1e-12)
        assert len(answer.others) == 1
        assert answer.others[0].score <= answer.score
        assert sum(answer.log_probabilities) / len(answer.tokens) == pytest.approx(answer.score)


def test_no_texts_have_no_translations(tokenizer: Tokenizer, model: Transformer) -> None:
    assert Translation(tokenizer).rewrite(model, []) == []


def test_a_stream_and_a_tree_end_in_the_translation(tokenizer: Tokenizer, model: Transformer) -> None:
    task, greedy, beam = (
        Translation(tokenizer),
        Decoding(max_new_tokens=6),
        Decoding(num_beams=3, max_new_tokens=6),
    )
    streamed = [tokenizer.token(token.id) for token in task.stream(model, "un chat", greedy)]
    assert tuple(streamed) == task.rewrite(model, ["un chat"], greedy)[0].tokens
    answer, history = task.tree(model, "un chat", beam)
    assert answer == task.rewrite(model, ["un chat"], beam)[0]
    assert len(history) >= len(answer.tokens)


def test_a_run_shows_the_whole_answer(tokenizer: Tokenizer, model: Transformer) -> None:
    task = Translation(tokenizer, decoding=Decoding(max_new_tokens=6))
    run, (answer,) = task.run(model, "un chat"), task.answer(model, ["un chat"])
    model.eval()
    with torch.no_grad():
        best = model(run.batch.source, run.batch.target)[0].argmax(-1)
    assert tuple(best.tolist()) == answer.ids
    assert run.answer == answer.text
    assert run.tokens["encoder"] == [["un", "chat", "<eos>"]]
    assert run.tokens["decoder"][0][0] == "<bos>"


def test_a_pair_of_texts_is_refused(tokenizer: Tokenizer, model: Transformer) -> None:
    with pytest.raises(InputError, match="a pair of texts was given"):
        Translation(tokenizer).answer(model, [("un", "chat")])


def test_items_of_like_length_stand_together() -> None:
    lengths = [3, 9, 1, 3, 2, 20]
    lots = list(batches(lengths, 9))
    assert lots == [[2, 4, 0], [3], [1], [5]]
    assert list(batches([], 9)) == []


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ([" "], "the text is empty; give at least one word"),
        (["un chat", ""], "text 2 of 2 is empty"),
        (
            ["chat " * 8],
            "'chat chat.* has 9 tokens, but this model has 8 positions; shorten the text, split it, or",
        ),
    ],
)
def test_what_cannot_be_translated_is_refused(
    tokenizer: Tokenizer, model: Transformer, texts: list[str], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        Translation(tokenizer).rewrite(model, texts)


def test_a_tokenizer_without_a_start_is_refused() -> None:
    lacking = Tokenizer.train("wordpiece", TEXTS, vocab_size=60, special="bert")
    with pytest.raises(InputError, match="no token to start an answer"):
        Translation(lacking)
