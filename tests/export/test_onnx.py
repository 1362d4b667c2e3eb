"""ONNX files: what onnxruntime makes of them is what the model says, whole, with a past, padded, and inside."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor

from glassformer.cli.main import run
from glassformer.errors import InputError
from glassformer.export import onnx as export
from glassformer.export.beside import aside
from glassformer.export.check import apart, compared, samples, told
from glassformer.export.graphs import Graph, graphs_of, keeping, ready, turned
from glassformer.export.options import Options
from glassformer.families import FAMILIES
from glassformer.glass.trace import Trace
from glassformer.model import Transformer
from glassformer.pretrained import Checkpoint
from glassformer.tasks import reading
from glassformer.tasks.model import Model, load
from glassformer.text.tokenizer import Tokenizer

from ..families import pairs
from ..families.harness import Inputs, padded, perturb
from ..families.pairs import PAIRS
from ..families.stacks import STACKS, settings_of

WORDS = Tokenizer.of_words([f"w{number}" for number in range(19)])
CLOSE = 1e-5  # float32 here and there, of numbers of a size of one
LLAMA = {"num_attention_heads": 4, "num_key_value_heads": 2, "hidden_size": 16, "num_hidden_layers": 1}
BERT = {"num_hidden_layers": 1, "type_vocab_size": 2, "num_labels": 3, "id2label": {0: "a", 1: "b", 2: "c"}}
BART = {"encoder_layers": 1, "decoder_layers": 1}

Session = Callable[..., dict[str, Tensor]]


def stack(name: str, architecture: str, seed: int, **more: Any) -> Model:
    """A small random model of a published family of one stack, every parameter moved."""
    settings = {**settings_of(STACKS[name], architecture, seed), **more}
    return model({**settings, "model_type": name, "architectures": [architecture]}, seed)


def pair(name: str, architecture: str, seed: int, **more: Any) -> Model:
    """The same of a pair."""
    drawn = {**PAIRS[name].draw(random.Random(seed)), **more}
    return model({**drawn, "model_type": name, "architectures": [architecture]}, seed)


def model(raw: dict[str, Any], seed: int) -> Model:
    """What a configuration asks for, with a vocabulary of words."""
    family = FAMILIES[raw["model_type"]]
    config = family.config(raw)
    transformer = Transformer(config).eval()
    perturb(transformer, seed)
    labels = family.labels(raw, config)
    return Model(Checkpoint(transformer=transformer, family=raw["model_type"], raw=raw, labels=labels), WORDS)


def opened(path: Path) -> Session:
    """A file as a function of named tensors."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_outputs()]

    def ask(**given: Tensor) -> dict[str, Tensor]:
        found = session.run(names, {name: value.numpy() for name, value in given.items()})
        return {name: torch.from_numpy(value) for name, value in zip(names, found, strict=True)}

    return ask


def past(given: dict[str, Tensor], before: dict[str, Tensor] | None = None) -> dict[str, Tensor]:
    """What a run left, as the next one is given it; what it did not give anew stays."""
    grown = {
        name.replace("present", "past_key_values"): value
        for name, value in given.items()
        if name.startswith("present")
    }
    return {**(before or {}), **grown}


