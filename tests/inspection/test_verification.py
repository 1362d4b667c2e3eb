"""verify, from text to answer: every family on random models, what ships, and that whatever is wrong is found."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.families import pairs, stacks
from tests.tasks.published import TEXTS, bert, labels
from tests.tasks.test_model import small
from tests.tasks.test_wanted import perturbed, reader, writer

import glassformer as gf
from glassformer.errors import InputError
from glassformer.inspection.reference import Published
from glassformer.inspection.verification import (
    WHATS,
    Difference,
    Verified,
    beside,
    in_float64,
    verified,
)
from glassformer.pretrained import load_transformer
from glassformer.tasks.model import Model
from glassformer.text.tokenizer import Tokenizer

STACK_CASES = [(family, name) for family, stack in stacks.STACKS.items() for name in stack.classes]
PAIR_CASES = [(f, n) for f, pair in pairs.PAIRS.items() for n in (pair.generates, *pair.others)]


def words(count: int, special: dict[int, str]) -> Tokenizer:
    """A closed vocabulary of made-up words, its special tokens where the model has them."""
    return Tokenizer.of_words([special.get(number, f"w{number}") for number in range(count)])


def special_of(config: Any) -> dict[int, str]:
    """The special tokens of a configuration of theirs."""
    begin = getattr(config, "bos_token_id", None)
    special = {} if begin is None else {begin: "<bos>"}
    return {**special, config.pad_token_id: "<pad>", config.eos_token_id: "<eos>"}


def asked(model: Model) -> tuple[Any, dict[str, Any]]:
    """A text for this model's task, and how long its answer may be."""
    text = "w7 w9 w11 w8 w7"
    if model.config.head == "answer-span":
        return ("w7 w9", text), {}
    return text, {"max_new_tokens": 4} if model.config.head == "language-model" else {}


def all_of(model: Model, **options: Any) -> Verified:
    text, usual = asked(model)
    return verified(model, [text], **{**usual, **options})


def within(found: Verified, *expected: str) -> None:
    assert {each.what for each in found.differences} == set(expected)
    for each in found.differences:
        assert each.largest <= 1e-10, each
    assert found.within


READ = ("tokenization", "formulas", "fast", "batched")
WROTE = (*READ, "answer", "cache", "cached")


@pytest.mark.parametrize(("family", "name"), STACK_CASES, ids=[name for _, name in STACK_CASES])
def test_every_class_of_one_stack(family: str, name: str, tmp_path: Path) -> None:
    stack = stacks.STACKS[family]
    settings = stacks.settings_of(stack, name, seed=1)
    stacks.built(stack, name, settings, seed=1).save_pretrained(tmp_path)
    tokenizer = words(settings["vocab_size"], {1: "<bos>", 2: "<eos>", 3: "<pad>"})
    model = Model(load_transformer(tmp_path), tokenizer)
    head = model.config.head
    concluded = () if head in ("hidden", "masked-language-model") else ("answer",)
    within(all_of(model), *(WROTE if head == "language-model" else (*READ, *concluded)))
    if head == "language-model":
        for search in ({"num_beams": 3}, GROUPS, CONTRASTIVE):
            within(all_of(model, **search), *WROTE, "tree")


GROUPS: dict[str, Any] = {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.5}
CONTRASTIVE: dict[str, Any] = {"penalty_alpha": 0.6, "top_k": 3}


@pytest.mark.parametrize(("family", "name"), PAIR_CASES, ids=[name for _, name in PAIR_CASES])
def test_every_class_of_a_pair(family: str, name: str, tmp_path: Path) -> None:
    pair = pairs.PAIRS[family]
    spans = {"num_labels": 2} if name.endswith("Answering") else {}
    theirs = pairs.reference(pair, name, 1, **spans)
    theirs.save_pretrained(tmp_path)
    config = theirs.config
    model = Model(load_transformer(tmp_path), words(pairs.VOCABULARY, special_of(config)))
    if model.config.head == "language-model":
        beams = ("tree",) if model.task.decoding.num_beams > 1 else ()  # type: ignore[union-attr]
        within(all_of(model), *WROTE, *beams)
    else:
        within(all_of(model), *READ, *(() if model.config.head == "hidden" else ("answer",)))


