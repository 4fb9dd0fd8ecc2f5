"""The body of an answer: what is decrypted as it is read."""

from __future__ import annotations

import dataclasses
import io
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ._native import BodyDecryptor, Crc64, Decryptor, Envelope, EnvelopeError, Keystream, parse
from ._source import CHUNK

_ASKED = re.compile(r"bytes=(\d*)-(\d*)$", re.ASCII | re.IGNORECASE)
_GIVEN = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)$", re.ASCII | re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class Answer:
    """What an SDK got: a status, headers, and the pieces of the body as they are stored."""

    status: int
    headers: Mapping[str, Any]
    pieces: Iterable[bytes]
    # The `Range` that was asked for.
    asked: str | None = None
    close: Callable[[], object] = lambda: None


def stored_pieces(answer: Any) -> Iterator[bytes]:
    """Yields the body of an answer of `requests` as it is stored.

    Its `iter_content` would decompress the ciphertext where there is a `Content-Encoding`, which is
    that of the plaintext. The exceptions are those of `iter_content`.
    """
    from requests import exceptions
    from urllib3.exceptions import ProtocolError, ReadTimeoutError, SSLError

    try:
        yield from answer.raw.stream(CHUNK, decode_content=False)
    except ProtocolError as error:
        raise exceptions.ChunkedEncodingError(error) from error
    except ReadTimeoutError as error:
        raise exceptions.ConnectionError(error) from error
    except SSLError as error:
        raise exceptions.SSLError(error) from error


def open_answer(
    answer: Answer, decryptor: Decryptor, error: type[Exception] = EnvelopeError
) -> PlainBody:
    """Returns the plaintext of an answer: of the object, or of the range that was asked for.

    A range that is the whole object is checked as that is.
    Where the policy forbids it, or the answer is another one than was asked for, it raises `error`.
    """
    try:
        found = {name.lower(): str(value) for name, value in answer.headers.items()}
        stated = found.get("content-length")
        length = int(stated) if stated is not None and stated.isdecimal() else None
        envelope = parse({name: as_sent(value) for name, value in answer.headers.items()})
        if envelope is None:
            decryptor.check_plaintext()
        if answer.status != 206:
            start, end, total = 0, length, length
            if not _is_whole(answer.asked, length):
                raise EnvelopeError("the answer is the whole object, but a range was asked for")
        else:
            start, end, total = _range(answer.asked, found.get("content-range"))
            if length is not None and length != end - start:
                raise EnvelopeError("the answer has a range of another length than its body")
        if end is None or (start, end) == (0, total):
            # Also if it was asked for as a range, it is checked.
            cipher = None if envelope is None else decryptor.open(envelope).decryptor()
            plain = end if envelope is None or end is None else envelope.plain_len_of(end)
            return PlainBody(answer, cipher, 0, end, plain, error, _stored_crc(found))
        if envelope is not None and total is not None:
            envelope.check_len(total)
        keystream = None if envelope is None else decryptor.open_range(envelope)
        plain_end = _plain_end(envelope, end, total)
        return PlainBody(answer, keystream, start, end - start, max(plain_end - start, 0), error)
    except EnvelopeError as reason:
        if error is EnvelopeError:
            raise
        raise error(str(reason)) from reason


def as_sent(value: Any) -> Any:
    """Returns the text of a header as it was sent.

    SDKs write the description of a key as UTF-8, and Python's HTTP client decodes all headers as
    ISO-8859-1.
    """
    if not isinstance(value, str) or value.isascii():
        return value
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        # Something else has decoded it already.
        return value


def _stored_crc(headers: Mapping[str, str]) -> int | None:
    """Returns the CRC-64 that the service has of a whole body."""
    for vendor in ("oss", "cos"):
        stated = headers.get(f"x-{vendor}-hash-crc64ecma", "")
        if stated.isascii() and stated.isdigit():
            return int(stated)
    return None


def _range(asked: str | None, given: str | None) -> tuple[int, int, int | None]:
    """Returns where the range of an answer begins and ends, and the length of the object."""
    wanted, found = _ASKED.match((asked or "").strip()), _GIVEN.match((given or "").strip())
    if wanted is None or wanted.group(0) == "bytes=-":
        raise EnvelopeError(f"the answer is a range, but one was not asked for ({asked!r})")
    if found is None:
        raise EnvelopeError(f"the answer has a range that cannot be read: {given!r}")
    start, end = int(found[1]), int(found[2]) + 1
    total = None if found[3] == "*" else int(found[3])
    if wanted[1]:
        right = start == int(wanted[1]) and (not wanted[2] or end <= int(wanted[2]) + 1)
    else:
        right = total is not None and start == max(0, total - int(wanted[2])) and end == total
    if not right or end <= start or (total is not None and end > total):
        raise EnvelopeError(f"the answer has the range {given!r} instead of {asked!r}")
    return start, end, total


