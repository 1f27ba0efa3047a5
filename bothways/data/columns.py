"""Which column is the text, which its pair, which the label."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bothways.errors import UsageError, nearest


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Earlier groups win over later ones; two names of one group are ambiguous. Names are compared by ``_folded``.
TEXT_NAMES: tuple[frozenset[str], ...] = (
    frozenset({"text"}),
    _words(
        "texts sentence sentences review review_text content document body tweet question utterance query comment "
        "comment_text message passage description abstract post sms input inputs article statement claim"
    ),
    frozenset({"title", "headline", "subject", "summary"}),
)
PAIR_NAMES: tuple[tuple[str, str], ...] = (
    ("text_a", "text_b"),
    ("text_1", "text_2"),
    ("text1", "text2"),
    ("text", "text_pair"),
    ("sentence1", "sentence2"),
    ("sentence_1", "sentence_2"),
    ("sentence_a", "sentence_b"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("question_1", "question_2"),
    ("#1_string", "#2_string"),
    ("question", "sentence"),
    ("question", "passage"),
    ("question", "answer"),
    ("query", "passage"),
    ("query", "document"),
    ("claim", "evidence"),
)
LABEL_NAMES: tuple[frozenset[str], ...] = (
    frozenset({"label"}),
    _words(
        "labels class category intent sentiment target topic tag tags y gold_label polarity emotion emotions "
        "is_duplicate quality"
    ),
    _words("score similarity relatedness similarity_score relatedness_score rating stars grade"),
)
NEVER_TAKEN = _words(
    "id ids idx index row row_id row_number number no nr # guid uuid uid key line url link date time timestamp "
    "author user username split part fold source domain lang language"
)


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The columns that are read; all others are ignored."""

    text: str
    text_pair: str | None = None
    label: str | None = None


def recognise_columns(
    names: Sequence[str],
    sample_rows: Sequence[Mapping[str, Any]],
    *,
    text_column: str | None = None,
    label_column: str | None = None,
    need_label: bool = True,
    file: str = "the data",
) -> Columns:
    """Find the columns of a file, by request, by known names, or by content where only one reading is possible.

    By content: the text is the column of strings that are on average at least twice as long as any other's; the label
    is the only column with few distinct values (at most half as many as rows). Identifiers, dates and sources are
    never taken by content.

    Args:
        names: all columns, in order.
        sample_rows: some rows, for reading by content; with none only names count.
        text_column: a column, or two as ``"a,b"`` for pairs of texts.
        label_column: a column.
        need_label: False finds no label (prediction).
        file: the file's name in messages.

    Raises:
        UsageError: a column asked for is not there; none or several could be meant. All columns are listed.
    """
    text, pair = _asked_texts(names, text_column, file)
    label = None
    if label_column is not None and need_label:
        label = _asked(label_column, names, file)
    if text is None:
        free = [n for n in names if n != label]
        text, pair = _find_texts(free, sample_rows, need_label=need_label and label is None, file=file, names=names)
    if need_label and label is None:
        label = _find_label([n for n in names if n not in (text, pair)], sample_rows, file=file, names=names)
    if label is not None and label in (text, pair):
        raise UsageError(f"{file}: column {label!r} cannot be both text and label. Columns: {', '.join(names)}.")
    return Columns(text=text, text_pair=pair, label=label)


def is_known_name(name: str) -> bool:
    """Whether a first record that holds ``name`` is a header."""
    folded = _folded(name)
    known = (*TEXT_NAMES, *LABEL_NAMES, NEVER_TAKEN, *PAIR_NAMES)
    return any(folded in group for group in known)


def _asked_texts(names: Sequence[str], asked: str | None, file: str) -> tuple[str | None, str | None]:
    if asked is None:
        return None, None
    if asked in names or "," not in asked:
        return _asked(asked, names, file), None
    parts = [part.strip() for part in asked.split(",")]
    if len(parts) != 2 or parts[0] == parts[1]:
        raise UsageError(
            f"text column {asked!r} names {len(parts)} columns; expected one, or two different ones as 'a,b'."
        )
    return _asked(parts[0], names, file), _asked(parts[1], names, file)


def _asked(asked: str, names: Sequence[str], file: str) -> str:
    if asked in names:
        return asked
    alike = [n for n in names if _folded(n) == _folded(asked)]
    if len(alike) == 1:
        return alike[0]
    near = alike or nearest(asked, list(names), most=1)
    hint = f" Did you mean {' or '.join(repr(n) for n in near)}?" if near else ""
    raise UsageError(f"column {asked!r} not found in {file}. Columns: {', '.join(names)}.{hint}")


