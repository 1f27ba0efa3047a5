"""Readers of labelled and unlabelled texts: files → rows → typed examples; streaming, and exact about what is wrong."""

from bothways.data.columns import Columns, recognise_columns
from bothways.data.documents import Document, LoadedDocuments, load_documents
from bothways.data.examples import (
    LabelledTexts,
    Problems,
    TextExample,
    check_labels,
    data_hash,
    label_names,
    load_labelled,
)
from bothways.data.label_kinds import LabelKind, infer_task
from bothways.data.row import Row
from bothways.data.rows import read_rows
from bothways.data.spans import EntitySpan
from bothways.data.split import holdout_split
from bothways.data.squad import (
    LoadedQuestions,
    QuestionExample,
    QuestionProblems,
    holdout_questions,
    iter_questions,
    load_questions,
)
from bothways.data.stream import iter_texts
from bothways.data.tagged import Misaligned, TaggedText, TaggedTexts, TagProblems, check_types, load_tagged
from bothways.data.text_pairs import LoadedPairs, PairProblems, TextPair, load_pairs
from bothways.data.words import word_spans

__all__ = [
    "Columns",
    "Document",
    "EntitySpan",
    "LabelKind",
    "LabelledTexts",
    "LoadedDocuments",
    "LoadedPairs",
    "LoadedQuestions",
    "Misaligned",
    "PairProblems",
    "Problems",
    "QuestionExample",
    "QuestionProblems",
    "Row",
    "TagProblems",
    "TaggedText",
    "TaggedTexts",
    "TextExample",
    "TextPair",
    "check_labels",
    "check_types",
    "data_hash",
    "holdout_questions",
    "holdout_split",
    "infer_task",
    "iter_questions",
    "iter_texts",
    "label_names",
    "load_documents",
    "load_labelled",
    "load_pairs",
    "load_tagged",
    "load_questions",
    "read_rows",
    "recognise_columns",
    "word_spans",
]
