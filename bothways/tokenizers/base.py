"""The call contract of every tokeniser, over one engine (``tokenizers.Tokenizer``).

A family class says how to build the engine from its files and which special tokens it has; all the rest is here and
in the mixins: ``special_tokens`` (attributes), ``vocabulary`` (ids and tokens), ``saving`` (files).

Threads: a tokeniser may be shared. Truncation and padding are settings of the engine, so a call holds a lock while it
sets them, encodes and clears them again; the engine itself spreads a batch over all cores.
"""

from __future__ import annotations

import copy
import json
import os
import threading
from collections.abc import Iterable, Sequence
from typing import Any

from tokenizers import Encoding, Tokenizer, pre_tokenizers

from bothways.errors import TokenizerError
from bothways.tokenizers.batch_encoding import BatchEncoding
from bothways.tokenizers.encoding import Encoder
from bothways.tokenizers.engine import load_engine
from bothways.tokenizers.inputs import as_batch
from bothways.tokenizers.options import (
    LARGE_INTEGER,
    SIDES,
    VERY_LARGE_INTEGER,
    CallOptions,
    call_options,
    resolve_limits,
)
from bothways.tokenizers.padding import as_columns, pad_columns, pad_one
from bothways.tokenizers.prepare import prepare_for_model
from bothways.tokenizers.saving import Saving
from bothways.tokenizers.special_tokens import ADDITIONAL, NAMES, checked_token, checked_tokens
from bothways.tokenizers.targets import Targets


