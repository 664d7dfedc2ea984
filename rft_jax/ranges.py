"""Ranges of a dataclass's fields, said where the fields are: `epochs: Annotated[int, Range(least=1)]`."""

import dataclasses
import math
import types
import typing
from typing import Any

from rft_jax.errors import UserError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Range:
    """The values that a number may have; NaN never.

    Attributes:
        least, most: bounds that it may take.
        above, below: bounds that it may not take.
        other: a value outside that it may take too.
    """

    least: float = -math.inf
    most: float = math.inf
    above: float | None = None
    below: float | None = None
    other: float | None = None

    def holds(self, value: float) -> bool:
        """Returns whether the value is in the range."""
        above = self.above is None or value > self.above
        below = self.below is None or value < self.below
        return value == self.other or (self.least <= value <= self.most and above and below)

    def __str__(self) -> str:
        """Returns the range in words."""
        parts = [f"at least {self.least:g}"] if self.least > -math.inf else []
        parts += [] if self.above is None else [f"above {self.above:g}"]
        parts += [f"at most {self.most:g}"] if self.most < math.inf else []
        parts += [] if self.below is None else ["finite" if self.below == math.inf else f"below {self.below:g}"]
        return ("" if self.other is None else f"{self.other:g}, or ") + " and ".join(parts)


def check(settings: Any) -> None:
    """Raises UserError if a field of a dataclass, or of one inside it, is out of its range."""
    for line in faults(settings):
        raise UserError(line)


def faults(settings: Any, prefix: str = "") -> typing.Iterator[str]:
    """Yields for each field that is out of its range what it is and what it may be."""
    for name, hint in typing.get_type_hints(type(settings), include_extras=True).items():
        value = getattr(settings, name)
        if dataclasses.is_dataclass(value):
            yield from faults(value, f"{prefix}{name}.")
            continue
        for allowed, optional in _ranges(hint):
            values = value if isinstance(value, tuple) else (value,)
            if any(each is not None and not allowed.holds(each) for each in values):
                shown = ",".join(map(str, values))
                yield f"{prefix}{name} = {shown}: it must be {allowed}{', or none' if optional else ''}"


def _ranges(hint: Any, optional: bool = False) -> typing.Iterator[tuple[Range, bool]]:
    """Yields the ranges in a type, and whether None is allowed beside it."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        yield from ((extra, optional) for extra in arguments[1:] if isinstance(extra, Range))
    elif origin in (typing.Union, types.UnionType, tuple):
        for argument in arguments:
            yield from _ranges(argument, optional or type(None) in arguments)
