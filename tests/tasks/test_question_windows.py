"""Questions and contexts as rows: what the tokeniser gives for pairs, whole contexts, answers where they stand."""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bothways.data import QuestionExample, load_questions
from bothways.errors import InputError
from bothways.tasks import question_windows
from bothways.tasks.question_answering import training_features
from bothways.tasks.question_windows import QuestionEncoder, encode_contexts
from bothways.tokenizers import BertTokenizerFast, PreTrainedTokenizerFast

WORDS = ["red", "blue", "tree", "house", "river", "##s", "##ing", "un", "##known", "un", ",", ".", "!", "-", "1", "##8"]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    path = tmp_path_factory.mktemp("vocab") / "vocab.txt"
    path.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys(WORDS)]) + "\n")
    return BertTokenizerFast(vocab_file=str(path))


@pytest.fixture(scope="module")
def byte_level():
    """A byte-level tokeniser with RoBERTa's four special tokens; its tokens know the space before them."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

    engine = Tokenizer(models.BPE())
    engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    engine.train_from_iterator(["red trees and blue houses by the river"] * 3, trainer)
    engine.post_processor = processors.RobertaProcessing(("</s>", 1), ("<s>", 0), trim_offsets=False)
    return PreTrainedTokenizerFast(
        tokenizer_object=engine, cls_token="<s>", sep_token="</s>", model_input_names=["input_ids", "attention_mask"]
    )


TEXTS = ["Red trees, blue houses.", "un-known  RIVER!", "é", "红 tree\n\n18", "x" * 120, "[SEP] red", "a\u0301 b"]


@pytest.mark.parametrize("kind", ["tokenizer", "byte_level"])
def test_short_rows_are_the_tokenisers_own(kind, request):
    tokenizer = request.getfixturevalue(kind)
    pairs = [(question, context) for question in TEXTS for context in TEXTS]
    encoded = QuestionEncoder(tokenizer).encode([q for q, _ in pairs], [c for _, c in pairs])
    expected = tokenizer.encode_texts(pairs, offsets=True)
    assert [ids.tolist() for ids in encoded.input_ids] == [e.ids for e in expected]
    assert encoded.n_tokens == [len(e) for e in expected]
    assert encoded.n_windows == [1] * len(pairs)
    if kind == "tokenizer":
        assert [t.tolist() for t in encoded.token_type_ids] == [e.type_ids for e in expected]
    else:
        assert encoded.token_type_ids is None
    for at, context, (_, text), row in zip(encoded.context_at, encoded.contexts, pairs, expected, strict=True):
        stop = int(at) + len(context)
        assert row.sequence_ids[at:stop] == [1] * len(context)
        assert (context.words == row.word_ids[at:stop]).all()
        for (start, end), a, b in zip(row.offsets[at:stop], context.starts, context.ends, strict=True):
            assert text[a:b] == text[start:end].strip()


@settings(max_examples=50, deadline=None)
@given(
    n=st.integers(0, 200),
    asked=st.integers(0, 30),
    length=st.integers(8, 60),
    overlap=st.integers(0, 40),
    most=st.none() | st.integers(1, 10),
)
def test_windows_hold_the_whole_context(tokenizer, n, asked, length, overlap, most):
    generator = random.Random(n)
    question = " ".join(["red"] * asked)
    context = " ".join(generator.choices(["tree", "houses", "blue", "18"], k=n))
    encoder = QuestionEncoder(tokenizer, max_length=length, overlap=overlap, max_question=most)
    encoded = encoder.encode([question], [context])
    tokens = encoded.contexts[0]
    covered = np.zeros(len(tokens), dtype=int)
    for ids, types, (start, stop), at in zip(
        encoded.input_ids, encoded.token_type_ids, encoded.spans, encoded.context_at, strict=True
    ):
        assert len(ids) == len(types) <= length
        assert ids[at : at + stop - start].tolist() == tokens.ids[start:stop].tolist()
        assert types.tolist() == [0] * at + [1] * (len(ids) - at)
        assert len(ids) - at - (stop - start) == 1
        covered[start:stop] += 1
    assert (covered > 0).all()
    kept = int(encoded.context_at[0]) - 2
    room = length - 3
    whole = min(asked, most or asked)
    assert kept == (whole if whole + len(tokens) <= room else min(whole, max(room // 2, room - len(tokens))))
    assert encoded.truncated == [kept < asked]
    if encoded.n_windows[0] > 1:
        sizes = np.diff(encoded.spans, axis=1)
        assert (sizes == sizes[0]).all()
        shared = encoded.spans[:-1, 1] - encoded.spans[1:, 0]
        assert shared.min() >= min(overlap, (room - kept) // 2)


def test_long_rows_can_be_cut_or_refused(tokenizer):
    context = " ".join(["tree"] * 50)
    cut = QuestionEncoder(tokenizer, max_length=20, long_input="truncate").encode(["red"], [context])
    assert (cut.n_windows, cut.truncated, cut.n_tokens) == ([1], [True], [54])
    assert cut.spans.tolist() == [[0, 16]]
    with pytest.raises(InputError, match="input 7 has 54 tokens, but the limit is 20"):
        QuestionEncoder(tokenizer, max_length=20, long_input="error").encode(["red"], [context], first=7)
    with pytest.raises(InputError, match="long_input is 'cut'; expected one of 'window'"):
        QuestionEncoder(tokenizer, long_input="cut")
    with pytest.raises(InputError, match="max_length=4 leaves no room: 3 special tokens .* need 5"):
        QuestionEncoder(tokenizer, max_length=4)
    unlimited = QuestionEncoder(tokenizer, max_length=None).encode(["red"], [context])
    assert unlimited.n_windows == [1]


def test_remembered_contexts_are_bounded(tokenizer, monkeypatch):
    monkeypatch.setattr(question_windows, "CACHED_TOKENS", 10)
    encoder = QuestionEncoder(tokenizer)
    contexts = [" ".join(["tree"] * n) for n in (4, 5, 6, 30)]
    encoded = encoder.encode(["red"] * 8, contexts * 2)
    assert [len(c) for c in encoded.contexts] == [4, 5, 6, 30] * 2
    assert list(encoder._contexts) == [contexts[3]]


def test_a_stream_of_short_contexts_is_forgotten_too(tokenizer, monkeypatch):
    """A context without tokens takes memory as well: of 500 those are remembered that fit, at 64 tokens each."""
    monkeypatch.setattr(question_windows, "CACHED_TOKENS", 640)
    encoder = QuestionEncoder(tokenizer)
    for chunk in range(5):
        encoder.encode(["red"] * 100, [" " * (100 * chunk + i + 1) for i in range(100)])
        assert len(encoder._contexts) == 10
    assert list(encoder._contexts)[-1] == " " * 500


def test_nothing_but_contexts_stays_of_a_long_stream(tokenizer):
    encoder = QuestionEncoder(tokenizer, max_length=10, overlap=2)
    for n in range(10, 60):
        encoder.encode(["red", "blue tree"], [" ".join(["tree"] * n)] * 2)
        assert len(encoder._divisions) == 2


def test_white_space_belongs_to_no_answer(byte_level):
    text = "red  trees \n by\u3000the river "
    tokens = encode_contexts(byte_level, [text])[0]
    pieces = [text[a:b] for a, b in zip(tokens.starts, tokens.ends, strict=True)]
    assert all(piece == piece.strip() for piece in pieces)
    assert "".join(pieces) == "".join(text.split())
    assert tokens.tokens_of(1, 2) == (pieces.index("red"), pieces.index("red"))
    assert tokens.tokens_of(3, 4) is None or pieces[tokens.tokens_of(3, 4)[0]] == ""


def answered(question, context, answer, start=None, row=1):
    start = context.index(answer) if start is None else start
    return QuestionExample(str(row), question, context, ((start, answer),), False, row)


def test_positions_of_answers(tokenizer):
    examples = [
        answered("red?", "blue trees , un-known", "trees"),
        answered("red?", "blue trees , un-known", " un-known"),  # white space is no part of it
        QuestionExample("3", "red", "blue tree", (), True, 3),
        answered("red", "blue tree", "zebra", start=-1),  # not in the context: left out
        QuestionExample("5", "red", "blue tree", ((-1, "zebra"), (5, "tree")), False, 5),
        answered("red", "blue \u200b tree", "\u200b"),  # a character without a token: left out
    ]
    features = training_features(tokenizer, examples, show=False)
    tokens = [tokenizer.convert_ids_to_tokens(ids.tolist()) for ids in features.input_ids]
    found = [" ".join(row[a : b + 1]) for row, (a, b) in zip(tokens, features.positions.tolist(), strict=True)]
    assert found == ["tree ##s", "un - [UNK]", "[CLS]", "tree"]
    assert features.owner.tolist() == [0, 1, 2, 4]
    assert features.n_unaligned == 2
    assert features.positions.dtype == features.owner.dtype == np.int64
    assert features.input_ids[0].dtype == np.int32 and features.token_type_ids[0].dtype == np.int8


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), length=st.integers(10, 40), overlap=st.integers(0, 12))
@pytest.mark.parametrize("kind", ["tokenizer", "byte_level"])
def test_windows_with_the_answer_point_at_it(kind, request, seed, length, overlap):
    tokenizer = request.getfixturevalue(kind)
    generator = random.Random(seed)
    words = generator.choices(["red", "trees", "blue", "house", "river,", "18", "river", "un", "tree"], k=40)
    context = "  ".join(words)
    first = generator.randrange(40)
    last = min(39, first + generator.randrange(3))
    start = sum(len(w) + 2 for w in words[:first])
    answer = "  ".join(words[first : last + 1])
    features = training_features(tokenizer, [answered("red", context, answer, start)], length, overlap, show=False)
    encoder = QuestionEncoder(tokenizer, max_length=length, overlap=overlap)
    encoded = encoder.encode(["red"], [context])
    tokens = encoded.contexts[0]
    assert features.owner.tolist() == [0] * len(encoded.input_ids)
    for (a, b), (begin, stop), at in zip(features.positions, encoded.spans, encoded.context_at, strict=True):
        inside = tokens.starts[begin] <= start and tokens.ends[stop - 1] >= start + len(answer)
        assert (a > 0) == (b > 0) == inside
        if inside:
            token = begin + a - at, begin + b - at
            assert (tokens.starts[token[0]], tokens.ends[token[1]]) == (start, start + len(answer))


@pytest.mark.data
@pytest.mark.skipif("BOTHWAYS_DATA" not in os.environ, reason="needs BOTHWAYS_DATA")
def test_published_answers_are_aligned(tokenizer):
    examples = load_questions(Path(os.environ["BOTHWAYS_DATA"]) / "squad/dev-v1.1-part.json.gz").examples[:1500]
    features = training_features(tokenizer, examples, show=False)
    assert features.n_unaligned == 0
    holding = features.positions[:, 0] > 0
    assert set(features.owner[holding].tolist()) == set(range(1500))