class PreTrainedTokenizerBase(Encoder, Saving, Targets):
    """A tokeniser: texts to ids and back.

    Args:
        tokenizer_object: the engine.
        copy_engine: False takes the engine itself. A copy goes through JSON, which is slow for large vocabularies and
            changes scores in their last digit.
        tokenizer_file: a ``tokenizer.json`` to build the engine from.
        model_max_length: longest row the model takes, in tokens; used by ``truncation=True`` and
            ``padding="max_length"`` when a call names no length.
        padding_side, truncation_side: ``"right"`` or ``"left"``.
        model_input_names: which of ``token_type_ids`` and ``attention_mask`` a call returns by default.
        clean_up_tokenization_spaces: whether ``decode`` removes the space before punctuation.
        kwargs: special tokens (``mask_token="[MASK]"``, ...) and values that are only kept for saving.

    Raises:
        TokenizerError: impossible values, or neither an engine nor a file.
    """

    vocab_files_names: dict[str, str] = {"tokenizer_file": "tokenizer.json"}
    optional_files: tuple[str, ...] = ()  # kinds of ``vocab_files_names`` that may be missing
    model_input_names: list[str] = ["input_ids", "token_type_ids", "attention_mask"]
    padding_side: str = "right"
    truncation_side: str = "right"

    def __init__(
        self,
        *,
        tokenizer_object: Tokenizer | None = None,
        tokenizer_file: str | os.PathLike[str] | None = None,
        added_tokens_decoder: dict[int, Any] | None = None,
        copy_engine: bool = True,
        **kwargs: Any,
    ) -> None:
        if tokenizer_object is not None:
            self._tokenizer = copy.deepcopy(tokenizer_object) if copy_engine else tokenizer_object
            stated = {"truncation": self._tokenizer.truncation, "padding": self._tokenizer.padding}
            self._tokenizer.no_truncation()
            self._tokenizer.no_padding()
        elif tokenizer_file is not None:
            self._tokenizer, stated = load_engine(tokenizer_file)
        else:
            raise TokenizerError(
                f"{type(self).__name__} needs a tokenizer_file, a tokenizer_object or the vocabulary of its family."
            )
        self._lock = threading.RLock()
        self._special: dict[str, Any] = {ADDITIONAL: []}
        for name, value in _stated_defaults(stated).items():
            kwargs.setdefault(name, value)
        self.init_kwargs: dict[str, Any] = dict(kwargs)
        self._set_options(kwargs)
        self._add_declared_tokens(added_tokens_decoder or {})
        _set_prefix_space(self._tokenizer, self.add_prefix_space)

    def _set_options(self, given: dict[str, Any]) -> None:
        self.name_or_path = str(given.get("name_or_path", ""))
        limit = given.get("model_max_length", given.get("max_len"))
        self.model_max_length = _length(limit)
        self.padding_side = _side("padding_side", given.get("padding_side", self.padding_side))
        self.truncation_side = _side("truncation_side", given.get("truncation_side", self.truncation_side))
        self.model_input_names = list(given.get("model_input_names", self.model_input_names))
        self.clean_up_tokenization_spaces = bool(given.get("clean_up_tokenization_spaces") or False)
        self.split_special_tokens = bool(given.get("split_special_tokens", False))
        self.add_prefix_space: bool | None = bool(given.get("add_prefix_space", False))
        for name in NAMES:
            if given.get(name) is not None:
                self._special[name] = checked_token(name, given[name])
        self._special[ADDITIONAL] = checked_tokens(ADDITIONAL, given.get(ADDITIONAL))

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | os.PathLike[str], **kwargs: Any) -> Any:
        """Load from a directory, a model name, or a single vocabulary file.

        Nothing in the directory is executed; ``trust_remote_code`` changes nothing.

        Args:
            pretrained_model_name_or_path: what to load.
            kwargs: ``revision, token, cache_dir, local_files_only`` for finding the model; all others override what
                the files say (``do_lower_case=False``, ``model_max_length=128``, ...).

        Raises:
            ModelNotFoundError: the name leads nowhere.
            TokenizerError: the files are missing, damaged or unsafe.
        """
        from bothways.tokenizers.loading import load_tokenizer

        return load_tokenizer(cls, pretrained_model_name_or_path, kwargs)

    @property
    def is_fast(self) -> bool:
        return True

    @property
    def backend_tokenizer(self) -> Tokenizer:
        return self._tokenizer

    @property
    def max_len_single_sentence(self) -> int:
        return self.model_max_length - self.num_special_tokens_to_add(pair=False)

    @property
    def max_len_sentences_pair(self) -> int:
        return self.model_max_length - self.num_special_tokens_to_add(pair=True)

    def __call__(
        self,
        text: Any = None,
        text_pair: Any = None,
        text_target: Any = None,
        text_pair_target: Any = None,
        add_special_tokens: bool = True,
        padding: Any = False,
        truncation: Any = None,
        max_length: int | None = None,
        stride: int = 0,
        is_split_into_words: bool = False,
        **options: Any,
    ) -> BatchEncoding:
        """Encode a text, a pair of texts, or a batch of either.

        Args:
            text, text_pair: str, list of str, or with ``is_split_into_words`` lists of words. A list of two-element
                lists or tuples is a batch of pairs. An empty ``text_pair`` is a pair whose second text is empty.
            text_target, text_pair_target: encoded likewise; their ids become ``labels`` if ``text`` is given too.
            padding: False, True or ``"longest"``, ``"max_length"``.
            truncation: None or False, True or ``"longest_first"``, ``"only_first"``, ``"only_second"``.
            max_length: in tokens, special ones included. Alone it switches truncation on; None stands for
                ``model_max_length``. Texts that are longer and not to be truncated are returned whole.
            stride: tokens that consecutive windows share when ``return_overflowing_tokens`` is on.
            options: the remaining fields of ``CallOptions``.

        Returns:
            One row per text (more with ``return_overflowing_tokens``); a single text without ``return_tensors`` is
            returned without the batch axis.

        Raises:
            TokenizerError: input that is no text, unequal batches, unknown values, impossible lengths.
        """
        chosen = call_options(
            add_special_tokens=add_special_tokens,
            padding=padding,
            truncation=truncation,
            max_length=max_length,
            stride=stride,
            is_split_into_words=is_split_into_words,
            **options,
        )
        if text is None and text_target is None:
            raise TokenizerError("text is None. Pass a text, a list of texts, or text_target.")
        if text is not None:
            if not self._in_target_context_manager:
                self._switch_to_input_mode()
            encoded = self._encode_input(text, text_pair, chosen)
        if text_target is not None:
            with self._as_targets():
                targets = self._encode_input(text_target, text_pair_target, chosen)
            if text is None:
                return targets
            encoded["labels"] = targets["input_ids"]
        return encoded

    def encode(self, text: Any, text_pair: Any = None, add_special_tokens: bool = True, **options: Any) -> Any:
        """The ids of one text or pair: a list, or a tensor with ``return_tensors``. Options as in a call."""
        return self.encode_plus(text, text_pair, add_special_tokens=add_special_tokens, **options)["input_ids"]

    def encode_plus(self, text: Any, text_pair: Any = None, **options: Any) -> BatchEncoding:
        """A call with one text or pair."""
        chosen = call_options(**options)
        row = text if text_pair is None else (text, text_pair)
        return self._encode_rows([row], chosen, batched=False)

    def batch_encode_plus(self, batch_text_or_text_pairs: Any, **options: Any) -> BatchEncoding:
        """A call with a list of texts or of pairs."""
        if isinstance(batch_text_or_text_pairs, str):
            raise TokenizerError("batch_encode_plus takes a list of texts. Use encode_plus for one text.")
        chosen = call_options(**options)
        rows, _ = as_batch(batch_text_or_text_pairs, None, False)
        return self._encode_rows(rows, chosen, batched=True)

    def tokenize(
        self, text: str, pair: str | None = None, add_special_tokens: bool = False, **options: Any
    ) -> list[str]:
        """The tokens of a text as strings, by default without special tokens."""
        return self.encode_plus(text, pair, add_special_tokens=add_special_tokens, **options).tokens()

    def encode_texts(
        self,
        texts: Sequence[Any],
        pairs: Sequence[Any] | None = None,
        *,
        max_length: int | None = None,
        truncation: str | bool = True,
        stride: int = 0,
        add_special_tokens: bool = True,
        is_split_into_words: bool = False,
        offsets: bool = False,
    ) -> list[Encoding]:
        """The bulk path of the library: encodings without padding, tensors or dictionaries.

        Args:
            texts: one entry per row.
            pairs: second texts, as many as ``texts``.
            max_length: longest row in tokens; None leaves all rows whole, whatever ``model_max_length`` says.
            truncation: how to shorten, if ``max_length`` is given. What was cut off is in ``encoding.overflowing``.
            stride: tokens that consecutive overflowing windows share.
            offsets: whether ``.offsets`` and ``.word_ids`` are needed; without them the engine is faster and leaves
                them empty (0 and None).

        Returns:
            One ``Encoding`` per row, in order: ``.ids``, ``.type_ids``, ``.overflowing``, ...

        Raises:
            TokenizerError: as for a call.
        """
        if isinstance(texts, str):
            raise TokenizerError("encode_texts takes a list of texts, not one text.")
        limits = resolve_limits(
            truncation=truncation if max_length is not None else False,
            max_length=max_length,
            stride=stride,
            truncation_side=self.truncation_side,
        )
        rows = list(texts)
        if pairs is not None:
            if len(rows) != len(pairs):
                raise TokenizerError(
                    f"texts has {len(rows)} entries but pairs has {len(pairs)}. They are paired one to one."
                )
            rows = list(zip(rows, pairs, strict=True))
        return self._run_engine(rows, limits, add_special_tokens, is_split_into_words, offsets=offsets)

    def pad(
        self,
        encoded_inputs: Any,
        padding: Any = True,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_attention_mask: bool | None = None,
        return_tensors: Any = None,
        verbose: bool = True,
    ) -> BatchEncoding:
        """Fill up encoded examples to one length, as a collator does.

        Args:
            encoded_inputs: a list of examples (dicts), a dict or ``BatchEncoding`` of rows, or one example.
            padding, max_length, pad_to_multiple_of, padding_side: as in a call.

        Returns:
            A new ``BatchEncoding``; the examples stay unchanged. Tensors in, tensors out.
        """
        main = self.model_input_names[0]
        columns, kind = as_columns(encoded_inputs, main)
        limits = self._limits(call_options(
            padding=padding,
            truncation=False,
            max_length=max_length,
            pad_to_multiple_of=pad_to_multiple_of,
            padding_side=padding_side,
        ))  # fmt: skip
        mask = "attention_mask" in self.model_input_names if return_attention_mask is None else return_attention_mask
        fill: dict[str, Any] = {"main": main, "pad_id": self.pad_token_id, "pad_type_id": self.pad_token_type_id}
        if columns[main] and isinstance(columns[main][0], (list, tuple)):
            padded = pad_columns(columns, limits, mask=mask, **fill)
        else:
            padded = pad_one(columns, limits, mask=mask, **fill)
        return BatchEncoding(padded, tensor_type=return_tensors or kind)

    def prepare_for_model(self, ids: list[int], pair_ids: list[int] | None = None, **options: Any) -> BatchEncoding:
        """A row from ids of one or two texts: special tokens, truncation and padding as in a call."""
        return prepare_for_model(self, ids, pair_ids, **options)

    def train_new_from_iterator(
        self,
        text_iterator: Iterable[Any],
        vocab_size: int,
        length: int | None = None,
        new_special_tokens: list[Any] | None = None,
        special_tokens_map: dict[str, str] | None = None,
        **kwargs: Any,
    ) -> Any:
        """A tokeniser of the same kind with a vocabulary learned from texts; the same texts give the same vocabulary.

        Args:
            text_iterator: texts, or lists of texts; read once, and only the counts of words are held.
            vocab_size: number of entries, special tokens included; fewer if the texts do not support so many.
            length: accepted for compatibility, not needed.
            new_special_tokens: special tokens to add to those of this tokeniser.
            special_tokens_map: new names of special tokens, ``{"[MASK]": "<mask>"}``.
            kwargs: ``limit_alphabet``, ``initial_alphabet``; for WordPiece and BPE ``min_frequency``; further ones in
                ``training.OPTIONS``.

        Raises:
            TokenizerError: no texts, too small a ``vocab_size``, or an engine whose model is of another kind than
                WordPiece, BPE and Unigram.
        """
        from bothways.tokenizers.training import retrain

        return retrain(self, text_iterator, vocab_size, new_special_tokens or [], special_tokens_map or {}, kwargs)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.RLock()

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        added = "".join(f"\n\t{index}: {token!r}," for index, token in self.added_tokens_decoder.items())
        return (
            f"{type(self).__name__}(name_or_path='{self.name_or_path}', vocab_size={self.vocab_size}, "
            f"model_max_length={self.model_max_length}, is_fast={self.is_fast}, padding_side='{self.padding_side}', "
            f"truncation_side='{self.truncation_side}', special_tokens={self.special_tokens_map}, "
            f"clean_up_tokenization_spaces={self.clean_up_tokenization_spaces}, added_tokens_decoder={{{added}\n}}\n)"
        )

    def _encode_input(self, text: Any, pair: Any, options: CallOptions) -> BatchEncoding:
        rows, batched = as_batch(text, pair, options.is_split_into_words)
        return self._encode_rows(rows, options, batched=batched)


