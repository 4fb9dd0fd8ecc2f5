"""Encrypted files in any file system of fsspec: `pandas.read_parquet("envelope+oss://...")`.

>>> import envelope_cse as cse, fsspec
>>> from envelope_cse.filesystem import EncryptedFileSystem
>>> key = cse.RsaKey.generate(2048)
>>> fs = EncryptedFileSystem(fs=fsspec.filesystem("memory"), master_key=key)
>>> with fs.open("/a/file", "wb") as file:
...     _ = file.write(b"text")
>>> fs.cat_file("/a/file", 1, 3), fs.info("/a/file")["size"]
(b'ex', 4)
"""

from __future__ import annotations

import io
import os
import posixpath
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, Literal

import fsspec
from fsspec.implementations.local import LocalFileSystem
from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

from . import _native as _cse
from ._backends import Backend, Stored, backend_of
from ._encrypted_body import encrypted_body
from ._open_key import open_key
from ._target import replacing

__all__ = ["EncryptedFileSystem", "register"]

# What is written is held up to here, so that its seal covers the body.
_HELD = 64 << 20
# The longest body of one request, in OSS and in COS.
_LONGEST = 5 << 30
_THREADS = 16
# How much of a long file is asked for at a time.
_STEP = 16 << 20

_Key = _cse.MasterKey | str | os.PathLike[str]


class EncryptedFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """The files of another file system, encrypted.

    `master_key` encrypts, and decrypts; `other_keys` only decrypt. They are keys, paths of key
    files, or the addresses of a KMS, as in `open_key`: only the latter two can be pickled, as dask
    does. Sizes are those of the plaintext. Where another file is read in ranges, so is this one,
    and a file costs one unwrap, whose result stays in memory for five minutes.

    `cat_file` of a whole file, `get_file` and `read_text` check all of it: its length and, where it
    is sealed or AES-GCM, every byte. What is read through `open`, or in ranges, is not
    authenticated, unless the file only opens as a whole (AES-GCM, or by the policy): then it is
    read, checked and held as a whole. A file without encryption metadata is refused, unless the
    policy allows plaintext. What cannot be looked at, or listed, is an error, and not absent.

    What is written is sent in one request of up to 5 GiB when the file is closed; beyond 64 MiB,
    its ciphertext is kept in a temporary file until then.

    With ossfs and cosfs, the metadata is that of the object, as with every SDK. With others, it is
    in `NAME.headers.json` beside each file, as in the folders of `envelope`; names like that cannot
    be used. Such a folder has one writer at a time.
    """

    protocol: ClassVar[str | tuple[str, ...]] = "envelope"
    # An instance has keys, which must not be confused with those of another one.
    cachable = False
    target: ClassVar[str | None] = None

    def __init__(
        self,
        *,
        fs: Any = None,
        target_protocol: str | None = None,
        target_options: dict[str, Any] | None = None,
        master_key: _Key | None = None,
        other_keys: Sequence[_Key] = (),
        dialect: str | None = None,
        content: Literal["ctr", "gcm"] = "ctr",
        policy: Callable[[], _cse.Policy] | _cse.Policy | None = None,
        passphrase_file: str | os.PathLike[str] | None = None,
        kms: dict[str, Any] | None = None,
        backend: Callable[[Any], Backend] = backend_of,
        exact_sizes: bool = True,
        **storage_options: Any,
    ) -> None:
        super().__init__()
        if "fo" in storage_options:
            raise ValueError("an address is not chained: it is envelope+file://..., not envelope::")
        if set(kms or {}) & {"access_key_secret", "session_token", "context_passphrase"}:
            raise ValueError("options are written down in many places: secrets are not among them")
        if fs is None:
            protocol = target_protocol or self.target
            if protocol is None:
                raise ValueError("fs, or target_protocol, says whose files are encrypted")
            options = {**(target_options or {}), **storage_options}
            fs = fsspec.filesystem(protocol, **options)
        self.fs = fs
        self._strip_protocol = self._strip  # type: ignore[method-assign]
        self._backend, self._exact_sizes = backend(fs), exact_sizes
        wanted = [*([] if master_key is None else [master_key]), *other_keys]
        if not wanted:
            raise ValueError("there is no key")
        opened = [open_key(k, passphrase_file=passphrase_file, **(kms or {})) for k in wanted]
        policy = policy() if callable(policy) else policy
        self._decryptor = _cse.Decryptor(opened, policy=policy)
        self._encryptor: _cse.Encryptor | None = None
        self._is_named = not any(isinstance(key, _cse.MasterKey) for key in wanted)
        if master_key is not None:
            # OSS has no dialect with an AES key.
            usual = "cos-v2" if isinstance(opened[0], _cse.AesKey) else "oss-v2"
            dialect = dialect or self._backend.dialect or usual
            self._encryptor = _cse.Encryptor(opened[0], dialect, content=content)

    # File systems with the same options are the same, but keys themselves do not show in options.

    @property
    def _fs_token(self) -> Any:
        token = super()._fs_token
        return token if self._is_named else f"{token}-{id(self)}"

    def __eq__(self, other: object) -> bool:
        same = isinstance(other, EncryptedFileSystem) and self._is_named and other._is_named
        return self is other or bool(same and super().__eq__(other))

    def __hash__(self) -> int:
        return int(super().__hash__()) if self._is_named else id(self)

    # Paths are those of the other file system.

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(each) for each in path]
        path = os.fspath(path)
        for protocol in (cls.protocol,) if isinstance(cls.protocol, str) else cls.protocol:
            path = path.removeprefix(protocol + "://")
        if cls.target is not None:
            path = fsspec.get_filesystem_class(cls.target)._strip_protocol(path)
        return path

    def _strip(self, path: Any) -> Any:
        if isinstance(path, list):
            return [self._strip(each) for each in path]
        return self.fs._strip_protocol(type(self)._strip_protocol(path))

    def unstrip_protocol(self, name: str) -> str:
        protocol = self.protocol if isinstance(self.protocol, str) else self.protocol[0]
        return f"{protocol}://{self._strip(name)}"

    @property
    def fsid(self) -> str:
        return f"envelope_{self.fs.fsid}"

    # What is there.

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        path = self._strip_protocol(path)
        stored = None if self._backend.is_hidden(path) else self._backend.head(path)
        if stored is None:
            if self._backend.is_hidden(path):
                raise FileNotFoundError(path)
            found: dict[str, Any] = self.fs.info(path, **kwargs)
            if found["type"] == "file":
                raise FileNotFoundError(path)
            return found
        return self._described(path, stored)

    # Those of fsspec take every error for absence.

    def exists(self, path: str, **kwargs: Any) -> bool:
        return self._kind(path) is not None

    def isfile(self, path: str) -> bool:
        return self._kind(path) == "file"

    def isdir(self, path: str) -> bool:
        return self._kind(path) == "directory"

    def _kind(self, path: str) -> str | None:
        path = self._strip_protocol(path)
        return None if self._backend.is_hidden(path) else self._backend.kind(path)

    @staticmethod
    def _described(path: str, stored: Stored) -> dict[str, Any]:
        envelope = _cse.parse(stored.headers)
        if envelope is not None:
            envelope.check_len(stored.size)
        size = stored.size if envelope is None else envelope.plain_len_of(stored.size)
        return {
            "name": path,
            "type": "file",
            "size": size,
            "stored_size": stored.size,
            "ETag": stored.etag,
            "mtime": stored.modified,
            "dialect": None if envelope is None else envelope.dialect,
        }

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> Any:
        entries = [
            entry
            for entry in self.fs.ls(self._strip_protocol(path), detail=True, **kwargs)
            if not self._backend.is_hidden(entry["name"])
        ]
        if not detail:
            return [entry["name"] for entry in entries]
        if self._exact_sizes and not self._backend.lists_plain_sizes:
            files = [entry for entry in entries if entry["type"] == "file"]
            with ThreadPoolExecutor(_THREADS) as pool:
                sizes = list(pool.map(self._plain_size, files))
            exact = {entry["name"]: size for entry, size in zip(files, sizes)}
            entries = [{**e, "size": exact.get(e["name"], e["size"])} for e in entries]
        return entries

    def walk(
        self,
        path: str,
        maxdepth: int | None = None,
        topdown: bool = True,
        on_error: Any = None,
        **kwargs: Any,
    ) -> Any:
        """As in fsspec, but a folder that cannot be listed is an error unless `on_error` says
        otherwise: what copies and removes folders would leave out what is in it."""

        def unless_absent(error: OSError) -> None:
            if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
                raise error

        return super().walk(path, maxdepth, topdown, on_error or unless_absent, **kwargs)

    def _plain_size(self, entry: dict[str, Any]) -> Any:
        try:
            return self.info(entry["name"])["size"]
        except (_cse.EnvelopeError, OSError):
            # It is listed as it is, and refused when it is opened.
            return entry["size"]

    def created(self, path: str) -> Any:
        return self.fs.created(self._strip_protocol(path))

    def modified(self, path: str) -> Any:
        return self.fs.modified(self._strip_protocol(path))

    def ukey(self, path: str) -> str:
        return str(self.fs.ukey(self._strip_protocol(path)))

    def checksum(self, path: str) -> Any:
        return self.fs.checksum(self._strip_protocol(path))

    def invalidate_cache(self, path: str | None = None) -> None:
        self.fs.invalidate_cache(path)

    # What changes folders, and removes.

    def _own(self, path: str) -> str:
        """Returns a path that is written to. Those of metadata are not the user's."""
        path = self._strip_protocol(path)
        if self._backend.is_hidden(path):
            raise PermissionError(f"{path} is a name for the metadata of another file")
        return path

    def _is_same(self, one: str, other: str) -> bool:
        if posixpath.normpath(one).strip("/") == posixpath.normpath(other).strip("/"):
            return True
        try:
            return isinstance(self.fs, LocalFileSystem) and os.path.samefile(one, other)
        except OSError:
            return False

    def mkdir(self, path: str, create_parents: bool = True, **kwargs: Any) -> Any:
        return self.fs.mkdir(self._own(path), create_parents=create_parents, **kwargs)

    def makedirs(self, path: str, exist_ok: bool = False) -> Any:
        return self.fs.makedirs(self._own(path), exist_ok=exist_ok)

    def rmdir(self, path: str) -> Any:
        return self.fs.rmdir(self._strip_protocol(path))

    def rm_file(self, path: str) -> None:
        path = self._own(path)
        self.fs.rm_file(path)
        self._backend.remove(path)

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        for each in reversed(self.expand_path(path, recursive=recursive, maxdepth=maxdepth)):
            is_link = isinstance(self.fs, LocalFileSystem) and os.path.islink(each)
            kind = "link" if is_link else self._backend.kind(self._own(each))
            if kind == "directory":
                self.fs.rmdir(each)
            elif kind is not None:
                self.rm_file(each)
            elif not recursive:
                raise FileNotFoundError(each)

    def mv(self, path1: Any, path2: Any, **kwargs: Any) -> None:
        both = isinstance(path1, (str, os.PathLike)) and isinstance(path2, (str, os.PathLike))
        if both and self._is_same(self._strip_protocol(path1), self._strip_protocol(path2)):
            return
        super().mv(path1, path2, **kwargs)

    def cp_file(self, path1: str, path2: str, **kwargs: Any) -> None:
        path1, path2 = self._own(path1), self._own(path2)
        if self._is_same(path1, path2):
            raise ValueError(f"{path1} cannot be copied to itself")
        kind = self._kind(path1)
        if kind == "directory":
            self.fs.makedirs(path2, exist_ok=True)
        elif kind == "file":
            parent = self._parent(path2)
            if parent and not self.fs.isdir(parent):
                self.fs.makedirs(parent, exist_ok=True)
            self._backend.copy(path1, path2)
        elif kind is None:
            raise FileNotFoundError(path1)
        else:
            raise OSError(f"{path1} is neither a file nor a directory")

    # Reading.

    def _whole(self, path: str, etag: str | None = None) -> bytes:
        body, stored = self._backend.read(path, None, None, etag)
        if len(body) != stored.size:
            raise OSError(f"{path}: {len(body)} bytes came instead of {stored.size}")
        envelope = _cse.parse(stored.headers)
        if envelope is None:
            self._decryptor.check_plaintext()
            return body
        return self._decryptor.open(envelope).decrypt(body)

    def _range(self, path: str, start: int, end: int, etag: str | None) -> bytes:
        """Returns a range of the plaintext, decrypted with the envelope that came with it."""
        if end <= start:
            return b""
        body, stored = self._backend.read(path, start, end, etag)
        if len(body) != end - start:
            raise OSError(f"{path}: {len(body)} bytes came instead of {end - start}")
        envelope = _cse.parse(stored.headers)
        if envelope is None:
            self._decryptor.check_plaintext()
            return body
        return self._decryptor.open_range(envelope).apply(body, start)

    def _opens_only_whole(self, stored: Stored) -> bool:
        envelope = _cse.parse(stored.headers)
        if envelope is None:
            self._decryptor.check_plaintext()
            return False
        if envelope.content_algorithm != "AES-256-CTR":
            return True
        try:
            self._decryptor.open_range(envelope)
        except _cse.PolicyError:
            return True
        return False

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any
    ) -> bytes:
        path = self._strip_protocol(path)
        if start is None and end is None:
            return self._whole(path)
        with self.open(path, "rb", cache_type="none") as file:
            first, last, _ = slice(start, end).indices(file.size)
            if first >= last:
                return b""
            file.seek(first)
            piece: bytes = file.read(last - first)
            return piece

    def get_file(
        self, rpath: str, lpath: Any, callback: Any = None, outfile: Any = None, **kwargs: Any
    ) -> None:
        rpath = self._strip_protocol(rpath)
        stored = self._backend.head(rpath)
        if stored is None:
            if not self.isdir(rpath):
                raise FileNotFoundError(rpath)
            os.makedirs(lpath, exist_ok=True)
            return
        if hasattr(lpath, "write") or outfile is not None:
            target = outfile if outfile is not None else lpath
            for piece in self._checked(rpath, stored):
                target.write(piece)
            return
        os.makedirs(os.path.dirname(os.path.abspath(lpath)), exist_ok=True)
        with replacing(lpath) as file:
            for piece in self._checked(rpath, stored):
                file.write(piece)
        if callback is not None:
            callback.set_size(stored.size)
            callback.absolute_update(stored.size)

    def _checked(self, path: str, stored: Stored) -> Iterator[bytes]:
        """Yields the plaintext of a whole file, which is unverified until it has ended."""
        envelope = _cse.parse(stored.headers)
        if stored.size <= _HELD:
            yield self._whole(path, stored.etag)
            return
        if envelope is None:
            self._decryptor.check_plaintext()
        plain = None if envelope is None else self._decryptor.open(envelope).decryptor()
        for start in range(0, stored.size, _STEP):
            end = min(start + _STEP, stored.size)
            body, _ = self._backend.read(path, start, end, stored.etag)
            if len(body) != end - start:
                raise OSError(f"{path}: {len(body)} bytes came instead of {end - start}")
            yield body if plain is None else plain.update(body)
        if plain is not None:
            yield plain.finish()

    def read_text(self, path: str, encoding: Any = None, errors: Any = None, newline: Any = None,
        **kwargs: Any,
    ) -> str:  # fmt: skip
        file = io.BytesIO(self.cat_file(path))
        text: str = io.TextIOWrapper(file, encoding, errors or "strict", newline).read()
        return text

    def cat_ranges(
        self,
        paths: Any,
        starts: Any,
        ends: Any,
        max_gap: Any = None,
        on_error: str = "return",
        **kwargs: Any,
    ) -> list[Any]:
        if max_gap is not None:
            raise NotImplementedError
        if not isinstance(paths, list):
            raise TypeError("paths is a list")
        starts = starts if isinstance(starts, list) else [starts] * len(paths)
        ends = ends if isinstance(ends, list) else [ends] * len(paths)
        if len(starts) != len(paths) or len(ends) != len(paths):
            raise ValueError("there are as many starts and ends as paths")

        def one(wanted: tuple[str, int | None, int | None]) -> Any:
            try:
                return self.cat_file(*wanted)
            except Exception as error:
                if on_error == "return":
                    return error
                raise

        with ThreadPoolExecutor(_THREADS) as pool:
            return list(pool.map(one, zip(paths, starts, ends)))

    # Writing.

    def _new(self) -> _cse.Encryptor:
        if self._encryptor is None:
            raise _cse.EncryptError("there is no key that encrypts: say master_key=")
        return self._encryptor

    def pipe_file(self, path: str, value: Any, mode: str = "overwrite", **kwargs: Any) -> None:
        path = self._own(path)
        if self._intrans:
            with self.open(path, "xb" if mode == "create" else "wb") as file:
                file.write(value)
            return
        headers, body = self._new().encrypt(value)
        self._backend.write(path, body, len(body), headers, mode == "create")

    def put_file(
        self, lpath: str, rpath: str, callback: Any = None, mode: str = "overwrite", **kwargs: Any
    ) -> None:
        rpath = self._own(rpath)
        if os.path.isdir(lpath):
            self.makedirs(rpath, exist_ok=True)
            return
        size = os.path.getsize(lpath)
        parent = self._parent(rpath)
        if parent and not self.fs.isdir(parent):
            self.fs.makedirs(parent, exist_ok=True)
        with open(lpath, "rb") as file:
            if size <= _HELD:
                self.pipe_file(rpath, file.read(), mode)
            elif self._intrans or not self._new().is_seekable:
                with self.open(rpath, "xb" if mode == "create" else "wb") as target:
                    try:
                        shutil.copyfileobj(file, target, _STEP)
                        if file.tell() != size:
                            raise OSError(f"{lpath}: it changed while it was read")
                    except BaseException as failure:
                        target.abandon(failure)
                        raise
            else:
                _check_length(size)
                started = self._new().start(size)
                body = encrypted_body(file, started.keystream(), size)
                self._backend.write(rpath, body, size, started.headers, mode == "create")
        if callback is not None:
            callback.set_size(size)
            callback.absolute_update(size)

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        cache_options: Any = None,
        **kwargs: Any,
    ) -> Any:
        if mode == "rb":
            stored = None if self._backend.is_hidden(path) else self._backend.head(path)
            if stored is None:
                raise FileNotFoundError(path)
            return _Reader(self, path, stored, block_size, cache_options, **kwargs)
        if mode not in ("wb", "xb"):
            raise NotImplementedError(f"an encrypted file cannot be opened with mode {mode!r}")
        path = self._own(path)
        if mode == "xb" and self.exists(path):
            raise FileExistsError(path)
        self._new()
        return _Writer(self, path, mode, autocommit)

    def touch(self, path: str, truncate: bool = True, **kwargs: Any) -> None:
        path = self._own(path)
        if not truncate and self.exists(path):
            raise NotImplementedError("the time of a file cannot be set alone")
        self.pipe_file(path, b"")


