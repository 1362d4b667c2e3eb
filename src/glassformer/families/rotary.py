"""How published configurations say how positions turn, in their old words and their new ones, both ways."""

from glassformer.config import TransformerConfig
from glassformer.families.family import Fields, Key, Raw, refusal

KEYS = (Key("rope_theta", 10000.0), Key("rope_scaling"), Key("rope_parameters"))
LENGTH = "original_max_position_embeddings"


def read(raw: Raw, share: float = 1.0) -> Fields:
    """The base, the share of a head that turns, and how slow turns are slowed further for long texts.

    Linear: all alike (Chen et al. 2023). llama3: only those slower than the texts of the first training were long
    (Grattafiori et al. 2024, section 3.2).
    """
    said = raw["rope_parameters"] or raw["rope_scaling"] or {}
    part: float = said.get("partial_rotary_factor", share)
    head_size = raw.get("head_dim") or raw["hidden_size"] // raw["num_attention_heads"]
    return {
        "rotary_base": float(said.get("rope_theta") or raw["rope_theta"]),
        "rotary_size": None if part == 1.0 else int(head_size * part),
        **stretch(said, raw["max_position_embeddings"]),
    }


def stretch(said: Raw, longest: int) -> Fields:
    """How turns are slowed."""
    kind = said.get("rope_type", said.get("type", "default"))
    if kind == "default":
        return {}
    if kind == "linear":
        return {"rotary_stretch": float(said["factor"])}
    if kind == "llama3":
        return {
            "rotary_stretch": float(said["factor"]),
            "rotary_stretch_length": said.get(LENGTH, longest),
            "rotary_stretch_low": float(said["low_freq_factor"]),
            "rotary_stretch_high": float(said["high_freq_factor"]),
        }
    raise refusal("rope_scaling", kind, "'default', 'linear' or 'llama3'")


def written(config: TransformerConfig) -> Raw:
    """The same keys again, for readers of either age."""
    said: dict[str, object] = {"rope_type": "default"}
    if config.rotary_stretch_length is not None:
        said = {
            "rope_type": "llama3",
            "factor": config.rotary_stretch,
            "low_freq_factor": config.rotary_stretch_low,
            "high_freq_factor": config.rotary_stretch_high,
            LENGTH: config.rotary_stretch_length,
        }
    elif config.rotary_stretch != 1.0:
        said = {"rope_type": "linear", "factor": config.rotary_stretch}
    old = None if said["rope_type"] == "default" else said
    share = {"partial_rotary_factor": config.rotary_size / config.size_of_head} if config.rotary_size else {}
    new = {**said, "rope_theta": config.rotary_base, **share}
    return {"rope_theta": config.rotary_base, "rope_scaling": old, "rope_parameters": new}
