"""The public names and their signatures, compared with ``public_api.json``: no change of the contract is silent.

After an intended change run ``python tests/test_public_api.py``, which writes the file anew, and tell CHANGELOG.md.
"""

from __future__ import annotations

import inspect
import json
import sys
from pathlib import Path
from typing import Any

SNAPSHOT = Path(__file__).with_name("public_api.json")
METHODS = ("__call__", "forward", "from_pretrained", "save_pretrained")


def describe() -> dict[str, Any]:
    """Public name → its signature; for a class also those of its methods that its public bases do not have alike."""
    import bothways

    return {name: _described(getattr(bothways, name)) for name in bothways.__all__ if name != "__version__"}


def _described(thing: Any) -> Any:
    import bothways

    if isinstance(thing, dict):
        return sorted(getattr(key, "__name__", key) for key in thing)
    if isinstance(thing, str):
        return thing
    if not inspect.isclass(thing):
        return _signature(thing)
    bases = [cls for cls in thing.__mro__[1:] if cls.__module__.partition(".")[0] == "bothways"]
    methods = _methods(thing)
    for base in bases:
        if hasattr(bothways, base.__name__):
            methods = {name: how for name, how in methods.items() if _methods(base).get(name) != how}
    return {"class": _signature(thing), "bases": [cls.__name__ for cls in bases], "methods": methods}


def _methods(thing: type) -> dict[str, str]:
    """Public methods that this library wrote, and those special ones that are part of the contract."""
    found = {}
    for name in dir(thing):
        value = inspect.getattr_static(thing, name)
        # where it was written, not where it hangs: torch hangs a hook for profiling on every optimizer class in use
        written_in = getattr(getattr(value, "__func__", value), "__module__", None) or ""
        is_ours = written_in.partition(".")[0] == "bothways"
        is_method = callable(getattr(thing, name)) and not inspect.isclass(value)
        if is_ours and is_method and (not name.startswith("_") or name in METHODS):
            kind = {classmethod: "classmethod ", staticmethod: "static "}.get(type(value), "")
            found[name] = kind + _signature(getattr(thing, name))
    return found


def _signature(thing: Any) -> str:
    """Parameters and defaults. Annotations are left out: they may become more exact without breaking anybody."""
    try:
        signature = inspect.signature(thing)
    except ValueError:
        return "(…)"
    parameters = [p.replace(annotation=p.empty, default=_default(p)) for p in signature.parameters.values()]
    return str(signature.replace(parameters=parameters, return_annotation=inspect.Signature.empty))


def _default(parameter: inspect.Parameter) -> Any:
    """The default; a function is named instead of shown with its address."""

    class Shown:
        def __repr__(self) -> str:
            return "<function>"

    return Shown() if inspect.isfunction(parameter.default) else parameter.default


def test_every_public_name_leads_somewhere():
    import bothways

    assert len(bothways.__all__) == len(set(bothways.__all__))
    for name in bothways.__all__:
        assert getattr(bothways, name) is not None
    assert set(dir(bothways)) == set(bothways.__all__)


def test_an_unknown_name_is_an_attribute_error():
    import bothways

    assert not hasattr(bothways, "TFBertModel")


def test_the_public_names_and_signatures_are_those_of_the_snapshot():
    recorded = json.loads(SNAPSHOT.read_text(encoding="utf-8"))
    found = describe()
    advice = "If this is intended: python tests/test_public_api.py, and an entry in CHANGELOG.md."
    assert sorted(found) == sorted(recorded), advice
    for name in recorded:
        assert found[name] == recorded[name], f"{name} changed. {advice}"


if __name__ == "__main__":
    SNAPSHOT.write_text(json.dumps(describe(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{SNAPSHOT} written with Python {sys.version.partition(' ')[0]}")
