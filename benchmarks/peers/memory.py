"""The memory itself: so many threads read half a GiB, in order and once. What is "made" is bytes."""

import torch
from turn import asked, serve

SIZE = 1 << 29


def main() -> None:
    """A sum of whole numbers, which takes less time than they take to arrive."""
    torch.set_num_threads(asked()["threads"])
    numbers = torch.ones(SIZE // 8, dtype=torch.int64)

    def work() -> int:
        numbers.sum()
        return SIZE

    serve(work)


if __name__ == "__main__":
    main()
