"""Both ends of a walk: a text's pieces are told as its tokenizer does, an answer as the run's conclusion does."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from fastapi.testclient import TestClient
from tests.studio.test_server import SEEN, TEXTS, loaded, made, trace_of

import glassformer as gf
from glassformer.families import FAMILIES
from glassformer.glass.conclusion.span import Answered
from glassformer.glass.conclusion.words import Written
from glassformer.glass.plain import as_plain
from glassformer.model import Transformer
from glassformer.pretrained import save_transformer
from glassformer.text.tokenizer import Tokenizer

LINES = [
    "the lowest tower is lower than the newest one",
    "a new show of the slow and the low",
    "the tower was shown newly",
] * 3
CUT = "The newest towers!"
KINDS = ("bpe", "byte-bpe", "wordpiece", "unigram")


def writer(folder: Path, kind: str) -> Path:
    """A small random model that goes on with texts cut by a vocabulary of this kind."""
    tokenizer = Tokenizer.train(kind, LINES, vocab_size=60 if kind != "byte-bpe" else 290)
    sizes = {"n_layer": 1, "n_embd": 8, "n_head": 2, "n_positions": 64, "vocab_size": tokenizer.vocab_size}
    raw = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], **sizes}
    torch.manual_seed(0)
    save_transformer(folder, Transformer(FAMILIES["gpt2"].config(raw)), raw=raw)
    tokenizer.save(folder)
    return folder


def beginning(client: TestClient, run: dict[str, Any], place: int = 0) -> dict[str, Any]:
    response = client.get(f"/api/runs/{run['run']}/beginning/{place}")
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_vocabulary_tells_its_own_steps(client: TestClient, kind: str, tmp_path: Path) -> None:
    model = gf.load(writer(tmp_path, kind))
    run = client.post("/api/runs", json={"model": str(tmp_path), "text": CUT, "options": {"max_new_tokens": 2}}).json()
    found, own = beginning(client, run), model.tokenizer.steps(CUT)
    assert found["words"] == as_plain(list(own.words))
    assert max(len(word["steps"]) for word in found["words"]) > 1
    assert (found["ids"], found["tokens"]) == (list(own.ids), list(own.tokens))
    assert (found["kind"], found["agrees"]) == (own.kind, True)
    assert ("single bytes" in found["idea"]) == (kind == "byte-bpe")
    prompt = model.trace(CUT, max_new_tokens=2)["decoder.ids"].value[0].tolist()[:-1]
    assert [each["id"] for each in found["read"]] == prompt  # and not what was written after it


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_becomes_what_the_model_reads(client: TestClient, name: str) -> None:
    run, trace, model = made(client, name), trace_of(name), loaded(name)
    texts = [each for each in TEXTS[name] if each is not None]
    assert len(run["texts"]) == len(texts)
    for place, text in enumerate(texts):
        found = beginning(client, run, place)
        own = (model.source_tokenizer or model.tokenizer).steps(text)
        assert found["words"] == as_plain(list(own.words))
        assert found["ids"] == list(own.ids)
        side = "encoder" if "encoder.ids" in trace else "decoder"
        ids = trace[f"{side}.ids"].value[0].tolist()
        assert [each["id"] for each in found["read"]] == ids[: trace.begun if side == "decoder" else None]
        assert found["normalized"] != text
    assert client.get(f"/api/runs/{run['run']}/beginning/{len(texts)}").status_code == 400


@pytest.mark.parametrize("name", [name for name in TEXTS if name != "minilm-l6"])
def test_a_walk_ends_with_the_runs_own_conclusion(client: TestClient, name: str) -> None:
    run, trace = made(client, name), trace_of(name)
    assert run["concludes"]
    found, own = client.get(f"/api/runs/{run['run']}/ending").json(), trace.conclusion
    assert own is not None
    told = own.as_dict()
    assert found["lines"] == list(own.lines())
    if isinstance(own, Written):
        told["total"] = sum(each.log_probability for each in own.tokens)
        assert ("drawn by chance" in found["how"]) == (name in SEEN)
    if isinstance(own, Answered):
        del told["words"], told["windows"], found["windows"]
        for each in found["candidates"]:
            assert each.pop("probability") == pytest.approx(math.exp(each["log_probability"]), rel=1e-15)
        told["candidates"] = told["candidates"][: len(found["candidates"])]
        assert own.no_answer == pytest.approx(math.log(found["no_answer_probability"]), rel=1e-12)
    assert {key: found[key] for key in told} == told


def test_what_has_no_conclusion_says_so(client: TestClient) -> None:
    run = made(client, "minilm-l6")
    assert not run["concludes"]
    refused = client.get(f"/api/runs/{run['run']}/ending")
    assert refused.status_code == 400
    assert "only one that makes an answer" in refused.json()["error"]


def test_the_wanted_answer_of_a_step_of_training_is_cut_too(client: TestClient) -> None:
    wanted = "j' aime les données"
    asked = {"model": "worked-example", "text": "I love data science", "target": wanted}
    run = client.post("/api/runs", json=asked).json()
    assert run["texts"] == ["the text", "the answer that is wanted"]
    assert not run["concludes"]
    assert beginning(client, run, 1)["ids"] == list(gf.load("worked-example").tokenizer.steps(wanted).ids)


def test_a_long_text_tells_of_its_first_words(client: TestClient) -> None:
    run = client.post("/api/runs", json={"model": "sentiment", "text": "good " * 150}).json()
    found = beginning(client, run)
    assert (len(found["words"]), found["word_count"]) == (120, 150)
    assert (len(found["ids"]), found["token_count"]) == (120, 150)
