"""llama.cpp as an oracle, in a process of its own: a file that it cannot run ends that process and not the tests."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

RUN = """
import json, sys, urllib.request
import xllamacpp as cpp

path, asked = json.load(sys.stdin)
options = cpp.CommonParams()
options.model.path, options.n_ctx, options.n_parallel, options.n_gpu_layers = path, 0, 1, 0
options.cpuparams.n_threads = options.cpuparams_batch.n_threads = 1
options.cache_type_k = options.cache_type_v = cpp.ggml_type.GGML_TYPE_F32
options.flash_attn_type = cpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
options.warmup = options.fit_params = False
options.verbosity = 0
server = cpp.Server(options)

def answer(place, question):
    data, kind = json.dumps(question).encode(), {"Content-Type": "application/json"}
    request = urllib.request.Request(server.listening_address + place, data, kind)
    with urllib.request.urlopen(request) as reply:
        return json.load(reply)

print(json.dumps([answer(place, question) for place, question in asked]), flush=True)
import os
os._exit(0)
"""


def answers(path: Path, asked: list[tuple[str, dict[str, Any]]]) -> list[Any]:
    """What its server says to each of these questions, with one file loaded."""
    pytest.importorskip("xllamacpp", reason="llama.cpp is not installed here")
    run = subprocess.run(
        [sys.executable, "-c", RUN],
        input=json.dumps([str(path), asked]),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    found: list[Any] = json.loads(run.stdout.splitlines()[-1])
    return found


def written(
    path: Path, prompts: list[list[int]], new: int, vocabulary: int
) -> list[list[tuple[int, dict[int, float]]]]:
    """Greedily, after each prompt, until one ends it: every new token, and the log-probability of all."""
    question = {"n_predict": new, "temperature": -1.0, "n_probs": vocabulary, "cache_prompt": False}
    found = answers(path, [("/completion", {**question, "prompt": prompt}) for prompt in prompts])
    return [
        [
            (step["id"], {token["id"]: token["logprob"] for token in step["top_logprobs"]})
            for step in each["completion_probabilities"]
        ]
        for each in found
    ]


def cut(path: Path, texts: list[str]) -> list[list[int]]:
    """The ids of texts, framed as the file says."""
    question = {"add_special": True, "parse_special": True}
    found = answers(path, [("/tokenize", {**question, "content": text}) for text in texts])
    return [each["tokens"] for each in found]
