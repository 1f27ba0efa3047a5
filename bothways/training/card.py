"""The card of a run, ``README.md``: short, made from the manifest alone and never typed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

UNSEEN_FACTOR = 1.5
"""Times as many new words as expected from which the card speaks of a shift."""
SURE = 0.01
PIPELINES = {"next-sentence-prediction": "text-classification", "multiple-choice": "text-classification"}


def card(manifest: Mapping[str, Any], name: str) -> str:
    """The page.

    Args:
        manifest: ``bothways.json`` of a training.
        name: of the directory.
    """
    sections = [
        _header(manifest),
        f"# {plain(name)}",
        _about(manifest),
        "## Result",
        _table(manifest),
        plain(manifest["comparison"]["verdict"]),
        "## What the tokeniser makes of a text",
        _tokens(manifest),
        "## What could be wrong",
        "\n".join(f"- {line}" for line in failure_checks(manifest)),
        "## Again",
        _block(manifest["command"]),
        "`bothways reproduce` with this directory trains it again and compares. Everything on this page is from "
        "`bothways.json`; more is in `report.html`.",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def failure_checks(manifest: Mapping[str, Any]) -> list[str]:
    """Sentences on what may make the score of a run useless: the model, lengths, other texts, cost."""
    return [line for check in (_family, _lengths, _words, _space, _cost) for line in check(manifest)]


def plain(text: Any) -> str:
    """Text as Markdown shows it letter by letter."""
    found = " ".join(str(text).split())
    for sign in "\\`*_[]<>|#":
        found = found.replace(sign, f"\\{sign}" if sign not in "<>" else {"<": "&lt;", ">": "&gt;"}[sign])
    return found


def _header(manifest: Mapping[str, Any]) -> str:
    task = manifest["task"]
    lines = ["library_name: transformers", f"pipeline_tag: {PIPELINES.get(task, task)}"]
    lines.append(f"base_model: {json.dumps(str(manifest['model']['name']))}")
    return "\n".join(["---", *lines, "tags:", "- bothways", "---"])


def _about(manifest: Mapping[str, Any]) -> str:
    data, model = manifest["data"], manifest["model"]
    chosen = "the default: small, fast on a CPU, and known to learn this" if _is_default(manifest) else "as asked"
    held = "a part held out" if data["evaluation"]["held_out"] else "a file of its own"
    return (
        f"For {plain(manifest['task'])}. It started from {plain(model['name'])} ({chosen}), learned from "
        f"{data['train']['count']:,} examples and was judged on {data['evaluation']['count']:,} ({held})."
    )


def _is_default(manifest: Mapping[str, Any]) -> bool:
    from bothways.resolver import DEFAULT_MODEL

    return manifest["model"]["name"] == DEFAULT_MODEL


def _table(manifest: Mapping[str, Any]) -> str:
    rows = manifest["comparison"]["rows"]
    titles = [score["title"] for score in rows[0]["scores"]]
    lines = [f"| | {' | '.join(map(plain, titles))} |", "|---" * (len(titles) + 1) + "|"]
    for row in rows:
        cells = [_cell(score) for score in row["scores"]]
        lines.append(f"| {plain(row['name'])} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", f"In brackets the interval of {rows[0]['scores'][0]['interval']['confidence']:.0%}."])


def _cell(score: Mapping[str, Any]) -> str:
    found = score["interval"]
    scale, digits = (100, 1) if score["percent"] else (1, 3)
    low, value, high = (f"{scale * found[part]:.{digits}f}" for part in ("low", "estimate", "high"))
    return f"{value} ({low} to {high})"


def _tokens(manifest: Mapping[str, Any]) -> str:
    example = (manifest.get("evidence") or {}).get("example")
    if not example:
        return "There is no text to show."
    names = ("tokens", "input_ids", "token_type_ids", "attention_mask")
    rows = [(name, example[name]) for name in names if example.get(name)]
    lines = [f"{name}: {' '.join(str(value) for value in values)}" for name, values in rows]
    return _block("\n".join([example["text"], *lines]))


def _block(text: str) -> str:
    """A fenced block that no text can end."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}text\n{text}\n{fence}"


def _family(manifest: Mapping[str, Any]) -> list[str]:
    words = (manifest.get("evidence") or {}).get("vocabulary")
    if not words:
        return []
    found = []
    if words["unknown_tokens"] > 0.01:
        found.append(
            f"**Wrong tokeniser?** {words['unknown_tokens']:.1%} of the tokens are unknown to it: take a model made "
            "for this language or script."
        )
    if words["pieces_per_word"] > 2.5:
        found.append(
            f"**Wrong language or field?** A word takes {words['pieces_per_word']:.1f} pieces on average, where a "
            "fitting vocabulary needs fewer than 2."
        )
    if not found:
        found.append(
            f"The vocabulary fits: {words['pieces_per_word']:.1f} pieces a word, {words['unknown_tokens']:.2%} unknown."
        )
    return found


def _lengths(manifest: Mapping[str, Any]) -> list[str]:
    data = manifest["data"]
    cut, windowed, limit = data["cut_training_texts"], data["windowed_evaluation_texts"], data["max_length"]
    if not cut and not windowed:
        return [f"No text is longer than the {limit:,} tokens that the model reads at once."]
    return [
        f"Of {cut:,} training examples only the first {limit:,} tokens were read; {windowed:,} evaluation examples "
        "were read in several windows."
    ]


def _words(manifest: Mapping[str, Any]) -> list[str]:
    words = (manifest.get("evidence") or {}).get("vocabulary")
    if not words:
        return []
    new, expected = words["new_words"], words["expected_new_words"]
    told = f"{new:.1%} of the words it was judged on do not occur in training; {expected:.1%} were to be expected"
    shifted = new > UNSEEN_FACTOR * expected and new - expected > 0.02
    return [f"**Other words.** {told}." if shifted else f"The words are the same: {told}."]


def _space(manifest: Mapping[str, Any]) -> list[str]:
    found = (manifest.get("evidence") or {}).get("embedding")
    if not found:
        return []
    told = (
        f"mean vectors of {found['texts']:,} texts of each side lie {found['distance']:.2f} apart, at random "
        f"{found['expected']:.2f} (p = {found['p_value']:.3f})"
    )
    if found["p_value"] < SURE:
        return [
            f"**Other texts.** In the model's space the texts it is judged on differ from those it learned: {told}."
        ]
    return [f"In the model's space the texts it is judged on are like those it learned: {told}."]


def _cost(manifest: Mapping[str, Any]) -> list[str]:
    row = manifest["comparison"]["rows"][-1]
    hardware = manifest["hardware"]
    where = plain(hardware.get("accelerator") or hardware.get("processor") or "this machine")
    lines = [
        f"Cost: {row['train_seconds'] / 60:,.1f} minutes to train, {row['seconds_per_1000']:,.1f} s for 1,000 answers "
        f"in batches, {row['megabytes']:,.1f} MB, on {where} with {hardware['threads']} threads."
    ]
    latency = (manifest.get("evidence") or {}).get("latency")
    if latency:
        lines.append(
            f"One answer alone takes {latency['median_ms']:,.0f} ms (median of {latency['examples']}; the slowest "
            f"{latency['slowest_ms']:,.0f} ms)."
        )
    return lines
