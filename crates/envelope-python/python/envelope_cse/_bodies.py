"""The bodies of requests and answers, as the stand-ins give them to the SDKs."""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import hmac
import io
import os
import secrets
from collections.abc import Iterator
from typing import Any

from ._native import Cipher, Crc64, EncryptError, EnvelopeError, Keystream

_CHUNK = 256 * 1024


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


def bytes_of(data: Any) -> bytes | memoryview:
    """Returns the bytes of a buffer or text, or those that are left to read."""
    if isinstance(data, str):
        return data.encode()
    if hasattr(data, "read"):
        data = data.read()
    if isinstance(data, str):
        return data.encode()
    return memoryview(data).cast("B")


def is_buffer(data: Any) -> bool:
    return isinstance(data, (str, bytes, bytearray, memoryview)) or (
        not hasattr(data, "read") and not hasattr(data, "__iter__")
    )


def check_md5(plain: Any, stated: str | None) -> None:
    """Checks the plaintext against the checksum of the caller, which is not stored."""
    if stated is None:
        return
    try:
        wanted = base64.b64decode(stated, validate=True)
    except (binascii.Error, ValueError):
        wanted = b""
    if not hmac.compare_digest(hashlib.md5(plain, usedforsecurity=False).digest(), wanted):
        raise EncryptError("the data does not have the Content-MD5 that is stated")


class Pieces:
    """A reader over an iterator of bytes or text."""

    def __init__(self, pieces: Any) -> None:
        self._pieces, self._ready = iter(pieces), b""

    def read(self, size: int = -1) -> bytes:
        while not self._ready:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._ready = bytes(bytes_of(piece))
        end = len(self._ready) if size < 0 else size
        piece, self._ready = self._ready[:end], self._ready[end:]
        return piece


