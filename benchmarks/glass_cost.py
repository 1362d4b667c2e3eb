"""What looking costs: a full trace, attention weights alone, and a model that nobody looks at, beside the peers.

    python benchmarks/glass_cost.py [--peers PYTHON] [--rounds N] [--threads N] [--json FILE]

A GPT-2 of 124 million random weights reads 64 tokens in float32. Each program runs in a process of its own (`--peers`
is the Python that has them: transformers, transformer-lens, nnsight; the extra `bench`), all measure in turn, and each
line is the median of its rounds with the tenth and the ninetieth part. What nobody looks at is compared with the same
model from whose code every call of `step` was taken out, in one process, method by method, also at a small size where
such calls weigh most. Ends with one line of JSON.
"""

import argparse
import ast
import atexit
import importlib
import inspect
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any

Case = Callable[[], Any]
LENGTH, SEED = 64, 0
GPT2 = {"layers": 12, "width": 768, "heads": 12, "wide": 3072, "vocabulary": 50257, "positions": 1024}
SMALL = {"layers": 2, "width": 64, "heads": 4, "wide": 256, "vocabulary": 1000, "positions": 128}
PROGRAMS = ("glassformer", "unseen", "unseen-small", "transformers", "transformer-lens", "nnsight")
OURS = ("glassformer", "unseen", "unseen-small")
REPEATS = {"unseen": 2, "unseen-small": 200}  # runs in one measurement of a case that makes ready first
AIMS = (  # what, over what, at most
    ("glassformer: full trace", "glassformer: open forward", 1.5),
    ("glassformer: full trace", "transformer-lens: run_with_cache", 1.0),
    ("glassformer: full trace", "nnsight: every module saved", 1.0),
    ("glassformer: attention weights", "transformers: output_attentions", 1.2),
    ("unseen: as it is", "unseen: without the calls", 1.01),
    ("unseen-small: as it is", "unseen-small: without the calls", 1.01),
)

# ------------------------------------------------------------------ the programs, each in its own process


def glassformer_cases() -> dict[str, Case]:
    """Ours: fused, open, all kept, attention weights alone."""
    from glassformer.glass.trace import Trace
    from glassformer.nn.attention import Attention

    model, ids = ours(GPT2)
    mix = Attention.mix

    def open_mix(self: Any, q: Any, k: Any, v: Any, visible: Any, trace: Any) -> Any:
        scores = q @ self.shared(k).mT * self.scale
        return visible.hidden(scores).softmax(dim=-1) @ self.shared(v)

    def opened() -> Any:
        Attention.mix = open_mix  # type: ignore[method-assign]
        try:
            return model(target=ids)
        finally:
            Attention.mix = mix  # type: ignore[method-assign]

    return {
        "fused forward": lambda: model(target=ids),
        "open forward": opened,
        "full trace": lambda: model(target=ids, trace=Trace()),
        "attention weights": lambda: model(target=ids, trace=Trace("*.weights")),
    }


def unseen_cases(size: dict[str, int]) -> dict[str, Case]:
    """A model that nobody looks at, and the same one with its step calls taken out of its methods."""
    model, ids = ours(size)
    swaps = list(without_steps())

    def swapped(which: int) -> Case:
        def case() -> Any:
            for kind, name, *both in swaps:
                setattr(kind, name, both[which])
            model(target=ids)  # Python settles on the methods that are there now
            return lambda: model(target=ids)

        return case

    assert len(swaps) > 10, "there are calls to take out"
    assert bool((swapped(0)()() == swapped(1)()()).all()), "the numbers are the same without them"
    return {"as it is": swapped(0), "without the calls": swapped(1)}


def ours(size: dict[str, int]) -> tuple[Any, Any]:
    """A random GPT-2, and what it reads."""
    import torch

    from glassformer.config import TransformerConfig
    from glassformer.model import Transformer

    torch.manual_seed(SEED)
    config = TransformerConfig(
        stack="decoder",
        decoder_layers=size["layers"],
        d_model=size["width"],
        heads=size["heads"],
        d_ff=size["wide"],
        vocab_size=size["vocabulary"],
        max_positions=size["positions"],
        norm_first=True,
        final_norm=True,
        positions="learned",
        activation="gelu-tanh",
        head="language-model",
    )
    return Transformer(config).eval(), torch.randint(0, size["vocabulary"], (1, LENGTH))


class Bare(ast.NodeTransformer):
    """Puts the value in the place of every `….step(name, axes, value, trace, …)`."""

    def visit_Call(self, node: ast.Call) -> ast.AST:  # noqa: N802 (ast's own name)
        """One call, its own arguments first."""
        self.generic_visit(node)
        called = isinstance(node.func, ast.Attribute) and node.func.attr == "step"
        return node.args[2] if called and len(node.args) > 3 else node


