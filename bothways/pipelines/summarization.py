"""Summarisation: a text in fewer words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bothways.pipelines.prompt_batches import Written
from bothways.pipelines.text2text import Text2TextGenerationPipeline
from bothways.tasks.generated_text import record_name
from bothways.tasks.summarize_windows import LongSummary, Write, summarize_long


class SummarizationPipeline(Text2TextGenerationPipeline):
    """Summaries of texts of any length.

    Options as for ``text2text-generation``; ``long_input`` is ``"window"`` unless the caller says otherwise: a text
    that is longer than the model reads is divided at sentences, the windows are summarised, then the summaries in a
    row, until one reading is enough. How much is read at once follows from the model and from what its tokeniser was
    made for (``model_max_length``, of which T5 has no other); ``max_source_length`` says something else.

    A text gives ``[{"summary_text": …}]``, a list of texts a list of dictionaries if each has one.
    """

    default_task = "summarization"
    divides = True

    def answer_divided(self, texts: Mapping[int, str], options: Any, first: int) -> dict[int, Any]:
        if not texts:
            return {}
        config, _ = self.settings(options)
        several = (config.num_return_sequences or 1) > 1 or options.return_tensors
        if several or isinstance(config.seed, (list, tuple)):
            return {i: self._answer_alone(text, options, first + i) for i, text in texts.items()}
        ended: dict[str, bool] = {}

        def write(windows: list[str]) -> list[str]:
            written = self._write(windows, options, first)
            found = [self.text_of(own) for own in written]
            ended.update((text.strip(), own.finished[0]) for text, own in zip(found, written, strict=True))
            return found

        summaries = self._summaries(list(texts.values()), write, options)
        key = f"{record_name(self.task)}_text"
        return {
            i: ([{key: found.text}], [found.is_whole and ended[found.text]], found.n_windows)
            for i, found in zip(texts, summaries, strict=True)
        }

    def _answer_alone(self, text: str, options: Any, number: int) -> Any:
        """One text, where the last round has more than a text for each window, or draws of its own."""
        last: list[Written] = []

        def write(windows: list[str]) -> list[str]:
            last[:] = self._write(windows, options, number)
            return [self.text_of(own) for own in last]

        (found,) = self._summaries([text], write, options)
        finished = [found.is_whole and all(own) for own in zip(*(one.finished for one in last), strict=True)]
        parts = [self.records(one, options) for one in last]
        return self.joined_records(parts, " ".join), finished, found.n_windows

    def _summaries(self, texts: list[str], write: Write, options: Any) -> list[LongSummary]:
        return summarize_long(texts, count=self.count, write=write, limit=self.room_for_text(options))

    def _write(self, windows: list[str], options: Any, number: int) -> list[Written]:
        return self.write_rows(self.encode(windows, options), options, [number] * len(windows))