class _Reader(AbstractBufferedFile):  # type: ignore[misc]
    """A file that is read through a cache of blocks, as those of other file systems."""

    def __init__(
        self,
        fs: EncryptedFileSystem,
        path: str,
        stored: Stored,
        block_size: int | None,
        cache_options: Any,
        **kwargs: Any,
    ) -> None:
        self._held: bytes | None = None
        if fs._opens_only_whole(stored):
            self._held = fs._whole(path, stored.etag)
        self.details = {**fs._described(path, stored)}
        if self._held is not None:
            self.details["size"] = len(self._held)
        super().__init__(
            fs, path, "rb", block_size or "default", cache_options=cache_options, **kwargs
        )

    def _fetch_range(self, start: int, end: int) -> bytes:
        end = min(end, self.size)
        if self._held is not None:
            return self._held[start:end]
        fs: EncryptedFileSystem = self.fs
        return fs._range(self.path, start, end, self.details["ETag"])


class _Writer(AbstractBufferedFile):  # type: ignore[misc]
    """A file that is encrypted and sent when it is closed."""

    def __init__(self, fs: EncryptedFileSystem, path: str, mode: str, autocommit: bool) -> None:
        super().__init__(fs, path, mode, _HELD, autocommit)
        self._started: _cse.EncryptedObject | None = None
        self._spooled: Any = None
        self._finished: tuple[dict[str, str], Any, int] | None = None
        # Set while something is done that cannot be done a second time, and for good if that does
        # not end well.
        self._failure: BaseException | None = None
        self.buffer: io.BytesIO

    def _initiate_upload(self) -> None:
        pass

    def _check(self) -> None:
        """Raises what went wrong before."""
        failure = self._failure
        if isinstance(failure, Exception) or (failure is not None and failure is sys.exception()):
            raise failure
        if failure is not None:
            # It was not meant for who comes later.
            raise self._interrupted() from failure

    def _interrupted(self) -> OSError:
        return OSError(f"{self.path}: an earlier write was interrupted, so it is not complete")

    def write(self, data: Any) -> int:
        self._check()
        return int(super().write(data))

    def _upload_chunk(self, final: bool = False) -> bool:
        self._check()
        self._once(lambda: self._encrypt_chunk(final))
        if final and self.autocommit:
            self.commit()
        return True

    def _once(self, act: Callable[[], None]) -> None:
        """Does what cannot be done a second time: if it fails, the file is abandoned."""
        try:
            self._failure = self._interrupted()
            act()
            self._failure = None
        except BaseException as failure:
            self.abandon(failure)
            raise

    def _encrypt_chunk(self, final: bool) -> None:
        fs: EncryptedFileSystem = self.fs
        plain = self.buffer.getbuffer()
        if final and self._started is None:
            headers, body = fs._new().encrypt(plain)
            self._finished = (headers, body, len(body))
        else:
            if self._started is None:
                self._started = fs._new().start()
                self._body = self._started.encryptor()
                self._spooled = tempfile.TemporaryFile()
            self._spooled.write(self._body.update(plain))
            _check_length(self._spooled.tell())
            if final:
                self._spooled.write(self._body.finish())
                size = self._spooled.tell()
                self._spooled.seek(0)
                self._finished = (self._started.headers, self._spooled, size)
        plain.release()
        # The keystream has advanced: these bytes are not encrypted a second time.
        self.offset += self.buffer.tell()
        self.buffer = io.BytesIO()

    def commit(self) -> None:
        self._check()
        if self._finished is None:
            return
        headers, body, size = self._finished
        sent = body if isinstance(body, bytes) else _Rest(body)
        fs: EncryptedFileSystem = self.fs
        create = self.mode == "xb"
        self._once(lambda: fs._backend.write(self.path, sent, size, headers, create))
        self.discard()

    def abandon(self, failure: BaseException) -> None:
        """Makes sure that nothing is sent, whatever closes the file."""
        self._failure, self.buffer = failure, io.BytesIO()
        transaction = self.fs._transaction
        if transaction is not None and self in transaction.files:
            # The other files are written without it.
            transaction.files.remove(self)
        self.discard()

    def close(self) -> None:
        if self._failure is not None and self._failure is sys.exception():
            # It is passing, and says itself what went wrong.
            self.closed = True
        super().close()

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if self._failure is not None and error is not None:
            self.closed = True
        self.close()

    def __del__(self) -> None:
        # Who wrote what is broken was told.
        if getattr(self, "_failure", None) is None:
            super().__del__()

    def discard(self) -> None:
        self._finished = None
        if self._spooled is not None:
            self._spooled.close()


