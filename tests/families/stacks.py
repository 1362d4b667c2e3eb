"""Families of one stack: a family's whole test is its name and how to draw a tiny configuration of it.

`transformers` computes some steps in float32 whatever the model is (the norms and turns of Llama, softmax in its plain
attention). `exact` raises these to float64, so that what is compared is the arithmetic and not the rounding; beside it
stands the difference from the reference as it is.
"""

import importlib
import json
import random
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import torch
import transformers
from torch import Tensor

from glassformer.config import TransformerConfig
from glassformer.data.batch import Batch
from glassformer.decoding.options import Decoding
from glassformer.decoding.search import search
from glassformer.glass.trace import Trace
from glassformer.model import Transformer
from glassformer.nn.cache import Cache
from glassformer.pretrained import Checkpoint, load_transformer, save

from .harness import Inputs, padded, perturb

Settings = dict[str, Any]
PAD, END, PROMPTS, NEW = 3, 2, 20, 8


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A family of one stack as `transformers` has it."""

    config: str  # the class of its configurations
    draw: Callable[[random.Random], Settings]
    classes: tuple[str, ...]
    counts_itself: bool = False  # numbers the positions by the padding of the ids, and takes no position_ids
    fused: str = "sdpa"  # its attention, as it is


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The largest differences found, over all classes and paddings."""

    loaded: float = 0.0  # theirs and ours, of their file
    reopened: float = 0.0  # theirs and theirs again, of our file
    steps: float = 0.0  # hidden rows of every layer, and attention weights
    glass: float = 0.0  # with a trace and without
    formulas: float = 0.0  # every step and its formula
    cached: float = 0.0  # token by token and whole
    as_it_is: float = 0.0  # as `loaded`, where the reference rounds to float32 on its way
    tokens: int = 0  # written alike, greedy and with five beams

    def and_(self, other: "Measured") -> "Measured":
        """The worst of both; tokens are counted together."""
        first, second = asdict(self), asdict(other)
        worst = {name: max(value, second[name]) for name, value in first.items()}
        return Measured(**{**worst, "tokens": self.tokens + other.tokens})


# ------------------------------------------------------------------ the reference, in float64 throughout


class Wide:
    """torch, where float32 means float64."""

    def __getattr__(self, name: str) -> Any:
        return torch.float64 if name in ("float32", "float") else getattr(torch, name)

    def tensor(self, value: Any, **more: Any) -> Tensor:
        """A number is kept whole."""
        return torch.tensor(value, **({"dtype": torch.float64} if isinstance(value, float) else {}) | more)


@contextmanager
def exact(config: type) -> Iterator[None]:
    """Inside, a family's own code computes everything in float64."""
    home = config.__module__.replace("configuration_", "modeling_")
    modules: list[ModuleType] = [
        importlib.import_module(name) for name in (home, "transformers.modeling_rope_utils")
    ]
    for module in modules:
        module.torch = Wide()  # type: ignore[attr-defined]
    try:
        with mock.patch.object(Tensor, "float", Tensor.double):
            yield
    finally:
        for module in modules:
            module.torch = torch  # type: ignore[attr-defined]


def built(stack: Stack, name: str, settings: Settings, seed: int) -> Any:
    """A random model of theirs, every parameter moved."""
    config = getattr(transformers, stack.config)(**settings, attn_implementation="eager")
    torch.manual_seed(seed)  # whatever was drawn before, the same model
    model = getattr(transformers, name)(config).double().eval()
    perturb(model, seed)
    return model


def reopened(folder: Path, attention: str = "eager") -> Any:
    """A folder of ours, opened by theirs; no weight may be missing or left over."""
    (name,) = json.loads((folder / "config.json").read_text("utf-8"))["architectures"]
    model, told = getattr(transformers, name).from_pretrained(
        folder, attn_implementation=attention, output_loading_info=True
    )
    assert not told["missing_keys"], told
    assert not told["unexpected_keys"], told
    assert model.dtype == torch.float64
    return model.eval()


