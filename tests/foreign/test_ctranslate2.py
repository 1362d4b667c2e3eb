"""Folders of CTranslate2, read as ours: what we wrote comes back, old files and quantized ones are understood."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from glassformer.errors import InputError
from glassformer.export import ctranslate2 as export
from glassformer.export.options import Options
from glassformer.families import FAMILIES
from glassformer.foreign import ctranslate2, ctranslate2_file
from glassformer.model import Transformer
from glassformer.pretrained import Checkpoint
from glassformer.tasks.model import Model, load
from glassformer.text.tokenizer import Tokenizer

from ..families.harness import perturb

WORDS = Tokenizer.of_words([f"w{number}" for number in range(20)])
PAIR = {"stack": "encoder-decoder", "encoder_layers": 1, "decoder_layers": 2}
WRITER = {"stack": "decoder", "decoder_layers": 2, "norm_first": True, "final_norm": True}
READER = {
    "stack": "encoder",
    "encoder_layers": 2,
    "head": "hidden",
    "positions": "learned",
    "max_positions": 16,
}
TURNS = {"positions": "rotary", "norm": "rms", "gated": True, "activation": "silu"}
BARE = {"attention_bias": False, "feed_forward_bias": False}
MODELS: dict[str, dict[str, Any]] = {
    "2017": {
        **PAIR,
        "positions": "sinusoidal",
        "embedding_scale": True,
        "activation": "relu",
        "max_positions": 20,
    },
    "norms first": {
        **PAIR,
        "positions": "learned",
        "max_positions": 16,
        "norm_first": True,
        "final_norm": True,
    },
    "two vocabularies": {
        **PAIR,
        "positions": "sinusoidal-halves",
        "max_positions": 16,
        "source_vocab_size": 30,
    },
    "distances": {
        **PAIR,
        "positions": "relative",
        "relative_buckets": 8,
        "norm": "rms",
        "norm_first": True,
        "final_norm": True,
        "attention_scale": False,
        "output_scale": True,
        "head_size": 3,
        **BARE,
    },
    "turns": {
        **WRITER,
        **TURNS,
        "kv_heads": 2,
        "head_size": 6,
        "rotary_base": 500.0,
        "tied_output": False,
        **BARE,
    },
    "turns in part": {**WRITER, "positions": "rotary", "rotary_size": 2, "parallel_residual": True},
    "a window": {**WRITER, **TURNS, "window": 3, "attention_output_bias": False, "output_bias": True},
    "rows": {**READER, "embedding_norm": True, "segments": 2, "pooler": True, "pooler_activation": "tanh"},
}


def model(name: str) -> Model:
    """A small random one, every parameter moved."""
    raw = {
        "model_type": "transformer",
        "vocab_size": 23,
        "d_model": 16,
        "heads": 4,
        "d_ff": 20,
        **MODELS[name],
    }
    transformer = Transformer(FAMILIES["transformer"].config(raw)).eval()
    perturb(transformer, 4)
    source = WORDS if "source_vocab_size" in raw else None
    return Model(Checkpoint(transformer=transformer, family="transformer", raw=raw), WORDS, source)


@torch.no_grad()
def answer(mine: Model) -> Tensor:
    """To a fixed batch."""
    source, target = torch.arange(10).reshape(2, 5), torch.arange(8).reshape(2, 4)
    stack = mine.config.stack
    return mine.transformer(source if stack != "decoder" else None, target if stack != "encoder" else None)


@pytest.mark.parametrize("name", MODELS)
def test_what_was_written_comes_back(name: str, tmp_path: Path) -> None:
    mine = model(name)
    export.write(mine, tmp_path, Options())
    again = load(tmp_path)
    assert (answer(again) - answer(mine)).abs().max() < 1e-5
    assert again.tokenizer.encode("w1 w2").ids == WORDS.encode("w1 w2").ids
    assert again.trace("w1 w2").verify().max_relative_error < 1e-4
    again.save_pretrained(tmp_path / "ours")
    assert answer(load(tmp_path / "ours")).equal(answer(again))


def test_a_translator_starts_and_ends_as_it_did(tmp_path: Path) -> None:
    mine = model("2017")
    export.write(mine, tmp_path, Options())
    again = load(tmp_path)
    assert (again.task.start, again.task.ends) == (mine.task.start, mine.task.ends)
    assert again("w1 w2 w3", max_new_tokens=8).ids == mine("w1 w2 w3", max_new_tokens=8).ids


def test_eight_bits_come_back_as_what_they_stand_for(tmp_path: Path) -> None:
    mine = model("norms first")
    export.write(mine, tmp_path, Options(dtype="int8"))
    again = load(tmp_path)
    name = "decoder.layers.0.feed_forward.up.weight"
    ours, theirs = mine.transformer.get_parameter(name), again.transformer.get_parameter(name)
    assert 0 < (ours - theirs).abs().max() <= ours.abs().max() / 127
    assert again.transformer.head.output.weight is again.transformer.tokens.weight


# ------------------------------------------------------------------ old files


def word(text: str) -> bytes:
    return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"


def old_file(path: Path, tensors: dict[str, Tensor], spec: str = "TransformerBase") -> None:
    """The second version: no kinds of numbers, only their size; no other names."""
    data = struct.pack("<I", 2) + word(spec) + struct.pack("<II", 2, len(tensors))
    for name, tensor in tensors.items():
        shape = tensor.shape
        data += word(name) + struct.pack(f"<B{len(shape)}I", len(shape), *shape)
        data += (
            struct.pack("<BI", tensor.element_size(), tensor.numel()) + tensor.contiguous().numpy().tobytes()
        )
    path.write_bytes(data)


@pytest.fixture
def old(tmp_path: Path) -> tuple[Model, Path]:
    """A model as OpenNMT-tf's would have been written: waves that are computed, eight heads, words in lines."""
    raw = {
        "model_type": "transformer",
        "vocab_size": 7,
        "source_vocab_size": 6,
        "d_model": 16,
        "heads": 8,
        "d_ff": 12,
    }
    raw |= {**PAIR, "norm_first": True, "final_norm": True, "embedding_scale": True, "activation": "relu"}
    raw |= {
        "positions": "sinusoidal-halves-inclusive",
        "position_offset": 1,
        "tied_output": False,
        "output_bias": True,
    }
    transformer = Transformer(FAMILIES["transformer"].config(raw)).eval()
    perturb(transformer, 5)
    words = [["<blank>", "<s>", "</s>", *letters] for letters in ("xyz", "ab")]
    target, source = (Tokenizer.of_words([*each, "<unk>"]) for each in words)
    mine = Model(Checkpoint(transformer=transformer, family="transformer", raw=raw), target, source)
    named = export.named(mine, mine.config)
    for side in ("encoder", "decoder"):
        del named[f"{side}/position_encodings/encodings"]
    named["encoder/embeddings/weight"] = named.pop("encoder/embeddings_0/weight")
    up = named["encoder/layer_0/ffn/linear_0/weight"]
    scale = torch.tensor(1000.0)
    named["encoder/layer_0/ffn/linear_0/weight"] = (up * scale).round().to(torch.int16)
    named["encoder/layer_0/ffn/linear_0/weight_scale"] = scale
    old_file(tmp_path / "model.bin", named)
    for side, each in zip(("target", "source"), words, strict=True):
        (tmp_path / f"{side}_vocabulary.txt").write_text("\n".join(each) + "\n", "utf-8")
    return mine, tmp_path


