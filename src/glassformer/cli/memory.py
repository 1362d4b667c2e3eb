"""Memory that ran out, told as a sentence: how much was needed, how much there is, what would fit."""

import re
from pathlib import Path

UNITS = {"bytes": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40, "PiB": 2**50}
SAID = re.compile(  # torch on a processor, torch on a GPU, NumPy
    r"(?:tried to allocate|unable to allocate) ([\d.]+) (bytes|KiB|MiB|GiB|TiB|PiB)", re.IGNORECASE
)
FREE = re.compile(r"of which ([\d.]+) (MiB|GiB) is free")  # torch, of a GPU


def memory(error: BaseException) -> str | None:
    """The sentence for an error that says that memory ran out; None for any other."""
    said = SAID.search(str(error))
    if not said and not isinstance(error, MemoryError):
        return None
    advice = "give fewer or shorter texts at once (--batch; max_tokens in a recipe) or a smaller model"
    if not said:
        return f"memory ran out; {advice}"
    needed, free = amount(*said.groups()), available(str(error))
    if free is None:
        return f"one number table needed {size(needed)}, more than the memory holds; {advice}"
    fits = "" if needed <= free else f"; about {max(free / needed, 0.0001):.2g} of the work would fit at once"
    return f"one number table needed {size(needed)}, and {size(free)} of memory are free{fits}; {advice}"


def amount(number: str, unit: str) -> float:
    """Bytes."""
    return float(number) * UNITS[next(name for name in UNITS if name.lower() == unit.lower())]


def available(said: str) -> float | None:
    """Bytes that are free: of the GPU, where the error speaks of one, else of this machine."""
    if found := FREE.search(said):
        return amount(*found.groups())
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    except OSError:  # not on Linux
        return None
    found_lines = [int(line.split()[1]) * 1024.0 for line in lines if line.startswith("MemAvailable:")]
    return found_lines[0] if found_lines else None


def size(number: float) -> str:
    """Bytes in the largest unit that leaves one before the point."""
    unit = max((unit for unit in UNITS if UNITS[unit] <= max(number, 1)), key=UNITS.__getitem__)
    return f"{number / UNITS[unit]:,.1f} {unit}" if unit != "bytes" else f"{number:,.0f} bytes"
