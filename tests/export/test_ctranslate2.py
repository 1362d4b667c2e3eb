"""Models for CTranslate2: it writes the same tokens with the same scores, and gives the same rows."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from glassformer.cli.main import run
from glassformer.data.batch import Batch, pad
from glassformer.decoding.options import Decoding
from glassformer.decoding.search import search
from glassformer.errors import InputError
from glassformer.export import ctranslate2 as export
from glassformer.export.options import Options
from glassformer.families import FAMILIES
from glassformer.foreign import ctranslate2_file
from glassformer.model import Transformer
from glassformer.pretrained import Checkpoint
from glassformer.tasks.model import Model, load
from glassformer.text.tokenizer import Tokenizer

from ..families.harness import perturb
from ..families.pairs import PAIRS
from ..families.stacks import STACKS, settings_of

ctranslate2 = pytest.importorskip("ctranslate2")
WORDS = Tokenizer.of_words([f"w{number}" for number in range(19)])
CLOSE = 2e-5  # float32 here and there
SEARCHES = (
    Decoding(max_new_tokens=8),
    Decoding(max_new_tokens=8, num_beams=4, early_stopping=True),
    Decoding(max_new_tokens=8, num_beams=3, early_stopping=True, length_penalty=2.0),
)
WRITERS = {  # family -> the class of it that writes
    "gpt2": "GPT2LMHeadModel",
    "gpt_neox": "GPTNeoXForCausalLM",
    "llama": "LlamaForCausalLM",
    "mistral": "MistralForCausalLM",
    "opt": "OPTForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
}
READERS = {  # family -> the class of it that gives its last rows
    "bert": "BertModel",
    "camembert": "CamembertModel",
    "distilbert": "DistilBertModel",
    "roberta": "RobertaModel",
    "xlm-roberta": "XLMRobertaModel",
}
OURS = {
    "model_type": "transformer",
    "stack": "encoder-decoder",
    "vocab_size": 22,
    "source_vocab_size": 23,
    "d_model": 16,
    "heads": 4,
    "d_ff": 20,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "positions": "sinusoidal",
    "embedding_scale": True,
    "activation": "relu",
}


def model(raw: dict[str, Any], seed: int, source: Tokenizer | None = None) -> Model:
    """A small random one, every parameter moved, with a vocabulary of words."""
    transformer = Transformer(FAMILIES[raw["model_type"]].config(raw)).eval()
    perturb(transformer, seed)
    return Model(Checkpoint(transformer=transformer, family=raw["model_type"], raw=raw), WORDS, source)


def pair(name: str, seed: int, **more: Any) -> Model:
    """A small random pair of a published family."""
    return model({**PAIRS[name].draw(random.Random(seed)), "model_type": name, **more}, seed)


def stack(name: str, architecture: str, seed: int, **more: Any) -> Model:
    """A small random model of one stack; windows in some layers only are not CTranslate2's."""
    settings = {**settings_of(STACKS[name], architecture, seed), "use_sliding_window": False}
    return model({**settings, "model_type": name, "architectures": [architecture], **more}, seed)


def opened(mine: Model, folder: Path, kind: Any) -> Any:
    """Written, and opened by CTranslate2."""
    export.write(mine, folder, Options())
    return kind(str(folder), device="cpu", intra_threads=1, inter_threads=1, compute_type="float32")


def named(rows: list[list[int]], size: int) -> list[list[str]]:
    """Ids as their tokens."""
    names = export.names(WORDS, size)
    return [[names[id] for id in row] for row in rows]


def texts(lengths: tuple[int, ...], seed: int) -> list[list[int]]:
    """Random ids."""
    chance = random.Random(seed)
    return [[chance.randrange(5, 22) for _ in range(length)] for length in lengths]


def without_end(mine: Model, found: list[Any]) -> list[list[int]]:
    """The ids of the best answers, without the token that closes them."""
    return [list(best.ids[:-1] if best.ids[-1] in mine.task.ends else best.ids) for (best, *_) in found]


# ------------------------------------------------------------------ pairs


def log_probabilities(mine: Model, source: list[int], target: list[int]) -> Tensor:
    """Of each token of a target, and of its end."""
    start, end = mine.task.start, mine.task.ends[0]
    with torch.no_grad():
        logits = mine.transformer(torch.tensor([source]), torch.tensor([[start, *target]]))
    return logits.log_softmax(-1)[0].gather(1, torch.tensor([*target, end])[:, None])[:, 0]


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", PAIRS)
def test_pairs_write_the_same(name: str, seed: int, tmp_path: Path) -> None:
    mine = pair(name, seed)
    translator, size = opened(mine, tmp_path / "it", ctranslate2.Translator), mine.config.vocab_size
    sources, targets = texts((7, 4, 1, 5), seed), texts((3, 6, 2, 1), seed + 9)
    read = named(sources, mine.config.source_vocab_size or size)
    scored = translator.score_batch(read, named(targets, size))
    for source, target, theirs in zip(sources, targets, scored, strict=True):
        gap = log_probabilities(mine, source, target) - torch.tensor(theirs.log_probs)
        assert gap.abs().max() < CLOSE
    for decoding in SEARCHES:
        found = search(mine.transformer, mine.task.question(sources), decoding, ends=mine.task.ends)
        told = translator.translate_batch(
            read,
            beam_size=decoding.num_beams,
            length_penalty=decoding.length_penalty,
            max_decoding_length=8,
            min_decoding_length=0,
        )
        assert [each.hypotheses[0] for each in told] == named(without_end(mine, found), size)


