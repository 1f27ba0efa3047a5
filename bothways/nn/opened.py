"""Parts of a body that published programs also call by themselves, with rectangles in place of packed tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn


class Opened(nn.Module):
    """A part whose ``forward`` takes packed tokens, and which answers other calls when ``opened`` is set.

    The house passes the boundaries of its sequences in the second place (or a packed batch in the first), which no
    published call does.
    """

    opened: Callable[..., Any] | None = None
    """(this part, what the call passes) to what the published part returns."""
    other_names: Mapping[str, tuple[nn.Module | None, str]] = {}
    """Attributes of the published part: the module that has them here (None is this one), and their path in it."""

    if TYPE_CHECKING:  # parts differ in their modules

        def __getattr__(self, name: str) -> Any: ...

    else:

        def __getattr__(self, name: str) -> Any:
            """Called only where there is no plain attribute of that name."""
            if name not in self.other_names:
                return super().__getattr__(name)
            module, path = self.other_names[name]
            return (self if module is None else module).get_submodule(path)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.opened is None or _of_the_house(*args[:2]):
            return super().__call__(*args, **kwargs)
        return self.opened(self, *args, **kwargs)


def _of_the_house(first: Any = None, second: Any = None) -> bool:
    return not (first is None or isinstance(first, Tensor)) or not (second is None or isinstance(second, Tensor))
