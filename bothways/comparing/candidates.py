"""Published encoders that can be started from: their sizes, and what is published of their quality. Data only.

The order is that of quality on English texts, the least first, as far as the figures compare. The figures are
accuracies on SST-2 (sentences of film reviews; Socher et al. 2013, in GLUE: Wang et al. 2019): one benchmark, and not
the user's data.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A model to start from.

    Attributes:
        name: on the hub, or of the default model. family: of this library.
        layers, hidden, intermediate: sizes. matrices: of a feed-forward layer, 3 where it is gated.
        parameters: all of them, the vocabulary included.
        longest: tokens that it reads at once.
        multilingual: whether it was trained on many languages; else on English.
        published: what is known of its quality. source: where from. sst2: accuracy on SST-2 in percent.
    """

    name: str
    family: str
    layers: int
    hidden: int
    intermediate: int
    parameters: int
    longest: int
    published: str
    source: str
    sst2: float | None = None
    matrices: int = 2
    multilingual: bool = False

    @property
    def megabytes(self) -> float:
        """Of the weights in float32, 10^6 bytes."""
        return self.parameters * 4 / 1e6

    def operations_per_token(self, length: int) -> int:
        """Of the layers forward, for one token of a text of ``length`` tokens."""
        return operations_per_token(self.layers, self.hidden, self.intermediate, length, matrices=self.matrices)


def operations_per_token(layers: int, hidden: int, intermediate: int, length: int, *, matrices: int = 2) -> int:
    """Floating-point operations of layers forward, for one token of a text of ``length`` tokens.

    Two for each weight of the matrix products, and four times the width for each token that is looked at.
    Source: the count of Hoffmann et al. 2022, appendix F.
    """
    weights = 4 * hidden**2 + matrices * hidden * intermediate
    return layers * (2 * weights + 4 * length * hidden)


ROBERTA = "results of fairseq's examples/roberta (Liu et al. 2019), development part"
MINILM = "table of microsoft/MiniLM-L12-H384-uncased's card (Wang et al. 2020), development part"

CANDIDATES: tuple[Candidate, ...] = (
    Candidate(
        name="minilm-l6",
        family="bert",
        layers=6,
        hidden=384,
        intermediate=1_536,
        parameters=22_713_216,
        longest=512,
        published="SST-2 87.7 %",
        sst2=87.7,
        source="measured by this project, docs/performance.md, development part",
    ),
    Candidate(
        name="distilbert/distilbert-base-cased",
        family="distilbert",
        layers=6,
        hidden=768,
        intermediate=3_072,
        parameters=65_190_912,
        longest=512,
        published="SST-2 90.4 %",
        sst2=90.4,
        source="card of distilbert/distilbert-base-cased (Sanh et al. 2019), GLUE test",
    ),
    Candidate(
        name="microsoft/MiniLM-L12-H384-uncased",
        family="bert",
        layers=12,
        hidden=384,
        intermediate=1_536,
        parameters=33_360_000,
        longest=512,
        published="SST-2 93.0 %",
        sst2=93.0,
        source=MINILM,
    ),
    Candidate(
        name="google-bert/bert-base-uncased",
        family="bert",
        layers=12,
        hidden=768,
        intermediate=3_072,
        parameters=109_482_240,
        longest=512,
        published="SST-2 93.2 %",
        sst2=93.2,
        source=MINILM,
    ),
    Candidate(
        name="FacebookAI/xlm-roberta-base",
        family="xlm-roberta",
        layers=12,
        hidden=768,
        intermediate=3_072,
        parameters=278_043_648,
        longest=512,
        published="trained on 100 languages; no figure on SST-2",
        source="fairseq's examples/xlmr (Conneau et al. 2020)",
        multilingual=True,
    ),
    Candidate(
        name="FacebookAI/roberta-base",
        family="roberta",
        layers=12,
        hidden=768,
        intermediate=3_072,
        parameters=124_645_632,
        longest=512,
        published="SST-2 94.8 %",
        sst2=94.8,
        source=ROBERTA,
    ),
    Candidate(
        name="answerdotai/ModernBERT-base",
        family="modernbert",
        layers=22,
        hidden=768,
        intermediate=1_152,
        matrices=3,
        parameters=149_014_272,
        longest=8_192,
        published="GLUE 88.4 on average; no figure on SST-2",
        source="card of answerdotai/ModernBERT-base (Warner et al. 2024)",
    ),
    Candidate(
        name="FacebookAI/roberta-large",
        family="roberta",
        layers=24,
        hidden=1_024,
        intermediate=4_096,
        parameters=355_359_744,
        longest=512,
        published="SST-2 96.4 %",
        sst2=96.4,
        source=ROBERTA,
    ),
)

__all__ = ["CANDIDATES", "Candidate", "operations_per_token"]
