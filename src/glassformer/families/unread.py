"""Model types that are not read: the family most like each, and the part that it lacks."""

import difflib
from collections.abc import Sequence

from glassformer.families.family import Raw

ROUTER = "router that sends each token to some of many feed-forward layers"
SLOPE = "slope that lowers scores by distance"
PLACE = "scores of content with place and of place with content"
STRETCH = "attention to a stretch of a long text, and to a few tokens beyond it"
STATE = "state that runs along a text in place of attention"
SENSES = "part that looks or listens: it reads text alone"
SAID: dict[str, str] = {  # what a configuration speaks of -> the part that it means
    "num_local_experts": ROUTER,
    "num_experts": ROUTER,
    "n_routed_experts": ROUTER,
    "attn_logit_softcapping": "tanh over scores and logits",
    "query_pre_attn_scalar": "norm on both sides of a sub-layer",
    "alibi": SLOPE,
    "attn_config": SLOPE,
    "attention_window": STRETCH,
    "local_radius": STRETCH,
    "block_size": STRETCH,
    "state_size": STATE,
    "ssm_cfg": STATE,
    "attention_hidden_size": STATE,
    "kv_lora_rank": "narrow map that keys and values are squeezed through",
    "rotary_dim": "turn of neighbouring numbers",
    "ngram": "guess at several tokens at once",
    "mem_len": "memory of earlier stretches",
    "vision_config": SENSES,
    "audio_config": SENSES,
    "patch_size": SENSES,
    "num_mel_bins": SENSES,
}
NAMED: dict[str, str] = {  # a type -> the same, where its configuration keeps silent about it
    "bloom": SLOPE,
    "deberta": PLACE,
    "deberta-v2": PLACE,
    "encoder-decoder": "form of its own for each of two models that are saved as one",
    "funnel": "layer that shortens the text",
    "reformer": "layer that runs backwards",
}
MADE_OF: dict[str, frozenset[str]] = {  # what a decoder's configuration speaks of, and whose words these are
    "mistral": frozenset({"sliding_window"}),
    "gpt_neox": frozenset({"rotary_pct", "partial_rotary_factor", "use_parallel_residual"}),
    "llama": frozenset({"rope_theta", "rope_scaling", "rope_parameters", "rms_norm_eps"}),
    "opt": frozenset({"do_layer_norm_before"}),
}


def refused(named: str, raw: Raw, read: Sequence[str]) -> str:
    """What is said of a type that is none of those that are read."""
    part = NAMED.get(named) or next((part for key, part in SAID.items() if raw.get(key) is not None), None)
    lacking = "" if part is None else f", which has no {part}"
    return (
        f"config.json names the model_type {named!r}, which is not read; the nearest that is read is "
        f"{nearest(named, raw, read)!r}{lacking} (of {', '.join(read)}): use a checkpoint of it"
    )


def nearest(named: str, raw: Raw, read: Sequence[str]) -> str:
    """The family most like an unknown one: by its name, or by what it is made of."""
    within = [name for name in read if name in named]
    if within:
        return max(within, key=len)
    alike = difflib.get_close_matches(named, read, n=1, cutoff=0.7)
    if alike:
        return alike[0]
    made_of = [name for name, keys in MADE_OF.items() if keys & raw.keys()]
    classes = " ".join(map(str, raw.get("architectures") or ()))
    if raw.get("is_encoder_decoder") or "ConditionalGeneration" in classes:
        return "t5" if "d_kv" in raw else "bart"
    if "CausalLM" in classes or "LMHead" in classes:
        return made_of[0] if made_of else "gpt2"
    return "electra" if "embedding_size" in raw else "bert"
