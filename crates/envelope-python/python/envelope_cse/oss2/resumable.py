"""`oss2.resumable`, whose `resumable_upload` is that of encrypted objects, too."""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import Any

import oss2 as _sdk
from oss2 import defaults
from oss2.exceptions import ClientError, NoSuchUpload
from oss2.iterators import PartIterator
from oss2.models import PartInfo
from oss2.resumable import *  # noqa: F403

from .. import _native as _cse
from .._stand_in import raising
from .crypto_bucket import CryptoBucket

logger = logging.getLogger("envelope_cse.oss2")

_SIGNATURE = "envelope-cse-upload-1"


def resumable_upload(
    bucket: Any,
    key: str,
    filename: str,
    store: Any = None,
    headers: Any = None,
    multipart_threshold: int | None = None,
    part_size: int | None = None,
    progress_callback: Any = None,
    num_threads: int | None = None,
    params: Any = None,
) -> Any:
    """As `oss2.resumable_upload`.

    Before the first part of an encrypted object is sent, the checksums of all its encrypted parts
    are recorded. A part is sent only if it still has that checksum, in this attempt and in those
    that continue it: if the file has changed, the upload is given up, and the next attempt encrypts
    with another key. Parts that the service has are kept only if they are those parts. An upload
    can be continued only by who can decrypt.
    """
    if not isinstance(bucket, CryptoBucket):
        return _sdk.resumable_upload(
            bucket, key, filename, store, headers, multipart_threshold, part_size,
            progress_callback, num_threads, params,
        )  # fmt: skip
    size = os.path.getsize(filename)
    if size < defaults.get(multipart_threshold, defaults.multipart_threshold) or size == 0:
        with open(filename, "rb") as file:
            return bucket.put_object(key, file, headers, progress_callback)
    wanted = defaults.get(part_size, defaults.part_size)
    threads = defaults.get(num_threads, defaults.multipart_num_threads)
    upload = _Upload(bucket, key, filename, store or _sdk.ResumableStore(), progress_callback)
    return upload.run(headers, wanted, threads, params)


