"""One plain text of many small sets, to pretrain on: a document a paragraph, an empty line between two.

    python benchmarks/corpus.py FOLDER corpus.txt

FOLDER holds sets of texts in any depth; those of TEXTS that are there are used: of labelled sets the training texts
without their labels, and nothing that any set calls dev or test.
"""

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

from glassformer.data.readers import read_examples
from glassformer.data.reading import Reading

PARAGRAPHS = Reading(documents="paragraphs", max_characters=0)
TOGETHER = 6  # sentences of a set of single ones that make a paragraph: a document has neighbours to guess
TEXTS = {  # pattern -> the kind of its examples, how to read them, and how many make a document
    "**/sherlock.txt.gz": ("texts", PARAGRAPHS, 1),
    "**/tinyshakespeare/input.txt.gz": ("texts", PARAGRAPHS, 1),
    "**/stories.txt": ("texts", PARAGRAPHS, 1),
    "**/sst2/train.tsv.gz": ("texts", Reading(text=0), TOGETHER),
    "**/goemotions-group/train.tsv.gz": ("texts", Reading(text=0), TOGETHER),
    "**/aeslc/train.jsonl.gz": ("texts", Reading(text="body"), 1),
    "**/debian-synopsis/train.part*.jsonl.gz": ("texts", Reading(text="text"), 1),
    "**/tatoeba-en-*/train.part*.tsv.gz": ("texts", Reading(text=0), TOGETHER),
    "**/qamr/train.jsonl.gz": ("texts", Reading(text="context"), 1),
    "**/qed-nq/train.jsonl.gz": ("texts", Reading(text="context"), 1),
    "**/squad2-part/train.json.gz": ("questions", Reading(), 1),
}


def documents(folder: Path) -> Iterator[tuple[str, str]]:
    """(pattern, document) of every text that is there, each text once."""
    known: set[str] = set()
    for pattern, (kind, reading, together) in TEXTS.items():
        texts = []
        for file in sorted(folder.glob(pattern)):
            for example in read_examples(kind, file, reading).examples:
                text = example.context if kind == "questions" else example
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
    counted: dict[str, tuple[int, int]] = {}
    partial = arguments.out.with_name(f"{arguments.out.name}.partial")
    with partial.open("w", encoding="utf-8") as file:
        for pattern, text in documents(arguments.folder):
            file.write(f"{text}\n\n")
            number, words = counted.get(pattern, (0, 0))
            counted[pattern] = number + 1, words + len(text.split())
    os.replace(partial, arguments.out)
    for pattern, (number, words) in counted.items():
        print(f"{pattern:<44} {number:>8,} documents {words:>10,} words")
    print(f"{arguments.out}: {sum(words for _, words in counted.values()):,} words")


if __name__ == "__main__":
    main()
