"""Work that was ended anywhere, by a kill, a full disk or Ctrl-C, and gone on with: the same bytes at the end."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bothways import files
from bothways.corpus import build_shards, open_shards, parts, workers, writing
from bothways.errors import BothwaysError, DataError, UsageError
from bothways.run_lock import RunLock
from bothways.tokenizers import AutoTokenizer
from tests.corpus.small import contents, documents, small_parts, wordpiece


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A tokeniser, two files of texts with a duplicate, and the bytes of their shards."""
    directory = tmp_path_factory.mktemp("inputs")
    texts = documents(11)
    names = directory / "a.txt", directory / "b.txt"
    names[0].write_text("\n\n".join([*texts[:5], texts[0]]), encoding="utf-8")
    names[1].write_text("\n\n".join([texts[0], *texts[5:]]), encoding="utf-8")
    tokenizer = wordpiece(directory)
    with pytest.MonkeyPatch.context() as patch:
        small_parts(patch)
        report = build_shards(names, directory / "shards", tokenizer=tokenizer, shard_tokens=60)
    assert report.n_parts > 5 and len(report.manifest.shards) > 3
    return tokenizer, names, contents(directory / "shards")


@pytest.fixture(autouse=True)
def parts_of_few_documents(monkeypatch):
    small_parts(monkeypatch)


def go(inputs, directory, **options):
    tokenizer, names, _ = inputs
    return build_shards(names, directory, tokenizer=tokenizer, shard_tokens=60, **options)


def renames(monkeypatch, act):
    """Have ``act(number, before)`` called around each rename of the library; what it raises is raised there."""
    real, count = os.replace, iter(range(10**6))

    def replace(source, target):
        number = next(count)
        act(number, True)
        real(source, target)
        act(number, False)

    monkeypatch.setattr(files.os, "replace", replace)
    return count