def settings_of(stack: Stack, name: str, seed: int) -> Settings:
    """A random configuration that suits a class."""
    settings = {
        "pad_token_id": PAD,
        "bos_token_id": 1,
        "eos_token_id": END,
        **stack.draw(random.Random(seed)),
    }
    if name.endswith("QuestionAnswering"):
        settings["num_labels"] = 2  # a start and an end
    if name.endswith(("ForCausalLM", "LMHeadModel")) and "type_vocab_size" in settings:
        settings["is_decoder"] = True
    return settings


def asked(stack: Stack, model: Any, batch: Inputs, **more: Any) -> Any:
    """What they make of a batch."""
    arguments: dict[str, Any] = {"input_ids": batch.ids, "attention_mask": batch.mask}
    if getattr(model.config, "type_vocab_size", 0):
        arguments["token_type_ids"] = batch.segments
    if type(model).__name__.endswith("MultipleChoice"):  # these are padded on the right alone
        arguments = {name: value[:, None] for name, value in arguments.items()}
    elif not stack.counts_itself:
        arguments["position_ids"] = batch.positions
    return model(**arguments, **more)


def answered(given: Any) -> Tensor:
    """Their answer as one tensor."""
    for name in ("prediction_logits", "logits"):
        if name in given:
            return given[name]
    if "start_logits" in given:
        return torch.stack([given.start_logits, given.end_logits], dim=-1)
    return given.last_hidden_state


# ------------------------------------------------------------------ ours


def answer(model: Transformer, batch: Inputs, **more: Any) -> Tensor:
    """Ours to the same batch."""
    segments = batch.segments if model.config.segments else None
    if model.decoder is None:
        return model(batch.ids, source_mask=batch.mask, segments=segments, **more)
    return model(None, batch.ids, target_mask=batch.mask, segments=segments, **more)


def apart(theirs: Tensor, ours: Tensor, batch: Inputs) -> float:
    """The largest difference at a real position, or of any text's labels; two labels may be theirs in one score."""
    if ours.ndim == theirs.ndim + 1:
        ours = ours[..., 1] - ours[..., 0]
    assert theirs.shape == ours.shape
    gap = (theirs - ours).abs()
    assert gap.isfinite().all()
    return float((gap[batch.mask.bool()] if gap.shape[:2] == batch.mask.shape else gap).max())


def batches(config: TransformerConfig, settings: Settings, seed: int) -> Iterator[Inputs]:
    """Padded on the right; on the left too, unless they would read padding there."""
    for side in ("right", "left"):
        if side == "right" or (config.head, config.pooling) != ("sequence-label", "first"):
            pad = settings["pad_token_id"]
            yield padded(settings["vocab_size"], settings.get("type_vocab_size", 0), pad, seed, side)


def traced(model: Transformer, given: Any, batch: Inputs) -> Measured:
    """Every step beside its formula, and beside theirs where they show it."""
    trace = Trace()
    seen = answer(model, batch, trace=trace)
    verified = trace.verify()
    assert not verified.unchecked
    config, real = model.config, batch.mask.bool()
    side, layers = config.stack, config.encoder_layers + config.decoder_layers
    last = "after_feed_forward" if config.norm_first else "feed_forward_norm.output"
    names = [f"{side}.layers.{layer}.{last}" for layer in range(layers)]
    rows = zip((f"{side}.embedding.output", *names[:-1], f"{side}.output"), given.hidden_states, strict=True)
    gaps = [(trace[name].value - value)[real].abs().max() for name, value in rows]
    weights = zip(range(layers), given.attentions, strict=True)
    for layer, value in weights:
        own = trace[f"{side}.layers.{layer}.self_attention.weights"].value
        gaps.append((own - value).transpose(1, 2)[real].abs().max())
    return Measured(
        steps=float(max(gaps)),
        formulas=verified.max_error,
        glass=float((seen - answer(model, batch)).abs().max()),
    )


