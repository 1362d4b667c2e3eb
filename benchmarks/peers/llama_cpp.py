"""llama.cpp, through the server that xllamacpp holds: one slot for each row of the batch."""

import json
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import xllamacpp as cpp
from turn import asked, serve

told = asked()
ids, new = told["ids"], told["new"]
options = cpp.CommonParams()
options.model.path, options.n_parallel, options.n_gpu_layers = told["model"], len(ids), 0
options.n_ctx = 256 * len(ids)
options.cpuparams.n_threads = options.cpuparams_batch.n_threads = told["threads"]
options.warmup = options.fit_params = False
options.verbosity = 0
server = cpp.Server(options)


def written(prompt: list[int]) -> int:
    """How many tokens follow one prompt."""
    said = {"n_predict": new, "temperature": -1.0, "cache_prompt": False, "ignore_eos": True, "prompt": prompt}
    kind = {"Content-Type": "application/json"}
    request = urllib.request.Request(server.listening_address + "/completion", json.dumps(said).encode(), kind)
    with urllib.request.urlopen(request) as reply:
        return json.load(reply)["tokens_predicted"]


with ThreadPoolExecutor(len(ids)) as rows:
    serve(lambda: sum(rows.map(written, ids)))
