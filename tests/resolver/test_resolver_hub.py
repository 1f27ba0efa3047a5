"""The hub, played by a small server on the loopback interface that speaks the hub's protocol."""

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bothways.errors import ModelNotFoundError
from bothways.resolver import hub, resolve_model
from bothways.resolver.hub import find_in_hub_cache
from bothways.resolver.request import Missed, Request

from .places import CONFIG, WEIGHTS, make_snapshot

COMMIT = "89abcdef0123456789abcdef0123456789abcdef"
FILES = {
    "config.json": CONFIG,
    "model.safetensors": WEIGHTS,
    "vocab.txt": b"[PAD]\n",
    "pytorch_model.bin": b"a pickle",
    "modeling.py": b"raise SystemExit",
    "onnx/config.json": b"{}",
}


@contextmanager
def serving(handler):
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def hub_handler(files, requests, status=200, broken=()):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.path)
            if status != 200:
                return self._send(b"{}", status=status)
            if self.path.startswith("/api/models/org/Tiny-Model"):
                siblings = [{"rfilename": name, "size": len(content)} for name, content in files.items()]
                info = {"id": "org/Tiny-Model", "modelId": "org/Tiny-Model", "sha": COMMIT, "siblings": siblings}
                return self._send(json.dumps(info).encode())
            name = self.path.partition(f"/resolve/{COMMIT}/")[2]
            if name not in files:
                return self._send(b"{}", status=404, **{"X-Error-Code": "RepoNotFound"})
            tag = hashlib.sha1(files[name]).hexdigest()
            if name in broken and self.command == "GET":
                return self._send(b"{}", status=500)
            return self._send(files[name], ETag=f'"{tag}"', **{"X-Repo-Commit": COMMIT})

        do_HEAD = do_GET

        def _send(self, content, status=200, **headers):
            self.send_response(status)
            for key, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        def log_message(self, *args):
            pass

    return Handler


@pytest.fixture(autouse=True)
def direct(monkeypatch, tmp_path):
    """No proxy, no token, no package index."""
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.lower(), raising=False)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no token"))


def test_data_files_are_downloaded_into_the_hubs_cache(tmp_path, monkeypatch, capfd):
    requests = []
    with serving(hub_handler(FILES, requests)) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        directory = resolve_model("tiny-model")
    assert directory == tmp_path / "hub/models--org--Tiny-Model/snapshots" / COMMIT
    assert sorted(p.name for p in directory.rglob("*")) == ["config.json", "model.safetensors", "vocab.txt"]
    assert not [path for path in requests if path.endswith((".bin", ".py"))]
    lines = capfd.readouterr().err.splitlines()
    assert lines == ["tiny-model is not on this machine: downloading 5 kB from the Hugging Face hub."]
    assert resolve_model("tiny-model", local_files_only=True) == directory


def test_wrong_weights_on_the_hub_are_refused(monkeypatch):
    with serving(hub_handler({**FILES, "model.safetensors": bytes(len(WEIGHTS))}, [])) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        with pytest.raises(ModelNotFoundError, match="the Hugging Face hub: refused: .* has sha256"):
            resolve_model("tiny-model")


def test_an_unknown_repository(monkeypatch):
    with serving(hub_handler(FILES, [])) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        with pytest.raises(ModelNotFoundError, match="the Hugging Face hub: it has no org/absent, or .* private"):
            resolve_model("org/absent")


def test_a_hub_with_troubles_is_asked_once(monkeypatch):
    requests = []
    with serving(hub_handler(FILES, requests, status=500)) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        with pytest.raises(ModelNotFoundError, match="the Hugging Face hub: it answered with HTTP status 500"):
            resolve_model("org/Tiny-Model", revision="v1")
    assert len(requests) == 1


def test_a_repository_without_safetensors_still_gives_its_tokenizer(monkeypatch):
    files = {name: FILES[name] for name in ("config.json", "vocab.txt", "pytorch_model.bin")}
    with serving(hub_handler(files, [])) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        directory = resolve_model("org/Tiny-Model", revision="v1")
    assert sorted(p.name for p in directory.iterdir()) == ["config.json", "vocab.txt"]


def test_a_hub_that_never_answers(monkeypatch):
    """The call is given up although its thread goes on: packets are dropped somewhere."""
    waiting = threading.Event()
    with pytest.raises(TimeoutError):
        hub._within(0.01, waiting.wait)
    waiting.set()
    assert hub._within(60, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        hub._within(60, lambda: 1 / 0)
    monkeypatch.setenv("HF_HUB_ETAG_TIMEOUT", "3")
    sentence = hub._sentence(TimeoutError(), "org/x", Request(name="org/x"))
    assert sentence == "no answer in time (HF_HUB_ETAG_TIMEOUT is 3 s)"


def test_missing_shards_are_noticed(tmp_path):
    snapshot = make_snapshot(tmp_path / "hub", "org/big", None)
    index = {"weight_map": {"a": "model-1-of-2.safetensors", "b": "model-2-of-2.safetensors"}}
    (snapshot / "model.safetensors.index.json").write_text(json.dumps(index))
    (snapshot / "model-1-of-2.safetensors").write_bytes(b"")
    with pytest.raises(Missed, match=r"1 shards missing, first model-2-of-2\.safetensors") as missed:
        find_in_hub_cache(Request(name="org/big"))
    assert missed.value.incomplete == snapshot
    (snapshot / "model-2-of-2.safetensors").write_bytes(b"")
    assert find_in_hub_cache(Request(name="org/big")) == snapshot
