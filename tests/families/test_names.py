"""The tables of names: exact in both directions, and at home with what old and odd files hold."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from glassformer.config import TransformerConfig
from glassformer.errors import InputError
from glassformer.families import FAMILIES
from glassformer.families.family import Family
from glassformer.model import Transformer
from glassformer.pretrained import load_transformer, save_transformer
from glassformer.weights import THIRDS, TRANSPOSED, TRANSPOSED_THIRDS, Reshape, exported, imported, rule

from .harness import perturb

SMALL: dict[str, dict[str, Any]] = {
    "bert": {
        "vocab_size": 20,
        "hidden_size": 8,
        "num_attention_heads": 2,
        "intermediate_size": 12,
        "num_hidden_layers": 2,
        "max_position_embeddings": 10,
    },
    "gpt2": {"vocab_size": 20, "n_embd": 8, "n_head": 2, "n_layer": 2, "n_positions": 10},
}
SMALL["roberta"] = SMALL["bert"]
SMALL["transformer"] = {
    "stack": "decoder",
    "vocab_size": 20,
    "d_model": 8,
    "heads": 2,
    "d_ff": 12,
    "decoder_layers": 1,
}
PUBLISHED = ("bert", "roberta", "gpt2")
CLASSES = [(family, name) for family in PUBLISHED for name in FAMILIES[family].architectures]


def small(model_type: str, name: str, **more: Any) -> tuple[Family, dict[str, Any], TransformerConfig]:
    """A small configuration of one class, published and ours."""
    family = FAMILIES[model_type]
    needed = family.architectures[name].requires
    raw = {"model_type": model_type, "architectures": [name], **SMALL[model_type], **needed, **more}
    return family, raw, family.config(raw)


def written(folder: Path, model_type: str, name: str, **more: Any) -> dict[str, Tensor]:
    """A small random model of one class in its folder, and its tensors."""
    _, raw, config = small(model_type, name, **more)
    torch.manual_seed(0)
    model = Transformer(config)
    perturb(model, 0)
    save_transformer(folder, model, raw=raw)
    return load_file(folder / "model.safetensors")


def parameters(folder: Path) -> dict[str, Tensor]:
    """What the folder's model holds."""
    return dict(load_transformer(folder).transformer.named_parameters())


def equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    """Whether two models are the same to the bit."""
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize(("model_type", "name"), CLASSES, ids=[name for _, name in CLASSES])
def test_every_weight_goes_there_and_back(model_type: str, name: str, tied: bool) -> None:
    family, raw, config = small(model_type, name, tie_word_embeddings=tied)
    model = Transformer(config)
    own = {name: parameter.detach() for name, parameter in model.named_parameters()}
    rules = family.names(raw, config)
    theirs = exported(own, rules)
    back = imported(theirs, {name: tuple(tensor.shape) for name, tensor in own.items()}, rules)
    assert equal(own, back)
    assert family.config(family.published(config, raw)) == config


@pytest.mark.parametrize("reshape", [TRANSPOSED, THIRDS, TRANSPOSED_THIRDS], ids=["turned", "thirds", "both"])
@pytest.mark.parametrize("shape", [(6, 9), (9,)], ids=["matrix", "bias"])
def test_a_reshape_has_its_inverse(reshape: Reshape, shape: tuple[int, ...]) -> None:
    stored = torch.randn(shape if reshape is not THIRDS else (9, *shape[1:]))
    pieces = reshape.ours(stored)
    assert torch.equal(reshape.theirs(pieces), stored)
    assert all(torch.equal(*pair) for pair in zip(reshape.ours(reshape.theirs(pieces)), pieces, strict=True))


# ------------------------------------------------------------------ files of other days

Change = Callable[[dict[str, Tensor]], dict[str, Tensor]]


def without_prefix(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix("bert.").removeprefix("transformer."): value for name, value in tensors.items()}


