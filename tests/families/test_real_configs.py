"""What published checkpoints say of themselves: read as `transformers` reads it, with as many parameters."""

from typing import Any

import pytest
import torch
import transformers

from glassformer.errors import InputError
from glassformer.families import family_of
from glassformer.model import Transformer

LLAMA_3 = {
    "factor": 32.0,
    "high_freq_factor": 4.0,
    "low_freq_factor": 1.0,
    "original_max_position_embeddings": 8192,
    "rope_type": "llama3",
}
REAL: dict[str, dict[str, Any]] = {  # as published, but for keys that change no number
    "distilbert-base-uncased-finetuned-sst-2-english": {
        "activation": "gelu", "architectures": ["DistilBertForSequenceClassification"], "dim": 768,
        "finetuning_task": "sst-2", "hidden_dim": 3072, "id2label": {"0": "NEGATIVE", "1": "POSITIVE"},
        "label2id": {"NEGATIVE": 0, "POSITIVE": 1}, "max_position_embeddings": 512, "model_type": "distilbert",
        "n_heads": 12, "n_layers": 6, "output_past": True, "pad_token_id": 0, "sinusoidal_pos_embds": False,
        "tie_weights_": True, "vocab_size": 30522,
    },
    "albert-base-v2": {
        "architectures": ["AlbertForMaskedLM"], "attention_probs_dropout_prob": 0, "down_scale_factor": 1,
        "embedding_size": 128, "gap_size": 0, "hidden_act": "gelu_new", "hidden_dropout_prob": 0,
        "hidden_size": 768, "inner_group_num": 1, "intermediate_size": 3072, "layer_norm_eps": 1e-12,
        "max_position_embeddings": 512, "model_type": "albert", "net_structure_type": 0,
        "num_attention_heads": 12, "num_hidden_groups": 1, "num_hidden_layers": 12, "num_memory_blocks": 0,
        "type_vocab_size": 2, "vocab_size": 30000,
    },
    "google/electra-small-discriminator": {
        "architectures": ["ElectraForPreTraining"], "embedding_size": 128, "hidden_act": "gelu",
        "hidden_size": 256, "intermediate_size": 1024, "layer_norm_eps": 1e-12, "model_type": "electra",
        "max_position_embeddings": 512, "num_attention_heads": 4, "num_hidden_layers": 12,
        "type_vocab_size": 2, "vocab_size": 30522,
    },
    "xlm-roberta-base": {
        "architectures": ["XLMRobertaForMaskedLM"], "bos_token_id": 0, "eos_token_id": 2, "hidden_act": "gelu",
        "hidden_size": 768, "intermediate_size": 3072, "layer_norm_eps": 1e-05, "max_position_embeddings": 514,
        "model_type": "xlm-roberta", "num_attention_heads": 12, "num_hidden_layers": 12,
        "output_past": True, "pad_token_id": 1, "position_embedding_type": "absolute", "type_vocab_size": 1,
        "vocab_size": 250002,
    },
    "camembert-base": {
        "architectures": ["CamembertForMaskedLM"], "bos_token_id": 5, "eos_token_id": 6, "hidden_act": "gelu",
        "hidden_size": 768, "intermediate_size": 3072, "layer_norm_eps": 1e-05, "max_position_embeddings": 514,
        "model_type": "camembert", "num_attention_heads": 12, "num_hidden_layers": 12, "pad_token_id": 1,
        "type_vocab_size": 1, "vocab_size": 32005,
    },
    "facebook/opt-125m": {
        "_remove_final_layer_norm": False, "activation_function": "relu", "architectures": ["OPTForCausalLM"],
        "attention_dropout": 0.0, "do_layer_norm_before": True, "dropout": 0.1, "ffn_dim": 3072,
        "hidden_size": 768, "max_position_embeddings": 2048, "model_type": "opt", "num_attention_heads": 12,
        "num_hidden_layers": 12, "pad_token_id": 1, "vocab_size": 50272, "word_embed_proj_dim": 768,
    },
    "EleutherAI/pythia-70m": {
        "architectures": ["GPTNeoXForCausalLM"], "bos_token_id": 0, "eos_token_id": 0, "hidden_act": "gelu",
        "hidden_size": 512, "intermediate_size": 2048, "layer_norm_eps": 1e-05, "max_position_embeddings": 2048,
        "model_type": "gpt_neox", "num_attention_heads": 8, "num_hidden_layers": 6, "rotary_emb_base": 10000,
        "rotary_pct": 0.25, "tie_word_embeddings": False, "use_parallel_residual": True, "vocab_size": 50304,
    },
    "TinyLlama/TinyLlama-1.1B-Chat-v1.0": {
        "architectures": ["LlamaForCausalLM"], "attention_bias": False, "hidden_act": "silu",
        "hidden_size": 2048, "intermediate_size": 5632, "max_position_embeddings": 2048, "model_type": "llama",
        "num_attention_heads": 32, "num_hidden_layers": 22, "num_key_value_heads": 4, "pretraining_tp": 1,
        "rms_norm_eps": 1e-05, "rope_scaling": None, "rope_theta": 10000.0, "tie_word_embeddings": False,
        "vocab_size": 32000,
    },
    "HuggingFaceTB/SmolLM-135M": {
        "architectures": ["LlamaForCausalLM"], "attention_bias": False, "hidden_act": "silu",
        "hidden_size": 576, "intermediate_size": 1536, "max_position_embeddings": 2048, "model_type": "llama",
        "num_attention_heads": 9, "num_hidden_layers": 30, "num_key_value_heads": 3, "rms_norm_eps": 1e-05,
        "rope_scaling": None, "rope_theta": 10000.0, "tie_word_embeddings": True, "vocab_size": 49152,
    },
    "meta-llama/Llama-3.2-1B": {
        "architectures": ["LlamaForCausalLM"], "attention_bias": False, "head_dim": 64, "hidden_act": "silu",
        "hidden_size": 2048, "intermediate_size": 8192, "max_position_embeddings": 131072, "mlp_bias": False,
        "model_type": "llama", "num_attention_heads": 32, "num_hidden_layers": 16, "num_key_value_heads": 8,
        "rms_norm_eps": 1e-05, "rope_scaling": LLAMA_3, "rope_theta": 500000.0, "tie_word_embeddings": True,
        "vocab_size": 128256,
    },
    "mistralai/Mistral-7B-v0.1": {
        "architectures": ["MistralForCausalLM"], "hidden_act": "silu", "hidden_size": 4096,
        "intermediate_size": 14336, "max_position_embeddings": 32768, "model_type": "mistral",
        "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8, "rms_norm_eps": 1e-05,
        "rope_theta": 10000.0, "sliding_window": 4096, "tie_word_embeddings": False, "vocab_size": 32000,
    },
    "mistralai/Mistral-7B-v0.3": {
        "architectures": ["MistralForCausalLM"], "hidden_act": "silu", "hidden_size": 4096,
        "intermediate_size": 14336, "max_position_embeddings": 32768, "model_type": "mistral",
        "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8, "rms_norm_eps": 1e-05,
        "rope_theta": 1000000.0, "sliding_window": None, "tie_word_embeddings": False, "vocab_size": 32768,
    },
    "Qwen/Qwen2.5-0.5B": {
        "architectures": ["Qwen2ForCausalLM"], "hidden_act": "silu", "hidden_size": 896,
        "intermediate_size": 4864, "max_position_embeddings": 32768, "max_window_layers": 24,
        "model_type": "qwen2", "num_attention_heads": 14, "num_hidden_layers": 24, "num_key_value_heads": 2,
        "rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "sliding_window": 32768, "tie_word_embeddings": True,
        "use_mrope": False, "use_sliding_window": False, "vocab_size": 151936,
    },
    "Qwen/Qwen2-7B, its window in use": {
        "architectures": ["Qwen2ForCausalLM"], "hidden_act": "silu", "hidden_size": 3584,
        "intermediate_size": 18944, "max_position_embeddings": 131072, "max_window_layers": 20,
        "model_type": "qwen2", "num_attention_heads": 28, "num_hidden_layers": 28, "num_key_value_heads": 4,
        "rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "sliding_window": 131072, "tie_word_embeddings": False,
        "use_sliding_window": True, "vocab_size": 152064,
    },
    "Qwen/Qwen3-0.6B": {
        "architectures": ["Qwen3ForCausalLM"], "attention_bias": False, "head_dim": 128, "hidden_act": "silu",
        "hidden_size": 1024, "intermediate_size": 3072, "max_position_embeddings": 40960,
        "max_window_layers": 28, "model_type": "qwen3", "num_attention_heads": 16, "num_hidden_layers": 28,
        "num_key_value_heads": 8, "rms_norm_eps": 1e-06, "rope_scaling": None, "rope_theta": 1000000,
        "sliding_window": None, "tie_word_embeddings": True, "use_sliding_window": False, "vocab_size": 151936,
    },
    "google/gemma-2b": {
        "architectures": ["GemmaForCausalLM"], "attention_bias": False, "head_dim": 256, "hidden_act": "gelu",
        "hidden_activation": None, "hidden_size": 2048, "intermediate_size": 16384,
        "max_position_embeddings": 8192, "model_type": "gemma", "num_attention_heads": 8,
        "num_hidden_layers": 18, "num_key_value_heads": 1, "rms_norm_eps": 1e-06, "rope_scaling": None,
        "rope_theta": 10000.0, "vocab_size": 256000,
    },
    "microsoft/phi-2": {
        "architectures": ["PhiForCausalLM"], "attention_dropout": 0.0, "embd_pdrop": 0.0,
        "hidden_act": "gelu_new", "hidden_size": 2560, "intermediate_size": 10240, "layer_norm_eps": 1e-05,
        "max_position_embeddings": 2048, "model_type": "phi", "num_attention_heads": 32,
        "num_hidden_layers": 32, "num_key_value_heads": 32, "partial_rotary_factor": 0.4,
        "qk_layernorm": False, "resid_pdrop": 0.1, "rope_scaling": None, "rope_theta": 10000.0,
        "tie_word_embeddings": False, "vocab_size": 51200,
    },
    "microsoft/Phi-3-mini-4k-instruct": {
        "architectures": ["Phi3ForCausalLM"], "attention_bias": False, "attention_dropout": 0.0,
        "embd_pdrop": 0.0, "hidden_act": "silu", "hidden_size": 3072, "intermediate_size": 8192,
        "max_position_embeddings": 4096, "model_type": "phi3", "num_attention_heads": 32,
        "num_hidden_layers": 32, "num_key_value_heads": 32, "original_max_position_embeddings": 4096,
        "resid_pdrop": 0.0, "rms_norm_eps": 1e-05, "rope_scaling": None, "rope_theta": 10000.0,
        "sliding_window": 2047, "tie_word_embeddings": False, "vocab_size": 32064,
    },
    "microsoft/mpnet-base": {
        "architectures": ["MPNetForMaskedLM"], "bos_token_id": 0, "eos_token_id": 2, "hidden_act": "gelu",
        "hidden_size": 768, "intermediate_size": 3072, "layer_norm_eps": 1e-05, "max_position_embeddings": 514,
        "model_type": "mpnet", "num_attention_heads": 12, "num_hidden_layers": 12, "pad_token_id": 1,
        "relative_attention_num_buckets": 32, "vocab_size": 30527,
    },
    "EleutherAI/gpt-neo-125m": {
        "activation_function": "gelu_new", "architectures": ["GPTNeoForCausalLM"], "attention_dropout": 0,
        "attention_layers": ["global", "local"] * 6, "attention_types": [[["global", "local"], 6]],
        "embed_dropout": 0, "gradient_checkpointing": False, "hidden_size": 768, "intermediate_size": None,
        "layer_norm_epsilon": 1e-05, "max_position_embeddings": 2048, "model_type": "gpt_neo",
        "num_heads": 12, "num_layers": 12, "resid_dropout": 0, "vocab_size": 50257, "window_size": 256,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", REAL)
def test_a_real_configuration_is_read_as_theirs(name: str) -> None:
    raw = REAL[name]
    own, family = family_of(raw).config(raw), family_of(raw)
    theirs = transformers.AutoConfig.for_model(**raw)
    assert family.config({**theirs.to_dict(), "architectures": raw["architectures"]}) == own
    assert family.config(family.published(own, raw)) == own
    with torch.device("meta"):
        model = Transformer(own)
        reference = getattr(transformers, raw["architectures"][0])(theirs)
    replaced = own.d_model + 1 if own.label_transform else 0  # one score more, which stays at 0
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count - replaced == sum(parameter.numel() for parameter in reference.parameters())


@pytest.mark.parametrize("name", [name for name, raw in REAL.items() if raw["model_type"] == "llama"])
def test_what_is_written_is_read_by_them_as_before(name: str) -> None:
    """In the words of both ages."""
    raw = REAL[name]
    family = family_of(raw)
    written = family.published(family.config(raw), raw)
    first, second = (transformers.AutoConfig.for_model(**each) for each in (raw, written))
    assert first.rope_parameters == second.rope_parameters
    assert first.head_dim == second.head_dim


REFUSED = {
    "word_embed_proj_dim is 512": {
        **REAL["facebook/opt-125m"],
        "hidden_size": 1024,
        "word_embed_proj_dim": 512,
    },
    "rope_scaling is 'yarn'": {
        **REAL["HuggingFaceTB/SmolLM-135M"],
        "rope_scaling": {"rope_type": "yarn", "factor": 4.0},
    },
    "use_bidirectional_attention is True": {**REAL["google/gemma-2b"], "use_bidirectional_attention": True},
    "attention_types is": {**REAL["EleutherAI/gpt-neo-125m"], "attention_types": [[["global", "flat"], 6]]},
    "relative_attention_num_buckets is 8": {
        **REAL["microsoft/mpnet-base"],
        "relative_attention_num_buckets": 8,
    },
    "rope_scaling is 'longrope'": {
        **REAL["microsoft/Phi-3-mini-4k-instruct"],
        "rope_scaling": {"type": "longrope", "long_factor": [1.0] * 48, "short_factor": [1.0] * 48},
    },
    "layer_types is": {**REAL["Qwen/Qwen2.5-0.5B"], "layer_types": ["sliding_attention"] * 24},
    "inner_group_num is 2": {**REAL["albert-base-v2"], "inner_group_num": 2},
}


@pytest.mark.parametrize("part", REFUSED)
def test_what_is_not_computed_is_named(part: str) -> None:
    with pytest.raises(InputError, match=part):
        family_of(REFUSED[part]).config(REFUSED[part])


def test_what_is_refused_says_whose_part_it_is() -> None:
    with pytest.raises(InputError, match="^this is a checkpoint of OPT, .*word_embed_proj_dim is 512, which"):
        family_of(REFUSED["word_embed_proj_dim is 512"]).config(REFUSED["word_embed_proj_dim is 512"])


ROUTED = "router that sends each token to some of many feed-forward layers"
CAUSAL = ["SomethingForCausalLM"]
UNKNOWN: dict[
    str, tuple[dict[str, Any], str, str | None]
] = {  # what each says -> the nearest, and what that lacks
    "mixtral": ({"num_local_experts": 8, "sliding_window": None, "architectures": CAUSAL}, "mistral", ROUTED),
    "qwen3_moe": ({"num_experts": 128, "rms_norm_eps": 1e-6, "architectures": CAUSAL}, "qwen3", ROUTED),
    "phimoe": ({"num_local_experts": 16, "architectures": CAUSAL}, "phi", ROUTED),
    "gemma2": (
        {"attn_logit_softcapping": 50.0, "architectures": CAUSAL},
        "gemma",
        "tanh over scores and logits",
    ),
    "gemma3_text": ({"query_pre_attn_scalar": 256}, "gemma", "norm on both sides of a sub-layer"),
    "deberta-v2": ({}, "bert", "scores of content with place"),
    "deepseek_v3": ({"n_routed_experts": 256, "rope_theta": 1e4, "architectures": CAUSAL}, "llama", ROUTED),
    "stablelm": ({"partial_rotary_factor": 0.25, "architectures": CAUSAL}, "gpt_neox", None),
    "olmo2": ({"rms_norm_eps": 1e-6, "architectures": CAUSAL}, "llama", None),
    "bloom": ({"n_layer": 24, "architectures": CAUSAL}, "gpt2", "slope that lowers scores by distance"),
    "falcon": (
        {"alibi": True, "rope_theta": 1e4, "architectures": CAUSAL},
        "llama",
        "slope that lowers scores by distance",
    ),
    "longt5": ({"d_kv": 64, "local_radius": 127, "is_encoder_decoder": True}, "t5", "attention to a stretch"),
    "led": ({"attention_window": [1024], "is_encoder_decoder": True}, "bart", "attention to a stretch"),
    "mamba": ({"state_size": 16, "architectures": CAUSAL}, "gpt2", "state that runs along a text"),
    "whisper": (
        {
            "num_mel_bins": 80,
            "architectures": ["WhisperForConditionalGeneration"],
            "is_encoder_decoder": True,
        },
        "bart",
        "part that looks or listens",
    ),
    "llava": ({"vision_config": {}}, "llama", "part that looks"),
    "encoder-decoder": ({"is_encoder_decoder": True}, "bart", "form of its own for each of two models"),
}


@pytest.mark.parametrize("named", UNKNOWN)
def test_an_unknown_family_is_led_to_the_nearest_and_told_what_that_lacks(named: str) -> None:
    raw, nearest, part = UNKNOWN[named]
    lacking = " \\(of" if part is None else f", which has no {part}"
    with pytest.raises(
        InputError, match=f"'{named}', which is not read; the nearest that is read is '{nearest}'{lacking}"
    ) as refused:
        family_of({**raw, "model_type": named})
    assert "\n" not in str(refused.value)


THEIRS = [name for name in UNKNOWN if name in transformers.CONFIG_MAPPING and name != "encoder-decoder"]


@pytest.mark.parametrize("named", THEIRS)
def test_what_is_told_is_what_their_own_configurations_say(named: str) -> None:
    """As published: every key of theirs, at its usual value, leads to the same part."""
    usual = transformers.CONFIG_MAPPING[named]().to_dict()
    _, nearest, part = UNKNOWN[named]
    raw = {**usual, "alibi": True} if named == "falcon" else usual
    with pytest.raises(InputError, match="nearest") as refused:
        family_of({**raw, "architectures": UNKNOWN[named][0].get("architectures")})
    assert f"'{nearest}'" in str(refused.value)
    assert ("which has no" in str(refused.value)) == (part is not None)
    assert part is None or part in str(refused.value)
