"""What a tokeniser call returns: a dictionary that also answers questions about characters, words and tokens.

**Words.** ``word_ids`` number the pieces into which the pre-tokeniser splits a text before the vocabulary is looked at.
No token reaches over two pieces, so a change of the word id is always a boundary of words; where else there is one
differs by kind:

==============================  ============================  ====================================================
kind                            words of ``"It's late, no"``  white space
==============================  ============================  ====================================================
WordPiece (BERT, DistilBERT,    ``It ' s late , no``          in no token
ELECTRA)
byte-level BPE (RoBERTa,        ``It 's Ġlate , Ġno``         a single space opens the next word; other white space,
ModernBERT, GPT-2, BART)                                      and all but the last space of a run, is a word itself
Unigram (ALBERT, XLM-RoBERTa,   ``▁It's ▁late, ▁no``          opens the next word
CamemBERT, T5, mBART, Pegasus)
any, ``is_split_into_words``    the caller's words            the caller's
==============================  ============================  ====================================================

So punctuation is a word of its own in WordPiece and byte-level BPE, and part of its neighbour in Unigram. What counts
as white space in Unigram is said by the rules of the model, which in published ones turn all of it into spaces. Special
tokens that the tokeniser adds have no word (None); ``[MASK]`` and the like inside the text are words. The two texts of
a pair count from 0 each. A ``tokenizer.json`` without a pre-tokeniser makes one word of the whole text, and so does
Llama's. GPT's words are those of WordPiece; Marian's calls have no encodings.

**Offsets** are characters of the text as it came in (of the word, with ``is_split_into_words``), the same as the
reference library's. They are not yet fit for answers: a Unigram token includes the space that opens its word (``▁late``
above is (4, 9)), a lone ``▁`` at the beginning of a text covers the first letter, which the next token covers too, and
a byte-level token of spaces alone is empty. Who cuts text out by offsets strips white space first.
"""

from __future__ import annotations

from collections import UserDict
from collections.abc import Sequence
from typing import Any, NamedTuple

from tokenizers import Encoding

from bothways.errors import TokenizerError


class CharSpan(NamedTuple):
    """Characters ``[start, end)`` of the original text."""

    start: int
    end: int


class TokenSpan(NamedTuple):
    """Tokens ``[start, end)`` of a row."""

    start: int
    end: int