def cached(model: Transformer, batch: Inputs) -> float:
    """Three positions, then one by one, beside all at once."""
    whole, cache, parts = answer(model, batch), Cache(), []
    for start, end in ((0, 3), *((place, place + 1) for place in range(3, batch.ids.shape[1]))):
        new, mask = batch.ids[:, start:end], batch.mask[:, :end]
        segments = batch.segments[:, start:end] if model.config.segments else None
        parts.append(model(None, new, target_mask=mask, segments=segments, cache=cache))
    return apart(whole, torch.cat(parts, dim=1), batch)


def written(theirs: Any, ours: Transformer, seed: int) -> int:
    """How many tokens both write alike after random prompts; another one is an error."""
    chance = random.Random(seed)
    lengths = tuple(chance.randint(1, 6) for _ in range(PROMPTS))
    batch, count = padded(ours.config.vocab_size, 0, PAD, seed, "left", lengths), 0
    for beams in (1, 5):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rows = theirs.generate(
                batch.ids, attention_mask=batch.mask, do_sample=False, num_beams=beams, max_new_tokens=NEW,
                eos_token_id=END, pad_token_id=PAD,
            )[:, batch.ids.shape[1] :]  # fmt: skip
        options = Decoding(num_beams=beams, max_new_tokens=NEW)
        given = Batch(target=batch.ids, target_mask=batch.mask)
        for (best, *_), row in zip(search(ours, given, options, ends=(END,)), rows.tolist(), strict=True):
            assert (*best.ids, *[PAD] * (len(row) - len(best.ids))) == tuple(row)
            count += len(best.ids)
    return count


# ------------------------------------------------------------------ all of it


@torch.no_grad()
def measured(stack: Stack, name: str, seed: int, folder: Path) -> Measured:
    """One random model of one class: written by them and read by us, written by us and read by them."""
    settings, config = settings_of(stack, name, seed), getattr(transformers, stack.config)
    with exact(config):
        reference = built(stack, name, settings, seed)
        reference.save_pretrained(folder / "theirs")
        checkpoint = load_transformer(folder / "theirs")
        assert checkpoint.transformer.config.dtype == "float64"
        save(checkpoint, folder / "ours")
        again = reopened(folder / "ours")
        found = compared(stack, reference, again, checkpoint, settings, seed)
        if name.endswith(("ForCausalLM", "LMHeadModel")) and "type_vocab_size" not in settings:
            found = found.and_(Measured(tokens=written(reference, checkpoint.transformer, seed)))
    return found.and_(Measured(as_it_is=rounded(stack, folder / "ours", settings, seed, checkpoint)))


def compared(
    stack: Stack, reference: Any, again: Any, checkpoint: Checkpoint, settings: Settings, seed: int
) -> Measured:
    """Theirs, ours and theirs from our file, on padded batches."""
    model, found = checkpoint.transformer, Measured()
    for batch in batches(model.config, settings, seed):
        given = asked(stack, reference, batch, output_hidden_states=True, output_attentions=True)
        expected = answered(given)
        assert float(expected.abs().max()) > 0.01
        second = answered(asked(stack, again, batch))
        found = found.and_(
            Measured(
                loaded=apart(expected, answer(model, batch), batch), reopened=apart(expected, second, batch)
            )
        )
        found = found.and_(traced(model, given, batch))
        if model.config.head == "language-model":
            found = found.and_(Measured(cached=cached(model, batch)))
    return found


def rounded(stack: Stack, folder: Path, settings: Settings, seed: int, checkpoint: Checkpoint) -> float:
    """The difference from the reference as it is, on one batch.

    Its fused attention: the plain one makes no numbers of a row that may look nowhere, in float64.
    """
    reference = reopened(folder, stack.fused)
    batch = next(batches(checkpoint.transformer.config, settings, seed))
    return apart(answered(asked(stack, reference, batch)), answer(checkpoint.transformer, batch), batch)


# ------------------------------------------------------------------ the families


