"""Readers that encrypt or decrypt what they read."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from ._native import (
    Decryptor,
    EncryptedObject,
    Encryptor,
    IntegrityError,
    Keystream,
    PolicyError,
    parse,
)

if TYPE_CHECKING:
    from typing_extensions import Buffer
else:
    Buffer = "Buffer"

_CHUNK = 256 * 1024


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes | None: ...


def as_bytes(data: Buffer) -> bytes:
    """Returns the bytes of a buffer, and of nothing else."""
    return data if isinstance(data, bytes) else memoryview(data).cast("B").tobytes()


class _Reader(io.RawIOBase):
    """A raw reader over another one. Closing it leaves the other one open."""

    def __init__(self, inner: _Readable) -> None:
        self._inner = inner
        self._ready = memoryview(b"")
        self._ended = False
        self._failure: BaseException | None = None

    def readable(self) -> bool:
        self._check_open()
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        self._check_open()
        target = memoryview(buffer).cast("B")
        while not self._ready and not self._ended and target:
            piece = self._inner.read(max(len(target), _CHUNK))
            if piece is None:
                return None
            # If it does not succeed, or is interrupted, the rest is never released.
            self._failure = IntegrityError("an earlier read was interrupted")
            try:
                ready = self._update(piece) if piece else self._finish()
            except Exception as error:
                self._failure = error
                raise
            self._ready, self._ended = memoryview(ready), not piece
            self._failure = None
        count = min(len(target), len(self._ready))
        target[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")
        if self._failure is not None:
            raise self._failure

    def _update(self, piece: bytes) -> bytes:
        raise NotImplementedError

    def _finish(self) -> bytes:
        raise NotImplementedError

    def __reduce_ex__(self, protocol: Any, /) -> NoReturn:
        raise TypeError("a reader cannot be pickled or copied")


class EncryptReader(_Reader):
    """Reads the body of a new object, whose `headers` are there from the beginning.

    If `plain_len` is given, and is not the number of bytes that there are, `ValueError` is raised.
    """

    def __init__(
        self, inner: _Readable, encryptor: Encryptor, plain_len: int | None = None
    ) -> None:
        super().__init__(inner)
        self._object: EncryptedObject = encryptor.start(plain_len)
        self._body = self._object.encryptor()

    @property
    def headers(self) -> dict[str, str]:
        """The headers to send with the object."""
        return self._object.headers

    def _update(self, piece: bytes) -> bytes:
        return self._body.update(piece)

    def _finish(self) -> bytes:
        return self._body.finish()


class DecryptReader(_Reader):
    """Reads the plaintext of an object, whose body begins where `inner` is now.

    What is read is unverified until the end was read without an exception. `seek` works if the body
    can be sought, the object is AES-CTR, and the policy allows ranges of it. Behind a seek to
    anywhere but the beginning, only the bytes themselves are decrypted, and nothing is checked; a
    seek to the beginning starts afresh, with all checks.
    """

    def __init__(
        self,
        inner: _Readable,
        headers: Mapping[str, Any],
        decryptor: Decryptor,
        *,
        name: str | None = None,
    ) -> None:
        super().__init__(inner)
        self._envelope, self._decryptor, self._name = parse(headers), decryptor, name
        if self._envelope is None:
            decryptor.check_plaintext()
        else:
            self._cipher = decryptor.open(self._envelope, name=name)
            self._body = self._cipher.decryptor()
        self._range: Keystream | None = None
        # What decrypts after a seek, and the position of its next byte.
        self._keystream: Keystream | None = None
        self._position = 0
        # The position of the reader's next byte.
        self._next = 0
        seekable = getattr(inner, "seekable", None)
        can_seek = seekable is not None and bool(seekable())
        self._base: int | None = inner.tell() if can_seek else None  # type: ignore[attr-defined]

    def readinto(self, buffer: Any, /) -> int | None:
        count = super().readinto(buffer)
        self._next += count or 0
        return count

    def _update(self, piece: bytes) -> bytes:
        if self._envelope is None:
            return as_bytes(piece)
        if self._keystream is not None:
            plain = self._keystream.apply(piece, self._position)
            self._position += len(piece)
            return plain
        return self._body.update(piece)

    def _finish(self) -> bytes:
        if self._envelope is None or self._keystream is not None:
            return b""
        return self._body.finish()

    def seekable(self) -> bool:
        self._check_open()
        if self._base is None:
            return False
        if self._envelope is None:
            return True
        if self._envelope.content_algorithm != "AES-256-CTR":
            return False
        if self._range is None:
            try:
                self._range = self._decryptor.open_range(self._envelope, name=self._name)
            except PolicyError:
                return False
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        if not self.seekable() or self._base is None:
            raise io.UnsupportedOperation("the object cannot be sought")
        inner: Any = self._inner
        if whence == os.SEEK_END:
            before = inner.tell()
            position: int = inner.seek(0, os.SEEK_END) - self._base + offset
            inner.seek(before)
        elif whence in (os.SEEK_SET, os.SEEK_CUR):
            position = offset + (self._next if whence == os.SEEK_CUR else 0)
        else:
            raise ValueError(f"invalid whence ({whence})")
        if position < 0:
            raise ValueError(f"negative seek position {position}")
        if position == self._next:
            return position
        body = self._cipher.decryptor() if position == 0 and self._envelope else None
        inner.seek(self._base + position)
        # From here on, nothing fails.
        if body is not None:
            self._body, self._keystream = body, None
        else:
            self._keystream = self._range
        self._position = self._next = position
        self._ready, self._ended = memoryview(b""), False
        return position

    def tell(self) -> int:
        self._check_open()
        return self._next
