"""The systems that answer texts: Bothways and its peers, each as its documentation says, and with sorted input.

A system has ``run(texts)``, which is timed, and ``probabilities(result)``, which is not. Modules of peers are imported
where they are used: each process loads one of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._models import sorted_batches


@dataclass(frozen=True, kw_only=True)
class Files:
    """The one model, in the forms that the systems read."""

    directory: Path
    onnx: Path
    encoder: Path
    """The published encoder, for embeddings."""


@dataclass(frozen=True, kw_only=True)
class Spec:
    """A system by name.

    Attributes:
        make: (files, threads, **options) gives the system.
        needs: modules without which it is left out.
        bfloat16: whether it computes in bfloat16; left out where the CPU does that in software.
    """

    name: str
    title: str
    make: Callable[..., Any]
    options: dict[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ("transformers",)
    bfloat16: bool = False


class Timed:
    """A system with its texts, in a worker."""

    def __init__(self, spec: Spec, files: Files, thread_count: int, texts: dict[str, list[str]]) -> None:
        import torch

        torch.set_num_threads(thread_count)
        self.texts = texts
        self.system = spec.make(files, thread_count, **spec.options)

    def seconds(self, which: str) -> float:
        """Time to answer a set of texts, from strings to answers."""
        start = time.perf_counter()
        self.system.run(self.texts[which])
        return time.perf_counter() - start

    def probabilities(self, which: str) -> np.ndarray | None:
        """float32 (n, labels), in the order of the texts; None from a system that gives embeddings."""
        return self.system.probabilities(self.system.run(self.texts[which]))


class TransformersPipeline:
    """``transformers.pipeline``, which pads in order of arrival."""

    def __init__(self, files: Files, threads: int, *, batch_size: int | None = None) -> None:
        from transformers import pipeline

        self.pipe = pipeline("text-classification", model=str(files.directory), device="cpu")
        self.call = {} if batch_size is None else {"batch_size": batch_size}

    def run(self, texts: list[str]) -> Any:
        return self.pipe(texts, **self.call)

    def probabilities(self, result: Any) -> np.ndarray:
        return of_top_answers(result)


class TransformersSorted:
    """The model of transformers with batches of 32 sorted by length."""

    def __init__(self, files: Files, threads: int, *, dtype: str = "float32") -> None:
        import torch
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        self.torch = torch
        self.tokenizer = AutoTokenizer.from_pretrained(files.directory)
        kind = getattr(torch, dtype)
        self.model = AutoModelForSequenceClassification.from_pretrained(files.directory, dtype=kind).eval()

    def run(self, texts: list[str]) -> np.ndarray:
        with self.torch.inference_mode():
            return in_sorted_batches(texts, self.tokenizer, self._logits)

    def probabilities(self, result: np.ndarray) -> np.ndarray:
        return result

    def _logits(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        tensors = {name: self.torch.from_numpy(array) for name, array in inputs.items()}
        return self.model(**tensors).logits.float().numpy()


class OnnxRuntime:
    """ONNX Runtime; ``fused`` also runs its own graph optimiser for transformers first."""

    def __init__(self, files: Files, threads: int, *, fused: bool = False) -> None:
        import onnxruntime
        from transformers import AutoTokenizer

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        model = _fused_onnx(files) if fused else str(files.onnx)
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.tokenizer = AutoTokenizer.from_pretrained(files.directory)

    def run(self, texts: list[str]) -> np.ndarray:
        return in_sorted_batches(texts, self.tokenizer, lambda inputs: self.session.run(None, inputs)[0])

    def probabilities(self, result: np.ndarray) -> np.ndarray:
        return result


class OpenVino:
    """OpenVINO; ``streams`` answers several batches at once, as its documentation advises for throughput."""

    def __init__(self, files: Files, threads: int, *, precision: str, streams: bool = False) -> None:
        import openvino
        from transformers import AutoTokenizer

        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": precision,
            "PERFORMANCE_HINT": "THROUGHPUT" if streams else "LATENCY",
        }
        core = openvino.Core()
        self.compiled = core.compile_model(core.read_model(files.onnx), "CPU", settings)
        self.queue = openvino.AsyncInferQueue(self.compiled) if streams else None
        self.request = self.compiled.create_infer_request()
        self.tokenizer = AutoTokenizer.from_pretrained(files.directory)

    def run(self, texts: list[str]) -> np.ndarray:
        if self.queue is None:
            return in_sorted_batches(texts, self.tokenizer, lambda inputs: self.request.infer(inputs)[0])
        logits: dict[int, np.ndarray] = {}

        def keep(request: Any, chosen: list[int]) -> None:
            logits.update(zip(chosen, request.get_output_tensor(0).data.copy(), strict=True))

        self.queue.set_callback(keep)
        for chosen, inputs in sorted_batches(texts, self.tokenizer):
            self.queue.start_async(inputs, userdata=chosen)
        self.queue.wait_all()
        return softmax(np.stack([logits[i] for i in range(len(texts))]))

    def probabilities(self, result: np.ndarray) -> np.ndarray:
        return result


class SentenceTransformers:
    """Embeddings by sentence-transformers, which sorts by length itself: the same encoder without the head."""

    def __init__(self, files: Files, threads: int) -> None:
        from sentence_transformers import SentenceTransformer

        self.model = SentenceTransformer(str(files.encoder), device="cpu")
        self.model.max_seq_length = 512  # the others read whole passages too

    def run(self, texts: list[str]) -> Any:
        return self.model.encode(texts, batch_size=32, show_progress_bar=False)

    def probabilities(self, result: Any) -> None:
        return None


class Bothways:
    """This library, as its documentation says."""

    def __init__(self, files: Files, threads: int, *, dtype: str | None = None) -> None:
        from bothways import pipeline

        options = {} if dtype is None else {"dtype": dtype}
        self.pipe = pipeline("text-classification", model=str(files.directory), **options)

    def run(self, texts: list[str]) -> Any:
        return self.pipe(texts)

    def probabilities(self, result: Any) -> np.ndarray:
        return of_top_answers(result)


OURS = "bothways"
OURS_BFLOAT16 = "bothways-bf16"
REFERENCE = "transformers-sorted"
DEFAULT = "transformers-default"

SPECS = (
    Spec(name=OURS, title="bothways, fp32", make=Bothways, needs=()),
    Spec(
        name=OURS_BFLOAT16,
        title="bothways, bf16",
        make=Bothways,
        options={"dtype": "bfloat16"},
        needs=(),
        bfloat16=True,
    ),
    Spec(name=DEFAULT, title="transformers pipeline, default", make=TransformersPipeline),
    Spec(
        name="transformers-batched",
        title="transformers pipeline, batch_size=32",
        make=TransformersPipeline,
        options={"batch_size": 32},
    ),
    Spec(name=REFERENCE, title="transformers model, sorted, fp32", make=TransformersSorted),
    Spec(
        name="transformers-sorted-bf16",
        title="transformers model, sorted, bf16",
        make=TransformersSorted,
        options={"dtype": "bfloat16"},
        bfloat16=True,
    ),
    Spec(
        name="onnxruntime",
        title="ONNX Runtime, sorted, fp32",
        make=OnnxRuntime,
        needs=("transformers", "onnx", "onnxruntime"),
    ),
    Spec(
        name="onnxruntime-fused",
        title="ONNX Runtime, its transformer optimiser, sorted, fp32",
        make=OnnxRuntime,
        options={"fused": True},
        needs=("transformers", "onnx", "onnxruntime"),
    ),
    Spec(
        name="openvino",
        title="OpenVINO, sorted, f32",
        make=OpenVino,
        options={"precision": "f32"},
        needs=("transformers", "onnx", "openvino"),
    ),
    Spec(
        name="openvino-streams",
        title="OpenVINO, sorted, f32, throughput hint",
        make=OpenVino,
        options={"precision": "f32", "streams": True},
        needs=("transformers", "onnx", "openvino"),
    ),
    Spec(
        name="openvino-bf16",
        title="OpenVINO, sorted, bf16",
        make=OpenVino,
        options={"precision": "bf16"},
        needs=("transformers", "onnx", "openvino"),
        bfloat16=True,
    ),
    Spec(
        name="openvino-streams-bf16",
        title="OpenVINO, sorted, bf16, throughput hint",
        make=OpenVino,
        options={"precision": "bf16", "streams": True},
        needs=("transformers", "onnx", "openvino"),
        bfloat16=True,
    ),
    Spec(
        name="sentence-transformers",
        title="sentence-transformers, fp32 (embeddings, no head)",
        make=SentenceTransformers,
        needs=("sentence_transformers",),
    ),
)


def in_sorted_batches(
    texts: Sequence[str], tokenizer: Any, logits_of: Callable[[dict[str, np.ndarray]], np.ndarray]
) -> np.ndarray:
    """Probabilities, float32 (n, labels), in the order of the texts."""
    batches = [(chosen, logits_of(inputs)) for chosen, inputs in sorted_batches(texts, tokenizer)]
    logits = np.empty((len(texts), batches[0][1].shape[1]), dtype=np.float32)
    for chosen, own in batches:
        logits[chosen] = own
    return softmax(logits)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return raised / raised.sum(axis=-1, keepdims=True)


def of_top_answers(answers: Sequence[dict[str, Any]]) -> np.ndarray:
    """Probabilities of both labels from a two-label pipeline that gives the better one: ``LABEL_1`` has index 1."""
    second = np.array([a["score"] if a["label"] == "LABEL_1" else 1 - a["score"] for a in answers], dtype=np.float32)
    return np.stack([1 - second, second], axis=1)


def _fused_onnx(files: Files) -> bytes:
    from onnxruntime.transformers.optimizer import optimize_model
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(files.directory)
    fused = optimize_model(
        str(files.onnx), "bert", num_heads=config.num_attention_heads, hidden_size=config.hidden_size
    )
    return fused.model.SerializeToString()