def test_what_ships_translates_the_same(tmp_path: Path) -> None:
    mine = load("tatoeba-en-fr")
    told = export.write(mine, tmp_path, Options(dtype="float32"))
    assert told == "pair in float32; read back, every tensor is the same"
    translator = ctranslate2.Translator(str(tmp_path), intra_threads=1, compute_type="float32")
    sentences = ["I love data science.", "Where is the station?", "He gave her a book, didn't he?", "No."]
    read = [mine.tokenizer.encode(sentence).tokens for sentence in sentences]
    for beams in (1, 5):
        decoding = Decoding(num_beams=beams, early_stopping=True, beyond_source=50)
        ours = mine.task.answer(mine.transformer, sentences, decoding)
        theirs = translator.translate_batch(read, beam_size=beams, length_penalty=1.0)
        assert [list(each.tokens[:-1]) for each in ours] == [each.hypotheses[0] for each in theirs]
    assert Tokenizer.load(tmp_path).encode(sentences[0]).tokens == read[0]


def test_two_vocabularies_have_a_tokenizer_each(tmp_path: Path) -> None:
    mine = model(OURS, 3, Tokenizer.of_words([f"s{number}" for number in range(20)]))
    translator = opened(mine, tmp_path, ctranslate2.Translator)
    read = [["s1", "s5", "<eos>"]]
    (told,) = translator.translate_batch(read, beam_size=1, max_decoding_length=9, min_decoding_length=0)
    question = mine.task.question(mine.task.sources(["s1 s5"], mine.config))
    found = search(mine.transformer, question, Decoding(max_new_tokens=9), ends=mine.task.ends)
    assert [told.hypotheses[0]] == named(without_end(mine, found), 22)
    assert {path.name for path in tmp_path.iterdir()} >= {"source_vocabulary.json", "target_vocabulary.json"}
    source = Tokenizer.load_source(tmp_path)
    assert source is not None
    assert source.encode("s1 s5").tokens == read[0]


def test_what_is_never_written_is_not_written_there_either(tmp_path: Path) -> None:
    mine, source = pair("marian", 0), texts((4,), 0)
    question = mine.task.question(source)
    free = search(mine.transformer, question, Decoding(max_new_tokens=5), ends=mine.task.ends)
    never = Decoding(max_new_tokens=5, bad_words_ids=((free[0][0].ids[0],),))
    mine.task.decoding = never
    translator = opened(mine, tmp_path, ctranslate2.Translator)
    read = named(source, mine.config.source_vocab_size or mine.config.vocab_size)
    (told,) = translator.translate_batch(read, beam_size=1, max_decoding_length=5, min_decoding_length=0)
    found = search(mine.transformer, question, never, ends=mine.task.ends)
    assert [told.hypotheses[0]] == named(without_end(mine, found), mine.config.vocab_size)
    assert found[0][0].ids[0] != free[0][0].ids[0]


def test_a_first_token_that_is_forced_is_named(tmp_path: Path) -> None:
    told = export.write(pair("bart", 0, forced_bos_token_id=6), tmp_path, Options())
    assert "the first token of target_prefix is w6" in told


# ------------------------------------------------------------------ one stack


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", WRITERS)
def test_decoders_write_the_same(name: str, seed: int, tmp_path: Path) -> None:
    mine = stack(name, WRITERS[name], seed)
    generator = opened(mine, tmp_path / "it", ctranslate2.Generator)
    for prompt in texts((min(5, mine.config.window or 5), 2, 1), seed):
        read = named([prompt], mine.config.vocab_size)
        with torch.no_grad():
            ours = mine.transformer(target=torch.tensor([prompt])).log_softmax(-1)
        theirs = generator.forward_batch(read, return_log_probs=True)
        assert (ours - torch.from_numpy(np.array(theirs))).abs().max() < CLOSE
        decoding = Decoding(max_new_tokens=6, num_beams=2, early_stopping=True)
        batch = Batch(target=torch.tensor([prompt]))
        found = search(mine.transformer, batch, decoding, ends=mine.task.ends)
        (told,) = generator.generate_batch(
            read, beam_size=2, max_length=6, min_length=0, include_prompt_in_result=False
        )
        assert [told.sequences_ids[0]] == without_end(mine, found)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", READERS)
