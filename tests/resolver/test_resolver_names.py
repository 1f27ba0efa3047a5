"""Names: what the store and the hub can hold, and what can only be a path."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.resolver.names import is_hub_id, is_model_file, is_wanted_from_hub, looks_like_path, store_key


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("minilm-l6", "minilm-l6"),
        ("org/model.v1", "org--model.v1"),
        ("../x", None),
        ("a/..", None),
        ("a..b", None),
        ("/etc", None),
        ("C:x", None),
        ("a\\b", None),
        ("a\0b", None),
        ("a/b/c", None),
        (".hidden", None),
        ("", None),
        ("a\n", None),
        ("x" * 97, None),
    ],
)
def test_store_keys(name, key):
    assert store_key(name) == key


@given(st.text(max_size=30))
def test_a_store_key_never_leaves_the_store(tmp_path_factory, name):
    key = store_key(name)
    if key is not None:
        root = tmp_path_factory.getbasetemp()
        assert (root / key).resolve().parent == root.resolve()
        assert not key.startswith(".")


def test_hub_ids():
    assert is_hub_id("bert-base-uncased") and is_hub_id("org/model")
    assert not any(is_hub_id(name) for name in ("a--b", "a b", "a/b/c", "x.git", "a" * 50 + "/" + "b" * 50, ""))


def test_paths():
    assert all(looks_like_path(name) for name in ("./x", "../x", "/x", "~/x", "C:\\x", "d:x", "a/b/c", "x/", "a\\b"))
    assert not any(looks_like_path(name) for name in ("x", "org/model", "mini lm"))


def test_model_files_are_data_only():
    assert all(is_model_file(name) for name in ("config.json", "vocab.txt", "spiece.model", "model.safetensors"))
    refused = ("pytorch_model.bin", "modeling.py", "../x.json", "a/config.json", ".json", "x.pkl", "c:x.json")
    assert not any(is_model_file(name) for name in refused)


def test_the_hub_gives_one_copy_of_the_weights():
    assert is_wanted_from_hub("model.safetensors") and is_wanted_from_hub("model-00001-of-00002.safetensors")
    assert is_wanted_from_hub("adapter_model.safetensors")
    assert not is_wanted_from_hub("consolidated.safetensors") and not is_wanted_from_hub("onnx/config.json")
