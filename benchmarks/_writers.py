"""The systems that write: Bothways and transformers, each in a process of its own, with equal weights and prompts."""

from __future__ import annotations

import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MODELS = ("gpt2", "t5-base")
SIZES: dict[str, dict[str, Any]] = {
    "gpt2": {},
    "t5-base": {"d_model": 768, "d_ff": 3072, "num_layers": 12, "num_heads": 12, "decoder_start_token_id": 0},
}
"""What differs from the defaults of the configurations, which are GPT-2 small and T5-small."""

MIXED = (12, 37, 64, 90, 128, 171, 210, 256)
"""Tokens of the prompts of a batch of eight."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is written.

    Attributes:
        lengths: tokens of each prompt.
        settings: further arguments of ``generate``.
        copies: the prompt repeats itself, as a text does from which a summary takes whole phrases.
        wanted: how many times as fast as transformers with ``peer`` settings.
        peer: the arguments of the other library, where they differ.
    """

    name: str
    title: str
    lengths: tuple[int, ...]
    settings: dict[str, Any]
    wanted: float
    copies: bool = False
    peer: dict[str, Any] | None = None


CASES = (
    Case(name="one", title="greedy, 1 prompt of 64 tokens", lengths=(64,), settings={}, wanted=1.5),
    Case(name="eight", title="greedy, 8 prompts of 12 to 256 tokens", lengths=MIXED, settings={}, wanted=2.0),
    Case(name="beams", title="4 beams, 1 prompt of 64 tokens", lengths=(64,), settings={"num_beams": 4}, wanted=2.0),
    Case(
        name="lookup",
        title="prompt lookup of 8 against plain greedy of transformers, 1 prompt of 512 tokens",
        lengths=(512,),
        settings={"prompt_lookup_num_tokens": 8},
        wanted=2.0,
        copies=True,
        peer={},
    ),
)


class ModelMaker:
    """Writes a random model of true size, without an end token, so that everything asked for is written."""

    def write(self, name: str, directory: Path) -> None:
        """Write the model of that name to a directory, the same each time."""
        import torch

        import bothways

        torch.manual_seed(0)
        model: Any
        if name == "gpt2":
            model = bothways.GPT2LMHeadModel(bothways.GPT2Config(**SIZES[name], eos_token_id=None, pad_token_id=0))
        else:
            model = bothways.T5ForConditionalGeneration(bothways.T5Config(**SIZES[name]))
        settings = {"pad_token_id": 0, "decoder_start_token_id": 0} if name != "gpt2" else {"pad_token_id": 0}
        model.generation_config = bothways.GenerationConfig(**settings)
        model.save_pretrained(directory)


class Writer:
    """A library with a model, in a worker.

    Args:
        library: ``"bothways"`` or ``"transformers"``.
        new_tokens: how many each prompt gets.
    """

    def __init__(self, library: str, directory: Path, thread_count: int, new_tokens: int, dtype: str) -> None:
        import importlib

        import torch

        torch.set_num_threads(thread_count)
        module = importlib.import_module(library)
        is_t5 = "t5" in directory.name
        auto = module.AutoModelForSeq2SeqLM if is_t5 else module.AutoModelForCausalLM
        self.model = auto.from_pretrained(directory, dtype=getattr(torch, dtype)).eval()
        self.ours, self.new_tokens = library == "bothways", new_tokens
        self.inputs = {case.name: _inputs(case, self.model.config.vocab_size) for case in CASES}
        self.written: dict[str, Any] = {}

    def seconds(self, case: Case, new_tokens: int | None = None) -> float:
        """Time of one call of ``generate``."""
        count = new_tokens or self.new_tokens
        settings = case.settings if self.ours or case.peer is None else case.peer
        start = time.perf_counter()
        written = self.model.generate(
            **self.inputs[case.name], max_new_tokens=count, min_new_tokens=None, do_sample=False, **settings
        )
        seconds = time.perf_counter() - start
        self.written[case.name] = written.tolist()
        return seconds

    def ids(self, case: Case) -> list[list[int]]:
        """What the last call wrote."""
        return self.written[case.name]

    def peak_megabytes(self) -> float:
        """The largest resident memory of this process so far."""
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _inputs(case: Case, vocab_size: int) -> dict[str, Any]:
    """Random prompts, padded on the left as the reference wants them, and their mask."""
    import torch

    generator = torch.Generator().manual_seed(1)
    longest = max(case.lengths)
    ids = torch.randint(2, vocab_size, (len(case.lengths), longest), generator=generator)
    if case.copies:
        ids[:, longest // 2 :] = ids[:, : longest - longest // 2]
    mask = torch.arange(longest) >= longest - torch.tensor(case.lengths)[:, None]
    return {"input_ids": ids.masked_fill(~mask, 0), "attention_mask": mask.long()}