def test_an_old_file_is_understood(old: tuple[Model, Path]) -> None:
    mine, folder = old
    again = load(folder)
    assert again.config == mine.config.__class__.from_dict({**mine.config.to_dict(), "max_positions": 1024})
    name = "encoder.layers.0.feed_forward.up.weight"
    with torch.no_grad():
        up = mine.transformer.get_parameter(name)
        up.copy_((up * 1000).round() / 1000)
    source, target = torch.tensor([[3, 4, 5]]), torch.tensor([[1, 3, 6, 5]])
    with torch.no_grad():
        ours, theirs = mine.transformer(source, target), again.transformer(source, target)
    assert (ours - theirs).abs().max() < 1e-5
    assert again.tokenizer.token(6) == "<unk>"
    assert again.source_tokenizer is not None
    assert again.source_tokenizer.encode("a c b").ids == [3, 5, 4]
    assert (again.task.start, again.task.ends) == (1, (2,))


def test_an_old_file_is_what_ctranslate2_reads(old: tuple[Model, Path]) -> None:
    engine = pytest.importorskip("ctranslate2")
    _, folder = old
    translator = engine.Translator(str(folder), intra_threads=1, compute_type="float32")
    (theirs,) = translator.translate_batch([["a", "b", "b"]], beam_size=1, max_decoding_length=8)
    ours = load(folder)("a b b", num_beams=1, max_new_tokens=8, min_new_tokens=1)
    assert [token for token in ours.tokens if token != "</s>"] == theirs.hypotheses[0]