class BatchEncoding(UserDict):
    """Rows of ids and masks by name (``enc["input_ids"]``, ``enc.input_ids``), usable as ``model(**enc)``.

    ``enc[0]`` is the engine's ``Encoding`` of row 0, and the methods below map between tokens, words and characters.
    Methods that take ``(batch, index)`` may be called with the index alone, which then refers to row 0.

    Args:
        data: values by name, one entry per row.
        encoding: the engine's encodings of the rows, if there are any.
        tensor_type: ``"pt"`` or ``"np"`` to convert at once.
        prepend_batch_axis: with ``tensor_type``: the values are those of a single row.
        n_sequences: 1 for texts, 2 for pairs; taken from the encodings when they are given.
    """

    def __init__(
        self,
        data: dict[str, Any] | None = None,
        encoding: Encoding | Sequence[Encoding] | None = None,
        tensor_type: Any = None,
        prepend_batch_axis: bool = False,
        n_sequences: int | None = None,
    ) -> None:
        super().__init__(data)
        if isinstance(encoding, Encoding):
            encoding = [encoding]
        self._encodings = None if encoding is None else list(encoding)
        if n_sequences is None and self._encodings:
            n_sequences = self._encodings[0].n_sequences
        self._n_sequences = n_sequences
        self.convert_to_tensors(tensor_type, prepend_batch_axis)

    @property
    def n_sequences(self) -> int | None:
        return self._n_sequences

    @property
    def is_fast(self) -> bool:
        """Whether the mappings between tokens, words and characters are available."""
        return self._encodings is not None

    @property
    def encodings(self) -> list[Encoding] | None:
        return self._encodings

    def __getitem__(self, item: int | str | slice) -> Any:
        if isinstance(item, str):
            return self.data[item]
        if self._encodings is not None:
            return self._encodings[item]
        if isinstance(item, slice):
            return {key: values[item] for key, values in self.data.items()}
        raise KeyError(f"{item!r}: rows can be asked for by number only in what a tokeniser call returned.")

    def __getattr__(self, name: str) -> Any:
        if name != "data" and name in self.__dict__.get("data", {}):
            return self.data[name]
        raise AttributeError(f"{type(self).__name__} has no attribute or key {name!r}")

    def __getstate__(self) -> dict[str, Any]:
        return {"data": self.data, "encodings": self._encodings, "n_sequences": self._n_sequences}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.data = state["data"]
        self._encodings = state["encodings"]
        self._n_sequences = state.get("n_sequences")

    def tokens(self, batch_index: int = 0) -> list[str]:
        return self._row(batch_index).tokens

    def word_ids(self, batch_index: int = 0) -> list[int | None]:
        """The word of each token; None for special tokens."""
        return self._row(batch_index).word_ids

    def words(self, batch_index: int = 0) -> list[int | None]:
        """The old name of ``word_ids``."""
        return self.word_ids(batch_index)

    def sequence_ids(self, batch_index: int = 0) -> list[int | None]:
        """0 or 1: the text of the pair that each token is from; None for special tokens."""
        return self._row(batch_index).sequence_ids

    def token_to_sequence(self, batch_or_token_index: int, token_index: int | None = None) -> int | None:
        row, index = self._row_and_token(batch_or_token_index, token_index)
        return row.token_to_sequence(index)

    def token_to_word(self, batch_or_token_index: int, token_index: int | None = None) -> int | None:
        row, index = self._row_and_token(batch_or_token_index, token_index)
        return row.token_to_word(index)

    def token_to_chars(self, batch_or_token_index: int, token_index: int | None = None) -> CharSpan | None:
        row, index = self._row_and_token(batch_or_token_index, token_index)
        span = row.token_to_chars(index)
        return None if span is None else CharSpan(*span)

    def word_to_tokens(
        self, batch_or_word_index: int, word_index: int | None = None, sequence_index: int = 0
    ) -> TokenSpan | None:
        row, index = self._row_and_index(batch_or_word_index, word_index)
        span = row.word_to_tokens(index, sequence_index)
        return None if span is None else TokenSpan(*span)

    def word_to_chars(
        self, batch_or_word_index: int, word_index: int | None = None, sequence_index: int = 0
    ) -> CharSpan | None:
        row, index = self._row_and_index(batch_or_word_index, word_index)
        span = row.word_to_chars(index, sequence_index)
        return None if span is None else CharSpan(*span)

    def char_to_token(
        self, batch_or_char_index: int, char_index: int | None = None, sequence_index: int = 0
    ) -> int | None:
        """The token that covers a character; None for white space between words."""
        row, index = self._row_and_index(batch_or_char_index, char_index)
        return row.char_to_token(index, sequence_index)

    def char_to_word(
        self, batch_or_char_index: int, char_index: int | None = None, sequence_index: int = 0
    ) -> int | None:
        row, index = self._row_and_index(batch_or_char_index, char_index)
        return row.char_to_word(index, sequence_index)

    def convert_to_tensors(self, tensor_type: Any = None, prepend_batch_axis: bool = False) -> BatchEncoding:
        """Turn the lists into tensors (``"pt"``) or arrays (``"np"``) of int64, in place; return self.

        Raises:
            TokenizerError: rows of different lengths (a ``ValueError``), or an unknown ``tensor_type``.
        """
        kind = getattr(tensor_type, "value", tensor_type)
        if kind is None:
            return self
        if kind not in ("pt", "np"):
            raise TokenizerError(f"unknown return_tensors {kind!r}. Known values: 'pt' (PyTorch), 'np' (NumPy), None.")
        for key, values in self.data.items():
            if not _is_tensor(values):
                self.data[key] = _as_tensor(key, [values] if prepend_batch_axis else values, kind)
        return self

    def to(self, device: Any, *, non_blocking: bool = False) -> BatchEncoding:
        """Move the tensors to ``device`` (a name, number or ``torch.device``), in place; return self.

        A dtype is ignored: ids are whole numbers, and tools that cast whole batches must not touch them.
        """
        import torch

        if isinstance(device, (str, int, torch.device)):
            self.data = {
                key: value.to(device=device, non_blocking=non_blocking) if isinstance(value, torch.Tensor) else value
                for key, value in self.data.items()
            }
        return self

    def _row(self, index: int) -> Encoding:
        if not self._encodings:
            raise TokenizerError(
                "this BatchEncoding has no encodings, so tokens, words and characters cannot be mapped. "
                "Use what the tokeniser call returned, not what pad() or prepare_for_model() made of it."
            )
        return self._encodings[index]

    def _row_and_index(self, first: int, second: int | None) -> tuple[Encoding, int]:
        row = self._row(0 if second is None else first)
        return row, first if second is None else second

    def _row_and_token(self, first: int, second: int | None) -> tuple[Encoding, int]:
        row, index = self._row_and_index(first, second)
        return row, index + len(row) if index < 0 else index


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "dtype") and hasattr(value, "shape")


def _as_tensor(key: str, values: Any, kind: str) -> Any:
    import numpy as np

    if isinstance(values, (list, tuple)) and values and all(_is_tensor(v) and v.ndim for v in values):
        values = [v.tolist() for v in values]
    lengths = [len(row) for row in values if isinstance(row, (list, tuple))]
    if len(set(lengths)) > 1:
        raise TokenizerError(
            f"{key} has rows of {min(lengths)} to {max(lengths)} tokens, which make no rectangle. Pass padding=True "
            "to fill the short rows up, and truncation=True to bound the long ones."
        )
    try:
        array = np.asarray(values)
    except ValueError as problem:
        raise TokenizerError(f"{key} is nested unevenly, which makes no rectangle. ({problem})") from None
    if array.size == 0:
        array = array.astype(np.int64)
    if array.dtype == object or array.dtype.kind in "US":
        raise TokenizerError(f"{key} holds values that are not numbers, so it cannot become a tensor. Remove it first.")
    if kind == "np":
        return array
    import torch

    tensor = torch.from_numpy(array)
    return tensor.to(torch.float32) if tensor.dtype == torch.float64 else tensor  # as torch.tensor does with floats
