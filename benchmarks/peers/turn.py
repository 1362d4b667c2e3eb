"""What every runtime's process does: it loads, says so, and does the work once each time it is told."""

import json
import sys
import time
from collections.abc import Callable


def asked() -> dict:
    """What this process is to do."""
    return json.loads(sys.argv[1])


def serve(work: Callable[[], int], warm: int = 1) -> None:
    """`work` gives back how many tokens or sequences it made.

    At every turn it is done once unmeasured, whoever is asked: the others have had the caches.
    """
    for _ in range(warm):
        work()
    print("ready", flush=True)
    for _ in sys.stdin:
        work()
        wall, cpu = time.perf_counter(), time.process_time()
        made = work()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        print(json.dumps({"made": made, "wall": wall, "cpu": cpu}), flush=True)
