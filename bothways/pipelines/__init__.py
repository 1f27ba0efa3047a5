"""Pipelines: a task and a model, texts in, answers out.

``base.py`` has the forms of a call, one file per task, ``build.py`` has ``pipeline()``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bothways.errors import PipelineException as PipelineException
    from bothways.pipelines.base import Pipeline as Pipeline
    from bothways.pipelines.build import pipeline as pipeline
    from bothways.pipelines.feature_extraction import FeatureExtractionPipeline as FeatureExtractionPipeline
    from bothways.pipelines.fill_mask import FillMaskPipeline as FillMaskPipeline
    from bothways.pipelines.multiple_choice import MultipleChoicePipeline as MultipleChoicePipeline
    from bothways.pipelines.next_sentence import NextSentencePipeline as NextSentencePipeline
    from bothways.pipelines.question_answering import QuestionAnsweringPipeline as QuestionAnsweringPipeline
    from bothways.pipelines.registry import PIPELINE_REGISTRY as PIPELINE_REGISTRY
    from bothways.pipelines.summarization import SummarizationPipeline as SummarizationPipeline
    from bothways.pipelines.text2text import Text2TextGenerationPipeline as Text2TextGenerationPipeline
    from bothways.pipelines.text_classification import TextClassificationPipeline as TextClassificationPipeline
    from bothways.pipelines.text_generation import TextGenerationPipeline as TextGenerationPipeline
    from bothways.pipelines.token_classification import AggregationStrategy as AggregationStrategy
    from bothways.pipelines.token_classification import NerPipeline as NerPipeline
    from bothways.pipelines.token_classification import TokenClassificationPipeline as TokenClassificationPipeline
    from bothways.pipelines.translation import TranslationPipeline as TranslationPipeline
    from bothways.pipelines.zero_shot import ZeroShotClassificationPipeline as ZeroShotClassificationPipeline

_MODULE_OF = {
    "AggregationStrategy": "token_classification",
    "FeatureExtractionPipeline": "feature_extraction",
    "FillMaskPipeline": "fill_mask",
    "NerPipeline": "token_classification",
    "Pipeline": "base",
    "PIPELINE_REGISTRY": "registry",
    "PipelineException": "fill_mask",
    "MultipleChoicePipeline": "multiple_choice",
    "NextSentencePipeline": "next_sentence",
    "QuestionAnsweringPipeline": "question_answering",
    "SummarizationPipeline": "summarization",
    "Text2TextGenerationPipeline": "text2text",
    "TextClassificationPipeline": "text_classification",
    "TextGenerationPipeline": "text_generation",
    "TokenClassificationPipeline": "token_classification",
    "TranslationPipeline": "translation",
    "ZeroShotClassificationPipeline": "zero_shot",
    "pipeline": "build",
}

__all__ = list(_MODULE_OF)


def __getattr__(name: str) -> object:
    """Load a public name at its first use (PEP 562): importing this package must not import torch."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
