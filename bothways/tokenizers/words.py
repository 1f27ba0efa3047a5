"""What ``word_ids`` and offsets mean for each kind of tokeniser, and the helper that makes offsets fit for answers.

``word_ids`` count the pieces into which the pre-tokeniser splits a text before the vocabulary is looked at. No token
reaches over two pieces, so a change of the word id is always a boundary; what lies between two boundaries differs:

=========================  ===============================================  =================================
kind                       ``"It's late, isn't it"`` has the words          white space
=========================  ===============================================  =================================
WordPiece (BERT)           ``It ' s late , isn ' t it``                     in no word
byte-level BPE (RoBERTa,   ``It 's Ġlate , Ġisn 't Ġit``                    one space opens the word behind it;
ModernBERT)                                                                 the rest of a run is a word itself
Unigram (ALBERT,           ``▁It's ▁late, ▁isn't ▁it``                      one space opens the word behind it
XLM-RoBERTa, CamemBERT)
``is_split_into_words``    the caller's words, for every kind               the caller's
=========================  ===============================================  =================================

So punctuation is a word of its own in WordPiece and byte-level BPE and belongs to its neighbour in Unigram. In each
kind, all tokens between two runs of white space are consecutive, and a token never covers characters of two words that
white space separates. Special tokens that the tokeniser adds have no word (None); tokens that the user wrote as
``[MASK]`` and the like are words. In a pair both texts count from 0.

Offsets are characters of the text that came in, as in the reference library: a Unigram token includes the space that
opens its word (``▁late`` of ``"It's late"`` is (4, 9)), and so does a byte-level token when ``trim_offsets`` is off.
``trimmed`` gives the characters without white space.
"""

from __future__ import annotations


def trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """The part of ``text[start:end]`` that is neither led nor followed by white space.

    Example: ``trimmed("It's late", 4, 9)`` is ``(5, 9)``. A span of white space alone becomes empty, at its end.
    """
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end
