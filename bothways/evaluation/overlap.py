"""The answer that every reader has to beat: the sentence that shares the rarest words with the question.

The whole sentence is the answer. On 5,000 training questions of SQuAD 1.1 its F1 was 17.1, 17.2, 17.0, 16.5 and 16.1
with the weights of shared words divided by the sentence's length to the power of 0, 0.25, 0.5, 0.75 and 1.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bothways.data.squad import QuestionExample
from bothways.evaluation.features import NOT_IN_WORDS

BASELINE_NAME = "sentence most like the question"
LENGTH_POWER = 0.25

_WORD = re.compile(rf"{NOT_IN_WORDS.pattern}|[^\W{NOT_IN_WORDS.pattern[1:-1]}]+")
_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+(?=\S)|(?<=[。！？])(?=\S)|\n+")


@dataclass(frozen=True, kw_only=True)
class OverlapBaseline:
    """Chooses a sentence of the context; it learns nothing but how common words are.

    Attributes:
        weights: for each known word the logarithm of how rare it is among texts (inverse document frequency).
        unknown: the weight of all other words.
    """

    weights: dict[str, float]
    unknown: float

    def predict(self, examples: Iterable[QuestionExample]) -> list[str]:
        """One sentence of the context for each question, as it stands there. It never says "no answer"."""
        return [self.answer(example.question, example.context) for example in examples]

    def answer(self, question: str, context: str) -> str:
        """The sentence that fits best; of equals the first."""
        asked = set(_words(question))
        return max(sentences(context), key=lambda sentence: self._score(asked, sentence), default=context.strip())

    def _score(self, asked: set[str], sentence: str) -> float:
        words = _words(sentence)
        shared = sum(self.weights.get(word, self.unknown) for word in asked.intersection(words))
        return shared / max(1, len(words)) ** LENGTH_POWER


def fit_overlap(examples: Sequence[QuestionExample]) -> OverlapBaseline:
    """Count in how many contexts each word occurs. Answers are not looked at."""
    contexts = dict.fromkeys(example.context for example in examples)
    counts = Counter(word for context in contexts for word in set(_words(context)))
    weights = {word: math.log(1 + len(contexts) / count) for word, count in counts.items()}
    return OverlapBaseline(weights=weights, unknown=math.log(1 + 2 * len(contexts)))


def sentences(text: str) -> list[str]:
    """The sentences of a text, without white space around them: cut after ``. ! ?`` and at line ends."""
    cuts = [0, *(found.end() for found in _SENTENCE_END.finditer(text)), len(text)]
    parts = (text[start:end].strip() for start, end in zip(cuts, cuts[1:], strict=False))
    return [part for part in parts if part]


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())
