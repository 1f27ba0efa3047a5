"""A run finds the checkpoint it had or the one it wrote, whole, whatever happens to the process, the disk or a file."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest

from bothways import directories
from bothways.engine import checkpoint_store
from bothways.engine.checkpoint_store import CheckpointStore
from bothways.errors import CheckpointError, UsageError

N_BYTES = 43_008


def files(content: bytes = b"x"):
    """What a run writes: weights, a state, and a file in a directory."""

    def write(directory):
        (directory / "model.safetensors").write_bytes(content * N_BYTES)
        (directory / "state.json").write_bytes(b'{"loss": 0.5}')
        (directory / "tokenizer").mkdir()
        (directory / "tokenizer" / "vocab.txt").write_bytes(b"a\nb\n")

    return write


@pytest.fixture
def store(tmp_path):
    """With checkpoints 10 and 20."""
    store = CheckpointStore(tmp_path / "run")
    store.save(10, files(b"1"))
    store.save(20, files(b"2"))
    return store


def names(store):
    return sorted(path.name for path in store.directory.iterdir())


def test_a_checkpoint_says_what_it_holds(store):
    found = store.newest()
    assert (found.path, found.step, found.skipped) == (store.directory / "checkpoint-20", 20, ())
    assert found.manifest == json.loads((found.path / "checkpoint.json").read_text()) == store.verify(found.path)
    assert {name: record["bytes"] for name, record in found.manifest["files"].items()} == {
        "model.safetensors": 43_008,
        "state.json": 13,
        "tokenizer/vocab.txt": 4,
    }
    assert store.steps() == (10, 20) and store.problems() == ()
    assert store.newest(at_most=19).step == 10 and store.newest(at_most=9) is None


def test_nothing_is_made_before_the_first_save(tmp_path):
    store = CheckpointStore(tmp_path / "a" / "run")
    assert store.steps() == () and store.newest() is None and store.prune() == () and not list(tmp_path.iterdir())
    assert store.save(0, files()) == tmp_path / "a" / "run" / "checkpoint-0"
    assert store.newest().step == 0


def test_other_names_are_not_checkpoints_and_stay(store):
    (store.directory / "checkpoint-best").mkdir()
    (store.directory / "checkpoint-007").mkdir()
    (store.directory / "checkpoint-30").write_text("a file")
    found = CheckpointStore(store.directory, keep=1).newest()
    assert found.step == 20 and found.skipped == (("checkpoint-30", "it is not a directory"),)
    assert CheckpointStore(store.directory, keep=1).prune() == (10,)
    assert names(store) == ["checkpoint-007", "checkpoint-20", "checkpoint-30", "checkpoint-best"]


def test_a_file_that_nobody_listed_does_not_matter(store):
    (store.directory / "checkpoint-20" / "notes.txt").write_text("good one")
    assert store.newest().step == 20


# Damage


def skipped(store):
    """Of a fresh look: checkpoint 20 is passed over for 10, with this reason."""
    found = CheckpointStore(store.directory).newest()
    assert found.step == 10
    ((name, reason),) = found.skipped
    assert name == "checkpoint-20" and store.problems() == found.skipped
    with pytest.raises(CheckpointError) as problem:
        store.verify(store.directory / "checkpoint-20")
    assert str(problem.value) == f"{store.directory / 'checkpoint-20'} cannot be trusted: {reason}."
    return reason


@pytest.mark.parametrize("n", [0, 1, 1_024, 4_095, 4_096, 4_097, 43_007])
def test_a_file_cut_off(store, n):
    os.truncate(store.directory / "checkpoint-20" / "model.safetensors", n)
    assert skipped(store) == f"model.safetensors has {n:,} bytes, 43,008 were written: cut off"


def test_a_file_that_grew(store):
    with open(store.directory / "checkpoint-20" / "state.json", "ab") as file:
        file.write(b"\n")
    assert skipped(store) == "state.json has 14 bytes, 13 were written: something was added"


@pytest.mark.parametrize("i", [0, 8, 21_504, 43_007])
@pytest.mark.parametrize("bit", [0, 7])
def test_a_flipped_bit(store, i, bit):
    with open(store.directory / "checkpoint-20" / "model.safetensors", "r+b") as file:
        file.seek(i)
        file.write(bytes([ord("2") ^ 1 << bit]))
    assert skipped(store).startswith("the content of model.safetensors is not what was written (sha256 ")


def test_every_bit_of_small_files(store):
    for name in ("state.json", "tokenizer/vocab.txt"):
        path = store.directory / "checkpoint-20" / name
        good = path.read_bytes()
        for i in range(len(good) * 8):
            path.write_bytes(flipped(good, i))
            assert f"the content of {name} is not what was written" in skipped(store)
        path.write_bytes(good)


def flipped(raw: bytes, i: int) -> bytes:
    changed = bytearray(raw)
    changed[i // 8] ^= 1 << i % 8
    return bytes(changed)


def test_a_flipped_bit_anywhere_in_the_manifest(store):
    path = store.directory / "checkpoint-20" / "checkpoint.json"
    good = path.read_bytes()
    for i in range(0, len(good) * 8, 5):  # in every byte, and every bit of some
        path.write_bytes(flipped(good, i))
        with pytest.raises(CheckpointError, match="cannot be trusted"):
            store.verify(path.parent)
    assert store.newest().step == 10


def test_the_manifest_cut_off_anywhere(store):
    path = store.directory / "checkpoint-20" / "checkpoint.json"
    good = path.read_bytes()
    for n in range(len(good) - 1):  # without its last byte, an end of line, it is as good
        path.write_bytes(good[:n])
        assert "checkpoint.json is not JSON" in skipped(store)


@pytest.mark.parametrize("name", ["model.safetensors", "state.json", "tokenizer/vocab.txt"])
def test_a_file_that_is_gone_or_something_else(store, name):
    path = store.directory / "checkpoint-20" / name
    path.unlink()
    assert skipped(store) == f"{name} is missing"
    path.mkdir()
    assert skipped(store) == f"{name} is missing"
    path.rmdir()
    path.symlink_to("/nowhere")
    assert skipped(store) == f"{name} is missing"


def test_many_problems_are_counted(store):
    for path in (store.directory / "checkpoint-20").rglob("*"):
        if path.is_file() and path.name != "checkpoint.json":
            path.unlink()
    assert skipped(store).count("missing") == 3
    shutil.rmtree(store.directory / "checkpoint-20")
    store.save(20, lambda directory: [(directory / f"{i}").touch() for i in range(5)])
    shutil.move(store.directory / "checkpoint-20" / "checkpoint.json", store.directory / "m")
    for path in (store.directory / "checkpoint-20").iterdir():
        path.unlink()
    shutil.move(store.directory / "m", store.directory / "checkpoint-20" / "checkpoint.json")
    assert skipped(store) == "0 is missing; 1 is missing; 2 is missing, and 2 more"


def test_a_manifest_that_is_gone(store):
    (store.directory / "checkpoint-20" / "checkpoint.json").unlink()
    assert skipped(store) == "it has no checkpoint.json, without which its files cannot be proved"


def test_a_directory_that_was_renamed(store):
    os.rename(store.directory / "checkpoint-20", store.directory / "checkpoint-30")
    assert store.newest().skipped == (
        ("checkpoint-30", "checkpoint.json says step 20, which is not that of the name checkpoint-30"),
    )
    os.rename(store.directory / "checkpoint-30", store.directory / "best")
    assert store.verify(store.directory / "best")["step"] == 20


@pytest.mark.parametrize(
    "change, said",
    [
        ({"format": 2}, "has the format 2; this version reads 1"),
        ({"step": "20"}, "says step 20, which is not"),
        ({"step": True}, "says step True, which is not"),
        ({"more": 1}, "has not the keys format, step, number and files"),
        ({"files": {}}, "does not list 1 to 10,000 files"),
        ({"files": []}, "does not list 1 to 10,000 files"),
        ({"files": {"../../secret": {"bytes": 1, "sha256": "0" * 64}}}, "'..', which is refused"),
        ({"files": {"/etc/passwd": {"bytes": 1, "sha256": "0" * 64}}}, "'', which is refused"),
        ({"files": {"a": {"bytes": 1}}}, "a has not the keys bytes and sha256"),
        ({"files": {"a": {"bytes": -1, "sha256": "0" * 64}}}, "the bytes or the sha256 of a are none"),
        ({"files": {"a": {"bytes": 1, "sha256": "0" * 63}}}, "the bytes or the sha256 of a are none"),
        ({"files": {"a": {"bytes": 1, "sha256": 7}}}, "the bytes or the sha256 of a are none"),
    ],
)
def test_a_manifest_of_another_form(store, change, said):
    path = store.directory / "checkpoint-20" / "checkpoint.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    assert said in skipped(store)


def test_a_file_that_cannot_be_read(store, monkeypatch):
    def bad_sector(path):
        if path.parent.name == "checkpoint-20":
            raise OSError(errno.EIO, "Input/output error")
        return plain(path)

    plain = checkpoint_store.sha256_of
    monkeypatch.setattr(checkpoint_store, "sha256_of", bad_sector)
    assert skipped(store) == "it cannot be read (Input/output error)"


# Other programs


@pytest.fixture
def foreign(store):
    """As the reference's Trainer leaves it."""
    path = store.directory / "checkpoint-30"
    path.mkdir()
    for name in ("model.safetensors", "optimizer.pt", "trainer_state.json", "training_args.bin"):
        (path / name).write_text(name)
    return path


