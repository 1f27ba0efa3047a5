"""Directories of tiny models, made once, and silence."""

from __future__ import annotations

import logging

import pytest

from tests.contract.models import make_all


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    transformers = pytest.importorskip("transformers")
    transformers.logging.set_verbosity_error()
    return make_all(tmp_path_factory.mktemp("models"))


@pytest.fixture(autouse=True)
def quiet():
    """Load reports are facts, not failures; the tests that expect one read it themselves."""
    logger = logging.getLogger("bothways")
    before = logger.level
    logger.setLevel(logging.ERROR)
    yield
    logger.setLevel(before)
