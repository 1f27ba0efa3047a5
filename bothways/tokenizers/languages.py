"""Tokenisers that mark a row with its language: ``src_lang`` for texts to read, ``tgt_lang`` for texts to write."""

from __future__ import annotations

from typing import Any

from tokenizers import processors

from bothways.errors import TokenizerError, nearest
from bothways.tokenizers.base import PreTrainedTokenizerBase
from bothways.tokenizers.batch_encoding import BatchEncoding


class LanguageRows(PreTrainedTokenizerBase):
    """Rows with a prefix and a suffix that depend on the language. A family says where the code stands.

    The language is a state of the tokeniser: change it before a call, not while another thread is in one.

    Attributes:
        lang_code_to_id: ids of the languages, by code (``en_XX``).
        tgt_lang: language of targets, or None; may be set at any time.
        prefix_tokens, suffix_tokens: ids around the text in the present mode.
        cur_lang_code: id of the language in the present mode.
    """

    model_input_names = ["input_ids", "attention_mask"]
    languages: tuple[str, ...] = ()
    lang_code_to_id: dict[str, int]
    tgt_lang: str | None
    prefix_tokens: list[int]
    suffix_tokens: list[int]
    cur_lang_code: int

    @property
    def src_lang(self) -> str:
        """Language of sources; setting it takes effect at once."""
        return self._src_lang

    @src_lang.setter
    def src_lang(self, new_src_lang: str) -> None:
        self._language_id("src_lang", new_src_lang)
        self._src_lang = new_src_lang
        self.set_src_lang_special_tokens(new_src_lang)

    def set_src_lang_special_tokens(self, src_lang: str) -> None:
        """Mark rows as sources in ``src_lang``."""
        self._mark("src_lang", src_lang)

    def set_tgt_lang_special_tokens(self, tgt_lang: str | None) -> None:
        """Mark rows as targets in ``tgt_lang``."""
        self._mark("tgt_lang", tgt_lang)

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """Prefix, text (or both texts without anything between them), suffix."""
        return [*self.prefix_tokens, *token_ids_0, *(token_ids_1 or []), *self.suffix_tokens]

    def create_token_type_ids_from_sequences(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """Zeros, as many as the row has tokens."""
        return [0] * len(self.build_inputs_with_special_tokens(token_ids_0, token_ids_1))

    def prepare_seq2seq_batch(  # type: ignore[override]  # the ecosystem's order of arguments
        self,
        src_texts: list[str],
        src_lang: str = "en_XX",
        tgt_texts: list[str] | None = None,
        tgt_lang: str = "ro_RO",
        **kwargs: Any,
    ) -> BatchEncoding:
        """As of every tokeniser; the languages stay set afterwards."""
        return super().prepare_seq2seq_batch(src_texts, tgt_texts, src_lang=src_lang, tgt_lang=tgt_lang, **kwargs)

    def _start_languages(self, src_lang: str | None, tgt_lang: str | None) -> None:
        """To be called at the end of ``__init__``."""
        self.lang_code_to_id = {code: self.convert_tokens_to_ids(code) for code in self.languages}
        self.src_lang = "en_XX" if src_lang is None else src_lang
        if tgt_lang is not None:
            self._language_id("tgt_lang", tgt_lang)
        self.tgt_lang = tgt_lang

    def _frame(self, language: int, eos: int) -> tuple[list[int], list[int]]:
        """Prefix and suffix of rows in a language, given by its id."""
        raise NotImplementedError

    def _build_translation_inputs(
        self, raw_inputs: Any, return_tensors: Any, src_lang: str | None, tgt_lang: str | None, **options: Any
    ) -> BatchEncoding:
        """Sources for ``generate``, with the language to begin with as ``forced_bos_token_id``."""
        if src_lang is None or tgt_lang is None:
            raise TokenizerError(
                f"translation needs both languages; src_lang is {src_lang!r} and tgt_lang is {tgt_lang!r}. Codes look "
                "like 'en_XX'."
            )
        target = self._language_id("tgt_lang", tgt_lang)
        self.src_lang = src_lang
        inputs = self(raw_inputs, return_tensors=return_tensors, **options)
        inputs["forced_bos_token_id"] = target
        return inputs

    def _switch_to_input_mode(self) -> None:
        self.set_src_lang_special_tokens(self.src_lang)

    def _switch_to_target_mode(self) -> None:
        self.set_tgt_lang_special_tokens(self.tgt_lang)

    def _mark(self, name: str, code: str | None) -> None:
        eos: Any = self.eos_token_id
        with self._lock:  # another thread may be encoding
            self.cur_lang_code = self._language_id(name, code)
            self.prefix_tokens, self.suffix_tokens = self._frame(self.cur_lang_code, eos)
            prefix, suffix = (self.convert_ids_to_tokens(ids) for ids in (self.prefix_tokens, self.suffix_tokens))
            ids = [*self.prefix_tokens, *self.suffix_tokens]
            self._tokenizer.post_processor = processors.TemplateProcessing(
                single=[*prefix, "$A", *suffix],
                pair=[*prefix, "$A", "$B", *suffix],
                special_tokens=list(zip([*prefix, *suffix], ids, strict=True)),
            )

    def _language_id(self, name: str, code: Any) -> int:
        """The id of a language.

        Raises:
            TokenizerError: there is none; the nearest known code is named.
        """
        known = [*self.languages, *self.additional_special_tokens]
        if isinstance(code, str) and code in known:
            return self.convert_tokens_to_ids(code)
        if code is None:
            raise TokenizerError(f"{name} is not set, so targets have no language. Set tokenizer.{name} = 'ro_RO'.")
        language = f"{str(code)[:2].lower()}_"  # 'fr' and 'fr_FR' mean 'fr_XX'
        near = [name for name in known if name.startswith(language)] or nearest(str(code), known, most=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise TokenizerError(f"unknown {name} {code!r}.{hint} Known: {', '.join(self.languages)}.")
