"""mBART and mBART-50: BART for many languages, norms first. Liu et al. 2020; Tang et al. 2020."""

from glassformer.families import bart, fairseq
from glassformer.families.family import Family

MBART = Family(
    model_type="mbart",
    source="mBART, Liu et al. 2020",
    keys=fairseq.keys(50265),
    fields={**bart.BART.fields, "norm_first": True, "final_norm": True},
    derive=fairseq.derive,
    restore=fairseq.restore,
    rules=bart.body,
    architectures=bart.architectures("MBart"),
)
