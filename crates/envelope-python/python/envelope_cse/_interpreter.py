"""Refuses subinterpreters, with which the native part would share its state."""

from __future__ import annotations

import importlib
from typing import Any


def _check() -> None:
    # Python 3.13 renamed it. Without it, nobody can make subinterpreters from Python.
    for name in ("_interpreters", "_xxsubinterpreters"):
        try:
            interpreters: Any = importlib.import_module(name)
        except ImportError:
            continue
        current, main = interpreters.get_current(), interpreters.get_main()
        # From Python 3.13 on, a tuple of the interpreter and its origin.
        if (current[0] if isinstance(current, tuple) else current) != (
            main[0] if isinstance(main, tuple) else main
        ):
            raise ImportError("envelope_cse cannot be used in a subinterpreter")
        return


_check()
