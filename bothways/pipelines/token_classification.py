"""Token classification: which words of a text are entities, and of what type."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bothways.data.tagged import spans_of
from bothways.data.words import Span, word_spans
from bothways.errors import InputError
from bothways.pipelines.base import Pipeline, checked_text
from bothways.pipelines.options import TextOptions, refuse_unknown, take_tokenizer_options
from bothways.tasks.encoded import account, position_limit
from bothways.tasks.entities_v4 import Window, entities_v4
from bothways.tasks.entity_groups import AggregationStrategy, Labels, entity_groups, labelled_tokens
from bothways.tasks.token_classification import EncodedTokens, encode_words, relocate, token_scores

__all__ = ["AggregationStrategy", "NerPipeline", "TokenClassificationOptions", "TokenClassificationPipeline"]

WORD_RULES = ("joined", "units")
_OPTIONS = (
    "aggregation_strategy",
    "grouped_entities",
    "ignore_subwords",
    "ignore_labels",
    "stride",
    "offset_mapping",
    "is_split_into_words",
    "delimiter",
    "word_rule",
    "details",
    "compat",
)


@dataclass(frozen=True, kw_only=True)
class TokenClassificationOptions(TextOptions):
    """How tokens become entities.

    Attributes:
        aggregation_strategy: see ``AggregationStrategy``.
        ignore_labels: labels (of tokens) or types (of entities) that are left out.
        stride: as the caller said; also the overlap of windows.
        offset_mapping: for each input the characters of its tokens, in place of the tokeniser's.
        is_split_into_words: inputs are lists of words.
        delimiter: what joins those words to the text in which ``start`` and ``end`` count.
        word_rule: what a word of a text is: ``"joined"`` or ``"units"``, see ``data.words.word_spans``; None for what
            the model was trained with (``word_rule`` in its configuration), and else joined.
        details: a dictionary with ``entities``, ``n_tokens``, ``n_windows`` and ``truncated`` for every input.
        compat: ``"v4"`` for exactly what the reference's version 4 returns.
    """

    aggregation_strategy: AggregationStrategy = AggregationStrategy.NONE
    ignore_labels: tuple[str, ...] = ("O",)
    stride: int | None = None
    offset_mapping: tuple[Any, ...] | None = None
    is_split_into_words: bool = False
    delimiter: str = " "
    word_rule: str | None = None
    details: bool = False
    compat: str | None = None


class TokenClassificationPipeline(Pipeline):
    """Labelled tokens, or entities, of texts of any length.

    Options: ``aggregation_strategy`` (``"none"``, ``"simple"``, ``"first"``, ``"average"``, ``"max"``),
    ``ignore_labels``, ``is_split_into_words`` with ``delimiter``, ``offset_mapping``, ``word_rule``, ``details``,
    ``compat``, and those of texts: ``truncation``, ``max_length``, ``long_input``, ``window_overlap`` (also
    ``stride``). ``grouped_entities`` and ``ignore_subwords`` are older names of strategies.

    A list of entities for a text, a list of such lists for a list. Without a strategy a dictionary a token:
    ``entity, score, index, word, start, end``; with one a dictionary an entity: ``entity_group, score, word, start,
    end``. ``text[start:end]`` is the entity.

    A text that is longer than the model reads is divided into overlapping windows; each token is judged in the one
    that shows most of its surroundings, so that entities need no merging. ``compat="v4"`` cuts such a text as the
    reference does, unless ``stride`` is given, and keeps its other ways (see ``tasks.entities_v4``).
    """

    default_task = "token-classification"
    model_task = "token-classification"
    options_class = TokenClassificationOptions
    chunk_items = 512

    def __call__(self, inputs: Any, **options: Any) -> Any:
        """Find entities. Inputs are texts, lists of texts or streams of them; with ``is_split_into_words`` a list of
        words, or lists of such lists.

        Raises:
            InputError: an empty list, an input of another kind, an impossible option.
        """
        if isinstance(inputs, (list, tuple)) and not inputs:
            raise InputError("at least one input is required, got an empty list.")
        if isinstance(inputs, Mapping):
            raise InputError(f"the input is a dictionary with the keys {sorted(map(str, inputs))}; expected a text.")
        split = options.get("is_split_into_words", self.options.is_split_into_words)
        if split and isinstance(inputs, (list, tuple)) and not any(isinstance(i, (list, tuple)) for i in inputs):
            inputs = [list(inputs)]
        if options.get("offset_mapping"):
            options["offset_mapping"] = _mappings(options["offset_mapping"], inputs)
        return super().__call__(inputs, **options)

    def parse(self, given: dict[str, Any]) -> dict[str, Any]:
        changes: dict[str, Any] = {}
        grouped, whole = given.pop("grouped_entities", None), given.pop("ignore_subwords", None)
        strategy = given.pop("aggregation_strategy", None)
        if grouped is not None or whole is not None:  # as in the reference, the older names win
            strategy = ("first" if whole else "simple") if grouped else "none"
        if strategy is not None:
            changes["aggregation_strategy"] = AggregationStrategy.of(strategy)
        stride = given.get("stride")
        changes |= take_tokenizer_options(given)
        if stride is not None:
            changes["stride"] = _checked_stride(stride)
        ignored = given.pop("ignore_labels", None)
        if ignored is not None:
            changes["ignore_labels"] = _checked_labels(ignored)
        for name, known in (("word_rule", WORD_RULES), ("compat", ("v4",))):
            value = given.pop(name, None)
            if value is not None and value not in known:
                raise InputError(f"{name} is {value!r}; expected one of {', '.join(map(repr, known))}, or None.")
            if value is not None:
                changes[name] = value
        for name in ("is_split_into_words", "details"):
            if name in given:
                changes[name] = bool(given.pop(name))
        delimiter = given.pop("delimiter", None)
        if delimiter is not None:
            changes["delimiter"] = checked_text(delimiter, 0, "a text for delimiter")
        mapping = given.pop("offset_mapping", None)
        if mapping is not None:
            changes["offset_mapping"] = tuple(mapping)
        refuse_unknown(given, _OPTIONS, "the token-classification pipeline")
        return changes

    def answer(self, inputs: list[Any], options: Any, first: int) -> Iterator[Any]:
        words = (
            [_checked_words(item, first + i) for i, item in enumerate(inputs)] if options.is_split_into_words else None
        )
        if words is None:
            texts = [checked_text(item, first + i) for i, item in enumerate(inputs)]
            joined = self._word_rule(options) == "joined"
            spans = [word_spans(text, joined=joined) for text in texts]
        else:
            texts = [options.delimiter.join(own) for own in words]
            spans = [list(spans_of(own, len(options.delimiter))) for own in words]
        if options.compat == "v4":
            return self._answer_v4(texts, words, spans, options, first)
        return self._answer(texts, words, spans, options, first)

    def _answer(
        self,
        texts: list[str],
        words: list[list[str]] | None,
        spans: list[list[Span]],
        options: TokenClassificationOptions,
        first: int,
    ) -> Iterator[Any]:
        # words that white space joins are found in the text again, so that a tokeniser sees them as it was trained
        apart = words is not None and not options.delimiter.isspace()
        how = options.encoding(self.tokenizer, self.model.config)
        seen = words if apart else None
        tokens = encode_words(self.tokenizer, texts, spans, words=seen, truncation=options.strategy, first=first, **how)
        encoded = tokens.encoded
        if options.offset_mapping is not None:
            tokens = _remapped(tokens, options.offset_mapping, first)
        logits = self.runner.token_logits(encoded.input_ids, encoded.token_type_ids)
        config: Any = self.model.config
        labels = Labels.of(config.id2label)
        for i, scores in enumerate(token_scores(logits, tokens)):
            located = tokens.texts[i]
            if options.aggregation_strategy is AggregationStrategy.NONE:
                found = labelled_tokens(located, scores, labels, options.ignore_labels, self.tokenizer)
            else:
                found = entity_groups(
                    located, scores, labels, options.aggregation_strategy, options.ignore_labels, self.tokenizer
                )
            yield {"entities": found, **encoded.account(i)} if options.details else found

    def _answer_v4(
        self,
        texts: list[str],
        words: list[list[str]] | None,
        spans: list[list[Span]],
        options: TokenClassificationOptions,
        first: int,
    ) -> Iterator[Any]:
        config: Any = self.model.config
        limit = options.max_length or min(self.tokenizer.model_max_length, position_limit(config) or 2**31)
        if options.stride is not None:
            _check_stride_v4(options.stride, limit, options.aggregation_strategy)
        encodings = self.tokenizer.encode_texts(
            texts if words is None else words,
            max_length=limit,
            stride=options.stride or 0,
            is_split_into_words=words is not None,
            offsets=True,
        )
        parts = [[e, *(e.overflowing if options.stride is not None else ())] for e in encodings]
        typed = "token_type_ids" in self.tokenizer.model_input_names
        flat = [part for own in parts for part in own]
        logits = iter(self.runner.token_logits([p.ids for p in flat], [p.type_ids for p in flat] if typed else None))
        for i, own in enumerate(parts):
            windows = [
                Window(
                    ids=part.ids,
                    offsets=_offsets_v4(part, spans[i] if words is not None else None, options, first + i),
                    special=part.special_tokens_mask,
                    logits=next(logits),
                )
                for part in own
            ]
            found = entities_v4(
                texts[i], windows, config.id2label, options.aggregation_strategy, options.ignore_labels, self.tokenizer
            )
            rest = encodings[i].overflowing
            repeated = (options.stride or 0) + self.tokenizer.num_special_tokens_to_add(pair=False)
            whole = len(encodings[i]) + sum(len(part) - repeated for part in rest)
            cut = options.stride is None and bool(rest)
            yield {"entities": found, **account(whole, len(own), cut)} if options.details else found

    def _word_rule(self, options: TokenClassificationOptions) -> str:
        return options.word_rule or getattr(self.model.config, "word_rule", None) or "joined"


NerPipeline = TokenClassificationPipeline
"""The ecosystem's older name."""


