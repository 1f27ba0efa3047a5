"""mBART and mBART-50 (Liu et al., 2020; Tang et al., 2020): XLM-RoBERTa's Unigram, then a token for each language.

mBART writes ``A </s> en_XX``, mBART-50 ``en_XX A </s>``.
"""

from __future__ import annotations

import os
from typing import Any

from tokenizers import AddedToken

from bothways.tokenizers.base import PreTrainedTokenizerFast
from bothways.tokenizers.languages import LanguageRows
from bothways.tokenizers.plain import PlainTokenizer
from bothways.tokenizers.sentencepiece_model import BPE, UNIGRAM, SentencePieceModel
from bothways.tokenizers.special_tokens import ADDITIONAL, checked_token, checked_tokens
from bothways.tokenizers.unigram import SPACE, PlainUnigram, UnigramBase

_CODES = """
ar_AR cs_CZ de_DE en_XX es_XX et_EE fi_FI fr_XX gu_IN hi_IN it_IT ja_XX kk_KZ ko_KR lt_LT lv_LV my_MM ne_NP nl_XX ro_RO
ru_RU si_LK tr_TR vi_VN zh_CN
"""
_MORE_CODES = """
af_ZA az_AZ bn_IN fa_IR he_IL hr_HR id_ID ka_GE km_KH mk_MK ml_IN mn_MN mr_IN pl_PL ps_AF pt_XX sv_SE sw_KE ta_IN te_IN
th_TH tl_XX uk_UA ur_PK xh_ZA gl_ES sl_SI
"""
LANGUAGES = tuple(_CODES.split())
LANGUAGES_50 = tuple((_CODES + _MORE_CODES).split())


class MBartBase(LanguageRows, UnigramBase):
    """What both mBART classes share.

    Args:
        vocab_file: ``sentencepiece.bpe.model`` (Unigram in spite of its name).
        src_lang, tgt_lang: languages of sources (``en_XX`` if None) and of targets.
        additional_special_tokens: further ones beside the languages.
        kwargs: special tokens and the arguments of ``UnigramBase``.
    """

    vocab_files_names = {"vocab_file": "sentencepiece.bpe.model", "tokenizer_file": "tokenizer.json"}
    algorithms = (UNIGRAM, BPE)
    languages = LANGUAGES
    _special_defaults = {
        "bos_token": "<s>",
        "eos_token": "</s>",
        "sep_token": "</s>",
        "cls_token": "<s>",
        "unk_token": "<unk>",
        "pad_token": "<pad>",
        "mask_token": "<mask>",
    }

    def __init__(
        self,
        vocab_file: str | os.PathLike[str] | None = None,
        *,
        src_lang: str | None = None,
        tgt_lang: str | None = None,
        additional_special_tokens: list[Any] | None = None,
        **kwargs: Any,
    ) -> None:
        for name, token in self._special_defaults.items():
            kwargs[name] = token if kwargs.get(name) is None else checked_token(name, kwargs[name])
        if isinstance(kwargs["mask_token"], str):
            built = kwargs.get("tokenizer_file") is None and kwargs.get("tokenizer_object") is None
            kwargs["mask_token"] = self._mask(kwargs["mask_token"], built)
        extra = self._with_languages(checked_tokens(ADDITIONAL, additional_special_tokens))
        super().__init__(vocab_file, src_lang=src_lang, tgt_lang=tgt_lang, additional_special_tokens=extra, **kwargs)
        self._start_languages(src_lang, tgt_lang)

    def _frame(self, language: int, eos: int) -> tuple[list[int], list[int]]:
        return [], [eos, language]

    def _mask(self, token: str, built: bool) -> AddedToken:
        """It takes the space before it, like a word. The flags are the ecosystem's."""
        return AddedToken(token, lstrip=True, rstrip=False, normalized=built)

    def _with_languages(self, tokens: list[Any]) -> list[Any]:
        return [*self.languages, *(token for token in tokens if str(token) not in self.languages)]

    def _vocabulary(self, model: SentencePieceModel) -> tuple[list[tuple[str, float]], int]:
        head = [(token, 0.0) for token in ("<s>", "<pad>", "</s>", "<unk>")]
        pieces = [(piece.text, piece.score) for piece in model.pieces[3:]]
        return [*head, *pieces, *((token, 0.0) for token in (*self.languages, "<mask>"))], 3

    def _rows(self) -> Any:
        return self._tokenizer.post_processor  # set with the language


class MBartTokenizer(PlainTokenizer, MBartBase):
    """mBART's tokeniser as the ecosystem's plain class."""

    def _mask(self, token: str, built: bool) -> AddedToken:
        return AddedToken(token, lstrip=True, normalized=False)

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        return "".join(tokens).replace(SPACE, " ").strip()


class MBartTokenizerFast(MBartBase, PreTrainedTokenizerFast):
    """mBART's tokeniser as the ecosystem's fast class."""

    def __init__(
        self,
        vocab_file: str | os.PathLike[str] | None = None,
        tokenizer_file: str | os.PathLike[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(vocab_file, tokenizer_file=tokenizer_file, **kwargs)


class MBart50Base(MBartBase):
    """What both mBART-50 classes share: as ``MBartBase``, with 52 languages, whose code comes first in a row."""

    languages = LANGUAGES_50
    _special_defaults = {name: token for name, token in MBartBase._special_defaults.items() if name != "bos_token"}

    def _frame(self, language: int, eos: int) -> tuple[list[int], list[int]]:
        return [language], [eos]

    def _with_languages(self, tokens: list[Any]) -> list[Any]:
        names = [str(token) for token in tokens]
        return [*tokens, *(code for code in self.languages if code not in names)]


class MBart50Tokenizer(PlainUnigram, MBart50Base):
    """mBART-50's tokeniser as the ecosystem's plain class."""


class MBart50TokenizerFast(MBart50Base, PreTrainedTokenizerFast):
    """mBART-50's tokeniser as the ecosystem's fast class."""

    def __init__(
        self,
        vocab_file: str | os.PathLike[str] | None = None,
        src_lang: str | None = None,
        tgt_lang: str | None = None,
        tokenizer_file: str | os.PathLike[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(vocab_file, src_lang=src_lang, tgt_lang=tgt_lang, tokenizer_file=tokenizer_file, **kwargs)
