"""What the recipes of the box share: from data to an adapter with its card.

prepare files ─► train (LoRA on all layers) ─► write the adapter in 16 or 8 bits ─► score *that* ─► card

Everything that is drawn has a fixed seed, so that a recipe that was stopped finds the same files, and goes on.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bothways import AutoConfig, pipeline, save_adapter, train
from bothways.cli import run
from bothways.directories import publishing
from bothways.errors import BothwaysError
from bothways.files import read_json, write_json, write_text
from bothways.models.auto import MODEL_CLASSES
from bothways.resolver.adapters import adapter_settings, recorded_encoder
from bothways.resolver.box import CARD, box_directory, find_boxed
from recipes.box._card import Calibration, card_page, expected_error, make_card

ENCODER = "minilm-l6"
ALL_LAYERS = "query,key,value,dense"
MOST_BYTES = 2_000_000
SAMPLES = Path(__file__).parent / "samples.json"

Answer = Callable[[Any], list[dict[str, Any]]]
"""A pipeline to the samples that were asked, what was expected and what came."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A data set, as the card names it."""

    name: str
    used: str
    licence: str


@dataclass(frozen=True, kw_only=True)
class Held:
    """A file to score on.

    Attributes:
        metrics: the scores that the card shows, by their names in what ``bothways evaluate`` writes.
    """

    name: str
    file: Path
    metrics: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One adapter.

    Attributes:
        task: of ``train``.
        rank: of LoRA; half precision leaves room for about 22 beside a small head, 8 bits for 44. None where the
            adapter that it begins with decides.
        dtype: in which the adapter is written, see ``save_adapter``.
        prepare: (data directory, directory for files) to the training files, the file that chooses the epoch, and those
            to score on, the first of which is the main one.
        main, further: (data directory, adapter) to scores of another kind than ``bothways evaluate`` has, before and
            behind its own.
        calibrate: (held files, pipeline) to confidences and whether each was right.
        answer: asks the samples.
        began: a sentence on what was trained before the run, if anything.
    """

    name: str
    task: str
    rank: int | None
    dtype: str = "float16"
    settings: Mapping[str, Any]
    sources: tuple[Source, ...]
    prepare: Callable[[Path, Path], tuple[list[Path], Path, list[Held]]]
    calibrate: Callable[[list[Held], Any], tuple[str, list[tuple[float, bool]]]]
    answer: Answer
    main: Callable[[Path, Path], list[dict[str, Any]]] = lambda data, adapter: []
    further: Callable[[Path, Path], list[dict[str, Any]]] = lambda data, adapter: []
    remarks: tuple[str, ...] = ()
    began: str = ""
    pipeline_options: Mapping[str, Any] = field(default_factory=dict)


def options(about: str, minutes: float) -> argparse.Namespace:
    """``--data``, ``--output``, ``--minutes`` and ``--box``."""
    parser = argparse.ArgumentParser(description=about)
    given = os.environ.get("BOTHWAYS_DATA")
    parser.add_argument("--data", type=Path, default=given, help="directory of data sets; or BOTHWAYS_DATA")
    parser.add_argument("--output", type=Path, required=True, help="directory for the run and its report")
    parser.add_argument("--minutes", type=float, default=minutes, help="time of the training")
    parser.add_argument("--box", type=Path, default=box_directory(), help="directory that the adapter is put into")
    args = parser.parse_args()
    if args.data is None:
        parser.error("no data directory. Pass --data DIR or set BOTHWAYS_DATA.")
    return args


def make(
    recipe: Recipe, data: Path, output: Path, *, minutes: float | None, box: Path, encoder: str | Path = ENCODER
) -> Path:
    """Train, write the adapter into the box, and its card.

    Args:
        data: directory of data sets.
        output: of the run; prepared files lie beside it.
        box: the adapter goes into its directory of the recipe's name.
        encoder: to train on, ``minilm-l6`` for the cards of the package; of a recipe without a rank an adapter, which
            goes on.

    Returns:
        The adapter's directory.
    """
    files, chooses, held = recipe.prepare(data, prepared_place(output))
    train(
        files,
        output,
        evaluation=chooses,
        task=recipe.task,
        model=encoder,
        lora=adapter_settings(Path(encoder))["r"] if recipe.rank is None else recipe.rank,
        lora_targets=None if recipe.rank is None else ALL_LAYERS,
        minutes=minutes,
        say=print,
        **recipe.settings,
    )
    return finish(recipe, data, output, box, held, minutes)


def finish(recipe: Recipe, data: Path, output: Path, box: Path, held: list[Held], minutes: float | None) -> Path:
    """Everything after the training: adapter, scores, card."""
    target = box / recipe.name
    write_adapter(output, target, recipe.dtype)
    scores = recipe.main(data, target)
    scores += [score for one in held for score in scored(target, one, prepared_place(output))]
    scores += recipe.further(data, target)
    pipe = pipeline_for(recipe, target)
    on, pairs = recipe.calibrate(held, pipe)
    card = make_card(
        name=recipe.name,
        sources=[vars(source) for source in recipe.sources],
        command=f"python -m recipes.box.{recipe_module(recipe.name)} --data DATA --output DIR{_minutes(minutes)}",
        manifest=read_json(output / "bothways.json"),
        adapter=target,
        dtype=recipe.dtype,
        scores=scores,
        calibration=Calibration(data=on, count=len(pairs), error=expected_error(pairs)),
        answers=recipe.answer(pipe),
        remarks=recipe.remarks,
        began=recipe.began,
    )
    write_json(target / CARD, card)
    write_text(target / "README.md", card_page(card))
    print(f"{recipe.name} is in {target}")
    return target


def write_adapter(run_directory: Path, target: Path, dtype: str) -> None:
    """The adapter of a run, small enough for the box.

    Raises:
        BothwaysError: it is larger than 2 MB.
    """
    encoder = recorded_encoder(run_directory)
    config = AutoConfig.from_pretrained(run_directory)
    model = class_said(config).from_pretrained(run_directory, config=config, merge=False)
    with publishing(target) as temporary:
        save_adapter(model, temporary, base_name=encoder.name, base_sha256=encoder.sha256, dtype=dtype)
        size = sum(path.stat().st_size for path in temporary.iterdir() if path.suffix == ".safetensors")
        if size > MOST_BYTES:
            raise BothwaysError(
                f"the adapter has {size:,} bytes, at most {MOST_BYTES:,} fit into the box: lower the rank."
            )


def class_said(config: Any) -> Any:
    """The class that a configuration names."""
    return next(cls for cls in MODEL_CLASSES.values() if cls.__name__ == config.architectures[0])


def scored(adapter: Path, held: Held, place: Path) -> list[dict[str, Any]]:
    """The scores of an adapter on a file, with their intervals."""
    if not held.metrics:
        return []
    answers = place / f"scores-{held.file.name}.json"
    words = ["evaluate", str(adapter), str(held.file), "--output", str(answers), "--precision", "float32"]
    if code := run(words):
        raise BothwaysError(f"bothways {' '.join(words)} ended with {code}.")
    found = read_json(answers)
    scores = []
    for name, title in held.metrics.items():
        own = found["intervals"][name]
        interval = {"value": own["estimate"], "low": own["low"], "high": own["high"]}
        scores.append({"data": held.name, "metric": title, "count": found["count"], **interval})
    return scores


def pipeline_for(recipe: Recipe, adapter: Path) -> Any:
    """The pipeline that users get."""
    boxed = find_boxed(recipe.name)
    assert boxed is not None
    return pipeline(boxed.tasks[0], model=adapter, device=-1, dtype="float32", **recipe.pipeline_options)


def samples(kind: str) -> list[dict[str, Any]]:
    """Our own sentences of a kind with what a reader would answer."""
    return read_json(SAMPLES)[kind]


def prepared_place(output: Path) -> Path:
    """Where the files of a run are prepared."""
    place = output.with_name(f"{output.name}.data")
    place.mkdir(parents=True, exist_ok=True)
    return place


def _minutes(minutes: float | None) -> str:
    return "" if minutes is None else f" --minutes {minutes:g}"


def recipe_module(name: str) -> str:
    """Example: ``minilm-l6-fill-mask`` is made by ``fill_mask``."""
    return name.removeprefix(f"{ENCODER}-").replace("-", "_")


def json_rows(file: Path) -> Iterator[dict[str, Any]]:
    """The records of a ``.jsonl.gz`` file."""
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def write_rows(file: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write JSON lines."""
    write_text(file, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return file


def top_labels(pipe: Any, inputs: Sequence[Any], labels: Sequence[str]) -> list[tuple[float, bool]]:
    """Confidence and rightness of a classifier."""
    answers = pipe(list(inputs))
    return [(answer["score"], answer["label"] == label) for answer, label in zip(answers, labels, strict=True)]