class PreTrainedTokenizerFast(PreTrainedTokenizerBase):
    """A tokeniser of no particular family: everything comes from a ``tokenizer.json``."""


def _set_prefix_space(engine: Tokenizer, wanted: bool | None) -> None:
    """Let the argument, even by its default, win over a byte-level ``tokenizer.json``, as in the ecosystem."""
    splitter = engine.pre_tokenizer
    if isinstance(splitter, pre_tokenizers.ByteLevel) and splitter.add_prefix_space != wanted:
        state = {k: v for k, v in json.loads(splitter.__getstate__()).items() if k != "type"}
        engine.pre_tokenizer = pre_tokenizers.ByteLevel(**{**state, "add_prefix_space": wanted})


def _stated_defaults(stated: dict[str, Any]) -> dict[str, Any]:
    """What the truncation and padding settings of a tokenizer.json say about later calls: sides and pad token."""
    truncation, padding = stated.get("truncation") or {}, stated.get("padding") or {}
    found = {
        "truncation_side": truncation.get("direction"),
        "padding_side": padding.get("direction"),
        "pad_token": padding.get("pad_token"),
    }
    return {name: v.lower() if name != "pad_token" else v for name, v in found.items() if isinstance(v, str)}


def _side(name: str, value: Any) -> str:
    if value not in SIDES:
        raise TokenizerError(f"{name} must be 'right' or 'left', not {value!r}.")
    return value


def _length(value: Any) -> int:
    if value is None:
        return VERY_LARGE_INTEGER
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value or value < 1:
        raise TokenizerError(f"model_max_length must be a positive whole number, not {value!r}.")
    return VERY_LARGE_INTEGER if value > LARGE_INTEGER else int(value)
