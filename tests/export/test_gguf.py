"""Decoders as GGUF: llama.cpp writes the same tokens with the same probabilities, and cuts texts the same."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, processors, trainers
from tokenizers import Tokenizer as Backend

from glassformer.cli.main import run
from glassformer.errors import InputError
from glassformer.export import gguf as export
from glassformer.export.gguf_tokenizer import FALLBACK, LLAMA3, QWEN2, described
from glassformer.export.options import Options
from glassformer.families import FAMILIES
from glassformer.model import Transformer
from glassformer.pretrained import Checkpoint
from glassformer.tasks.model import Model
from glassformer.text import sentencepiece
from glassformer.text.tokenizer import Tokenizer
from glassformer.weights import pairs

from ..families.harness import perturb
from . import llama_cpp

TEXTS = [
    "The quick brown fox jumps over the lazy dog, doesn't it? The other dogs don't.",
    "In 1234567 years,  two spaces;\n\nnew lines\t\ttabs ... and THE END!!!",
    " été, 中文, 😀 and <|endoftext|> inside ",
    "a",
]
LETTERS = [letter for letter in pre_tokenizers.ByteLevel.alphabet() if letter.isascii()] + ["Ċ", "Ġ"]


def bytes_of(alphabet: list[str], size: int, cuts: Any = None, whole_first: bool = False) -> Tokenizer:
    """A vocabulary of merged bytes; a text is cut by `cuts` before."""
    backend = Backend(models.BPE(ignore_merges=whole_first))
    backend.pre_tokenizer = cuts or pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.train_from_iterator(
        TEXTS[:2] * 3,
        trainers.BpeTrainer(
            vocab_size=size, initial_alphabet=alphabet, special_tokens=["<|endoftext|>"], show_progress=False
        ),
    )
    return Tokenizer(backend, {"bos": "<|endoftext|>", "eos": "<|endoftext|>"})


BYTES = bytes_of(
    LETTERS, 120
)  # whose tokens are letters: llama.cpp names no probability where one is a part of a letter
VOCABULARY = BYTES.vocab_size + 6  # more rows than tokens
SIZES = {"vocab_size": VOCABULARY, "hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 2}
SIZES |= {"intermediate_size": 64, "max_position_embeddings": 64}
LLAMA3_TURNS = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
MODELS: dict[str, dict[str, Any]] = {
    "gpt2": {"vocab_size": VOCABULARY, "n_embd": 32, "n_head": 4, "n_layer": 2, "n_positions": 64},
    "gpt_neox": {**SIZES, "rotary_pct": 0.5, "hidden_act": "gelu_new"},
    "gpt_neox, one after the other": {**SIZES, "use_parallel_residual": False, "tie_word_embeddings": True},
    "gpt_neox, slowed": {**SIZES, "rope_scaling": {"rope_type": "linear", "factor": 2.0}},
    "llama": {**SIZES, "num_key_value_heads": 2},
    "llama, tied": {**SIZES, "tie_word_embeddings": True, "head_dim": 16, "rope_theta": 500.0},
    "llama, biased": {**SIZES, "attention_bias": True, "mlp_bias": True, "num_key_value_heads": 1},
    "llama, slowed": {**SIZES, "rope_scaling": {"rope_type": "linear", "factor": 4.0}},
    "llama, slowed in part": {
        **SIZES,
        "head_dim": 16,
        "rope_scaling": {**LLAMA3_TURNS, "original_max_position_embeddings": 32},
    },
    "mistral": {**SIZES, "num_key_value_heads": 2, "sliding_window": 16},
    "qwen2": {**SIZES, "num_key_value_heads": 2},
    "qwen3": {**SIZES, "head_dim": 16, "num_key_value_heads": 2},
    "qwen3, tied": {**SIZES, "num_key_value_heads": 4, "head_dim": 8, "tie_word_embeddings": True},
    "gemma": {**SIZES, "head_dim": 16, "num_key_value_heads": 1},
    "gemma, heads alike": {**SIZES, "head_dim": 8, "num_key_value_heads": 4, "hidden_act": "gelu"},
    "phi": {**SIZES, "partial_rotary_factor": 0.5},
    "phi, tied": {**SIZES, "partial_rotary_factor": 1.0, "tie_word_embeddings": True},
    "phi3": {**SIZES, "num_key_value_heads": 2, "sliding_window": 16},
    "qwen2, other heads": {**SIZES, "head_dim": 16, "num_key_value_heads": 4, "tie_word_embeddings": True},
}
CLOSE = 2e-5  # float32 here and there
TABLED = 5e-3  # llama.cpp looks its gelu up in a table of float16


def model(name: str, tokenizer: Tokenizer = BYTES, **changes: Any) -> Model:
    """A small random one, every parameter moved."""
    raw = {"model_type": name.split(",")[0], **MODELS[name], **changes}
    transformer = Transformer(FAMILIES[raw["model_type"]].config(raw)).eval()
    perturb(transformer, 1)
    return Model(Checkpoint(transformer=transformer, family=raw["model_type"], raw=raw), tokenizer)


# ------------------------------------------------------------------ the numbers


@pytest.mark.parametrize("name", MODELS)
def test_llama_cpp_writes_the_same(name: str, tmp_path: Path) -> None:
    mine = model(name)
    allowed = TABLED if mine.config.activation.startswith("gelu") else CLOSE
    if name == "phi3":  # in a file of this name llama.cpp looks for tokens that are none of ours
        mine.checkpoint = replace(mine.checkpoint, family="llama")
    export.write(mine, tmp_path / "it.gguf", Options())
    generator = torch.Generator().manual_seed(2)
    prompts = [torch.randint(0, 120, (count,), generator=generator).tolist() for count in (7, 4, 1)]
    found = llama_cpp.written(tmp_path / "it.gguf", prompts, 9, VOCABULARY)
    for prompt, steps in zip(prompts, found, strict=True):
        ids = torch.tensor([[*prompt, *(token for token, _ in steps)]])
        with torch.no_grad():
            logs = mine.transformer(target=ids).log_softmax(-1)[0, len(prompt) - 1 : -1]
        assert len(logs) == len(steps) == 9 or steps[-1][0] == BYTES.eos_id
        for log, (token, theirs) in zip(logs, steps, strict=True):
            assert log.argmax() == token
            assert sorted(theirs) == list(range(VOCABULARY))
            assert max(abs(float(log[id]) - value) for id, value in theirs.items()) < allowed


def test_matrices_in_four_bits(tmp_path: Path) -> None:
    """Each number is within a sixteenth of its block's largest, at the far end an eighth; llama.cpp reads the file."""
    mine = model("llama")
    assert export.write(mine, tmp_path, Options(dtype="q4_0")).startswith("llama in q4_0")
    tensors = {each.name: each for each in gguf.GGUFReader(tmp_path / "model.gguf").tensors}
    up = tensors["blk.0.ffn_up.weight"]
    ours = mine.transformer.get_parameter("decoder.layers.0.feed_forward.up.weight").detach().numpy()
    blocks = ours.reshape(-1, 32)
    lost = np.abs(gguf.quants.dequantize(up.data, up.tensor_type).reshape(-1, 32) - blocks)
    assert (lost <= 0.13 * np.abs(blocks).max(1, keepdims=True)).all()
    assert lost.max() > 0.03 * np.abs(blocks).max()
    assert len(llama_cpp.written(tmp_path / "model.gguf", [[3, 4]], 1, VOCABULARY)[0]) == 1


