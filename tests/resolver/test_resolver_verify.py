"""The hash of the weights, and the memory of it."""

import dataclasses
import json
import os

import pytest

from bothways.resolver import verify
from bothways.resolver.request import Missed
from bothways.resolver.verify import check_weights

from .places import TINY, WEIGHTS, make_model


@pytest.fixture
def hashed(monkeypatch):
    """Paths that were really read."""
    paths = []
    read = verify._sha256
    monkeypatch.setattr(verify, "_sha256", lambda path: paths.append(path) or read(path))
    return paths


def test_the_weights_are_read_once(tmp_path, hashed):
    model = make_model(tmp_path / "m")
    check_weights(model, TINY)
    check_weights(model, TINY)
    assert hashed == [model / "model.safetensors"]


def test_a_changed_file_is_read_again_and_refused(tmp_path, hashed):
    model = make_model(tmp_path / "m")
    check_weights(model, TINY)
    changed = bytes([1]) + WEIGHTS[1:]
    (model / "model.safetensors").write_bytes(changed)
    os.utime(model / "model.safetensors", ns=(1, 1))
    with pytest.raises(Missed, match="refused: .* has sha256"):
        check_weights(model, TINY)
    assert len(hashed) == 2


@pytest.mark.parametrize("content", ["", "[]", '{"x": 1, "x": 2}', "{", '{"PATH": 3}', '{"PATH": {"size": 5120}}'])
def test_a_damaged_memory_is_harmless(tmp_path, home, hashed, content):
    model = make_model(tmp_path / "m")
    (home / "models").mkdir(parents=True)
    text = content.replace("PATH", str(model / "model.safetensors"))
    (home / "models/.verified.json").write_text(text)
    check_weights(model, TINY)
    assert len(hashed) == 1


def test_the_memory_forgets_files_that_are_gone(tmp_path, home):
    first, second = make_model(tmp_path / "a"), make_model(tmp_path / "b")
    check_weights(first, TINY)
    (first / "model.safetensors").unlink()
    check_weights(second, TINY)
    assert list(json.loads((home / "models/.verified.json").read_text())) == [str(second / "model.safetensors")]


def test_a_store_that_cannot_be_written_is_harmless(tmp_path, home):
    home.write_text("a file where the home should be")
    check_weights(make_model(tmp_path / "m"), TINY)


def test_missing_weights_and_wrong_size(tmp_path):
    model = make_model(tmp_path / "m")
    with pytest.raises(Missed, match="has 5,120 bytes, the published weights have 1,234,567"):
        check_weights(model, dataclasses.replace(TINY, size_bytes=1_234_567))
    (model / "model.safetensors").unlink()
    with pytest.raises(Missed, match=r"has no model\.safetensors"):
        check_weights(model, TINY)
