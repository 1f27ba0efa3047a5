"""BART (Lewis et al., 2020): RoBERTa's tokeniser; only the mask is looked for after normalisation."""

from __future__ import annotations

from tokenizers import AddedToken

from bothways.tokenizers.roberta import RobertaTokenizer, RobertaTokenizerFast


class BartTokenizer(RobertaTokenizer):
    """BART's tokeniser as the ecosystem's plain class."""

    def _mask(self, token: str) -> AddedToken:
        return AddedToken(token, lstrip=True, rstrip=False, normalized=True)


class BartTokenizerFast(RobertaTokenizerFast):
    """BART's tokeniser as the ecosystem's fast class."""

    def _mask(self, token: str) -> AddedToken:
        return AddedToken(token, lstrip=True, rstrip=False, normalized=True, special=True)
