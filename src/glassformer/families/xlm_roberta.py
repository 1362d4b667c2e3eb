"""XLM-RoBERTa: RoBERTa for a hundred languages.

Conneau et al. 2020, "Unsupervised Cross-lingual Representation Learning at Scale".
"""

from glassformer.families import roberta

XLM_ROBERTA = roberta.family("xlm-roberta", "XLMRoberta", "XLM-RoBERTa, Conneau et al. 2020")
