"""Which family and size to take, why, what it will cost here, what to try first, and when another way is better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bothways.comparing.advice_texts import advice_sentences
from bothways.comparing.candidates import CANDIDATES, Candidate
from bothways.comparing.costs import Cost, Work, arithmetic, cost_of
from bothways.comparing.machine import Machine, measure_machine
from bothways.engine.precision import PRECISIONS
from bothways.errors import UsageError
from bothways.training.text_task import defaults_for

TASKS = ("text-classification", "token-classification", "question-answering", "zero-shot-classification")
ALIASES = {
    "ner": "token-classification",
    "sentiment-analysis": "text-classification",
    "zero-shot": "zero-shot-classification",
}
TOKENS = 128
TRAIN_HOURS = 24.0
ROOM = 0.8
"""Share of the wanted latency that the model may take; the rest is for tokenisation and the slowest calls."""
HEAD_BELOW = 32
LORA_BELOW = 64
"""Labelled texts a class below which a head on a frozen encoder, or LoRA, goes before fine-tuning: rules of thumb."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked.

    Attributes:
        classes: how many there are. documents: texts to answer.
        labels: labelled texts of each class; None takes all documents as labelled.
        tokens: of a text. latency_ms: wanted for one text, None if it does not matter.
        languages: codes such as ``en``. task: one of ``TASKS``.
        train_hours: what training may take. api_price: of a million tokens elsewhere, None if it is not known.
    """

    classes: int
    documents: int
    labels: int | None = None
    tokens: int = TOKENS
    latency_ms: float | None = None
    languages: tuple[str, ...] = ("en",)
    task: str = "text-classification"
    train_hours: float = TRAIN_HOURS
    api_price: float | None = None

    @property
    def labelled(self) -> int:
        """Texts to learn from."""
        return self.documents if self.labels is None else self.labels * self.classes

    @property
    def zero_shot(self) -> bool:
        """Whether there is nothing to learn from."""
        return self.task == "zero-shot-classification" or not self.labelled

    @property
    def work(self) -> Work:
        """What a model has to do."""
        labelled = 0 if self.zero_shot else self.labelled
        epochs = defaults_for(labelled, self.classes).epochs
        passes = self.classes if self.zero_shot and self.task != "token-classification" else 1
        return Work(tokens=self.tokens, documents=self.documents, labelled=labelled, epochs=epochs, passes=passes)

    @property
    def methods(self) -> tuple[str, ...]:
        """Ways of training, the first one first; empty without labels."""
        if self.zero_shot:
            return ()
        if self.labels is not None and self.labels < HEAD_BELOW:
            return ("head only", "LoRA")
        if self.labels is not None and self.labels < LORA_BELOW:
            return ("LoRA", "head only")
        return ("fine-tuning", "LoRA", "head only")


@dataclass(frozen=True, kw_only=True)
class Option:
    """A candidate for this question. ``method`` of training fits into the time; None if none does, or none is needed.

    ``against`` names what it does not fit: language, latency, training time; empty where it could be taken.
    """

    candidate: Candidate
    cost: Cost
    method: str | None
    against: str


@dataclass(frozen=True, kw_only=True)
class Advice:
    """The answer.

    Attributes:
        options: all candidates. choice: the number of the one to take among them; None if none fits.
        sentences: what to do, in order. arithmetic: how the numbers of the choice, or of the smallest, come about.
        machine: what was measured.
    """

    question: Question
    machine: Machine
    options: tuple[Option, ...]
    choice: int | None
    sentences: tuple[str, ...]
    arithmetic: tuple[str, ...]


def advise(
    *,
    classes: int,
    documents: int,
    latency_ms: float | None = None,
    use_gpu: bool = True,
    tokens: int = TOKENS,
    languages: Sequence[str] = ("en",),
    task: str = "text-classification",
    labels: int | None = None,
    train_hours: float = TRAIN_HOURS,
    api_price: float | None = None,
    precision: str = "auto",
    machine: Machine | None = None,
) -> Advice:
    """Measure the machine for some seconds and say which model to take for a task.

    Args:
        classes: how many there are (of NER the types of entities).
        documents: texts to answer.
        latency_ms: wanted for one text.
        use_gpu: take the GPU if there is one.
        tokens: of a usual text; a page has about 500.
        languages: of the texts, such as ``["en", "de"]``.
        task: text-classification, token-classification, question-answering or zero-shot-classification.
        labels: labelled texts of each class; None takes all documents as labelled, 0 means none.
        train_hours: what training may take at most.
        api_price: of a million tokens at a provider, in any currency.
        precision: auto, float32 or bfloat16.
        machine: numbers of another machine in place of a measurement.

    Raises:
        UsageError: numbers that cannot be, an unknown task or precision.
    """
    question = Question(
        classes=classes,
        documents=documents,
        labels=labels,
        tokens=tokens,
        latency_ms=latency_ms,
        languages=tuple(language.strip().lower() for language in languages if language.strip()),
        task=ALIASES.get(task, task),
        train_hours=train_hours,
        api_price=api_price,
    )
    _check(question, precision)
    found = machine or measure_machine(length=tokens, use_gpu=use_gpu, precision=precision)
    work = question.work
    options = tuple(_option(candidate, question, cost_of(candidate, work, found)) for candidate in CANDIDATES)
    fitting = [i for i, option in enumerate(options) if not option.against]
    choice = max(fitting, default=None)
    shown = options[0 if choice is None else choice]
    return Advice(
        question=question,
        machine=found,
        options=options,
        choice=choice,
        sentences=tuple(advice_sentences(question, options, choice, found)),
        arithmetic=tuple(arithmetic(shown.candidate, shown.cost, work, found, shown.method or "")),
    )


def _option(candidate: Candidate, question: Question, cost: Cost) -> Option:
    in_time = [m for m in question.methods if cost.training[m] <= question.train_hours * 3_600]
    against = []
    if not candidate.multilingual and set(question.languages) - {"en"}:
        against.append("language")
    if question.latency_ms is not None and cost.latency * 1_000 > ROOM * question.latency_ms:
        against.append("latency")
    # With enough labels LoRA comes near fine-tuning (Hu et al. 2022); a head alone does not.
    if question.methods and (not in_time or (in_time[0] == "head only" != question.methods[0])):
        against.append("training time")
    return Option(candidate=candidate, cost=cost, method=in_time[0] if in_time else None, against=", ".join(against))


def _check(question: Question, precision: str) -> None:
    wrong = []
    for name, value, least in (
        ("--classes", question.classes, 1),
        ("--documents", question.documents, 1),
        ("--tokens", question.tokens, 1),
        ("--labels", question.labels, 0),
    ):
        if value is not None and value < least:
            wrong.append(f"{name} is {value}; expected a whole number from {least}")
    for name, number in (
        ("--latency-ms", question.latency_ms),
        ("--train-hours", question.train_hours),
        ("--api-price", question.api_price),
    ):
        if number is not None and not 0 < number < float("inf"):
            wrong.append(f"{name} is {number}; expected a number above 0")
    if question.task not in TASKS:
        wrong.append(f"unknown task {question.task!r}; known are {', '.join([*TASKS, *ALIASES])}")
    if not question.languages:
        wrong.append("no language was given; expected codes such as en,de")
    if precision not in PRECISIONS:
        wrong.append(f"--precision is {precision!r}; expected one of {', '.join(PRECISIONS)}")
    if wrong:
        raise UsageError("; ".join(wrong) + ".")


__all__ = ["Advice", "Option", "Question", "advise"]
