"""Marian (Junczys-Dowmunt et al., 2018): two SentencePiece models, one for each language, and ids from ``vocab.json``.

A text is cut by the SentencePiece model of its side, and the pieces are then looked up. So a run of characters that the
model does not know is one piece, which the vocabulary may know all the same (from the other language). Models for
several target languages read ``>>fr<<`` at the beginning of a text as a token of its own.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Encoding, Tokenizer, models, processors

from bothways.errors import TokenizerError
from bothways.files import replacing, write_text
from bothways.tokenizers.batch_encoding import BatchEncoding
from bothways.tokenizers.bpe import read_vocab_json
from bothways.tokenizers.engine import guarded
from bothways.tokenizers.eos_rows import EosRows
from bothways.tokenizers.inputs import explain_refusal, is_pair
from bothways.tokenizers.options import CallOptions, Limits
from bothways.tokenizers.plain import PlainTokenizer
from bothways.tokenizers.sentencepiece_encoder import read_encoder
from bothways.tokenizers.special_tokens import checked_token
from bothways.tokenizers.unigram import SPACE


class MarianTokenizer(PlainTokenizer, EosRows):
    """Marian's tokeniser; the ecosystem has only this plain class. Rows are ``A </s>``; there are no offsets.

    Args:
        source_spm, target_spm: ``source.spm`` and ``target.spm``.
        vocab: ``vocab.json``, pieces of both languages with their ids.
        target_vocab_file: ``target_vocab.json``, with ``separate_vocabs``.
        source_lang, target_lang: names of the languages, only kept.
        separate_vocabs: ids of targets are those of ``target_vocab_file``.
        kwargs: special tokens and the arguments of ``PreTrainedTokenizerBase``.
    """

    vocab_files_names = {
        "source_spm": "source.spm",
        "target_spm": "target.spm",
        "vocab": "vocab.json",
        "target_vocab_file": "target_vocab.json",
    }
    optional_files = ("target_vocab_file",)
    model_input_names = ["input_ids", "attention_mask"]

    def __init__(
        self,
        source_spm: str | os.PathLike[str],
        target_spm: str | os.PathLike[str],
        vocab: str | os.PathLike[str],
        target_vocab_file: str | os.PathLike[str] | None = None,
        *,
        source_lang: str | None = None,
        target_lang: str | None = None,
        model_max_length: Any = 512,
        separate_vocabs: bool = False,
        **kwargs: Any,
    ) -> None:
        for name, token in (("unk_token", "<unk>"), ("eos_token", "</s>"), ("pad_token", "<pad>")):
            kwargs[name] = token if kwargs.get(name) is None else checked_token(name, kwargs[name])
        self.spm_files = [str(source_spm), str(target_spm)]
        self.source_lang, self.target_lang = source_lang, target_lang
        self.separate_vocabs = bool(separate_vocabs)
        self._encoders = [read_encoder(path) for path in self.spm_files]
        self._side = 0
        files = [vocab, vocab]
        if self.separate_vocabs:
            if target_vocab_file is None:
                raise TokenizerError("separate_vocabs=True needs a target_vocab_file (target_vocab.json).")
            files = [vocab, target_vocab_file]
        self._vocabularies = [read_vocab_json(path) for path in files]
        names = {name: str(kwargs[name]) for name in ("unk_token", "eos_token", "pad_token")}
        self._engines = [_engine(v, names, path) for v, path in zip(self._vocabularies, files, strict=True)]
        super().__init__(
            tokenizer_object=self._engines[0],
            copy_engine=False,
            source_lang=source_lang,
            target_lang=target_lang,
            model_max_length=model_max_length,
            separate_vocabs=self.separate_vocabs,
            **{"sp_model_kwargs": {}, **kwargs},
        )

    @property
    def supported_language_codes(self) -> list[str]:
        """The languages that a text can be marked with: ``>>fr<<``."""
        return [] if self.separate_vocabs else [token for token in self._vocabularies[0] if _CODE.fullmatch(token)]

    def tokenize(
        self, text: str, pair: str | None = None, add_special_tokens: bool = False, **options: Any
    ) -> list[str]:
        """The pieces of a text, also those that the vocabulary lacks."""
        if pair is None and not add_special_tokens and isinstance(text, str):
            with self._lock:
                return self._cut_rows([text], False, [] if self.split_special_tokens else self._added())[0]
        return self.convert_ids_to_tokens(self.encode(text, pair, add_special_tokens, **options))

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        """Join pieces; a special token gets a space behind it, and where a text begins, a known piece loses its own."""
        special, known = set(self.all_special_tokens), self._encoders[1].known
        text, at_start = "", True
        for token in tokens:
            if token in special:
                text, at_start = f"{text}{token} ", True
                continue
            piece = token.lstrip(SPACE) if at_start and token in known else token
            text, at_start = text + piece.replace(SPACE, " "), at_start and not piece
        return text.strip()

    def get_src_vocab(self) -> dict[str, int]:
        """The vocabulary of sources, added tokens included."""
        return {**self._vocabularies[0], **self.added_tokens_encoder}

    def get_tgt_vocab(self) -> dict[str, int]:
        """The vocabulary of targets, added tokens included."""
        return {**self._vocabularies[1], **self.added_tokens_encoder}

    def add_tokens(self, new_tokens: Any, special_tokens: bool = False) -> int:
        """As of every tokeniser; with ``separate_vocabs`` only tokens that both vocabularies have."""
        if not self.separate_vocabs:
            return super().add_tokens(new_tokens, special_tokens)
        listed = [new_tokens] if isinstance(new_tokens, (str, AddedToken)) else list(new_tokens or [])
        if new := [str(t) for t in listed if any(str(t) not in vocab for vocab in self._vocabularies)]:
            raise TokenizerError(
                f"{new[:5]} cannot be added: with separate_vocabs they would need one id in two vocabularies of "
                f"{len(self._vocabularies[0]):,} and {len(self._vocabularies[1]):,} entries."
            )
        with self._lock:
            for engine in self._engines:
                self._tokenizer = engine
                super().add_tokens(listed, special_tokens)
            self._tokenizer = self._engines[self._side]
        return 0

    def save_pretrained(
        self,
        save_directory: str | os.PathLike[str],
        legacy_format: bool | None = None,
        filename_prefix: str | None = None,
        push_to_hub: bool = False,
        **kwargs: Any,
    ) -> tuple[str, ...]:
        """As of every tokeniser, without ``tokenizer.json``, which cannot say what a Marian tokeniser does."""
        if legacy_format is False:
            raise TokenizerError("a Marian tokeniser has no tokenizer.json. Leave legacy_format out.")
        return super().save_pretrained(save_directory, True, filename_prefix, push_to_hub, **kwargs)

    def save_vocabulary(
        self, save_directory: str | os.PathLike[str], filename_prefix: str | None = None
    ) -> tuple[str, ...]:
        """Write ``vocab.json``, ``source.spm``, ``target.spm`` and, if there is one, ``target_vocab.json``."""
        prefix = f"{filename_prefix}-" if filename_prefix else ""
        kinds = ["vocab", "target_vocab_file"] if self.separate_vocabs else ["vocab"]
        written = []
        for kind, vocab in zip(kinds, self._vocabularies, strict=False):
            path = Path(save_directory) / f"{prefix}{self.vocab_files_names[kind]}"
            write_text(path, json.dumps(vocab, indent=2))
            written.append(path)
        for kind, encoder in zip(("source_spm", "target_spm"), self._encoders, strict=True):
            path = Path(save_directory) / f"{prefix}{self.vocab_files_names[kind]}"
            with replacing(path) as temporary:
                temporary.write_bytes(encoder.content)
            written.append(path)
        return tuple(map(str, written))

    def _switch_to_input_mode(self) -> None:
        self._switch(0)

    def _switch_to_target_mode(self) -> None:
        self._switch(1)

    def _switch(self, side: int) -> None:
        if side != self._side:
            with self._lock:  # another thread may be encoding
                self._side = side
                if self.separate_vocabs:
                    self._tokenizer = self._engines[side]

    def encode_texts(self, texts: Any, pairs: Any = None, *, offsets: bool = False, **options: Any) -> list[Encoding]:
        """As of every tokeniser, but ``offsets=True`` is refused."""
        _check_offsets(offsets)
        return super().encode_texts(texts, pairs, **options)

    def _encode_rows(self, rows: list[Any], options: CallOptions, *, batched: bool) -> BatchEncoding:
        _check_offsets(options.return_offsets_mapping)
        encoded = super()._encode_rows(rows, options, batched=batched)
        return BatchEncoding(encoded.data, n_sequences=encoded.n_sequences)  # places in pieces are none in the text

    def _returned(self, options: CallOptions) -> dict[str, Callable[[Encoding], Any]]:
        read = super()._returned(options)
        if "special_tokens_mask" in read:
            read["special_tokens_mask"] = lambda e: self.get_special_tokens_mask(e.ids, already_has_special_tokens=True)
        return read

    def _run_engine(
        self,
        rows: list[Any],
        limits: Limits,
        add_special_tokens: bool,
        words: bool,
        *,
        split_special: bool | None = None,
        offsets: bool = False,
    ) -> list[Encoding]:
        added = [] if (self.split_special_tokens if split_special is None else split_special) else self._added()
        with self._lock:
            cut = self._cut_rows(rows, words, added)
            return super()._run_engine(cut, limits, add_special_tokens, True, split_special=False, offsets=False)

    def _token_counts(self, texts: list[Any], words: bool) -> list[int]:
        return list(map(len, texts))  # they are pieces already

    def _cut_rows(self, rows: list[Any], words: bool, added: list[AddedToken]) -> list[Any]:
        try:
            return [
                tuple(self._cut(part, words, added) for part in row)
                if is_pair(row, words)
                else self._cut(row, words, added)
                for row in rows
            ]
        except (TypeError, UnicodeEncodeError):
            raise explain_refusal(rows, words) from None

    def _cut(self, text: Any, words: bool, added: list[AddedToken]) -> list[str]:
        """Pieces of a text, or of words one after the other."""
        parts = text if words else [text]
        if isinstance(parts, str) or not all(isinstance(part, str) for part in parts):
            raise TypeError
        return [piece for part in parts for piece in self._pieces(part, added)]

    def _pieces(self, text: str, added: list[AddedToken]) -> list[str]:
        """Pieces of a text, in which added tokens are found first."""
        flags = {token.content: token for token in added}
        names = sorted(flags, key=len, reverse=True)
        parts = re.split(f"({'|'.join(map(re.escape, names))})", text) if names else [text]
        for place in range(1, len(parts), 2):
            token = flags[parts[place]]
            parts[place - 1] = parts[place - 1].rstrip() if token.lstrip else parts[place - 1]
            parts[place + 1] = parts[place + 1].lstrip() if token.rstrip else parts[place + 1]
        pieces: list[str] = []
        for place, part in enumerate(parts):
            pieces += [part] if place % 2 else self._with_code(part)
        return pieces

    def _with_code(self, text: str) -> list[str]:
        end = text.find("<<") + 2 if text.startswith(">>") and "<<" in text else 0
        code = [text[:end]] if end else []
        return [*code, *self._encoders[self._side].pieces(text[end:])]

    def _added(self) -> list[AddedToken]:
        return list(self.added_tokens_decoder.values())

    def _token(self, index: int) -> str | None:
        return self._engines[1].id_to_token(index) if self.separate_vocabs else super()._token(index)


_CODE = re.compile(">>.*<<", re.DOTALL)


def _engine(vocab: dict[str, int], special: dict[str, str], path: str | os.PathLike[str]) -> Tokenizer:
    """Looks pieces up."""
    for name in ("unk_token", "pad_token", "eos_token"):
        if special[name] not in vocab:
            raise TokenizerError(
                f"{path} has no {special[name]!r} among its {len(vocab):,} entries, but that is the {name}. "
                f"Pass the right {name}."
            )
    with guarded(f"{path} cannot be used"):
        engine = Tokenizer(models.WordLevel(vocab, unk_token=special["unk_token"]))
        eos = special["eos_token"]
        engine.post_processor = processors.TemplateProcessing(
            single=["$A", eos], pair=["$A", "$B", eos], special_tokens=[(eos, vocab[eos])]
        )
    return engine


def _check_offsets(asked: bool) -> None:
    if asked:
        raise TokenizerError(
            "MarianTokenizer has no offsets: its pieces are made of normalised text. Leave return_offsets_mapping out."
        )
