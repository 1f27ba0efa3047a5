"""An environment in which nothing of this machine is found by chance."""

import os
import socket

import pytest

from bothways.resolver import box, known

from .places import TINY


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """An empty home, store, box and hub cache; TINY is the only known model; an empty current directory."""
    for variable in (
        "BOTHWAYS_OFFLINE",
        "HF_HUB_OFFLINE",
        "TRANSFORMERS_OFFLINE",
        "HF_ENDPOINT",
        "HF_HUB_ETAG_TIMEOUT",
    ):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("BOTHWAYS_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(known, "KNOWN_MODELS", (TINY,))
    monkeypatch.setattr(box, "BOX_DIRECTORY", tmp_path / "box")
    (tmp_path / "current").mkdir()
    monkeypatch.chdir(tmp_path / "current")
    return tmp_path / "home"


@pytest.fixture
def connections(monkeypatch):
    """Addresses that something tried to connect to; every attempt fails."""
    attempts = []

    def refuse(self, address):
        attempts.append(address)
        raise ConnectionRefusedError("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: refuse(None, a))
    return attempts


@pytest.fixture
def wheels(tmp_path, monkeypatch):
    """An empty directory of wheels, the only package index that pip can see."""
    directory = tmp_path / "wheels"
    directory.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(directory))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("HF_HUB_ETAG_TIMEOUT", "1")
    return directory


@pytest.fixture
def no_hub(monkeypatch):
    """The hub does not answer."""
    from bothways.resolver import hub

    def fail(hub_id, request):
        raise hub.Missed("not reachable (test)")

    monkeypatch.setattr(hub, "_wanted_files", fail)
