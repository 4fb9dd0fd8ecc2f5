"""`Downloader`: large objects in ranges, decrypted."""

from __future__ import annotations

import copy
from typing import Any

from alibabacloud_oss_v2.downloader import Downloader as _Downloader, _DownloaderDelegate

from .. import _native as _cse
from .encryption_client import DecryptedBody, EncryptionClient


class Downloader(_Downloader):  # type: ignore[misc]
    """As `alibabacloud_oss_v2.Downloader`, for clients that decrypt, too."""

    def _delegate(self, *args: Any, **kwargs: Any) -> Any:
        delegate = super()._delegate(*args, **kwargs)
        if isinstance(self._client, EncryptionClient):
            delegate.__class__ = _Delegate
        return delegate


class _Delegate(_DownloaderDelegate):  # type: ignore[misc]
    def _process_part(self, start: int) -> Any:
        """As in the SDK, but the checksum is that of what is stored, which the service knows, and
        what cannot be decrypted is an error, instead of being asked for again for ever."""
        if self._download_errors:
            return None
        size, got, crc, attempts = self._calc_part_size(start), 0, 0, 0
        request = copy.copy(self._request)
        request.range_behavior = "standard"
        while got < size:
            request.range_header = f"bytes={start + got}-{start + size - 1}"
            before = got
            try:
                with self._client.get_object(request).body as body:
                    block = self._options.block_size
                    for piece in body.iter_bytes(**({"block_size": block} if block else {})):
                        self._write_to_stream(piece, start + got)
                        self._update_progress(len(piece))
                        got += len(piece)
                if isinstance(body, DecryptedBody):
                    crc = _cse.Crc64.combine(crc, body.crc, got - before)
            except _cse.EnvelopeError as error:
                return start, got, error, 0
            except Exception as error:
                attempts = 0 if got > before else attempts + 1
                if attempts >= 3:
                    return start, got, error, 0
        return start, got, None, crc
