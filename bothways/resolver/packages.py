"""Models inside installed Python packages, found without importing or running any of them.

A package offers a model by an entry point in the group ``bothways.models``::

    [project.entry-points."bothways.models"]
    my-model = "my_package:model"          # the directory my_package/model
    other = "my_package.models:other.v1"   # my_package/models/other.v1, else my_package/models/other/v1
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bothways.resolver.known import find_known
from bothways.resolver.request import Missed, Request

GROUP = "bothways.models"


def find_in_packages(request: Request) -> Path:
    """The directory of the model in an installed package, or ``Missed``."""
    reasons = []
    for name, value in offered_models():
        if not _same_model(name, request):
            continue
        directory = directory_of(value)
        if directory is not None:
            return directory
        reasons.append(f"the entry point {name} = {value} leads to no directory")
    if request.known is not None and request.known.package_directory is not None:
        top, _, inner = request.known.package_directory.partition("/")
        for root in _locations(top):
            if (root / inner).is_dir():
                return root / inner
        reasons.append(f"{request.known.package} is not installed")
    raise Missed("; ".join(reasons) or "none offers it")


def offered_models() -> Iterator[tuple[str, str]]:
    """(name, value) of the entry points, in the order of ``sys.path``."""
    from importlib.metadata import entry_points

    for point in entry_points(group=GROUP):
        yield point.name, point.value


def directory_of(value: str) -> Path | None:
    """The directory that an entry point value means, or None. It always lies inside the top-level package."""
    module, _, attribute = (part.strip() for part in value.partition(":"))
    top, *below = module.split(".")
    choices = ([attribute], attribute.split(".")) if attribute else ([],)
    for root in _locations(top):
        base = root.joinpath(*below)
        if below and not base.is_dir():
            base = base.parent  # my_package.paths:model with a module my_package/paths.py
        for parts in choices:
            directory = base.joinpath(*parts)
            if all(part not in ("", ".", "..") for part in parts) and directory.is_dir() and _inside(directory, root):
                return directory
    return None


def _same_model(name: str, request: Request) -> bool:
    if request.known is not None:
        return find_known(name) is request.known
    return name.casefold() == request.name.casefold()


def _locations(top: str) -> list[Path]:
    """Directories of a top-level package. Only its finder is asked: dotted names would import the parents."""
    from importlib.util import find_spec

    if not top.isidentifier():
        return []
    try:
        spec = find_spec(top)
    except (ImportError, ValueError, AttributeError):  # ValueError: a module in sys.modules without a specification
        return []
    if spec is None or spec.submodule_search_locations is None:
        return []
    return [Path(location) for location in spec.submodule_search_locations if Path(location).is_dir()]


def _inside(directory: Path, root: Path) -> bool:
    return directory.resolve().is_relative_to(root.resolve())
