"""CamemBERT: RoBERTa for French. Martin et al. 2020, "CamemBERT: a Tasty French Language Model"."""

from glassformer.families import roberta

CAMEMBERT = roberta.family("camembert", "Camembert", "CamemBERT, Martin et al. 2020")
