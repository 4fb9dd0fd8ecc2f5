"""What the modules that stand in for an SDK have in common."""

from __future__ import annotations

import contextlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any

from ._native import EnvelopeError, is_envelope_header
from ._plain_body import as_sent


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
        parent = sys.modules.get(name.rpartition(".")[0])
        # A module of the SDK has kept its name.
        is_ours = parent is not None and parent.__name__.startswith(self._package)
        if is_ours and importlib.machinery.PathFinder.find_spec(name, path) is not None:
            return None
        original = f"{self._sdk}.{name.removeprefix(self._package + '.')}"
        try:
            if importlib.util.find_spec(original) is None:
                return None
        except ModuleNotFoundError:
            return None
        return importlib.machinery.ModuleSpec(name, _SameModule(original))


def stand_in(package: str, sdk: str, *own: str) -> Callable[[str], Any]:
    """Makes all modules of an SDK available below `package`, which replaces its `own`.

    Returns the `__getattr__` of the package, for the names that it does not have itself.
    """
    finders = [each for each in sys.meta_path if isinstance(each, _Finder)]
    if not any(each._package == package for each in finders):
        # Before the others, which would load the modules of a package of the SDK a second time.
        sys.meta_path.insert(0, _Finder(package, sdk))
    original = importlib.import_module(sdk)
    for name in own:
        # Also where the SDK has a module of this name, which a star import has brought.
        setattr(sys.modules[package], name, importlib.import_module(f"{package}.{name}"))

    def get_attribute(name: str) -> Any:
        if name not in own:
            with contextlib.suppress(AttributeError):
                return getattr(original, name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return get_attribute


# How the names of headers begin that hold an envelope, or that later versions may add.
_ENVELOPE = (
    "x-oss-meta-client-side-encryption-",
    "x-oss-meta-oss-crypto-",
    "x-oss-meta-envelope-",
    "x-cos-meta-client-side-encryption-",
    "x-cos-meta-x-cos-",
    "x-cos-meta-envelope-",
)


def is_of_envelope(name: str) -> bool:
    """Returns whether a header belongs to the encryption, and is not set by hand."""
    return is_envelope_header(name) or name.lower().startswith(_ENVELOPE)


def kept_envelope(
    found: Mapping[str, Any], given: Mapping[str, Any], error: type[Exception]
) -> dict[str, str]:
    """Returns the metadata of the encryption that an object has, which a request that replaces its
    metadata is to have, too: without the wrapped key, the object is lost.

    What was `given` for the request may repeat it, and not change it.
    """
    kept = {name: as_sent(value) for name, value in found.items() if is_of_envelope(name)}
    known = {name.lower(): value for name, value in kept.items()}
    for name, value in given.items():
        if is_of_envelope(name) and known.get(name.lower()) != as_sent(value):
            raise error("the metadata of the encryption is not set by hand")
    return kept


@contextlib.contextmanager
def raising(error_type: type[Exception]) -> Iterator[None]:
    """Raises the errors of this package as those of the SDK."""
    try:
        yield
    except (EnvelopeError, ValueError) as error:
        raise error_type(str(error)) from error
