"""One plain text of many small sets, to pretrain on: a document a paragraph, an empty line between two.

    python benchmarks/corpus.py FOLDER corpus.txt

FOLDER holds sets of texts in any depth; those of TEXTS that are there are used: of labelled sets the training texts
without their labels, and nothing that any set calls dev or test. The documents are shuffled, always alike, so that what
is held out at the end is of every kind.
"""

import argparse
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from operator import attrgetter
from pathlib import Path
from typing import Any

from glassformer.data.readers import read_examples
from glassformer.data.reading import Reading

PARAGRAPHS = Reading(documents="paragraphs", max_characters=0)
TOGETHER = 6  # sentences of a set of single ones that make a paragraph: a document has neighbours to guess
TEXTS = {  # pattern -> the kind of its examples, how to read them, and how many make a document
    "**/sherlock.txt.gz": ("texts", PARAGRAPHS, TOGETHER),
    "**/tinyshakespeare/input.txt.gz": ("texts", PARAGRAPHS, TOGETHER),
    "**/stories.txt": ("texts", PARAGRAPHS, TOGETHER),
    "**/sst2/train.tsv.gz": ("texts", Reading(text=0), TOGETHER),
    "**/goemotions-group/train.tsv.gz": ("texts", Reading(text=0), TOGETHER),
    "**/aeslc/train.jsonl.gz": ("texts", Reading(text="body"), 1),
    "**/debian-synopsis/train.part*.jsonl.gz": ("texts", Reading(text="text"), 1),
    "**/tatoeba-en-*/train.part*.tsv.gz": ("texts", Reading(text=0), TOGETHER),
    "**/qamr/train.jsonl.gz": ("texts", Reading(text="context"), 1),
    "**/qed-nq/train.jsonl.gz": ("texts", Reading(text="context"), 1),
    "**/squad2-part/train.json.gz": ("questions", Reading(), 1),
    "**/scitldr-a/train.jsonl.gz": ("texts", Reading(text="source"), 1),
    "**/multi30k-en-de/train.en.gz": ("texts", Reading(), TOGETHER),
    "**/uci-sentiment-sentences/*.tsv": ("texts", Reading(text=0), TOGETHER),
    "**/uner-en-ewt/train.conll.gz": ("tags", Reading(), TOGETHER),
    "**/wnut17/train.conll.gz": ("tags", Reading(), TOGETHER),
}
WRITTEN: Mapping[str, Callable[[Any], str]] = {  # kind -> the text of an example
    "texts": str,
    "questions": attrgetter("context"),
    "tags": lambda example: " ".join(example.words),
}


def documents(folder: Path) -> Iterator[tuple[str, str]]:
    """(pattern, document) of every text that is there, each text once."""
    known: set[str] = set()
    for pattern, (kind, reading, together) in TEXTS.items():
        texts = []
        for file in sorted(folder.glob(pattern)):
            for example in read_examples(kind, file, reading).examples:
                text = WRITTEN[kind](example)
                text = "\n".join(line.strip() for line in text.splitlines() if line.strip())
                if text not in known:
                    known.add(text)
                    texts.append(text)
        for first in range(0, len(texts), together):
            yield pattern, "\n".join(texts[first : first + together])


def main() -> None:
    """Write the file, and tell what is in it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    found = list(documents(arguments.folder))
    random.Random(1).shuffle(found)
    partial = arguments.out.with_name(f"{arguments.out.name}.partial")
    partial.write_text("".join(f"{text}\n\n" for _, text in found), encoding="utf-8")
    os.replace(partial, arguments.out)
    number = Counter(pattern for pattern, _ in found)
    words: Counter[str] = Counter()
    for pattern, text in found:
        words[pattern] += len(text.split())
    for pattern in TEXTS:
        print(f"{pattern:<44} {number[pattern]:>8,} documents {words[pattern]:>10,} words")
    print(f"{arguments.out}: {words.total():,} words")


if __name__ == "__main__":
    main()
