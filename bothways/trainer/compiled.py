"""``torch_compile``: the model compiled while it trains."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from bothways.trainer.arguments import TrainingArguments

logger = logging.getLogger("bothways")


@contextmanager
def compiled(model: nn.Module, args: TrainingArguments) -> Iterator[None]:
    """Calls of ``model`` inside run compiled code on a GPU, for any number of tokens; names and files stay the same.

    On a CPU nothing is compiled, with one line that says so.
    """
    if not args.torch_compile:
        yield
        return
    if args.device.type != "cuda":
        logger.warning("torch_compile is left out: on a CPU compiling packed batches takes more time than it saves.")
        yield
        return
    model.compile(backend=args.torch_compile_backend or "inductor", mode=args.torch_compile_mode, dynamic=True)
    try:
        yield
    finally:
        model._compiled_call_impl = None
