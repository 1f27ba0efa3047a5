"""What pretraining asks of a model, as pure functions: text in, questions and answers out.

All randomness comes from a generator that is an argument. No model, no device, no files.
"""

from bothways.objectives.causal_lm import next_token_labels
from bothways.objectives.masked_lm import continuation_table, falling_rate, mask_tokens, words_of
from bothways.objectives.replaced_tokens import replace_tokens
from bothways.objectives.sentence_pairs import SentencePairs, next_sentence_pairs, sentence_order_pairs
from bothways.objectives.span_corruption import corrupt_spans, corrupted_lengths, spans_input_length

__all__ = [
    "SentencePairs",
    "continuation_table",
    "corrupt_spans",
    "corrupted_lengths",
    "falling_rate",
    "mask_tokens",
    "next_sentence_pairs",
    "next_token_labels",
    "replace_tokens",
    "sentence_order_pairs",
    "spans_input_length",
    "words_of",
]
