"""What each precision costs the models that ship, on their own test sets, and whether float32 costs nothing.

    python benchmarks/quantization.py --data FOLDER --json FILE

The folder holds the sets that the models' cards name, by task: translation/tatoeba-en-fr and so on. Of each the first
examples are taken (`--scale` takes more or fewer). Then the greedy tokens of the engine at float32 are held against
those of the model that it packs, on 200 prompts of the translator and of the generator.
"""

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from turns import keep, processor

import glassformer as gf
from glassformer.data.columns import KindName
from glassformer.data.examples import having_only
from glassformer.data.readers import read_examples
from glassformer.data.reading import Reading
from glassformer.engine.prepare import PRECISIONS, prepare, prepared, unprepare
from glassformer.evaluation.by_task import Options, kind_of, report_of
from glassformer.tasks.model import Model

ALLOWED = 0.3  # points that int8 may cost
PROMPTS, NEW = 200, 40
LOWER = [name for name in PRECISIONS if name != "auto"]


@dataclass(frozen=True)
class Work:
    """A model, what it is scored on, and the figure that is told of it."""

    model: str
    file: str
    figure: str
    examples: int
    reading: dict[str, Any] = field(default_factory=dict)
    only: tuple[str, ...] = ()
    lines: bool = False  # the file is one text: its lines with a word are the examples


WORKS = (
    Work("tatoeba-en-fr", "translation/tatoeba-en-fr/test.tsv", "bleu", 1168),
    Work(
        "sentiment", "sentiment/goemotions-group/test.tsv.gz", "accuracy", 5427, {"text": 0, "label": 1},
        ("negative", "neutral", "positive"),
    ),
    Work("entities", "ner/uner-en-ewt/test.conll.gz", "f1", 2077),
    Work("answers", "qa/xquad-en/test.json.gz", "f1", 635),
    Work("summaries", "summarization/debian-synopsis/test.jsonl.gz", "rougeL", 1000),
    Work("shakespeare", "text/tinyshakespeare/input.txt.gz", "perplexity", 2000),
)  # fmt: skip


def examples_of(work: Work, model: Model, data: Path, scale: float) -> list[Any]:
    """The first examples of the set; of one long text the lines of its last tenth, which nobody learnt from."""
    kind: KindName = kind_of(model.task)
    found = list(read_examples(kind, [str(data / work.file)], Reading(**work.reading)).examples)
    if kind == "texts":
        lines = [line for text in found for line in str(text).splitlines() if line.strip()]
        found = ["\n".join(lines[-len(lines) // 10 :][: round(work.examples * scale)])]
    if work.only:
        found = list(having_only(found, work.only))
    return found[: max(1, round(work.examples * scale))]


def rows(works: list[Work], data: Path, scale: float) -> Iterator[dict[str, Any]]:
    """Each model's figure at each precision, and how many of its answers stay those of float32."""
    for work in works:
        model = gf.load(work.model)
        examples = examples_of(work, model, data, scale)
        row: dict[str, Any] = {"model": work.model, "data": work.file, "examples": len(examples), "at": {}}
        given: tuple[Any, ...] = ()
        for precision in LOWER:
            with prepared(model.transformer):
                preparation = prepare(model.transformer, precision)
                report = report_of(model.task, model.transformer, examples, Options(bootstrap=1000))
            given = given or report.given
            same = sum(one == other for one, other in zip(given, report.given, strict=True))
            score = report.scores[work.figure]
            row["figure"] = score.name
            row["at"][precision] = {
                "precision": preparation.precision,
                "bytes": preparation.size,
                "value": score.value,
                "low": score.low,
                "high": score.high,
                "equal_answers": 100 * same / len(given),
            }
        row["on_disk"] = dict(on_disk(model))
        row["int8_change"] = row["at"]["int8"]["value"] - row["at"]["float32"]["value"]
        yield row


def on_disk(model: Model) -> Iterator[tuple[str, int]]:
    """Bytes of weights as they ship, and as folders of whole numbers."""
    with tempfile.TemporaryDirectory() as place:
        for name in ("float16", "int8", "int4"):
            told = {"dtype": name} if name == "float16" else {"precision": name}
            model.save_pretrained(Path(place) / name, **told)
            yield name, sum(path.stat().st_size for path in (Path(place) / name).glob("*.safetensors"))


def prompts_of(name: str, data: Path) -> list[str]:
    """Sentences to translate, or beginnings of lines."""
    if name == "tatoeba-en-fr":
        pairs = read_examples("pairs", [str(data / "translation/tatoeba-en-fr/test.tsv")], Reading()).examples
        return list(dict.fromkeys(pair.source for pair in pairs))[:PROMPTS]
    texts = read_examples("texts", [str(data / "text/tinyshakespeare/input.txt.gz")], Reading()).examples
    lines = [line for text in texts for line in str(text).splitlines() if len(line.split()) > 4]
    return [" ".join(line.split()[:4]) for line in lines[-PROMPTS:]]


def agreement(name: str, data: Path) -> dict[str, Any]:
    """How many greedy texts of the engine at float32 are, token for token, those of the model itself."""
    model, prompts = gf.load(name), prompts_of(name, data)
    options = {"num_beams": 1, "do_sample": False, "max_new_tokens": NEW}
    unprepare(model.transformer)
    own = [each.ids for each in model(prompts, **options)]
    model.prepare("float32")
    fast = [each.ids for each in model(prompts, **options)]
    equal = sum(one == other for one, other in zip(own, fast, strict=True))
    return {"model": name, "prompts": len(prompts), "equal": equal, "tokens": sum(map(len, own))}


def table(found: list[dict[str, Any]]) -> Iterator[str]:
    """As docs/engine.md has it."""
    yield f"| model | figure | {' | '.join(LOWER)} |"
    yield f"|---|---|{'---:|' * len(LOWER)}"
    for row in found:
        cells = []
        for precision in LOWER:
            at = row["at"][precision]
            cells.append(f"{at['value']:.2f} ({at['equal_answers']:.1f} %)")
        yield f"| {row['model']}, {row['examples']:,} examples | {row['figure']} | {' | '.join(cells)} |"


def main() -> None:
    """Measure, print, and end with one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=[], help="names of models")
    parser.add_argument("--scale", type=float, default=1.0, help="so many times the usual number of examples")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    works = [work for work in WORKS if not arguments.only or work.model in arguments.only]
    found = []
    for row in rows(works, arguments.data, arguments.scale):
        found.append(row)
        print("\n".join(table([row])), flush=True)
    print()
    print("\n".join(table(found)))
    print("in brackets: answers that are those of float32")
    for row in found:
        within = "within" if abs(row["int8_change"]) <= ALLOWED else "NOT within"
        print(f"{row['model']}: int8 changes {row['figure']} by {row['int8_change']:+.2f}, {within} {ALLOWED}")
    agreeing = [agreement(name, arguments.data) for name in ("tatoeba-en-fr", "shakespeare")]
    for each in agreeing:
        print(f"{each['model']}: {each['equal']} of {each['prompts']} greedy texts equal at float32")
    report = {
        "benchmark": "quantization",
        "processor": processor(),
        "torch": torch.__version__,
        "rows": found,
        "agreement": agreeing,
    }
    keep(report, arguments.json)


if __name__ == "__main__":
    main()
