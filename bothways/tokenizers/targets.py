"""Texts to write beside texts to read: ``text_target`` and its older forms.

A family whose targets differ from its sources (other languages, another SentencePiece model) overrides the two
``_switch_to_*`` methods; for all others both modes are the same.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bothways.errors import TokenizerError
from bothways.tokenizers.batch_encoding import BatchEncoding


class Targets:
    """Mixin: source mode, target mode and what is built upon them. Needs ``_lock`` and a call."""

    _lock: threading.RLock
    _in_target_context_manager = False
    model_max_length: int

    @contextmanager
    def as_target_tokenizer(self) -> Iterator[None]:
        """Encode as targets in this block. The newer form is the argument ``text_target`` of a call.

        The mode belongs to the tokeniser, so other threads see it too.
        """
        with self._lock:
            self._switch_to_target_mode()
            self._in_target_context_manager = True
        try:
            yield
        finally:
            with self._lock:
                self._in_target_context_manager = False
                self._switch_to_input_mode()

    def prepare_seq2seq_batch(
        self: Any,
        src_texts: list[str],
        tgt_texts: list[str] | None = None,
        max_length: int | None = None,
        max_target_length: int | None = None,
        padding: Any = "longest",
        return_tensors: Any = None,
        truncation: Any = True,
        **kwargs: Any,
    ) -> BatchEncoding:
        """Sources and their targets as one batch, the targets as ``labels``; both are truncated.

        Args:
            src_texts, tgt_texts: paired one to one.
            max_length, max_target_length: in tokens; None stands for ``model_max_length``, and for ``max_length``.
            kwargs: further options of a call; ``src_lang`` and ``tgt_lang`` count where a tokeniser has them.
        """
        for name in ("src_lang", "tgt_lang"):
            language = kwargs.pop(name, None)
            if language is not None and hasattr(self, name):
                setattr(self, name, language)
        limit = self.model_max_length if max_length is None else max_length
        options = {"padding": padding, "return_tensors": return_tensors, "truncation": truncation, **kwargs}
        batch = self(src_texts, max_length=limit, **options)
        if tgt_texts is not None:
            target_limit = limit if max_target_length is None else max_target_length
            batch["labels"] = self(text_target=tgt_texts, max_length=target_limit, **options)["input_ids"]
        return batch

    def apply_chat_template(self, *args: Any, **kwargs: Any) -> Any:
        """Not supported: chat templates are programs, and nothing that comes with a model is executed here."""
        raise TokenizerError(
            "apply_chat_template is not supported: a chat template is a program that comes with the model, and "
            "Bothways executes none. Write the conversation as one text, with the marks that the model expects."
        )

    def _switch_to_input_mode(self) -> None:
        """From here on texts are sources."""

    def _switch_to_target_mode(self) -> None:
        """From here on texts are targets."""

    @contextmanager
    def _as_targets(self) -> Iterator[None]:
        """Target mode for one call; other threads wait until it is over."""
        with self._lock:
            self._switch_to_target_mode()
            try:
                yield
            finally:
                if not self._in_target_context_manager:
                    self._switch_to_input_mode()