def _is_whole(asked: str | None, length: int | None) -> bool:
    """Returns whether what was asked for is the whole object, which OSS answers to a range that
    ends behind it, or is none."""
    wanted = _ASKED.match((asked or "").strip())
    if wanted is None or wanted.group(0) == "bytes=-":
        return True
    first, last = wanted[1], wanted[2]
    if length is None:
        return False
    if not first:
        return int(last) >= length
    return int(first) == 0 and (not last or int(last) + 1 >= length)


def _plain_end(envelope: Envelope | None, end: int, total: int | None) -> int:
    """Returns where the plaintext of a range ends: what follows it in the object is a tag."""
    if envelope is None or envelope.content_algorithm == "AES-256-CTR":
        return end
    plain = None if total is None else envelope.plain_len_of(total)
    if plain is None:
        raise EnvelopeError("a range of this object cannot be told from its tag")
    return min(end, plain)


class PlainBody(io.RawIOBase):
    """Reads the plaintext of an answer.

    A whole body is checked at its end, and its last bytes are released only after that. Nothing
    authenticates a range. `len` is the length of the plaintext, if it is known.
    """

    def __init__(
        self,
        answer: Answer,
        cipher: BodyDecryptor | Keystream | None,
        start: int,
        length: int | None,
        plain_length: int | None,
        error: type[Exception],
        stored_crc: int | None = None,
    ) -> None:
        self._stored_crc = stored_crc
        self._pieces: Iterator[bytes] = iter(answer.pieces)
        self._close_inner, self._error = answer.close, error
        self._cipher, self._at = cipher, start
        self._length, self._end = length, start + (plain_length or 0)
        self.len = plain_length
        self._sum, self._got = Crc64(), 0
        # What was read, but may be a tag, so that it is not decrypted yet.
        self._tail = b""
        self._ready: deque[bytes] = deque()
        self._held, self._ended = 0, False
        self._failure: BaseException | None = None

    @property
    def crc(self) -> int:
        """The CRC-64 of the body as it is stored, as far as it was decrypted."""
        return self._sum.value

    def rest(self) -> bytes:
        """Returns what was decrypted before the connection broke, which nothing authenticates."""
        return self._take(self._held)

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """Reads `size` bytes, or fewer at the end, or all."""
        if self.closed:
            raise ValueError("I/O operation on closed file")
        if self._failure is not None:
            raise self._failure
        size = -1 if size is None else size
        # One more than is asked for: whoever reads exactly what there is has read to the end.
        while not self._ended and (size < 0 or self._held <= size):
            # If this does not succeed, or is interrupted, the rest is never released.
            self._failure = self._error("an earlier read was interrupted")
            try:
                piece = self._more()
            except EnvelopeError as reason:
                wrapped = reason if self._error is EnvelopeError else self._error(str(reason))
                self._failure = wrapped
                raise wrapped from reason
            except Exception as failure:
                self._failure = failure
                raise
            self._failure = None
            if piece:
                self._ready.append(piece)
                self._held += len(piece)
        return self._take(self._held if size < 0 else min(size, self._held))

    def _take(self, count: int) -> bytes:
        taken = []
        self._held -= count
        while count:
            piece = self._ready.popleft()
            if len(piece) > count:
                self._ready.appendleft(piece[count:])
                piece = piece[:count]
            taken.append(piece)
            count -= len(piece)
        return taken[0] if len(taken) == 1 else b"".join(taken)

    def _more(self) -> bytes:
        """Returns the next bytes, and notices the end."""
        piece = next(self._pieces, None)
        if piece is None:
            self._ended = True
            if self._length is not None and self._got != self._length:
                raise EnvelopeError(f"the answer ended after {self._got} of {self._length} bytes")
            self._sum.update(self._tail)
            if self._stored_crc is not None and self._sum.value != self._stored_crc:
                raise EnvelopeError("the answer has another checksum than the service says")
            if isinstance(self._cipher, BodyDecryptor):
                return self._cipher.finish()
            return b""
        self._got += len(piece)
        if self._length is not None and self._got > self._length:
            raise EnvelopeError(f"the answer is longer than {self._length} bytes")
        if isinstance(self._cipher, BodyDecryptor):
            plain = self._cipher.update(piece)
            read = self._tail + piece
            self._sum.update(read[: len(plain)])
            self._tail = read[len(plain) :]
            return plain
        self._sum.update(piece)
        if isinstance(self._cipher, Keystream):
            at, self._at = self._at, self._at + len(piece)
            # What is behind the plaintext is a tag.
            return self._cipher.apply(piece[: max(0, self._end - at)], at)
        return bytes(piece)

    def readinto(self, buffer: Any, /) -> int:
        target = memoryview(buffer).cast("B")
        piece = self.read(len(target))
        target[: len(piece)] = piece
        return len(piece)

    def __iter__(self) -> Iterator[bytes]:
        while piece := self.read(CHUNK):
            yield piece

    def close(self) -> None:
        if not self.closed:
            self._close_inner()
        super().close()
