"""Prefixes before whole checkpoints: the base model's attribute (``bert.``) and wrappers (``module.``)."""

from __future__ import annotations

from collections.abc import Collection, Iterable

# DataParallel and DistributedDataParallel; torch.compile. Either may be around the other.
_WRAPPERS = ("module.", "_orig_mod.")


def align_prefix(names: Iterable[str], wanted: Collection[str], base_prefix: str) -> dict[str, str]:
    """Decide for a whole file whether its names lack, or have too much of, the base model's prefix.

    A base checkpoint (``embeddings...``) gets the prefix in a task model (``bert.embeddings...``); a task checkpoint
    loses it in a base model, whose names the heads then do not meet. A file with both forms is not guessed about: its
    names stay as they are. Wrappers' prefixes are taken off.

    Args:
        names: all names of the file.
        wanted: the parameters of the model.
        base_prefix: ``"bert"``, without a dot; ``""`` if the family has none.

    Returns:
        For each name of the file the name in the model, whether or not the model has it.
    """
    plain = without_wrappers(names)
    prefix = f"{base_prefix}."
    base_names = {name.removeprefix(prefix) for name in wanted if name.startswith(prefix)}
    model_has = bool(base_prefix) and bool(base_names)
    base_names = base_names or set(wanted)
    file_has = any(name.startswith(prefix) for name in plain.values())
    file_lacks = any(name in base_names for name in plain.values())
    if not base_prefix or (file_has and file_lacks):
        return plain
    if model_has and file_lacks:
        return {theirs: prefix + name if name in base_names else name for theirs, name in plain.items()}
    if file_has and not model_has:
        return {theirs: name.removeprefix(prefix) for theirs, name in plain.items()}
    return plain


def without_wrappers(names: Iterable[str]) -> dict[str, str]:
    """Each name without what DataParallel or ``torch.compile`` put before all of them."""
    plain = {name: name for name in names}
    while wrapper := next((w for w in _WRAPPERS if plain and all(n.startswith(w) for n in plain.values())), None):
        plain = {theirs: name.removeprefix(wrapper) for theirs, name in plain.items()}
    return plain
