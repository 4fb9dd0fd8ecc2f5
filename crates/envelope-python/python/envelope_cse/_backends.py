"""Where the metadata of an object is, in the file systems that `EncryptedFileSystem` works on."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ._native import Crc64

# As in the folder store of `envelope`.
_SIDECAR, _TAG = ".headers.json", "etag"


@dataclasses.dataclass(frozen=True)
class Stored:
    """An object as it is stored: its length, its metadata, and what changes when it is replaced."""

    size: int
    headers: Mapping[str, str]
    etag: str | None = None
    modified: Any = None


class Backend(Protocol):
    """How a file system keeps objects with metadata."""

    dialect: str | None
    """The dialect of new objects, or `None` if any will do."""
    lists_plain_sizes: bool
    """Whether the listed length of an object is always that of its plaintext."""

    def head(self, path: str) -> Stored | None:
        """Returns what is known of an object, or `None` if there is none."""

    def read(
        self, path: str, start: int | None, end: int | None, etag: str | None
    ) -> tuple[bytes, Stored]:
        """Returns bytes of an object, or all, and what the object is that they are from.

        Raises an exception if the object is not the one with this `etag`.
        """

    def write(self, path: str, body: Any, size: int, headers: dict[str, str], create: bool) -> None:
        """Writes an object. With `create`, raises `FileExistsError` if there is one."""

    def is_hidden(self, path: str) -> bool:
        """Returns whether a file is none of the user's."""

    def remove(self, path: str) -> None:
        """Removes what belongs to an object that was removed."""

    def copy(self, source: str, target: str) -> None:
        """Copies an object with its metadata."""


class Changed(OSError):
    """An object was replaced while it was being read."""


class Oss:
    """`ossfs`, whose `info` gives no metadata: it is asked through its own client, oss2."""

    # All dialects of OSS are AES-CTR.
    dialect: str | None = "oss-v2"
    lists_plain_sizes = True

    def __init__(self, fs: Any) -> None:
        self._fs = fs

    def _call(self, method: str, path: str, *args: Any, **kwargs: Any) -> Any:
        bucket, key = self._fs.split_path(path)[:2]
        return self._fs._call_oss(method, key, *args, bucket=bucket, **kwargs)

    def head(self, path: str) -> Stored | None:
        if not self._fs.split_path(path)[1]:
            return None
        try:
            return self._stored(self._call("head_object", path))
        except FileNotFoundError:
            return None

    @staticmethod
    def _stored(result: Any) -> Stored:
        total = _total(result.headers.get("Content-Range"), result.content_length)
        return Stored(total, result.headers, result.headers.get("ETag"), result.last_modified)

    def read(
        self, path: str, start: int | None, end: int | None, etag: str | None
    ) -> tuple[bytes, Stored]:
        headers = {"x-oss-range-behavior": "standard", "Accept-Encoding": "identity"}
        if etag is not None:
            headers["If-Match"] = etag
        wanted = None if start is None else (start, None if end is None else end - 1)
        try:
            result = self._call("get_object", path, byte_range=wanted, headers=headers)
        except OSError as error:
            raise _changed(error, path) from error
        return result.read(), self._stored(result)

    def write(self, path: str, body: Any, size: int, headers: dict[str, str], create: bool) -> None:
        if create:
            headers = {**headers, "x-oss-forbid-overwrite": "true"}
        try:
            self._call("put_object", path, body, headers=headers)
        except OSError as error:
            if create and "FileAlreadyExists" in str(error):
                raise FileExistsError(path) from error
            raise
        self._fs.invalidate_cache(path)

    def is_hidden(self, path: str) -> bool:
        return False

    def remove(self, path: str) -> None:
        pass

    def copy(self, source: str, target: str) -> None:
        self._fs.cp_file(source, target)


