"""Compiles the native part, one library for each kind of processor. It is run when the package is built.

It stands alone, since the build has none of the package's dependencies: `python -m glassformer.native.build` does the
same by hand. Without a compiler nothing is built, and torch computes.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

FOLDER = Path(__file__).parent / "sources"
KINDS: Mapping[str, tuple[str, ...]] = {  # best first
    "amx": ("-march=x86-64-v4", "-mavx512vnni", "-mavx512bf16", "-mamx-tile", "-mamx-int8", "-mamx-bf16"),
    "avx512_bf16": ("-march=x86-64-v4", "-mavx512vnni", "-mavx512bf16"),
    "avx512": ("-march=x86-64-v4", "-mavx512vnni"),
    "avx2": ("-march=x86-64-v3",),
}
FLAGS = (
    "-std=c++17",
    "-O3",
    "-shared",
    "-fPIC",
    "-pthread",
    "-static-libstdc++",
    "-static-libgcc",
    "-Wall",
    "-Wextra",
    "-Wno-uninitialized",  # GCC's own headers, in what AVX-512 leaves undefined on purpose
    "-Wno-maybe-uninitialized",
)
LIBRARIES = ("-ldl",)  # which some C libraries keep apart


def library(kind: str) -> Path:
    """Where the library for this kind of processor is, once built."""
    return FOLDER / f"native_{kind}.so"


def compiler() -> str | None:
    """The C++ compiler that CXX names, or one of the usual ones; None where the sources cannot be compiled."""
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        return None
    for name in filter(None, (os.environ.get("CXX"), "g++", "c++")):
        found = shutil.which(name)
        if found is not None:
            return found
    return None


def outdated(path: Path) -> bool:
    """Whether a library is missing or older than what it is made of."""
    sources = [*FOLDER.glob("*.cpp"), *FOLDER.glob("*.h"), Path(__file__)]
    return not path.exists() or path.stat().st_mtime < max(source.stat().st_mtime for source in sources)


def build() -> list[Path]:
    """Compile what is outdated; the libraries that are there now."""
    found = compiler()
    if found is None:
        return []
    old = [kind for kind in KINDS if outdated(library(kind))]
    with ThreadPoolExecutor(os.cpu_count()) as side_by_side:  # an older compiler does not know every kind
        list(side_by_side.map(lambda kind: compiled(found, KINDS[kind], library(kind)), old))
    return [library(kind) for kind in KINDS if library(kind).exists()]


def compiled(found: str, flags: tuple[str, ...], path: Path) -> None:
    """Make one library; it appears whole or not at all."""
    unfinished = path.with_suffix(f".{os.getpid()}")
    command = [found, *FLAGS, *flags, *map(str, sorted(FOLDER.glob("*.cpp"))), *LIBRARIES, "-o", str(unfinished)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        unfinished.replace(path)
    else:
        unfinished.unlink(missing_ok=True)
        sys.stderr.write(f"glassformer: {path.name} was not built; what was is used:\n{done.stderr}\n")


if __name__ == "__main__":
    for each in build():
        sys.stdout.write(f"{each}\n")
