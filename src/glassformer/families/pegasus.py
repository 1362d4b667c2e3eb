"""Pegasus: a summarizer. Zhang et al. 2020, "PEGASUS: Pre-training with Extracted Gap-sentences ...".

Its sine and cosine are stored in float32; here they are computed.
"""

from glassformer.families import fairseq
from glassformer.families.family import Family

PEGASUS = Family(
    model_type="pegasus",
    source="Pegasus, Zhang et al. 2020",
    keys=fairseq.keys(50265),
    fields={**fairseq.FIELDS, "norm_first": True, "final_norm": True, "positions": "sinusoidal-halves"},
    derive=fairseq.derive,
    restore=fairseq.restore,
    rules=lambda config: (*fairseq.body(config), *fairseq.computed(config)),
    architectures={"PegasusForConditionalGeneration": fairseq.GENERATION},
    task="summarization",
)
