"""From a model name to a directory: the places in order, and the sentence when none has it."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bothways.errors import ModelNotFoundError, nearest
from bothways.resolver import hub, package_index, packages, store
from bothways.resolver.box import BoxModel, box_models, find_boxed, nearest_in_box
from bothways.resolver.known import DEFAULT_MODEL, find_known, known_models
from bothways.resolver.names import looks_like_path, store_key
from bothways.resolver.request import Missed, Request
from bothways.resolver.verify import check_weights

logger = logging.getLogger("bothways")
OFFLINE_VARIABLES = ("BOTHWAYS_OFFLINE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")


@dataclass(frozen=True, kw_only=True)
class Place:
    """Somewhere a model can be."""

    title: str
    """As the list of what was tried names it."""
    where: str
    """As the table of models names it."""
    find: Callable[[Request], Path]
    """Gives a directory or raises ``Missed``."""
    has_revisions: bool = False


LOCAL_PLACES = (
    Place(title="the model store", where="store", find=store.find_in_store),
    Place(title="installed packages", where="package", find=packages.find_in_packages),
    Place(title="the hub's cache", where="hub cache", find=hub.find_in_hub_cache, has_revisions=True),
)
REMOTE_PLACES = (
    Place(title="the Hugging Face hub", where="hub cache", find=hub.download_from_hub, has_revisions=True),
    Place(title="the package index", where="store", find=package_index.download_from_package_index),
)


@dataclass(frozen=True, kw_only=True)
class Search:
    """Outcome of a search: a directory, or what was tried."""

    path: Path | None
    place: Place | None
    tried: tuple[tuple[str, str], ...]
    """(title of the place, reason)."""
    incomplete: Path | None = None
    """A directory without weights, seen on the way."""


def resolve_model(
    name_or_path: str | os.PathLike[str],
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
    cache_dir: str | os.PathLike[str] | None = None,
) -> Path:
    """Find a model: a directory, the local store, the box of this library, an installed package, the hub's cache, the
    hub, the package index.

    Args:
        name_or_path: an existing directory (returned as it is), a known name such as ``minilm-l6``, or a hub id.
        revision: branch, tag or commit on the hub. Anything but None and ``"main"`` is looked for there only; the box
            has none, and what it has is returned.
        token: for private repositories on the hub; True uses the stored one.
        local_files_only: never use the network. So do the environment variables ``BOTHWAYS_OFFLINE`` and
            ``HF_HUB_OFFLINE``.
        cache_dir: the hub's cache directory, if not the usual one.

    Returns:
        A directory. The weights of known models have been checked against their published hash; the content of
        other directories is for the caller to check.

    Raises:
        ModelNotFoundError: nothing has it; the message lists what was tried, in order, and what to do.
    """
    directory = _as_directory(name_or_path)
    if directory is not None:
        return directory
    name = os.fspath(name_or_path)
    boxed = find_boxed(name)
    if boxed is not None and boxed.path is not None and not _is_stored(name):
        if revision not in (None, "main"):
            _say_no_revisions(boxed.name, revision)
        return boxed.path
    request = _request(name, revision, token, cache_dir, _why_no_network(local_files_only))
    found = search(request, (*LOCAL_PLACES, *REMOTE_PLACES))
    if found.path is not None:
        return found.path
    if found.incomplete is not None:
        return found.incomplete
    raise ModelNotFoundError(_not_found(name, request, found, boxed))


def search(request: Request, places: Sequence[Place]) -> Search:
    """Ask the places in order; the first that has the model, with the right weights if it is known, wins."""
    tried = []
    incomplete = None
    for place in places:
        try:
            if request.revision is not None and not place.has_revisions:
                raise Missed(f"not asked: it has no revisions, and {request.revision!r} is wanted")
            path = place.find(request)
            if request.known is not None:
                check_weights(path, request.known)
        except Missed as missed:
            tried.append((place.title, str(missed)))
            incomplete = incomplete or missed.incomplete
        else:
            return Search(path=path, place=place, tried=tuple(tried))
    # Weights that were refused must not come back as a directory that merely lacks some.
    return Search(path=None, place=None, tried=tuple(tried), incomplete=None if request.known else incomplete)


def names_at_hand() -> list[str]:
    """Names that lead somewhere on this machine or are known."""
    known = [name for model in known_models() for name in (model.name, *model.aliases)]
    known += [name for model in box_models() if model.path is not None for name in (model.name, *model.aliases)]
    return list(dict.fromkeys([*known, *store.stored_names(), *(name for name, _ in packages.offered_models())]))


@functools.cache
def _say_no_revisions(name: str, revision: str) -> None:
    logger.warning("%s lies in the box of this library, which has no revisions: %r has no effect.", name, revision)


def _is_stored(name: str) -> bool:
    key = store_key(name)
    return key is not None and os.path.isdir(store.store_directory() / key)


def _as_directory(name_or_path: str | os.PathLike[str]) -> Path | None:
    """The path if it is a directory; None if it can only be a name."""
    text = os.fspath(name_or_path)
    if not isinstance(text, str):
        raise ModelNotFoundError(f"A model name or path is a string, not {type(text).__name__}.")
    hint = f"Pass a directory that holds config.json, or a model name such as {DEFAULT_MODEL!r}."
    if not text or "\0" in text:
        raise ModelNotFoundError(f"{text!r} is neither a directory nor a model name. {hint}")
    path = Path(text).expanduser() if text.startswith("~") else Path(text)
    if os.path.isdir(path):  # which has no objection to a name that is too long to be a path
        return path
    if os.path.isfile(path):
        raise ModelNotFoundError(f"{path} is a file; a model is a directory. Did you mean {path.parent}? {hint}")
    if not isinstance(name_or_path, str) or looks_like_path(text):
        raise ModelNotFoundError(f"There is no directory {path}. {hint}")
    return None


def _why_no_network(local_files_only: bool) -> str | None:
    if local_files_only:
        return "local_files_only=True"
    for variable in OFFLINE_VARIABLES:
        if os.environ.get(variable, "").strip().upper() in ("1", "ON", "YES", "TRUE"):
            return f"{variable} is set"
    return None


def _request(
    name: str,
    revision: str | None,
    token: str | bool | None,
    cache_dir: str | os.PathLike[str] | None,
    no_network: str | None,
) -> Request:
    known = find_known(name)
    if revision == "main":
        revision = None
    if known is not None and revision is not None and known.hub_id is not None:
        # Another revision may have other weights: then it is a repository like any other.
        name, known = known.hub_id, None
    return Request(
        name=name if known is None else known.name,
        known=known,
        revision=revision,
        token=token,
        cache_dir=None if cache_dir is None else Path(cache_dir),
        no_network=no_network,
    )


def _not_found(name: str, request: Request, found: Search, boxed: BoxModel | None) -> str:
    lines = [
        f"The model {name!r} was not found. Tried, in order:",
        f"  - a directory: there is no {Path(name).absolute()}",
    ]
    lines += [f"  - {title}: {reason}" for title, reason in found.tried]
    at_hand = names_at_hand()
    near = [like for like in nearest(name, at_hand) if abs(len(like) - len(name)) <= 3]  # "nothere" means no "ner"
    if request.known is None and near:
        lines.append(f"Did you mean {' or '.join(near)}?")
    elif request.known is None:
        lines.append(f"Models at hand: {', '.join(at_hand)}.")
    if request.known is not None and request.known.package is not None:
        package = request.known.package.partition("==")[0]
        lines.append(f"What helps: `pip install {package}`, or pass a directory that holds the model.")
    else:
        lines.append("What helps: check the name and the connection, or pass a directory that holds the model.")
    if boxed is not None:
        lines.append(f"{boxed.name} belongs into the box of this library, but this installation does not have it.")
    like_it = nearest_in_box(name)
    if like_it is not None:
        lines.append(like_it)
    return "\n".join(lines)
