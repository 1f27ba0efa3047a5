"""Text while it is written: on the screen, or for a loop in another thread."""

from __future__ import annotations

import asyncio
import re
from queue import Queue
from typing import Any

from torch import Tensor

from bothways.errors import InputError


class BaseStreamer:
    """Gets tokens while ``generate`` writes."""

    def put(self, value: Tensor) -> None:
        """Tokens: first those of the prompt, int64 (1, S) or (S,), then each new one, (1,)."""
        raise NotImplementedError(f"{type(self).__name__} defines no put(value).")

    def end(self) -> None:
        """Nothing more comes."""
        raise NotImplementedError(f"{type(self).__name__} defines no end().")


class TextStreamer(BaseStreamer):
    """Prints text as soon as whole words are there; in scripts without spaces, whole characters.

    The pieces together are the text that the tokeniser makes of all ids.

    Args:
        tokenizer: turns ids into text.
        skip_prompt: leave the prompt out.
        **decode_kwargs: for the tokeniser's ``decode``, as ``skip_special_tokens=True``.
    """

    def __init__(self, tokenizer: Any, skip_prompt: bool = False, **decode_kwargs: Any) -> None:
        self.tokenizer = tokenizer
        self.skip_prompt = skip_prompt
        self.decode_kwargs = decode_kwargs
        cleans = decode_kwargs.get("clean_up_tokenization_spaces")
        self._cleans = getattr(tokenizer, "clean_up_tokenization_spaces", False) if cleans is None else cleans
        self.token_cache: list[int] = []
        self.print_len = 0
        self.next_tokens_are_prompt = True
        self._line_start = 0

    def put(self, value: Tensor) -> None:
        if value.dim() > 1 and len(value) > 1:
            raise InputError(
                f"TextStreamer only supports batch size 1, got {len(value)} rows: one stream of text is one row."
            )
        if self.skip_prompt and self.next_tokens_are_prompt:
            self.next_tokens_are_prompt = False
            return
        self.next_tokens_are_prompt = False
        self.token_cache.extend(value.flatten().tolist())
        text = self._decode()
        settled = _settled(text, self._cleans)
        self.on_finalized_text(text[self.print_len : settled])
        self.print_len = max(self.print_len, settled)
        if text.endswith("\n"):
            self._forget_before_line()

    def end(self) -> None:
        text = self._decode() if self.token_cache else ""
        rest = text[self.print_len :]
        self.token_cache, self.print_len, self.next_tokens_are_prompt, self._line_start = [], 0, True, 0
        self.on_finalized_text(rest, stream_end=True)

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        """What happens with a piece of text, which may be empty. Subclasses do something else than printing."""
        print(text, flush=True, end=None if stream_end else "")

    def _decode(self) -> str:
        return str(self.tokenizer.decode(self.token_cache, **self.decode_kwargs))

    def _forget_before_line(self) -> None:
        """After a line: forget the lines before it, so that decoding stays cheap.

        The line itself stays: some decoders drop the space of the first token that they get.
        """
        del self.token_cache[: self._line_start]
        self._line_start = len(self.token_cache)
        self.print_len = len(self._decode())


class TextIteratorStreamer(TextStreamer):
    """Gives text to a ``for`` loop while ``generate`` runs in another thread.

    Args:
        tokenizer: turns ids into text.
        skip_prompt: leave the prompt out.
        timeout: seconds to wait for the next piece; then ``queue.Empty`` is raised. None waits without end.
        **decode_kwargs: for the tokeniser's ``decode``.
    """

    def __init__(
        self, tokenizer: Any, skip_prompt: bool = False, timeout: float | None = None, **decode_kwargs: Any
    ) -> None:
        super().__init__(tokenizer, skip_prompt, **decode_kwargs)
        self.text_queue: Queue[str | None] = Queue()
        self.stop_signal = None
        self.timeout = timeout

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        """Put the text into the queue, and after the last one the signal to stop."""
        self.text_queue.put(text, timeout=self.timeout)
        if stream_end:
            self.text_queue.put(self.stop_signal, timeout=self.timeout)

    def __iter__(self) -> TextIteratorStreamer:
        return self

    def __next__(self) -> str:
        value = self.text_queue.get(timeout=self.timeout)
        if value is self.stop_signal:
            raise StopIteration
        return value


class AsyncTextIteratorStreamer(TextStreamer):
    """Gives text to an ``async for`` loop while ``generate`` runs in another thread. Made inside a coroutine.

    Args:
        tokenizer: turns ids into text.
        skip_prompt: leave the prompt out.
        timeout: seconds to wait for the next piece; then ``TimeoutError`` is raised. None waits without end.
        **decode_kwargs: for the tokeniser's ``decode``.
    """

    def __init__(
        self, tokenizer: Any, skip_prompt: bool = False, timeout: float | None = None, **decode_kwargs: Any
    ) -> None:
        super().__init__(tokenizer, skip_prompt, **decode_kwargs)
        self.text_queue: asyncio.Queue[str | None] = asyncio.Queue()
        self.stop_signal = None
        self.timeout = timeout
        self.loop = asyncio.get_running_loop()

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        """Put the text into the queue, and after the last one the signal to stop."""
        self.loop.call_soon_threadsafe(self.text_queue.put_nowait, text)
        if stream_end:
            self.loop.call_soon_threadsafe(self.text_queue.put_nowait, self.stop_signal)

    def __aiter__(self) -> AsyncTextIteratorStreamer:
        return self

    async def __anext__(self) -> str:
        try:
            value = await asyncio.wait_for(self.text_queue.get(), timeout=self.timeout)
        except asyncio.TimeoutError:
            raise TimeoutError(f"no text came for {self.timeout} seconds.") from None
        if value is self.stop_signal:
            raise StopAsyncIteration
        return value


_UNKNOWN = "\N{REPLACEMENT CHARACTER}"

_WITHOUT_SPACES = (
    *((0x0E00, 0x0FFF), (0x1000, 0x109F), (0x1780, 0x17FF)),  # Thai, Lao, Tibetan; Myanmar; Khmer
    *((0x3000, 0x312F), (0x31A0, 0x31FF)),  # punctuation, Kana, Bopomofo, and what extends them
    *((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF)),  # Han
    (0xFF00, 0xFFEF),  # full and half width
)
"""Scripts that do not divide words by spaces, first and last character."""

_MAY_LOSE_ITS_SPACE = re.compile(r" *(?: n ?'? ?t?| ' ?[smvr]?e?| )$")
"""The end of a text whose space the tokeniser's clean-up may still remove, as in ``do n ' t``."""


def _settled(text: str, cleans: bool) -> int:
    """How many characters of an unfinished text will stay as they are.

    Args:
        text: the text of all tokens so far. It ends with replacement characters where bytes are missing.
        cleans: whether the tokeniser removes spaces afterwards.
    """
    if text.endswith("\n"):
        return len(text)
    whole = text.rstrip(_UNKNOWN)
    words = whole.rfind(" ") + 1
    loose = _MAY_LOSE_ITS_SPACE.search(whole) if cleans else None
    words = words if loose is None else loose.start()
    characters = next((place + 1 for place in range(len(whole) - 1, words - 1, -1) if _stands_alone(whole[place])), 0)
    return max(words, characters)


def _stands_alone(character: str) -> bool:
    code = ord(character)
    return any(first <= code <= last for first, last in _WITHOUT_SPACES)
