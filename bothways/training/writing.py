"""What a model writes, and how likely it finds texts, for many texts at once and shared among processes.

Shapes: n sequences, T tokens of a batch, N hidden_size, V vocab_size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from bothways.batching import batches_by_tokens, collate
from bothways.models.causal_models import next_tokens
from bothways.progress import progress_bar

ROWS_AT_ONCE = 32
"""Texts that are written at once. The decoder reads its weights for every token, whatever the number of rows."""
SOURCE_TOKENS = 8192
"""Most tokens of the sources that are read at once."""
SCORED_TOKENS = 2048
"""Most tokens that are scored at once."""
LOGITS_AT_ONCE = 2**24
"""Most numbers of scores at once: 64 MB."""

T = TypeVar("T")


def written_ids(
    runner: Any, sources: Sequence[Sequence[int]], *, max_new_tokens: int, num_beams: int = 1
) -> list[list[int]]:
    """What an encoder-decoder model writes about each source, the likeliest next token each time or by beam search.

    Args:
        runner: has the model, the dtype in which it computes, and the group of processes that share the work.
        sources: n rows of ids, in any order of lengths.
        max_new_tokens: of each text.

    Returns:
        n rows of ids, as ``generate`` returns them, start token and padding included.
    """
    return _shared(runner, sources, lambda own: _write(runner, own, max_new_tokens, num_beams))


def token_nats(runner: Any, input_ids: Sequence[Any], labels: Sequence[Any]) -> NDArray[np.float64]:
    """For each sequence the sum of the negative logarithms of its labels' probabilities, float64 (n,).

    Args:
        runner: has a causal model, the dtype and the group of processes.
        input_ids: n arrays of ids.
        labels: n arrays; -100 is not counted.
    """
    rows = list(zip(input_ids, labels, strict=True))
    return np.array(_shared(runner, rows, lambda own: _score(runner, own)), dtype=np.float64)


def _write(runner: Any, sources: Sequence[Sequence[int]], max_new_tokens: int, num_beams: int) -> list[list[int]]:
    model = _ready(runner)
    pad = model.config.pad_token_id or 0
    found: list[list[int]] = [[] for _ in sources]
    with progress_bar("Writing", len(sources)) as advance:
        for members in _batches([len(row) for row in sources]):
            width = max(len(sources[i]) for i in members)
            ids = torch.full((len(members), width), pad)
            mask = torch.zeros_like(ids)
            for row, i in enumerate(members):
                ids[row, : len(sources[i])] = torch.as_tensor(np.asarray(sources[i], dtype=np.int64))
                mask[row, : len(sources[i])] = 1
            written = model.generate(
                ids.to(model.device),
                attention_mask=mask.to(model.device),
                max_new_tokens=max_new_tokens,
                num_beams=num_beams,
                do_sample=False,
            )
            for i, own in zip(members, written.tolist(), strict=True):
                found[i] = own
            advance(len(members))
    return found


def _batches(lengths: Sequence[int]) -> list[list[int]]:
    """Rows of like length together, the longest first: in falling order each batch fits where the last one was."""
    batches = batches_by_tokens(lengths, SOURCE_TOKENS)
    parts = [batch[i : i + ROWS_AT_ONCE] for batch in batches for i in range(0, len(batch), ROWS_AT_ONCE)]
    return sorted(parts, key=lambda members: -max(lengths[i] for i in members))


def _score(runner: Any, rows: Sequence[tuple[Any, Any]]) -> list[float]:
    model = _ready(runner)
    at_once = max(1, LOGITS_AT_ONCE // model.config.vocab_size)
    nats = np.zeros(len(rows))
    with torch.no_grad(), progress_bar("Scoring", len(rows)) as advance:
        for members in batches_by_tokens([len(ids) for ids, _ in rows], SCORED_TOKENS):
            batch = collate([rows[i][0] for i in members]).to(model.device)
            own = np.concatenate([np.asarray(rows[i][1], dtype=np.int64) for i in members])
            targets = next_tokens(torch.from_numpy(own).to(model.device), batch.seqlens)
            owner = np.repeat(members, batch.seqlens.lengths)
            hidden = model.base_model.run_cached(model.packed(batch), None, False, False).hidden
            counted = (targets != -100).nonzero()[:, 0]
            for part in counted.split(at_once):
                logits = model.score_hidden(hidden.index_select(0, part)).float()
                lost = torch.nn.functional.cross_entropy(logits, targets.index_select(0, part), reduction="none")
                np.add.at(nats, owner[part.cpu().numpy()], lost.double().cpu().numpy())
            advance(len(members))
    return nats.tolist()


def _ready(runner: Any) -> Any:
    """The model in the form for inference."""
    model = runner.model
    if model.training or not all(stack.is_prepared for stack in model.stacks):
        model.prepare_for_inference(runner.dtype)
    return model


def _shared(runner: Any, rows: Sequence[Any], compute: Callable[[Sequence[Any]], list[T]]) -> list[T]:
    """The results of all rows in order; each process computes a part."""
    group = getattr(runner, "group", None)
    if group is None:
        return compute(rows)
    return [result for part in group.gather(compute(group.own(rows))) for result in part]
