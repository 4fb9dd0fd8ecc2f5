"""`Downloader`: large objects in ranges, decrypted."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from alibabacloud_oss_v2.downloader import Downloader as _Downloader, _DownloaderDelegate

from .. import _native as _cse
from .encryption_client import EncryptionClient

_ATTEMPTS = 3


class Downloader(_Downloader):  # type: ignore[misc]
    """As `alibabacloud_oss_v2.Downloader`, for clients that decrypt, too."""

    def _delegate(self, *args: Any, **kwargs: Any) -> Any:
        delegate = super()._delegate(*args, **kwargs)
        if isinstance(self._client, EncryptionClient):
            delegate.__class__ = _Delegate
        return delegate


class _Delegate(_DownloaderDelegate):  # type: ignore[misc]
    def _process_part(self, start: int) -> Any:
        """As in the SDK, but the checksum is that of what is stored, which the service knows; and
        what fails for another reason than the connection is an error at once."""
        if self._download_errors:
            return None
        size, got, crc, attempts = self._calc_part_size(start), 0, 0, 0
        request = copy.copy(self._request)
        request.range_behavior = "standard"
        block = {"block_size": self._options.block_size} if self._options.block_size else {}
        while got < size:
            request.range_header = f"bytes={start + got}-{start + size - 1}"
            before, failure, body = got, None, None
            try:
                with self._client.get_object(request).body as body:
                    pieces = body.iter_bytes(**block)
                    while piece := _next(pieces):
                        got += self._kept(start + got, piece)
            except _Broken as broken:
                failure = broken.__cause__
                if body is not None:
                    got += self._kept(start + got, body.plain.rest())
            except Exception as error:
                return start, got, error, 0
            if body is not None:
                crc = _cse.Crc64.combine(crc, body.plain.crc, got - before)
            attempts = 0 if got > before else attempts + 1
            if attempts >= _ATTEMPTS:
                failure = failure or ValueError("the service answers with nothing")
                return start, got, failure, 0
        return start, got, None, crc

    def _kept(self, at: int, piece: bytes) -> int:
        if self._writer_lock is None and self._writer.seekable():
            self._writer.seek(at - self._rstart)
        self._write_to_stream(piece, at)
        self._update_progress(len(piece))
        return len(piece)


class _Broken(Exception):
    """A connection that broke."""


def _next(pieces: Iterator[bytes]) -> bytes | None:
    try:
        return next(pieces, None)
    except (_cse.EnvelopeError, ValueError):
        raise
    except Exception as error:
        raise _Broken from error
