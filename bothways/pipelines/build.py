"""``pipeline()``: from the name of a task and of a model to something that can be called."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bothways.errors import InputError, ModelNotFoundError, UsageError
from bothways.pipelines.registry import OWN_TASKS, TASK_OF_HEAD, find_pipeline, known_tasks
from bothways.resolver.box import boxed_for, find_boxed, with_nearest

if TYPE_CHECKING:
    import torch

    from bothways.pipelines.base import Pipeline

_TRAINED = (
    "text-classification",
    "token-classification",
    "question-answering",
    "multiple-choice",
    "next-sentence-prediction",
    "text-generation",
    "summarization",
    "translation",
)
"""The tasks of ``bothways train``."""

_ROUTES = ("cache_dir", "local_files_only")  # arguments for finding a model, which its tokeniser needs too


def pipeline(
    task: str | None = None,
    model: Any = None,
    config: Any = None,
    tokenizer: Any = None,
    feature_extractor: Any = None,
    image_processor: Any = None,
    processor: Any = None,
    framework: str | None = None,
    revision: str | None = None,
    use_fast: bool = True,
    token: str | bool | None = None,
    device: int | str | torch.device | None = None,
    device_map: Any = None,
    dtype: str | torch.dtype | None = "auto",
    trust_remote_code: bool | None = None,
    model_kwargs: dict[str, Any] | None = None,
    pipeline_class: type[Pipeline] | None = None,
    **kwargs: Any,
) -> Any:
    """Make a pipeline. Every task answers one input, a list, or a stream of them; its class says which options it has.

    ==============================  =================================================================================
    task                            input
    ==============================  =================================================================================
    ``"text-classification"``       a text, or a pair ``{"text": …, "text_pair": …}`` (``"sentiment-analysis"``)
    ``"token-classification"``      a text, whose entities are found (also ``"ner"``)
    ``"question-answering"``        ``question=…, context=…``, or a dictionary of both
    ``"fill-mask"``                 a text with one or more masks (``pipe.tokenizer.mask_token``)
    ``"zero-shot-classification"``  a text, and ``candidate_labels=[…]``; needs a model for inference (NLI)
    ``"multiple-choice"``           ``question=…, choices=[…]``, or a dictionary of both
    ``"next-sentence-prediction"``  two texts, or ``{"text": …, "text_pair": …}``
    ``"feature-extraction"``        a text, whose tokens get vectors
    ``"text-generation"``           a text, which goes on
    ``"text2text-generation"``      a text, about which another is written
    ``"summarization"``             a text of any length
    ``"translation"``               a text of any length (also ``"translation_en_to_de"``)
    ==============================  =================================================================================

    Args:
        task: one of these; by default what the model was made for.
        model: a name, a directory or a loaded model. The defaults are the models in the box (``bothways models``);
            they have one encoder in common, until one of them is trained.
        config: a configuration, or the name of one, in place of the model's.
        tokenizer: a tokeniser, its name, or (name, options); by default that of the model.
        feature_extractor, image_processor, processor, framework, trust_remote_code: accepted, without effect.
        revision, token: for the hub.
        use_fast: False chooses the plain tokeniser class of the family.
        device: -1 or ``"cpu"``, a number for that GPU, a torch device; None for a GPU if there is one.
        device_map: a device, under the ecosystem's newer name.
        dtype: in which the model computes. ``"auto"`` is fp32 on a CPU, and what the file has on a GPU.
        model_kwargs: further arguments of ``from_pretrained``.
        pipeline_class: a class to use in place of the task's.
        kwargs: defaults of the task's options; ``torch_dtype`` is the older name of ``dtype``.

    Raises:
        UnknownTaskError: no such task (a ``KeyError``).
        UsageError: the arguments do not say which model to use.
        InputError: the model has no head for the task, or the tokeniser has more tokens than the model.
        ModelNotFoundError: the model's name leads nowhere.
    """
    model_kwargs = dict(model_kwargs or {})
    dtype = _one_dtype(dtype, kwargs.pop("torch_dtype", None), model_kwargs)
    token = kwargs.pop("use_auth_token", model_kwargs.pop("use_auth_token", token))
    routes = {"revision": revision, "token": token, **{k: model_kwargs[k] for k in _ROUTES if k in model_kwargs}}
    if task is None and model is None:
        raise UsageError(f"pipeline() needs a task or a model. Known tasks: {', '.join(known_tasks())}.")
    if task is None:
        task = infer_task(model, config, routes)
    name, cls = find_pipeline(task) if pipeline_class is None else (task, pipeline_class)
    shared = model is None
    if model is None:
        if tokenizer is not None:
            raise UsageError("a tokenizer without a model: name the model that the tokeniser belongs to.")
        own = OWN_TASKS.get(name)
        model = _default_model(name) if own is None or own.model is None else own.model
    if device is None and device_map is not None:
        device = _mapped_device(device_map)
    source = model
    if isinstance(model, (str, os.PathLike)):
        shared = config is None and not model_kwargs and (shared or find_boxed(str(model)) is not None)
        place = _device(device) if shared else None
        try:
            model = load_model(
                model, cls, config, _loaded_dtype(dtype, device), {**model_kwargs, **routes}, shared_on=place
            )
        except ModelNotFoundError as problem:
            raise with_nearest(problem, str(model), task) from None
    elif not hasattr(model, "config"):
        raise InputError(f"model is {model!r:.60} ({type(model).__name__}); expected a name, a directory or a model.")
    if tokenizer is None or isinstance(tokenizer, (str, os.PathLike, tuple)):
        tokenizer = _load_tokenizer(tokenizer, source, use_fast, routes)
    return cls(model=model, tokenizer=tokenizer, task=task, device=device, dtype=dtype, **kwargs)


def infer_task(model: Any, config: Any, routes: dict[str, Any]) -> str:
    """The task that a model was made for, by its class or by ``architectures`` in its configuration.

    Raises:
        UsageError: it cannot be told, or there is no pipeline for it.
    """
    if isinstance(model, (str, os.PathLike)):
        if config is None or isinstance(config, (str, os.PathLike)):
            from bothways.models.auto import AutoConfig

            config = AutoConfig.from_pretrained(config or model, **routes)
        names = config.architectures or []
        heads = [head for head in map(_head_of, names) if head is not None]
        shown = f"{model} (architectures: {', '.join(map(str, names)) or 'none'})"
    else:
        heads = [getattr(type(model), "task", "base")]
        shown = type(model).__name__
    if not heads or heads[0] not in TASK_OF_HEAD:
        raise UsageError(f"which task {shown} is for cannot be told. Pass task=, one of: {', '.join(known_tasks())}.")
    return TASK_OF_HEAD[heads[0]]


def _head_of(architecture: str) -> str | None:
    """The task of a class name in ``architectures``; None for a class that is not here."""
    from bothways.models.auto import MODEL_CLASSES

    return next((task for (_, task), cls in MODEL_CLASSES.items() if cls.__name__ == architecture), None)


def _default_model(task: str) -> str:
    from bothways.resolver import DEFAULT_MODEL, list_models

    if task == "feature-extraction":
        return DEFAULT_MODEL
    boxed = boxed_for(task)
    if boxed is not None and boxed.path is not None:
        return str(boxed.path)  # whatever else has its name
    fits = {task, "text2text-generation"} if task.startswith(("summarization", "translation")) else {task}
    here = [(entry.name, _task_of_directory(entry.path)) for entry in list_models() if entry.path is not None]
    fitting = [name for name, made_for in here if made_for in fits]
    if fitting:
        found = f"On this machine there is: {', '.join(fitting)}."
    else:
        found = f"No model on this machine is for it (there is: {', '.join(name for name, _ in here) or 'none'})."
    box = (
        "" if boxed is None else f" {boxed.name} belongs into the box of this library, but is not in this installation."
    )
    advice = "a name or a directory"
    if task in _TRAINED:
        advice += ", for example one that `bothways train` wrote"
    raise UsageError(
        f"{task} has no default model, and nothing is downloaded unasked.{box} {found} Pass model=: {advice}."
    )


def _task_of_directory(directory: Path) -> str | None:
    from bothways.checkpoints.config import read_config
    from bothways.errors import BothwaysError

    try:
        architectures = read_config(directory).get("architectures")
    except BothwaysError:
        return None
    heads = [_head_of(name) for name in architectures if isinstance(name, str)] if architectures else []
    return TASK_OF_HEAD.get(heads[0]) if heads and heads[0] is not None else None


def load_model(
    name: str | os.PathLike[str],
    cls: Any,
    config: Any = None,
    dtype: Any = None,
    options: dict[str, Any] | None = None,
    *,
    shared_on: torch.device | None = None,
) -> Any:
    """Load a model with the head that a pipeline class reads.

    Args:
        name: a directory or a name.
        cls: the class of the pipeline.
        config: in place of the model's.
        dtype: of the parameters.
        options: further arguments of ``from_pretrained``.
        shared_on: a device, to use the encoder that models have in common there; then ``options`` has only routes.

    Raises:
        InputError: the files have no weights for the head; the message says which they have.
    """
    from bothways.checkpoints.config import PretrainedConfig
    from bothways.models.auto import AutoConfig, model_class
    from bothways.models.base import PreTrainedModel
    from bothways.pipelines.own import StepOptions

    options = options or {}
    routes = {k: options[k] for k in ("revision", "token", *_ROUTES) if k in options}
    if not isinstance(config, PretrainedConfig):
        config = AutoConfig.from_pretrained(config or name, **routes)
    heads = [head for head in map(_head_of, config.architectures or []) if head is not None]
    if heads and not cls.accepts(heads[0]) and heads[0] != "pretraining":
        raise _headless(name, cls, config.architectures)
    chosen = _own_model_class(cls)
    if not isinstance(chosen, type) or not issubclass(chosen, PreTrainedModel):
        made_for = heads[0] if heads and cls.options_class is StepOptions else cls.model_task
        chosen = model_class(config.model_type, getattr(chosen, "task", made_for))
    if shared_on is None:
        model = chosen.from_pretrained(name, config=config, dtype=dtype, **options)
    else:
        from bothways.models.shared_encoder import shared_model

        model = shared_model(name, cls=chosen, config=config, device=shared_on, dtype=dtype, **options)
    missing = [] if model.load_report is None else list(model.load_report.missing)
    own = [key for key in missing if not key.startswith(f"{model.family.base_prefix}.")]
    if own and cls.model_task != "base":
        raise _headless(name, cls, config.architectures)
    return model


def _own_model_class(cls: Any) -> Any:
    """The class that a program registered with its pipeline, which may be an ``Auto`` class; None without one."""
    return next((own.model_class for own in OWN_TASKS.values() if own.pipeline_class is cls), None)


def _headless(name: Any, cls: Any, architectures: Any) -> InputError:
    has = ", ".join(map(str, architectures or [])) or "a model without a named architecture"
    advice = "Pass a model that has one" + (
        f", or train it: `bothways train --task {cls.default_task}`." if cls.default_task in _TRAINED else "."
    )
    if cls.model_task in ("causal-lm", "seq2seq-lm"):
        from bothways.pipelines.writing import writers_sentence

        advice += f" {writers_sentence(cls.model_task)}"
    boxed = boxed_for(cls.default_task)
    if boxed is not None and boxed.path is not None:
        advice += f" In the box there is {boxed.name}."
    return InputError(
        f"{name} has no weights for the {cls.model_task} head that {cls.default_task} needs: it holds {has}. {advice}"
    )


def _loaded_dtype(dtype: Any, device: Any) -> Any:
    """Of the parameters. On a CPU they stay fp32, and the blocks compute in what was asked."""
    return None if _device(device).type == "cpu" else dtype


def _device(device: Any) -> torch.device:
    """Where a model goes that is loaded for ``device``."""
    import torch

    from bothways.pipelines.base import choose_device

    return choose_device(device, torch.device("cpu"))


def _load_tokenizer(tokenizer: Any, model: Any, use_fast: bool, routes: dict[str, Any]) -> Any:
    from bothways.tokenizers import AutoTokenizer

    options: dict[str, Any] = {}
    if isinstance(tokenizer, tuple):
        tokenizer, options = tokenizer[0], dict(tokenizer[1])
    name = tokenizer if tokenizer is not None else model
    if not isinstance(name, (str, os.PathLike)):
        name = getattr(model, "name_or_path", None)
        if not name:
            raise InputError(
                f"the tokeniser of this {type(model).__name__} is not known, since it was not loaded by name. Pass "
                "tokenizer=AutoTokenizer.from_pretrained(...)."
            )
    return AutoTokenizer.from_pretrained(name, use_fast=options.pop("use_fast", use_fast), **routes, **options)


def _one_dtype(dtype: Any, older: Any, model_kwargs: dict[str, Any]) -> Any:
    """The dtype among three places where it can be given."""
    inner = [model_kwargs.pop(name) for name in ("dtype", "torch_dtype") if name in model_kwargs]
    if older is not None and dtype == "auto":
        dtype = older
    if inner and dtype != "auto":
        raise UsageError("dtype is given twice: as an argument and in model_kwargs. Pass it once.")
    return inner[0] if inner else dtype


def _mapped_device(device_map: Any) -> Any:
    if device_map == "auto":
        return None
    return device_map.get("") if isinstance(device_map, dict) else device_map
