"""The public classes of Marian."""

from __future__ import annotations

from typing import Any

from torch import nn

from bothways.errors import InputError
from bothways.families.marian import MARIAN
from bothways.models.base import PreTrainedModel
from bothways.models.biased_seq2seq import BiasedSeq2SeqLMModel
from bothways.models.seq2seq_models import Seq2SeqModel
from bothways.models.vocabulary import resized
from bothways.nn.embeddings import with_rows


class MarianPreTrainedModel(PreTrainedModel):
    """Base of models that people build around ``MarianModel``; call ``post_init()`` last in ``__init__``."""

    family = MARIAN


class MarianModel(Seq2SeqModel):
    """Marian's body: a source and a target in, a vector for every token of the target out."""

    family = MARIAN
    scales_given_targets = True

    def get_decoder_input_embeddings(self) -> nn.Embedding:
        """The words of the target, where they are not those of the source.

        Raises:
            InputError: both sides share their words.
        """
        if self.config.share_encoder_decoder_embeddings:
            raise InputError(
                "share_encoder_decoder_embeddings is True: both sides have the words of get_input_embeddings(), which "
                "resize_token_embeddings() resizes."
            )
        return self.decoder_embeddings.word_embeddings

    def resize_token_embeddings(self, *args: Any, **kwargs: Any) -> nn.Embedding:
        """Resize the words of the source, or of both sides where they share them."""
        embeddings = super().resize_token_embeddings(*args, **kwargs)
        if self.config.share_encoder_decoder_embeddings:
            self.config.decoder_vocab_size = self.config.vocab_size
        return embeddings

    def resize_decoder_token_embeddings(self, new_num_tokens: int) -> nn.Embedding:
        """Resize the words of the target, where they are not those of the source."""
        old = self.get_decoder_input_embeddings()
        padding = old.padding_idx if old.padding_idx is None or old.padding_idx < new_num_tokens else None
        weight = resized(old.weight, new_num_tokens, self.config.initializer_range, around_mean=True)
        self.decoder_embeddings.word_embeddings = with_rows(old, weight, padding)
        self.config.decoder_vocab_size = new_num_tokens
        return self.get_decoder_input_embeddings()


class MarianMTModel(BiasedSeq2SeqLMModel):
    """Marian that translates."""

    family = MARIAN
    base_class = MarianModel

    def tied_embeddings(self) -> nn.Embedding:
        return self.base_model.target_embeddings.word_embeddings

    def resize_token_embeddings(self, *args: Any, **kwargs: Any) -> nn.Embedding:
        """Resize the words of the source; where both sides share them, those that are written too."""
        if not self.config.share_encoder_decoder_embeddings:
            return self.base_model.resize_token_embeddings(*args, **kwargs)
        embeddings = super().resize_token_embeddings(*args, **kwargs)
        self.config.decoder_vocab_size = self.config.vocab_size
        return embeddings

    def resize_decoder_token_embeddings(self, new_num_tokens: int) -> nn.Embedding:
        """Resize the words of the target and their scores, where they are not those of the source."""
        self.base_model.resize_decoder_token_embeddings(new_num_tokens)
        if not self.config.tie_word_embeddings:
            spread = self.config.initializer_range
            self.lm_head.weight = resized(self.lm_head.weight, new_num_tokens, spread, around_mean=True)
        self.lm_head.out_features = new_num_tokens
        self.tie_weights()
        self._resize_bias(new_num_tokens)
        return self.base_model.get_decoder_input_embeddings()