def test_encoders_give_the_same_rows(name: str, seed: int, tmp_path: Path) -> None:
    mine = stack(name, READERS[name], seed)
    encoder = opened(mine, tmp_path / "it", ctranslate2.Encoder)
    rows = texts((5, 3, 1), seed)
    (ids, mask), segments = pad(rows, 3), None
    if mine.config.segments > 1:
        segments = [[place % 2 for place in range(len(row))] for row in rows]
    given = encoder.forward_batch(rows, token_type_ids=segments)
    theirs = torch.from_numpy(np.array(given.last_hidden_state))
    with torch.no_grad():
        kinds = None if segments is None else pad(segments, 0)[0]
        ours = mine.transformer.encode(ids, source_mask=mask, segments=kinds)
    assert (ours - theirs)[mask.bool()].abs().max() < CLOSE


def test_a_window_is_told(tmp_path: Path) -> None:
    told = export.write(stack("mistral", "MistralForCausalLM", 0, sliding_window=3), tmp_path, Options())
    assert "prompts of more than 3 tokens are seen in parts as long as that" in told


# ------------------------------------------------------------------ the folder


@pytest.mark.parametrize(
    ("dtype", "off"), [("float32", 1e-5), ("float16", 0.02), ("bfloat16", 0.2), ("int8", 0.5)]
)
def test_matrices_may_be_stored_in_less(dtype: str, off: float, tmp_path: Path) -> None:
    mine = pair("mbart", 1)
    before = {name: parameter.clone() for name, parameter in mine.transformer.named_parameters()}
    told = export.write(mine, tmp_path, Options(dtype=dtype))
    assert all(parameter.equal(before[name]) for name, parameter in mine.transformer.named_parameters())
    assert told == f"pair in {dtype}; read back, every tensor is the same"
    variables = ctranslate2_file.read(tmp_path / "model.bin")
    assert str(variables["decoder/layer_0/ffn/linear_0/weight"].dtype) == f"torch.{dtype}"
    translator = ctranslate2.Translator(str(tmp_path), intra_threads=1, compute_type="float32")
    (source,), (target,) = texts((5,), 1), texts((4,), 2)
    read, written = named([source], mine.config.vocab_size), named([target], mine.config.vocab_size)
    (theirs,) = translator.score_batch(read, written)
    assert (log_probabilities(mine, source, target) - torch.tensor(theirs.log_probs)).abs().max() < off


def test_what_is_read_back_is_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    specified = export.specified

    def spoiled(config: Any, tensors: dict[str, Tensor]) -> Any:
        spec = specified(config, tensors)
        spec.decoder.layer[0].ffn.linear_0.bias = tensors["decoder/layer_0/ffn/linear_0/bias"] + 1e-6
        return spec

    monkeypatch.setattr(export, "specified", spoiled)
    with pytest.raises(InputError, match="decoder/layer_0/ffn/linear_0/bias differs when it is read"):
        export.write(pair("mbart", 1), tmp_path, Options())


def test_nothing_old_is_left(tmp_path: Path) -> None:
    export.write(model(OURS, 3, Tokenizer.of_words(["s1"])), tmp_path / "it", Options())
    export.write(pair("bart", 0), tmp_path / "it", Options())
    names = {path.name for path in (tmp_path / "it").iterdir()}
    assert names >= {"model.bin", "config.json", "shared_vocabulary.json", "tokenizer.json"}
    assert not names & {"source_vocabulary.json", "target_vocabulary.json", "source_tokenizer"}
    assert [path.name for path in tmp_path.iterdir()] == ["it"]
    assert json.loads((tmp_path / "it" / "shared_vocabulary.json").read_text("utf-8"))[-1] == "<unused_39>"


@pytest.mark.parametrize(
    ("options", "said"),
    [(Options(dtype="float64"), "stores no float64"), (Options(shard_size=9), "reads one file of numbers")],
)
def test_what_it_does_not_store_is_refused(options: Options, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        export.write(pair("bart", 0), tmp_path / "it", options)
    assert not list(tmp_path.iterdir())


REFUSED = {  # a model -> why
    "bert": ("BertForMaskedLM", "head 'hidden', not 'masked-language-model'"),
    "albert": ("AlbertModel", "not computed|CTranslate2 cannot run this albert"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_it_cannot_run_is_refused_in_one_sentence(name: str, tmp_path: Path) -> None:
    architecture, said = REFUSED[name]
    with pytest.raises(InputError, match=said):
        export.write(stack(name, architecture, 0), tmp_path / "it", Options())


def test_by_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pair("pegasus", 0).save_pretrained(tmp_path / "from")
    assert run(["convert", str(tmp_path / "from"), str(tmp_path / "to"), "--to", "ctranslate2"]) == 0
    assert "pair in float32; read back, every tensor is the same" in capsys.readouterr().out
    assert run(["convert", "worked-example", str(tmp_path / "other"), "--to", "ctranslate2"]) == 2
    (sentence,) = capsys.readouterr().err.splitlines()
    assert "CTranslate2 cannot run this transformer" in sentence
    assert "pairs that write" in sentence
