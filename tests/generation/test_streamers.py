"""Text while it is written: the pieces together are the whole text, in every script, from every kind of tokeniser."""

from __future__ import annotations

import asyncio
import random
import threading
from queue import Empty
from typing import Any

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from bothways.errors import InputError
from bothways.generation.streamers import AsyncTextIteratorStreamer, BaseStreamer, TextIteratorStreamer, TextStreamer
from tests.generation import tiny_tokenizers

LONG = " ".join(tiny_tokenizers.TEXTS) + "\n" + "\n".join(tiny_tokenizers.TEXTS) + "\n\nend"


def pieces(streamer: Any, ids: list[int], prompt: int = 0) -> list[str]:
    """What a streamer says of these tokens, the first ``prompt`` of which come at once."""
    said: list[str] = []
    streamer.on_finalized_text = lambda text, stream_end=False: said.append(text)
    if prompt:
        streamer.put(torch.tensor([ids[:prompt]]))
    for token in ids[prompt:]:
        streamer.put(torch.tensor([token]))
    streamer.end()
    return said


def _ids(tokenizer: Any, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize("kind", tiny_tokenizers.ALL)
def test_the_pieces_are_the_whole_text(kind: str) -> None:
    tokenizer = tiny_tokenizers.ALL[kind]()
    for text in (*tiny_tokenizers.TEXTS, LONG, "", "\n", "a\n\n\n b\n"):
        ids = _ids(tokenizer, text)
        assert "".join(pieces(TextStreamer(tokenizer), ids)) == tokenizer.decode(ids)
        skipped = pieces(TextStreamer(tokenizer, skip_prompt=True), ids, prompt=min(3, len(ids)))
        assert "".join(skipped) == tokenizer.decode(ids[3:])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(0, 330), max_size=60), st.sampled_from(["byte_level", "byte_fallback", "unigram"]))
def test_the_pieces_of_any_tokens_are_their_text(ids: list[int], kind: str) -> None:
    tokenizer = tiny_tokenizers.ALL[kind]()
    ids = [token % len(tokenizer) for token in ids]
    text = tokenizer.decode(ids)
    said = pieces(TextStreamer(tokenizer), ids)
    assert said[-1] == "" or text.endswith(said[-1])
    if kind != "byte_fallback":  # there a byte too much turns the characters before it into marks, after they were said
        assert "".join(said) == text


def test_pieces_where_the_reference_divides_words_are_the_same() -> None:
    tokenizer = tiny_tokenizers.byte_level()
    for text in (tiny_tokenizers.TEXTS[0], tiny_tokenizers.TEXTS[3], "one two"):
        ids = _ids(tokenizer, text)
        assert pieces(TextStreamer(tokenizer), ids) == pieces(transformers.TextStreamer(tokenizer), ids)


def test_no_part_of_a_character_is_said() -> None:
    tokenizer = tiny_tokenizers.byte_level()
    text = "🙂🙃 naïve 你好世界 👩‍👩‍👧"
    said = pieces(TextStreamer(tokenizer), _ids(tokenizer, text))
    assert "".join(said) == text and not any("\ufffd" in piece for piece in said)


@pytest.mark.parametrize(
    "text", ["你好世界你好世界", "これはペンですこれはペンです", "สวัสดีครับสวัสดีครับ", "。、「」ｆｕｌｌ"]
)
def test_scripts_without_spaces_do_not_wait_for_one(text: str) -> None:
    tokenizer = tiny_tokenizers.byte_level()
    said = pieces(TextStreamer(tokenizer), _ids(tokenizer, text))
    assert "".join(said) == text and said[-1] == "", "all was said before the end"
    assert len([piece for piece in said if piece]) > len(text) // 2


def test_words_come_whole_and_before_the_end() -> None:
    tokenizer = tiny_tokenizers.byte_level()
    said = [
        piece for piece in pieces(TextStreamer(tokenizer), _ids(tokenizer, "the unstoppable stopping fox")) if piece
    ]
    assert said == ["the ", "unstoppable ", "stopping ", "fox"]


def test_a_space_that_clean_up_removes_is_not_said() -> None:
    tokenizer = tiny_tokenizers.wordpiece()
    for text, cleaned in (
        ("do n't stop . it ' s", "don't stop. it's"),
        ("I ' m one ! and n , two", "I'm one! and n, two"),
    ):
        ids = _ids(tokenizer, text)
        assert tokenizer.decode(ids) == cleaned
        assert "".join(pieces(TextStreamer(tokenizer), ids)) == cleaned


def test_special_tokens_are_left_out_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    tokenizer = tiny_tokenizers.byte_level()
    ids = [*_ids(tokenizer, "one two"), tokenizer.eos_token_id]
    streamer = TextStreamer(tokenizer, skip_special_tokens=True)
    for _ in range(2):  # a streamer can be used again
        streamer.put(torch.tensor([ids]))
        streamer.end()
        assert capsys.readouterr().out == "one two\n"


def test_one_stream_is_one_row() -> None:
    with pytest.raises(ValueError, match="only supports batch size 1, got 2 rows") as caught:
        TextStreamer(tiny_tokenizers.byte_level()).put(torch.zeros(2, 3, dtype=torch.int64))
    assert isinstance(caught.value, InputError)
    for call in (lambda: BaseStreamer().put(torch.zeros(1)), lambda: BaseStreamer().end()):
        with pytest.raises(NotImplementedError, match="BaseStreamer defines no"):
            call()


def test_long_texts_are_not_decoded_again_from_their_beginning() -> None:
    tokenizer = tiny_tokenizers.byte_level()
    streamer = TextStreamer(tokenizer)
    ids = _ids(tokenizer, "one two three\n" * 50)
    longest = 0
    streamer.on_finalized_text = lambda text, stream_end=False: None  # type: ignore[method-assign]
    for token in ids:
        streamer.put(torch.tensor([token]))
        longest = max(longest, len(streamer.token_cache))
    assert longest <= 2 * len(_ids(tokenizer, "one two three\n")) + 1 < len(ids) // 10


def _write(streamer: Any, ids: list[int]) -> threading.Thread:
    def work() -> None:
        for token in ids:
            streamer.put(torch.tensor([token]))
        streamer.end()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_text_for_a_loop() -> None:
    tokenizer = tiny_tokenizers.byte_level()
    streamer = TextIteratorStreamer(tokenizer, timeout=10.0)
    thread = _write(streamer, _ids(tokenizer, LONG))
    assert "".join(streamer) == LONG
    thread.join()
    with pytest.raises(Empty):
        next(TextIteratorStreamer(tokenizer, timeout=0.0))


def test_text_for_an_asynchronous_loop() -> None:
    tokenizer = tiny_tokenizers.byte_level()

    async def read() -> str:
        streamer = AsyncTextIteratorStreamer(tokenizer, timeout=10.0)
        thread = _write(streamer, _ids(tokenizer, LONG))
        text = "".join([piece async for piece in streamer])
        thread.join()
        return text

    async def wait() -> None:
        async for _ in AsyncTextIteratorStreamer(tokenizer, timeout=0.0):
            pass

    assert asyncio.run(read()) == LONG
    with pytest.raises(TimeoutError, match="no text came for 0.0 seconds"):
        asyncio.run(wait())


def test_prompts_of_any_length_come_first() -> None:
    tokenizer = tiny_tokenizers.byte_fallback()
    ids = _ids(tokenizer, "the quick 你好 fox")
    for round_ in range(10):
        prompt = random.Random(round_).randint(1, len(ids))
        assert "".join(pieces(TextStreamer(tokenizer), ids, prompt)) == tokenizer.decode(ids)
