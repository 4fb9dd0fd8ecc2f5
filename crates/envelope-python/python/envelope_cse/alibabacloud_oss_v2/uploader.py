"""`Uploader`: large files in parts, encrypted."""

from __future__ import annotations

import logging
from typing import Any

from alibabacloud_oss_v2 import models
from alibabacloud_oss_v2.serde import copy_request
from alibabacloud_oss_v2.uploader import (
    Uploader as _Uploader,
    _UploadContext,
    _UploaderDelegate,
)

from .encryption_client import EncryptionClient

logger = logging.getLogger("envelope_cse.alibabacloud_oss_v2")


class Uploader(_Uploader):  # type: ignore[misc]
    """As `alibabacloud_oss_v2.Uploader`, for clients that encrypt, too."""

    def _delegate(self, request: Any, **kwargs: Any) -> Any:
        delegate = super()._delegate(request, **kwargs)
        if isinstance(self._client, EncryptionClient):
            delegate.__class__ = _Delegate
        return delegate


class _Delegate(_UploaderDelegate):  # type: ignore[misc]
    def apply_source(self, reader: Any) -> None:
        super().apply_source(reader)
        # A part begins with a whole block.
        self._options.part_size += -self._options.part_size % 16

    def check_checkpoint(self) -> None:
        if self._options.enable_checkpoint:
            logger.warning("an encrypted upload is not continued, but begun again")

    def _get_upload_context(self) -> Any:
        request = models.InitiateMultipartUploadRequest()
        copy_request(request, self._request)
        if request.content_type is None:
            request.content_type = self._get_content_type()
        request.cse_part_size = self._options.part_size
        # A stream whose length is not known cannot be uploaded in parts: OSS wants to know it.
        request.cse_data_size = max(self._total_size, 0)
        result = self._client.initiate_multipart_upload(request)
        self._context = result.cse_multipart_context
        return _UploadContext(upload_id=result.upload_id, start_num=0)

    def _upload_part(self, part: Any) -> Any:
        if self._upload_errors:
            return None
        upload_id, number, body = part
        size = len(body)
        try:
            result = self._client.upload_part(
                models.UploadPartRequest(
                    bucket=self._request.bucket,
                    key=self._request.key,
                    upload_id=upload_id,
                    part_number=number,
                    body=body,
                    request_payer=self._request.request_payer,
                    cse_multipart_context=self._context,
                )
            )
        except Exception as error:
            return number, None, error, None, size
        return number, result.etag, None, result.hash_crc64, size
