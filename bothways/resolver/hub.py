"""The Hugging Face hub and its cache on this machine, through ``huggingface_hub``."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from bothways.resolver.names import is_hub_id, is_wanted_from_hub
from bothways.resolver.request import Missed, Request, announce_download

T = TypeVar("T")

ANSWER_TIMEOUT_S = 5.0
"""For one attempt to connect or one answer about a file, unless ``HF_HUB_ETAG_TIMEOUT`` says otherwise."""


def find_in_hub_cache(request: Request) -> Path:
    """The snapshot that an earlier download by any program left, or ``Missed``."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    hub_id = _hub_id(request)
    try:
        snapshot = snapshot_download(
            hub_id, revision=request.revision, cache_dir=request.cache_dir, local_files_only=True
        )
    except (LocalEntryNotFoundError, OSError):
        asked = "" if request.revision is None else f" at revision {request.revision!r}"
        raise Missed(f"it has no {hub_id}{asked}") from None
    return _complete(Path(snapshot), "it has an unfinished download of")


def download_from_hub(request: Request) -> Path:
    """Download the data files of a repository into the hub's cache, or ``Missed``. Pickles and code are left there."""
    import glob

    from huggingface_hub import snapshot_download

    hub_id = _hub_id(request)
    if request.no_network is not None:
        raise Missed(f"not asked: {request.no_network}")
    sizes = _wanted_files(hub_id, request)
    if not sizes:
        raise Missed(f"{hub_id} has no .json, .txt, .model or .safetensors files at the top level")
    known_sizes = [size for size in sizes.values() if size is not None]
    announce_download(request, sum(known_sizes) if len(known_sizes) == len(sizes) else None, "the Hugging Face hub")
    try:
        with _bars_only_on_terminals():
            snapshot = snapshot_download(
                hub_id,
                revision=request.revision,
                token=request.token,
                cache_dir=request.cache_dir,
                endpoint=os.environ.get("HF_ENDPOINT"),
                etag_timeout=_answer_timeout_s(),
                allow_patterns=[glob.escape(name) for name in sizes],
            )
    except Exception as problem:
        raise Missed(_sentence(problem, hub_id, request)) from problem
    return _complete(
        Path(snapshot), "the download broke off:", needs_weights=any("model.safetensors" in n for n in sizes)
    )


def _hub_id(request: Request) -> str:
    hub_id = request.name if request.known is None else request.known.hub_id
    if hub_id is None:
        raise Missed("the model is not published there")
    if not is_hub_id(hub_id):
        raise Missed(f"{hub_id!r} cannot be the name of a repository")
    return hub_id


def _wanted_files(hub_id: str, request: Request) -> dict[str, int | None]:
    """Name → bytes of the files to download. Asked first, so that an unreachable hub is known before any promise."""
    from huggingface_hub import HfApi

    timeout_s = _answer_timeout_s()
    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"), token=request.token)
    try:
        info = _within(
            2 * timeout_s,
            lambda: api.model_info(hub_id, revision=request.revision, timeout=timeout_s, files_metadata=True),
        )
    except Exception as problem:
        raise Missed(_sentence(problem, hub_id, request)) from problem
    return {file.rfilename: file.size for file in info.siblings or [] if is_wanted_from_hub(file.rfilename)}


def _complete(snapshot: Path, what: str, *, needs_weights: bool = True) -> Path:
    """The snapshot if all its weights are there. An interrupted download leaves a snapshot with some files missing."""
    single = ("model.safetensors", "adapter_model.safetensors")
    if not needs_weights or any((snapshot / name).is_file() for name in single):
        return snapshot
    index = snapshot / "model.safetensors.index.json"
    if not index.is_file():
        raise Missed(f"{what} {snapshot} (no model.safetensors)", incomplete=snapshot)
    missing = [name for name in _shard_names(index) if not (snapshot / name).is_file()]
    if missing:
        raise Missed(f"{what} {snapshot} ({len(missing)} shards missing, first {missing[0]})", incomplete=snapshot)
    return snapshot


def _shard_names(index: Path) -> list[str]:
    from bothways.errors import BothwaysError
    from bothways.files import read_json

    try:
        return sorted({str(name) for name in read_json(index)["weight_map"].values()})
    except (BothwaysError, KeyError, TypeError, AttributeError) as problem:
        raise Missed(f"{index} cannot be read ({problem})", incomplete=index.parent) from None


def _within(seconds: float, call: Callable[[], T]) -> T:
    """Call in a thread and wait at most ``seconds``.

    A timeout of the connection counts for each address of a host, and not at all for its name; behind a firewall
    that drops packets this adds up to minutes.
    """
    import threading

    outcome: dict[str, Any] = {}

    def run() -> None:
        try:
            outcome["value"] = call()
        except BaseException as problem:
            outcome["problem"] = problem

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise TimeoutError
    if "problem" in outcome:
        raise outcome["problem"]
    return outcome["value"]


def _answer_timeout_s() -> float:
    try:
        return float(os.environ["HF_HUB_ETAG_TIMEOUT"])
    except (KeyError, ValueError):
        return ANSWER_TIMEOUT_S


def _sentence(problem: BaseException, hub_id: str, request: Request) -> str:
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    if isinstance(problem, GatedRepoError):
        return f"{hub_id} is gated: accept its terms on the hub and pass token="
    if isinstance(problem, RepositoryNotFoundError):
        return f"it has no {hub_id}, or the repository is private (pass token=)"
    if isinstance(problem, RevisionNotFoundError):
        return f"{hub_id} has no revision {request.revision!r}"
    if "Timeout" in type(problem).__name__:
        return f"no answer in time (HF_HUB_ETAG_TIMEOUT is {_answer_timeout_s():g} s)"
    status = getattr(getattr(problem, "response", None), "status_code", None)
    if status is not None:
        return f"it answered with HTTP status {status}"
    return f"not reachable ({type(problem).__name__})"


@contextmanager
def _bars_only_on_terminals() -> Iterator[None]:
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    if sys.stderr.isatty() or are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()
