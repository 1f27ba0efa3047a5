"""Losses of the tasks, as the reference defines them.

Shapes: B sequences, T tokens, C labels, S columns.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from bothways.errors import InputError

PROBLEM_TYPES = ("regression", "single_label_classification", "multi_label_classification")


def infer_problem_type(labels: Tensor, num_labels: int) -> str:
    """One label is regression, whole numbers are single-label, floats multi-label classification."""
    if num_labels == 1:
        return "regression"
    if labels.dtype in (torch.int64, torch.int32):
        return "single_label_classification"
    return "multi_label_classification"


def sequence_loss(logits: Tensor, labels: Tensor, problem_type: str) -> Tensor:
    """Mean squared error, cross entropy or binary cross entropy.

    Args:
        logits: (B, C).
        labels: (B,), int64 for classes and float for numbers; float (B, C) for several labels.
        problem_type: one of ``PROBLEM_TYPES``.

    Raises:
        InputError: an unknown problem type, or labels whose shape does not fit.
    """
    if problem_type == "regression":
        return F.mse_loss(logits.squeeze(), labels.squeeze().to(logits.dtype))
    if problem_type == "single_label_classification":
        return token_loss(logits, labels.view(-1))
    if problem_type != "multi_label_classification":
        raise InputError(f"unknown problem_type {problem_type!r}. Known: {', '.join(PROBLEM_TYPES)}.")
    if labels.shape != logits.shape:
        raise InputError(
            f"several labels per text need labels of shape {tuple(logits.shape)}, one 0.0 or 1.0 for each label; "
            f"got {tuple(labels.shape)}."
        )
    return F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))


def token_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross entropy of the rows whose label is not -100. logits (T, C), labels int64 (T,)."""
    if logits.shape[0] != labels.shape[0]:
        raise InputError(f"{logits.shape[0]} rows of logits but {labels.shape[0]} labels.")
    if labels.numel():
        lowest, highest = torch.stack(labels.masked_fill(labels == -100, 0).aminmax()).tolist()
        if lowest < 0 or highest >= logits.shape[-1]:
            wrong = lowest if lowest < 0 else highest
            raise InputError(
                f"a label is {wrong:g}, but there are only {logits.shape[-1]} classes (from 0); -100 is for what does "
                "not count."
            )
    return F.cross_entropy(logits.float(), labels.long(), ignore_index=-100)


def replaced_token_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean binary cross entropy of the tokens whose label is not -100. Source: Clark et al. 2020, section 2.

    Args:
        logits: (T,).
        labels: (T,), 1 for a replaced token and 0 for an original one.

    Raises:
        InputError: another number of labels, or a label outside 0 to 1.
    """
    if logits.shape != labels.shape:
        raise InputError(f"{logits.shape[0]} tokens have logits but {labels.shape[0]} have labels.")
    counted = labels != -100
    labels = labels[counted].float()
    if labels.numel() and not 0 <= float(labels.min()) <= float(labels.max()) <= 1:
        raise InputError(
            f"labels of tokens go from {float(labels.min()):g} to {float(labels.max()):g}; expected 1 for a replaced "
            "token, 0 for an original one and -100 for one that does not count."
        )
    return F.binary_cross_entropy_with_logits(logits[counted].float(), labels)


def span_loss(start: Tensor, end: Tensor, start_positions: Tensor, end_positions: Tensor) -> Tensor:
    """Mean of the cross entropies of both ends. start, end (B, S); positions int64 (B,); outside S is ignored."""
    ignored = start.shape[1]

    def one(logits: Tensor, positions: Tensor) -> Tensor:
        return F.cross_entropy(logits.float(), positions.view(-1).clamp(0, ignored), ignore_index=ignored)

    return (one(start, start_positions) + one(end, end_positions)) / 2
