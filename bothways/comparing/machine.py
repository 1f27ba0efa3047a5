"""How fast this machine is, measured in seconds of time: one large product, single layers, and the baseline.

What a model of many layers needs follows from its operations, the peak, and the share of the peak that one layer of its
width reaches here: alone on one text, on many texts at once, and in training.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from bothways.comparing.candidates import operations_per_token
from bothways.engine.peak import measured_peak
from bothways.engine.precision import best_device, computing_in, resolve_precision
from bothways.evaluation.baseline import train_baseline
from bothways.families.bert import BertConfig
from bothways.models.bert import BertModel
from bothways.models.runner import PackedRunner
from bothways.training.manifest import hardware

TOKENS_AT_ONCE = 512
REPEATS = 3
WIDTHS = (384, 768)
"""Of the layers that are measured; wider ones come as near to the peak as the widest of these."""
BASELINE_TEXTS = (100, 300)
BASELINE_LABELS = 20
_VOCABULARY = 512


@dataclass(frozen=True)
class LayerShares:
    """Which share of the peak one layer of some width reaches: on one text, on many, and in training on many."""

    single: float
    many: float
    training: float


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What was measured here.

    Attributes:
        name: the processor or accelerator. threads: that torch computes with.
        precision: in which matrices are multiplied.
        peak: floating-point operations a second of one large product, or of a layer if that was faster.
        shares: by width of a layer.
        length: tokens of the texts with which the shares were measured.
        baseline_fixed, baseline_train: seconds to train the TF-IDF baseline, whatever the number of texts, and for each
            text of that length. baseline_answer: for each text to answer.
    """

    name: str
    threads: int
    precision: str
    peak: float
    shares: dict[int, LayerShares]
    length: int
    baseline_fixed: float
    baseline_train: float
    baseline_answer: float

    def share_of(self, hidden: int) -> LayerShares:
        """That of the nearest width."""
        return self.shares[min(self.shares, key=lambda width: abs(width - hidden))]


def measure_machine(*, length: int, use_gpu: bool = True, precision: str = "auto") -> Machine:
    """Measure; some seconds.

    Args:
        length: tokens of a text.
        use_gpu: take the GPU if there is one.
        precision: auto, float32 or bfloat16.
    """
    device = best_device() if use_gpu else torch.device("cpu")
    numbers = resolve_precision(precision, device)
    rates = {width: _layer_rates(width, min(length, 512), numbers, device) for width in WIDTHS}
    peak = max(measured_peak(numbers, device), *(rate for found in rates.values() for rate in found))
    found = hardware()
    fixed, train, answer = _baseline_seconds(length)
    return Machine(
        name=found["accelerator"] if device.type == "cuda" else found["processor"] or "this machine",
        threads=found["threads"],
        precision=numbers,
        peak=peak,
        shares={width: LayerShares(*(rate / peak for rate in own)) for width, own in rates.items()},
        length=length,
        baseline_fixed=fixed,
        baseline_train=train,
        baseline_answer=answer,
    )


def _layer_rates(width: int, length: int, precision: str, device: torch.device) -> tuple[float, float, float]:
    """Operations a second of one layer: on one text, on many, and in training on many."""
    config = BertConfig(
        vocab_size=_VOCABULARY,
        hidden_size=width,
        num_hidden_layers=1,
        num_attention_heads=width // 64,
        intermediate_size=4 * width,
    )
    model = BertModel(config).to(device)
    rows = max(1, TOKENS_AT_ONCE // length)
    texts = np.random.default_rng(0).integers(1, _VOCABULARY, (REPEATS + 1, rows, length))
    runner = PackedRunner(model, dtype=precision)
    operations = length * operations_per_token(1, width, 4 * width, length)
    single = _median([partial(runner.pooled, text[:1].tolist()) for text in texts], device)
    many = _median([partial(runner.pooled, text.tolist()) for text in texts], device)
    model.train()
    training = _median([partial(_train_step, model, text, precision, device) for text in texts], device)
    return operations / single, rows * operations / many, 3 * rows * operations / training


def _train_step(model: BertModel, ids: np.ndarray, precision: str, device: torch.device) -> None:
    model.zero_grad(set_to_none=True)
    with computing_in(precision, device):
        loss = model(torch.from_numpy(ids).to(device)).last_hidden_state.float().square().mean()
    loss.backward()


def _median(runs: Sequence[Callable[[], object]], device: torch.device) -> float:
    """Seconds of one run; the first is not counted."""
    seconds = []
    for run in runs:
        start = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds[1:]))


def _baseline_seconds(length: int) -> tuple[float, float, float]:
    """Seconds to train, fixed and a text, and to answer a text; of invented words as frequent as real ones.

    Two sizes are trained: what grows with the texts is apart from what grows with words and classes alone.
    """
    generator = np.random.default_rng(0)
    few, many = BASELINE_TEXTS
    words = np.minimum(generator.zipf(1.2, (many, max(1, int(length / 1.3)))), 50_000)
    texts = [" ".join(f"w{word}" for word in row) for row in words]
    names = [f"label {i}" for i in range(BASELINE_LABELS)]
    labels = [names[i % BASELINE_LABELS] for i in range(many)]
    small = train_baseline(texts[:few], None, labels[:few], kind="single", label_names=names)
    large = train_baseline(texts, None, labels, kind="single", label_names=names)
    start = time.perf_counter()
    large.predict(texts)
    answer = (time.perf_counter() - start) / many
    each = max(0.0, large.seconds - small.seconds) / (many - few)
    return max(0.0, large.seconds - each * many), each, answer


__all__ = ["LayerShares", "Machine", "measure_machine"]