def without_steps() -> Iterator[tuple[type, str, Any, Any]]:
    """(class, method, as it is, without its calls of step) for every method of the parts of a model that has some."""
    for name in ("attention", "embedding", "feed_forward", "heads", "layer", "norm", "position", "stack"):
        module = importlib.import_module(f"glassformer.nn.{name}")
        for kind in defined(module):
            bare = vars(rewritten(module)[kind.__name__])
            for method, whole in list(vars(kind).items()):
                if inspect.isfunction(whole) and not method.startswith("__") and ".step(" in inspect.getsource(whole):
                    yield kind, method, whole, bare[method]


def defined(module: ModuleType) -> list[type]:
    """The classes of a module."""
    return [kind for kind in vars(module).values() if inspect.isclass(kind) and kind.__module__ == module.__name__]


def rewritten(module: ModuleType) -> dict[str, Any]:
    """A module's names after its source was run again without the calls."""
    tree = ast.fix_missing_locations(Bare().visit(ast.parse(inspect.getsource(module))))
    names = dict(vars(module))
    exec(compile(tree, f"{module.__name__} without steps", "exec"), names)  # noqa: S102 (our own source)
    return names


def gpt2(attention: str) -> tuple[Any, Any]:
    """The same size in transformers."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(SEED)
    model = GPT2LMHeadModel(GPT2Config(attn_implementation=attention)).eval()
    return model, torch.randint(0, GPT2["vocabulary"], (1, LENGTH))


def transformers_cases() -> dict[str, Case]:
    """The reference: fused, plain, and with its attention weights."""
    model, ids = gpt2("eager")
    fused, _ = gpt2("sdpa")
    return {
        "fused forward": lambda: fused(ids, use_cache=False).logits,
        "plain forward": lambda: model(ids, use_cache=False).logits,
        "output_attentions": lambda: model(ids, use_cache=False, output_attentions=True).attentions,
    }


def transformer_lens_cases() -> dict[str, Case]:
    """TransformerLens: a forward, and one whose every activation is cached."""
    from transformer_lens import TransformerBridge

    model, ids = gpt2("eager")
    bridge = TransformerBridge.boot_transformers("gpt2", hf_model=model, tokenizer=placeholder())
    kept = bridge.run_with_cache(ids)[1]
    assert any(name.endswith("hook_pattern") for name in kept), "the cache holds the attention weights too"
    return {"forward": lambda: bridge(ids), "run_with_cache": lambda: bridge.run_with_cache(ids)}


def placeholder() -> Any:
    """A tokenizer that is never used: the bridge asks for one."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.WordLevel({"<|endoftext|>": 0}, "<|endoftext|>"))
    names = dict.fromkeys(("bos_token", "eos_token", "pad_token"), "<|endoftext|>")
    room = tempfile.TemporaryDirectory()
    atexit.register(room.cleanup)  # the bridge reads the folder once more
    PreTrainedTokenizerFast(tokenizer_object=backend, **names).save_pretrained(room.name)
    return PreTrainedTokenizerFast.from_pretrained(room.name)


def nnsight_cases() -> dict[str, Case]:
    """nnsight: a forward, and one in which the output of every module is saved."""
    from nnsight import NNsight

    model, ids = gpt2("eager")
    seen = NNsight(model)

    def every() -> Any:
        kept: list[Any] = []
        with seen.trace(ids, use_cache=False):
            for block in seen.transformer.h:
                kept.append(block.ln_1.output.save())
                kept.append(block.attn.output.save())
                kept.append(block.ln_2.output.save())
                kept.append(block.mlp.c_fc.output.save())
                kept.append(block.mlp.act.output.save())
                kept.append(block.mlp.output.save())
                kept.append(block.output.save())
            kept.append(seen.transformer.ln_f.output.save())
            kept.append(seen.lm_head.output.save())
        return kept

    assert every()[-1].shape[-1] == GPT2["vocabulary"], "the last value saved is the logits"
    return {"forward": lambda: model(ids, use_cache=False).logits, "every module saved": every}


MAKERS: dict[str, Callable[[], dict[str, Case]]] = {
    "glassformer": glassformer_cases,
    "unseen": lambda: unseen_cases(GPT2),
    "unseen-small": lambda: unseen_cases(SMALL),
    "transformers": transformers_cases,
    "transformer-lens": transformer_lens_cases,
    "nnsight": nnsight_cases,
}