def test_checkpoints_of_another_program_are_recognised(store, foreign):
    found = store.newest()
    assert found.step == 20
    assert found.skipped == (
        (
            "checkpoint-30",
            "it was written by another program (optimizer.pt is a pickle, which is not opened); only its weights can "
            "be read, as those of a model directory",
        ),
    )


def test_checkpoints_of_another_program_are_never_lost(store, foreign):
    assert CheckpointStore(store.directory, keep=1).prune() == (10,)
    assert store.save(30, files(b"3")) == foreign
    assert store.newest().step == 30
    assert (store.directory / "checkpoint-30.foreign-1" / "optimizer.pt").read_text() == "optimizer.pt"
    assert names(store) == ["checkpoint-20", "checkpoint-30", "checkpoint-30.foreign-1"]


# Writing


@pytest.mark.parametrize("exchange", [True, False])
def test_a_step_that_is_there_is_replaced(store, monkeypatch, exchange):
    if not exchange:
        monkeypatch.setattr(directories, "_exchange", lambda *paths: False)
    store.save(20, files(b"3"))
    assert (store.newest().path / "model.safetensors").read_bytes() == b"3" * N_BYTES
    assert names(store) == ["checkpoint-10", "checkpoint-20"]


def test_a_link_that_is_there_is_replaced_and_not_what_it_leads_to(store, tmp_path):
    os.rename(store.directory / "checkpoint-20", tmp_path / "elsewhere")
    (store.directory / "checkpoint-20").symlink_to(tmp_path / "elsewhere")
    assert store.newest().step == 20
    store.save(20, files(b"3"))
    assert not (store.directory / "checkpoint-20").is_symlink() and (tmp_path / "elsewhere" / "state.json").exists()
    assert names(store) == ["checkpoint-10", "checkpoint-20"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_an_error_while_writing_leaves_nothing(store, error):
    def write(directory):
        files()(directory)
        raise error

    with pytest.raises(error):
        store.save(30, write)
    assert names(store) == ["checkpoint-10", "checkpoint-20"]


def test_what_could_not_be_verified_is_not_written(store):
    with pytest.raises(CheckpointError, match="does not list 1 to 10,000 files"):
        store.save(30, lambda directory: None)
    with pytest.raises(CheckpointError, match="names the file 'a:b', which is refused"):
        store.save(30, lambda directory: (directory / "a:b").touch())
    with pytest.raises(UsageError, match="The step -1 cannot name a checkpoint"):
        store.save(-1, files())
    assert names(store) == ["checkpoint-10", "checkpoint-20"]


def test_every_file_and_directory_is_flushed_before_it_is_in_its_place(store, monkeypatch):
    events = []
    flush, take = directories.flush_to_disk, directories._take_place
    monkeypatch.setattr(directories, "flush_to_disk", lambda path: (events.append(path.name), flush(path)))
    monkeypatch.setattr(directories, "_take_place", lambda *paths: (events.append("rename"), take(*paths)))
    store.save(30, files())
    inside = {"model.safetensors", "state.json", "tokenizer", "vocab.txt", "checkpoint.json"}
    assert set(events[:5]) == inside and events[5].endswith(".tmp") and events[6:] == ["rename", "run"]


def full(directory):
    files()(directory)
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk(store, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1_234))
    with pytest.raises(CheckpointError) as problem:
        store.save(30, full)
    assert str(problem.value) == (
        f"{store.directory / 'checkpoint-30'} could not be written: No space left on device. 43,025 bytes of it were "
        "there when that happened, so it needs more than that; without it 1,234 bytes are free on the disk. The last "
        "good one is checkpoint-20 of 43,025 bytes; a new start goes on from it."
    )
    assert names(store) == ["checkpoint-10", "checkpoint-20"] and store.problems() == ()