SHIPPED: dict[str, tuple[Any, dict[str, Any]]] = {
    "worked-example": (["I love data", "I love science"], {}),
    "tatoeba-en-fr": (["Where is the station?", "My sister has two small dogs."], {"num_beams": 5}),
    "minilm-l6": (["A sentence.", ("One.", "Another one.")], {}),
    "entities": (["Angela Merkel met Tim Cook in Cupertino, and then flew to Paris."], {}),
    "sentiment": (["A lovely, warm film."], {}),
    "answers": ([("Who met Tim?", "Angela met Tim in Paris in May.")], {}),
    "summaries": (["The council met on Monday. It decided to build a new bridge over the river."], {}),
    "shakespeare": (["To be or not to be"], {"max_new_tokens": 20}),
}


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("dtype", ["stored", "float64"])
def test_what_ships(name: str, dtype: str) -> None:
    from glassformer.pretrained import shipped

    if name not in shipped():
        pytest.skip(f"{name} does not ship here")
    model = gf.load(name)
    texts, options = SHIPPED[name]
    if dtype == "float64":
        model = in_float64(model)
    found = verified(model, texts, **options)
    assert found.texts == len(texts)
    exact = model.transformer.tokens.weight.dtype == torch.float64
    assert all(each.exact == exact for each in found.differences)
    assert found.within, str(found)
    for each in found.differences:
        assert each.largest <= 1e-10 if exact else each.relative <= 1e-4


# ------------------------------------------------------------------ beside transformers


@pytest.mark.parametrize("name", ["BertForSequenceClassification", "BertForQuestionAnswering", "BertModel"])
def test_published_models_are_compared_with_the_reference(name: str, tmp_path: Path) -> None:
    bert(tmp_path, name)
    model = gf.load(tmp_path)
    reference = Published(model)
    assert reference.bound == 1e-10
    text: Any = ("Who visited Paris?", TEXTS[0]) if "Question" in name else TEXTS[0]
    found = verified(model, [text], reference=reference)
    (beside_it,) = [each for each in found.differences if each.what == "transformers"]
    assert beside_it.within
    with torch.no_grad():
        model.transformer.encoder.layers[0].feed_forward.up.bias += 1e-6  # type: ignore[union-attr,union-attr]
    moved = verified(model, [text], reference=reference)
    (beside_it,) = [each for each in moved.differences if each.what == "transformers"]
    assert not beside_it.within
    assert not moved.within


@pytest.mark.parametrize("family", ["gpt2", "llama", "bart", "t5"])
def test_writers_are_compared_with_the_reference(family: str, tmp_path: Path) -> None:
    if family in pairs.PAIRS:
        pair = pairs.PAIRS[family]
        theirs, count = pairs.reference(pair, pair.generates, 2), pairs.VOCABULARY
    else:
        stack = stacks.STACKS[family]
        name = next(name for name in stack.classes if name.endswith(("LMHeadModel", "ForCausalLM")))
        settings = stacks.settings_of(stack, name, seed=2)
        theirs, count = stacks.built(stack, name, settings, seed=2), settings["vocab_size"]
    theirs.save_pretrained(tmp_path)
    model = Model(load_transformer(tmp_path), words(count, special_of(theirs.config)))
    reference = Published(model)
    found = all_of(model, reference=reference)
    (beside_it,) = [each for each in found.differences if each.what == "transformers"]
    assert beside_it.within, beside_it
    assert reference.bound == (1e-5 if family in ("llama", "t5") else 1e-10)


def test_a_model_of_our_own_has_no_reference() -> None:
    with pytest.raises(InputError, match="this library's own"):
        Published(gf.load("worked-example"))


# ------------------------------------------------------------------ what is wrong is found