@pytest.mark.parametrize(
    ("dtype", "kind", "off", "further_off"),
    [("float16", "F16", 1e-3, 0.02), ("bfloat16", "BF16", 1e-2, 0.2), ("q8_0", "Q8_0", 1e-2, 0.2)],
)
def test_matrices_may_be_stored_in_less(
    dtype: str, kind: str, off: float, further_off: float, tmp_path: Path
) -> None:
    mine = model("llama")
    told = export.write(mine, tmp_path, Options(dtype=dtype))
    assert told == f"llama in {kind.lower()}; read back, every tensor is the same"
    tensors = {each.name: each for each in gguf.GGUFReader(tmp_path / "model.gguf").tensors}
    assert tensors["blk.0.attn_norm.weight"].tensor_type.name == "F32"
    up = tensors["blk.0.ffn_up.weight"]
    assert up.tensor_type.name == kind
    ours = mine.transformer.get_parameter("decoder.layers.0.feed_forward.up.weight").detach().numpy()
    assert 0 < np.abs(gguf.quants.dequantize(up.data, up.tensor_type) - ours).max() < off
    ((token, theirs),) = llama_cpp.written(tmp_path / "model.gguf", [[3, 4]], 1, VOCABULARY)[0]
    with torch.no_grad():
        log = mine.transformer(target=torch.tensor([[3, 4]])).log_softmax(-1)[0, -1]
    assert log.argmax() == token
    assert max(abs(float(log[id]) - value) for id, value in theirs.items()) < further_off


def test_rows_without_whole_blocks_are_stored_in_half(tmp_path: Path) -> None:
    export.write(
        model("llama", hidden_size=40, num_attention_heads=2, intermediate_size=64),
        tmp_path,
        Options(dtype="q8_0"),
    )
    kinds = {each.name: each.tensor_type.name for each in gguf.GGUFReader(tmp_path / "model.gguf").tensors}
    assert (kinds["blk.0.ffn_up.weight"], kinds["blk.0.ffn_down.weight"]) == ("F16", "Q8_0")


