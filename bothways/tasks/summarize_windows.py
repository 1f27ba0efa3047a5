"""Texts that are longer than a model reads, for models that write: windows of whole sentences; map, then reduce.

Map: every window of a long text is summarised. Reduce: the summaries in a row are the text of the next round, until
one reading is enough.

Shapes: n texts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from bothways.errors import InputError
from bothways.tasks.sentences import split_sentences

CountTokens = Callable[[list[str]], Sequence[int]]
"""From texts to their numbers of tokens, without special ones."""

Write = Callable[[list[str]], list[str]]
"""From texts that fit to what the model writes about each."""

SHRINKS = 0.9
"""A round whose summaries are longer than this share of what was read leads nowhere, and is the last one."""


@dataclass(frozen=True, slots=True)
class TextWindow:
    """``text[start:end]``, without white space around it, and its tokens."""

    start: int
    end: int
    n_tokens: int


@dataclass(frozen=True, kw_only=True)
class LongSummary:
    """What became of a text.

    Attributes:
        text: the summary.
        n_tokens: of the text, without special ones.
        n_windows: into how many it was divided in the first round; 1 where it was read at once.
        n_rounds: how often texts were summarised: 1 where the text was read at once, else 2 or more.
        is_whole: whether the last round read everything at once; False where summaries did not get shorter and stand
            one after another.
    """

    text: str
    n_tokens: int
    n_windows: int
    n_rounds: int
    is_whole: bool = True


def text_windows(text: str, count: CountTokens, limit: int) -> list[TextWindow]:
    """Divide a text into as few windows as fit, of nearly equal length, each of whole sentences where possible.

    A sentence above the limit is divided at a clause, else at a space, else anywhere. Every character that is no white
    space is in exactly one window.

    Args:
        text: a blank one has no window.
        count: of texts; called with many at once.
        limit: most tokens of a window, at least 1.

    Raises:
        InputError: an impossible limit, or one character that has more tokens than the limit.
    """
    if limit < 1:
        raise InputError(f"limit is {limit} tokens; expected 1 or more. Shorten the prefix, or raise max_length.")
    pieces = _pieces(text, list(split_sentences(text).spans), count, limit)
    groups = _even_groups([n for _, _, n in pieces], limit)
    windows: list[TextWindow] = []
    while groups:
        spans = [(pieces[group[0]][0], pieces[group[-1]][1]) for group in groups]
        counts = count([text[start:end] for start, end in spans])
        smaller: list[list[int]] = []
        for group, (start, end), n in zip(groups, spans, counts, strict=True):
            if n <= limit or len(group) == 1:
                windows.append(TextWindow(start, end, int(n)))
            else:  # white space and merges between pieces made it longer than their sum
                smaller += [group[: len(group) // 2], group[len(group) // 2 :]]
        groups = smaller
    return sorted(windows, key=lambda window: window.start)


def summarize_long(
    texts: Sequence[str],
    *,
    count: CountTokens,
    write: Write,
    limit: int,
    separator: str = " ",
) -> list[LongSummary]:
    """Summaries of texts of any length, from a model that reads ``limit`` tokens at once.

    All windows of all texts of a round go to ``write`` together. A blank text is given to it as it is.

    Args:
        count: tokens of texts without special ones.
        write: summarises texts of at most ``limit`` tokens.
        limit: tokens that the model reads, without special ones and a prefix.
        separator: between summaries that are read together.

    Raises:
        InputError: as ``text_windows``.
    """
    current = list(texts)
    sizes = [int(n) for n in count(current)] if current else []
    found = [LongSummary(text="", n_tokens=n, n_windows=0, n_rounds=0, is_whole=False) for n in sizes]
    active = list(range(len(current)))
    while active:
        windows = {i: _readable(current[i], sizes[i], count, limit) for i in active}
        written = iter(write([window for i in active for window in windows[i]]))
        for i in active:
            current[i] = separator.join(next(written).strip() for _ in windows[i])
            found[i] = replace(
                found[i],
                text=current[i],
                n_windows=found[i].n_windows or len(windows[i]),
                n_rounds=found[i].n_rounds + 1,
                is_whole=len(windows[i]) == 1,
            )
        open_ones = [i for i in active if not found[i].is_whole]
        new_sizes = dict(zip(open_ones, count([current[i] for i in open_ones]) if open_ones else [], strict=True))
        active = [i for i in open_ones if new_sizes[i] <= SHRINKS * sizes[i]]
        for i in active:
            sizes[i] = int(new_sizes[i])
    return found


def _readable(text: str, n_tokens: int, count: CountTokens, limit: int) -> list[str]:
    """The text, or its windows."""
    if n_tokens <= limit:
        return [text]
    return [text[window.start : window.end] for window in text_windows(text, count, limit)]


def _pieces(text: str, spans: list[tuple[int, int]], count: CountTokens, limit: int) -> list[tuple[int, int, int]]:
    """(start, end, tokens) of spans that fit; those that do not are halved, all of a round together."""
    done: list[tuple[int, int, int]] = []
    while spans:
        counts = count([text[a:b] for a, b in spans])
        too_long = [(a, b, n) for (a, b), n in zip(spans, counts, strict=True) if n > limit]
        done += [(a, b, int(n)) for (a, b), n in zip(spans, counts, strict=True) if n <= limit]
        spans = []
        for start, end, n in too_long:
            if end - start == 1:
                raise _too_small(text[start:end], n, limit)
            cut = _best_cut(text, start, end)
            spans += [span for span in (_stripped(text, start, cut), _stripped(text, cut, end)) if span[0] < span[1]]
    return sorted(done)


def _best_cut(text: str, start: int, end: int) -> int:
    """Where to divide: after a clause in the middle half, else at a space in it, else in the middle."""
    middle, reach = (start + end) // 2, (end - start) // 4
    near = sorted(range(max(start + 1, middle - reach), min(end, middle + reach + 1)), key=lambda p: abs(p - middle))
    for fits in (
        lambda p: (
            text[p].isspace()
            and text[p - 1] in ",;:\u2013\u2014\u060c\u061b"
            or text[p - 1] in "\uff0c\u3001\uff1b\uff1a"
        ),
        lambda p: text[p].isspace(),
    ):
        for place in near:
            if fits(place):
                return place
    return middle


def _stripped(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    return start, end


def _even_groups(sizes: Sequence[int], limit: int) -> list[list[int]]:
    """Neighbours in as few groups as fit, with the largest as small as can be; every size is at most the limit."""
    fewest = len(_greedy_groups(sizes, limit))
    low, high = max(sizes, default=0), limit
    while low < high:
        middle = (low + high) // 2
        if len(_greedy_groups(sizes, middle)) <= fewest:
            high = middle
        else:
            low = middle + 1
    return _greedy_groups(sizes, high)


def _greedy_groups(sizes: Sequence[int], limit: int) -> list[list[int]]:
    groups: list[list[int]] = []
    room = 0
    for i, size in enumerate(sizes):
        if not groups or size > room:
            groups.append([])
            room = limit
        groups[-1].append(i)
        room -= size
    return groups


def _too_small(text: str, n_tokens: int, limit: int) -> InputError:
    return InputError(
        f"{text[:20]!r} has {n_tokens} tokens and cannot be divided to fit {limit}. Raise max_length, or shorten the "
        "prefix."
    )
