"""What all pipelines share: the forms of a call, options per call, streams, saving."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import torch

from bothways.errors import InputError
from bothways.models.base import PreTrainedModel
from bothways.models.runner import PackedRunner
from bothways.models.task_models import TaskModel
from bothways.pipelines.own import StepOptions, answer_in_steps, check_steps, options_of
from bothways.pipelines.streaming import CHUNK_CHARACTERS, CHUNK_ITEMS, chunks
from bothways.pipelines.tokenizer_fit import check_tokenizer
from bothways.tokenizers.base import PreTrainedTokenizerBase


class Pipeline:
    """Texts in, answers out.

    A subclass names its task and its options, and turns a chunk of inputs into answers (``answer``). One of a program's
    own has the four steps of the ecosystem instead, see ``own.py``.

    Args:
        model: a loaded model with the head that the task needs; it is moved to ``device``.
        tokenizer: the tokeniser of this model.
        task: name under which the pipeline was asked for.
        device: -1 or ``"cpu"``, a number for that GPU, a torch device; None for a GPU if there is one.
        dtype: in which the model computes; by default that of its parameters.
        options: defaults of the task's options, which each call can override.

    Raises:
        InputError: the model or the tokeniser does not fit the task, or the tokeniser not the model.
        TypeError: an unknown option.
    """

    default_task: ClassVar[str] = ""
    model_task: ClassVar[str] = "base"
    options_class: ClassVar[type[Any]] = StepOptions
    chunk_items: ClassVar[int] = CHUNK_ITEMS
    chunk_characters: ClassVar[int] = CHUNK_CHARACTERS
    framework = "pt"

    def __init_subclass__(cls, **further: Any) -> None:
        super().__init_subclass__(**further)
        check_steps(cls)

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase | None = None,
        *,
        task: str = "",
        device: int | str | torch.device | None = None,
        dtype: torch.dtype | str | None = None,
        torch_dtype: torch.dtype | str | None = None,
        **options: Any,
    ) -> None:
        if tokenizer is None:
            raise InputError(
                f"{type(self).__name__} needs a tokenizer: pass tokenizer=AutoTokenizer.from_pretrained(…)."
            )
        self.task = task or self.default_task
        self.model = self.check_model(model)
        check_tokenizer(self.model, tokenizer)
        self.tokenizer = tokenizer
        self.device = choose_device(device, model.device)
        if self.model.device != self.device:
            self.model.to(self.device)
        dtype = torch_dtype if dtype is None else dtype
        self.runner = PackedRunner(self.model, dtype=None if dtype == "auto" else dtype)
        self.options = self._with(self.options_class(), options)

    def __call__(self, inputs: Any, **options: Any) -> Any:
        """Answer one input, a list of inputs, or a stream of them.

        Args:
            inputs: a text or dictionary gives one answer; a list or tuple gives a list; anything else that can be
                iterated (a generator, a data set) gives an iterator that reads and answers as it is asked.
            options: override the pipeline's options for this call.

        Raises:
            InputError: an input that is no text; the message has its number.
            TypeError: an unknown option.
        """
        chosen = self._with(self.options, options)
        if isinstance(inputs, (str, Mapping)):
            return next(self.answer([inputs], chosen, 0))
        if isinstance(inputs, (list, tuple)):
            return list(self._stream(inputs, chosen, eager=True))
        source = _iterated(inputs)
        if source is None:
            raise InputError(
                f"the input is {inputs!r:.60} ({type(inputs).__name__}); expected a text, a list of texts, or "
                "something that can be iterated."
            )
        return Answers(self._stream(source, chosen, eager=False), inputs)

    def parse(self, given: dict[str, Any]) -> dict[str, Any]:
        """The fields of ``options_class`` that these keyword arguments change.

        Raises:
            TypeError: an unknown argument. InputError: an impossible value.
        """
        raise NotImplementedError

    def answer(self, inputs: list[Any], options: Any, first: int) -> Iterator[Any]:
        """The answers to a chunk of inputs, in order; ``first`` is the number of its first input, for messages."""
        return answer_in_steps(self, inputs, options)

    @classmethod
    def check_model(cls, model: Any) -> Any:
        """Return the model if its head fits.

        Raises:
            InputError: it is no model, or has another head.
        """
        if not isinstance(model, PreTrainedModel):
            raise InputError(f"model is a {type(model).__name__}; expected a model of this library or the name of one.")
        if not cls.accepts(getattr(type(model), "task", "base")):
            has = f"a head for {model.task}" if isinstance(model, TaskModel) else "no head"
            raise InputError(
                f"{cls.default_task} needs a model with a head for {cls.model_task}, but {type(model).__name__} has "
                f"{has}."
            )
        return model

    @classmethod
    def accepts(cls, model_task: str) -> bool:
        """Whether weights saved for ``model_task`` have what this pipeline reads."""
        return cls.options_class is StepOptions or model_task == cls.model_task

    def predict(self, X: Any) -> Any:  # noqa: N803 - the name in scikit-learn's contract
        """The same as a call."""
        return self(X)

    transform = predict

    @property
    def dtype(self) -> torch.dtype:
        """In which the model computes."""
        return self.model.dtype if self.runner.dtype is None else self.runner.dtype

    torch_dtype = dtype

    def save_pretrained(self, save_directory: str | os.PathLike[str], **kwargs: Any) -> None:
        """Write model and tokeniser to a directory that ``pipeline(model=directory)`` reads."""
        self.model.save_pretrained(save_directory, **kwargs)
        self.tokenizer.save_pretrained(save_directory)

    def _with(self, options: Any, given: dict[str, Any]) -> Any:
        if isinstance(options, StepOptions):
            return options_of(self, options, given)
        return replace(options, **self.parse(dict(given))) if given else options

    def _stream(self, inputs: Iterable[Any], options: Any, *, eager: bool) -> Iterator[Any]:
        first = 0
        for chunk in chunks(inputs, most=self.chunk_items, most_characters=self.chunk_characters, eager=eager):
            yield from self.answer(chunk, options, first)
            first += len(chunk)


class Answers(Iterator[Any]):
    """The answers to a stream, in order, computed as they are taken. Has a length if the source has one."""

    def __init__(self, answers: Iterator[Any], source: Any) -> None:
        self._answers = answers
        self._source = source

    def __next__(self) -> Any:
        return next(self._answers)

    def __len__(self) -> int:
        return len(self._source)


def checked_text(item: Any, number: int, expected: str = "a text (str)") -> str:
    """Return the item if it is a text.

    Raises:
        InputError: with the number of the input and what it is instead.
    """
    if isinstance(item, str):
        return item
    raise InputError(f"input {number} is {item!r:.60} ({type(item).__name__}); expected {expected}.")


def choose_device(device: int | str | torch.device | None, current: torch.device) -> torch.device:
    """The device that an argument of the ecosystem stands for.

    Args:
        device: None for a GPU if there is one; -1 leaves the model where it is; a number for that GPU.
        current: where the model is.

    Raises:
        InputError: no such device on this machine.
    """
    if device is None:
        return torch.device("cuda", 0) if torch.cuda.is_available() and current.type == "cpu" else current
    if isinstance(device, bool) or not isinstance(device, (int, str, torch.device)):
        raise InputError(f"device is {device!r}; expected -1, 'cpu', the number of a GPU or a torch.device.")
    if isinstance(device, int):
        if device < 0:
            return current
        device = f"cuda:{device}" if torch.cuda.is_available() else "cpu"  # as the reference: 0 is "the first there is"
    try:
        chosen = torch.device(device)
    except RuntimeError as problem:
        raise InputError(f"device {device!r} is unknown to torch: {problem}") from None
    if chosen.type == "cuda":
        count = torch.cuda.device_count()
        if (chosen.index or 0) >= count:
            raise InputError(f"device {device!r} is not there: this machine shows {count} CUDA devices. Use 'cpu'.")
        chosen = torch.device("cuda", chosen.index or 0)
    return chosen


def _iterated(inputs: Any) -> Iterable[Any] | None:
    """Something to iterate over, or None. A torch data set may have no ``__iter__``, only numbers and a length."""
    if isinstance(inputs, (bytes, bytearray)):
        return None
    if hasattr(inputs, "__iter__"):
        return inputs
    if hasattr(inputs, "__getitem__") and hasattr(inputs, "__len__"):
        return (inputs[i] for i in range(len(inputs)))
    return None
