"""What the modules that stand in for an SDK have in common."""

from __future__ import annotations

import contextlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from ._native import EnvelopeError


class _SameModule(importlib.abc.Loader):
    """Gives a module of the SDK under a second name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        # The import system writes the second name into what it is given.
        module = importlib.import_module(self._name)
        self._kept = {
            name: getattr(module, name, None)
            for name in ("__spec__", "__loader__", "__package__", "__path__", "__file__")
        }
        return module

    def exec_module(self, module: ModuleType) -> None:
        for name, value in self._kept.items():
            if value is None:
                vars(module).pop(name, None)
            else:
                setattr(module, name, value)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the modules of an SDK below the package that stands in for it."""

    def __init__(self, package: str, sdk: str) -> None:
        self._package, self._sdk = package, sdk

    def find_spec(
        self, name: str, path: Any, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if not name.startswith(self._package + "."):
            return None
        below = name.removeprefix(self._package + ".")
        first = f"{self._package}.{below.partition('.')[0]}"
        own = getattr(sys.modules[self._package], "__path__", None)
        if importlib.machinery.PathFinder.find_spec(first, own) is not None:
            return None
        try:
            if importlib.util.find_spec(f"{self._sdk}.{below}") is None:
                return None
        except ModuleNotFoundError:
            return None
        return importlib.machinery.ModuleSpec(name, _SameModule(f"{self._sdk}.{below}"))


def stand_in(package: str, sdk: str) -> Callable[[str], Any]:
    """Makes all modules of an SDK available below `package`, which replaces some of them.

    Returns the `__getattr__` of the package, for the names that it does not have itself.
    """
    # Before the other finders, which would load the modules of a package of the SDK a second time.
    sys.meta_path.insert(0, _Finder(package, sdk))
    original = importlib.import_module(sdk)

    def get_attribute(name: str) -> Any:
        try:
            return getattr(original, name)
        except AttributeError:
            raise AttributeError(f"module {package!r} has no attribute {name!r}") from None

    return get_attribute


@contextlib.contextmanager
def raising(error_type: type[Exception]) -> Iterator[None]:
    """Raises the errors of this package as those of the SDK."""
    try:
        yield
    except (EnvelopeError, ValueError) as error:
        raise error_type(str(error)) from error