def test_a_full_disk_while_a_checkpoint_is_replaced(store):
    with pytest.raises(CheckpointError, match="The last good one is checkpoint-20 of"):
        store.save(20, full)
    assert (store.newest().path / "model.safetensors").read_bytes() == b"2" * N_BYTES


def test_a_full_disk_that_the_writer_of_weights_reports(store, monkeypatch):
    def write(directory):
        try:
            full(directory)
        except OSError as problem:
            raise CheckpointError("The disk is full.") from problem

    with pytest.raises(CheckpointError, match="checkpoint-30 could not be written: No space left on device. 43,025"):
        store.save(30, write)


def test_an_error_that_is_not_of_the_disk_is_not_called_one(store):
    def write(directory):
        raise CheckpointError("lr_lambdas[0] is a function")

    with pytest.raises(CheckpointError, match=r"^lr_lambdas\[0\] is a function$"):
        store.save(30, write)


@pytest.mark.parametrize("limit", [0, 10, 4_096, 43_007])
def test_a_disk_that_takes_no_more(store, limit):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))  # Python ignores SIGXFSZ
    try:
        with pytest.raises(CheckpointError, match=f"File too large. {limit:,} bytes of it were there") as problem:
            store.save(30, files())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "The last good one is checkpoint-20" in str(problem.value)
    assert names(store) == ["checkpoint-10", "checkpoint-20"] and store.problems() == ()