def timed(case: Case, repeats: int) -> float:
    """The seconds of one run; a case may first make ready, which does not count, and hand out what is to be run."""
    if repeats != 1:
        case = case()
    started = time.perf_counter()
    for _ in range(repeats):
        case()
    return (time.perf_counter() - started) / repeats


def work(name: str, threads: int) -> None:
    """One program: make ready, then answer every line of input with a measurement of each of its cases."""
    import torch

    torch.set_num_threads(threads)
    with torch.inference_mode() if name != "nnsight" else torch.no_grad():
        cases = MAKERS[name]()
        for case in cases.values():
            timed(case, REPEATS.get(name, 1))
        say({"versions": versions()})
        for number, _ in enumerate(sys.stdin):
            order = list(cases) if number % 2 == 0 else list(cases)[::-1]
            say({case: timed(cases[case], REPEATS.get(name, 1)) for case in order})


def say(value: Any) -> None:
    """One line for the process that asked."""
    print(json.dumps(value), flush=True)


def versions() -> dict[str, str]:
    """What is installed in this process's Python."""
    found = {"python": platform.python_version()}
    for package in ("torch", "transformers", "transformer-lens", "nnsight"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


# ------------------------------------------------------------------ all of them in turn


class Program:
    """A process that measures when it is asked to."""

    def __init__(self, name: str, python: str, threads: int) -> None:
        self.name = name
        command = [python, __file__, "--worker", name, "--threads", str(threads)]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},  # nothing here comes from the network
        )

    def ready(self) -> dict[str, str]:
        """Its versions, once it is warm."""
        found: dict[str, str] = self._heard()["versions"]
        return found

    def measure(self) -> dict[str, float]:
        """Seconds of each case."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self._heard()

    def _heard(self) -> Any:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise SystemExit(f"{self.name} ended before it answered; what it said stands above")

    def end(self) -> None:
        """Let it go."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def measured(programs: list[Program], rounds: int) -> dict[str, list[float]]:
    """Seconds of every case in every round, the programs in turn."""
    found: dict[str, list[float]] = {}
    for number in range(rounds):
        turn = number % len(programs)
        for program in [*programs[turn:], *programs[:turn]]:
            for case, seconds in program.measure().items():
                found.setdefault(f"{program.name}: {case}", []).append(seconds)
    return found


def spread(seconds: list[float]) -> dict[str, float]:
    """The median in milliseconds, and between which two values the middle 80 % lie."""
    ranked = sorted(seconds)
    tenth = len(ranked) // 10
    return {
        "median_ms": 1000 * statistics.median(ranked),
        "from_ms": 1000 * ranked[tenth],
        "to_ms": 1000 * ranked[-1 - tenth],
        "rounds": len(ranked),
    }


def ratios(found: dict[str, list[float]]) -> Iterator[dict[str, Any]]:
    """Each aim, round by round: the median of one case's seconds over the other's of the same round."""
    for first, second, most in AIMS:
        if first in found and second in found:
            pairs = [a / b for a, b in zip(found[first], found[second], strict=True)]
            ratio = statistics.median(pairs)
            yield {"what": first, "over": second, "ratio": ratio, "at_most": most, "reached": ratio <= most}


def main() -> None:
    """Measure, print, and say what was reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", help="the Python that has the peers; without it only ours is measured")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="also write the JSON line to this file")
    parser.add_argument("--worker", choices=PROGRAMS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(arguments.worker, arguments.threads)
        return
    chosen = [name for name in PROGRAMS if name in OURS or arguments.peers]
    programs = [
        Program(name, sys.executable if name in OURS else arguments.peers, arguments.threads) for name in chosen
    ]
    installed = {program.name: program.ready() for program in programs}
    found = measured(programs, arguments.rounds)
    for program in programs:
        program.end()
    rows = {case: spread(seconds) for case, seconds in found.items()}
    print(f"{'milliseconds':40s} {'median':>9s} {'80 % within':>19s}")
    for case, row in rows.items():
        print(f"{case:40s} {row['median_ms']:9.3f} {row['from_ms']:9.3f} {row['to_ms']:9.3f}")
    aims = list(ratios(found))
    for aim in aims:
        mark = "reached" if aim["reached"] else "missed"
        print(f"{aim['what']} / {aim['over']}: {aim['ratio']:.3f}, at most {aim['at_most']:g}: {mark}")
    report = {
        "benchmark": "glass_cost",
        "machine": f"{platform.processor() or platform.machine()}, {arguments.threads} threads",
        "versions": installed,
        "tokens": LENGTH,
        "rows": rows,
        "aims": aims,
    }
    line = json.dumps(report)
    print(line)
    if arguments.json:
        arguments.json.write_text(line + "\n", "utf-8")


if __name__ == "__main__":
    main()