def number_of_renames(inputs, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        count = renames(patch, lambda number, before: None)
        go(inputs, tmp_path / "counted")
    return next(count)


@pytest.mark.parametrize("before", [True, False])
def test_every_place_of_a_failure_is_gone_on_from(inputs, tmp_path, before):
    total = number_of_renames(inputs, tmp_path)
    assert total > 15
    for place in range(total):
        directory = tmp_path / f"at-{place}"

        def fail(number, now, place=place):
            if (number, now) == (place, before):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "shards")

        with pytest.MonkeyPatch.context() as patch:
            renames(patch, fail)
            with pytest.raises(OSError, match="No space left"):
                go(inputs, directory)
        if not (directory / "manifest.json").exists():
            with pytest.raises(DataError, match="give the 'bothways shard' command again"):
                open_shards(directory)
        assert not [path for path in directory.rglob("*.tmp") if path.is_file()]
        done = len(list((directory / "unfinished").glob("part-*.npz")))
        report = go(inputs, directory)
        assert report.n_parts_before == (done if report.n_parts else 0)
        assert contents(directory) == inputs[2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("place", [0, 1, 4, 9, -6, -3, -2, -1])
def test_every_place_of_a_kill_is_gone_on_from(inputs, tmp_path, monkeypatch, place):
    place %= number_of_renames(inputs, tmp_path)
    directory = tmp_path / "shards"
    child = os.fork()
    if not child:
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        renames(monkeypatch, lambda number, before: number == place and before and os.kill(os.getpid(), signal.SIGKILL))
        try:
            go(inputs, directory)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert not (directory / "manifest.json").exists()
    go(inputs, directory)
    assert contents(directory) == inputs[2]
    open_shards(directory, verify=True)


def test_a_kill_behind_the_manifest_leaves_nothing_to_do(inputs, tmp_path, monkeypatch):
    monkeypatch.setattr("bothways.corpus.build.plan.finish", lambda directory: None)
    go(inputs, tmp_path / "shards")
    assert (tmp_path / "shards" / "unfinished").is_dir()
    open_shards(tmp_path / "shards", verify=True)
    assert go(inputs, tmp_path / "shards").n_parts == 0
    assert contents(tmp_path / "shards") == inputs[2]


def test_a_disk_that_fills_while_a_file_is_written(inputs, tmp_path, monkeypatch):
    def full(out, **arrays):
        out.write(b"half of it")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(parts.np, "savez", full)
        with pytest.raises(OSError, match="No space left"):
            go(inputs, tmp_path / "shards")
    assert not list((tmp_path / "shards").rglob("part-*"))
    with monkeypatch.context() as patch:
        patch.setattr(writing.npy, "write_array_header_1_0", full)
        with pytest.raises(TypeError):
            go(inputs, tmp_path / "shards")
    assert not (tmp_path / "shards" / "documents.npy").exists()
    assert go(inputs, tmp_path / "shards").n_parts_before > 5
    assert contents(tmp_path / "shards") == inputs[2]


def test_ctrl_c_keeps_what_is_done(inputs, tmp_path, monkeypatch):
    real = workers.write_part

    def stopped(path, part):
        real(path, part)
        if path.name.endswith("-000002.npz"):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(workers, "write_part", stopped)
        with pytest.raises(KeyboardInterrupt):
            go(inputs, tmp_path / "shards")
    report = go(inputs, tmp_path / "shards")
    assert report.n_parts_before == 3 and report.n_parts > 5
    assert contents(tmp_path / "shards") == inputs[2]


def test_going_on_with_more_processes_and_another_size_of_shards(inputs, tmp_path):
    stop_after(inputs, tmp_path / "shards", 3)
    tokenizer, names, _ = inputs
    report = build_shards(names, tmp_path / "shards", tokenizer=tokenizer, jobs=2)
    assert report.n_parts_before == 3 and len(report.manifest.shards) == 1
    with pytest.MonkeyPatch.context():
        whole = build_shards(names, tmp_path / "whole", tokenizer=tokenizer)
    assert report.manifest == whole.manifest
    assert contents(tmp_path / "shards") == contents(tmp_path / "whole")


def test_a_killed_worker_is_a_sentence(inputs, tmp_path):
    tokenizer, names, expected = inputs
    deadly = Deadly(tokenizer, parent=False)
    with pytest.raises(
        BothwaysError, match="One of the 2 processes that tokenise was killed from outside.*fewer --jobs"
    ):
        build_shards(names, tmp_path / "shards", tokenizer=deadly, jobs=2, shard_tokens=60)
    go(inputs, tmp_path / "shards")
    assert contents(tmp_path / "shards") == expected


def test_no_worker_outlives_its_parent(inputs, tmp_path):
    """The worker holds the other end of the pipe: reading it ends when the worker does."""
    tokenizer, names, expected = inputs
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    program = "import sys; from tests.corpus.test_unfinished_shards import lose_parent; lose_parent(*sys.argv[1:])"
    words = [sys.executable, "-c", program, *names, tmp_path / "tokenizer", tmp_path / "shards"]
    done = subprocess.run(words, capture_output=True, timeout=120, cwd=Path(__file__).parents[2])
    assert done.returncode == -signal.SIGKILL, done.stderr
    go(inputs, tmp_path / "shards")
    assert contents(tmp_path / "shards") == expected


def lose_parent(*words):
    *names, tokenizer, directory = words
    with pytest.MonkeyPatch.context() as patch:
        small_parts(patch)
        deadly = Deadly(AutoTokenizer.from_pretrained(tokenizer), parent=True)
        build_shards(names, directory, tokenizer=deadly, jobs=2, shard_tokens=60)


class Deadly:
    """A tokeniser that kills the process that reads with it, or its parent, unless that process made it."""

    def __init__(self, tokenizer, parent):
        self._own, self._process, self._parent = tokenizer, os.getpid(), parent

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._own, name)

    def __call__(self, *arguments, **options):
        if os.getpid() != self._process:
            os.kill(self._process if self._parent else os.getpid(), signal.SIGKILL)
        return self._own(*arguments, **options)


