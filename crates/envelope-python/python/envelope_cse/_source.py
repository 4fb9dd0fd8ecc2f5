"""What callers give an SDK to send: bytes, text, files, iterators."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Iterator, Mapping
from typing import Any

from ._native import EncryptError

CHUNK = 256 * 1024


def length_of(data: Any) -> int | None:
    """Returns how many bytes are left to read, if that is known."""
    if hasattr(data, "__len__"):
        return len(data)
    if hasattr(data, "len"):
        return int(data.len)
    try:
        here = data.tell()
        end = data.seek(0, os.SEEK_END)
        # Some file objects return nothing from `seek`.
        length = (data.tell() if end is None else end) - here
        data.seek(here)
    except (AttributeError, OSError):
        return None
    return int(length)


def is_buffer(data: Any) -> bool:
    """Returns whether all of the data is there already."""
    return isinstance(data, (str, bytes, bytearray, memoryview)) or (
        not hasattr(data, "read") and not hasattr(data, "__iter__")
    )


def buffer_of(data: Any) -> bytes | memoryview:
    """Returns the bytes of a buffer or of text, without a copy. `None` is neither."""
    if isinstance(data, str):
        return data.encode()
    return data if isinstance(data, bytes) else memoryview(data).cast("B")


def reader_of(data: Any) -> Any:
    """Returns a reader over a file or an iterator."""
    if isinstance(data, Mapping):
        raise EncryptError("a mapping is no data")
    return data if hasattr(data, "read") else Pieces(data)


def all_of(data: Any) -> bytes | memoryview:
    """Returns all bytes of a buffer, or those that are left to read."""
    if is_buffer(data):
        return buffer_of(data)
    reader, pieces = reader_of(data), []
    # Some readers give a part of what there is if they are asked for everything.
    while piece := read_of(reader, CHUNK):
        pieces.append(piece)
    return b"".join(pieces)


def read_of(reader: Any, size: int) -> bytes:
    """Reads up to `size` bytes. What has nothing to give *now* is not at its end."""
    piece = reader.read(size)
    if piece is None:
        raise EncryptError("the source has no bytes at the moment: it must not be non-blocking")
    return bytes(buffer_of(piece))


class Pieces:
    """A reader over an iterator of bytes or text."""

    def __init__(self, pieces: Any) -> None:
        self._pieces: Iterator[Any] = iter(pieces)
        self._ready = b""

    def read(self, size: int = -1) -> bytes:
        while not self._ready:
            try:
                piece = next(self._pieces)
            except StopIteration:
                return b""
            if piece is None:
                raise EncryptError("the source yields None instead of bytes")
            self._ready = bytes(buffer_of(piece))
        end = len(self._ready) if size < 0 else size
        piece, self._ready = self._ready[:end], self._ready[end:]
        return piece


class Md5:
    """Checks the plaintext against the checksum of the caller, which is not stored."""

    def __init__(self, stated: str | bytes | None) -> None:
        self._wanted: bytes | None = None
        if stated is not None:
            try:
                self._wanted = base64.b64decode(stated, validate=True)
            except (binascii.Error, ValueError):
                self._wanted = b""
        self._sum, self._at = hashlib.md5(usedforsecurity=False), 0

    def update(self, start: int, piece: Any) -> None:
        """Takes a piece, if it is the next one."""
        if self._wanted is not None and start == self._at:
            self._sum.update(piece)
            self._at += len(piece)

    def check(self) -> None:
        """Raises `EncryptError` if what was taken has another checksum."""
        if self._wanted is not None and not hmac.compare_digest(self._sum.digest(), self._wanted):
            raise EncryptError("the data does not have the Content-MD5 that is stated")


def check_md5(plain: Any, stated: str | bytes | None) -> None:
    """Checks all of a plaintext."""
    md5 = Md5(stated)
    md5.update(0, plain)
    md5.check()
