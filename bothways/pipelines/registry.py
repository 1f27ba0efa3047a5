"""The tasks that there are pipelines for: names, classes, heads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from bothways.errors import UsageError, nearest

if TYPE_CHECKING:
    from bothways.pipelines.base import Pipeline

PIPELINES: dict[str, str] = {
    "feature-extraction": "bothways.pipelines.feature_extraction:FeatureExtractionPipeline",
    "fill-mask": "bothways.pipelines.fill_mask:FillMaskPipeline",
    "multiple-choice": "bothways.pipelines.multiple_choice:MultipleChoicePipeline",
    "next-sentence-prediction": "bothways.pipelines.next_sentence:NextSentencePipeline",
    "question-answering": "bothways.pipelines.question_answering:QuestionAnsweringPipeline",
    "summarization": "bothways.pipelines.summarization:SummarizationPipeline",
    "text-classification": "bothways.pipelines.text_classification:TextClassificationPipeline",
    "text-generation": "bothways.pipelines.text_generation:TextGenerationPipeline",
    "text2text-generation": "bothways.pipelines.text2text:Text2TextGenerationPipeline",
    "token-classification": "bothways.pipelines.token_classification:TokenClassificationPipeline",
    "translation": "bothways.pipelines.translation:TranslationPipeline",
    "zero-shot-classification": "bothways.pipelines.zero_shot:ZeroShotClassificationPipeline",
}
ALIASES: dict[str, str] = {"ner": "token-classification", "sentiment-analysis": "text-classification"}

TASK_OF_HEAD: dict[str, str] = {
    "base": "feature-extraction",
    "causal-lm": "text-generation",
    "masked-lm": "fill-mask",
    "multiple-choice": "multiple-choice",
    "next-sentence-prediction": "next-sentence-prediction",
    "pretraining": "fill-mask",
    "question-answering": "question-answering",
    "seq2seq-lm": "text2text-generation",
    "sequence-classification": "text-classification",
    "token-classification": "token-classification",
}
"""What a model is used for when the caller names no task."""


@dataclass(frozen=True, kw_only=True)
class Registered:
    """A task of a program's own: its pipeline, an ``Auto`` class for its models, and the model where none is named."""

    pipeline_class: type[Pipeline]
    model_class: Any = None
    model: str | None = None


OWN_TASKS: dict[str, Registered] = {}


class UnknownTaskError(UsageError, KeyError):
    """No pipeline has this name. A ``KeyError``, as in the ecosystem."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would show the message in quotes


def known_tasks() -> list[str]:
    """All names that ``pipeline`` takes."""
    return sorted({*PIPELINES, *ALIASES, *OWN_TASKS, "translation_xx_to_yy"})


def find_pipeline(task: Any) -> tuple[str, Any]:
    """The proper name of a task and its class. ``translation_en_to_de`` is a proper name.

    Raises:
        UnknownTaskError: listing the known ones.
    """
    if isinstance(task, str) and task in OWN_TASKS:
        return task, OWN_TASKS[task].pipeline_class
    name = ALIASES.get(task, task) if isinstance(task, str) else task
    if isinstance(task, str) and task.startswith("translation_"):
        parts = task.split("_")
        if len(parts) != 4 or parts[2] != "to" or not all(parts):
            raise UnknownTaskError(f"invalid translation task {task!r}, use the form 'translation_XX_to_YY'.")
        return task, _class_of("translation")
    if name not in PIPELINES:
        like = nearest(str(task), known_tasks(), most=1)
        hint = f" Did you mean {like[0]!r}?" if like else ""
        raise UnknownTaskError(f"unknown task {task!r}. Known tasks: {', '.join(known_tasks())}.{hint}")
    return name, _class_of(name)


def _class_of(name: str) -> Any:
    module, _, cls = PIPELINES[name].partition(":")
    return getattr(import_module(module), cls)


class PipelineRegistry:
    """``PIPELINE_REGISTRY.register_pipeline("my-task", pipeline_class=…)``, then ``pipeline("my-task", model=…)``."""

    def register_pipeline(
        self,
        task: str,
        pipeline_class: type[Pipeline],
        pt_model: Any = None,
        tf_model: Any = None,
        default: Mapping[str, Any] | None = None,
        type: str | None = None,  # noqa: A002 - the name in the ecosystem
    ) -> None:
        """Add a task, or put another pipeline in the place of one.

        Args:
            pt_model: the class, mostly an ``Auto`` class, that models are loaded with; of several the first.
            tf_model, type: without effect.
            default: ``{"pt": (name, revision)}``, the model where none is named.
        """
        if isinstance(pt_model, (list, tuple)):
            pt_model = pt_model[0] if pt_model else None
        named = (default or {}).get("model", default or {}).get("pt")
        name = named[0] if isinstance(named, (list, tuple)) else named
        OWN_TASKS[task] = Registered(pipeline_class=pipeline_class, model_class=pt_model, model=name)

    def get_supported_tasks(self) -> list[str]:
        """All names that ``pipeline`` takes."""
        return known_tasks()


PIPELINE_REGISTRY = PipelineRegistry()
