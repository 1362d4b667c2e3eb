"""The memory as it is at the time: so many threads read half a GiB, in order and once. What is "made" is bytes."""

import mmap

import torch
from turn import asked, serve

SIZE = 1 << 29


def main() -> None:
    """A sum, which takes less time than its numbers take to arrive; in huge pages, as our weights are."""
    torch.set_num_threads(asked()["threads"])
    room = mmap.mmap(-1, SIZE)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        room.madvise(mmap.MADV_HUGEPAGE)
    numbers = torch.frombuffer(room, dtype=torch.float32).fill_(1)

    def work() -> int:
        numbers.sum()
        return SIZE

    serve(work)


if __name__ == "__main__":
    main()
