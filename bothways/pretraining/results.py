"""What a run leaves: a model directory with its tokeniser, and its facts in ``bothways.json``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bothways.directories import publishing
from bothways.files import write_json
from bothways.models.adapters import save_trained_adapter
from bothways.nn.lora import lora_layers
from bothways.pretraining.goals import Goal
from bothways.pretraining.masked_goals import GeneratorAndDiscriminator
from bothways.pretraining.run import Watch
from bothways.pretraining.settings import CurvePoint, PretrainSettings, PretrainState
from bothways.training.manifest import hardware, json_options, now, versions, weights_hash
from bothways.training.publish import MANIFEST

FORMAT = 1
FEW_STEPS = 20


@dataclass(frozen=True, kw_only=True)
class PretrainOutcome:
    """Attributes:
    directory: of the model.
    curve: of the run.
    measures: of the held-out documents at the end, by name: ``loss``, ``perplexity``, ``accuracy``, …
    words: what these names mean, for people.
    tokens_per_second: over the whole run. peak_share: of what the machine multiplies at most.
    notes: what the user should know, a sentence each.
    """

    directory: Path
    curve: tuple[CurvePoint, ...]
    measures: dict[str, float]
    words: dict[str, str]
    tokens: int
    tokens_per_second: float
    peak_share: float
    settings: PretrainSettings
    notes: tuple[str, ...] = ()


def write_checkpoint(place: Path, model: Any, tokenizer: Any) -> None:
    """Model and tokeniser as any other program loads them; of two models the one that finds replaced words, with the
    other one inside.
    """
    if isinstance(model, GeneratorAndDiscriminator):
        model.discriminator.save_pretrained(place)
        model.generator.save_pretrained(place / "generator")
    else:
        model.save_pretrained(place)
    tokenizer.save_pretrained(place)


def write_outcome(
    directory: Path,
    prepared: Any,
    state: PretrainState,
    watch: Watch,
    command: str,
    *,
    seconds: float,
    processes: int,
) -> PretrainOutcome:
    """Put the directory in its place.

    Args:
        prepared: the run, see ``Prepared``.
        seconds: of everything.
    """
    rate = state.progress.tokens / max(state.progress.seconds, 1e-9)
    last = state.curve[-1].validation if state.curve else {}
    with publishing(directory) as temporary:
        _write_model(temporary, prepared)
        manifest = {
            "format": FORMAT,
            "created": now(),
            "task": "pretraining",
            "command": command,
            "options": json_options(prepared.options),
            "start": prepared.facts,
            "trained_sha256": weights_hash(temporary),
            "data": {
                "corpus_sha256": prepared.corpus.content_sha256,
                "documents": len(prepared.documents),
                "tokens": prepared.documents.n_tokens,
                "held_out_documents": 0 if prepared.held is None else len(prepared.held),
            },
            "settings": asdict(prepared.settings),
            "training": {
                **state.progress.to_json(),
                "tokens_per_second": rate,
                "peak_flops": watch.peak,
                "flops_per_token": watch.per_token,
                "processes": processes,
                "clock": state.clock,
            },
            "curve": [asdict(point) for point in state.curve],
            "measures": last,
            "total_seconds": seconds,
            "versions": versions(),
            "hardware": hardware(),
        }
        manifest["files"] = sorted(path.name for path in temporary.iterdir())
        write_json(temporary / MANIFEST, manifest)
    return PretrainOutcome(
        directory=directory,
        curve=tuple(state.curve),
        measures=last,
        words=measure_words(prepared.goal, last),
        tokens=state.progress.tokens,
        tokens_per_second=rate,
        peak_share=rate * watch.per_token / watch.peak,
        settings=prepared.settings,
        notes=notes(prepared.settings, state),
    )


def notes(settings: PretrainSettings, state: PretrainState) -> tuple[str, ...]:
    """What the user should know of a run that has ended."""
    done, seconds = state.progress.step, state.progress.seconds
    if settings.minutes is None or done >= FEW_STEPS or seconds < settings.minutes * 60:
        return ()
    return (
        f"The {settings.minutes:g} minutes were over after {done} step{'s' * (done != 1)} of about "
        f"{seconds / done:,.1f} s, too few to learn from: {FEW_STEPS} or more are needed. Give more --minutes, or "
        f"fewer --batch-tokens (now {settings.batch_tokens:,}).",
    )


def measure_words(goal: Goal, found: Sequence[str] | dict[str, float]) -> dict[str, str]:
    """Names of measures with words for people, in the order to show them."""
    words = {"loss": "validation loss", "perplexity": "perplexity", **goal.measures}
    return {name: text for name, text in words.items() if name in found}


def _write_model(place: Path, prepared: Any) -> None:
    model = prepared.model
    if not any(True for _ in lora_layers(model)):
        write_checkpoint(place, model, prepared.tokenizer)
        return
    save_trained_adapter(model, place, str(prepared.options["model"]), prepared.facts["sha256"])
    prepared.tokenizer.save_pretrained(place)
