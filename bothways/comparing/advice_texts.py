"""The advice in sentences, each with where its numbers are from: measured now, computed from that, or published."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bothways.comparing.machine import Machine
from bothways.evaluation.formats import seconds_text

if TYPE_CHECKING:
    from bothways.comparing.advise import Option, Question

FEW = 8
"""Labelled texts a class, with which Tunstall et al. 2022 compare ways of learning from few."""
API_DOCUMENTS = 10_000
COMMANDS = {"fine-tuning": "", "LoRA": " --lora 8", "head only": " --freeze"}


def advice_sentences(question: Question, options: Sequence[Option], choice: int | None, machine: Machine) -> list[str]:
    """What to do, in order."""
    said = [_first(question, machine)] if question.task == "text-classification" else []
    said.append(_take(question, options, choice))
    if choice is not None:
        said += [_why(question, options, choice), _train(question, options[choice]), _run(options[choice], question)]
    said.append(_labels(question))
    said.append(_api(question))
    said.append(
        "Published scores are of one benchmark and not of your data, which nothing here has seen: train the choice and "
        "its neighbour, then `bothways compare` both on labelled texts of yours."
    )
    return said


def _first(question: Question, machine: Machine) -> str:
    if question.zero_shot:
        return (
            "First: label a few texts of each class, if only to judge on; without labels no baseline can be trained "
            "and nothing can be measured."
        )
    train = machine.baseline_fixed + machine.baseline_train * question.labelled
    answer = machine.baseline_answer * question.documents
    return (
        f"First: the baseline, TF-IDF + logistic regression. About {seconds_text(train)} to train and "
        f"{seconds_text(answer)} to answer all documents (measured now on invented texts, scaled up). `bothways train` "
        "trains it by itself and says whether the model beats it; where it does not, stop there."
    )


def _take(question: Question, options: Sequence[Option], choice: int | None) -> str:
    if choice is None:
        reasons = list(dict.fromkeys(reason for option in options for reason in option.against.split(", ")))
        quickest = min(options, key=lambda option: option.cost.latency)
        wanted = "" if question.latency_ms is None else f" of the {question.latency_ms:g} ms that are wanted"
        return (
            f"Take none of these models here; against them: {', '.join(reasons)}. The quickest, "
            f"{quickest.candidate.name}, needs {seconds_text(quickest.cost.latency)}{wanted} for one text of "
            f"{question.tokens:,} tokens. Shorten the texts{_fitting(question, quickest)}, allow more time, take the "
            "baseline, or a faster machine."
        )
    option = options[choice]
    if question.zero_shot:
        return (
            f"Take a model for inference (NLI) of the size of {option.candidate.name} ({option.candidate.family}): "
            "zero-shot needs no training."
        )
    way = "" if option.method is None else f", {option.method}"
    return (
        f"Take {option.candidate.name} ({option.candidate.family}, {option.candidate.layers} layers of "
        f"{option.candidate.hidden:,}, {option.candidate.parameters / 1e6:,.0f} M weights){way}."
    )


def _fitting(question: Question, option: Option) -> str:
    """How long a text might be, by proportion; nothing where time for one text does not matter."""
    if question.latency_ms is None:
        return ""
    length = int(question.tokens * min(1.0, question.latency_ms / 1_000 / option.cost.latency))
    return f" (to about {length:,} tokens)" if 8 <= length < question.tokens else ""


def _why(question: Question, options: Sequence[Option], choice: int) -> str:
    option = options[choice]
    text = (
        f"Why: of the candidates that fit it is the one with the best published quality ({option.candidate.published}; "
        f"{option.candidate.source})"
    )
    if question.latency_ms is not None:
        text += (
            f", and one text takes {seconds_text(option.cost.latency)} of the {question.latency_ms:g} ms that are "
            "wanted (computed from what was measured)"
        )
    better = [other for other in options[choice + 1 :] if other.against]
    if better:
        text += ". Better ones do not fit: " + "; ".join(f"{o.candidate.name}: {o.against}" for o in better)
    if option.cost.windows > 1:
        text += (
            f". It reads {option.candidate.longest:,} tokens at once, so that a text is read in {option.cost.windows} "
            "windows"
        )
    return f"{text}."


def _train(question: Question, option: Option) -> str:
    if question.zero_shot or option.method is None:
        return "Training: none."
    seconds = option.cost.training[option.method]
    task = "" if question.task == "text-classification" else f" --task {question.task}"
    return (
        f"Training: about {seconds_text(seconds)} for {question.labelled:,} labelled texts (computed from what was "
        f"measured): `bothways train FILE{task} --model {option.candidate.name}{COMMANDS[option.method]} "
        "--output my-model`."
    )


def _run(option: Option, question: Question) -> str:
    return (
        f"Running: about {option.cost.texts_per_second:,.3g} texts a second, {seconds_text(option.cost.answering)} "
        f"for all {question.documents:,} documents (computed from what was measured), and "
        f"{option.candidate.megabytes:,.0f} MB of weights."
    )


def _labels(question: Question) -> str:
    if question.zero_shot:
        return (
            f"Labels: without any, zero-shot asks the model once for each of the {question.classes:,} classes and "
            f"text (Yin et al. 2019): {question.classes:,} times the cost of a trained one. A few labels a class are "
            f"usually better: from {FEW} a class a head on a frozen encoder can be tried (Tunstall et al. 2022)."
        )
    if question.labels is None:
        each = question.documents / question.classes
        return (
            f"Labels: all {question.documents:,} documents are taken as labelled, {each:,.0f} a class; say --labels N "
            "for fewer. With a few dozen a class LoRA or a head alone is tried first, with none zero-shot."
        )
    if question.labels < FEW:
        return (
            f"Labels: {question.labels} a class are fewer than the {FEW} with which learning from few is usually "
            "measured (Tunstall et al. 2022): compare with zero-shot, and label more before anything else."
        )
    if question.methods[0] == "head only":
        return (
            f"Labels: with {question.labels} a class train the head alone on a frozen encoder: fewer numbers to "
            "learn, and all epochs cost one. Then try LoRA. A rule of thumb: compare both on held-out texts."
        )
    if question.methods[0] == "LoRA":
        return (
            f"Labels: with {question.labels} a class LoRA (Hu et al. 2022) learns thin matrices beside an encoder "
            "that stays, and that several tasks can share. A rule of thumb: compare it with fine-tuning."
        )
    return f"Labels: {question.labels:,} a class are enough for fine-tuning; LoRA is for many tasks on one encoder."


def _api(question: Question) -> str:
    few = question.zero_shot or (question.labels is not None and question.labels < FEW)
    if few and question.documents <= API_DOCUMENTS and question.latency_ms is None:
        return (
            f"An API model is probably the better choice: hardly any labels and only {question.documents:,} documents. "
            f"{_price(question)}. Its quality on your texts and the time of an answer cannot be measured here."
        )
    reasons = []
    if question.latency_ms is not None:
        reasons.append(
            f"{question.latency_ms:g} ms have to hold the way over a network too, which is not measured here"
        )
    if not few:
        reasons.append("there are labels to learn from")
    if question.documents > API_DOCUMENTS:
        reasons.append(f"{question.documents:,} documents are paid for again whenever something changes")
    return (
        f"An API model: {_price(question)}. Against it: {'; '.join(reasons) or 'each text is paid for'}. It is the "
        "better choice for few documents without labels, for classes that change often, and where an answer needs "
        "knowledge of the world or has to be written."
    )


def _price(question: Question) -> str:
    millions = question.documents * question.tokens / 1e6
    if question.api_price is None:
        return f"{millions:,.1f} million tokens to read, times the price of a million (not known here: --api-price)"
    price = question.api_price
    return f"{millions:,.1f} million tokens to read × {price:g} (your price) = {millions * price:,.2f}"


__all__ = ["advice_sentences"]
