"""M2M100, and NLLB as far as it is dense: translators between many languages. Fan et al. 2021; NLLB Team 2022.

Its sine and cosine are computed in float32; here they are computed in float64.
"""

from glassformer.families import fairseq
from glassformer.families.family import Architecture, Family

M2M_100 = Family(
    model_type="m2m_100",
    source="M2M100, Fan et al. 2021; NLLB, NLLB Team 2022",
    keys=fairseq.keys(128112, "relu", scaled=True),
    fields={
        **fairseq.FIELDS,
        "norm_first": True,
        "final_norm": True,
        "positions": "sinusoidal-halves-inclusive",
        "position_offset": 2,
    },
    derive=fairseq.derive,
    restore=fairseq.restore,
    rules=lambda config: (*fairseq.body(config), *fairseq.computed(config)),
    architectures={
        "M2M100ForConditionalGeneration": Architecture(
            fields={"head": "language-model"}, rules=lambda config: fairseq.TIED
        ),
    },
    task="translation",
)
