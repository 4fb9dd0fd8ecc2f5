"""The body of a request: what is encrypted as it is sent."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import io
import os
import secrets
from collections.abc import Iterator
from typing import Any

from ._native import Crc64, EncryptError, Encryptor, Keystream
from ._source import CHUNK, Md5, buffer_of, check_md5, is_buffer, length_of, read_of, reader_of


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

    def __init__(
        self,
        source: Any,
        keystream: Keystream,
        length: int | None,
        md5: str | bytes | None = None,
    ) -> None:
        self._source, self._keystream, self._length = source, keystream, length
        self._md5 = Md5(md5)
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
        self._end_was_read = False
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
        if size and not pieces:
            return self._ended()
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
        while piece := self.read(CHUNK):
            yield piece

    def _ended(self) -> bytes:
        if self._end_was_read and not isinstance(self, RepeatableBody):
            # Who sends a body a second time would send nothing.
            raise EncryptError("the source cannot be read a second time")
        self._end_was_read = True
        return b""

    def _fill(self) -> None:
        """Reads the chunk of the next byte."""
        start = self._next - self._next % CHUNK
        if start != self._source_at:
            if self._base is None:
                raise io.UnsupportedOperation("the source cannot be sought")
            self._source.seek(self._base + start)
        # What is appended to a file while it is sent is not part of it.
        most = CHUNK if self._length is None else min(CHUNK, self._length - start)
        plain = bytearray()
        while len(plain) < most and (piece := read_of(self._source, most - len(plain))):
            plain += piece
        end = start + len(plain)
        if self._length is not None and len(plain) < most:
            raise EncryptError(f"the source does not have {self._length} bytes, as it said")
        if len(plain) > most:
            raise EncryptError("the source gives more bytes than it was asked for")
        self._end = end if len(plain) < CHUNK or end == self._length else None
        self._proofs.check(start, plain)
        self._md5.update(start, plain)
        if self._end is not None:
            self._md5.check()
        self._source_at = end
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


def encrypted_body(
    source: Any, keystream: Keystream, length: int | None, md5: str | bytes | None = None
) -> EncryptedBody:
    """Returns the encrypted body of a source that has `length` bytes, if that is known. Its last
    bytes are released only if the plaintext has this MD5."""
    if length is None:
        return EncryptedBody(source, keystream, None, md5)
    if hasattr(source, "seek") and hasattr(source, "tell"):
        return RepeatableBody(source, keystream, length, md5)
    return SizedBody(source, keystream, length, md5)


def encrypt_body(
    encryptor: Encryptor,
    data: Any,
    stated_length: int | str | None = None,
    md5: str | bytes | None = None,
) -> tuple[dict[str, str], bytes | EncryptedBody]:
    """Creates an object of what a caller gave to send: the headers, and the body.

    What is there already is encrypted at once, so that its seal covers the body. Anything else is
    encrypted as it is read; its length is the one that is stated only if it does not say itself.
    """
    if is_buffer(data):
        plain = buffer_of(data)
        check_md5(plain, md5)
        return encryptor.encrypt(plain)
    source = reader_of(data)
    length = length_of(source)
    if length is None and stated_length is not None:
        length = int(stated_length)
    started = encryptor.start(length)
    return started.headers, encrypted_body(source, started.keystream(), length, md5)