class _Rest:
    """What is left in a file, in pieces of a megabyte; `requests` takes it for a file, too."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.read, self.seek, self.tell = file.read, file.seek, file.tell

    def __iter__(self) -> Iterator[bytes]:
        while piece := self._file.read(1 << 20):
            yield piece


def _check_length(size: int) -> None:
    if size > _LONGEST:
        raise _cse.EncryptError(
            "a file of more than 5 GiB is uploaded in parts, not through fsspec"
        )


class EncryptedOss(EncryptedFileSystem):
    """Encrypted objects in Aliyun OSS, through ossfs. Further options are those of ossfs."""

    protocol, target = "envelope+oss", "oss"


class EncryptedCos(EncryptedFileSystem):
    """Encrypted objects in Tencent COS, through cosfs. Further options are those of cosfs."""

    protocol, target = ("envelope+cos", "envelope+cosn"), "cosn"


class EncryptedFolder(EncryptedFileSystem):
    """Encrypted files in a local folder."""

    protocol, target = "envelope+file", "file"


class EncryptedMemory(EncryptedFileSystem):
    """Encrypted files in memory, for tests."""

    protocol, target = "envelope+memory", "memory"


def register() -> None:
    """Registers the file systems with fsspec. An installed package does that by itself."""
    for each in (EncryptedFileSystem, EncryptedOss, EncryptedCos, EncryptedFolder, EncryptedMemory):
        for protocol in (each.protocol,) if isinstance(each.protocol, str) else each.protocol:
            fsspec.register_implementation(protocol, each, clobber=True)
