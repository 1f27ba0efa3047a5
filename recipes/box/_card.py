"""The card of an adapter: facts as JSON, and the page that is made from them and from nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bothways.checkpoints.weights import sha256_of
from bothways.files import read_json
from bothways.resolver.adapters import ADAPTER_WEIGHTS, recorded_encoder
from bothways.resolver.box import find_boxed

FORMAT = 1
BINS = 15


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """How far confidence and accuracy lie apart, on average. Source: Guo et al. 2017, section 2."""

    data: str
    count: int
    error: float


def expected_error(pairs: Sequence[tuple[float, bool]]) -> float:
    """Mean distance between confidence and accuracy over equal bins of confidence, weighted by answers."""
    if not pairs:
        return 0.0
    confidence, right = np.array([c for c, _ in pairs]), np.array([r for _, r in pairs], dtype=float)
    place = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    return float(np.abs(np.bincount(place, confidence - right, BINS)).sum() / len(pairs))


def make_card(
    *,
    name: str,
    sources: list[dict[str, Any]],
    command: str,
    manifest: dict[str, Any],
    adapter: Path,
    dtype: str,
    scores: list[dict[str, Any]],
    calibration: Calibration,
    answers: list[dict[str, Any]],
    remarks: Sequence[str],
    began: str = "",
) -> dict[str, Any]:
    """The facts.

    Args:
        manifest: ``bothways.json`` of the run.
        scores: of the adapter as it lies in the box; the first is the main one.
        answers: to our own samples, each with ``input``, ``expected``, ``answer`` and ``score``.
        began: a sentence on what was trained before the run.
    """
    boxed, encoder, training = find_boxed(name), recorded_encoder(adapter), manifest["training"]
    assert boxed is not None
    settings = read_json(adapter / "adapter_config.json")
    return {
        "format": FORMAT,
        "name": name,
        "description": boxed.description,
        "aliases": list(boxed.aliases),
        "tasks": list(boxed.tasks),
        "licence": "Apache-2.0",
        "encoder": {"name": encoder.name, "sha256": encoder.sha256},
        "labels": list(manifest.get("labels") or []),
        "created": manifest["created"],
        "command": command,
        "data": sources,
        "settings": {
            "rank": _ranks(settings),
            "alpha": "twice the rank",
            "layers": "all",
            **{name: value for name, value in manifest["settings"].items() if isinstance(value, (int, float, str))},
        },
        "training": {name: training[name] for name in ("steps", "tokens", "seconds", "best_epoch") if name in training},
        "weights": {
            "bytes": (adapter / ADAPTER_WEIGHTS).stat().st_size,
            "sha256": sha256_of(adapter / ADAPTER_WEIGHTS),
            "dtype": dtype,
        },
        "scores": scores,
        "calibration": asdict(calibration),
        "answers": answers,
        "remarks": list(remarks),
        **({"began": began} if began else {}),
        "versions": manifest["versions"],
    }


def card_page(card: dict[str, Any]) -> str:
    """The card for readers, in Markdown."""
    failures = [one for one in card["answers"] if one["answer"] != one["expected"]]
    right = len(card["answers"]) - len(failures)
    calibration, training = card["calibration"], card["training"]
    lines = [
        f"# {card['name']}",
        "",
        f"{card['description'][0].upper()}{card['description'][1:]}. A LoRA adapter of "
        f"{card['weights']['bytes'] / 1e6:.2f} MB for the encoder `{card['encoder']['name']}` "
        f"(sha256 `{card['encoder']['sha256']}`) and no other.",
        "",
        "This page is made from `card.json`; do not edit it. The adapter is made again by:",
        "",
        f"    {card['command']}",
        "",
        "## Scores",
        "",
        "| data | measure | score | 95 % interval | examples |",
        "|---|---|---:|---|---:|",
        *(
            f"| {s['data']} | {s['metric']} | {s['value']:.3f} | {s['low']:.3f} to {s['high']:.3f} | {s['count']:,} |"
            for s in card["scores"]
        ),
        "",
        "## Calibration",
        "",
        f"Confidence and accuracy lie {calibration['error']:.3f} apart on average (expected calibration error, {BINS} "
        f"bins, {calibration['count']:,} answers on {calibration['data']}).",
        "",
        "## Data",
        "",
        "| data | used for | licence as its source states it |",
        "|---|---|---|",
        *(f"| {d['name']} | {d['used']} | {d['licence']} |" for d in card["data"]),
        "",
        "## Known failures",
        "",
        f"Of {len(card['answers'])} samples that were written for it, {right} are answered as expected.",
        *(["", "| input | expected | answer |", "|---|---|---|"] if failures else []),
        *(f"| {_cell(one['input'])} | {_cell(one['expected'])} | {_cell(one['answer'])} |" for one in failures),
        "",
        *(f"- {remark}" for remark in card["remarks"]),
        "",
        "## Training",
        "",
        *([card["began"], ""] if "began" in card else []),
        *(f"- {name.replace('_', ' ')}: {_shown(value)}" for name, value in {**card["settings"], **training}.items()),
        f"- versions: {', '.join(f'{name} {version}' for name, version in card['versions'].items())}",
    ]
    return "\n".join(lines) + "\n"


def _ranks(settings: Mapping[str, Any]) -> int | str:
    """One number, or the least and the most of the layers."""
    ranks = {settings["r"], *settings["rank_pattern"].values()}
    return settings["r"] if len(ranks) == 1 else f"{min(ranks)} to {max(ranks)}, by layer"


def _cell(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")


def _shown(value: Any) -> str:
    return f"{value:,.6g}" if isinstance(value, float) else str(value)
