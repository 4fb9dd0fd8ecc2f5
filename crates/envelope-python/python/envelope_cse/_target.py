"""The files that callers want the plaintext in."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from typing import BinaryIO


@contextlib.contextmanager
def replacing(path: str | bytes | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Opens a new file that gets its name only if nothing was raised: until then, it is unverified.

    What has the name stays as it is until it is replaced, and gives its permissions to the new
    file.
    """
    path = os.fsdecode(path)
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        mode = None
    if mode is not None and not stat.S_ISREG(mode):
        # A pipe or a device has no content that could be replaced.
        with open(path, "wb") as file:
            yield file
        return
    # What a link leads to is replaced, and not the link.
    target = os.path.realpath(path)
    new = f"{target}.{secrets.token_hex(8)}.part"
    try:
        with open(new, "xb") as file:
            if mode is not None:
                os.chmod(new, stat.S_IMODE(mode))
            yield file
        os.replace(new, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(new)
        raise