class Cos:
    """`cosfs`, whose `info` gives no metadata: it is asked through its own client, qcloud_cos."""

    dialect: str | None = "cos-v2"
    lists_plain_sizes = False

    def __init__(self, fs: Any) -> None:
        self._fs = fs

    def _call(self, method: str, path: str, **kwargs: Any) -> Any:
        bucket, key = self._fs._split_path(path)[:2]
        return getattr(self._fs._cos_client, method)(Bucket=bucket, Key=key, **kwargs)

    def head(self, path: str) -> Stored | None:
        from qcloud_cos import CosServiceError

        if not self._fs._split_path(path)[1]:
            return None
        try:
            return self._stored(self._call("head_object", path))
        except CosServiceError as error:
            if error.get_status_code() == 404:
                return None
            raise OSError(str(error)) from error

    @staticmethod
    def _stored(answer: Mapping[str, Any]) -> Stored:
        headers = {name.lower(): value for name, value in answer.items() if name != "Body"}
        size = _total(headers.get("content-range"), int(headers.get("content-length", 0)))
        return Stored(size, headers, headers.get("etag"), headers.get("last-modified"))

    def read(
        self, path: str, start: int | None, end: int | None, etag: str | None
    ) -> tuple[bytes, Stored]:
        from qcloud_cos import CosServiceError

        more = {} if etag is None else {"IfMatch": etag}
        if start is not None:
            more["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
        try:
            answer = self._call("get_object", path, **more)
        except CosServiceError as error:
            if error.get_status_code() == 404:
                raise FileNotFoundError(path) from error
            if error.get_status_code() == 412:
                raise Changed(f"{path} was replaced while it was being read") from error
            raise OSError(str(error)) from error
        return answer["Body"].get_raw_stream().read(), self._stored(answer)

    def write(self, path: str, body: Any, size: int, headers: dict[str, str], create: bool) -> None:
        from qcloud_cos import CosServiceError

        more = {"x-cos-forbid-overwrite": "true"} if create else {}
        try:
            self._call("put_object", path, Body=body, Metadata={**headers, **more})
        except CosServiceError as error:
            if create and error.get_error_code() == "FileAlreadyExists":
                raise FileExistsError(path) from error
            raise OSError(str(error)) from error
        self._fs.invalidate_cache(path)

    def is_hidden(self, path: str) -> bool:
        return False

    def remove(self, path: str) -> None:
        pass

    def copy(self, source: str, target: str) -> None:
        self._fs.cp_file(source, target)


class Sidecar:
    """Any other file system: the metadata is in `NAME.headers.json` beside the file, which is what
    the folders of `envelope` have, too."""

    dialect: str | None = None
    lists_plain_sizes = False

    def __init__(self, fs: Any) -> None:
        self._fs = fs

    def head(self, path: str) -> Stored | None:
        try:
            info = self._fs.info(path)
        except FileNotFoundError:
            return None
        if info["type"] != "file":
            return None
        headers = self._headers(path)
        size = int(info["size"])
        return Stored(
            size, headers, self._etag(headers, size), info.get("mtime", info.get("created"))
        )

    def _headers(self, path: str) -> dict[str, str]:
        try:
            headers = json.loads(self._fs.cat_file(path + _SIDECAR))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise OSError(f"{path}{_SIDECAR} is no JSON") from error
        if not isinstance(headers, dict):
            raise OSError(f"{path}{_SIDECAR} is no object of headers")
        return {name: value for name, value in headers.items() if isinstance(value, str)}

    @staticmethod
    def _etag(headers: Mapping[str, str], size: int) -> str | None:
        """Returns the tag, if it is that of a file of this length."""
        tag = headers.get(_TAG)
        if tag is not None and not tag.strip('"').endswith(f"-{size}"):
            raise OSError("the metadata beside the file is that of another file")
        return tag

    def read(
        self, path: str, start: int | None, end: int | None, etag: str | None
    ) -> tuple[bytes, Stored]:
        stored = self.head(path)
        if stored is None:
            raise FileNotFoundError(path)
        if etag is not None and stored.etag != etag:
            raise Changed(f"{path} was replaced while it was being read")
        body: bytes = self._fs.cat_file(path, start, end)
        return body, stored

    def write(self, path: str, body: Any, size: int, headers: dict[str, str], create: bool) -> None:
        if create and self._fs.exists(path):
            raise FileExistsError(path)
        crc, new = Crc64(), f"{path}.{secrets.token_hex(8)}.new{_SIDECAR}"
        try:
            with self._fs.open(new, "wb") as file:
                for piece in body if not isinstance(body, bytes) else (body,):
                    crc.update(piece)
                    file.write(piece)
            # Between these steps, the file has no metadata, or that of another length or checksum:
            # it is refused.
            with contextlib.suppress(FileNotFoundError):
                self._fs.rm_file(path + _SIDECAR)
            self._replace(new, path)
        except BaseException:
            with contextlib.suppress(Exception):
                self._fs.rm_file(new)
            raise
        kept = {**headers, _TAG: f'"{crc.value:016X}-{size}"'}
        self._fs.pipe_file(path + _SIDECAR, json.dumps(kept).encode())

    def _replace(self, source: str, target: str) -> None:
        if self._fs.exists(target):
            self._fs.rm_file(target)
        self._fs.mv(source, target)

    def is_hidden(self, path: str) -> bool:
        return path.rstrip("/").endswith(_SIDECAR)

    def remove(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._fs.rm_file(path + _SIDECAR)

    def copy(self, source: str, target: str) -> None:
        # The metadata of what was there before is not that of what is copied.
        self.remove(target)
        self._fs.cp_file(source, target)
        with contextlib.suppress(FileNotFoundError):
            self._fs.cp_file(source + _SIDECAR, target + _SIDECAR)


def _total(content_range: str | None, length: int) -> int:
    """Returns the length of an object of which an answer has a range."""
    total = (content_range or "").rpartition("/")[2]
    return int(total) if total.isascii() and total.isdigit() else length


def _changed(error: OSError, path: str) -> OSError:
    if "PreconditionFailed" in f"{error} {error.__cause__}":
        return Changed(f"{path} was replaced while it was being read")
    return error


def backend_of(fs: Any) -> Backend:
    """Returns how a file system keeps metadata."""
    known: dict[str, Callable[[Any], Backend]] = {"oss": Oss, "cos": Cos, "cosn": Cos}
    protocols = (fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol
    for protocol in protocols:
        if protocol in known:
            return known[protocol](fs)
    return Sidecar(fs)
