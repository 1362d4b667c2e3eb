"""Every task that can be learnt, by the name that a recipe gives it."""

from typing import Any

from glassformer.training.lessons.classification import ClassificationLesson
from glassformer.training.lessons.denoising import DenoisingLesson
from glassformer.training.lessons.generation import GenerationLesson
from glassformer.training.lessons.lesson import Lesson
from glassformer.training.lessons.masking import MaskingLesson
from glassformer.training.lessons.translation import TranslationLesson

LESSONS: dict[str, type[Lesson[Any]]] = {
    "translation": TranslationLesson,
    "classification": ClassificationLesson,
    "generation": GenerationLesson,
    "masking": MaskingLesson,
    "denoising": DenoisingLesson,
}
