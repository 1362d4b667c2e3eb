"""Trained weights that others made: loaded, compared with the program that they were made for, verified, explained.

    python benchmarks/real_weights.py [--arabic FOLDER] [--stories FOLDER] [--json FILE]

ARABIC is the transliteration model in the test data of OpenNMT/CTranslate2 (tests/data/models/v2/aren-transliteration:
model.bin, source_vocabulary.txt, target_vocabulary.txt); STORIES a folder with stories260K.bin and tok512.bin, as
llama2.c names them. MiniLM and BERT-tiny are those of the packages that the README's test command installs. What is not
given, or not installed, is left out and named. Each line is a largest difference, or a count of texts that differ,
beside the most that is allowed; then one line of JSON, and an end with 1 if a line is over.
"""

import argparse
import contextlib
import io
import json
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path

import ctranslate2
import torch
import transformers

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests import test_pretrained as real
from tests.export import llama_cpp

from glassformer import pretrained
from glassformer.cli.main import run
from glassformer.data.batch import Batch
from glassformer.decoding.options import Decoding
from glassformer.decoding.search import search
from glassformer.export import ctranslate2 as export_ctranslate2
from glassformer.export import gguf as export_gguf
from glassformer.export.options import Options
from glassformer.tasks.model import Model, load

Line = tuple[str, Callable[[], float], float]  # what is measured, how, and the most that is allowed

WRITTEN = """
محمد أحمد علي حسن حسين عمر خالد يوسف إبراهيم مصطفى محمود سعيد طارق كريم سمير نبيل جمال عادل رشيد فريد
ماجد وليد هشام أمين ياسر زياد بلال أنس حمزة طه عثمان سليمان داود موسى عيسى إسماعيل إسحاق يعقوب أيوب زكريا
فاطمة عائشة خديجة مريم زينب سارة ليلى نور هدى سلمى رانيا دينا منى أمل سعاد نادية سميرة جميلة كريمة لطيفة
بغداد دمشق القاهرة بيروت عمان الرياض مكة المدينة تونس طرابلس الخرطوم صنعاء حلب الموصل البصرة أربيل كركوك
"""
NAMES = WRITTEN.split()
ZOO = (  # what llama2.c writes at temperature 0, as the port of it to another machine reports it too
    "Zoo was a little girl named Lily. She loved to play outside in the park. One day, she saw a big, red ball. "
    "She wanted to play with it, but she didn't want to play with"
)
PROMPTS = ("Zoo", "Once upon a time", "Lily and Tom went to", "The dog", "One day a big bird")
SENTENCE = "I love data science."


def lines(model: Model, folder: Path, text: str) -> Iterator[Line]:
    """What is asked of every model: all its numbers recomputed, and shown."""
    yield "every step - its formula, relative", lambda: model.trace(text).verify().max_relative_error, 1e-4
    yield "explain, in the terminal and as a page: exit codes", partial(explained, folder, text), 0


def explained(folder: Path, text: str) -> float:
    """The command, on the folder as it is."""
    with tempfile.TemporaryDirectory() as room, contextlib.redirect_stdout(io.StringIO()) as printed:
        page = Path(room) / "page.html"
        codes = [
            run(["explain", text, "--model", str(folder), *more]) for more in ([], ["--html", str(page)])
        ]
        assert page.stat().st_size > 10_000
    assert len(printed.getvalue().splitlines()) > 100
    return sum(codes)


# ------------------------------------------------------------------ the Arabic names


def arabic(folder: Path) -> Iterator[Line]:
    """An encoder and a decoder of six layers, against CTranslate2, as it is and as we write it."""
    model = load(folder)
    with tempfile.TemporaryDirectory() as room:
        export_ctranslate2.write(model, Path(room), Options())
        for what, place in (
            ("CTranslate2", folder),
            ("CTranslate2, of the folder that we write", Path(room)),
        ):
            theirs = ctranslate2.Translator(str(place), intra_threads=1, compute_type="float32")
            for beams in (1, 2, 4, 8):
                search_name = "greedily" if beams == 1 else f"with {beams} beams"
                name = f"{len(NAMES)} names, written otherwise {search_name} by {what}"
                yield name, partial(differing, model, theirs, beams), 0
            name = f"log-probabilities of {len(NAMES)} names, ours - {what}"
            yield name, partial(score_gap, model, theirs), 1e-4
    yield from lines(model, folder, " ".join(NAMES[0]))


def differing(model: Model, theirs: ctranslate2.Translator, beams: int) -> float:
    """How many names are written otherwise, their scores beyond 1e-4 apart counted too."""
    decoding = Decoding(num_beams=beams, early_stopping=True, max_new_tokens=64)
    ours = model.task.answer(model.transformer, [" ".join(name) for name in NAMES], decoding)
    found = theirs.translate_batch(
        [list(name) for name in NAMES], beam_size=beams, min_decoding_length=0, return_scores=True
    )
    same = [
        list(one.tokens[:-1]) == other.hypotheses[0] and abs(one.score - other.scores[0]) < 1e-4
        for one, other in zip(ours, found, strict=True)
    ]
    return float(len(same) - sum(same))


def score_gap(model: Model, theirs: ctranslate2.Translator) -> float:
    """Of every token that is written, and of the end."""
    answers = model.task.answer(model.transformer, [" ".join(name) for name in NAMES], Decoding())
    targets = [list(answer.tokens[:-1]) for answer in answers]
    found = theirs.score_batch([list(name) for name in NAMES], targets)
    gaps = (
        torch.tensor(answer.log_probabilities) - torch.tensor(other.log_probs)
        for answer, other in zip(answers, found, strict=True)
    )
    return max(float(gap.abs().max()) for gap in gaps)