def broken(what: str, monkeypatch: pytest.MonkeyPatch) -> Verified:
    """A model in which one path goes another way."""
    from glassformer.nn.attention import Attention
    from glassformer.nn.cache import Cache

    model = writer()
    if what == "fast":
        mix = Attention.mix

        def astray(self: Any, *given: Any) -> Any:
            return mix(self, *given) if given[-1] is not None else mix(self, *given) * 1.001

        monkeypatch.setattr(Attention, "mix", astray)
    elif what == "cached":
        keep = Cache.keep
        monkeypatch.setattr(
            Cache, "keep", lambda self, path, key, value, **more: keep(self, path, key * 1.001, value, **more)
        )
    elif what == "formulas":
        step = Attention.step
        monkeypatch.setattr(
            Attention,
            "step",
            lambda self, name, axes, value, trace, formula, inputs=(), **more: step(
                self, name, axes, value * 1.001 if name == "output" and trace else value, trace, formula, inputs, **more
            ),
        )
    elif what == "tokenization":
        model.tokenizer.steps("x")
        model.tokenizer.cutter.pieces.ranks = {}  # type: ignore[union-attr]
    return verified(model, ["the cat sat"], max_new_tokens=4)


@pytest.mark.parametrize("what", ["fast", "cached", "formulas", "tokenization"])
def test_a_path_that_goes_astray_is_found(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = broken(what, monkeypatch)
    wrong = {each.what: each for each in found.differences if not each.within}
    assert what in wrong
    assert not found.within
    assert "above 1e-10" in str(found)
    if what == "formulas":
        assert wrong[what].step.endswith("self_attention.output")


def test_padding_that_leaks_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from glassformer.nn import stack

    real = stack.mask_of

    def leaking(mask: torch.Tensor, *rest: Any) -> torch.Tensor:
        return real(torch.ones_like(mask), *rest)

    monkeypatch.setattr(stack, "mask_of", leaking)
    found = verified(reader("token-label", 3), ["the cat sat"])
    assert [each.what for each in found.differences if not each.within] == ["batched"]


# ------------------------------------------------------------------ what is told


def test_the_worst_of_all_texts_is_told() -> None:
    def difference(largest: float, relative: float, text: str, exact: bool) -> Difference:
        return Difference(
            what="fast", largest=largest, relative=relative, step="s", text=text, checked=2, bound=1e-4, exact=exact
        )

    first, second = difference(1.0, 1e-6, "a", False), difference(0.5, 1e-3, "b", False)
    worst = first.worse(second)
    assert (worst.text, worst.checked, worst.within) == ("b", 4, False)
    assert (worst.largest, worst.relative) == (1.0, 1e-3)  # each the largest of all, wherever it is
    assert difference(1.0, 0.0, "a", True).worse(difference(2.0, 0.0, "b", True)).text == "b"
    assert difference(float("nan"), float("nan"), "a", True).within is False
    told = Verified(dtype="float32", texts=2, differences=(worst,), left_out=(("transformers", "none here"),))
    assert "left out: none here" in str(told)
    assert told.as_dict()["differences"][0]["within"] is False
    assert told.as_dict()["within"] is False


def test_float32_is_bounded_relative_to_the_values(tmp_path: Path) -> None:
    bert(tmp_path, "BertForTokenClassification", **labels("O", "B-A", "I-A"))
    model = gf.load(tmp_path)
    model.transformer.float()
    found = verified(model, list(TEXTS[:3]))
    assert (found.dtype, found.texts) == ("float32", 3)
    assert found.within
    assert {each.bound for each in found.differences} == {1e-4}
    assert max(each.largest for each in found.differences) > 0


def test_the_second_text_of_a_batch_is_longer_where_there_is_room() -> None:
    model = small("token-label", 3)
    (run,) = model.runs("the cat")
    both = beside(run.batch, 40)
    assert both.source is not None
    assert both.source_mask is not None
    length = run.batch.source.shape[1]  # type: ignore[union-attr]
    assert both.source.shape == (2, length + 3)
    assert both.source_mask.sum(1).tolist() == [length, length + 3]
    assert beside(run.batch, length).source.shape == (2, length)  # type: ignore[union-attr]
    assert set(WHATS) >= {each.what for each in verified(perturbed(model), ["the cat"]).differences}
