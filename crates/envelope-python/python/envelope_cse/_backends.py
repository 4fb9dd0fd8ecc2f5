"""Where the metadata of an object is, in the file systems that `EncryptedFileSystem` works on."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import email.utils
import inspect
import json
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ._native import Crc64
from ._plain_body import as_sent, stored_pieces

# As in the folder store of `envelope`, which keeps its own files in the latter.
_SIDECAR, _TAG, _INTERNAL = ".headers.json", "etag", ".envelope-uploads"


@dataclasses.dataclass(frozen=True)
class Stored:
    """An object as it is stored: its length, its metadata, and what changes when it is replaced.

    `modified` is in seconds since 1970.
    """

    size: int
    headers: Mapping[str, str]
    etag: str | None = None
    modified: float | None = None


class Backend(Protocol):
    """How a file system keeps objects with metadata."""

    dialect: str | None
    """The dialect of new objects, or `None` if any will do."""
    lists_plain_sizes: bool
    """Whether the listed length of an object is always that of its plaintext."""

    def head(self, path: str) -> Stored | None:
        """Returns what is known of an object, or `None` if there is none."""

    def kind(self, path: str) -> str | None:
        """Returns whether there is a `"file"` or a `"directory"`, or `None` if there is nothing.

        A file whose metadata is damaged is one, too.
        """

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
        """Copies an object with its metadata to another path."""


class Changed(OSError):
    """An object was replaced while it was being read."""


class _Service:
    """What the objects of both services have in common."""

    lists_plain_sizes = False
    _fs: Any

    def head(self, path: str) -> Stored | None:
        raise NotImplementedError

    def kind(self, path: str) -> str | None:
        # Listings, which may be older, are only asked for folders.
        if self.head(path) is not None:
            return "file"
        kind = _kind(self._fs, path)
        return None if kind == "file" else kind

    def is_hidden(self, path: str) -> bool:
        return False

    def remove(self, path: str) -> None:
        pass

    def _check_written(self, path: str, size: int, headers: Mapping[str, str]) -> None:
        """Checks that an object was written as a whole, with its metadata."""
        stored = self.head(path)
        if stored is None or stored.size != size:
            raise OSError(f"{path} was not written as a whole")
        kept = {name.lower(): value for name, value in stored.headers.items()}
        lost = [name for name, value in headers.items() if kept.get(name.lower()) != value]
        if lost:
            raise OSError(f"{path} was written without its metadata: {', '.join(lost)}")

    def _copied(self, copy: Callable[[str, str], object], source: str, target: str) -> None:
        before = self.head(source)
        if before is None:
            raise FileNotFoundError(source)
        copy(source, target)
        kept = {k: v for k, v in before.headers.items() if "-meta-" in k.lower()}
        # What is copied in parts has lost it.
        self._check_written(target, before.size, kept)


class Oss(_Service):
    """`ossfs`, whose `info` gives no metadata: it is asked through its own client, oss2."""

    # All dialects of OSS are AES-CTR.
    dialect: str | None = "oss-v2"
    lists_plain_sizes = True

    def __init__(self, fs: Any) -> None:
        if inspect.iscoroutinefunction(fs._call_oss):
            raise TypeError("use ossfs.OSSFileSystem: AioOSSFileSystem is not supported")
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
        headers = {name: as_sent(value) for name, value in result.headers.items()}
        return Stored(total, headers, result.headers.get("ETag"), result.last_modified)

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
            if "PreconditionFailed" in f"{error} {error.__cause__}":
                raise _replaced(path) from error
            raise
        _check_range(path, start, result.headers.get("Content-Range"))
        # `result.read` would decompress it.
        return b"".join(stored_pieces(result.resp.response)), self._stored(result)

    def write(self, path: str, body: Any, size: int, headers: dict[str, str], create: bool) -> None:
        sent = {**headers, "x-oss-forbid-overwrite": "true"} if create else headers
        try:
            # ossfs would send a body again from where the first attempt has stopped.
            self._call("put_object", path, body, headers=sent, retry=1)
        except OSError as error:
            if create and "FileAlreadyExists" in str(error):
                raise FileExistsError(path) from error
            raise
        self._fs.invalidate_cache(path)
        self._check_written(path, size, headers)

    def copy(self, source: str, target: str) -> None:
        self._copied(self._fs.cp_file, source, target)


class Cos(_Service):
    """`cosfs`, whose `info` gives no metadata: it is asked through its own client, qcloud_cos."""

    dialect: str | None = "cos-v2"

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
        headers = {k.lower(): as_sent(value) for k, value in answer.items() if k != "Body"}
        size = _total(headers.get("content-range"), int(headers.get("content-length", 0)))
        modified = headers.get("last-modified")
        if modified is not None:
            modified = email.utils.parsedate_to_datetime(modified).timestamp()
        return Stored(size, headers, headers.get("etag"), modified)

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
                raise _replaced(path) from error
            raise OSError(str(error)) from error
        found = {name.lower(): value for name, value in answer.items()}
        _check_range(path, start, found.get("content-range"))
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
        self._check_written(path, size, headers)

    def copy(self, source: str, target: str) -> None:
        self._copied(self._fs.cp_file, source, target)


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
        tag = headers.get(_TAG)
        if tag is not None and not tag.strip('"').endswith(f"-{size}"):
            raise OSError(f"the metadata beside {path} is that of another file")
        modified = info.get("mtime", info.get("created"))
        if isinstance(modified, datetime.datetime):
            modified = modified.timestamp()
        return Stored(size, headers, tag, modified)

    def kind(self, path: str) -> str | None:
        return _kind(self._fs, path)

    def _headers(self, path: str) -> dict[str, str]:
        content = self._sidecar(path)
        if content is None:
            return {}
        if not content:
            raise OSError(
                f"{path}{_SIDECAR} is no JSON: while the file is being replaced, and if that was "
                f"interrupted, its metadata is in {path}.*{_SIDECAR}"
            )
        try:
            headers = json.loads(content)
        except ValueError as error:
            raise OSError(f"{path}{_SIDECAR} is no JSON") from error
        if not isinstance(headers, dict):
            raise OSError(f"{path}{_SIDECAR} is no object of headers")
        return {name: value for name, value in headers.items() if isinstance(value, str)}

    def _sidecar(self, path: str) -> bytes | None:
        try:
            return bytes(self._fs.cat_file(path + _SIDECAR))
        except FileNotFoundError:
            return None

    def read(
        self, path: str, start: int | None, end: int | None, etag: str | None
    ) -> tuple[bytes, Stored]:
        before = self.head(path)
        if before is None:
            raise FileNotFoundError(path)
        if etag is not None and before.etag != etag:
            raise _replaced(path)
        body: bytes = self._fs.cat_file(path, start, end)
        if self.head(path) != before:
            raise _replaced(path)
        return body, before

    def write(self, path: str, body: Any, size: int, headers: dict[str, str], create: bool) -> None:
        if create and self.kind(path) is not None:
            raise FileExistsError(path)
        crc, new = Crc64(), self._new(path)
        try:
            with self._fs.open(new, "wb") as file:
                for piece in body if not isinstance(body, bytes) else (body,):
                    crc.update(piece)
                    file.write(piece)
            kept = {**headers, _TAG: _tag(crc, size)}
            self._fs.pipe_file(new + _SIDECAR, json.dumps(kept).encode())
        except BaseException:
            self._forget(new)
            raise
        self._replace(new, path)

    def _new(self, path: str) -> str:
        # It is hidden, as everything is whose name has the suffix.
        return f"{path}.{secrets.token_hex(8)}.new{_SIDECAR}"

    def _forget(self, *paths: str) -> None:
        for path in paths:
            for each in (path, path + _SIDECAR):
                with contextlib.suppress(Exception):
                    self._fs.rm_file(each)

    def _replace(self, new: str, path: str) -> None:
        """Gives a file and its metadata, which are complete, the names of others.

        In between, the metadata is an empty file, so that the file is refused, and never taken for
        plaintext. Whatever happens, the metadata of each file that is there is there, too: if this
        is interrupted, that of the old file is in `NAME.*.old.headers.json` and that of the new one
        in `NAME.*.new.headers.json.headers.json`; whichever belongs to the file can be given its
        name. If there was none, it is enough to remove the empty one.
        """
        old = f"{path}.{secrets.token_hex(8)}.old{_SIDECAR}"
        try:
            # Nothing is replaced before its replacement is proven.
            self.head(new)
            has_metadata = _kind(self._fs, new + _SIDECAR) is not None
            before, metadata = self._info(path), self._sidecar(path)
            if metadata is not None:
                self._fs.pipe_file(old, metadata)
                if self._fs.cat_file(old) != metadata:
                    raise OSError(f"{old} was not written as a whole")
        except BaseException:
            self._forget(new)
            with contextlib.suppress(Exception):
                self._fs.rm_file(old)
            raise
        try:
            self._fs.pipe_file(path + _SIDECAR, b"")
            self._fs.mv(new, path)
        except BaseException as failure:
            if self._is_still(path, before, metadata):
                with contextlib.suppress(Exception):
                    if metadata is None:
                        self._fs.rm_file(path + _SIDECAR)
                    else:
                        self._fs.mv(old, path + _SIDECAR)
                    self._forget(new)
            else:
                former = "" if metadata is None else f", or that of the former one in {old}"
                failure.add_note(f"the metadata of {path} is in {new}{_SIDECAR}{former}")
            raise
        if has_metadata:
            try:
                self._fs.mv(new + _SIDECAR, path + _SIDECAR)
            except Exception as error:
                raise OSError(f"the metadata of {path} is in {new}{_SIDECAR}") from error
        else:
            self._fs.rm_file(path + _SIDECAR)
        if metadata is not None:
            self._fs.rm_file(old)

    def _info(self, path: str) -> Any:
        try:
            return self._fs.info(path)
        except FileNotFoundError:
            return None

    def _is_still(self, path: str, before: Any, metadata: bytes | None) -> bool:
        """Returns whether a file is certainly the one that it was: some file systems move a file by
        copying it, and may have failed after that."""
        with contextlib.suppress(Exception):
            self._fs.invalidate_cache(path)
            tag = json.loads(metadata).get(_TAG) if metadata else None
            if tag is None or before is None:
                return bool(self._info(path) == before)
            crc, size = Crc64(), 0
            with self._fs.open(path, "rb") as file:
                while piece := file.read(1 << 20):
                    crc.update(piece)
                    size += len(piece)
            return bool(tag == _tag(crc, size))
        return False

    def is_hidden(self, path: str) -> bool:
        return any(
            part.endswith(_SIDECAR) or part.startswith(_INTERNAL) for part in path.split("/")
        )

    def remove(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._fs.rm_file(path + _SIDECAR)

    def copy(self, source: str, target: str) -> None:
        new = self._new(target)
        try:
            self._fs.cp_file(source, new)
            with contextlib.suppress(FileNotFoundError):
                self._fs.cp_file(source + _SIDECAR, new + _SIDECAR)
        except BaseException:
            self._forget(new)
            raise
        self._replace(new, target)


def _kind(fs: Any, path: str) -> str | None:
    """Returns the type of what is there, or `None` if there is nothing.

    `exists`, `isfile` and `isdir` of fsspec take every error for absence: what could not be looked
    at would be overwritten, or left out of what is copied.
    """
    try:
        return str(fs.info(path)["type"])
    except (FileNotFoundError, NotADirectoryError):
        # The latter is said of what would be below a file.
        return None


def _tag(crc: Crc64, size: int) -> str:
    return f'"{crc.value:016X}-{size}"'


def _total(content_range: str | None, length: int) -> int:
    """Returns the length of an object of which an answer has a range."""
    total = (content_range or "").rpartition("/")[2]
    return int(total) if total.isascii() and total.isdigit() else length


def _check_range(path: str, start: int | None, given: str | None) -> None:
    """Checks that an answer begins where it was asked to."""
    if start is None:
        if given is not None:
            raise OSError(f"{path}: a part of the object came instead of all of it")
    elif not (given or "").lower().startswith(f"bytes {start}-"):
        raise OSError(f"{path}: another range came than was asked for: {given!r}")


def _replaced(path: str) -> Changed:
    return Changed(f"{path} was replaced while it was being read")


def backend_of(fs: Any) -> Backend:
    """Returns how a file system keeps metadata."""
    known: dict[str, Callable[[Any], Backend]] = {"oss": Oss, "cos": Cos, "cosn": Cos}
    protocols = (fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol
    for protocol in protocols:
        if protocol in known:
            return known[protocol](fs)
    return Sidecar(fs)
