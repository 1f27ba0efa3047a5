"""Parts of a body that published programs also call by themselves, with rectangles in place of packed tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn


class Opened(nn.Module):
    """A part whose ``forward`` takes packed tokens, and which answers other calls when ``opened`` is set.

    The house passes the boundaries of its sequences in the second place (or a packed batch in the first), which no
    published call does.
    """

    opened: Callable[..., Any] | None = None
    """(this part, what the call passes) to what the published part returns."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.opened is None or _of_the_house(*args[:2]):
            return super().__call__(*args, **kwargs)
        return self.opened(self, *args, **kwargs)


def _of_the_house(first: Any = None, second: Any = None) -> bool:
    return not (first is None or isinstance(first, Tensor)) or not (second is None or isinstance(second, Tensor))