def in_two_ways(files: dict[str, Session], given: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """What a pair says: all at once, and the encoder alone, the decoder's first two tokens, then one by one."""
    whole = files["model"](**given)["logits"]
    written = given["decoder_input_ids"]
    source = {name: value for name, value in given.items() if not name.startswith("decoder")}
    memory = files["encoder_model"](**source)["last_hidden_state"]
    mask = {"encoder_attention_mask": given["attention_mask"]}
    first = files["decoder_model"](input_ids=written[:, :2], encoder_hidden_states=memory, **mask)
    parts, kept = [first["logits"]], past(first)
    for place in range(2, written.shape[1]):
        told = files["decoder_with_past_model"](input_ids=written[:, place : place + 1], **mask, **kept)
        assert not [name for name in told if ".encoder." in name]
        parts, kept = [*parts, told["logits"]], past(told, kept)
    return whole, torch.cat(parts, 1)


def going_on(ask: Session, mine: Model, batch: Inputs) -> Tensor:
    """What a decoder says: three tokens of nothing, then one by one, then two."""
    config = mine.config
    kept = {
        f"past_key_values.{layer}.{part}": torch.empty(
            3, config.kv_heads or config.heads, 0, config.size_of_head
        )
        for layer in range(config.decoder_layers)
        for part in ("key", "value")
    }
    parts = []
    for start, end in ((0, 3), (3, 4), (4, 5), (5, 7)):
        given = {"input_ids": batch.ids[:, start:end], "attention_mask": batch.mask[:, :end]}
        if config.segments > 1:
            given["token_type_ids"] = batch.segments[:, start:end]
        told = ask(**given, **kept)
        parts, kept = [*parts, told["logits"]], past(told)
    return torch.cat(parts, 1)


# ------------------------------------------------------------------ a pair that writes


@pytest.fixture(scope="module")
def t5(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """A T5 of theirs, and our files of it."""
    folder = tmp_path_factory.mktemp("t5")
    one = {"num_layers": 1, "num_decoder_layers": 1, "feed_forward_proj": "relu"}
    theirs = pairs.reference(PAIRS["t5"], PAIRS["t5"].generates, 3, **one)
    theirs.save_pretrained(folder / "theirs")
    WORDS.save(folder / "theirs")
    internals = ["--internals", "*.cross_attention.weights", "--internals", "encoder.relative.bias"]
    assert run(["convert", str(folder / "theirs"), str(folder / "ours"), "--to", "onnx", *internals]) == 0
    return theirs, folder / "ours"


def t5_batch(theirs: Any) -> tuple[dict[str, Tensor], list[list[int]], list[list[int]]]:
    """Sources padded on the left, targets on the right."""
    sources, targets = pairs.texts((7, 4, 1), 5), pairs.texts((3, 6, 2), 6)
    pad = theirs.config.pad_token_id
    ids, mask = pairs.padded(sources, pad, "left")
    written, written_mask = pairs.padded(targets, pad, "right")
    given = {"input_ids": ids, "attention_mask": mask}
    given |= {"decoder_input_ids": written, "decoder_attention_mask": written_mask}
    return given, sources, targets


def test_a_pair_says_what_transformers_says(t5: tuple[Any, Path]) -> None:
    theirs, folder = t5
    given, sources, targets = t5_batch(theirs)
    found = opened(folder / "model.onnx")(**given)["logits"]
    expected = pairs.theirs(theirs, sources, targets)
    assert (found[given["decoder_attention_mask"].bool()] - expected).abs().max() < CLOSE


def test_encoder_then_decoder_token_by_token_is_the_whole(t5: tuple[Any, Path]) -> None:
    theirs, folder = t5
    given = t5_batch(theirs)[0] | {"decoder_attention_mask": torch.ones(3, 6, dtype=torch.long)}
    whole, part_by_part = in_two_ways({path.stem: opened(path) for path in folder.glob("*.onnx")}, given)
    assert apart(whole, part_by_part) < CLOSE


def test_steps_are_outputs_under_their_names(t5: tuple[Any, Path]) -> None:
    theirs, folder = t5
    given, trace = t5_batch(theirs)[0], Trace()
    mine = load(folder.parent / "theirs").transformer.float()
    with torch.no_grad():
        mine(
            given["input_ids"],
            given["decoder_input_ids"],
            source_mask=given["attention_mask"],
            target_mask=given["decoder_attention_mask"],
            trace=trace,
        )
    found = opened(folder / "model.onnx")(**given)
    assert list(found) == ["logits", "encoder.relative.bias", "decoder.layers.0.cross_attention.weights"]
    for name in list(found)[1:]:
        assert (found[name] - trace[name].value).abs().max() < CLOSE


def test_a_file_says_what_it_is(t5: tuple[Any, Path]) -> None:
    proto = onnx.load(t5[1] / "model.onnx", load_external_data=False)
    said = {each.key: each.value for each in proto.metadata_props}
    name = "decoder.layers.0.cross_attention.weights"
    assert (said["family"], said["head"], said["dtype"]) == ("t5", "language-model", "float32")
    assert json.loads(said["steps"])[name]["axes"] == "B H Q K"
    (output,) = [each for each in proto.graph.output if each.name == name]
    assert output.doc_string == f"[B H Q K] {json.loads(said['steps'])[name]['formula']}"
    sizes = [dim.dim_param for dim in proto.graph.input[0].type.tensor_type.shape.dim]
    assert sizes == ["batch_size", "encoder_sequence_length"]
    assert b"site-packages" not in proto.SerializeToString()


def test_files_share_one_file_of_weights_under_their_names(t5: tuple[Any, Path]) -> None:
    _, folder = t5
    mine = load(folder.parent / "theirs").transformer.float()
    mine_too, seen = dict(mine.named_parameters()), set()
    for path in folder.glob("*.onnx"):
        for each in onnx.load(path, load_external_data=True).graph.initializer:
            if each.name in mine_too:
                seen.add(each.name)
                assert torch.from_numpy(onnx.numpy_helper.to_array(each).copy()).equal(mine_too[each.name])
    assert seen == set(mine_too)
    size = sum(parameter.nbytes for parameter in mine_too.values())
    assert size <= (folder / "model.onnx_data").stat().st_size < size + 4096 * len(mine_too)
    assert all(path.stat().st_size < 100_000 for path in folder.glob("*.onnx"))


def test_the_folder_has_what_it_takes_to_read_and_write_text(t5: tuple[Any, Path]) -> None:
    _, folder = t5
    assert {path.name for path in folder.iterdir()} == {
        "config.json", "decoder_model.onnx", "decoder_with_past_model.onnx", "encoder_model.onnx",
        "generation_config.json", "model.onnx", "model.onnx_data", "special_tokens_map.json", "tokenizer.json",
        "tokenizer_config.json",
    }  # fmt: skip
    assert Tokenizer.load(folder).encode("w5 w7").ids == WORDS.encode("w5 w7").ids
    assert json.loads((folder / "config.json").read_text("utf-8"))["dtype"] == "float32"


# ------------------------------------------------------------------ one stack


def test_a_decoder_token_by_token_is_the_whole(tmp_path: Path) -> None:
    mine = stack("llama", "LlamaForCausalLM", 2, **LLAMA)
    export.write(mine, tmp_path, Options())
    assert not (tmp_path / "model.onnx_data").exists()
    batch = padded(mine.config.vocab_size, 0, 3, 1, "left")
    with torch.no_grad():
        whole = mine.transformer(target=batch.ids, target_mask=batch.mask)
    real, found = batch.mask.bool(), going_on(opened(tmp_path / "model.onnx"), mine, batch)
    assert apart(whole[real], found[real]) < CLOSE


def test_labels_of_a_text_of_two_parts(tmp_path: Path) -> None:
    mine = stack("bert", "BertForSequenceClassification", 4, **BERT)
    export.write(mine, tmp_path, Options(dtype="float16"))
    batch = padded(mine.config.vocab_size, 2, 3, 1, "right")
    with torch.no_grad():
        expected = mine.transformer(batch.ids, source_mask=batch.mask, segments=batch.segments)
    ids = {"input_ids": batch.ids, "attention_mask": batch.mask, "token_type_ids": batch.segments}
    found = opened(tmp_path / "model.onnx")(**ids)["logits"]
    assert found.dtype == torch.float16
    assert apart(expected, found) < 1e-2
    proto = onnx.load(tmp_path / "model.onnx")
    said = {each.key: each.value for each in proto.metadata_props}
    assert json.loads(said["labels"]) == ["a", "b", "c"]


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_last_token_comes_first_on_either_side_of_padding(side: str) -> None:
    rows = pairs.texts((5, 1, 3), 8)
    ids, mask = pairs.padded(rows, 1, side)
    for row, read, real in zip(rows, turned(ids, mask), mask.bool(), strict=True):
        assert read[real].tolist() == reading.turned(row)


# ------------------------------------------------------------------ every family


def eager(mine: Model) -> dict[str, Session]:
    """The graphs of a model as functions, before they are files."""

    def ask_of(graph: Graph) -> Session:
        return lambda **given: graph(given)

    twin = ready(mine.transformer, mine.transformer.tokens.weight.dtype)
    return {graph.name: ask_of(graph) for graph in graphs_of(twin)}


@torch.no_grad()
@pytest.mark.parametrize("name", PAIRS)
def test_the_parts_of_a_pair_are_the_whole(name: str) -> None:
    mine = pair(name, PAIRS[name].generates, 5, pad_token_id=1)
    ids, mask = pairs.padded(pairs.texts((7, 4, 1), 1), 1, "right")
    written = torch.tensor(pairs.texts((5, 5, 5), 2))
    given = {"input_ids": ids, "attention_mask": mask, "decoder_input_ids": written}
    whole, part_by_part = in_two_ways(
        eager(mine), given | {"decoder_attention_mask": torch.ones_like(written)}
    )
    assert whole.equal(mine.transformer(ids, written, source_mask=mask))
    assert apart(whole, part_by_part) < CLOSE


@torch.no_grad()
@pytest.mark.parametrize("name", PAIRS)
def test_a_pair_that_reads_is_given_a_text_alone(name: str) -> None:
    for architecture in PAIRS[name].others:
        mine = pair(name, architecture, 6)
        rows = pairs.texts((5, 7, 2), 3)
        ids, mask = pairs.padded(rows, 1, "left")
        found = list(eager(mine)["model"](input_ids=ids, attention_mask=mask).values())
        for number, row in enumerate(rows):
            expected = mine.transformer(torch.tensor([row]), torch.tensor([reading.turned(row)]))[0]
            for place, each in enumerate(found):
                one = expected[:, place] if len(found) == 2 else expected
                part = each[number] if each.ndim == 2 and len(found) == 1 else each[number, -len(row) :]
                assert apart(one, part) < CLOSE


@torch.no_grad()
@pytest.mark.parametrize("name", STACKS)
def test_a_family_of_one_stack_in_parts(name: str) -> None:
    for architecture in STACKS[name].classes:
        mine = stack(name, architecture, 6)
        batch = padded(mine.config.vocab_size, mine.config.segments, 3, 1, "left")
        (ask,), config = eager(mine).values(), mine.config
        given = {"input_ids": batch.ids, "attention_mask": batch.mask}
        if config.segments > 1:
            given["token_type_ids"] = batch.segments
        segments = given.get("token_type_ids")
        if config.stack == "encoder":
            whole = mine.transformer(batch.ids, source_mask=batch.mask, segments=segments)
        else:
            whole = mine.transformer(target=batch.ids, target_mask=batch.mask, segments=segments)
        if config.stack == "decoder" and config.head == "language-model":
            real = batch.mask.bool()
            assert apart(whole[real], going_on(ask, mine, batch)[real]) < CLOSE
        elif config.head == "answer-span":
            assert list(ask(**given)) == ["start_logits", "end_logits"]
            assert torch.stack(list(ask(**given).values()), -1).equal(whole)
        else:
            assert list(ask(**given)) == ["last_hidden_state" if config.head == "hidden" else "logits"]
            assert next(iter(ask(**given).values())).equal(whole)


@pytest.mark.nightly
@pytest.mark.parametrize("name", [*STACKS, *PAIRS])
def test_every_class_of_a_family_with_all_its_steps(name: str, tmp_path: Path) -> None:
    classes = (PAIRS[name].generates, *PAIRS[name].others) if name in PAIRS else STACKS[name].classes
    for architecture in classes:
        mine = (pair if name in PAIRS else stack)(name, architecture, 7)
        said = export.write(mine, tmp_path / architecture, Options(internals=("*",)))
        assert "largest difference" in said


# ------------------------------------------------------------------ what is refused


def graph() -> Graph:
    """A small one."""
    return graphs_of(ready(stack("bert", "BertModel", 1, **BERT).transformer, torch.float32))[0]


def test_another_answer_is_refused_with_where_and_how_far() -> None:
    mine = graph()
    with pytest.raises(InputError, match=r"last_hidden_state of model is off by \d.*input_ids \(2, 5\)"):
        compared(mine, "onnxruntime", lambda given: {name: y + 0.01 for name, y in mine(given).items()})


@pytest.mark.parametrize("wrong", [torch.nan, torch.inf])
def test_no_number_is_another_answer(wrong: float) -> None:
    expected, found = torch.ones(3), torch.ones(3)
    assert apart(expected, found) == 0
    found[1] = wrong
    assert apart(expected, found) == apart(found, expected) == float("inf")
    assert apart(expected, found[:2]) == float("inf")


def test_the_model_itself_is_as_near_as_can_be() -> None:
    mine = graph()
    assert told(compared(mine, "torch", mine)) == "0"
    texts = [tuple(given["input_ids"].shape) for given in samples(mine)]
    assert (1, 1) in texts
    assert len({batch for batch, _ in texts}) > 2
    masks = [given["attention_mask"] for given in samples(mine)]
    assert any((mask[:, 0] == 0).any() for mask in masks)
    assert any((mask[:, -1] == 0).any() for mask in masks)
    assert all(mask.any(1).all() for mask in masks)


def test_a_step_that_is_not_there_is_refused_with_some_that_are() -> None:
    mine = graph()
    with pytest.raises(InputError, match=r"such as encoder\.layers\.0\.self_attention\.weights"):
        keeping(mine, ["encoder.layers.7.self_attention.weights"], next(samples(mine)))


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (Options(dtype="bfloat16"), "float32 or float16"),
        (Options(dtype="float64"), "float32 or float16"),
        (Options(shard_size=9), "one file"),
    ],
)
def test_what_onnx_has_not_is_refused(options: Options, why: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=why):
        export.write(load("worked-example"), tmp_path / "out", options)
    assert not (tmp_path / "out").exists()


