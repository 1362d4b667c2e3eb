"""Data sets as they are published, each with all that has to be said to read it, where the environment names them."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from glassformer.data.columns import KindName
from glassformer.data.guess import guess_kind
from glassformer.data.readers import read_examples
from glassformer.data.reading import Reading

FOLDER = os.environ.get("GLASSFORMER_DATA")

pytestmark = pytest.mark.skipif(not FOLDER, reason="GLASSFORMER_DATA names no folder of data sets")

PLAIN = Reading()
SENTIMENT = Reading(labels=("negative", "positive"))
EMOTIONS = Reading(text=0, label=1, multiple=True)

SETS: Sequence[tuple[KindName, str | Sequence[str], Reading, int]] = [
    ("pairs", "translation/tatoeba-en-de/train.part*.tsv.gz", PLAIN, 164_392),
    ("pairs", "translation/tatoeba-en-de/dev.tsv", PLAIN, 1_215),
    ("pairs", "translation/tatoeba-en-de/test.tsv", PLAIN, 1_180),
    ("pairs", "translation/tatoeba-en-fr/train.part*.tsv.gz", PLAIN, 161_741),
    ("pairs", "translation/tatoeba-en-fr/dev.tsv", PLAIN, 1_256),
    ("pairs", "translation/tatoeba-en-fr/test.tsv", PLAIN, 1_168),
    (
        "pairs",
        ["translation/multi30k-en-de/train.en.gz", "translation/multi30k-en-de/train.de.gz"],
        PLAIN,
        29_000,
    ),
    ("pairs", ["translation/multi30k-en-de/val.en.gz", "translation/multi30k-en-de/val.de.gz"], PLAIN, 1_014),
    (
        "pairs",
        ["translation/ntrex-128/first1000.en.txt", "translation/ntrex-128/first1000.pt-BR.txt"],
        PLAIN,
        1_000,
    ),
    ("labels", "sentiment/goemotions-group/train.tsv.gz", EMOTIONS, 43_410),
    ("labels", "sentiment/goemotions-group/dev.tsv.gz", EMOTIONS, 5_426),
    ("labels", "sentiment/goemotions-group/test.tsv.gz", EMOTIONS, 5_427),
    ("labels", "sentiment/uci-sentiment-sentences/*.tsv", SENTIMENT, 2_000),
    ("labels", "sentiment/sst2/train.tsv.gz", SENTIMENT, 6_920),
    ("labels", "sentiment/sst2/dev.tsv", SENTIMENT, 872),
    ("labels", "sentiment/sst2/test.tsv", SENTIMENT, 1_821),
    ("tags", "ner/uner-en-ewt/train.conll.gz", PLAIN, 12_543),
    ("tags", "ner/uner-en-ewt/dev.conll.gz", PLAIN, 2_001),
    ("tags", "ner/uner-en-ewt/test.conll.gz", PLAIN, 2_077),
    ("tags", "ner/wnut17/train.conll.gz", PLAIN, 3_394),
    ("tags", "ner/wnut17/dev.conll", PLAIN, 1_009),
    ("tags", "ner/wnut17/test.conll", PLAIN, 1_287),
    ("questions", "qa/qamr/train.jsonl.gz", PLAIN, 32_350),
    ("questions", "qa/qamr/dev.jsonl.gz", PLAIN, 1_929),
    ("questions", "qa/squad2-part/train.json.gz", PLAIN, 4_510),
    ("questions", "qa/squad2-part/dev.json.gz", PLAIN, 612),
    ("questions", "qa/xquad-en/train-extra.json.gz", PLAIN, 302),
    ("questions", "qa/xquad-en/test.json.gz", PLAIN, 635),
    ("questions", "qa/qed-nq/train.jsonl.gz", PLAIN, 683),
    ("questions", "qa/qed-nq/dev.jsonl.gz", PLAIN, 192),
    ("pairs", "summarization/debian-synopsis/train.part*.jsonl.gz", PLAIN, 15_343),
    ("pairs", "summarization/debian-synopsis/dev.jsonl.gz", PLAIN, 1_000),
    ("pairs", "summarization/scitldr-a/train.jsonl.gz", PLAIN, 1_992),
    (
        "pairs",
        "summarization/scitldr-a/dev.jsonl.gz",
        PLAIN,
        1_453,
    ),  # of 619 papers, some with several summaries
    ("pairs", "summarization/aeslc/train.jsonl.gz", PLAIN, 14_436),
    ("pairs", "summarization/aeslc/dev.jsonl.gz", PLAIN, 1_960),
    ("pairs", "summarization/aeslc/dev.jsonl.gz", Reading(references="annotations"), 7_840),
    ("texts", "text/names/names.txt", PLAIN, 32_033),
    ("texts", "text/tinyshakespeare/input.txt.gz", Reading(documents="files"), 1),
    ("texts", "text/sherlock-holmes/sherlock.txt.gz", Reading(documents="paragraphs"), 2_546),
    ("texts", "text/tinystories-sample/stories.txt", Reading(documents="paragraphs"), 1_230),
]


@pytest.mark.parametrize(("kind", "files", "reading", "count"), SETS, ids=lambda value: str(value)[:60])
def test_every_line_is_an_example(
    kind: KindName, files: str | Sequence[str], reading: Reading, count: int
) -> None:
    assert FOLDER
    found = read_examples(kind, files, reading, folder=FOLDER)
    assert len(found.examples) == count
    assert list(found.skipped) == []


@pytest.mark.parametrize(("kind", "files", "reading", "count"), SETS, ids=lambda value: str(value)[:60])
def test_what_a_set_holds_is_guessed(
    kind: KindName, files: str | Sequence[str], reading: Reading, count: int
) -> None:
    assert FOLDER
    named = [files] if isinstance(files, str) else files
    parallel_without_languages = "ntrex" in named[0]
    assert guess_kind(named, reading, Path(FOLDER)) == ("texts" if parallel_without_languages else kind)
