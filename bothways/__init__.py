"""Bothways: language models that read in both directions.

Public names are imported when first used, so that ``import bothways`` costs milliseconds.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_BERT = (
    "BertPreTrainedModel",
    "BertModel",
    "BertForPreTraining",
    "BertForMaskedLM",
    "BertForNextSentencePrediction",
    "BertForSequenceClassification",
    "BertForTokenClassification",
    "BertForQuestionAnswering",
    "BertForMultipleChoice",
)
_AUTO = (
    "AutoConfig",
    "AutoModel",
    "AutoModelForPreTraining",
    "AutoModelForMaskedLM",
    "AutoModelForNextSentencePrediction",
    "AutoModelForSequenceClassification",
    "AutoModelForTokenClassification",
    "AutoModelForQuestionAnswering",
    "AutoModelForMultipleChoice",
)
_TOKENIZERS = (
    "AutoTokenizer",
    "BatchEncoding",
    "BertTokenizer",
    "BertTokenizerFast",
    "PreTrainedTokenizerBase",
    "PreTrainedTokenizerFast",
)
_SCHEDULES = ("get_scheduler", "get_linear_schedule_with_warmup", "get_constant_schedule_with_warmup")

_WHERE: dict[str, str] = {
    **dict.fromkeys(_BERT, "bothways.models.bert"),
    **dict.fromkeys(_AUTO, "bothways.models.auto"),
    **dict.fromkeys(_TOKENIZERS, "bothways.tokenizers"),
    **dict.fromkeys(_SCHEDULES, "bothways.training.schedules"),
    "AdamW": "bothways.training.optimizers",
    "set_seed": "bothways.training.seeds",
    "train": "bothways.training",
    "pipeline": "bothways.pipelines",
    "Pipeline": "bothways.pipelines.base",
    "TextClassificationPipeline": "bothways.pipelines.text_classification",
    "FillMaskPipeline": "bothways.pipelines.fill_mask",
    "MultipleChoicePipeline": "bothways.pipelines.multiple_choice",
    "NextSentencePipeline": "bothways.pipelines.next_sentence",
    "ZeroShotClassificationPipeline": "bothways.pipelines.zero_shot",
    "FeatureExtractionPipeline": "bothways.pipelines.feature_extraction",
    "PipelineException": "bothways.errors",
    "PreTrainedModel": "bothways.models.base",
    "PretrainedConfig": "bothways.checkpoints.config",
    "BertConfig": "bothways.families.bert",
}

__all__ = ["__version__", *sorted(_WHERE)]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'bothways' has no attribute {name!r}")
    value = getattr(importlib.import_module(_WHERE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
