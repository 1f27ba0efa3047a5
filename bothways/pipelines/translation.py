"""Translation: a text in another language."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from bothways.errors import InputError
from bothways.pipelines.text2text import Text2TextGenerationPipeline
from bothways.pipelines.writing import WritingOptions
from bothways.tasks.sentences import SentenceSplit, split_sentences
from bothways.tasks.summarize_windows import text_windows
from bothways.tasks.text_pairs import task_prefix

logger = logging.getLogger("bothways")

SHARE_OF_OUTPUT = 0.9
"""A source with more tokens than this share of what may be written is translated by sentences, unless the caller said
how much may be written: the reference warns from there on that the translation may be cut."""


@dataclass(frozen=True, kw_only=True)
class TranslationOptions(WritingOptions):
    """Attributes:
    src_lang, tgt_lang: languages of the text and of its translation, as the checkpoint calls them.
    by_sentence: translate every text sentence by sentence, and not only long ones.
    """

    src_lang: str | None = None
    tgt_lang: str | None = None
    by_sentence: bool = False


class TranslationPipeline(Text2TextGenerationPipeline):
    """Translations of texts of any length.

    Options as for ``text2text-generation``, and ``src_lang``, ``tgt_lang`` (which mBART needs, and which choose among
    the prefixes of a T5), ``by_sentence``. ``long_input`` is ``"window"`` unless the caller says otherwise: a text that
    is longer than the model reads, or so long that its translation would be cut, is translated sentence by sentence;
    what stands between the sentences stays.

    The task ``translation_xx_to_yy`` names both languages. A text gives ``[{"translation_text": …}]``, a list of texts
    a list of dictionaries if each has one.
    """

    default_task = "translation"
    options_class = TranslationOptions
    divides = True
    known: ClassVar[tuple[str, ...]] = (*Text2TextGenerationPipeline.known, "src_lang", "tgt_lang", "by_sentence")

    def __init__(self, model: Any, tokenizer: Any = None, *, task: str = "", **options: Any) -> None:
        super().__init__(model, tokenizer, task=_chosen_task(task or self.default_task, model), **options)

    def parse(self, given: dict[str, Any]) -> dict[str, Any]:
        changes: dict[str, Any] = {}
        for name in ("src_lang", "tgt_lang"):
            if name in given:
                changes[name] = given.pop(name)
                if not isinstance(changes[name], (str, type(None))):
                    raise InputError(f"{name} is {changes[name]!r:.60}; expected the code of a language (str).")
        if "by_sentence" in given:
            changes["by_sentence"] = bool(given.pop("by_sentence"))
        return changes | super().parse(given)

    def source_limit(self, options: Any) -> int | None:
        limit = super().source_limit(options)
        config, said = self.settings(options)
        if said & {"max_new_tokens", "max_length"} or options.max_length is not None or options.truncation:
            return limit
        most = config.max_new_tokens if config.max_new_tokens is not None else config.max_length - 1
        by_output = int(SHARE_OF_OUTPUT * most) + len(self.encode([""], options)[0])  # a prefix is not translated
        return by_output if limit is None else min(limit, by_output)

    def prefix(self, options: Any) -> str:
        source, target = self._languages(options)
        named = task_prefix(self.model.config, f"translation_{source}_to_{target}") if source and target else ""
        return named or super().prefix(options)

    def source_ids(self, texts: Sequence[str], options: Any, **how: Any) -> list[list[int]]:
        if not texts or not isinstance(options, TranslationOptions) or not self._marks_languages():
            return super().source_ids(texts, options, **how)
        ids: list[list[int]] = self._marked(texts, options)["input_ids"]
        return ids

    def decoder_settings(self, options: Any) -> dict[str, Any]:
        if not self._marks_languages():
            return {}
        return {"forced_bos_token_id": self._marked([""], options)["forced_bos_token_id"]}

    def pieces_wanted(self, texts: Sequence[str], long: list[int], options: Any) -> list[int]:
        if not options.by_sentence:
            return long
        return [i for i, text in enumerate(texts) if i in set(long) or len(split_sentences(text).spans) > 1]

    def answer_divided(self, texts: Mapping[int, str], options: Any, first: int) -> dict[int, Any]:
        room = self.room_for_text(options) if texts else 0
        divided = {i: _Divided.of(text, self.count, room) for i, text in texts.items()}
        pieces = [(i, piece) for i, own in divided.items() for piece in own.pieces]
        rows = self.encode([piece for _, piece in pieces], options) if pieces else []
        written = iter(self.write_rows(rows, options, [first + i for i, _ in pieces]))
        answers = {}
        for i, own in divided.items():
            parts = [next(written) for _ in own.pieces]
            records = self.joined_records([self.records(part, options) for part in parts], own.joined)
            finished = [all(ended) for ended in zip(*(part.finished for part in parts), strict=True)]
            answers[i] = (records, finished, len(parts))
        return answers

    def _languages(self, options: Any) -> tuple[str | None, str | None]:
        """Of the text and of its translation; those in the name of the task where the caller says none."""
        if options.src_lang is None and options.tgt_lang is None:
            parts = self.task.split("_")
            return (parts[1], parts[3]) if len(parts) == 4 else (None, None)
        return options.src_lang, options.tgt_lang

    def _marks_languages(self) -> bool:
        """Whether languages are tokens, as in mBART."""
        return hasattr(self.tokenizer, "_build_translation_inputs")

    def _marked(self, texts: Sequence[str], options: Any) -> Any:
        source, target = self._languages(options)
        tokenizer: Any = self.tokenizer
        return tokenizer._build_translation_inputs(
            list(texts), return_tensors=None, src_lang=source, tgt_lang=target, truncation=False
        )


@dataclass(frozen=True)
class _Divided:
    """A long text in pieces that the model reads at once.

    Attributes:
        split: its sentences.
        sizes: into how many pieces each sentence is divided, 1 unless it is too long itself.
        pieces: of all sentences, in order.
    """

    split: SentenceSplit
    sizes: list[int]
    pieces: list[str]

    @classmethod
    def of(cls, text: str, count: Any, room: int) -> _Divided:
        split = split_sentences(text)
        sentences = split.sentences
        sizes, pieces = [], []
        for sentence, n_tokens in zip(sentences, count(list(sentences)), strict=True):
            windows = [sentence]
            if n_tokens > room:
                windows = [sentence[w.start : w.end] for w in text_windows(sentence, count, room)]
            sizes.append(len(windows))
            pieces += windows
        return cls(split, sizes, pieces)

    def joined(self, translations: Sequence[str]) -> str:
        """The translations of all pieces as one text, with what stood between the sentences."""
        rest = iter(translations)
        return self.split.joined([" ".join(next(rest).strip() for _ in range(size)) for size in self.sizes])


def _chosen_task(task: str, model: Any) -> str:
    """``translation`` alone stands for the first pair of languages that the checkpoint has settings for."""
    params = getattr(getattr(model, "config", None), "task_specific_params", None) or {}
    pairs = [name for name in params if name.startswith("translation")] if isinstance(params, Mapping) else []
    if task != "translation" or not pairs or task in pairs:
        return task
    logger.warning(
        "'translation' was asked for, without languages: the first pair of this checkpoint is used, %s.", pairs[0]
    )
    return str(pairs[0])
