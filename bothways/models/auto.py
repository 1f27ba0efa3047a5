"""``Auto`` classes: the class that fits a directory's ``model_type``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar

from bothways.checkpoints.config import PretrainedConfig, unknown_model_type
from bothways.errors import InputError, ModelNotFoundError
from bothways.families import FAMILIES, Family, family_of
from bothways.families.registry import family_of_own, register
from bothways.models import (
    albert,
    bart,
    bert,
    camembert,
    distilbert,
    electra,
    gpt2,
    llama,
    marian,
    mbart,
    mistral,
    modernbert,
    openai_gpt,
    pegasus,
    roberta,
    t5,
    xlm_roberta,
)
from bothways.models.adapter_loading import model_config
from bothways.models.base import PreTrainedModel
from bothways.resolver.box import TASK_OF_HEAD, with_nearest

MODULES = (
    albert,
    bart,
    bert,
    camembert,
    distilbert,
    electra,
    gpt2,
    llama,
    marian,
    mbart,
    mistral,
    modernbert,
    openai_gpt,
    pegasus,
    roberta,
    t5,
    xlm_roberta,
)

ROUTES = ("revision", "token", "local_files_only", "cache_dir")
"""Arguments that say where a model is looked for."""

MODEL_CLASSES: dict[tuple[str, str], Any] = {
    (cls.family.model_type, cls.task): cls
    for module in MODULES
    for cls in vars(module).values()
    if isinstance(cls, type) and issubclass(cls, PreTrainedModel) and hasattr(cls, "family") and hasattr(cls, "task")
}
"""(model_type, task) to public class. Contract tests run over this table."""


def model_class(model_type: str, task: str) -> type[PreTrainedModel]:
    """The public class of a family for a task.

    Raises:
        ConfigError: unknown family. InputError: the family has no such head.
    """
    family_of(model_type)
    if (model_type, task) not in MODEL_CLASSES:
        has = sorted(t for m, t in MODEL_CLASSES if m == model_type)
        raise InputError(f"{model_type} has no head for {task!r}. It has: {', '.join(has)}.")
    return MODEL_CLASSES[model_type, task]


class AutoConfig:
    """The configuration class that fits a directory or a ``model_type``."""

    @staticmethod
    def register(model_type: str, config: type[PretrainedConfig], exist_ok: bool = False) -> None:
        """Add a kind of model of a program's own, so that its directories are recognised.

        Raises:
            ValueError: the class says another ``model_type``, or the kind is known and ``exist_ok`` is False.
        """
        if config.model_type != model_type:
            raise ValueError(
                f"{config.__name__} has the model_type {config.model_type!r} and was registered as {model_type!r}; "
                "make them the same."
            )
        if model_type in FAMILIES and not exist_ok:
            raise ValueError(f"{model_type!r} is already used; give your model another model_type.")
        register(family_of_own(config))

    @staticmethod
    def from_pretrained(pretrained_model_name_or_path: str | os.PathLike[str], **kwargs: Any) -> PretrainedConfig:
        """Read ``config.json`` of a model. Keyword arguments replace its values."""
        from bothways.resolver import resolve_model

        kwargs.pop("trust_remote_code", None)
        routes = {k: kwargs.pop(k) for k in ROUTES if k in kwargs}
        directory = resolve_model(pretrained_model_name_or_path, **routes) / kwargs.pop("subfolder", "")
        values = model_config(directory, **routes)
        family = _family_said(values, Path(pretrained_model_name_or_path).name)
        config = family.config_class.from_dict(values, **kwargs)
        config.name_or_path = str(pretrained_model_name_or_path)
        return config

    @staticmethod
    def for_model(model_type: str, *args: Any, **kwargs: Any) -> PretrainedConfig:
        """A configuration of that family. Example: ``AutoConfig.for_model("bert", num_hidden_layers=2)``."""
        return family_of(model_type).config_class(*args, **kwargs)


def _family_said(values: dict[str, Any], name: str) -> Family:
    """The family of a configuration file. Old ones have no ``model_type``; then the class tells, or the name.

    Example: a directory ``spanbert-base-cased`` without ``model_type`` and ``architectures`` is read as ``bert``.
    """
    if "model_type" in values:
        return family_of(values["model_type"])
    classes = values.get("architectures")
    for cls in MODEL_CLASSES.values():
        if isinstance(classes, list) and cls.__name__ in classes:
            return cls.family
    named = [model_type for model_type in FAMILIES if model_type in name.lower()]
    if not named:
        raise unknown_model_type(None, sorted(FAMILIES))
    return FAMILIES[max(named, key=len)]


class _AutoClass:
    task: ClassVar[str]
    next_best: ClassVar[tuple[str, ...]] = ()
    """Heads to take where a family does not have that one, the first that it has."""

    def __init__(self) -> None:
        name = type(self).__name__
        raise OSError(f"{name} is made by {name}.from_pretrained(name) or {name}.from_config(config).")

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | os.PathLike[str], **kwargs: Any) -> Any:
        """Load the model with the class that fits. Arguments as for ``PreTrainedModel.from_pretrained``."""
        config = kwargs.get("config")
        if not isinstance(config, PretrainedConfig):
            routes = {k: kwargs[k] for k in (*ROUTES, "subfolder") if k in kwargs}
            name = config or pretrained_model_name_or_path
            try:
                config = AutoConfig.from_pretrained(name, **routes)
            except ModelNotFoundError as problem:
                raise with_nearest(problem, str(name), TASK_OF_HEAD.get(cls.task)) from None
        return cls._class_for(config.model_type).from_pretrained(pretrained_model_name_or_path, **kwargs)

    @classmethod
    def register(
        cls, config_class: type[PretrainedConfig], model_class: type[PreTrainedModel], exist_ok: bool = False
    ) -> None:
        """Say which class of a program's own is made for a configuration class.

        Raises:
            ValueError: the class is made for another configuration, or there is one and ``exist_ok`` is False.
        """
        if model_class.config_class is not config_class:
            raise ValueError(
                f"{model_class.__name__} has the config_class {model_class.config_class.__name__} and was registered "
                f"for {config_class.__name__}; make them the same."
            )
        place = (config_class.model_type, cls.task)
        if place in MODEL_CLASSES and not exist_ok:
            raise ValueError(f"{config_class.__name__} has a class for {cls.task} already.")
        MODEL_CLASSES[place] = model_class

    @classmethod
    def from_config(cls, config: PretrainedConfig, **options: Any) -> Any:
        """A model with random weights. Options as for ``PreTrainedModel.from_config``."""
        return cls._class_for(config.model_type).from_config(config, **options)

    @classmethod
    def _class_for(cls, model_type: str) -> type[PreTrainedModel]:
        tasks = (cls.task, *cls.next_best)
        return model_class(model_type, next((task for task in tasks if (model_type, task) in MODEL_CLASSES), cls.task))


class AutoModel(_AutoClass):
    task = "base"


class AutoModelForPreTraining(_AutoClass):
    """The heads that a family was pretrained with: several, or the one that gives words."""

    task = "pretraining"
    next_best = ("seq2seq-lm", "masked-lm", "causal-lm")


class AutoModelWithLMHead(_AutoClass):
    """The head that gives words, whichever a family has. Programs from before there were three classes use it."""

    task = "seq2seq-lm"
    next_best = ("masked-lm", "causal-lm")


class AutoModelForCausalLM(_AutoClass):
    task = "causal-lm"


class AutoModelForSeq2SeqLM(_AutoClass):
    task = "seq2seq-lm"


class AutoModelForMaskedLM(_AutoClass):
    task = "masked-lm"


class AutoModelForNextSentencePrediction(_AutoClass):
    task = "next-sentence-prediction"


class AutoModelForSequenceClassification(_AutoClass):
    task = "sequence-classification"


class AutoModelForTokenClassification(_AutoClass):
    task = "token-classification"


class AutoModelForQuestionAnswering(_AutoClass):
    task = "question-answering"


class AutoModelForMultipleChoice(_AutoClass):
    task = "multiple-choice"


def _mapping(task: str) -> dict[type[PretrainedConfig], type[PreTrainedModel]]:
    return {cls.family.config_class: cls for (_, own), cls in MODEL_CLASSES.items() if own == task}


# from configuration to class, as programs list the families that have a head
CONFIG_MAPPING = {model_type: family.config_class for model_type, family in FAMILIES.items()}
MODEL_MAPPING = _mapping("base")
MODEL_FOR_PRETRAINING_MAPPING = _mapping("pretraining")
MODEL_FOR_CAUSAL_LM_MAPPING = _mapping("causal-lm")
MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING = _mapping("seq2seq-lm")
MODEL_FOR_MASKED_LM_MAPPING = _mapping("masked-lm")
MODEL_FOR_NEXT_SENTENCE_PREDICTION_MAPPING = _mapping("next-sentence-prediction")
MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING = _mapping("sequence-classification")
MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING = _mapping("token-classification")
MODEL_FOR_QUESTION_ANSWERING_MAPPING = _mapping("question-answering")
MODEL_FOR_MULTIPLE_CHOICE_MAPPING = _mapping("multiple-choice")
