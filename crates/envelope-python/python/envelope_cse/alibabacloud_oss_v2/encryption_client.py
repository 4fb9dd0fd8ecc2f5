"""`EncryptionClient`: objects that are encrypted before they are sent."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from alibabacloud_oss_v2 import EncryptionClient as _EncryptionClient, exceptions
from alibabacloud_oss_v2.types import CaseInsensitiveDict, StreamBody

from .. import _native as _cse
from .._encrypted_body import RepeatableBody, encrypt_body
from .._plain_body import Answer, PlainBody, open_answer, stored_pieces
from .._source import all_of, check_md5, is_buffer
from .._stand_in import is_of_envelope
from .._upload import Upload
from .crypto import MasterRsaCipher


class EncryptionMultiPartContext:
    """The cipher of an upload in parts."""

    def __init__(self, upload: Upload, headers: dict[str, str]) -> None:
        self.upload, self.headers = upload, headers

    def is_valid(self) -> bool:
        return True


class DecryptedBody(StreamBody):  # type: ignore[misc]
    """The body of an answer, decrypted."""

    def __init__(self, stream: Any, plain: PlainBody) -> None:
        self._stream, self.plain = stream, plain
        self._content: bytes | None = None

    def __enter__(self) -> DecryptedBody:
        self._stream.__enter__()
        return self

    def __exit__(self, *args: Any) -> None:
        self._stream.__exit__(*args)

    @property
    def is_closed(self) -> bool:
        return bool(self._stream.is_closed)

    @property
    def is_stream_consumed(self) -> bool:
        return bool(self._stream.is_stream_consumed)

    @property
    def content(self) -> bytes:
        return self.read()

    def read(self) -> bytes:
        if self._content is None:
            self._content = self.plain.read()
        return self._content

    def close(self) -> None:
        self._stream.close()

    def iter_bytes(self, **kwargs: Any) -> Iterator[bytes]:
        if self._content is not None:
            yield self._content
            return
        size = kwargs.get("block_size") or 64 * 1024
        while piece := self.plain.read(size):
            yield piece


class EncryptionClient(_EncryptionClient):  # type: ignore[misc]
    """As `alibabacloud_oss_v2.EncryptionClient`, with `MasterRsaCipher` of `envelope_cse`."""

    def __init__(
        self,
        client: Any,
        master_cipher: MasterRsaCipher,
        decrypt_master_ciphers: list[MasterRsaCipher] | None = None,
        *,
        policy: _cse.Policy | None = None,
    ) -> None:
        ciphers = [master_cipher, *(decrypt_master_ciphers or [])]
        if not all(isinstance(cipher, MasterRsaCipher) for cipher in ciphers):
            raise TypeError("a master cipher is one of envelope_cse.alibabacloud_oss_v2.crypto")
        self._client = client
        key = master_cipher.encrypting or master_cipher.decrypting
        self._encryptor = None if key is None else _cse.Encryptor(key, "oss-v2")
        keys = [cipher.decrypting for cipher in ciphers if cipher.decrypting is not None]
        self._decryptor = _cse.Decryptor(keys, policy=policy)

    def _new(self) -> _cse.Encryptor:
        if self._encryptor is None:
            raise ValueError("the master cipher has no key")
        return self._encryptor

    def _put_object_securely(self, request: Any, **kwargs: Any) -> Any:
        sent = copy.copy(request)
        stated, sent.content_length = sent.content_length, None
        md5, sent.content_md5 = sent.content_md5, None
        body = b"" if request.body is None else request.body
        if not hasattr(body, "read") and not is_buffer(body) and not isinstance(body, Iterator):
            # What can be gone through again is held, so that it can be sent again.
            body = all_of(body)
        added, encrypted = encrypt_body(self._new(), body, stated, md5)
        can_be_sent_again = isinstance(encrypted, (bytes, RepeatableBody))
        sent.body = encrypted if can_be_sent_again else iter(encrypted)
        _add(sent, added)
        return self._client.put_object(sent, **kwargs)

    def _get_object_securely(self, request: Any, **kwargs: Any) -> Any:
        if request.process is not None:
            raise exceptions.ParamInvalidError(field="request.process")
        sent = copy.copy(request)
        # A body that the service compresses is not the one that was encrypted.
        sent.accept_encoding = "identity"
        if request.range_header is not None:
            # Otherwise, OSS answers with all of the object to a range that ends behind it.
            sent.range_behavior = "standard"
        result = self._client.get_object(sent, **kwargs)
        try:
            self._open(result, request.range_header)
        except BaseException:
            if result.body is not None:
                result.body.close()
            raise
        return result

    def _open(self, result: Any, asked: str | None) -> None:
        stream = result.body
        pieces = _stored(stream) if "Content-Encoding" in result.headers else stream.iter_bytes()
        answer = Answer(result.status_code, result.headers, pieces, asked, stream.close)
        plain = open_answer(answer, self._decryptor)
        result.body = DecryptedBody(stream, plain)
        if result.content_length is not None:
            result.content_length = plain.len

    def _initiate_multipart_upload_securely(self, request: Any, **kwargs: Any) -> Any:
        size, part_size = request.cse_data_size, request.cse_part_size
        if part_size is None:
            raise exceptions.ParamNullError(field="request.cse_part_size")
        if not isinstance(part_size, int):
            raise TypeError(f"request.cse_part_size need int, but got {type(part_size)}")
        if part_size <= 0 or part_size % 16:
            raise ValueError("request.cse_part_size is a multiple of 16")
        if not size:
            # OSS refuses such an upload without it (EC 0005-00000406).
            raise exceptions.ParamNullError(field="request.cse_data_size")
        parts = self._new().start_parts(size, part_size)
        sent = copy.copy(request)
        _add(sent, parts.headers)
        result = self._client.initiate_multipart_upload(sent, **kwargs)
        upload = Upload.of_parts(parts, part_size)
        result.cse_multipart_context = EncryptionMultiPartContext(upload, parts.headers)
        return result

    def _upload_part_securely(self, request: Any, **kwargs: Any) -> Any:
        context = request.cse_multipart_context
        if context is None:
            raise exceptions.ParamNullError(field="request.cse_multipart_context")
        if not isinstance(context, EncryptionMultiPartContext):
            raise exceptions.ParamInvalidError(field="request.cse_multipart_context")
        plain = all_of(b"" if request.body is None else request.body)
        check_md5(plain, request.content_md5)
        sent = copy.copy(request)
        sent.body = context.upload.encrypt(request.part_number, plain)
        # They are those of the plaintext.
        sent.content_md5 = sent.content_length = None
        _add(sent, context.headers)
        return self._client.upload_part(sent, **kwargs)


def _stored(stream: Any) -> Iterator[bytes]:
    """Returns the body of an answer as it is stored. The SDK's own transport, which knows no other
    way, would decompress it."""
    answer = getattr(getattr(stream, "_response", None), "_internal_response", None)
    return stored_pieces(answer) if hasattr(answer, "raw") else stream.iter_bytes()


def _add(request: Any, added: dict[str, str]) -> None:
    """Adds the metadata of the encryption to a request, in a copy of its headers."""
    headers = CaseInsensitiveDict(getattr(request, "headers", None) or {})
    # `metadata` has the names without their prefix, and would replace what is added here.
    named = [f"x-oss-meta-{name}" for name in getattr(request, "metadata", None) or {}]
    if any(is_of_envelope(str(name)) for name in [*headers, *named]):
        raise ValueError("the metadata of the encryption is not set by hand")
    headers.update(added)
    request.headers = headers