# ------------------------------------------------------------------ what is refused


def test_what_is_no_such_file_is_refused(tmp_path: Path, old: tuple[Model, Path]) -> None:
    path = old[1] / "model.bin"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="not a whole CTranslate2 model"):
        load(old[1])
    path.write_bytes(struct.pack("<I", 9) + whole[4:])
    with pytest.raises(InputError, match="versions 2 to 6 .it starts with 9"):
        load(old[1])


def test_without_a_vocabulary_it_is_refused(old: tuple[Model, Path]) -> None:
    (old[1] / "source_vocabulary.txt").unlink()
    with pytest.raises(InputError, match=r"holds model\.bin and no vocabulary"):
        load(old[1])


STRANGE = {
    "a WhisperSpec": ({}, "WhisperSpec"),
    "alibi 1": ({"decoder/alibi": torch.tensor(1, dtype=torch.int8)}, "TransformerBase"),
    "the activation number 4": ({"activation": torch.tensor(4, dtype=torch.int8)}, "TransformerBase"),
    "tokens multiplied by 3": ({"decoder/scale_embeddings": torch.tensor(3.0)}, "TransformerBase"),
    "queries multiplied by 3": (
        {"decoder/layer_0/self_attention/queries_scale": torch.tensor(3.0)},
        "TransformerBase",
    ),
}


@pytest.mark.parametrize("what", STRANGE)
def test_what_is_not_computed_here_is_refused(what: str, old: tuple[Model, Path]) -> None:
    more, spec = STRANGE[what]
    path = old[1] / "model.bin"
    old_file(path, {**ctranslate2_file.read(path), **more}, spec)
    with pytest.raises(InputError, match=f"a CTranslate2 model with {what}.*, which is not computed here"):
        load(old[1])


def test_a_tensor_without_a_place_is_refused(old: tuple[Model, Path]) -> None:
    path = old[1] / "model.bin"
    old_file(
        path, {**ctranslate2_file.read(path), "encoder/layer_0/self_attention/q_norm/gamma": torch.ones(4)}
    )
    with pytest.raises(InputError, match="q_norm/gamma, which has no place"):
        ctranslate2.read(old[1])


def test_words_are_listed_in_json_too(old: tuple[Model, Path]) -> None:
    for side in ("target", "source"):
        lines = old[1] / f"{side}_vocabulary.txt"
        (old[1] / f"{side}_vocabulary.json").write_text(json.dumps(lines.read_text("utf-8").split()), "utf-8")
        lines.unlink()
    assert load(old[1]).tokenizer.token(3) == "x"
