"""Models for looking into, and one text read by one: its tokens, the vectors of every layer, the weights of every head.

Shapes: S tokens, N hidden_size, L layers, H heads, E size of a word embedding.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from bothways.errors import InputError
from bothways.explore.pieces import Piece, check_text, encode_pieces

HEADS = {"masked-lm": "masked-language head", "causal-lm": "head for the next word"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Reader:
    """A model with its tokeniser.

    Attributes:
        name: as it was asked for, or the name of its class.
    """

    model: Any
    tokenizer: Any
    name: str


@dataclass(frozen=True, kw_only=True, eq=False)
class TextReading:
    """A text as a model's body reads it.

    Attributes:
        hidden: float32 (L + 1, S, N); the first are the embeddings with positions.
        weights: float32 (L, H, S, S), or None where they were not asked for.
    """

    pieces: tuple[Piece, ...]
    hidden: np.ndarray
    weights: np.ndarray | None


def load_reader(model: Any, tokenizer: Any = None, *, task: str = "base") -> Reader:
    """A model by name, directory or as it is, with the head of a task.

    Raises:
        InputError: a model without that head, one with encoder and decoder, no model, or no tokeniser.
        ModelNotFoundError: a name that leads nowhere.
    """
    if not isinstance(model, (str, os.PathLike)):
        if not hasattr(model, "config") or not hasattr(model, "base_model"):
            raise InputError(
                f"model is {model!r:.60} ({type(model).__name__}); expected a name, a directory or a model."
            )
        _refuse_two_parts(model.config, type(model).__name__)
        if task not in ("base", getattr(type(model), "task", "base")):
            raise InputError(f"{type(model).__name__} has no {HEADS[task]}. {_advice(task)}")
        name = str(model.name_or_path or type(model).__name__)
        return Reader(model=model.eval(), tokenizer=_tokenizer_of(model, tokenizer, name), name=name)
    from bothways.models.auto import AutoConfig, model_class

    config = AutoConfig.from_pretrained(model)
    _refuse_two_parts(config, str(model))
    chosen: Any = _class_for(config, task, str(model), model_class)
    _check_named(config, task, str(model))
    loaded = chosen.from_pretrained(model, config=config)
    _check_head(loaded, task, str(model))
    return Reader(model=loaded.eval(), tokenizer=_tokenizer_of(loaded, tokenizer, str(model)), name=str(model))


def read_text(reader: Reader, text: str, *, what: str = "text", weights: bool = False) -> TextReading:
    """Run the body of a model over one text.

    Args:
        what: how messages call the text.
        weights: keep the attention weights.

    Raises:
        InputError: a blank text, one longer than the model reads, or tokens that the model has no vectors for.
    """
    import torch

    check_text(text, what)
    pieces = fitting_pieces(reader, text, what)
    body = reader.model.base_model
    ids = torch.tensor([[piece.id for piece in pieces]], device=body.device)
    with torch.no_grad():
        output = body(input_ids=ids, output_hidden_states=True, output_attentions=weights, return_dict=True)
    return TextReading(
        pieces=pieces,
        hidden=np.stack([layer[0].float().cpu().numpy() for layer in output.hidden_states]),
        weights=np.stack([layer[0].float().cpu().numpy() for layer in output.attentions]) if weights else None,
    )


def fitting_pieces(reader: Reader, text: str, what: str) -> tuple[Piece, ...]:
    """The tokens of a text that the model can read at once.

    Raises:
        InputError: with the numbers of tokens.
    """
    pieces = encode_pieces(reader.tokenizer, text)
    if not pieces:
        raise InputError(f"{what} has no tokens for {reader.name}; expected at least one word that it can read.")
    limit = getattr(reader.model.config, "longest_sequence", None)
    if limit is not None and len(pieces) > limit:
        raise InputError(f"{what} has {len(pieces):,} tokens but {reader.name} reads {limit:,} at once. Shorten it.")
    rows, largest = reader.model.get_input_embeddings().num_embeddings, max(piece.id for piece in pieces)
    if largest >= rows:
        raise InputError(
            f"{what} has the token id {largest:,} but {reader.name} has vectors for {rows:,} tokens: the tokeniser "
            "does not belong to this model."
        )
    return pieces


def word_table(reader: Reader) -> np.ndarray:
    """The static vectors of the vocabulary, float32 (V, E)."""
    return reader.model.get_input_embeddings().weight.detach().float().cpu().numpy()


def is_causal(reader: Reader) -> bool:
    """Whether tokens see none that come later."""
    return bool(reader.model.base_model.encoder.sequence()[0][0].spec.causal)


def default_masked() -> str:
    """The model with a masked-language head that is taken where none is named.

    Raises:
        InputError: there is none; the message says what to give.
    """
    from bothways.resolver.box import boxed_for

    boxed = boxed_for("fill-mask")
    if boxed is not None and boxed.path is not None:
        return boxed.name
    raise InputError(f"no model is named, and the box of this installation has none. {_advice('masked-lm')}")


def _class_for(config: Any, task: str, name: str, find: Any) -> Any:
    try:
        return find(config.model_type, task)
    except InputError:
        raise InputError(
            f"{name} is a {config.model_type} model, which has no {HEADS[task]}. {_advice(task)}"
        ) from None


def _check_named(config: Any, task: str, name: str) -> None:
    """Refuse a model whose configuration names another head, before its weights are read."""
    from bothways.models.auto import MODEL_CLASSES

    names = config.architectures or []
    tasks = {made_for for (_, made_for), cls in MODEL_CLASSES.items() if cls.__name__ in names}
    if task != "base" and tasks and not tasks & {task, "pretraining"}:
        has = ", ".join(map(str, names))
        raise InputError(f"{name} has no weights for a {HEADS[task]}: it holds {has}. {_advice(task)}")


def _check_head(model: Any, task: str, name: str) -> None:
    """Refuse a model whose head was not among its weights."""
    report = model.load_report
    missing = [] if report is None else list(report.missing)
    own = [key for key in missing if not key.startswith(f"{model.family.base_prefix}.")]
    if task != "base" and own:
        raise InputError(f"{name} has no weights for a {HEADS[task]}: {', '.join(own)} are missing. {_advice(task)}")


def _advice(task: str) -> str:
    """Which models have a head, and which of them are here."""
    from bothways.checkpoints.config import read_config
    from bothways.errors import BothwaysError
    from bothways.resolver import list_models

    ending = {"masked-lm": ("ForMaskedLM", "ForPreTraining"), "causal-lm": ("LMHeadModel", "ForCausalLM")}[task]
    here = []
    for entry in list_models():
        try:
            names = read_config(entry.path).get("architectures") if entry.path is not None else None
        except BothwaysError:
            continue
        if any(str(name).endswith(ending) for name in names or []):
            here.append(entry.name)
    found = f"On this machine {', '.join(here)} has one" if here else f"No model on this machine has a {HEADS[task]}"
    known = {
        "masked-lm": "BertForMaskedLM, as published in google-bert/bert-base-uncased or made by `bothways pretrain`",
        "causal-lm": "GPT2LMHeadModel, as published in openai-community/gpt2 or made by `bothways pretrain`",
    }[task]
    return f"{found}. Give a directory or name of a model such as {known}."


def _refuse_two_parts(config: Any, name: str) -> None:
    if getattr(config, "is_encoder_decoder", False):
        raise InputError(
            f"{name} ({config.model_type}) has an encoder and a decoder; expected a model of one part, such as BERT, "
            "RoBERTa or GPT-2."
        )


def _tokenizer_of(model: Any, tokenizer: Any, name: str) -> Any:
    from bothways.tokenizers import AutoTokenizer

    if tokenizer is None and not model.name_or_path:
        raise InputError(
            f"the tokeniser of this {name} is not known, since it was not loaded by name. Pass "
            "tokenizer=AutoTokenizer.from_pretrained(...)."
        )
    if tokenizer is None:
        return AutoTokenizer.from_pretrained(model.name_or_path)
    return AutoTokenizer.from_pretrained(tokenizer) if isinstance(tokenizer, (str, os.PathLike)) else tokenizer