def stop_after(inputs, directory, count):
    """Leave unfinished work with ``count`` parts."""
    real, made = workers.write_part, iter(range(10**6))

    def stopped(path, part):
        if next(made) == count:
            raise KeyboardInterrupt
        real(path, part)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "write_part", stopped)
        with pytest.raises(KeyboardInterrupt):
            go(inputs, directory)


def test_unfinished_work_of_another_command_is_refused(inputs, tmp_path):
    tokenizer, names, _ = inputs
    directory = tmp_path / "shards"
    stop_after(inputs, directory, 2)
    other = wordpiece(tmp_path, "more")
    for given, files_given, options, sentence in (
        (tokenizer, names, {"divide": "lines"}, "divide was 'blank-lines' and is now 'lines'"),
        (other, names, {}, r"tokenizer was [0-9a-f]{12}… and is now [0-9a-f]{12}…"),
        (tokenizer, names[:1], {}, r"its files were a\.txt, b\.txt and are now a\.txt"),
        (tokenizer, names[::-1], {}, r"its files were a\.txt, b\.txt and are now b\.txt, a\.txt"),
    ):
        with pytest.raises(UsageError, match=f"unfinished shards of another command: {sentence}.*delete .*unfinished"):
            build_shards(files_given, directory, tokenizer=given, shard_tokens=60, **options)
    go(inputs, directory)
    assert contents(directory) == inputs[2]


def test_a_refused_first_file_hinders_no_other_command(inputs, tmp_path):
    tokenizer, names, expected = inputs
    (tmp_path / "film.bin").write_bytes(bytes(range(256)) * 40)
    with pytest.raises(DataError, match=r"film\.bin"):
        build_shards(tmp_path / "film.bin", tmp_path / "shards", tokenizer=tokenizer, shard_tokens=60)
    go(inputs, tmp_path / "shards")
    assert contents(tmp_path / "shards") == expected


def test_two_calls_do_not_share_a_directory(inputs, tmp_path):
    with (
        RunLock(tmp_path / "shards" / "unfinished"),
        pytest.raises(UsageError, match="Another run is writing in .*unfinished"),
    ):
        go(inputs, tmp_path / "shards")
    go(inputs, tmp_path / "shards")
    assert contents(tmp_path / "shards") == inputs[2]


def test_a_source_that_has_changed_since(inputs, tmp_path):
    tokenizer, names, _ = inputs
    own = [shutil.copy(name, tmp_path / name.name) for name in names]
    stop_after((tokenizer, own, None), tmp_path / "shards", 2)
    with open(own[1], "a") as out:
        out.write(" more")
    sizes = f"{names[1].stat().st_size:,} bytes then, {names[1].stat().st_size + 5:,} now"
    with pytest.raises(
        DataError, match=rf"b\.txt has changed since the unfinished run began \({sizes}\).*Give the old"
    ):
        go((tokenizer, own, None), tmp_path / "shards")


def test_a_source_that_changes_while_it_is_read(inputs, tmp_path, monkeypatch):
    tokenizer, names, _ = inputs
    own = shutil.copy(names[0], tmp_path / "a.txt")
    real = workers.write_part

    def meanwhile(path, part):
        real(path, part)
        with open(own, "a") as out:
            out.write("x")

    monkeypatch.setattr(workers, "write_part", meanwhile)
    with pytest.raises(DataError, match=r"a\.txt has changed while it was read"):
        build_shards(own, tmp_path / "shards", tokenizer=tokenizer)


def test_a_damaged_part_is_named(inputs, tmp_path):
    stop_after(inputs, tmp_path / "shards", 2)
    part = next((tmp_path / "shards" / "unfinished").glob("part-*.npz"))
    data = bytearray(part.read_bytes())
    with np.load(part) as found:
        tokens = found["tokens"].tobytes()
    place = bytes(data).index(tokens)
    data[place] ^= 1
    part.write_bytes(data)
    with pytest.raises(DataError, match=rf"{part.name} is damaged .*Delete it and give the command again"):
        go(inputs, tmp_path / "shards")
    part.unlink()
    go(inputs, tmp_path / "shards")
    assert contents(tmp_path / "shards") == inputs[2]