def small(chance: random.Random, heads: str = "num_attention_heads", size: str = "hidden_size") -> Settings:
    """What all have, under these names."""
    count = chance.choice([1, 2, 4])
    return {
        "vocab_size": chance.randint(20, 60),
        heads: count,
        size: count * chance.choice([4, 8]),
        "num_labels": chance.choice([1, 2, 3, 5]),
        "tie_word_embeddings": chance.random() < 0.7,
    }


def draw_bert(chance: random.Random) -> Settings:
    """A small BERT, or one of those that resemble it."""
    return {
        **small(chance),
        "num_hidden_layers": chance.randint(1, 3),
        "intermediate_size": chance.randint(5, 40),
        "hidden_act": chance.choice(["gelu", "gelu_new", "relu", "silu"]),
        "max_position_embeddings": chance.randint(12, 20),
        "type_vocab_size": chance.randint(1, 3),
        "layer_norm_eps": chance.choice([1e-12, 1e-5, 1e-3]),
    }


def draw_roberta(chance: random.Random) -> Settings:
    """The same with a padding id that moves the positions."""
    return {**draw_bert(chance), "pad_token_id": chance.choice([1, 1, 0, 3])}


def draw_gpt2(chance: random.Random) -> Settings:
    """A small GPT-2."""
    return {
        **small(chance, heads="n_head", size="n_embd"),
        "n_layer": chance.randint(1, 3),
        "n_inner": chance.choice([None, 11, 40]),
        "n_positions": chance.randint(16, 20),
        "activation_function": chance.choice(["gelu_new", "gelu", "relu", "silu", "gelu_pytorch_tanh"]),
        "layer_norm_epsilon": chance.choice([1e-5, 1e-12, 1e-3]),
        "scale_attn_weights": chance.random() < 0.7,
    }


def draw_albert(chance: random.Random) -> Settings:
    """Narrow tables, few distinct layers."""
    layers = chance.randint(2, 4)
    return {
        **draw_bert(chance),
        "embedding_size": chance.choice([5, 8]),
        "num_hidden_layers": layers,
        "num_hidden_groups": chance.choice([1, 2, layers]),
    }


def draw_distilbert(chance: random.Random) -> Settings:
    """Other words for the same."""
    return {
        **small(chance, heads="n_heads", size="dim"),
        "n_layers": chance.randint(1, 3),
        "hidden_dim": chance.randint(5, 40),
        "activation": chance.choice(["gelu", "relu"]),
        "max_position_embeddings": chance.randint(12, 20),
    }


def draw_electra(chance: random.Random) -> Settings:
    """Narrow tables, or as wide as the model."""
    drawn = draw_bert(chance)
    return {**drawn, "embedding_size": chance.choice([5, 8, drawn["hidden_size"]])}


def draw_opt(chance: random.Random) -> Settings:
    """Norms first or last."""
    return {
        **small(chance),
        "num_hidden_layers": chance.randint(1, 3),
        "ffn_dim": chance.randint(5, 40),
        "max_position_embeddings": chance.randint(18, 24),
        "do_layer_norm_before": chance.random() < 0.7,
        "_remove_final_layer_norm": chance.random() < 0.2,
        "enable_bias": chance.random() < 0.7,
        "activation_function": chance.choice(["relu", "gelu"]),
    }


def draw_gpt_neox(chance: random.Random) -> Settings:
    """A part of each head turns."""
    drawn = small(chance)
    return {
        **drawn,
        "num_hidden_layers": chance.randint(1, 3),
        "intermediate_size": chance.randint(5, 40),
        "hidden_act": chance.choice(["gelu", "gelu_new", "relu"]),
        "use_parallel_residual": chance.random() < 0.7,
        "attention_bias": chance.random() < 0.7,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": chance.choice([10000.0, 500.0]),
            "partial_rotary_factor": chance.choice([0.5, 1.0]),
        },
    }


