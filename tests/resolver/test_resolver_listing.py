"""list_models and ``bothways models``."""

import json
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from bothways.cli.models import models_command
from bothways.errors import UsageError
from bothways.resolver import list_models

from .places import TINY, WEIGHTS, install_package, make_model, make_snapshot


@pytest.fixture
def run():
    app = typer.Typer()
    app.command("models")(models_command)
    return lambda *arguments: CliRunner().invoke(app, list(arguments), catch_exceptions=False, env={"COLUMNS": "150"})


def test_a_known_model_that_is_not_here(connections):
    (entry,) = list_models()
    assert (entry.name, entry.where, entry.path, entry.size_bytes) == ("tiny-model", "can be downloaded", None, 5120)
    assert connections == []


def test_models_of_every_place(tmp_path, home, monkeypatch, connections):
    known = make_model(home / "models/tiny-model")
    own = make_model(home / "models/own")
    make_model(home / "models/own.refused-1")
    monkeypatch.syspath_prepend(tmp_path / "site")
    install_package(tmp_path / "site", "their_models", {"theirs": "their_models:m", "bad": "x:y"}, ("their_models/m",))
    cached = make_snapshot(tmp_path / "hub", "org/cached")
    make_snapshot(tmp_path / "hub", "org/Tiny-Model")
    entries = [entry for entry in list_models() if entry.name != "minilm-l6"]
    assert [(entry.name, entry.where, entry.path) for entry in entries] == [
        ("tiny-model", "store", known),
        ("own", "store", own),
        ("theirs", "package", tmp_path / "site/their_models/m"),
        ("org/cached", "hub cache", cached),
    ]
    assert entries[0].parameters == TINY.parameters and entries[0].licence == "Apache-2.0"
    assert entries[1].parameters is None and entries[1].description == "bert checkpoint"
    assert entries[1].size_bytes == sum(path.stat().st_size for path in own.iterdir())
    assert connections == []


def test_damaged_weights_do_not_count_as_here(home):
    make_model(home / "models/tiny-model", bytes(len(WEIGHTS)))
    assert list_models()[0].where == "can be downloaded"


def test_a_damaged_configuration_does_not_stop_the_list(home):
    (make_model(home / "models/own") / "config.json").write_text("{")
    assert list_models()[1].description == "no readable config.json"


def test_the_table(run, home):
    result = run()
    assert result.exit_code == 0
    assert "tiny-model" in result.stdout and "can be downloaded" in result.stdout and "Apache-2.0" in result.stdout
    assert "bothways models --download tiny-model" in result.stdout
    assert str(home / "models") in result.stdout


def test_json(run):
    (entry,) = json.loads(run("--json").stdout)
    assert entry == {
        "name": "tiny-model",
        "where": "can be downloaded",
        "path": None,
        "size_bytes": 5120,
        "parameters": 1280,
        "licence": "Apache-2.0",
        "description": "for tests",
        "score": "",
    }


def test_download_puts_a_model_into_the_store(run, tmp_path, home):
    make_snapshot(tmp_path / "hub", "org/Tiny-Model")
    result = run("--download", "Tiny", "--json")
    assert json.loads(result.stdout) == {"name": "Tiny", "path": str(home / "models/tiny-model")}
    assert (home / "models/tiny-model/model.safetensors").read_bytes() == WEIGHTS
    assert not (home / "models/tiny-model/model.safetensors").is_symlink()
    assert run("--download", "tiny-model").stdout == f"tiny-model is in {home / 'models/tiny-model'}\n"


def test_download_of_a_directory_is_refused(run, tmp_path):
    with pytest.raises(UsageError, match="is a directory on this machine already"):
        run("--download", str(tmp_path))


def test_importing_the_command_imports_nothing_heavy():
    code = (
        "import sys, bothways.cli.models; print([m for m in ('torch', 'rich', 'huggingface_hub') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
