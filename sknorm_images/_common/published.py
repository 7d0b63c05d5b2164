"""Where users import a name from, said where it is defined."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T", bound=Callable[..., Any])


def published(package: str) -> Callable[[T], T]:
    """Set `__module__` of a class or a function to the package that users import it from.

    Pickles name that package, so they survive a move of the module. The package has to import
    the name.
    """

    def publish(found: T) -> T:
        found.__module__ = package
        return found

    return publish
