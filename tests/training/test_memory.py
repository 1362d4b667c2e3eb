"""What a training step frees stays for the next one, and goes back to the system when the training is over."""

import subprocess
import sys

import pytest
import torch

from glassformer.training import memory
from glassformer.training.memory import glibc, kept_memory

CPU = torch.device("cpu")
PROGRAM = """
import resource, torch
from glassformer.training.memory import kept_memory

def pages(count):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(count):
        for _ in range(2):
            tensor = torch.ones(12 * 2**20)  # 48 MiB: beyond what the C library keeps of its own accord
            del tensor
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()

before = pages(20)
with kept_memory(torch.device("cpu")) as hand_back:
    pages(3)
    inside, held = pages(20), resident()
    hand_back()
    assert held - resident() < 2**20  # not yet
    hand_back.last -= 31
    hand_back()
    between = held - resident()
    pages(3)
    held = resident()
print(before, inside, between, held - resident())
"""


@pytest.mark.skipif(glibc() is None, reason="another C library")
def test_pages_are_made_once_and_handed_back_afterwards() -> None:
    """In a process of its own, whose heap nobody else has used."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    before, inside, between, returned = map(int, done.stdout.split())
    assert before > 10_000
    assert inside < before / 5
    assert min(between, returned) > 24 * 2**20


def test_elsewhere_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "settle", lambda *_: pytest.fail("this is no processor with glibc"))
    with kept_memory(torch.device("meta")) as hand_back:
        hand_back()
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: object())
    assert glibc() is None
    with kept_memory(CPU) as hand_back:
        hand_back()


def test_a_library_that_takes_smaller_bounds_alone_gets_them() -> None:
    told: list[tuple[int, int]] = []

    class Library:
        """Refuses what is above 32 MiB."""

        def mallopt(self, name: int, value: int) -> int:
            told.append((name, value))
            return int(value <= 2**25)

    memory.settle(Library(), {memory.MMAP_THRESHOLD: 2**30, memory.TOP_PAD: 2**20})  # type: ignore[arg-type]
    assert told == [(-3, 2**30), (-3, 2**25), (-2, 2**20)]