def old_norms(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    ends = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    renamed = {}
    for name, value in tensors.items():
        end = next((end for end in ends if name.endswith(end)), "")
        renamed[name.removesuffix(end) + ends.get(end, "")] = value
    return renamed


def bert_buffers(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {**tensors, "bert.embeddings.position_ids": torch.arange(10)[None]}


def gpt2_buffers(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    mask = {f"transformer.h.{i}.attn.bias": torch.ones(1, 1, 10, 10).tril().bool() for i in range(2)}
    return {
        **tensors,
        **mask,
        **{f"transformer.h.{i}.attn.masked_bias": torch.tensor(-1e4) for i in range(2)},
    }


def bert_copies(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        **tensors,
        "cls.predictions.decoder.weight": tensors["bert.embeddings.word_embeddings.weight"].clone(),
        "cls.predictions.decoder.bias": tensors["cls.predictions.bias"].clone(),
    }


def bert_copies_alone(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    left_out = ("bert.embeddings.word_embeddings.weight", "cls.predictions.bias")
    return {name: value for name, value in bert_copies(tensors).items() if name not in left_out}


def pretraining(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        **tensors,
        "bert.pooler.dense.weight": torch.ones(8, 8),
        "bert.pooler.dense.bias": torch.ones(8),
        "cls.seq_relationship.weight": torch.ones(2, 8),
        "cls.seq_relationship.bias": torch.ones(2),
    }


def gpt2_copy(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {**tensors, "lm_head.weight": tensors["transformer.wte.weight"].clone()}


OLD: list[tuple[str, str, Change]] = [
    ("bert", "BertForMaskedLM", old_norms),
    ("bert", "BertForMaskedLM", without_prefix),
    ("bert", "BertForMaskedLM", bert_buffers),
    ("bert", "BertForMaskedLM", bert_copies),
    ("bert", "BertForMaskedLM", bert_copies_alone),
    ("bert", "BertForMaskedLM", pretraining),
    ("gpt2", "GPT2LMHeadModel", without_prefix),
    ("gpt2", "GPT2LMHeadModel", gpt2_buffers),
    ("gpt2", "GPT2LMHeadModel", gpt2_copy),
]


@pytest.mark.parametrize(("model_type", "name", "change"), OLD, ids=[f"{m}-{c.__name__}" for m, _, c in OLD])
def test_other_files_hold_the_same_model(model_type: str, name: str, change: Change, tmp_path: Path) -> None:
    tensors = written(tmp_path, model_type, name)
    expected = parameters(tmp_path)
    save_file(change(tensors), tmp_path / "model.safetensors")
    assert equal(parameters(tmp_path), expected)


@pytest.mark.parametrize(
    ("model_type", "name", "copy"),
    [
        ("bert", "BertForMaskedLM", "cls.predictions.decoder.weight"),
        ("gpt2", "GPT2LMHeadModel", "lm_head.weight"),
    ],
)
def test_a_copy_that_is_none_is_refused(model_type: str, name: str, copy: str, tmp_path: Path) -> None:
    tensors = written(tmp_path, model_type, name)
    save_file({**tensors, copy: torch.zeros(20, 8)}, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match=f"{copy} differs .* tie_word_embeddings"):
        load_transformer(tmp_path)


def test_a_body_without_its_pooler_is_read_without_one(tmp_path: Path) -> None:
    tensors = written(tmp_path, "bert", "BertModel")
    assert load_transformer(tmp_path).transformer.config.pooler
    kept = {name: value for name, value in tensors.items() if not name.startswith("pooler")}
    save_file(kept, tmp_path / "model.safetensors")
    checkpoint = load_transformer(tmp_path)
    assert not checkpoint.transformer.config.pooler
    save_transformer(tmp_path / "again", checkpoint.transformer, raw=checkpoint.raw)
    assert load_file(tmp_path / "again" / "model.safetensors").keys() == kept.keys()


@pytest.mark.parametrize("model_type", ["bert", "roberta"])
def test_a_body_that_is_said_to_guess_words_is_a_body(model_type: str, tmp_path: Path) -> None:
    """So are many readers of sentences published."""
    name = "Bert" if model_type == "bert" else "Roberta"
    written(tmp_path, model_type, f"{name}Model")
    expected = parameters(tmp_path)
    place = tmp_path / "config.json"
    said = {**json.loads(place.read_text("utf-8")), "architectures": [f"{name}ForMaskedLM"]}
    place.write_text(json.dumps(said), "utf-8")
    checkpoint = load_transformer(tmp_path)
    assert checkpoint.transformer.config.head == "hidden"
    assert equal(dict(checkpoint.transformer.named_parameters()), expected)
    save_transformer(tmp_path / "again", checkpoint.transformer, raw=checkpoint.raw)
    assert json.loads((tmp_path / "again" / "config.json").read_text("utf-8"))["architectures"] == [
        f"{name}Model"
    ]
    tensors = load_file(tmp_path / "model.safetensors")
    tensors["cls.predictions.bias" if model_type == "bert" else "lm_head.bias"] = torch.zeros(20)
    save_file(tensors, place.with_name("model.safetensors"))
    with pytest.raises(
        InputError, match=r"lacks .*dense.weight, .* \(and \d more\)"
    ):  # a part of the head is no body
        load_transformer(tmp_path)


# ------------------------------------------------------------------ configurations


REFUSED = [
    ("bert", {"position_embedding_type": "relative_key"}, "position_embedding_type is 'relative_key'"),
    ("bert", {"add_cross_attention": True}, "add_cross_attention is True"),
    ("bert", {"hidden_act": "mish"}, "hidden_act is 'mish'.*'gelu' or"),
    ("bert", {"hidden_size": 9}, "d_model 9 does not divide into 2 heads"),
    ("bert", {"hidden_size": "wide"}, "hidden_size is 'wide'; expected a number"),
    ("bert", {"is_decoder": "no"}, "is_decoder is 'no'; expected true or false"),
    ("bert", {"hidden_act": ["gelu"]}, r"hidden_act is \['gelu'\]; expected a word"),
    ("roberta", {"pad_token_id": "one"}, "pad_token_id is 'one'; expected a number"),
    (
        "roberta",
        {"architectures": ["RobertaForTokenClassification"], "id2label": ["O", "PER"]},
        "id2label is .* expected an object",
    ),
    ("bert", {"architectures": ["BertForPoetry"]}, "BertForPoetry; of bert, BertForMaskedLM, "),
    ("bert", {"architectures": ["BertLMHeadModel"]}, "is_decoder is .*True"),
    ("gpt2", {"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx is True"),
    ("gpt2", {"reorder_and_upcast_attn": True}, "reorder_and_upcast_attn is True"),
    ("gpt2", {"activation_function": "tanh"}, "activation_function is 'tanh'"),
    ("transformer", {"d_modle": 8}, "no 'd_modle'; did you mean d_model"),
    ("transformer", {"norm": "batch"}, "norm is 'batch'; expected one of 'layer'"),
    ("transformer", {"d_ff": None}, "lacks d_ff"),
]


@pytest.mark.parametrize(("model_type", "more", "sentence"), REFUSED)
def test_what_would_change_the_numbers_is_refused(
    model_type: str, more: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        FAMILIES[model_type].config({"model_type": model_type, **SMALL.get(model_type, {}), **more})


def test_a_silent_key_means_what_it_means_to_others() -> None:
    """No key but the type: the sizes of the paper."""
    assert FAMILIES["bert"].config({"model_type": "bert"}).d_model == 768
    assert FAMILIES["gpt2"].config({"model_type": "gpt2"}).d_ff == 3072
    roberta = FAMILIES["roberta"].config({"model_type": "roberta", "max_position_embeddings": 514})
    assert (roberta.max_positions, roberta.position_offset) == (512, 2)


def test_what_a_configuration_says_besides_is_kept() -> None:
    family, raw, config = small(
        "bert", "BertForMaskedLM", hidden_act="gelu_python", note="of the house", pad_token_id=0
    )
    assert family.published(config, raw).items() >= raw.items()
    wider = TransformerConfig.from_dict({**config.to_dict(), "d_ff": 20})
    assert family.published(wider, raw) == {**family.published(config, raw), "intermediate_size": 20}


def test_a_new_head_makes_a_new_class() -> None:
    family, raw, config = small("bert", "BertForMaskedLM")
    fields = {**config.to_dict(), "head": "sequence-label", "labels": 3, "pooler": True}
    judge = TransformerConfig.from_dict({k: v for k, v in fields.items() if not k.startswith("output_")})
    said = family.published(judge, raw, labels=("bad", "good", "neither"))
    assert said["architectures"] == ["BertForSequenceClassification"]
    assert said["id2label"] == {"0": "bad", "1": "good", "2": "neither"}


def test_a_family_refuses_a_model_that_it_cannot_say() -> None:
    family, raw, config = small("bert", "BertForMaskedLM")
    strange = TransformerConfig.from_dict({**config.to_dict(), "norm_first": True})
    with pytest.raises(InputError, match="norm_first True, but a bert of its kind has False"):
        family.published(strange, raw)


def test_labels_are_those_of_the_checkpoint_in_the_order_of_their_numbers() -> None:
    family, raw, config = small("bert", "BertForTokenClassification", id2label={"1": "PER", "0": "O"})
    assert family.labels(raw, config) == ("O", "PER")
    family, raw, config = small("roberta", "RobertaForSequenceClassification", num_labels=3)
    assert family.labels(raw, config) == ("LABEL_0", "LABEL_1", "LABEL_2")


def test_two_rules_for_one_tensor_are_our_own_mistake() -> None:
    rules = (rule("a.*", "b.*"), rule("a.weight", "c.weight"))
    with pytest.raises(ValueError, match="2 rules"):
        imported({"a.weight": torch.ones(1)}, {"b.weight": (1,)}, rules)


def test_config_json_is_plain_json(tmp_path: Path) -> None:
    written(tmp_path, "gpt2", "GPT2ForSequenceClassification", num_labels=3)
    said = json.loads((tmp_path / "config.json").read_text("utf-8"))
    assert said["model_type"] == "gpt2"
    assert said["dtype"] == "float32"
    assert len(said["id2label"]) == 3
