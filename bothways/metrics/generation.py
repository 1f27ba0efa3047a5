"""Scores of written texts: BLEU, chrF, ROUGE, perplexity and bits per byte, for a corpus and for each of its texts.

BLEU and chrF are sacrebleu's and ROUGE is rouge-score's, so that numbers equal those that others publish; both
libraries are optional: ``pip install 'bothways[generation]'``. Scores are percentages, as published.

Shapes: n texts, K counts of a text, B resamples.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bothways.errors import InputError, UsageError

EXTRA = "generation"
BLEU_TOKENIZERS = ("13a", "intl", "zh", "char", "none", "ja-mecab", "ko-mecab")
"""Those of sacrebleu that load nothing from the network."""

ROUGE_TYPES = ("rouge1", "rouge2", "rougeL", "rougeLsum")
References = Sequence[str] | Sequence[Sequence[str]]
"""One right text for each text, or several."""


@dataclass(frozen=True, kw_only=True)
class TextScore:
    """A score of n texts.

    Attributes:
        name: such as ``"bleu"``.
        counts: float64 (n, K); what the score of any selection of texts follows from, by its sums.
        per_text: float64 (n,), the score of each text alone; nan where it has none.
        of_sums: from sums of ``counts``, (K,), to the score.
        signature: how it was computed, as papers quote it; "" where there is only one way.
    """

    name: str
    counts: NDArray[np.float64]
    per_text: NDArray[np.float64]
    of_sums: Callable[[NDArray[np.float64]], float]
    signature: str = ""

    @property
    def score(self) -> float:
        """The score of all texts together. For BLEU and chrF that is not the mean of the texts' scores."""
        return self.of_sums(self.counts.sum(axis=0))

    def resampled(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """The score when text i occurs ``weights[b, i]`` times: (B, n) to (B,), as the bootstrap asks."""
        return np.array([self.of_sums(sums) for sums in weights @ self.counts])


def bleu(
    predictions: Sequence[str], references: References, *, tokenize: str = "13a", lowercase: bool = False
) -> TextScore:
    """BLEU, as ``sacrebleu.corpus_bleu`` and, for each text, ``sacrebleu.sentence_bleu`` compute it.

    Args:
        predictions: n texts.
        references: of each text the right one, or all right ones.
        tokenize: one of ``BLEU_TOKENIZERS``; ``"zh"`` for Chinese, ``"char"`` for other scripts without spaces.
        lowercase: ignore case.

    Raises:
        UsageError: sacrebleu, or what the tokeniser needs, is not installed; an unknown tokeniser.
        InputError: unequal numbers of texts, or none.

    Source: Papineni et al. 2002; Post 2018, "A call for clarity in reporting BLEU scores".
    """
    if tokenize not in BLEU_TOKENIZERS:
        raise UsageError(f"tokenize is {tokenize!r}; expected one of {', '.join(map(repr, BLEU_TOKENIZERS))}.")
    metrics = _library("sacrebleu.metrics", "sacrebleu", "BLEU")
    try:
        corpus, sentence = (
            metrics.BLEU(tokenize=tokenize, lowercase=lowercase, force=True, effective_order=effective)
            for effective in (False, True)
        )
    except (ImportError, RuntimeError) as problem:
        reason = str(problem).strip().split("\n")[0]
        raise UsageError(f"tokenize={tokenize!r} needs more than sacrebleu itself: {reason}") from None
    return _sacrebleu_score("bleu", corpus, sentence, predictions, references)


def chrf(
    predictions: Sequence[str], references: References, *, word_order: int = 0, lowercase: bool = False
) -> TextScore:
    """chrF, as ``sacrebleu.corpus_chrf`` and ``sacrebleu.sentence_chrf`` compute it; chrF++ with ``word_order=2``.

    It compares characters, needs no tokeniser and suits every language.

    Raises:
        UsageError: sacrebleu is not installed. InputError: unequal numbers of texts, or none.

    Source: Popović 2015, "chrF: character n-gram F-score for automatic MT evaluation".
    """
    if word_order < 0:
        raise InputError(f"word_order is {word_order}; expected 0 for chrF or 2 for chrF++.")
    metric = _library("sacrebleu.metrics", "sacrebleu", "chrF").CHRF(word_order=word_order, lowercase=lowercase)
    return _sacrebleu_score("chrf", metric, metric, predictions, references)


def rouge(
    predictions: Sequence[str],
    references: References,
    *,
    types: Sequence[str] = ROUGE_TYPES,
    use_stemmer: bool = False,
    tokenize: Callable[[str], list[str]] | None = None,
) -> dict[str, TextScore]:
    """ROUGE F1 as rouge-score computes it: the mean over texts, of several references the best.

    Args:
        predictions: n texts. For rougeLsum a line is a sentence.
        references: of each text the right one, or all right ones.
        types: of ``ROUGE_TYPES``, or ``rouge3`` to ``rouge9``.
        use_stemmer: Porter's stemmer for English, as papers about English summaries use it.
        tokenize: text to words. None takes the original one: lower case, and only the letters a to z and digits; it
            divides words at umlauts and sees nothing of other scripts.

    Raises:
        UsageError: rouge-score is not installed. InputError: unequal numbers of texts, none, or an unknown type.

    Source: Lin 2004, "ROUGE: a package for automatic evaluation of summaries".
    """
    unknown = [t for t in types if t not in (*ROUGE_TYPES, *(f"rouge{n}" for n in range(3, 10)))]
    if unknown or not types:
        raise InputError(f"types is {list(types)}; expected some of {', '.join(ROUGE_TYPES)}, rouge3 to rouge9.")
    right = _reference_lists(predictions, references)
    scorer = _library("rouge_score.rouge_scorer", "rouge-score", "ROUGE").RougeScorer(
        list(types), use_stemmer=use_stemmer, tokenizer=None if tokenize is None else _Tokenizer(tokenize)
    )
    rows = [scorer.score_multi(own, text) for text, own in zip(predictions, right, strict=True)]
    signature = f"rouge-score|stemmer:{'yes' if use_stemmer else 'no'}"
    return {t: _mean_score(t, np.array([row[t].fmeasure for row in rows]), signature) for t in types}


def perplexity(nats: ArrayLike, n_tokens: ArrayLike) -> TextScore:
    """The exponential of the mean loss of a token.

    Args:
        nats: (n,), for each text the sum of the negative natural logarithms of its tokens' probabilities.
        n_tokens: (n,), how many tokens were predicted.

    Raises:
        InputError: different shapes, values that are negative or not finite, no tokens at all.
    """
    return _ratio_score("perplexity", nats, n_tokens, "tokens", lambda rate: float(np.exp(min(rate, 700.0))))


def bits_per_byte(nats: ArrayLike, n_bytes: ArrayLike) -> TextScore:
    """Bits that the model needs for a byte of text; comparable between models with different tokenisers.

    Args:
        nats: see ``perplexity``; of all tokens of a text.
        n_bytes: (n,), the length of each text in UTF-8.

    Raises:
        InputError: as ``perplexity``.
    """
    return _ratio_score("bits_per_byte", nats, n_bytes, "bytes", lambda rate: float(rate / np.log(2)))


def _library(module: str, package: str, what: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise UsageError(f"{what} needs {package}. Install it: pip install 'bothways[{EXTRA}]'") from None


def _sacrebleu_score(
    name: str, corpus: Any, sentence: Any, predictions: Sequence[str], references: References
) -> TextScore:
    """A score of sacrebleu by the counts that its own significance tests resample."""
    right = _reference_lists(predictions, references)
    most = max(map(len, right))
    streams = [[own[k] if k < len(own) else None for own in right] for k in range(most)]
    counts = corpus._extract_corpus_statistics(list(predictions), streams)
    return TextScore(
        name=name,
        counts=np.array(counts, dtype=np.float64),
        per_text=np.array([sentence._compute_score_from_stats(list(own)).score for own in counts]),
        of_sums=lambda sums: float(corpus._compute_score_from_stats(sums.tolist()).score),
        signature=str(corpus.get_signature()),
    )


def _reference_lists(predictions: Sequence[str], references: Sequence[Any]) -> list[list[str]]:
    """For each prediction its references, checked."""
    if isinstance(predictions, str) or isinstance(references, str):
        raise InputError("predictions and references are lists of texts; a single text was given. Put it in a list.")
    if len(predictions) != len(references) or not len(predictions):
        raise InputError(
            f"{len(predictions):,} predictions for {len(references):,} references; expected as many, at least one."
        )
    right = [list(own) if isinstance(own, (list, tuple)) else [own] for own in references]
    for number, (text, own) in enumerate(zip(predictions, right, strict=True)):
        wrong = [item for item in (text, *own) if not isinstance(item, str)]
        if wrong or not own:
            raise InputError(
                f"text {number}: the prediction and its {len(own)} references must be texts, at least one of each"
                + (f"; one is a {type(wrong[0]).__name__}." if wrong else ".")
            )
    return right


def _mean_score(name: str, values: NDArray[np.float64], signature: str) -> TextScore:
    return TextScore(
        name=name,
        counts=np.stack([values, np.ones(len(values))], axis=1).astype(np.float64),
        per_text=100.0 * values,
        of_sums=lambda sums: 100.0 * float(sums[0] / sums[1]),
        signature=signature,
    )


def _ratio_score(name: str, nats: ArrayLike, of: ArrayLike, unit: str, value: Callable[[float], float]) -> TextScore:
    """A function of the ratio of two sums. Single numbers are those of one text."""
    losses, lengths = np.atleast_1d(np.asarray(nats, np.float64)), np.atleast_1d(np.asarray(of, np.float64))
    if losses.shape != lengths.shape or losses.ndim != 1 or not lengths.sum() > 0:
        raise InputError(
            f"losses of shape {losses.shape} for {unit} of shape {lengths.shape}, {lengths.sum():,.0f} {unit} in all; "
            f"expected one of both for each text, and some {unit}."
        )
    wrong = ~(np.isfinite(losses) & np.isfinite(lengths) & (losses >= 0) & (lengths >= 0))
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        raise InputError(
            f"text {first}: {losses[first]} nats for {lengths[first]} {unit}; expected finite numbers, 0 or more "
            f"({int(wrong.sum())} such texts)."
        )
    return TextScore(
        name=name,
        counts=np.stack([losses, lengths], axis=1),
        per_text=np.array([value(a / b) if b else np.nan for a, b in zip(losses, lengths, strict=True)]),
        of_sums=lambda sums: value(float(sums[0] / sums[1])),
    )


class _Tokenizer:
    """A function as rouge-score wants it."""

    def __init__(self, tokenize: Callable[[str], list[str]]) -> None:
        self.tokenize = tokenize