TURNS = (
    {"rope_type": "default", "rope_theta": 10000.0},
    {"rope_type": "linear", "rope_theta": 500.0, "factor": 3.0},
    {
        "rope_type": "llama3",
        "rope_theta": 100.0,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 20,
    },
)


def draw_llama(chance: random.Random) -> Settings:
    """Keys shared by some query heads, or by none; every way to turn."""
    drawn = small(chance)
    return {
        **drawn,
        "num_key_value_heads": chance.choice([1, drawn["num_attention_heads"]]),
        "num_hidden_layers": chance.randint(1, 3),
        "intermediate_size": chance.randint(5, 40),
        "max_position_embeddings": 64,
        "rope_parameters": dict(chance.choice(TURNS)),
        "attention_bias": chance.random() < 0.3,
        "mlp_bias": chance.random() < 0.3,
        "head_dim": chance.choice([6, drawn["hidden_size"] // drawn["num_attention_heads"]]),
    }


def draw_mistral(chance: random.Random) -> Settings:
    """A short window, or none."""
    drawn = draw_llama(chance)
    del drawn["attention_bias"], drawn["mlp_bias"]
    return {**drawn, "sliding_window": chance.choice([2, 3, 4, None])}


def draw_qwen2(chance: random.Random) -> Settings:
    """No choice of biases, nor of the size of a head; some layers, or all, may see through a window."""
    drawn = draw_llama(chance)
    del drawn["attention_bias"], drawn["mlp_bias"], drawn["head_dim"]
    return {
        **drawn,
        "num_hidden_layers": 3,
        "use_sliding_window": chance.random() < 0.5,
        "sliding_window": chance.choice([2, 3]),
        "max_window_layers": chance.choice([0, 1, 2]),
    }


def draw_qwen3(chance: random.Random) -> Settings:
    """The size of a head, and all biases of attention together, may be chosen."""
    heads = {"head_dim": chance.choice([6, 8]), "attention_bias": chance.random() < 0.3}
    return {**draw_qwen2(chance), **heads}


def draw_gemma(chance: random.Random) -> Settings:
    """Llama's words but for the wide layer's biases."""
    drawn = draw_llama(chance)
    del drawn["mlp_bias"]
    return {**drawn, "hidden_act": chance.choice(["gelu_pytorch_tanh", "gelu"])}


def draw_phi(chance: random.Random) -> Settings:
    """A part of each head turns; queries and keys may be normed."""
    drawn = small(chance)
    return {
        **drawn,
        "num_key_value_heads": chance.choice([1, drawn["num_attention_heads"]]),
        "num_hidden_layers": chance.randint(1, 3),
        "intermediate_size": chance.randint(5, 40),
        "max_position_embeddings": 64,
        "qk_layernorm": chance.random() < 0.5,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": chance.choice([10000.0, 500.0]),
            "partial_rotary_factor": chance.choice([0.5, 1.0]),
        },
    }


def draw_phi3(chance: random.Random) -> Settings:
    """All maps of attention in one; a window, or none."""
    drawn = draw_phi(chance)
    del drawn["qk_layernorm"]
    return {**drawn, "sliding_window": chance.choice([2, 3, None])}


def draw_mpnet(chance: random.Random) -> Settings:
    """One kind of text, and a padding id that the code knows by heart."""
    drawn = draw_bert(chance)
    del drawn["type_vocab_size"]
    return {**drawn, "pad_token_id": 1}


def draw_gpt_neo(chance: random.Random) -> Settings:
    """Some layers look back only so far, or none, or all."""
    return {
        **small(chance, heads="num_heads"),
        "num_layers": 2,
        "attention_types": chance.choice(
            [
                [[["global", "local"], 1]],
                [[["global"], 1], [["local"], 1]],
                [[["global"], 2]],
                [[["local"], 2]],
            ]
        ),
        "window_size": chance.choice([2, 3]),
        "intermediate_size": chance.choice([None, 11, 40]),
        "max_position_embeddings": chance.randint(18, 24),
        "activation_function": chance.choice(["gelu_new", "relu"]),
    }


def of(name: str, *kinds: str) -> tuple[str, ...]:
    """The names of a family's classes."""
    return tuple(f"{name}{kind}" for kind in kinds)


READS = ("ForTokenClassification", "ForQuestionAnswering", "Model")
LABELS = ("ForSequenceClassification", "ForMultipleChoice", *READS)
TAGS = ("ForTokenClassification", "Model")
WRITES = ("ForCausalLM", "ForSequenceClassification")

STACKS: dict[str, Stack] = {
    "bert": Stack(
        config="BertConfig",
        draw=draw_bert,
        classes=of(
            "Bert", "ForMaskedLM", "ForPreTraining", "LMHeadModel", "ForNextSentencePrediction", *LABELS
        ),
    ),
    "roberta": Stack(
        config="RobertaConfig",
        draw=draw_roberta,
        classes=of("Roberta", "ForMaskedLM", "ForCausalLM", *LABELS),
        counts_itself=True,
    ),
    "gpt2": Stack(
        config="GPT2Config",
        draw=draw_gpt2,
        classes=of("GPT2", "LMHeadModel", "DoubleHeadsModel", "ForSequenceClassification", *READS),
    ),
    "distilbert": Stack(
        config="DistilBertConfig", draw=draw_distilbert, classes=of("DistilBert", "ForMaskedLM", *LABELS)
    ),
    "albert": Stack(
        config="AlbertConfig",
        draw=draw_albert,
        classes=of("Albert", "ForMaskedLM", "ForPreTraining", *LABELS),
    ),
    "electra": Stack(
        config="ElectraConfig",
        draw=draw_electra,
        classes=of("Electra", "ForPreTraining", "ForMaskedLM", "ForCausalLM", *LABELS),
    ),
    "xlm-roberta": Stack(
        config="XLMRobertaConfig",
        draw=draw_roberta,
        classes=of("XLMRoberta", "ForMaskedLM", "ForCausalLM", *LABELS),
        counts_itself=True,
    ),
    "camembert": Stack(
        config="CamembertConfig",
        draw=draw_roberta,
        classes=of("Camembert", "ForMaskedLM", "ForCausalLM", *LABELS),
        counts_itself=True,
    ),
    "opt": Stack(
        config="OPTConfig", draw=draw_opt, classes=of("OPT", *WRITES, "ForQuestionAnswering", "Model")
    ),
    "gpt_neox": Stack(config="GPTNeoXConfig", draw=draw_gpt_neox, classes=of("GPTNeoX", *WRITES, *READS)),
    "llama": Stack(config="LlamaConfig", draw=draw_llama, classes=of("Llama", *WRITES, *READS)),
    "mistral": Stack(config="MistralConfig", draw=draw_mistral, classes=of("Mistral", *WRITES, *READS)),
    "qwen2": Stack(config="Qwen2Config", draw=draw_qwen2, classes=of("Qwen2", *WRITES, *READS)),
    "qwen3": Stack(config="Qwen3Config", draw=draw_qwen3, classes=of("Qwen3", *WRITES, *READS)),
    "gemma": Stack(config="GemmaConfig", draw=draw_gemma, classes=of("Gemma", *WRITES, *TAGS)),
    "phi": Stack(config="PhiConfig", draw=draw_phi, classes=of("Phi", *WRITES, *TAGS)),
    "phi3": Stack(config="Phi3Config", draw=draw_phi3, classes=of("Phi3", *WRITES, *TAGS)),
    "mpnet": Stack(
        config="MPNetConfig",
        draw=draw_mpnet,
        classes=of("MPNet", "ForMaskedLM", *LABELS),
        counts_itself=True,
        fused="eager",
    ),
    "gpt_neo": Stack(
        config="GPTNeoConfig", draw=draw_gpt_neo, classes=of("GPTNeo", *WRITES, *READS), fused="eager"
    ),
}
