"""Tags of words in the schemes that are in use, and the way to IOB2.

IOB2 (``B-`` begins every entity, ``I-`` continues it) is what models are trained with and scored in. Schemes: Ramshaw
and Marcus 1995 (IOB1: ``B-`` only where two entities of one type touch), Ratnaparkhi 1998 (IOB2), Ratinov and Roth 2009
(BILOU; BIOES with the letters E and S), and IO, types without any prefix.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bothways.errors import DataError

OUTSIDE = "O"
PREFIXES = {"B", "I", "E", "S", "L", "U"}
BEGINS = {"B", "S", "U"}
ENDS = {"E", "S", "L", "U"}


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """What the tags of a file are written in.

    Attributes:
        name: IOB1, IOB2, BIOES, BILOU or IO.
        loose: tags that break the scheme in a way with one sensible reading: an ``I-`` of IOB2 that begins an entity.
    """

    name: str
    loose: int = 0


def split_tag(tag: str) -> tuple[str, str]:
    """Prefix and type: ``B-PER`` -> (B, PER); ``creative-work`` -> ("", creative-work); ``O`` -> ("", "")."""
    if tag == OUTSIDE:
        return "", ""
    prefix, dash, kind = tag.partition("-")
    return (prefix, kind) if dash and kind and prefix in PREFIXES else ("", tag)


def recognise_scheme(sequences: Iterable[Sequence[str]], where: str = "the tags") -> Scheme:
    """Tell the scheme from all tags.

    Args:
        sequences: the tags of each sentence.
        where: name of the file, for the message.

    Raises:
        DataError: tags of different schemes, or none; with the tags and how often they occur.
    """
    counts: Counter[str] = Counter()
    inside_starts = needless_begins = 0
    for tags in sequences:
        counts.update(tags)
        before = ("", "")
        for now in map(split_tag, tags):
            follows = before[1] == now[1] != ""
            inside_starts += now[0] == "I" and not follows
            needless_begins += now[0] == "B" and not follows
            before = now
    used = {split_tag(tag)[0] for tag in counts if tag != OUTSIDE}
    bare = [tag for tag in counts if tag in ("B", "I") or not tag.strip() or tag.endswith("-")]
    if bare or ("" in used and len(used) > 1) or (used & {"E", "S"} and used & {"L", "U"}):
        odd = bare or [tag for tag in counts if tag != OUTSIDE and (split_tag(tag)[0] or "L") in ("L", "U")]
        shown = ", ".join(f"{tag!r} ({counts[tag]:,})" for tag in sorted(odd)[:10])
        raise DataError(
            f"{where}: the tags are of no known scheme: {shown} beside {_others(counts, odd)}. Expected B-TYPE and "
            "I-TYPE (IOB1, IOB2), also E- and S- (BIOES) or L- and U- (BILOU), or types without a prefix; O outside."
        )
    if "" in used or not used:
        return Scheme(name="IO")
    if used & ENDS:
        return Scheme(name="BILOU" if used & {"L", "U"} else "BIOES")
    if not inside_starts or needless_begins:
        return Scheme(name="IOB2", loose=inside_starts)
    return Scheme(name="IOB1")


def to_iob2(tags: Sequence[str]) -> list[str]:
    """The same entities in IOB2, from any of the schemes.

    An entity begins at B, S or U, and where the type changes or the last one ended.

    Example: IOB1 ``I-PER I-PER B-PER O`` -> ``B-PER I-PER B-PER O``.
    """
    found: list[str] = []
    before, ended = "", True
    for prefix, kind in map(split_tag, tags):
        if not kind:
            found.append(OUTSIDE)
        else:
            begins = ended or kind != before or prefix in BEGINS
            found.append(f"{'B' if begins else 'I'}-{kind}")
        before, ended = kind, not kind or prefix in ENDS
    return found


def tag_names(types: Iterable[str]) -> tuple[str, ...]:
    """The labels of a model for these entity types, in IOB2: ``O``, then ``B-`` and ``I-`` of each type by name."""
    return (OUTSIDE, *(f"{prefix}-{kind}" for kind in sorted(set(types)) for prefix in "BI"))


def _others(counts: Counter[str], odd: Sequence[str]) -> str:
    others = [repr(tag) for tag in sorted(counts) if tag not in odd]
    return ", ".join(others[:10]) + (f" and {len(others) - 10} more" if len(others) > 10 else "") or "nothing else"
