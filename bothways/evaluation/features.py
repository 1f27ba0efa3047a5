"""Sparse features of texts and of pairs of texts for the baseline.

Shapes: n texts, V terms.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

# Scripts that write without spaces (Thai to Khmer, Japanese, Chinese) or whose words contain marks that ``\w`` does not
# match (Devanagari to Sinhala): words found by ``\w+`` would be sentences or fragments.
NOT_IN_WORDS = re.compile(
    "[\u0900-\u0dff\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff]"
)
WORD = r"(?u)\b\w+\b"  # one-letter words too: "I" and "a" carry meaning in short texts
SAMPLE = 2_000  # texts looked at to choose between words and characters
RARE_FROM = 20_000  # texts from which terms seen once are dropped: they cost memory and no longer help


@dataclass(frozen=True, kw_only=True)
class TextFeatures:
    """A fitted vectoriser, or None when no text has any content."""

    vectorizer: Any
    unit: str
    paired: bool

    def transform(self, texts: Sequence[str], pairs: Sequence[str | None] | None = None) -> Any:
        """A sparse float32 matrix (n, V), or (n, 3 V + 4) for pairs: first, second, what they share, four ratios."""
        from scipy.sparse import csr_matrix, hstack

        if self.vectorizer is None:
            return csr_matrix((len(texts), 1), dtype=np.float32)
        first = self.vectorizer.transform(texts)
        if not self.paired:
            return first
        second = self.vectorizer.transform(_filled(pairs, len(texts)))
        shared = first.multiply(second).tocsr()
        return hstack([first, second, shared, csr_matrix(_overlap(first, second, shared))], format="csr")

    @property
    def megabytes(self) -> float:
        """Size of the vocabulary and its weights (10^6 bytes): what a file of them would take."""
        if self.vectorizer is None:
            return 0.0
        terms = sum(len(term.encode("utf-8")) + 1 for term in self.vectorizer.vocabulary_)
        return (terms + self.vectorizer.idf_.nbytes) / 1e6


def fit_features(texts: Sequence[str], pairs: Sequence[str | None] | None, *, max_terms: int) -> TextFeatures:
    """Learn the terms of the texts: words and pairs of words, or characters where words cannot be found."""
    everything = [*texts, *(_filled(pairs, len(texts)) if pairs is not None else ())]
    min_df = 2 if len(everything) >= RARE_FROM else 1
    for unit in ("characters",) if _mostly_without_words(everything) else ("words", "characters"):
        vectorizer = _vectorizer(unit, min_df, max_terms)
        try:
            vectorizer.fit(everything)
        except ValueError:  # scikit-learn's "empty vocabulary" and "no terms remain": only such texts cause it
            continue
        return TextFeatures(vectorizer=vectorizer, unit=unit, paired=pairs is not None)
    return TextFeatures(vectorizer=None, unit="nothing", paired=pairs is not None)


def _vectorizer(unit: str, min_df: int, max_terms: int) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    shared: dict[str, Any] = {
        "sublinear_tf": True,
        "min_df": min_df,
        "max_features": max_terms,
        "dtype": np.float32,
    }
    if unit == "words":
        return TfidfVectorizer(ngram_range=(1, 2), token_pattern=WORD, strip_accents="unicode", **shared)
    # Accents stay: stripping them would remove the marks that tell Japanese or Thai syllables apart.
    return TfidfVectorizer(analyzer="char", ngram_range=(1, 3), **shared)


def _mostly_without_words(texts: Sequence[str]) -> bool:
    sample = texts[:: max(1, len(texts) // SAMPLE)]
    letters = sum(len(re.findall(r"\w", text[:1_000])) for text in sample)
    return sum(len(NOT_IN_WORDS.findall(text[:1_000])) for text in sample) > 0.2 * letters


def _overlap(first: Any, second: Any, shared: Any) -> np.ndarray:
    """(n, 4): share of the first text's terms in the second, the reverse, shared of all, and the cosine."""
    n_first, n_second, n_shared = (np.diff(matrix.indptr).astype(np.float32) for matrix in (first, second, shared))
    cosine = np.asarray(shared.sum(axis=1), dtype=np.float32)[:, 0]  # TF-IDF rows have length 1
    ratios = [_ratio(n_shared, n_first), _ratio(n_shared, n_second), _ratio(n_shared, n_first + n_second - n_shared)]
    return np.stack([*ratios, cosine], axis=1)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _filled(pairs: Sequence[str | None] | None, n: int) -> list[str]:
    return [""] * n if pairs is None else [pair or "" for pair in pairs]
