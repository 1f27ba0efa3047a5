"""Files that are either whole or not there, and JSON that is bounded.

Everything the library writes goes to a temporary name in the same directory, is flushed to the disk and renamed.
"""

from __future__ import annotations

import errno
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bothways.errors import BothwaysError

MAX_JSON_BYTES = 64 * 2**20  # the largest tokenizer.json in wide use has about 35 MB


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success flush it and rename it to ``path``, else remove it.

    A link is followed; a device or pipe is written to as it is.
    """
    target = Path(path).resolve()
    if target.exists() and not target.is_file() and not target.is_dir():
        yield target
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        flush_to_disk(temporary)
        os.chmod(temporary, 0o666 & ~umask())
        os.replace(temporary, target)
        flush_to_disk(target.parent)
    except BaseException as problem:
        temporary.unlink(missing_ok=True)
        if isinstance(problem, OSError) and problem.filename in (None, name):
            problem.filename = str(target)  # writing does not say where
        raise


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write UTF-8 text, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write indented JSON with a final newline, whole or not at all. NaN is refused: it is not JSON."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: str | os.PathLike[str], *, error: type[BothwaysError] = BothwaysError) -> Any:
    """Read one JSON file.

    Raises:
        error: not a regular file, larger than 64 MiB, not UTF-8, not JSON, or a key that occurs twice in one object.
    """
    path = Path(path)
    if not path.is_file():
        raise error(f"{path} is not a file.")
    size = path.stat().st_size
    if size > MAX_JSON_BYTES:
        raise error(f"{path} has {size:,} bytes; JSON files up to {MAX_JSON_BYTES:,} bytes are read.")
    try:
        return json.loads(
            path.read_bytes().decode("utf-8"), object_pairs_hook=lambda pairs: _unique(pairs, path, error)
        )
    except BothwaysError:
        raise
    except UnicodeDecodeError as problem:
        raise error(f"{path} is not UTF-8 text (byte {problem.start}).") from None
    except json.JSONDecodeError as problem:
        raise error(f"{path} is not JSON: {problem.msg} at line {problem.lineno}, column {problem.colno}.") from None
    except (RecursionError, ValueError):
        raise error(f"{path} has numbers too long, or is nested too deeply, to be a configuration.") from None


def flush_to_disk(path: Path) -> None:
    """``fsync`` a file or a directory. Directories cannot be opened on Windows, where renaming is already durable."""
    directory = path.is_dir()
    if os.name == "nt" and directory:
        return
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)  # Windows flushes only what may be written
    try:
        os.fsync(handle)
    except OSError as problem:
        if not directory or problem.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise  # some network file systems flush no directories; their renames are as durable as they can be
    finally:
        os.close(handle)


def _unique(pairs: list[tuple[str, Any]], path: Path, error: type[BothwaysError]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise error(f"{path} has the key {key!r} twice.")
        result[key] = value
    return result


def umask() -> int:
    """The mask of permissions that new files get in this process."""
    current = os.umask(0)
    os.umask(current)
    return current