class _Upload:
    def __init__(self, bucket: Any, key: str, filename: str, store: Any, progress: Any) -> None:
        self._bucket, self._key, self._path = bucket, key, os.path.abspath(filename)
        self._store, self._progress = store, progress
        self._record_key = store.make_store_key(bucket.bucket_name, key, self._path)
        self._lock = threading.Lock()
        self._is_given_up = False
        self._done: dict[int, PartInfo] = {}
        # Encrypts a part. It is there as soon as there is a record.
        self._encrypt: Callable[[int, bytes], bytes]

    def run(self, headers: Any, part_size: int, threads: int, params: Any) -> Any:
        status = os.stat(self._path)
        self._size = status.st_size
        record = self._continued(status)
        if record is None:
            record = self._begun(status, headers, part_size, params)
        self._record = record
        self._report(0)
        missing = [n for n in range(1, len(record["parts"]) + 1) if n not in self._done]
        with ThreadPoolExecutor(max(1, threads)) as pool:
            sent = [pool.submit(self._send, number, headers) for number in missing]
            _, unfinished = wait(sent, return_when=FIRST_EXCEPTION)
            for one in unfinished:
                one.cancel()
        for one in sent:
            if not one.cancelled():
                one.result()
        parts = [self._done[number] for number in sorted(self._done)]
        kept = {"x-oss-request-payer", "x-oss-object-acl", "x-oss-forbid-overwrite"}
        completing = {k: v for k, v in (headers or {}).items() if k.lower() in kept}
        upload_id = record["upload_id"]
        result = self._bucket.complete_multipart_upload(self._key, upload_id, parts, completing)
        self._store.delete(self._record_key)
        return result

    def _begun(self, status: Any, headers: Any, part_size: int, params: Any) -> dict[str, Any]:
        cipher = self._bucket.crypto_provider.cipher
        part_size = cipher.determine_part_size(self._size, max(part_size, defaults.min_part_size))
        context = _sdk.models.MultipartUploadCryptoContext(self._size, part_size)
        with raising(ClientError):
            parts = self._bucket.crypto_provider.encryptor.start_parts(self._size, part_size)
            self._encrypt = parts.encrypt
            proofs = []
            for number in range(1, parts.count + 1):
                body = parts.encrypt(number, self._read(parts.part(number)[0], part_size))
                crc = _cse.Crc64()
                crc.update(body)
                proofs.append([hashlib.sha256(body).hexdigest(), crc.value])
        sent = self._bucket._headers(headers)
        sent.update(parts.headers)
        begun = _sdk.Bucket.init_multipart_upload(self._bucket, self._key, sent, params)
        record = {
            "signature": _SIGNATURE,
            "upload_id": begun.upload_id,
            "bucket": self._bucket.bucket_name,
            "key": self._key,
            "path": self._path,
            "size": self._size,
            "mtime": status.st_mtime,
            "part_size": context.part_size,
            "headers": parts.headers,
            "parts": proofs,
        }
        self._store.put(self._record_key, record)
        return record

    def _continued(self, status: Any) -> dict[str, Any] | None:
        """Returns the record of an upload that can be continued. One that cannot is forgotten."""
        record: dict[str, Any] | None = self._store.get(self._record_key)
        if record is None:
            return None
        if record.get("signature") != _SIGNATURE:
            # That of oss2 does not say what its parts contained.
            logger.warning("the upload of %s is begun again: its record is another's", self._path)
            self._forget(record.get("upload_id"))
            return None
        same = {"size": self._size, "mtime": status.st_mtime, "key": self._key, "path": self._path}
        if any(record[name] != value for name, value in same.items()):
            logger.warning("the upload of %s is begun again: the file has changed", self._path)
            self._forget(record["upload_id"])
            return None
        try:
            with raising(ClientError):
                envelope = _cse.parse(record["headers"])
                if envelope is None:
                    self._forget(record["upload_id"])
                    return None
                keystream = self._bucket.crypto_provider.decryptor.open_range(envelope)
        except ClientError as error:
            logger.warning("the upload of %s is begun again: %s", self._path, error)
            self._forget(record["upload_id"])
            return None
        part_size = record["part_size"]
        self._encrypt = lambda number, plain: keystream.apply(plain, (number - 1) * part_size)
        try:
            stored = list(PartIterator(self._bucket, self._key, record["upload_id"]))
        except NoSuchUpload:
            self._forget(None)
            return None
        for part in stored:
            if part.part_number <= len(record["parts"]) and self._is_ours(part, record):
                self._done[part.part_number] = part
        return record

    def _is_ours(self, part: Any, record: dict[str, Any]) -> bool:
        """Returns whether the service has a part as it was encrypted."""
        crc = record["parts"][part.part_number - 1][1]
        if part.part_crc is not None:
            return bool(part.part_crc == crc)
        # A service that lists no checksum has the MD5 as the ETag.
        body = self._encrypted(part.part_number, record)
        digest = hashlib.md5(body, usedforsecurity=False).hexdigest()
        part.part_crc = crc
        return bool(part.size == len(body) and part.etag.lower() == digest)

    def _encrypted(self, number: int, record: dict[str, Any]) -> bytes:
        """Returns a part, if it is still what it was when the upload began."""
        size, part_size = record["size"], record["part_size"]
        start = (number - 1) * part_size
        with raising(ClientError):
            body = self._encrypt(number, self._read(start, min(part_size, size - start)))
        digest = hashlib.sha256(body).hexdigest()
        if not hmac.compare_digest(digest, record["parts"][number - 1][0]):
            with self._lock:
                if not self._is_given_up:
                    self._is_given_up = True
                    self._forget(record["upload_id"])
            raise ClientError(f"{self._path} has changed since its upload began: begin again")
        return body

    def _forget(self, upload_id: str | None) -> None:
        if upload_id is not None:
            try:
                self._bucket.abort_multipart_upload(self._key, upload_id)
            except _sdk.exceptions.OssError as error:
                logger.warning("the upload %s could not be aborted: %s", upload_id, error)
        self._store.delete(self._record_key)

    def _read(self, start: int, length: int) -> bytes:
        with open(self._path, "rb") as file:
            file.seek(start)
            return file.read(length)

    def _send(self, number: int, headers: Any) -> None:
        record = self._record
        body = self._encrypted(number, record)
        kept = {"x-oss-request-payer", "x-oss-traffic-limit"}
        sent = self._bucket._headers(
            {k: v for k, v in (headers or {}).items() if k.lower() in kept}
        )
        sent.update(record["headers"])
        params = {"uploadId": record["upload_id"], "partNumber": str(number)}
        result = self._bucket._send("upload part", self._key, body, sent, None, params)
        with self._lock:
            self._done[number] = PartInfo(
                number, result.etag, size=len(body), part_crc=record["parts"][number - 1][1]
            )
        self._report(number)

    def _report(self, _number: int) -> None:
        if self._progress:
            with self._lock:
                done = sum(part.size for part in self._done.values())
                self._progress(done, self._size)