def test_weights_too_large_for_the_file_stand_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    twin = ready(stack("bert", "BertModel", 1, **BERT).transformer, torch.float32)
    size = sum(parameter.nbytes for parameter in twin.parameters())
    for largest, stands_apart in ((size, False), (size - 1, True)):
        monkeypatch.setattr(export, "LARGEST", largest)
        found = export.stored(twin, tmp_path, apart=False)
        assert (tmp_path / "model.onnx_data").exists() == stands_apart
        for name, parameter in twin.named_parameters():
            assert found[id(parameter)].name == name
            assert torch.from_numpy(found[id(parameter)].numpy().copy()).equal(parameter)


def test_internals_go_with_formats_that_have_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["convert", "worked-example", str(tmp_path), "--to", "huggingface", "--internals", "*"]) == 2
    assert "--internals goes with --to onnx or torch-export" in capsys.readouterr().err


def test_what_fails_leaves_the_folder_as_it_was_and_what_succeeds_takes_its_place(tmp_path: Path) -> None:
    def write(then: Callable[[], None]) -> None:
        with aside(tmp_path, ["old", "new"]) as folder:
            (folder / "new").write_text("new")
            then()

    def fail() -> None:
        raise InputError("off")

    (tmp_path / "old").write_text("old")
    with pytest.raises(InputError, match="off"):
        write(fail)
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    write(lambda: None)
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_the_model_itself_is_left_as_it_was() -> None:
    mine = stack("bert", "BertModel", 1, **BERT).transformer
    twin = ready(mine, torch.float16)
    assert mine.tokens.weight.dtype == torch.float32
    assert mine.tokens.weight.requires_grad
    assert twin.tokens.weight.dtype == torch.float16
    shared = ready(mine, torch.float32).tokens.weight
    assert shared.data_ptr() == mine.tokens.weight.data_ptr()
    assert not shared.requires_grad