def _checked_words(item: Any, number: int) -> list[str]:
    """The words of one input."""
    if not isinstance(item, (list, tuple)):
        raise InputError(
            f"input {number} is {item!r:.60} ({type(item).__name__}); with is_split_into_words=True a list of words is "
            "expected."
        )
    for i, word in enumerate(item):
        if not isinstance(word, str):
            raise InputError(f"input {number}: word {i} is {word!r:.60} ({type(word).__name__}); expected a str.")
    return list(item)


def _checked_labels(labels: Any) -> tuple[str, ...]:
    named = (labels,) if isinstance(labels, str) else labels
    if not isinstance(named, (list, tuple, set, frozenset)) or not all(isinstance(label, str) for label in named):
        raise InputError(f"ignore_labels is {labels!r:.60} ({type(labels).__name__}); expected a list of labels.")
    return tuple(named)


def _checked_stride(stride: Any) -> int:
    if isinstance(stride, bool) or not isinstance(stride, int) or stride < 0:
        raise InputError(f"stride is {stride!r}; expected a number of tokens, 0 or more.")
    return stride


def _check_stride_v4(stride: int, limit: int, strategy: AggregationStrategy) -> None:
    if stride >= limit:
        raise InputError(f"stride is {stride}, but a window has {limit} tokens. Pass a smaller stride.")
    if strategy is AggregationStrategy.NONE:
        raise InputError(
            f"stride is {stride}, but with compat='v4' windows can only be merged with an aggregation_strategy. Pass "
            "'simple', 'first', 'average' or 'max'."
        )