def test_numbers_that_turn_together_stand_together() -> None:
    rows = torch.arange(12.0)  # two heads: 0 turns with 3, 1 with 4, 2 with 5
    theirs = pairs(2).theirs([rows])
    assert theirs.tolist() == [0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11]
    assert pairs(2).ours(theirs)[0].equal(rows)


def test_a_window_bounds_the_text(tmp_path: Path) -> None:
    told = export.write(model("mistral"), tmp_path, Options())
    assert "texts of up to 16 tokens, since it has no window" in told
    assert gguf.GGUFReader(tmp_path / "model.gguf").get_field("llama.context_length").contents() == 16


def test_what_is_read_back_is_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = export.encoded
    monkeypatch.setattr(export, "encoded", lambda place, parameters: whole(place, parameters) * 1.001)
    with pytest.raises(InputError, match=r"was written, but token_embd\.weight differs when it is read"):
        export.write(model("llama"), tmp_path, Options())
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------------ tokenizers


def cut_by(expression: str) -> Any:
    """An expression, and then bytes."""
    bare = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(expression), "isolated"), bare])


def bytes_with(cuts: str) -> Tokenizer:
    """All bytes, cut in one of the ways that llama.cpp knows."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    digits = pre_tokenizers.Digits(individual_digits=True)
    plain = pre_tokenizers.ByteLevel(add_prefix_space=False)
    ways = {
        "gpt-2": plain,
        "smollm": pre_tokenizers.Sequence([digits, plain]),
        "llama-bpe": cut_by(LLAMA3),
        "qwen2": cut_by(QWEN2),
    }
    return bytes_of(alphabet, 330, ways[cuts], whole_first=cuts == "llama-bpe")


def pieces(prefix: bool, **changes: Any) -> Tokenizer:
    """What was once a SentencePiece model: every way to make a piece is a merge."""
    words = [
        "▁the",
        "▁quick",
        "▁dog",
        "▁do",
        "er",
        "ver",
        "▁over",
        "▁▁",
        "s,",
        "e▁",
        "laz",
        "▁laz",
        "▁lazy",
        "en",
    ]
    made = list(dict.fromkeys(word[:length] for word in words for length in range(2, len(word) + 1)))
    letters = sorted(
        {
            letter
            for text in TEXTS[:2]
            for letter in text.replace(" ", "▁")
            if letter in "".join(words) or letter.isalnum()
        }
    )
    special = [sentencepiece.Piece(name, 0.0, kind) for name, kind in (("<unk>", 2), ("<s>", 3), ("</s>", 3))]
    listed = [sentencepiece.Piece(name, 0.0, sentencepiece.BYTE) for name in FALLBACK]
    listed += [sentencepiece.Piece(name, -float(rank)) for rank, name in enumerate([*made, *letters])]
    told = {
        "kind": sentencepiece.BPE,
        "byte_fallback": True,
        "charsmap": b"",
        "prefix": prefix,
        "trimmed": False,
    }
    model = sentencepiece.Model(pieces=(*special, *listed), **{**told, **changes})
    backend = sentencepiece.backend(model, [piece.text for piece in model.pieces], ["<s>", "</s>"])
    backend.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return Tokenizer(backend, {"unk": "<unk>", "bos": "<s>", "eos": "</s>"})


TOKENIZERS = {
    **{name: (lambda name=name: bytes_with(name)) for name in ("gpt-2", "smollm", "llama-bpe", "qwen2")},
    "pieces": lambda: pieces(prefix=True),
    "pieces without a space before": lambda: pieces(prefix=False),
}


@pytest.mark.parametrize("name", TOKENIZERS)
def test_llama_cpp_cuts_texts_the_same(name: str, tmp_path: Path) -> None:
    tokenizer = TOKENIZERS[name]()
    export.write(model("llama", tokenizer, vocab_size=tokenizer.vocab_size + 3), tmp_path, Options())
    found = llama_cpp.cut(tmp_path / "model.gguf", TEXTS)
    assert found == [encoding.ids for encoding in tokenizer.encode_batch(TEXTS)]
    assert max(map(len, found)) > 20


def test_special_tokens_and_templates_are_written() -> None:
    tokenizer = pieces(prefix=True)
    tokenizer.settings["chat_template"] = "{{ messages }}"
    said = described(tokenizer, tokenizer.vocab_size + 2)
    assert said["tokenizer.ggml.tokens"][-2:] == [f"[PAD{tokenizer.vocab_size + more}]" for more in (0, 1)]
    assert said["tokenizer.ggml.token_type"][:4] == [2, 3, 3, 6]
    assert (said["tokenizer.ggml.add_bos_token"], said["tokenizer.ggml.add_eos_token"]) == (True, False)
    assert (said["tokenizer.ggml.unknown_token_id"], said["tokenizer.ggml.bos_token_id"]) == (0, 1)
    assert said["tokenizer.chat_template"] == "{{ messages }}"


def without_a_merge() -> Tokenizer:
    """A vocabulary that llama.cpp would merge further."""
    tokenizer = pieces(prefix=True)
    said = json.loads(tokenizer.backend.to_str())
    said["model"]["merges"].remove(["▁d", "o"])
    return Tokenizer(Backend.from_str(json.dumps(said)), tokenizer.parts)


def normalized() -> Tokenizer:
    """Bytes of small letters."""
    tokenizer = bytes_with("gpt-2")
    tokenizer.backend.normalizer = normalizers.Lowercase()
    return tokenizer


REFUSED = {
    "is a WordLevel model": lambda: Tokenizer.of_words(["a", "b"]),
    "cuts a text in another way": lambda: bytes_of(LETTERS, 130, cut_by("[a-z]+")),
    "changes a text first, by Lowercase": normalized,
    "has no bytes to fall back to": lambda: pieces(True, byte_fallback=False),
    "cuts or changes a text before it merges": lambda: pieces(True, trimmed=True),
    "but no merge of": without_a_merge,
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_tokenizer_that_llama_cpp_lacks_is_refused(what: str) -> None:
    with pytest.raises(InputError, match=f"{what}.*llama.cpp reads byte-pair encodings"):
        described(REFUSED[what](), 1000)


# ------------------------------------------------------------------ the command


def test_what_it_cannot_run_is_refused_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["convert", "worked-example", str(tmp_path), "--to", "gguf"]) == 2
    (sentence,) = capsys.readouterr().err.splitlines()
    assert (
        "llama.cpp cannot run this transformer: it runs GPT-2, GPT-NeoX, Qwen 2, Qwen 3, Gemma, Phi"
        in sentence
    )
    assert not list(tmp_path.iterdir())


def test_opt_is_refused_with_what_stands_in_the_way(tmp_path: Path) -> None:
    raw = {"model_type": "opt", "vocab_size": 40, "hidden_size": 8, "num_attention_heads": 2, "ffn_dim": 8}
    transformer = Transformer(FAMILIES["opt"].config({**raw, "num_hidden_layers": 1}))
    mine = Model(Checkpoint(transformer=transformer, family="opt", raw=raw), BYTES)
    with pytest.raises(
        InputError, match="this opt: .* GPT-2 is the nearest and has position_offset 0, not 2"
    ):
        export.write(mine, tmp_path, Options())


WINDOWED = {"sliding_window": 8, "use_sliding_window": True, "max_window_layers": 1}


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("qwen2", WINDOWED, "this qwen2: .* nearest and has windowed_layers None, not .1,.;"),
        (
            "phi",
            {"qk_layernorm": True},
            "this phi: .* Phi 2 is the nearest and has head_norm False, not True",
        ),
        ("phi", {"num_key_value_heads": 2}, "this phi: .* Phi 2 is the nearest and has kv_heads None, not 2"),
    ],
)
def test_a_part_that_is_unknown_there_is_refused(
    name: str, changes: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=said):
        export.write(model(name, **changes), tmp_path, Options())


def test_a_window_as_wide_as_the_longest_text_is_none(tmp_path: Path) -> None:
    wide = model("qwen2", **{**WINDOWED, "sliding_window": 64})
    assert wide.config.windowed_layers == (1,)
    assert export.write(wide, tmp_path, Options()).startswith("qwen2 in f32;")


@pytest.mark.parametrize(
    ("options", "said"),
    [(Options(dtype="float64"), "stores no float64"), (Options(shard_size=9), "a GGUF is one file")],
)
def test_a_file_is_one_and_never_in_float64(options: Options, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        export.write(model("gpt2"), tmp_path, options)


def test_a_tokenizer_with_too_many_tokens_is_refused() -> None:
    with pytest.raises(InputError, match="the tokenizer has 120 tokens, but the model only 100 rows"):
        described(BYTES, 100)


def test_from_a_folder_by_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model("qwen2").save_pretrained(tmp_path / "from")
    assert run(["convert", str(tmp_path / "from"), str(tmp_path / "to"), "--to", "gguf"]) == 0
    assert "qwen2 in f32; read back, every tensor is the same" in capsys.readouterr().out
    reader = gguf.GGUFReader(tmp_path / "to" / "model.gguf")
    assert reader.get_field("general.name").contents() == "from"
    assert reader.get_field("tokenizer.ggml.pre").contents() == "gpt-2"
