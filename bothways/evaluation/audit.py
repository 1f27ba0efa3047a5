"""Data looked at before anything is trained on it: leaks, duplicates, conflicts, balance, odd texts."""

from __future__ import annotations

from collections.abc import Sequence

from bothways.data import LabelKind, QuestionExample, TaggedText, TextExample
from bothways.errors import UsageError
from bothways.evaluation.audit_alike import equal_groups
from bothways.evaluation.audit_findings import Audit, Finding, Leak, PartFacts
from bothways.evaluation.audit_labels import balance, class_counts, conflicts, contradiction, look_alikes
from bothways.evaluation.audit_languages import languages_of
from bothways.evaluation.audit_lengths import text_lengths
from bothways.evaluation.audit_overlap import leakage, leaks_of, near_of, repeated, shared_contexts
from bothways.evaluation.audit_parts import Files, Part, entry_of, read_part, task_name
from bothways.evaluation.audit_texts import blank_texts, odd_texts

_LEVELS = ("leak", "problem", "note")

Example = TextExample | TaggedText | QuestionExample


def audit(
    files: Files,
    evaluation: Files | None = None,
    *,
    task: str = "text-classification",
    text_column: str | None = None,
    label_column: str | None = None,
    kind: LabelKind | None = None,
    model: str | None = None,
    max_length: int | None = None,
    format: str | None = None,
    encoding: str | None = None,
) -> Audit:
    """Look for what would make training, or the scores after it, worth less than they seem.

    Args:
        files: the training files, read as if they were one.
        evaluation: the files to score on; without any nothing can leak.
        task: text-classification (also of pairs), token-classification (``ner``) or question-answering.
        text_column, label_column, kind, format, encoding: as for ``train``.
        model: whose tokens are counted, a name or a directory; None takes the default model if it is on this machine.
        max_length: tokens that training is to read; None means as many as the model can.

    Raises:
        UsageError: files, columns or options that are not there or do not fit together.
        DataError: content that cannot be used; with file, line and numbers.
        ModelNotFoundError: ``model`` leads nowhere.
    """
    task = task_name(task)
    reading = {"text_column": text_column, "label_column": label_column, "format": format, "encoding": encoding}
    parts = [read_part("training", files, task, kind=kind, **reading)]
    if evaluation is not None:
        same = parts[0].kind if task == "text-classification" else None
        parts.append(read_part("evaluation", evaluation, task, kind=same, **reading))
        _check_pairs(parts)
    lengths, tokens, notes = text_lengths(parts, model, max_length)
    languages, spoken = languages_of(parts)
    leaks, overlaps = _overlaps(parts)
    findings = [
        *overlaps,
        *look_alikes(parts),
        *balance(parts),
        *blank_texts(parts),
        *lengths,
        *odd_texts(parts),
        *spoken,
    ]
    facts = [
        PartFacts(
            name=part.name,
            files=part.files,
            rows=len(part.entries),
            missing_labels=part.missing_labels,
            labels=class_counts(part),
            languages=languages[part.name],
            tokens=tokens.get(part.name),
        )
        for part in parts
    ]
    return Audit(
        task=task,
        kind=parts[0].kind,
        parts=tuple(facts),
        findings=tuple(sorted(findings, key=lambda finding: _LEVELS.index(finding.level))),
        leaks=tuple(leaks),
        notes=tuple(notes),
    )


def clean_part(audit: Audit) -> list[int]:
    """Numbers, from 0, of the evaluation examples that training does not have, in the order of the readers.

    Scores on these alone tell what a model learned, not what it remembers.
    """
    leaked = {leak.index for leak in audit.leaks}
    held = next((part.rows for part in audit.parts if part.name == "evaluation"), 0)
    return [number for number in range(held) if number not in leaked]


def find_leaks(train: Sequence[Example], evaluation: Sequence[Example]) -> list[Leak]:
    """The examples of evaluation whose text is in training too, word for word, or nearly and with the same label.

    For examples that are read already; their places have no file.
    """
    entries = [entry_of(example) for example in (*train, *evaluation)]
    groups = equal_groups(entries)
    contradict = contradiction(entries, _kind_of(*train[:1], *evaluation[:1]))
    near = [pair for pair in near_of(entries, groups, len(train)) if not contradict(pair.earlier, pair.later)]
    return leaks_of(entries, groups, near, len(train))


def _overlaps(parts: Sequence[Part]) -> tuple[list[Leak], list[Finding]]:
    """Leaks, and findings about all texts that are equal or nearly so."""
    entries = [entry for part in parts for entry in part.entries]
    n_train = len(parts[0].entries)
    groups = equal_groups(entries)
    near = near_of(entries, groups, n_train)
    contradict = contradiction(entries, parts[0].kind)
    agreeing = [pair for pair in near if not contradict(pair.earlier, pair.later)]
    leaks = leaks_of(entries, groups, agreeing, n_train)
    findings = [
        *leakage(leaks, parts),
        *shared_contexts(parts, leaks),
        *conflicts(entries, parts[0].kind, groups, near),
        *repeated(entries, groups, near, parts),
    ]
    return leaks, findings


def _kind_of(*examples: Example) -> str:
    """The kind of labels, as far as it matters for whether two of them contradict each other."""
    if any(isinstance(example, QuestionExample) for example in examples):
        return "answers"
    return "regression" if any(isinstance(entry_of(example).answer, float) for example in examples) else "single"


def _check_pairs(parts: Sequence[Part]) -> None:
    """Refuse pairs of texts beside single ones. A part has one kind of texts, which its reader made sure of."""
    pairs = [part.entries[0].pair is not None for part in parts]
    if pairs[0] != pairs[1]:
        words = ["pairs of texts" if pair else "single texts" for pair in pairs]
        raise UsageError(
            f"{parts[0].files[0]} has {words[0]} and {parts[1].files[0]} has {words[1]}. Name the text columns "
            "(--text-column)."
        )
