"""The local model store: one directory for each model, whole or not there.

A model is put together in a staging directory beside its place and then renamed. A staging directory is locked by its
process; the lock goes when the process ends, however it ends, and the next writer removes what was left.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bothways.errors import UsageError
from bothways.resolver.names import is_model_file, store_key
from bothways.resolver.request import Missed, Request

_STAGING = ".staging-"
_LOCK = "lock"
_DAY_S = 86_400
_SET_ASIDE = ".refused-"


def store_directory() -> Path:
    """``$BOTHWAYS_HOME/models``, else ``bothways/models`` in the platform's cache directory. It need not exist."""
    home = os.environ.get("BOTHWAYS_HOME")
    if home:
        return Path(home).expanduser().absolute() / "models"
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
        return Path(local) / "bothways" / "Cache" / "models"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "bothways" / "models"
    cache = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification says to ignore relative paths.
    return (Path(cache) if os.path.isabs(cache) else Path.home() / ".cache") / "bothways" / "models"


def find_in_store(request: Request) -> Path:
    """The model's directory in the store, or ``Missed``."""
    key = store_key(request.name)
    if key is None:
        raise Missed(f"{request.name!r} is not a name that it can hold (letters, digits, '.', '_', '-', one '/')")
    directory = store_directory() / key
    if not directory.is_dir():
        raise Missed(f"{directory} is not there")
    return directory


def stored_names() -> list[str]:
    """Names of the directories in the store, sorted."""
    try:
        found = [path.name for path in store_directory().iterdir() if path.is_dir()]
    except OSError:
        return []
    return sorted(name for name in found if store_key(name) == name and _SET_ASIDE not in name)


def store_model(directory: str | os.PathLike[str], name: str) -> Path:
    """Copy the model files of a directory into the store under ``name``; a model that is there already is kept.

    Raises:
        UsageError: the store cannot hold that name, or the directory has no model files.
    """
    key = store_key(name)
    if key is None:
        raise UsageError(
            f"{name!r} cannot be a name in the model store: use letters, digits, '.', '_', '-' and one '/'."
        )
    target = store_directory() / key
    if target.is_dir():
        return target
    files = [path for path in Path(directory).iterdir() if path.is_file() and is_model_file(path.name)]
    if not files:
        raise UsageError(f"{directory} has no model files (config.json, model.safetensors, …).")
    with staging_directory() as staging:
        model = staging / "model"
        model.mkdir()
        for path in files:
            shutil.copyfile(path, model / path.name)  # follows the links of the hub's cache
        return publish(model, key, is_good=lambda existing: True)


def publish(model: Path, key: str, *, is_good: Callable[[Path], bool]) -> Path:
    """Rename a finished directory to its place in the store.

    If another process was faster and ``is_good`` agrees, its directory is used. One that is not good is set aside
    under another name: it may be somebody's work, so it is never deleted.
    """
    from bothways.files import flush_to_disk

    target = store_directory() / key
    for path in (*model.iterdir(), model):
        flush_to_disk(path)
    for number in range(1, 1000):
        try:
            os.rename(model, target)
        except OSError:
            if not target.is_dir():
                raise
        else:
            flush_to_disk(target.parent)
            return target
        if is_good(target):
            return target
        aside = target.with_name(f"{key}{_SET_ASIDE}{number}")
        if not aside.exists():
            os.rename(target, aside)
            print(f"{target} does not hold the published {key}; it is now {aside.name}.", file=sys.stderr)
    raise OSError(f"{target} cannot be replaced")


@contextmanager
def staging_directory() -> Iterator[Path]:
    """A locked, empty directory on the store's file system. It is removed at the end, or by a later call if killed."""
    store = store_directory()
    store.mkdir(parents=True, exist_ok=True)
    _remove_stale(store)
    staging, lock = _make_staging(store)
    try:
        yield staging
    finally:
        if os.name == "nt":
            os.close(lock)  # Windows removes no file that is open
            shutil.rmtree(staging, ignore_errors=True)
        else:
            shutil.rmtree(staging, ignore_errors=True)
            os.close(lock)


def _make_staging(store: Path) -> tuple[Path, int]:
    import tempfile

    for _ in range(100):
        staging = Path(tempfile.mkdtemp(dir=store, prefix=_STAGING))
        try:
            lock = os.open(staging / _LOCK, os.O_RDWR | os.O_CREAT)
        except FileNotFoundError:
            continue  # a cleaner saw it before the lock was there
        if _lock(lock) is not False and (staging / _LOCK).exists():
            return staging, lock
        os.close(lock)
    raise OSError(f"no staging directory could be made in {store}")


def _remove_stale(store: Path) -> None:
    for staging in store.glob(f"{_STAGING}*"):
        try:
            lock = os.open(staging / _LOCK, os.O_RDWR | os.O_CREAT)
        except OSError:
            continue
        try:
            locked = _lock(lock)
            if locked or (locked is None and _age_s(staging) > _DAY_S):
                shutil.rmtree(staging, ignore_errors=True)
        finally:
            os.close(lock)


def _lock(handle: int) -> bool | None:
    """Lock an open file: True if it is ours now, False if another process has it, None where locks do not work."""
    try:
        import fcntl
    except ImportError:  # Windows
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a network file system without locks
        return None
    return True


def _age_s(path: Path) -> float:
    import time

    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0
