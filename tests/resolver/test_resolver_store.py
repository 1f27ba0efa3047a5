"""The store: where it is, atomic publication, and what dead processes leave."""

import sys

import pytest

from bothways.errors import UsageError
from bothways.resolver import store
from bothways.resolver.store import publish, staging_directory, store_directory, store_model, stored_names

from .places import make_model


def test_where_the_store_is(monkeypatch, tmp_path):
    assert store_directory() == tmp_path / "home/models"
    monkeypatch.delenv("BOTHWAYS_HOME")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert store_directory() == tmp_path / "xdg/bothways/models"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert store_directory() == tmp_path / ".cache/bothways/models"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert store_directory() == tmp_path / "Library/Caches/bothways/models"


def test_store_model_copies_data_files_only(tmp_path, home):
    source = make_model(tmp_path / "source")
    (source / "pytorch_model.bin").write_bytes(b"a pickle")
    stored = store_model(source, "org/mine")
    assert stored == home / "models/org--mine"
    assert sorted(path.name for path in stored.iterdir()) == ["config.json", "model.safetensors", "vocab.txt"]
    assert stored_names() == ["org--mine"]
    assert [path.name for path in (home / "models").iterdir()] == ["org--mine"]  # no staging directory is left


@pytest.mark.parametrize("name", ["../x", "/x", "C:x", "a\0", "a/b/c", ".x"])
def test_store_model_refuses_names_that_lead_elsewhere(tmp_path, name):
    with pytest.raises(UsageError, match="cannot be a name in the model store"):
        store_model(make_model(tmp_path / "source"), name)


def test_store_model_refuses_a_directory_without_model_files(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="has no model files"):
        store_model(tmp_path / "empty", "mine")


def test_an_interrupted_copy_leaves_nothing(tmp_path, home, monkeypatch):
    def interrupted(source, target):
        target.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(store.shutil, "copyfile", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store_model(make_model(tmp_path / "source"), "mine")
    assert list((home / "models").iterdir()) == []


def test_the_faster_process_wins(tmp_path, home):
    with staging_directory() as staging:
        mine = make_model(staging / "model", b"mine")
        theirs = make_model(home / "models/m", b"theirs")
        assert publish(mine, "m", is_good=lambda existing: existing == theirs) == theirs
    assert (theirs / "model.safetensors").read_bytes() == b"theirs"


def test_a_directory_that_is_not_good_is_set_aside_and_kept(home, capsys):
    for number, content in enumerate((b"first", b"second"), 1):
        make_model(home / "models/m", content) if number == 1 else None
        with staging_directory() as staging:
            mine = make_model(staging / "model", b"second" if number == 1 else b"third")
            publish(mine, "m", is_good=lambda existing: False)
        assert (home / f"models/m.refused-{number}/model.safetensors").read_bytes() == content
        assert f"it is now m.refused-{number}" in capsys.readouterr().err
    assert (home / "models/m/model.safetensors").read_bytes() == b"third"
    assert stored_names() == ["m"]


@pytest.mark.skipif(sys.platform == "win32", reason="directories of dead processes are known by their lock")
def test_only_what_dead_processes_left_is_removed(home):
    dead = home / "models/.staging-dead"
    (dead / "model").mkdir(parents=True)
    with staging_directory() as first:
        assert not dead.exists()
        with staging_directory() as second:
            assert first.is_dir() and second.is_dir() and first != second
    assert list((home / "models").iterdir()) == []
