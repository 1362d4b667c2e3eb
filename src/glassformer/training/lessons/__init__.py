"""Every task that can be learnt, by the name that a recipe gives it."""

from typing import Any

from glassformer.training.lessons.answering import AnsweringLesson
from glassformer.training.lessons.classification import ClassificationLesson
from glassformer.training.lessons.denoising import DenoisingLesson
from glassformer.training.lessons.generation import GenerationLesson
from glassformer.training.lessons.lesson import Lesson
from glassformer.training.lessons.masking import MaskingLesson
from glassformer.training.lessons.summarization import SummarizationLesson
from glassformer.training.lessons.tagging import TaggingLesson
from glassformer.training.lessons.translation import TranslationLesson

LESSONS: dict[str, type[Lesson[Any]]] = {
    "translation": TranslationLesson,
    "summarization": SummarizationLesson,
    "classification": ClassificationLesson,
    "tagging": TaggingLesson,
    "answering": AnsweringLesson,
    "generation": GenerationLesson,
    "masking": MaskingLesson,
    "denoising": DenoisingLesson,
}
