"""Uploads in parts."""

from __future__ import annotations

import hashlib
import hmac
import os
import threading
from collections.abc import Callable, Iterable
from typing import Any

from ._native import EncryptError, PartEncryptor


class Upload:
    """An upload in parts, each of which is encrypted for its place in the object.

    The place follows from the number of the part, if the size of all parts but the last is known.
    Otherwise parts have to come in order. `apply(plain, start)` encrypts. Threads may share it.
    """

    def __init__(
        self,
        apply: Callable[[Any, int], bytes],
        part_size: int | None = None,
        last_part: int | None = None,
    ) -> None:
        self._apply, self._part_size, self._last_part = apply, part_size, last_part
        self._lock, self._process = threading.Lock(), os.getpid()
        # By the number of the part: where it begins and ends, and what was sent.
        self._sent: dict[int, tuple[int, int, bytes]] = {}

    @classmethod
    def of_parts(cls, parts: PartEncryptor, part_size: int) -> Upload:
        """Returns the upload of an object whose parts are planned."""
        return cls(lambda plain, start: parts.encrypt(start // part_size + 1, plain), part_size)

    def encrypt(self, number: int, plain: Any) -> bytes:
        """Returns a part, encrypted. A part is encrypted again only if its bytes are the same: two
        that are encrypted with the same keystream reveal each other."""
        if number < 1:
            raise EncryptError("parts are counted from 1")
        if os.getpid() != self._process:
            # Neither process would know what the other has encrypted.
            raise EncryptError("the upload was begun in another process")
        if self._last_part is not None and number > self._last_part:
            raise EncryptError(f"part {number} comes after the last one, {self._last_part}")
        with self._lock:
            start = self._start(number)
        end = start + len(plain)
        if self._part_size and number != self._last_part and len(plain) > self._part_size:
            raise EncryptError(f"part {number} is longer than the others")
        body = self._apply(plain, start)
        sent = (start, end, hashlib.sha256(body).digest())
        with self._lock:
            follower = self._sent.get(number + 1)
            if follower is not None and follower[0] != end:
                raise EncryptError(f"part {number} does not end where the next one begins")
            known = self._sent.setdefault(number, sent)
        if known[:2] != sent[:2] or not hmac.compare_digest(known[2], sent[2]):
            raise EncryptError(
                f"part {number} was encrypted with other bytes before, which would reveal both; "
                "begin a new upload"
            )
        return body

    def check(self, numbers: Iterable[int]) -> None:
        """Checks that the parts follow each other as they were encrypted."""
        with self._lock:
            end = 0
            for number in sorted(set(numbers)):
                start, next_end, _ = self._sent.get(number, (-1, -1, b""))
                if start != end:
                    raise EncryptError(
                        f"part {number} was not encrypted for byte {end}, where it would be: "
                        "a part before it is missing or short"
                    )
                end = next_end

    def _start(self, number: int) -> int:
        if self._part_size:
            return (number - 1) * self._part_size
        if number == 1:
            return 0
        if number - 1 not in self._sent:
            raise EncryptError(
                f"part {number} comes before part {number - 1}, and the size of the parts is not "
                "known"
            )
        return self._sent[number - 1][1]