def _mappings(mapping: Any, inputs: Any) -> list[Any]:
    """One offset mapping for each input."""
    if not isinstance(mapping, (list, tuple)):
        raise InputError(
            f"offset_mapping is {mapping!r:.60}; expected a list of (start, end), or such a list an input."
        )
    if len(mapping) and isinstance(mapping[0], tuple):
        mapping = [mapping]
    count = len(inputs) if isinstance(inputs, (list, tuple)) else 1
    if len(mapping) != count and isinstance(inputs, (str, list, tuple)):
        raise InputError(f"offset_mapping has {len(mapping)} entries for {count} inputs; expected one for each.")
    return list(mapping)


def _mapping_of(mappings: Sequence[Any], number: int, tokens: int) -> list[tuple[int, int]]:
    if number >= len(mappings):
        raise InputError(f"offset_mapping has {len(mappings)} entries, but there is an input {number}.")
    own = [(int(start), int(end)) for start, end in mappings[number]]
    if len(own) != tokens:
        raise InputError(f"offset_mapping of input {number} has {len(own)} entries, but the text has {tokens} tokens.")
    return own


def _remapped(tokens: EncodedTokens, mappings: Sequence[Any], first: int) -> EncodedTokens:
    """The same with the caller's characters for each token."""
    texts = []
    for i, located in enumerate(tokens.texts):
        own = np.array(_mapping_of(mappings, first + i, len(located.ids)), dtype=np.int64).reshape(-1, 2)
        if len(own) and not (own.min() >= 0 and own.max() <= len(located.text)):
            raise InputError(
                f"offset_mapping of input {first + i} goes from {own.min()} to {own.max()}, but the text has "
                f"{len(located.text)} characters."
            )
        texts.append(relocate(located, own))
    return EncodedTokens(encoded=tokens.encoded, texts=texts)


def _offsets_v4(
    part: Any, spans: Sequence[Span] | None, options: TokenClassificationOptions, number: int
) -> list[tuple[int, int]]:
    """Characters of the tokens of a window in the whole text."""
    offsets = part.offsets
    if options.offset_mapping is not None:
        offsets = _mapping_of(options.offset_mapping, number, len(part))
    if spans is None:
        return offsets
    starts = [0 if word is None else spans[word][0] for word in part.word_ids]
    return [(start + s, start + e) for start, (s, e) in zip(starts, offsets, strict=True)]
