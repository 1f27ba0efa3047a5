"""What the ecosystem's plain ("slow") classes do otherwise than the fast ones. The engine is the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bothways.tokenizers.base import PreTrainedTokenizerBase
from bothways.tokenizers.batch_encoding import BatchEncoding
from bothways.tokenizers.loading import needed_files


class PlainTokenizer(PreTrainedTokenizerBase):
    """Mixin of the plain classes, to stand before the class of the family.

    ``is_fast`` is False, lists of tokens and of ids are taken as they are, the vocabulary files come before
    ``tokenizer.json``, and ``decode`` joins tokens in the way of ``convert_tokens_to_string``. Ids are those of the
    fast class, and offsets and word ids are available too. Where the ecosystem's two classes disagree about ids (a few
    strange characters), this is the fast one.
    """

    @property
    def is_fast(self) -> bool:
        return False

    def encode_plus(self, text: Any, text_pair: Any = None, **options: Any) -> BatchEncoding:
        """A call with one text or pair; lists of tokens or of ids are taken as they are."""
        if not options.get("is_split_into_words") and _is_tokens(text):
            pair = None if text_pair is None else self._ids(text_pair)
            options.pop("is_split_into_words", None)
            batched = options.get("return_tensors") is not None
            return self.prepare_for_model(self._ids(text), pair, prepend_batch_axis=batched, **options)
        return super().encode_plus(text, text_pair, **options)

    @classmethod
    def _files_to_use(cls, present: dict[str, Path]) -> dict[str, Path]:
        """The vocabulary, if it is there: the plain class never reads ``tokenizer.json`` in the ecosystem."""
        if not all(kind in present for kind in needed_files(cls)):
            return present
        return {kind: path for kind, path in present.items() if kind != "tokenizer_file"}

    def _decode(self, ids: list[int], skip_special_tokens: bool) -> str:
        """Added words, and additional special tokens behind the vocabulary, stand alone between spaces; the tokens
        between them are joined by the family's rule."""
        tokens = [t or str(self.unk_token) for t in self.convert_ids_to_tokens(ids, skip_special_tokens)]
        added = self.added_tokens_encoder
        alone = set(added) - set(self.all_special_tokens)
        alone |= {token for token in self.additional_special_tokens if added.get(token, -1) >= self.vocab_size}
        parts: list[list[str]] = [[]]
        for token in tokens:
            if token in alone:
                parts += [[token], []]
            else:
                parts[-1].append(token)
        texts = [part[0] if part[0] in alone else self.convert_tokens_to_string(part) for part in parts if part]
        return " ".join(text for text in texts if text)

    def _ids(self, tokens: Any) -> list[int]:
        if isinstance(tokens, str):
            tokens = self.tokenize(tokens)
        return [t if isinstance(t, int) else self.convert_tokens_to_ids(t) for t in tokens]


def _is_tokens(text: Any) -> bool:
    return isinstance(text, (list, tuple)) and len(text) > 0 and isinstance(text[0], (str, int))
