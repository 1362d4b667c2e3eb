"""The laws that every transformer here obeys, whatever its family: float64, every parameter moved."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from glassformer.config import TransformerConfig
from glassformer.errors import InputError
from glassformer.families import FAMILIES
from glassformer.glass.trace import Trace
from glassformer.model import Transformer
from glassformer.nn import attention
from glassformer.nn.cache import Cache

EXACT = 1e-12
SIZES: dict[str, Any] = {"vocab_size": 30, "d_model": 12, "heads": 4, "d_ff": 20, "max_positions": 24}
PAIR: dict[str, Any] = {"stack": "encoder-decoder", "encoder_layers": 2, "decoder_layers": 2}
READER: dict[str, Any] = {"stack": "encoder", "encoder_layers": 2, "embedding_norm": True, "segments": 2}
WRITER: dict[str, Any] = {"stack": "decoder", "decoder_layers": 2, "norm_first": True, "final_norm": True}
MASKED: dict[str, Any] = {"head": "masked-language-model", "output_transform": True, "output_bias": True}
T5: dict[str, Any] = {
    **PAIR,
    "norm": "rms",
    "norm_first": True,
    "final_norm": True,
    "positions": "relative",
    "relative_buckets": 8,
    "relative_distance": 12,
    "attention_bias": False,
    "attention_scale": False,
    "feed_forward_bias": False,
    "head_size": 5,
}
LLAMA: dict[str, Any] = {
    **WRITER,
    "norm": "rms",
    "positions": "rotary",
    "activation": "silu",
    "gated": True,
    "attention_bias": False,
    "feed_forward_bias": False,
    "tied_output": False,
    "head_size": 4,
    "kv_heads": 2,
}
PARALLEL: dict[str, Any] = {**WRITER, "positions": "rotary", "head_size": 4, "parallel_residual": True}
MODELS: dict[str, dict[str, Any]] = {
    "2017": {**PAIR, "positions": "sinusoidal", "embedding_scale": True, "activation": "relu"},
    "2017-norm-first": {**PAIR, "positions": "sinusoidal", "norm_first": True, "final_norm": True},
    "2017-two-vocabularies": {**PAIR, "positions": "sinusoidal", "source_vocab_size": 40},
    "2017-without-norms": {**PAIR, "positions": "sinusoidal", "norm": "none", "heads": 1},
    "bert": {**READER, **MASKED},
    "bert-sequence-label": {**READER, "head": "sequence-label", "labels": 3, "pooler": True},
    "bert-hidden": {**READER, "head": "hidden", "pooler": True},
    "roberta-token-label": {**READER, "position_offset": 2, "head": "token-label", "labels": 3},
    "roberta-answer-span": {**READER, "position_offset": 2, "head": "answer-span"},
    "gpt2": {**WRITER, "activation": "gelu-tanh"},
    "gpt2-sequence-label": {**WRITER, "head": "sequence-label", "labels": 3, "pooling": "last"},
    "bart-like": {**PAIR, "position_offset": 2, "embedding_norm": True, "output_bias": True},
    "marian-like": {**PAIR, "positions": "sinusoidal-halves", "activation": "silu", "embedding_scale": True},
    "t5-like": {**T5, "output_scale": True},
    "t5-gated-like": {**T5, "gated": True, "activation": "gelu-tanh", "tied_output": False},
    "llama-like": LLAMA,
    "qwen3-like": {**LLAMA, "head_norm": True, "window": 2, "windowed_layers": (1,)},
    "gemma-like": {**LLAMA, "norm": "rms-from-one", "embedding_scale": True},
    "phi-like": {**PARALLEL, "one_norm": True, "head_norm": True},
    "gpt-neo-like": {**WRITER, "attention_scale": False, "window": 3, "windowed_layers": (0,)},
    "mpnet-like": {**READER, **MASKED, "positions": "learned-relative", "position_offset": 2},
    "writer-without-positions": {**WRITER, "positions": "none"},
}
WITH_DECODER = [
    name for name, fields in MODELS.items() if fields["stack"] != "encoder" and fields.get("head") is None
]
WITH_LABELS_PER_TEXT = [name for name in MODELS if name.endswith("sequence-label")]


def made(name: str, **changes: Any) -> Transformer:
    """One of the models with every parameter moved: norms at one and biases at zero hide mistakes."""
    torch.manual_seed(7)
    fields = {**SIZES, **MODELS[name], "dtype": "float64", **changes}
    model = Transformer(TransformerConfig.from_dict(fields)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return model


def ids(rows: int, length: int, seed: int = 1) -> Tensor:
    return torch.randint(4, 30, (rows, length), generator=torch.Generator().manual_seed(seed))


def padded(texts: list[Tensor], side: str) -> tuple[Tensor, Tensor]:
    """Texts (T,) side by side: ids and mask (B, T)."""
    longest = max(len(text) for text in texts) + 1  # at least one place of padding in each
    rows, mask = torch.zeros(len(texts), longest, dtype=torch.long), torch.zeros(len(texts), longest)
    for row, text in enumerate(texts):
        place = slice(0, len(text)) if side == "right" else slice(longest - len(text), longest)
        rows[row, place], mask[row, place] = text, 1
    return rows, mask.bool()


def answer(
    model: Transformer,
    source: Tensor,
    target: Tensor,
    source_mask: Tensor | None = None,
    target_mask: Tensor | None = None,
    trace: Trace | None = None,
) -> Tensor:
    """Whatever the model answers, given what it reads of the two."""
    own = target if model.encoder is None else source
    segments = own % 2 if model.config.segments else None
    with torch.no_grad():
        return model(
            None if model.encoder is None else source,
            None if model.decoder is None else target,
            source_mask=source_mask,
            target_mask=target_mask,
            segments=segments,
            trace=trace,
        )


def apart(first: Tensor, second: Tensor) -> float:
    assert first.shape == second.shape
    return float((first - second).abs().max())


# ------------------------------------------------------------------ looking never changes the answer


@pytest.mark.parametrize("side", ["right", "left", None])
@pytest.mark.parametrize("name", MODELS)
def test_traced_equals_fused_and_every_step_its_formula(name: str, side: str | None) -> None:
    model, trace = made(name), Trace()
    source, source_mask = padded([*ids(1, 5), *ids(1, 3, 2)], side or "right")
    target, target_mask = padded([*ids(1, 4, 3), *ids(1, 6, 4)], side or "right")
    masks = (source_mask, target_mask) if side else (None, None)
    traced = answer(model, source, target, *masks, trace=trace)
    assert apart(traced, answer(model, source, target, *masks)) <= EXACT
    verified = trace.verify()
    assert verified.max_error <= 1e-10
    assert not verified.unchecked
    given = {name.rsplit(".", 1)[-1] for name in verified.given}
    assert given <= {"ids", "attention_mask", "segment_ids", "memory_attention_mask"}
    known = set(trace.parameters)
    for step in trace.values():
        assert set(step.inputs) <= known, f"{step.name} has an input that nothing made"
        known.add(step.name)


def test_a_trace_is_the_same_after_saving(tmp_path: Path) -> None:
    model, trace = made("2017"), Trace()
    answer(model, ids(1, 5), ids(1, 4), trace=trace)
    trace.tokens, trace.answer = {"encoder": [["a"] * 5]}, "an answer"
    trace.save(tmp_path / "run.safetensors")
    again = Trace.load(tmp_path / "run.safetensors")
    assert list(again) == list(trace)
    for step in trace.values():
        other = again[step.name]
        assert torch.equal(step.value, other.value)
        assert (step.axes, step.key, step.inputs, dict(step.constants)) == (
            other.axes,
            other.key,
            other.inputs,
            dict(other.constants),
        )
    assert again.verify().max_error == trace.verify().max_error
    assert (again.tokens, again.answer) == (trace.tokens, trace.answer)


def test_a_file_that_is_no_trace_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("not a trace", "utf-8")
    for path in (tmp_path / "text", tmp_path / "nowhere"):
        with pytest.raises(InputError, match="give a file that Trace.save wrote"):
            Trace.load(path)


def test_only_what_is_asked_for_is_kept() -> None:
    trace = Trace(keep=("*.weights", "head.*"))
    answer(made("2017"), ids(1, 5), ids(1, 4), trace=trace)
    assert {name.rsplit(".", 1)[-1] for name in trace} == {"weights", "logits", "probabilities"}
    assert len(trace.verify().unchecked) > 0


# ------------------------------------------------------------------ edits


def test_an_edit_changes_what_comes_after_and_nothing_before() -> None:
    model, plain = made("gpt2"), Trace()
    edited = Trace(edits={"decoder.layers.1.feed_forward.output": torch.zeros_like})
    first = answer(model, ids(1, 5), ids(1, 5), trace=plain)
    second = answer(model, ids(1, 5), ids(1, 5), trace=edited)
    assert apart(first, second) > 1e-3
    assert edited["decoder.layers.1.feed_forward.output"].edited
    place = list(plain).index("decoder.layers.1.feed_forward.output")
    assert all(torch.equal(plain[name].value, edited[name].value) for name in list(plain)[:place])
    assert torch.equal(
        edited["decoder.layers.1.after_feed_forward"].value,
        plain["decoder.layers.1.after_self_attention"].value,
    )
    assert edited.verify().max_error <= 1e-10


def test_an_edit_that_changes_nothing_changes_nothing() -> None:
    model = made("t5-like")
    trace = Trace(edits={"*.weights": lambda value: value, "*.scores": torch.clone})
    assert (
        apart(answer(model, ids(2, 5), ids(2, 4), trace=trace), answer(model, ids(2, 5), ids(2, 4))) <= EXACT
    )


def test_an_edit_of_another_shape_is_refused() -> None:
    trace = Trace(edits={"*.weights": lambda value: value[..., :1]})
    with pytest.raises(InputError, match="the edit of .*weights gives shape"):
        answer(made("gpt2"), ids(1, 5), ids(1, 5), trace=trace)


# ------------------------------------------------------------------ padding and batches


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("name", MODELS)
def test_padding_changes_nothing(name: str, side: str) -> None:
    model = made(name)
    sources, targets = [*ids(1, 5), *ids(1, 2, 2)], [*ids(1, 4, 3), *ids(1, 6, 4)]
    source, source_mask = padded(sources, side)
    target, target_mask = padded(targets, side)
    together = answer(model, source, target, source_mask, target_mask)
    mask = source_mask if model.decoder is None else target_mask
    for row in range(2):
        alone = answer(model, sources[row][None], targets[row][None])[0]
        found = together[row] if name in WITH_LABELS_PER_TEXT else together[row][mask[row]]
        assert apart(found, alone) <= EXACT


@pytest.mark.parametrize("name", MODELS)
def test_a_batch_of_two_is_two_batches(name: str) -> None:
    model, source, target = made(name), ids(2, 5), ids(2, 4, 2)
    together = answer(model, source, target)
    for row in range(2):
        one = slice(row, row + 1)
        assert apart(together[one], answer(model, source[one], target[one])) <= EXACT


@pytest.mark.parametrize("name", MODELS)
def test_a_text_of_nothing_but_padding_is_still_numbers(name: str) -> None:
    model, source, target = made(name), ids(2, 5), ids(2, 4, 2)
    source_mask, target_mask = torch.ones_like(source), torch.ones_like(target)
    source_mask[1], target_mask[1] = 0, 0
    found = answer(model, source, target, source_mask, target_mask)
    traced = answer(model, source, target, source_mask, target_mask, trace=Trace())
    assert found.isfinite().all()
    assert apart(found, traced) <= EXACT
    assert apart(found[:1], answer(model, source[:1], target[:1])) <= EXACT


# ------------------------------------------------------------------ the past and the future


@pytest.mark.parametrize("name", [name for name in MODELS if MODELS[name]["stack"] != "encoder"])
def test_the_future_changes_nothing(name: str) -> None:
    model, source, target = made(name), ids(2, 5), ids(2, 6, 2)
    other = target.clone()
    other[:, 4:] = ids(2, 2, 3)
    with torch.no_grad():
        first, second = (
            model.body(None if model.encoder is None else source, each)[:, :4] for each in (target, other)
        )
    assert torch.equal(first, second)


@pytest.mark.parametrize("steps", [(1, 1, 1, 1, 1, 1), (3, 1, 2)], ids=["one-by-one", "in-lots"])
@pytest.mark.parametrize("side", [None, "right", "left"])
@pytest.mark.parametrize("name", WITH_DECODER)
@torch.no_grad()
def test_cached_equals_whole(name: str, side: str | None, steps: tuple[int, ...]) -> None:
    model, source = made(name), ids(2, 5)
    source_mask = target_mask = None
    target = ids(2, 6, 2)
    if side is not None:
        source, source_mask = padded([*ids(1, 5), *ids(1, 2, 2)], side)
        target_mask = torch.ones_like(target)
        target_mask[1, :2] = 0  # a shorter beginning, padded on the left as in generation
    memory = None if model.encoder is None else model.encode(source, source_mask)
    source_mask = None if memory is None else source_mask
    whole = model(None, target, target_mask=target_mask, memory=memory, source_mask=source_mask)
    cache, parts, done = Cache(), [], 0
    for count in steps:
        seen = None if target_mask is None else target_mask[:, : done + count]
        new = target[:, done : done + count]
        parts.append(model(None, new, target_mask=seen, memory=memory, source_mask=source_mask, cache=cache))
        done += count
        assert cache.length == done
    real = torch.ones_like(target).bool() if target_mask is None else target_mask.bool()
    assert apart(torch.cat(parts, dim=1)[real], whole[real]) <= EXACT


@pytest.mark.parametrize("name", WITH_DECODER)
@torch.no_grad()
def test_a_traced_step_with_a_cache_has_its_formulas_too(name: str) -> None:
    model, target = made(name), ids(2, 5, 2)
    memory = None if model.encoder is None else model.encode(ids(2, 4))
    cache, trace = Cache(), Trace()
    model(None, target[:, :3], memory=memory, cache=cache)
    traced = model(None, target[:, 3:], memory=memory, cache=cache, trace=trace)
    assert apart(traced, model(None, target, memory=memory)[:, 3:]) <= EXACT
    verified = trace.verify()
    assert verified.max_error <= 1e-10
    assert not verified.unchecked


@torch.no_grad()
def test_a_reordered_cache_goes_on_with_those_rows() -> None:
    model, source, target = made("2017"), ids(2, 5), ids(2, 4, 2)
    memory, rows = model.encode(source), torch.tensor([1, 1, 0])
    cache = Cache()
    model(None, target[:, :3], memory=memory, cache=cache)
    cache.reorder(rows)
    went_on = model(None, target[rows][:, 3:], memory=memory[rows], cache=cache)
    assert apart(went_on, model(None, target[rows], memory=memory[rows])[:, 3:]) <= EXACT


# ------------------------------------------------------------------ positions


def test_turned_positions_are_relative() -> None:
    """Su et al. 2021: the score of two turned rows depends on how far apart they are, not on where."""
    model = made("llama-like")
    rotary = model.decoder.layers[0].self_attention.rotary  # type: ignore[union-attr]
    q, k = torch.randn(2, 1, 1, 1, 4, dtype=torch.float64)

    def score(first: int, second: int) -> float:
        turned = (rotary(x, torch.tensor([[place]])) for x, place in ((q, first), (k, second)))
        return float((next(turned) * next(turned)).sum())

    assert score(3, 1) == pytest.approx(score(13, 11), abs=1e-12)
    assert score(3, 1) != pytest.approx(score(3, 2), abs=1e-3)


@pytest.mark.parametrize("name", ["bert", "gpt2", "bart-like"])
def test_more_tokens_than_positions_are_refused(name: str) -> None:
    model = made(name)
    longest = model.config.max_positions
    answer(model, ids(1, longest), ids(1, longest))
    with pytest.raises(InputError, match=f"{longest + 1} tokens, but this model has {longest} positions"):
        answer(model, ids(1, longest + 1), ids(1, longest + 1))


# ------------------------------------------------------------------ training


@pytest.mark.parametrize("name", MODELS)
def test_every_parameter_learns(name: str) -> None:
    """A parameter without a gradient is one that the model does not use."""
    model = made(name)
    source, target = ids(2, 6), ids(2, 5, 2)
    segments = source % 2 if model.config.segments else None
    given = model(
        None if model.encoder is None else source,
        None if model.decoder is None else target,
        segments=segments,
    )
    given.square().mean().backward()
    unused = {name for name, parameter in model.named_parameters() if parameter.grad is None}
    assert unused == {
        name for name in unused if name.startswith("head.pooling.") and model.config.head == "hidden"
    }


def test_dropout_drops_in_training_only() -> None:
    model = made("2017", dropout=0.5, attention_dropout=0.5, activation_dropout=0.5)
    assert torch.equal(answer(model, ids(2, 5), ids(2, 4)), answer(model, ids(2, 5), ids(2, 4)))
    model.train()
    assert not torch.equal(answer(model, ids(2, 5), ids(2, 4)), answer(model, ids(2, 5), ids(2, 4)))
    with pytest.raises(InputError, match="in training .* cannot be traced"):
        answer(model, ids(2, 5), ids(2, 4), trace=Trace())


def test_a_tied_output_is_the_table_of_the_tokens() -> None:
    model = made("2017")
    assert model.head.output.weight is model.tokens.weight
    assert "head.output.weight" not in dict(model.named_parameters())


@pytest.mark.parametrize(
    ("fields", "spread"),
    [
        ({"initialization": "normal", "initialization_std": 0.05}, 0.05),
        ({"initialization": "truncated-normal"}, 0.02 * 0.8796),  # cut at two standard deviations
        ({"initialization": "xavier"}, math.sqrt(2 / (64 + 128))),
        ({"initialization": "normal-scaled-residual"}, 0.02),
    ],
)
def test_weights_start_as_the_papers_say(fields: dict[str, Any], spread: float) -> None:
    torch.manual_seed(3)
    sizes = {"vocab_size": 50, "d_model": 64, "heads": 4, "d_ff": 128, "decoder_layers": 8}
    model = Transformer(TransformerConfig.from_dict({"stack": "decoder", **sizes, **fields}))
    linear = {name: part for name, part in model.named_modules() if isinstance(part, nn.Linear)}
    up = torch.stack(
        [part.weight.detach() for name, part in linear.items() if name.endswith("feed_forward.up")]
    )
    down = torch.stack(
        [part.weight.detach() for name, part in linear.items() if name.endswith("feed_forward.down")]
    )
    assert float(up.std()) == pytest.approx(spread, rel=0.03)
    scaled = spread / math.sqrt(16) if fields["initialization"] == "normal-scaled-residual" else spread
    assert float(down.std()) == pytest.approx(scaled, rel=0.03)
    assert all(not part.bias.any() for part in linear.values() if part.bias is not None)
    if fields["initialization"] == "truncated-normal":
        assert float(up.abs().max()) <= 0.04


# ------------------------------------------------------------------ configurations that are none


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"stack": "tower"}, "stack is 'tower'; expected one of 'encoder', 'decoder', 'encoder-decoder'"),
        ({"d_model": 13}, "d_model 13 does not divide into 4 heads"),
        ({"d_model": 12.0}, "d_model is 12.0, a float; expected int"),
        ({"kv_heads": 3}, "4 heads cannot share 3 key/value heads"),
        ({"vocab_size": 0}, "vocab_size is 0; expected 1 or more"),
        ({"dropout": 1.0}, "dropout is 1.0; expected a share"),
        ({"encoder_layers": 2}, "stack 'decoder' does not go with encoder_layers = 2"),
        ({"decoder_layers": 0}, "stack 'decoder' does not go with decoder_layers = 0"),
        ({"head": "sequence-label"}, "needs the number of its labels"),
        ({"norm": "none"}, "norm is 'none', yet norm_first"),
        ({"positions": "rotary", "head_size": 3}, "rotary positions come in pairs"),
        ({"positions": "sinusoidal", "d_model": 15, "heads": 3}, "d_model is 15, an odd number"),
        ({"output_scale": True, "tied_output": False}, "output_scale belongs to a tied output"),
        ({"source_vocab_size": 9}, "source_vocab_size belongs to an encoder-decoder"),
        ({"output_activation": "tanh"}, "output_activation is 'tanh'; expected one of 'relu'"),
        ({"widht": 12}, "TransformerConfig has no 'widht'"),
    ],
)
def test_an_impossible_configuration_is_refused(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        TransformerConfig.from_dict({**SIZES, **MODELS["gpt2"], **fields})


def test_a_configuration_says_itself() -> None:
    for fields in MODELS.values():
        config = TransformerConfig.from_dict({**SIZES, **fields})
        assert TransformerConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(
    ("name", "given", "sentence"),
    [
        ("bert", (None, None), "needs source ids"),
        ("gpt2", (ids(1, 3), None), "needs target ids"),
        ("2017", (ids(1, 3), None), "needs target ids"),
    ],
)
def test_a_model_says_what_it_reads(name: str, given: tuple[Tensor | None, ...], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        made(name)(*given)
    if name == "gpt2":
        with pytest.raises(InputError, match="no encoder"):
            made(name).encode(ids(1, 3))


# ------------------------------------------------------------------ real sizes


REAL_SIZES: dict[str, dict[str, Any]] = {
    "bert-base": {"model_type": "bert"},  # a silent config.json means the sizes of the paper
    "gpt2": {"model_type": "gpt2"},
}


def verified_at_real_size(name: str) -> float:
    """The largest relative difference between a float32 run of 40 tokens and its formulas in float64."""
    raw = REAL_SIZES[name]
    torch.manual_seed(7)
    model = Transformer(FAMILIES[raw["model_type"]].config(raw)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.01 * torch.randn_like(parameter)
    trace = Trace()
    read = torch.randint(1000, 30_000, (1, 40), generator=torch.Generator().manual_seed(1))
    answer(model, read, read, trace=trace)
    verified = trace.verify()
    assert not verified.unchecked
    return verified.max_relative_error


@pytest.mark.nightly
@pytest.mark.parametrize("name", REAL_SIZES)
def test_a_model_of_real_size_in_float32_is_its_formulas(name: str) -> None:
    assert verified_at_real_size(name) <= 1e-4


@pytest.mark.parametrize("name", ["2017", "gpt2", "bert", "t5-like", "llama-like"])
def test_training_in_sixteen_bits_keeps_attention_of_long_texts_in_thirty_two(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "SEVERAL_CALLS", 5)
    model = Transformer(TransformerConfig(**{**SIZES, **MODELS[name]}))
    seen: list[torch.dtype] = []
    own = torch.nn.functional.scaled_dot_product_attention

    def watched(*given: Tensor, **options: Any) -> Tensor:
        seen.extend(each.dtype for each in given)
        return own(*given, **options)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", watched)
    ids = torch.arange(6)[None]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(None if model.encoder is None else ids, None if model.decoder is None else ids)
    assert logits.dtype == torch.bfloat16
    assert seen
    assert set(seen) == {torch.float32}