def _find_texts(
    free: Sequence[str], rows: Sequence[Mapping[str, Any]], *, need_label: bool, file: str, names: Sequence[str]
) -> tuple[str, str | None]:
    folded = {_folded(n): n for n in free}
    pairs = [(folded[a], folded[b]) for a, b in PAIR_NAMES if a in folded and b in folded]
    if len(pairs) > 1 or (pairs and "text" in folded and folded["text"] not in pairs[0]):
        candidates = sorted({n for pair in pairs for n in pair} | {n for f, n in folded.items() if f == "text"})
        raise _ambiguous("text", candidates, file, "--text-column NAME, or NAME,NAME for a pair")
    if pairs:
        return pairs[0]
    found = _by_name(free, TEXT_NAMES)
    if len(found) > 1:
        raise _ambiguous("text", found, file, "--text-column NAME, or NAME,NAME for a pair")
    if found:
        return found[0], None
    taken = set(_by_name(free, LABEL_NAMES)) if need_label else set()
    lengths = {n: _average_length(n, rows) for n in free if n not in taken and not _is_never_taken(n)}
    ordered = sorted((n for n in lengths if lengths[n] > 0), key=lambda n: -lengths[n])
    if ordered and (len(ordered) == 1 or lengths[ordered[0]] >= 2 * lengths[ordered[1]]):
        _refuse_missing_header(ordered[0], rows, file, names)
        return ordered[0], None
    if len(ordered) > 1:
        raise _ambiguous("text", ordered, file, "--text-column NAME, or NAME,NAME for a pair")
    raise _missing("text", names, file)


def _find_label(free: Sequence[str], rows: Sequence[Mapping[str, Any]], *, file: str, names: Sequence[str]) -> str:
    found = _by_name(free, LABEL_NAMES)
    if len(found) > 1:
        raise _ambiguous("label", found, file, "--label-column NAME")
    if found:
        return found[0]
    candidates = []
    for name in free:
        values = [str(row[name]) for row in rows if row.get(name) not in (None, "")]
        few = len(values) >= 4 and len(set(values)) <= len(values) / 2
        if few and not _is_never_taken(name):
            candidates.append(name)
    if len(candidates) > 1:
        raise _ambiguous("label", candidates, file, "--label-column NAME")
    if not candidates:
        raise _missing("label", names, file)
    _refuse_missing_header(candidates[0], rows, file, names)
    return candidates[0]


def _by_name(free: Iterable[str], groups: Sequence[frozenset[str]]) -> list[str]:
    for group in groups:
        found = [n for n in free if _folded(n) in group]
        if found:
            return found
    return []


def _average_length(name: str, rows: Sequence[Mapping[str, Any]]) -> float:
    """Average length of the strings; 0 where the column is not all strings or looks like numbers."""
    values = [row[name] for row in rows if row.get(name) is not None]
    if not values or not all(isinstance(v, str) for v in values) or not any(c.isalpha() for v in values for c in v):
        return 0.0
    return sum(map(len, values)) / len(values)


def _refuse_missing_header(name: str, rows: Sequence[Mapping[str, Any]], file: str, names: Sequence[str]) -> None:
    """Refuse a header that is data, whose row would be lost: a name of many words, or one that is also a value."""
    if len(name.split()) > 2 or any(row.get(column) == column for row in rows for column in names):
        raise _missing("text", names, file)


def _is_never_taken(name: str) -> bool:
    folded = _folded(name)
    return folded in NEVER_TAKEN or folded.endswith(("_id", "_idx")) or folded.startswith(("unnamed:", "column_"))


def _folded(name: str) -> str:
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def _ambiguous(what: str, candidates: Sequence[str], file: str, option: str) -> UsageError:
    return UsageError(f"{file}: the {what} could be any of {', '.join(candidates)}. Say which one: {option}.")


def _missing(what: str, names: Sequence[str], file: str) -> UsageError:
    shown = ", ".join(n if len(n) <= 40 else n[:37] + "..." for n in names)
    return UsageError(
        f"{file}: no {what} column found. Columns: {shown}. Name it with --{what}-column; "
        "if the file has no header row, add one, such as text,label."
    )