class Proofs:
    """What the pieces of a body looked like when they were first encrypted.

    To encrypt other bytes with the same keystream reveals both. So a piece that is encrypted again,
    after a request has failed, has to be the same.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._seen: dict[int, bytes] = {}

    def check(self, start: int, piece: Any) -> None:
        """Raises `EncryptError` if other bytes were encrypted from this position on."""
        proof = hashlib.blake2b(piece, digest_size=32, key=self._key).digest()
        if not hmac.compare_digest(self._seen.setdefault(start, proof), proof):
            raise EncryptError("the data has changed since it was first sent")


class EncryptedBody:
    """Reads a body, encrypted."""

    def __init__(self, source: Any, keystream: Keystream, length: int | None) -> None:
        self._source, self._keystream, self._length = source, keystream, length
        self._base: int | None = None
        with contextlib.suppress(AttributeError, OSError):
            self._base = int(source.tell())
        self._proofs = Proofs()
        self._next = 0
        # Where the source is, and what it gave last.
        self._source_at = 0
        self._ready = b""
        # Where the source ended, once it has.
        self._end: int | None = None
        self._crc, self._crc_at = Crc64(), 0

    @property
    def crc(self) -> int | None:
        """The CRC-64 of what was read, if it was read in order."""
        return self._crc.value if self._crc_at == self._next else None

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            return b"".join(self)
        pieces, missing = [], size
        while missing and (piece := self._piece(missing)):
            pieces.append(piece)
            missing -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _piece(self, size: int) -> bytes:
        if self._end is not None and self._next >= self._end:
            return b""
        start = self._source_at - len(self._ready)
        if not start <= self._next < self._source_at:
            self._fill()
            start = self._source_at - len(self._ready)
        piece = self._ready[self._next - start : self._next - start + size]
        if self._crc_at == self._next:
            self._crc.update(piece)
            self._crc_at += len(piece)
        self._next += len(piece)
        return piece

    def __iter__(self) -> Iterator[bytes]:
        while piece := self.read(_CHUNK):
            yield piece

    def _fill(self) -> None:
        """Reads the chunk of the next byte."""
        start = self._next - self._next % _CHUNK
        if start != self._source_at:
            if self._base is None:
                raise io.UnsupportedOperation("the source cannot be sought")
            self._source.seek(self._base + start)
        plain = bytearray()
        while len(plain) < _CHUNK:
            piece = self._source.read(_CHUNK - len(plain))
            if not piece:
                break
            plain += piece.encode() if isinstance(piece, str) else piece
        end = start + len(plain)
        is_last = len(plain) < _CHUNK
        if self._length is not None and (end > self._length or (is_last and end < self._length)):
            raise EncryptError(f"the source does not have {self._length} bytes, as it said")
        self._proofs.check(start, plain)
        self._source_at = end
        self._end = end if is_last else None
        self._keystream.apply_in_place(plain, start)
        self._ready = bytes(plain)


class RepeatableBody(EncryptedBody):
    """A body that can be sent again after a request has failed, because its source can be read
    again. Nothing but a body of known length has `len` and `seek`: by them, the SDKs and `requests`
    tell what they can send, and how."""

    _length: int

    @property
    def len(self) -> int:
        """The number of bytes that are left."""
        return self._length - self._next

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._next, os.SEEK_END: self._length}
        if whence not in base:
            raise ValueError(f"invalid whence ({whence})")
        offset += base[whence]
        if offset < 0:
            raise ValueError(f"negative seek position {offset}")
        self._next = offset
        if offset == 0:
            self._crc, self._crc_at = Crc64(), 0
        return offset

    def tell(self) -> int:
        return self._next


class SizedBody(EncryptedBody):
    """A body of known length that can be sent once."""

    _length: int

    @property
    def len(self) -> int:
        """The number of bytes that are left."""
        return self._length - self._next


def encrypted_body(source: Any, keystream: Keystream, length: int | None) -> EncryptedBody:
    """Returns the encrypted body of a source that has `length` bytes, if that is known."""
    if length is None:
        return EncryptedBody(source, keystream, None)
    if hasattr(source, "seek") and hasattr(source, "tell"):
        return RepeatableBody(source, keystream, length)
    return SizedBody(source, keystream, length)


class PlainBody(io.RawIOBase):
    """Reads the plaintext of a body, or of a range of it that begins at `start`.

    A whole body is checked at its end. Nothing authenticates a range.
    """

    def __init__(
        self, inner: Any, cipher: Cipher | Keystream | None, start: int = 0, crc: bool = False
    ) -> None:
        self._inner = inner
        self._keystream = cipher if isinstance(cipher, Keystream) else None
        self._decryptor = cipher.decryptor() if isinstance(cipher, Cipher) else None
        self._at = start
        self._crc = Crc64() if crc else None
        self._ready = memoryview(b"")
        self._ended = False
        self._failure: BaseException | None = None

    @property
    def crc(self) -> int | None:
        """The CRC-64 of the body as it is stored, as far as it was read."""
        return None if self._crc is None else self._crc.value

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        if self._failure is not None:
            raise self._failure
        target = memoryview(buffer).cast("B")
        while not self._ready and not self._ended and target:
            # If this does not succeed, or is interrupted, the rest is never released.
            self._failure = EnvelopeError("an earlier read was interrupted")
            try:
                self._ready = memoryview(self._more())
            except Exception as error:
                self._failure = error
                raise
            self._failure = None
        count = min(len(target), len(self._ready))
        target[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def _more(self) -> bytes:
        piece = self._inner.read(_CHUNK)
        if not piece:
            self._ended = True
            return b"" if self._decryptor is None else self._decryptor.finish()
        if self._crc is not None:
            self._crc.update(piece)
        if self._decryptor is not None:
            return self._decryptor.update(piece)
        if self._keystream is not None:
            plain = self._keystream.apply(piece, self._at)
            self._at += len(piece)
            return plain
        return bytes(piece)

    def __iter__(self) -> Iterator[bytes]:
        while piece := self.read(_CHUNK):
            yield piece

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(-1 if size is None else size) or b""


def range_start(status: int, content_range: str | None) -> int | None:
    """Returns where the body of an answer begins, or `None` if it is the whole object."""
    if status != 206:
        return None
    unit, _, rest = (content_range or "").partition(" ")
    first = rest.split("-", 1)[0]
    if unit.lower() != "bytes" or not (first.isascii() and first.isdigit()):
        raise EnvelopeError(f"the answer has a range that cannot be read: {content_range!r}")
    return int(first)
