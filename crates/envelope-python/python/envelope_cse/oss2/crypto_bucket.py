"""`CryptoBucket`: objects that are encrypted before they are sent."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from typing import Any

from oss2 import Bucket, CryptoBucket as _CryptoBucket
from oss2.api import _make_range_string
from oss2.compat import parse_qs, urlsplit
from oss2.exceptions import ClientError
from oss2.headers import IF_MATCH, OSS_METADATA_DIRECTIVE, OSS_REQUEST_PAYER
from oss2.http import CaseInsensitiveDict
from oss2.models import GetObjectResult, HeadObjectResult, PutObjectResult
from oss2.utils import check_crc, make_progress_adapter, set_content_type

from .. import _native as _cse
from .._encrypted_body import encrypt_body
from .._plain_body import Answer, open_answer, stored_pieces
from .._source import CHUNK, all_of
from .._stand_in import is_of_envelope, kept_envelope, raising
from .._target import replacing
from .._upload import Upload
from .crypto import _Provider

logger = logging.getLogger("envelope_cse.oss2")

_SOURCE_IF_MATCH = "x-oss-copy-source-if-match"


class _Utf8(str):
    """A header that is sent as UTF-8, as the SDKs for other languages send it, and as it is signed.

    Python's HTTP client encodes headers as ISO-8859-1, which does not have all characters.
    """

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return super().encode("utf-8", errors)


class _Parts:
    """What `MultipartUploadCryptoContext` holds: the headers of an upload, and its cipher."""

    def __init__(self, parts: _cse.PartEncryptor, part_size: int) -> None:
        self.headers = parts.headers
        self.upload = Upload.of_parts(parts, part_size)


class DecryptedObject(GetObjectResult):  # type: ignore[misc]
    """The answer to `get_object`, whose stream is decrypted."""

    def __init__(
        self, resp: Any, asked: str | None, progress: Any, enable_crc: bool, decryptor: Any
    ) -> None:
        # Not `GetObjectResult`, which decrypts in its own way.
        HeadObjectResult.__init__(self, resp)
        self.content_range = resp.headers.get("Content-Range")
        # What is empty, `_do` has read already.
        is_empty = resp.headers.get("Content-Length") == "0"
        pieces = () if is_empty else stored_pieces(resp.response)
        answer = Answer(resp.status, resp.headers, pieces, asked, resp.response.close)
        self.stream = open_answer(answer, decryptor, ClientError)
        self.content_length = self.stream.len
        self._progress, self._enable_crc, self._consumed = progress, enable_crc, 0

    @property
    def client_crc(self) -> int | None:
        return self.stream.crc if self._enable_crc else None

    def read(self, amt: int | None = None) -> bytes:
        piece: bytes = self.stream.read(amt)
        if self._progress:
            self._consumed += len(piece)
            self._progress(self._consumed, self.content_length)
        return piece

    def __iter__(self) -> Any:
        while piece := self.read(CHUNK):
            yield piece


def _to_file(filename: Any, get: Callable[[], DecryptedObject]) -> DecryptedObject:
    """Writes an answer to a file, and returns it. Reading it checks its length and checksum."""
    with replacing(filename) as file:
        result = get()
        shutil.copyfileobj(result, file)
    return result


class CryptoBucket(_CryptoBucket):  # type: ignore[misc]
    """As `oss2.CryptoBucket`, with the providers of `envelope_cse.oss2.crypto`."""

    def __init__(
        self,
        auth: Any,
        endpoint: str,
        bucket_name: str,
        crypto_provider: Any,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        if not isinstance(crypto_provider, _Provider):
            raise ClientError("crypto_provider must be a provider of envelope_cse.oss2.crypto")
        super().__init__(auth, endpoint, bucket_name, crypto_provider, *args, **kwargs)

    def _headers(self, headers: Any) -> Any:
        headers = CaseInsensitiveDict(headers)
        if any(is_of_envelope(name) for name in headers):
            raise ClientError("the metadata of the encryption is not set by hand")
        self._init_user_agent(headers)
        return headers

    def _send(
        self, what: str, key: str, body: Any, headers: Any, progress: Any, params: Any
    ) -> Any:
        if self.enable_crc and isinstance(body, bytes):
            crc = _cse.Crc64()
            crc.update(body)
        data = make_progress_adapter(body, progress) if progress else body
        resp = self._do("PUT", self.bucket_name, key, headers=headers, params=params, data=data)
        result = PutObjectResult(resp)
        if self.enable_crc and result.crc is not None:
            sent = crc.value if isinstance(body, bytes) else body.crc
            check_crc(what, sent, result.crc, result.request_id)
        return result

    def put_object(
        self, key: str, data: Any, headers: Any = None, progress_callback: Any = None
    ) -> Any:
        headers = set_content_type(self._headers(headers), key)
        with raising(ClientError):
            stated, md5 = headers.pop("Content-Length", None), headers.pop("Content-MD5", None)
            added, body = encrypt_body(self.crypto_provider.encryptor, data, stated, md5)
            headers.update(added)
            return self._send("put object", key, body, headers, progress_callback, None)

    def get_object(
        self,
        key: str,
        byte_range: Any = None,
        headers: Any = None,
        progress_callback: Any = None,
        process: Any = None,
        params: Any = None,
    ) -> DecryptedObject:
        if process:
            raise ClientError("Process object operation is not support for Crypto Bucket")
        headers = self._ranged(byte_range, headers)
        if "range" in headers:
            # Otherwise, OSS answers with all of the object to a range that ends behind it. An
            # address that was signed does not allow for another header.
            headers.setdefault("x-oss-range-behavior", "standard")
        resp = self._do("GET", self.bucket_name, key, headers=headers, params=params)
        return self._opened(resp, headers, progress_callback)

    def get_object_with_url(
        self,
        sign_url: str,
        byte_range: Any = None,
        headers: Any = None,
        progress_callback: Any = None,
    ) -> DecryptedObject:
        query = parse_qs(urlsplit(sign_url).query)
        if query and Bucket.PROCESS in query:
            raise ClientError("Process object operation is not support for Crypto Bucket")
        headers = self._ranged(byte_range, headers)
        resp = self._do_url("GET", sign_url, headers=headers)
        return self._opened(resp, headers, progress_callback)

    def get_object_to_file(
        self,
        key: str,
        filename: Any,
        byte_range: Any = None,
        headers: Any = None,
        progress_callback: Any = None,
        process: Any = None,
        params: Any = None,
    ) -> DecryptedObject:
        return _to_file(
            filename,
            lambda: self.get_object(key, byte_range, headers, progress_callback, process, params),
        )

    def get_object_with_url_to_file(
        self,
        sign_url: str,
        filename: Any,
        byte_range: Any = None,
        headers: Any = None,
        progress_callback: Any = None,
    ) -> DecryptedObject:
        return _to_file(
            filename,
            lambda: self.get_object_with_url(sign_url, byte_range, headers, progress_callback),
        )

    def _ranged(self, byte_range: Any, headers: Any) -> Any:
        headers = CaseInsensitiveDict(headers)
        self._init_user_agent(headers)
        if wanted := _make_range_string(byte_range):
            headers["range"] = wanted
        # A body that the service compresses is not the one that was encrypted.
        headers["Accept-Encoding"] = "identity"
        return headers

    def _opened(self, resp: Any, headers: Any, progress: Any) -> DecryptedObject:
        try:
            decryptor = self.crypto_provider.decryptor
            return DecryptedObject(resp, headers.get("range"), progress, self.enable_crc, decryptor)
        except BaseException:
            resp.response.close()
            raise

    def copy_object(
        self,
        source_bucket_name: str,
        source_key: str,
        target_key: str,
        headers: Any = None,
        params: Any = None,
    ) -> Any:
        headers = CaseInsensitiveDict(headers)
        if str(headers.get(OSS_METADATA_DIRECTIVE)).upper() == "REPLACE":
            headers = self._with_envelope(source_bucket_name, source_key, headers, params)
        return super().copy_object(source_bucket_name, source_key, target_key, headers, params)

    def _with_envelope(self, bucket: str, key: str, headers: Any, params: Any) -> Any:
        """Returns the headers of a copy with the metadata of the encryption of its source."""
        if bucket != self.bucket_name and self._make_url.is_cname:
            raise ClientError("the metadata of an object in another bucket cannot be kept")
        asked = {name: headers[name] for name in (OSS_REQUEST_PAYER,) if name in headers}
        if _SOURCE_IF_MATCH in headers:
            asked[IF_MATCH] = headers[_SOURCE_IF_MATCH]
        version = {k: v for k, v in (params or {}).items() if k == Bucket.VERSIONID}
        resp = self._do("HEAD", bucket, key, headers=CaseInsensitiveDict(asked), params=version)
        resp.read()
        for name, value in kept_envelope(resp.headers, headers, ClientError).items():
            headers[name] = _Utf8(value)
        # If it is replaced meanwhile, this is not its metadata.
        headers[_SOURCE_IF_MATCH] = resp.headers["ETag"]
        return headers

    def init_multipart_upload(
        self, key: str, headers: Any = None, params: Any = None, upload_context: Any = None
    ) -> Any:
        headers = self._headers(headers)
        if not upload_context or not upload_context.data_size:
            raise ClientError("an upload in parts needs an upload_context with its data_size")
        cipher = self.crypto_provider.cipher
        size = upload_context.part_size
        if not size:
            upload_context.part_size = cipher.determine_part_size(upload_context.data_size)
        elif not cipher.is_valid_part_size(size, upload_context.data_size):
            raise ClientError("part_size is invalid for multipart upload for CryptoBucket")
        with raising(ClientError):
            parts = self.crypto_provider.encryptor.start_parts(
                upload_context.data_size, upload_context.part_size
            )
        upload_context.content_crypto_material = _Parts(parts, upload_context.part_size)
        headers.update(parts.headers)
        return Bucket.init_multipart_upload(self, key, headers, params)

    def upload_part(
        self,
        key: str,
        upload_id: str,
        part_number: int,
        data: Any,
        progress_callback: Any = None,
        headers: Any = None,
        upload_context: Any = None,
    ) -> Any:
        headers = self._headers(headers)
        material = getattr(upload_context, "content_crypto_material", None)
        if not isinstance(material, _Parts):
            raise ClientError("the upload_context is not one that init_multipart_upload has filled")
        with raising(ClientError):
            body = material.upload.encrypt(part_number, all_of(data))
        headers.update(material.headers)
        params = {"uploadId": upload_id, "partNumber": str(part_number)}
        return self._send("upload part", key, body, headers, progress_callback, params)

    def complete_multipart_upload(
        self, key: str, upload_id: str, parts: Any, headers: Any = None
    ) -> Any:
        headers = self._headers(headers)
        return Bucket.complete_multipart_upload(self, key, upload_id, parts, headers)

    def abort_multipart_upload(self, key: str, upload_id: str, headers: Any = None) -> Any:
        return Bucket.abort_multipart_upload(self, key, upload_id, self._headers(headers))
