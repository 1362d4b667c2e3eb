"""Tokenization step by step: the last state is what the `tokenizers` library says, for every kind of vocabulary."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, models, normalizers, pre_tokenizers
from tokenizers import Tokenizer as Backend

import glassformer as gf
from glassformer.errors import InputError
from glassformer.text.cutting import Cutter
from glassformer.text.kinds import KINDS
from glassformer.text.tokenizer import Tokenizer

from .test_parity import ENGLISH, OTHER

LINES = [*ENGLISH[:400], *OTHER, "", " ", "\u0000", "a" * 120, "naïve  café\u2028x", "ﬁ ½ Ⅷ", "😀😀 日本語 😀"]


def data(*names: str) -> Path:
    """A file of the data folder that stands beside some checkouts."""
    here = Path(__file__).resolve()
    for folder in here.parents:
        path = folder.joinpath("shared", "data", "tokenizers", *names)
        if path.exists():
            return path
    pytest.skip(f"{'/'.join(names)} is not in a data folder beside this checkout")


@pytest.mark.parametrize("kind", KINDS)
def test_the_last_step_is_what_the_library_says(kind: str) -> None:
    size = 700 if "p" in kind or kind == "unigram" else 99999
    tokenizer = Tokenizer.train(kind, ENGLISH[:300], vocab_size=size)
    lines = [line for line in ENGLISH[:300] if line.strip()] if tokenizer.closed else LINES
    cut = 0
    for line in lines:
        found = tokenizer.steps(line)
        assert found.agrees, (line, found.tokens)
        assert found.framed_ids == tuple(tokenizer.encode(line).ids)
        cut += sum(len(word.steps) > 1 for word in found.words)
    assert (cut > 100) == (kind not in ("characters", "words"))


@pytest.mark.parametrize("name", ["worked-example", "tatoeba-en-fr", "minilm-l6"])
def test_what_ships(name: str) -> None:
    model = gf.load(name)
    lines = ["j' aime la science des données"] if name == "worked-example" else [*LINES, "a[MASK]b </s>", "<eos> x"]
    for line in lines:
        assert model.tokenizer.steps(line).agrees, line


def test_gpt2_s_vocabulary(tmp_path: Path) -> None:
    vocabulary = json.loads(gzip.decompress(data("gpt2", "encoder.json.gz").read_bytes()))
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary), "utf-8")
    (tmp_path / "merges.txt").write_bytes(gzip.decompress(data("gpt2", "vocab.bpe.gz").read_bytes()))
    tokenizer = Tokenizer.load(tmp_path)
    for line in [*LINES, "So<|endoftext|> it   goes"]:
        assert tokenizer.steps(line).agrees, line
    word = next(iter(tokenizer.steps("unbelievably").words))
    assert word.tokens == ("un", "bel", "iev", "ably")
    ranks = [step.rank for step in word.steps[1:]]
    assert len(ranks) == len("unbelievably") - 4
    assert all(rank is not None for rank in ranks)
    assert [" ".join(step.pieces) for step in word.steps][-1] == "un bel iev ably"


@pytest.mark.parametrize("name", ["cased", "uncased"])
def test_bert_s_vocabularies(name: str, tmp_path: Path) -> None:
    source = data("bert", f"bert_base_{name}_vocab.txt.gz")
    (tmp_path / "vocab.txt").write_bytes(gzip.decompress(source.read_bytes()))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": name == "uncased"}))
    tokenizer = Tokenizer.load(tmp_path)
    for line in LINES:
        assert tokenizer.steps(line).agrees, line
    word = next(iter(tokenizer.steps("unbelievably").words))
    assert "".join(token.removeprefix("##") for token in word.tokens) == "unbelievably"


def test_t5_s_vocabulary(tmp_path: Path) -> None:
    (tmp_path / "spiece.model").write_bytes(data("t5", "t5_tokenizer_base.model").read_bytes())
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "t5"}))
    tokenizer = Tokenizer.load(tmp_path)
    assert tokenizer.steps("unbelievably").kind == "Unigram"
    for line in [*LINES, "a <extra_id_0> b</s>c", "<extra_id_0>"]:
        assert tokenizer.steps(line).agrees, line


# ------------------------------------------------------------------ what models of others are made of


def backend(model: Any, normalizer: Any = None, cut: Any = None, added: Any = ()) -> Backend:
    made = Backend(model)
    if normalizer is not None:
        made.normalizer = normalizer
    if cut is not None:
        made.pre_tokenizer = cut
    made.add_tokens(list(added))
    return made


ABC = {token: number for number, token in enumerate(["<unk>", "a", "b", "c", "ab", "bc", "abc", "aa"])}
BYTES = {f"<0x{byte:02X}>": 20 + byte for byte in range(256)}
MERGES = [("a", "b"), ("b", "c"), ("ab", "c"), ("a", "a")]
UNIGRAM = [("<unk>", 0.0), ("a", -1.0), ("b", -1.5), ("ab", -2.5), ("abab", -4.9), ("▁", -3.0), ("c", -2.0)]
BACKENDS: dict[str, Any] = {
    "unknown fused": lambda: backend(models.BPE(ABC, MERGES, unk_token="<unk>", fuse_unk=True)),
    "unknown each": lambda: backend(models.BPE(ABC, MERGES, unk_token="<unk>")),
    "unknown dropped": lambda: backend(models.BPE(ABC, MERGES)),
    "bytes": lambda: backend(models.BPE({**ABC, **BYTES}, MERGES, unk_token="<unk>", byte_fallback=True)),
    "whole words first": lambda: backend(models.BPE({**ABC, "cab": 9}, MERGES, ignore_merges=True)),
    "end of word": lambda: backend(
        models.BPE({"a": 0, "b</w>": 1, "ab</w>": 2, "a</w>": 3, "b": 4}, [("a", "b</w>")], end_of_word_suffix="</w>"),
        cut=pre_tokenizers.WhitespaceSplit(),
    ),
    "unigram": lambda: backend(models.Unigram(UNIGRAM, 0, False)),
    "unigram of bytes": lambda: backend(models.Unigram([*UNIGRAM, *((b, -9.0) for b in BYTES)], 0, True)),
    "first space": lambda: backend(
        models.Unigram(UNIGRAM, 0, False), cut=pre_tokenizers.Metaspace("▁", "first"), added=["<x>"]
    ),
    "added": lambda: backend(
        models.BPE(ABC, MERGES, unk_token="<unk>"),
        normalizers.Lowercase(),
        added=[
            AddedToken("AB", normalized=True),
            AddedToken("<m>", lstrip=True, rstrip=True, normalized=False),
            AddedToken("one", single_word=True, normalized=False),
            AddedToken("<m>a", normalized=False),
        ],
    ),
}  # fmt: skip
ODD = [
    "abcabca", "xyab", "aaaa", "aaa", "cab", "c a b", "ab ab", "éab", "a\u0301b", "abab", "ababab c", "<x>ab <x> ab",
    "ABab", "ab  <m>  ab", "one oneone one", "<m>ab", "one.", "_one", " ", "", "xx", "axxb", "日本",
]  # fmt: skip


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("text", ODD)
def test_every_setting_of_every_model(name: str, text: str) -> None:
    made = BACKENDS[name]()
    found = Cutter(made).cut(text)
    assert found.ids == tuple(made.encode(text, add_special_tokens=False).ids), found


def test_it_is_told(tmp_path: Path) -> None:
    tokenizer = Tokenizer.train("bpe", ENGLISH[:300], vocab_size=400, lowercase=True)
    found = tokenizer.steps("The Interpreter")
    text = str(found)
    assert "normalized  '▁the▁interpreter'" in text
    assert "words       ▁the | ▁interpreter" in text
    assert "merge" in text
    merges = [step for word in found.words for step in word.steps if step.rank is not None]
    assert all(len(step.says.split(" + ")) == 2 for step in merges)
    assert found.as_dict()["agrees"] is True
    assert found.as_dict()["stretches"][0]["words"][0]["word"] == "▁the"
    pieces = Tokenizer.train("wordpiece", ENGLISH[:300], vocab_size=400).steps("interpreters [MASK] \u4e2d")
    assert "the longest that begins" in str(pieces)
    assert "is a token of its own" in str(pieces)
    assert "unknown: no piece begins" in str(pieces)
    best = Tokenizer.train("unigram", ENGLISH[:300], vocab_size=400).steps("interpreters")
    assert [step.score for word in best.words for step in word.steps][-1] < 0
    assert "the best path to" in str(best)


def test_a_wrong_walk_would_be_seen() -> None:
    made = Cutter(BACKENDS["unknown each"]())
    made.pieces.ranks = {}  # type: ignore[attr-defined]
    assert not made.cut("abc").agrees


def test_a_closed_vocabulary_refuses_and_new_tokens_are_seen() -> None:
    model = gf.load("worked-example")
    with pytest.raises(InputError, match="cats"):
        model.tokenizer.steps("cats")
    tokenizer = Tokenizer.train("bpe", ENGLISH[:100], vocab_size=300)
    assert len(tokenizer.steps("a<gap>b").tokens) > 3
    tokenizer.add(["<gap>"])
    assert "<gap>" in tokenizer.steps("a<gap>b").tokens
