"""LoRA: the detour computes what it says, and adapters go to `peft` and come back."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from glassformer.adapters import adapt, is_adapter, load_adapter, load_whole, save_adapter, save_mean, settle
from glassformer.errors import InputError
from glassformer.nn.initialization import initialize
from glassformer.nn.low_rank import LowRank, low_ranks, merged
from glassformer.pretrained import Checkpoint, load_transformer
from glassformer.surgery import with_head

transformers = pytest.importorskip("transformers")
peft = pytest.importorskip("peft")
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*gradient_checkpointing.*:FutureWarning"
)  # peft asks transformers

SIZES = {"vocab_size": 40, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 24}
LABELS = ("negative", "neutral", "positive")
IDS = torch.tensor([[1, 5, 9, 3, 2], [4, 4, 8, 2, 7]])
MAPS = ("*attention.query", "*attention.key", "*attention.value", "*attention.output", "*feed_forward.*")


def saved_base(folder: Path, kind: str = "bert") -> Path:
    torch.manual_seed(1)
    if kind == "bert":
        config = transformers.BertConfig(**SIZES, num_hidden_layers=2, max_position_embeddings=32)
        model = transformers.BertModel(config)
    else:
        config = transformers.GPT2Config(
            vocab_size=40, n_embd=16, n_layer=2, n_head=2, n_positions=32, bos_token_id=0, eos_token_id=0
        )
        model = transformers.GPT2LMHeadModel(config)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    model.double().save_pretrained(folder)
    return folder


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return saved_base(tmp_path / "base")


def learnt(checkpoint: Checkpoint, rank: int = 3, alpha: float = 5.0) -> Checkpoint:
    """An adapter whose every number has moved."""
    adapt(checkpoint.transformer, MAPS, rank=rank, alpha=alpha)
    torch.manual_seed(2)
    with torch.no_grad():
        for name, parameter in checkpoint.transformer.named_parameters():
            if ".lora_" in name:
                parameter.normal_(std=0.3)
            elif name.startswith("head.") and parameter is not checkpoint.transformer.tokens.weight:
                parameter.requires_grad_(True).normal_(std=0.3)
    return checkpoint


def ours(checkpoint: Checkpoint) -> torch.Tensor:
    with torch.no_grad():
        model = checkpoint.transformer.eval()
        return model(IDS) if model.encoder is not None else model(target=IDS)


def test_the_detour_is_what_the_paper_says() -> None:
    torch.manual_seed(0)
    linear = nn.Linear(5, 4).double()
    detour = LowRank(linear, rank=2, alpha=3.0)
    x = torch.randn(7, 5, dtype=torch.float64)
    torch.testing.assert_close(detour(x), linear(x), rtol=0, atol=0)  # B is 0 at first
    nn.init.normal_(detour.lora_B)
    expected = x @ (linear.weight + 1.5 * detour.lora_B @ detour.lora_A).T + linear.bias
    torch.testing.assert_close(detour(x), expected, rtol=0, atol=1e-13)


def test_merging_changes_nothing_and_can_be_undone_to_the_bit(base: Path) -> None:
    checkpoint = learnt(with_head(load_transformer(base), "sequence-label", LABELS)[0])
    model = checkpoint.transformer
    before, weights = ours(checkpoint), {name: each.clone() for name, each in model.state_dict().items()}
    with merged(model):
        torch.testing.assert_close(ours(checkpoint), before, rtol=0, atol=1e-12)
        assert not torch.equal(
            model.get_parameter("encoder.layers.0.self_attention.query.weight"),
            weights["encoder.layers.0.self_attention.query.weight"],
        )
    assert all(torch.equal(each, weights[name]) for name, each in model.state_dict().items())
    settle(model)
    assert not low_ranks(model)
    torch.testing.assert_close(ours(checkpoint), before, rtol=0, atol=1e-12)


def test_only_the_detours_learn(base: Path) -> None:
    model = load_transformer(base).transformer
    adapt(model, ["*attention.query"], rank=2, alpha=4.0)
    learning = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert learning == {
        f"encoder.layers.{i}.self_attention.query.lora_{part}" for i in range(2) for part in "AB"
    }


def test_an_adapter_comes_back_the_same(base: Path, tmp_path: Path) -> None:
    checkpoint = learnt(with_head(load_transformer(base), "sequence-label", LABELS)[0])
    save_adapter(checkpoint, tmp_path / "adapter", str(base))
    assert is_adapter(tmp_path / "adapter")
    assert not is_adapter(base)
    again = load_adapter(tmp_path / "adapter")
    assert again.labels == LABELS
    torch.testing.assert_close(ours(again), ours(checkpoint), rtol=0, atol=1e-13)


def test_peft_opens_what_we_save(base: Path, tmp_path: Path) -> None:
    checkpoint = learnt(with_head(load_transformer(base), "sequence-label", LABELS)[0])
    save_adapter(checkpoint, tmp_path / "adapter", str(base))
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(
        base, num_labels=3, dtype=torch.float64
    )
    theirs = peft.PeftModel.from_pretrained(theirs, tmp_path / "adapter").double().eval()
    with torch.no_grad():
        torch.testing.assert_close(theirs(IDS).logits, ours(checkpoint), rtol=0, atol=1e-6)


def test_we_open_what_peft_saves(base: Path, tmp_path: Path) -> None:
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(
        base, num_labels=3, dtype=torch.float64
    )
    config = peft.LoraConfig(
        task_type="SEQ_CLS",
        r=3,
        lora_alpha=5,
        target_modules=["query", "value", "dense"],
        modules_to_save=["classifier", "pooler"],
        exclude_modules=["pooler.dense", "bert.pooler.dense"],
        init_lora_weights=False,
    )
    model = peft.get_peft_model(theirs, config).double().eval()
    model.save_pretrained(tmp_path / "adapter")
    checkpoint = load_adapter(tmp_path / "adapter")
    with torch.no_grad():
        torch.testing.assert_close(ours(checkpoint), model(IDS).logits, rtol=0, atol=1e-6)
    assert checkpoint.labels == ("LABEL_0", "LABEL_1", "LABEL_2")


@pytest.fixture
def gpt2(tmp_path: Path) -> Path:
    return saved_base(tmp_path / "gpt2", "gpt2")


def test_three_detours_beside_one_stored_matrix_go_to_peft_as_one(gpt2: Path, tmp_path: Path) -> None:
    checkpoint = learnt(load_transformer(gpt2))
    save_adapter(checkpoint, tmp_path / "adapter", str(gpt2))
    again = load_adapter(tmp_path / "adapter")
    torch.testing.assert_close(ours(again), ours(checkpoint), rtol=0, atol=1e-12)
    assert {each.rank for each in low_ranks(again.transformer).values()} == {3}
    theirs = transformers.AutoModelForCausalLM.from_pretrained(gpt2, dtype=torch.float64)
    theirs = peft.PeftModel.from_pretrained(theirs, tmp_path / "adapter").double().eval()
    with torch.no_grad():
        torch.testing.assert_close(theirs(IDS).logits, ours(checkpoint), rtol=0, atol=1e-6)


def test_one_detour_of_peft_beside_a_stored_matrix_becomes_three(gpt2: Path, tmp_path: Path) -> None:
    theirs = transformers.AutoModelForCausalLM.from_pretrained(gpt2, dtype=torch.float64)
    config = peft.LoraConfig(
        task_type="CAUSAL_LM", r=3, lora_alpha=5, target_modules=["c_attn"], init_lora_weights=False,
        fan_in_fan_out=True, use_rslora=True,
    )  # fmt: skip
    model = peft.get_peft_model(theirs, config).double().eval()
    model.save_pretrained(tmp_path / "adapter")
    with torch.no_grad():
        expected = model(IDS).logits
    torch.testing.assert_close(ours(load_adapter(tmp_path / "adapter")), expected, rtol=0, atol=1e-6)


def test_a_part_of_a_stored_matrix_cannot_be_said_to_peft(gpt2: Path, tmp_path: Path) -> None:
    checkpoint = load_transformer(gpt2)
    adapt(checkpoint.transformer, ["*attention.query"], rank=2, alpha=4.0)
    with pytest.raises(InputError, match="attention.key.weight has no adapter"):
        save_adapter(checkpoint, tmp_path / "adapter", str(gpt2))


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
@pytest.mark.parametrize(("rank", "alpha"), [(3, 5.0), (2, 5.0), (2, 7.0)])
def test_an_adapter_over_an_adapter_is_written_as_one(kind: str, rank: int, alpha: float, tmp_path: Path) -> None:
    """Beside the model that the first one stands beside; a map that only the first one has keeps its detour."""
    root = saved_base(tmp_path / "root", kind)
    first = learnt(load_transformer(root))
    save_adapter(first, tmp_path / "first", str(root))
    second = load_whole(tmp_path / "first")
    adapt(second.transformer, [each for each in MAPS if "feed_forward" not in each], rank=rank, alpha=alpha)
    torch.manual_seed(4)
    with torch.no_grad():
        for name, parameter in second.transformer.named_parameters():
            if ".lora_" in name:
                parameter.normal_(std=0.3)
    save_adapter(second, tmp_path / "second", str(tmp_path / "first"))
    said = json.loads((tmp_path / "second" / "adapter_config.json").read_text())
    assert said["base_model_name_or_path"] == str(root)
    found = load_adapter(tmp_path / "second")
    assert any(each.rank == 3 for each in low_ranks(found.transformer).values())
    assert torch.allclose(ours(found), ours(second), atol=1e-12)
    assert not torch.allclose(ours(found), ours(first), atol=1e-2)
    settle(found.transformer)
    assert torch.allclose(ours(found), ours(second), atol=1e-12)


def test_what_cannot_be_computed_is_refused(base: Path, tmp_path: Path) -> None:
    checkpoint = learnt(with_head(load_transformer(base), "sequence-label", LABELS)[0])
    save_adapter(checkpoint, tmp_path / "adapter", str(base))
    said = tmp_path / "adapter" / "adapter_config.json"
    said.write_text(said.read_text().replace('"peft_type": "LORA"', '"peft_type": "IA3"'))
    with pytest.raises(InputError, match="peft_type is 'IA3'; only 'LORA'"):
        load_adapter(tmp_path / "adapter")
    with pytest.raises(InputError, match="no linear map of this model is called nothing"):
        adapt(load_transformer(base).transformer, ["nothing"], rank=2, alpha=4.0)


def test_opening_an_adapter_draws_its_head_alone(base: Path, tmp_path: Path) -> None:
    """What is read from files is not drawn at random first: that took longer than all the rest."""
    checkpoint = learnt(with_head(load_transformer(base), "sequence-label", LABELS)[0])
    save_adapter(checkpoint, tmp_path / "adapter", str(base))
    torch.manual_seed(3)
    load_adapter(tmp_path / "adapter")
    after = torch.rand(4)
    torch.manual_seed(3)
    initialize(checkpoint.transformer.head, checkpoint.transformer.config)
    torch.testing.assert_close(torch.rand(4), after, rtol=0, atol=0)


def test_the_mean_of_adapters_adds_the_mean_of_what_each_adds(base: Path, tmp_path: Path) -> None:
    """By weights, in peft too; narrowed it is the nearest of its width, and the same where nothing is lost."""
    folders, shares = [tmp_path / "one", tmp_path / "two"], (0.25, 0.75)
    for folder, rank in zip(folders, (2, 3), strict=True):
        adapted = learnt(with_head(load_transformer(base), "sequence-label", LABELS)[0], rank=rank)
        save_adapter(adapted, folder, str(base))
    wholes = [dict(load_whole(each).transformer.named_parameters()) for each in folders]
    save_mean(folders, tmp_path / "mean", shares)
    save_mean(folders, tmp_path / "as wide", shares, rank=5)
    save_mean(folders, tmp_path / "narrow", shares, rank=1)
    mean, wide, narrow = (
        dict(load_whole(tmp_path / name).transformer.named_parameters()) for name in ("mean", "as wide", "narrow")
    )
    plain = dict(load_transformer(base).transformer.named_parameters())
    for name, found in mean.items():
        expected = sum(share * whole[name] for share, whole in zip(shares, wholes, strict=True))
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
        torch.testing.assert_close(wide[name], expected, rtol=0, atol=1e-12)
        if "attention.query.weight" in name:
            added = expected - plain[name]
            left = torch.linalg.matrix_norm(narrow[name] - plain[name] - added, ord=2)
            torch.testing.assert_close(left, torch.linalg.svdvals(added)[1], rtol=1e-6, atol=1e-12)
    opened = peft.PeftModel.from_pretrained(
        transformers.AutoModelForSequenceClassification.from_pretrained(base, num_labels=3), tmp_path / "mean"
    )
    with torch.no_grad():
        theirs = opened.double().eval()(IDS).logits
        ours = load_whole(tmp_path / "mean").transformer.eval()(IDS)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)
