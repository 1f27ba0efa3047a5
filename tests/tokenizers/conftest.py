"""A directory with the small vocabulary, and the four tokenisers made from it."""

import gzip
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from tokenizer_samples import vocabulary  # noqa: E402

import bothways.tokenizers as ours  # noqa: E402

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "critical")


@pytest.fixture(scope="session")
def vocab_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("vocab") / "vocab.txt"
    path.write_text("".join(f"{token}\n" for token in vocabulary()), encoding="utf-8")
    return path


@pytest.fixture
def fast(vocab_file):
    return ours.BertTokenizerFast(vocab_file=vocab_file, model_max_length=64)


@pytest.fixture
def plain(vocab_file):
    return ours.BertTokenizer(vocab_file, model_max_length=64)


@pytest.fixture(scope="session")
def transformers():
    return pytest.importorskip("transformers")


@pytest.fixture
def reference_fast(transformers, vocab_file):
    return transformers.BertTokenizerFast(vocab_file=str(vocab_file), model_max_length=64)


@pytest.fixture
def reference_plain(transformers, vocab_file):
    return transformers.BertTokenizer(str(vocab_file), model_max_length=64)


@pytest.fixture(scope="session")
def bert_vocab_file(tmp_path_factory):
    """The published uncased vocabulary, where the test data are."""
    root = os.environ.get("BOTHWAYS_DATA")
    source = Path(root or "/nonexistent") / "vocab" / "bert-base-uncased" / "vocab.txt.gz"
    if not source.is_file():
        pytest.skip("needs BOTHWAYS_DATA")
    path = tmp_path_factory.mktemp("bert") / "vocab.txt"
    path.write_bytes(gzip.decompress(source.read_bytes()))
    return path
