"""The tasks that can be trained, by name; a task's module is imported when it is asked for."""

from __future__ import annotations

from importlib import import_module

from bothways.errors import UsageError, nearest
from bothways.training.task import TrainingTask

TASKS: dict[str, str] = {
    "text-classification": "bothways.training.text_task:TextTask",
    "token-classification": "bothways.training.entity_task:EntityTask",
    "question-answering": "bothways.training.question_task:QuestionTask",
    "multiple-choice": "bothways.training.choice_task:ChoiceTask",
    "next-sentence-prediction": "bothways.training.sentence_task:NextSentenceTask",
    "summarization": "bothways.training.writing_task:SummarizationTask",
    "translation": "bothways.training.writing_task:TranslationTask",
    "text-generation": "bothways.training.language_task:LanguageTask",
}
TASK_ALIASES = {"sentiment-analysis": "text-classification", "ner": "token-classification"}


def find_task(name: str) -> type[TrainingTask]:
    """The class of a task that can be trained.

    Raises:
        UsageError: an unknown name; the message lists the known ones.
    """
    full = TASK_ALIASES.get(name, name)
    if full not in TASKS:
        like = nearest(name, [*TASKS, *TASK_ALIASES], most=1)
        hint = f" Did you mean {like[0]!r}?" if like else ""
        raise UsageError(f"unknown task {name!r}. Known tasks: {', '.join([*TASKS, *TASK_ALIASES])}.{hint}")
    module, _, cls = TASKS[full].partition(":")
    return getattr(import_module(module), cls)