# ------------------------------------------------------------------ the stories


def stories(folder: Path) -> Iterator[Line]:
    """A small Llama, against llama2.c's own words, `transformers`, and llama.cpp."""
    model = load(folder)
    yield "letters of its story that differ from llama2.c's", partial(story_gap, model), 0
    with tempfile.TemporaryDirectory() as room:
        yield "logits, ours - transformers", partial(llama_gap, model, Path(room)), 1e-4
        path = Path(room) / "it.gguf"
        export_gguf.write(model, path, Options())
        texts = list(PROMPTS)
        name = f"{len(texts)} texts cut otherwise by llama.cpp"
        yield name, lambda: float(llama_cpp.cut(path, texts) != model.tokenizer.ids(texts)), 0
        yield (
            f"{len(texts)} x 60 tokens, log-probabilities, ours - llama.cpp",
            partial(cpp_gap, model, path),
            1e-3,
        )
    yield from lines(model, folder, PROMPTS[1])


def story_gap(model: Model) -> float:
    """How many letters differ."""
    ids = model.tokenizer.ids([PROMPTS[0]])[0]
    batch = Batch(target=torch.tensor([ids]))
    best = search(model.transformer, batch, Decoding(max_new_tokens=58), ends=())[0][0]
    text = model.tokenizer.decode([*ids, *best.ids])
    return float(sum(one != other for one, other in zip(text, ZOO, strict=False)) + (len(text) < len(ZOO)))


@torch.inference_mode()
def llama_gap(model: Model, room: Path) -> float:
    """As a Llama's folder, opened by `transformers`."""
    pretrained.save_transformer(room / "llama", model.transformer, raw={"model_type": "llama"})
    theirs = transformers.LlamaForCausalLM.from_pretrained(room / "llama").eval()
    ids = torch.randint(3, 512, (4, 64), generator=torch.Generator().manual_seed(1))
    return float((theirs(ids).logits - model.transformer(target=ids)).abs().max())


@torch.inference_mode()
def cpp_gap(model: Model, path: Path) -> float:
    """Of every word, after every token that llama.cpp writes; another token than ours is an infinite difference."""
    prompts, worst = model.tokenizer.ids(list(PROMPTS)), 0.0
    for prompt, steps in zip(prompts, llama_cpp.written(path, prompts, 60, 512), strict=True):
        ids = torch.tensor([[*prompt, *(token for token, _ in steps)]])
        logs = model.transformer(target=ids).log_softmax(-1)[0, len(prompt) - 1 : -1]
        for log, (token, theirs) in zip(logs, steps, strict=True):
            gap = max(abs(float(log[id]) - value) for id, value in theirs.items())
            worst = max(worst, gap if log.argmax() == token else float("inf"))
    return worst


# ------------------------------------------------------------------ the encoders


def encoder(name: str, place: Path) -> Iterator[Line]:
    """Against `transformers`, as it is and as we write it."""

    def gaps() -> tuple[float, float]:
        with tempfile.TemporaryDirectory() as room:
            return real.real_differences(name, place, Path(room))

    yield "rows, ours - transformers", lambda: gaps()[0], 1e-5
    yield "rows, theirs - theirs of the folder that we write", lambda: gaps()[1], 1e-5
    yield from lines(load(place), place, SENTENCE if name == "MiniLM" else "The man worked as a [MASK].")


def main() -> None:
    """Measure, print, and fail where a line is over."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--arabic", type=Path, help="the folder of the transliteration model")
    parser.add_argument("--stories", type=Path, help="the folder of stories260K.bin and tok512.bin")
    parser.add_argument("--json", type=Path, help="also write the JSON line to this file")
    arguments = parser.parse_args()
    places = {"Arabic names": arguments.arabic, "stories260K": arguments.stories}
    places |= {name: real.real_folder(name) for name in real.REAL}
    measured: dict[str, Callable[[Path], Iterator[Line]]] = {"Arabic names": arabic, "stories260K": stories}
    measured |= {name: partial(encoder, name) for name in real.REAL}
    rows = []
    print(f"{'model':13s} {'what':84s} {'largest':>9s} {'allowed':>9s} {'seconds':>8s}")
    for model, place in places.items():
        if place is None:
            print(f"{model:13s} left out: it is neither given nor installed")
            continue
        for what, measure, allowed in measured[model](place):
            started = time.perf_counter()
            found = measure()
            seconds = time.perf_counter() - started
            rows.append(
                {
                    "model": model,
                    "what": what,
                    "largest": found,
                    "allowed": allowed,
                    "seconds": round(seconds, 1),
                }
            )
            print(f"{model:13s} {what:84s} {found:9.1e} {allowed:9.0e} {seconds:8.1f}", flush=True)
    packages = ("torch", "transformers", "ctranslate2", "xllamacpp")
    versions = {"python": platform.python_version(), **{name: version(name) for name in packages}}
    report = json.dumps({"benchmark": "real_weights", "versions": versions, "rows": rows})
    print(report)
    if arguments.json:
        arguments.json.write_text(report + "\n", "utf-8")
    sys.exit(any(row["largest"] > row["allowed"] for row in rows))


if __name__ == "__main__":
    main()
