"""`CosEncryptionClient`: objects that are encrypted before they are sent."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from typing import Any

from qcloud_cos.cos_auth import CosS3Auth
from qcloud_cos.cos_client import CosS3Client
from qcloud_cos.cos_comm import format_values, get_copy_source_info, mapped
from qcloud_cos.cos_exception import CosClientError
from qcloud_cos.streambody import StreamBody

from .._encrypted_body import encrypt_body
from .._plain_body import Answer, PlainBody, open_answer, stored_pieces
from .._source import all_of, read_of
from .._stand_in import is_of_envelope, kept_envelope, raising
from .._target import replacing
from .._upload import Upload
from .crypto import BaseProvider

# What says which object is read, and lets it be read.
_OF_READING = (
    "IfMatch",
    "SSECustomerAlgorithm",
    "SSECustomerKey",
    "SSECustomerKeyMD5",
    "VersionId",
)
# The SDK gives a part of a buffer, or of a file in upload_file, no more than this.
_MOST_PARTS = 10000


class DecryptedBody(StreamBody):  # type: ignore[misc]
    """The `Body` of an answer, decrypted."""

    def __init__(self, rt: Any, plain: PlainBody) -> None:
        super().__init__(rt)
        self._plain = plain
        # What is stored may be longer than what is in it.
        self._use_encoding = False
        if plain.len is None:
            self._use_chunked = True
        else:
            self._content_len = plain.len

    def __iter__(self) -> Iterator[bytes]:
        return self.get_stream(1024)

    def get_raw_stream(self) -> PlainBody:
        return self._plain

    def get_stream(self, chunk_size: int = 1024) -> Iterator[bytes]:
        while piece := self.read(chunk_size):
            yield piece

    def read(self, chunk_size: int = 1024, auto_decompress: bool = False) -> bytes:
        return self._plain.read(chunk_size)

    def get_stream_to_file(
        self, file_name: Any, disable_tmp_file: bool = False, auto_decompress: bool = False
    ) -> None:
        """As in the SDK, but what could not be verified is not left behind."""
        if not disable_tmp_file:
            with replacing(file_name) as file:
                shutil.copyfileobj(self._plain, file)
            return
        # The caller wants no other file, so that this one is emptied.
        target = open(file_name, "wb")
        try:
            with target:
                shutil.copyfileobj(self._plain, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.truncate(file_name, 0)
            raise


class CosEncryptionClient(CosS3Client):  # type: ignore[misc]
    """As `qcloud_cos.cos_encryption_client.CosEncryptionClient`, with the providers of
    `envelope_cse.qcloud_cos.crypto`. Threads may share it."""

    def __init__(self, conf: Any, provider: Any, retry: int = 1, session: Any = None) -> None:
        if not isinstance(provider, BaseProvider):
            raise CosClientError("provider must be one of envelope_cse.qcloud_cos.crypto")
        super().__init__(conf, retry, session)
        self.provider = provider
        self._uploads: dict[str, Upload] = {}

    def put_object(
        self, Bucket: str, Body: Any, Key: str, EnableMD5: bool = False, **kwargs: Any
    ) -> Any:
        md5 = kwargs.pop("ContentMD5", None)
        # Those of an upload in parts that turned out to be short.
        kwargs.pop("PartBytes", None)
        length = kwargs.pop("ContentLength", None)
        with raising(CosClientError):
            added, body = encrypt_body(self.provider.encryptor, Body, length, md5)
            if EnableMD5 and not isinstance(body, bytes):
                body = body.read()
            kwargs["Metadata"] = _with(kwargs.get("Metadata"), added)
        return super().put_object(Bucket, body, Key, EnableMD5, **kwargs)

    def get_object(
        self, Bucket: str, Key: str, KeySimplifyCheck: bool = True, **kwargs: Any
    ) -> Any:
        headers = mapped(kwargs)
        # A body that is compressed on the way is not the one that was encrypted.
        headers["Accept-Encoding"] = "identity"
        params = {name: headers.pop(name) for name in list(headers) if name.startswith("response")}
        if "versionId" in headers:
            params["versionId"] = headers.pop("versionId")
        params = format_values(params)
        # The request turns its headers into bytes.
        asked = headers.get("Range")
        answer = self.send_request(
            method="GET",
            url=self._conf.uri(bucket=Bucket, path=Key),
            bucket=Bucket,
            stream=True,
            auth=CosS3Auth(self._conf, Key, params=params),
            params=params,
            headers=headers,
        )
        pieces = stored_pieces(answer)
        got = Answer(answer.status_code, answer.headers, pieces, asked, answer.close)
        try:
            body = DecryptedBody(answer, open_answer(got, self.provider.decryptor, CosClientError))
        except BaseException:
            answer.close()
            raise
        response = dict(**answer.headers)
        response["Body"] = body
        return response

    def create_multipart_upload(
        self,
        Bucket: str,
        Key: str,
        *,
        PartBytes: int | None = None,
        LastPart: int | None = None,
        **kwargs: Any,
    ) -> Any:
        """As in the SDK. Parts are uploaded in order, unless `PartBytes` is given: the size of
        all parts but the last. The last part may be longer if its number is given as `LastPart`."""
        with raising(CosClientError):
            started = self.provider.encryptor.start()
            kwargs["Metadata"] = _with(kwargs.get("Metadata"), started.headers)
            keystream = started.keystream()
        response = super().create_multipart_upload(Bucket, Key, **kwargs)
        self._uploads[response["UploadId"]] = Upload(keystream.apply, PartBytes, LastPart)
        return response

    def upload_part(
        self,
        Bucket: str,
        Key: str,
        Body: Any,
        PartNumber: int,
        UploadId: str,
        EnableMD5: bool = False,
        **kwargs: Any,
    ) -> Any:
        upload = self._uploads.get(UploadId)
        if upload is None:
            raise CosClientError("only who has begun an upload has the key to continue it")
        with raising(CosClientError):
            body = upload.encrypt(int(PartNumber), all_of(Body))
        return super().upload_part(Bucket, Key, body, PartNumber, UploadId, EnableMD5, **kwargs)

    def complete_multipart_upload(
        self, Bucket: str, Key: str, UploadId: str, MultipartUpload: Any = None, **kwargs: Any
    ) -> Any:
        wanted = MultipartUpload or {}
        upload = self._uploads.get(UploadId)
        if upload is not None:
            with raising(CosClientError):
                upload.check(int(part["PartNumber"]) for part in wanted.get("Part", []))
        response = super().complete_multipart_upload(Bucket, Key, UploadId, wanted, **kwargs)
        self._uploads.pop(UploadId, None)
        return response

    def abort_multipart_upload(self, Bucket: str, Key: str, UploadId: str, **kwargs: Any) -> Any:
        response = super().abort_multipart_upload(Bucket, Key, UploadId, **kwargs)
        self._uploads.pop(UploadId, None)
        return response

    def upload_file(
        self,
        Bucket: str,
        Key: str,
        LocalFilePath: str,
        PartSize: int = 1,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        size, part_size = os.path.getsize(LocalFilePath), PartSize << 20
        if size > part_size:
            count = -(-size // part_size)
            if count > _MOST_PARTS:
                # As the SDK computes it: the rest is in the last part.
                count, part_size = _MOST_PARTS, size // _MOST_PARTS
            kwargs.update(PartBytes=part_size, LastPart=count)
        return super().upload_file(Bucket, Key, LocalFilePath, PartSize, *args, **kwargs)

    def upload_file_from_buffer(
        self, Bucket: str, Key: str, Body: Any, MaxBufferSize: int = 100, PartSize: int = 10,
        MAXThread: int = 5, **kwargs: Any,
    ) -> Any:  # fmt: skip
        if hasattr(Body, "read"):
            Body = _FullReads(Body)
        kwargs["PartBytes"] = PartSize << 20
        return super().upload_file_from_buffer(
            Bucket, Key, Body, MaxBufferSize, PartSize, MAXThread, **kwargs
        )

    def _get_resumable_uploadid(self, bucket: str, key: str) -> None:
        # The key of an earlier upload is gone, and the SDK compares its parts with the plaintext.
        return None

    def download_file(
        self, Bucket: str, Key: str, DestFilePath: str, *args: Any, EnableCRC: bool = False,
        **kwargs: Any,
    ) -> Any:  # fmt: skip
        if EnableCRC:
            raise CosClientError(
                "EnableCRC compares the plaintext with the checksum of what is stored"
            )
        # Ranges of two objects are never parts of one file.
        asked = {name: kwargs[name] for name in _OF_READING if name in kwargs}
        kwargs["IfMatch"] = self.head_object(Bucket, Key, **asked)["ETag"]
        return super().download_file(Bucket, Key, DestFilePath, *args, **kwargs)

    def append_object(self, *args: Any, **kwargs: Any) -> Any:
        raise CosClientError("an encrypted object cannot be appended to")

    def ci_put_object(self, *args: Any, **kwargs: Any) -> Any:
        raise CosClientError("an image that the service processes cannot be encrypted")

    def copy_object(
        self, Bucket: str, Key: str, CopySource: Any, CopyStatus: str = "Copy", **kwargs: Any
    ) -> Any:
        if CopyStatus == "Replaced":
            head = self._head_of_source(CopySource, kwargs.get("CopySourceIfMatch"))
            given = kwargs.get("Metadata") or {}
            kwargs["Metadata"] = {**given, **kept_envelope(head, given, CosClientError)}
            # If it is replaced meanwhile, this is not its metadata.
            kwargs["CopySourceIfMatch"] = head["ETag"]
        return super().copy_object(Bucket, Key, CopySource, CopyStatus, **kwargs)

    def _head_of_source(self, source: Any, etag: str | None) -> Any:
        """Returns the headers of an object that is copied."""
        if not self._check_same_region(self._conf._endpoint, source):
            raise CosClientError("the metadata of an object in another region cannot be kept")
        bucket, key, _, version = get_copy_source_info(
            source, self._conf._enable_old_domain, self._conf._enable_internal_domain
        )
        asked = {"VersionId": version, "IfMatch": etag}
        return self.head_object(
            Bucket=bucket, Key=key, **{name: it for name, it in asked.items() if it}
        )

    def copy(self, Bucket: str, Key: str, CopySource: Any, *args: Any, **kwargs: Any) -> Any:
        size, _ = self._head_object_when_copy(CopySource, **kwargs)
        if size >= self._conf._copy_part_threshold_size:
            same = self._check_same_region(self._conf._endpoint, CopySource)
            if not same or "StorageClass" in kwargs:
                raise CosClientError("the SDK copies an object of this size without its metadata")
        return super().copy(Bucket, Key, CopySource, *args, **kwargs)

    def upload_part_copy(
        self, Bucket: str, Key: str, PartNumber: int, UploadId: str, *args: Any, **kwargs: Any
    ) -> Any:
        if UploadId in self._uploads:
            raise CosClientError("what is copied was not encrypted for this upload")
        return super().upload_part_copy(Bucket, Key, PartNumber, UploadId, *args, **kwargs)


class _FullReads:
    """A reader that gives as many bytes as it is asked for, until its end."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def read(self, size: int) -> bytes:
        pieces, missing = [], size
        while missing and (piece := read_of(self._inner, missing)):
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)


def _with(metadata: Any, added: dict[str, str]) -> dict[str, str]:
    """Returns the user's metadata and that of the encryption."""
    metadata = dict(metadata or {})
    if any(is_of_envelope(name) for name in metadata):
        raise CosClientError("the metadata of the encryption is not set by hand")
    return {**metadata, **added}
