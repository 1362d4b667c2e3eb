"""How long a cold command takes, as a whole process: the help, the import, one translation with and without the engine.

    python benchmarks/startup.py [--runs 7] [--json FILE]

Prints the minimum, median and maximum in seconds beside the aim; ends with one line of JSON.
"""

import argparse
import platform
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from turns import keep

COMMANDS = {
    "glassformer --help": (["glassformer", "--help"], 0.3),
    "import glassformer": ([sys.executable, "-c", "import glassformer"], 0.2),
    'glassformer translate "I love data science"': (["glassformer", "translate", "I love data science"], 3.0),
    "the same, the model as it is (--precision open)": (
        ["glassformer", "translate", "I love data science", "--precision", "open"],
        None,
    ),
    "glassformer explain ... --model worked-example": (
        ["glassformer", "explain", "I love data science", "--model", "worked-example"],
        None,
    ),
}


def seconds(command: list[str]) -> float:
    """One run, from start to exit."""
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if shutil.which("glassformer") is None:
        parser.error("the command glassformer is not on the path; install the package first")
    rows = []
    print(f"{'command':50s} {'min':>6s} {'median':>6s} {'max':>6s} {'aim':>6s}")
    for name, (command, aim) in COMMANDS.items():
        seconds(command)  # what the disk has to read once
        times = [seconds(command) for _ in range(arguments.runs)]
        row = {
            "command": name,
            "min": min(times),
            "median": statistics.median(times),
            "max": max(times),
            "aim": aim,
        }
        rows.append(row)
        shown = "" if aim is None else f"{aim:6.2f}"
        print(f"{name:50s} {row['min']:6.2f} {row['median']:6.2f} {row['max']:6.2f} {shown}")
    packed, as_it_is = (row["median"] for row in rows[2:4])
    print(f"packed weights over the model as it is: {packed / as_it_is:.2f} (aim: at most 1.5)")
    keep({"benchmark": "startup", "python": platform.python_version(), "rows": rows}, arguments.json)


if __name__ == "__main__":
    main()
