"""Published families, each one file of data."""

from glassformer.errors import InputError
from glassformer.families.albert import ALBERT
from glassformer.families.bart import BART
from glassformer.families.bert import BERT
from glassformer.families.camembert import CAMEMBERT
from glassformer.families.distilbert import DISTILBERT
from glassformer.families.electra import ELECTRA
from glassformer.families.family import Family, Raw
from glassformer.families.gemma import GEMMA
from glassformer.families.gpt2 import GPT2
from glassformer.families.gpt_neo import GPT_NEO
from glassformer.families.gpt_neox import GPT_NEOX
from glassformer.families.llama import LLAMA
from glassformer.families.m2m_100 import M2M_100
from glassformer.families.marian import MARIAN
from glassformer.families.mbart import MBART
from glassformer.families.mistral import MISTRAL
from glassformer.families.mpnet import MPNET
from glassformer.families.mt5 import MT5
from glassformer.families.opt import OPT
from glassformer.families.pegasus import PEGASUS
from glassformer.families.phi import PHI
from glassformer.families.phi3 import PHI3
from glassformer.families.qwen2 import QWEN2
from glassformer.families.qwen3 import QWEN3
from glassformer.families.roberta import ROBERTA
from glassformer.families.t5 import T5
from glassformer.families.transformer import TRANSFORMER
from glassformer.families.unread import refused
from glassformer.families.xlm_roberta import XLM_ROBERTA

FAMILIES: dict[str, Family] = {
    "transformer": TRANSFORMER,
    "bert": BERT,
    "roberta": ROBERTA,
    "gpt2": GPT2,
    "bart": BART,
    "mbart": MBART,
    "t5": T5,
    "mt5": MT5,
    "marian": MARIAN,
    "pegasus": PEGASUS,
    "m2m_100": M2M_100,
    "albert": ALBERT,
    "camembert": CAMEMBERT,
    "distilbert": DISTILBERT,
    "electra": ELECTRA,
    "gpt_neox": GPT_NEOX,
    "llama": LLAMA,
    "mistral": MISTRAL,
    "opt": OPT,
    "qwen2": QWEN2,
    "xlm-roberta": XLM_ROBERTA,
    "gemma": GEMMA,
    "gpt_neo": GPT_NEO,
    "mpnet": MPNET,
    "phi": PHI,
    "phi3": PHI3,
    "qwen3": QWEN3,
}


def family_of(raw: Raw) -> Family:
    """The family that a configuration names; an unknown one is refused with the nearest that is known."""
    named = raw.get("model_type")
    if named in FAMILIES:
        return FAMILIES[named]
    if named is None:
        raise InputError(f"config.json names no model_type; expected one of {', '.join(FAMILIES)}")
    raise InputError(refused(str(named), raw, tuple(FAMILIES)))