def test_a_flush_that_fails(store, monkeypatch):
    def fsync(handle):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(CheckpointError, match="Input/output error. 43,025 bytes|Input/output error. 43,"):
        store.save(30, files())
    assert names(store) == ["checkpoint-10", "checkpoint-20"]


def test_a_directory_that_cannot_be_written(store, monkeypatch, tmp_path):
    def mkdir(*args, **options):
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(os, "mkdir", mkdir)
        with pytest.raises(CheckpointError, match="Read-only file system. 0 bytes of it.* is checkpoint-20"):
            store.save(30, files())
        with pytest.raises(CheckpointError, match="Read-only file system.*No earlier one can be read."):
            CheckpointStore(tmp_path / "new").save(1, files())
    assert names(store) == ["checkpoint-10", "checkpoint-20"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root writes everywhere")
def test_a_directory_without_permission(store):
    os.chmod(store.directory, 0o500)
    try:
        with pytest.raises(CheckpointError, match="Permission denied"):
            store.save(30, files())
    finally:
        os.chmod(store.directory, 0o700)


def test_a_file_in_place_of_the_directory(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(UsageError, match="run is a file; a directory for checkpoints is expected"):
        CheckpointStore(tmp_path / "run")


def test_a_directory_that_cannot_be_listed_is_not_an_empty_one(store, monkeypatch):
    def listdir(path):
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(os, "listdir", listdir)
    for ask in (store.steps, store.newest, store.problems):
        with pytest.raises(CheckpointError, match=f"in {store.directory} cannot be listed: Stale file handle"):
            ask()
    with pytest.raises(CheckpointError, match="No space left on device.*No earlier one can be read."):
        store.save(30, full)


# Removing


def test_the_newest_and_the_protected_stay(tmp_path):
    store = CheckpointStore(tmp_path, keep=2)
    for step in (10, 20, 30, 40, 100):
        store.save(step, files())
    assert store.prune(protected=[20]) == (30, 10)
    assert store.steps() == (20, 40, 100) and store.prune(protected=[20]) == ()
    assert store.prune() == (20,)
    assert CheckpointStore(tmp_path).prune() == ()
    with pytest.raises(UsageError, match="^0 checkpoints are to be kept; at least 1"):
        CheckpointStore(tmp_path, keep=0)


def test_damaged_ones_do_not_count(tmp_path):
    for step in (10, 20, 30, 40):
        CheckpointStore(tmp_path).save(step, files())
    os.truncate(tmp_path / "checkpoint-40" / "state.json", 3)
    os.truncate(tmp_path / "checkpoint-10" / "state.json", 3)
    assert CheckpointStore(tmp_path, keep=1).prune() == (20, 10)
    assert CheckpointStore(tmp_path).newest().step == 30


def test_one_that_cannot_be_removed_is_still_whole(store, monkeypatch):
    def rename(*paths):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(CheckpointError, match="checkpoint-10 could not be removed: Operation not permitted"):
        CheckpointStore(store.directory, keep=1).prune()
    assert store.problems() == () and store.steps() == (10, 20)


# Death

DRIVER = '''
"""Kill a save at each of its file events; print a line (events, step found, content found) for each of them."""

import os, shutil, signal, sys
from pathlib import Path

from bothways import directories
from bothways.engine.checkpoint_store import CheckpointStore

root, step, exchange = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "exchange"
EVENTS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.listdir", "os.scandir", "shutil.rmtree"}
n_events = 0
in_child = False


def event(*about):
    global n_events
    if in_child and (not about or about[0] in EVENTS):
        n_events += 1
        if n_events == fatal:
            os.kill(os.getpid(), signal.SIGKILL)


def write(content):
    def put(directory):
        with open(directory / "model.safetensors", "wb", buffering=0) as file:
            for _ in range(3):
                file.write(content * 1000)
                event()
        (directory / "more").mkdir()
        (directory / "more" / "state.json").write_bytes(content)

    return put


def child():
    global in_child
    os.fsync = lambda handle: event()
    rename = directories._exchange
    directories._exchange = lambda *paths: exchange and (event(), rename(*paths), event())[1]
    sys.addaudithook(event)
    in_child = True
    store.save(step, write(b"new"))
    store.prune()
    os._exit(0)


os.fsync = lambda handle: None  # a process that is killed loses nothing that it wrote
template = CheckpointStore(root.with_name("template"))
for earlier in (5, 10, 20):
    template.save(earlier, write(b"old"))
for fatal in range(1, 1000):
    shutil.copytree(template.directory, root)
    store = CheckpointStore(root, keep=2)
    process = os.fork()
    if process == 0:
        child()
    status = os.waitpid(process, 0)[1]
    lines = []
    for first in (True, False):  # before and after what was left is swept away
        look = store if first else CheckpointStore(root, keep=2)
        found = look.newest()
        assert look.problems() == (), look.problems()
        lines.append((found.step, (found.path / "more" / "state.json").read_text()))
    assert all(name.startswith("checkpoint-") for name in os.listdir(root)), os.listdir(root)
    assert set(look.steps()) <= {5, 10, 20, step} and len(look.steps()) >= 2
    print(fatal, *lines[0], *lines[1])
    shutil.rmtree(root)
    if status == 0:
        break
'''


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("way", ["exchange", "step aside"])
@pytest.mark.parametrize("step", [20, 30])
def test_kill_9_at_every_event_leaves_the_old_or_the_new_one(tmp_path, step, way):
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, str(tmp_path / "run"), str(step), way],
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert len(lines) > 30  # so many events does a save have, at least
    old, new = ["20", "old"], [str(step), "new"]
    after = [line[3:] for line in lines]
    assert after[0] == old and after[-1] == new and sorted(after, key=lambda found: found == new) == after
    assert all(found in (old, new) for found in after)
    before = [line[1:3] for line in lines]
    if way == "exchange" or step == 30:
        assert all(found in (old, new) for found in before)
    else:  # between two renames there is neither, until the next start puts the old one back
        assert ["10", "old"] in before and all(found in (old, new, ["10", "old"]) for found in before)


def test_a_run_that_begins_anew_is_newer_than_what_lay_there(tmp_path):
    earlier = CheckpointStore(tmp_path)
    for step in (10, 20):
        earlier.save(step, lambda place: (place / "weights").write_text("earlier"))
    store = CheckpointStore(tmp_path, keep=2)
    store.save(5, lambda place: (place / "weights").write_text("anew"))
    assert store.newest().step == 5
    assert store.prune() == (10,)
    store.save(10, lambda place: (place / "weights").write_text("anew"))
    assert store.prune() == (20,) and store.newest().step == 10
