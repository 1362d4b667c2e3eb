"""Memory and time to load a large checkpoint, against its size and against reading its file.

    python benchmarks/loading.py [--folder FOLDER] [--billions 1.1] [--json FILE]

Makes a random Llama-shaped checkpoint in bfloat16 (TinyLlama's sizes, 2.2 GB at 1.1 billion parameters) in FOLDER or a
temporary one, then loads it in a process of its own, beside reading the file whole, from the cache and from the disk.
Peak memory is that process's largest resident size, less what it has with everything imported and no model (Linux).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

LOAD = """
import json, sys, time
from pathlib import Path
from glassformer import pretrained

def peak():
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024

before, started = peak(), time.perf_counter()
checkpoint = pretrained.load_transformer(sys.argv[1], dtype="bfloat16")
seconds = time.perf_counter() - started
count = sum(parameter.numel() for parameter in checkpoint.transformer.parameters())
print(json.dumps({"parameters": count, "seconds": seconds, "before": before, "peak": peak()}))
"""


def make(folder: Path, layers: int) -> None:
    """A random checkpoint with TinyLlama's sizes and this many layers."""
    import torch

    from glassformer import pretrained
    from glassformer.families import FAMILIES
    from glassformer.model import Transformer

    raw = {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "vocab_size": 32000,
        "hidden_size": 2048,
        "intermediate_size": 5632,
        "num_hidden_layers": layers,
        "num_attention_heads": 32,
        "num_key_value_heads": 4,
        "max_position_embeddings": 2048,
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": False,
        "hidden_act": "silu",
    }
    with torch.device("meta"):
        model = Transformer(FAMILIES["llama"].config(raw))
    model = model.to(torch.bfloat16).to_empty(device="cpu")
    torch.manual_seed(0)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    pretrained.save_transformer(folder, model, raw=raw)


def forget(path: Path) -> None:
    """Ask the system to drop what it has cached of a file."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def read_seconds(path: Path) -> float:
    """Plain reading of the whole file into memory."""
    started = time.perf_counter()
    path.read_bytes()
    return time.perf_counter() - started


def rounds(folder: Path, count: int, cold: bool) -> Iterator[dict[str, float]]:
    """Read, then load, alternately; cold: each from the disk."""
    file = folder / "model.safetensors"
    for _ in range(count):
        if cold:
            forget(file)
        read = read_seconds(file)
        if cold:
            forget(file)
        output = subprocess.run(
            [sys.executable, "-c", LOAD, str(folder)], check=True, capture_output=True, text=True
        ).stdout
        yield {"read": read, **json.loads(output)}


def main() -> None:
    """Measure, print, and end with one line of JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--billions", type=float, default=1.1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as place:
        folder = Path(place) / "model"
        make(folder, layers=max(1, round((arguments.billions * 1e9 - 2 * 32000 * 2048) / 44.04e6)))
        size = os.path.getsize(folder / "model.safetensors")
        measured = {
            "from the cache": list(rounds(folder, arguments.rounds, cold=False)),
            "from the disk": list(rounds(folder, arguments.rounds, cold=True)),
        }
    every = [row for rows in measured.values() for row in rows]
    memory = max(row["peak"] - row["before"] for row in every) / size
    print(f"{every[0]['parameters'] / 1e9:.2f} billion parameters, {size / 1e9:.2f} GB on disk")
    print(f"peak memory over size {memory:.2f} (aim below 1.15)")
    print(f"{'':15s} {'read':>6s} {'load':>6s} {'ratio':>6s}  (medians; aim at most 2)")
    for name, rows in measured.items():
        read, load = (statistics.median(row[key] for row in rows) for key in ("read", "seconds"))
        print(f"{name:15s} {read:6.2f} {load:6.2f} {load / read:6.2f}")
    report = {"benchmark": "loading", "size": size, "memory": memory, "rounds": measured}
    print(json.dumps(report))
    if arguments.json:
        arguments.json.write_text(json.dumps(report) + "\n", "utf-8")


if __name__ == "__main__":
    main()
