"""Runtimes against each other: each in a process of its own, doing the same work in turn.

Two OpenMP runtimes in one process disturb each other by a factor of two, so nobody shares one; and since the speed of a
shared machine moves by the minute, runs are taken in turn and ratios are the figures to look at.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PEERS = Path(__file__).parent / "peers"
REST = 0.3  # seconds between two turns
PACKAGES = ("torch", "transformers", "ctranslate2", "onnxruntime", "xllamacpp")


@dataclass
class Contestant:
    """One runtime at one precision."""

    name: str
    script: str
    told: dict[str, Any]
    floor: float | None = None  # what the machine allows, in the row's unit a second
    reads: float | None = None  # or: bytes that must come from the memory for each of these
    process: Any = None
    speeds: list[float] = field(default_factory=list)


def options(says: str) -> argparse.ArgumentParser:
    """What every script is told."""
    parser = argparse.ArgumentParser(description=says)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall", help="cpu: for a machine in use")
    parser.add_argument("--only", nargs="*", default=[], help="parts of names of contestants")
    parser.add_argument("--rows", nargs="*", default=[], help="parts of names of rows")
    parser.add_argument("--bandwidth", type=float, default=46.0, help="GB/s that the memory gives at its best")
    parser.add_argument("--folder", type=Path, default=Path("benchmarks/made"), help="where models are made")
    parser.add_argument("--json", type=Path)
    return parser


def alone(contestants: list[Contestant], name: str) -> list[Contestant]:
    """The one of this name with one thread: small work may be quicker so, and whoever uses it would choose that."""
    found = next(each for each in contestants if each.name == name)
    if found.told["threads"] == 1:
        return []
    program, kind = name.split()
    return [Contestant(f"{program} alone {kind}", found.script, {**found.told, "threads": 1}, found.floor, found.reads)]


def start(contestant: Contestant) -> None:
    """Load it, in its own process."""
    contestant.process = subprocess.Popen(
        [sys.executable, str(PEERS / f"{contestant.script}.py"), json.dumps(contestant.told)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    for line in contestant.process.stdout:
        if line.strip() == "ready":
            return
    raise SystemExit(f"{contestant.name} did not start; run benchmarks/peers/{contestant.script}.py by hand")


def turn(contestant: Contestant, clock: str) -> None:
    """One run, when the threads of the one before have stopped looking for more to do."""
    time.sleep(REST)
    contestant.process.stdin.write("go\n")
    contestant.process.stdin.flush()
    for line in contestant.process.stdout:
        if line.startswith('{"made"'):
            said = json.loads(line)
            contestant.speeds.append(said["made"] / said[clock])
            return


def race(row: str, unit: str, contestants: list[Contestant], arguments: argparse.Namespace) -> dict[str, Any]:
    """All of them in turn, so many rounds; a table, and what the JSON keeps."""
    chosen = [
        each for each in contestants if not arguments.only or any(part in each.name for part in arguments.only)
    ]
    memory = Contestant("memory", "memory", {"threads": arguments.threads})
    bounded = any(each.reads for each in chosen)
    running = [*chosen, memory] if bounded else chosen
    for each in running:
        start(each)
    for _ in range(arguments.rounds):
        for each in running:
            turn(each, arguments.clock)
    for each in running:
        each.process.stdin.close()
        each.process.kill()
    for each in chosen:
        each.floor = arguments.bandwidth * 1e9 / each.reads if each.reads else each.floor
    print(f"{row}, {unit} a second ({arguments.clock} time, threads {arguments.threads})")
    if bounded:
        low, middle, high = min(memory.speeds), statistics.median(memory.speeds), max(memory.speeds)
        print(f"  a plain sum reads {middle / 1e9:.1f} GB/s ({low / 1e9:.1f} to {high / 1e9:.1f})")
    for each in chosen:
        middle, low, high = statistics.median(each.speeds), min(each.speeds), max(each.speeds)
        floor = f"   {middle / each.floor:.0%} of the floor {each.floor:,.0f}" if each.floor else ""
        print(f"  {each.name:34} {middle:10,.1f}  ({low:,.1f} to {high:,.1f}){floor}", flush=True)
    return {
        "row": row,
        "unit": unit,
        "read": [speed / 1e9 for speed in memory.speeds],
        "contestants": [{"name": c.name, "speeds": c.speeds, "floor": c.floor} for c in chosen],
    }


class Rows:
    """What a script races, row by row. What is done is written after each, so that a run cut off keeps it."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.done: list[dict[str, Any]] = []

    def add(self, name: str, unit: str, contestants: list[Contestant]) -> None:
        """Race one, if it is among those asked for."""
        wanted = self.arguments.rows
        if wanted and not any(part in name for part in wanted):
            return
        self.done.append(race(name, unit, contestants, self.arguments))
        if self.arguments.json is not None:
            keep(self.made(), self.arguments.json)

    def conclude(self) -> None:
        """Print it all where no file was named."""
        if self.arguments.json is None:
            keep(self.made(), None)

    def made(self) -> dict[str, Any]:
        """What was measured, and where."""
        return {
            "processor": processor(),
            "python": platform.python_version(),
            "packages": {name: installed(name) for name in PACKAGES},
            "threads": self.arguments.threads,
            "clock": self.arguments.clock,
            "rows": self.done,
        }


def keep(made: dict[str, Any], path: Path | None) -> None:
    """One line of JSON, in a file or printed."""
    text = json.dumps(made)
    if path is None:
        print(text)
    else:
        path.write_text(f"{text}\n", "utf-8")


def processor() -> str:
    """What this machine calls it."""
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return f"{line.split(':', 1)[1].strip()}, {os.cpu_count()} cores seen"
    return platform.processor()


def installed(name: str) -> str | None:
    """A package's version."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None
