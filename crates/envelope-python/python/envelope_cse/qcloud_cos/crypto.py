"""The providers of `qcloud_cos.crypto`, each of which holds master keys."""

from __future__ import annotations

import base64
import os
import pathlib
import threading
import warnings
from typing import Any, NoReturn

from qcloud_cos.cos_exception import CosClientError
from qcloud_cos.crypto import (
    AESCTRCipher as AESCTRCipher,
    RSAKeyPair as RSAKeyPair,
    RSAKeyPairPath as RSAKeyPairPath,
)

from .. import _native as _cse
from .._key_files import make_aes_key, make_key_pair
from .._open_key import read_secret
from .._stand_in import raising


class WeakWrapWarning(UserWarning):
    """All content keys are wrapped with the same keystream."""


class BaseProvider:
    """Master keys, which are read when they are first needed."""

    def __init__(self, cipher: Any, policy: _cse.Policy | None) -> None:
        if cipher is not None and type(cipher) is not AESCTRCipher:
            raise CosClientError("the cipher is AES-CTR: others are not supported")
        self._policy = policy
        self._lock = threading.Lock()
        self._made: tuple[_cse.Encryptor | None, _cse.Decryptor] | None = None

    def _make(self) -> tuple[_cse.Encryptor | None, _cse.Decryptor]:
        raise NotImplementedError

    def _both(self) -> tuple[_cse.Encryptor | None, _cse.Decryptor]:
        with self._lock:
            if self._made is None:
                with raising(CosClientError):
                    self._made = self._make()
            return self._made

    def __reduce_ex__(self, protocol: Any, /) -> NoReturn:
        raise TypeError("a provider has keys, and is not pickled")

    def __copy__(self) -> BaseProvider:
        return self

    def __deepcopy__(self, memo: Any) -> BaseProvider:
        return self

    @property
    def encryptor(self) -> _cse.Encryptor:
        """What creates new objects."""
        encryptor, _ = self._both()
        if encryptor is None:
            raise CosClientError("the provider has no key that encrypts")
        return encryptor

    @property
    def decryptor(self) -> _cse.Decryptor:
        """What opens objects."""
        return self._both()[1]


class RSAProvider(BaseProvider):
    """An RSA key pair.

    Keys that are given as text wrap with PKCS#1 v1.5, and those in files with OAEP: that is what
    the SDK reads. Without `key_pair_info`, the files are in `~/.cos_local_rsa`, and are made if
    neither of them exists.
    """

    def __init__(
        self,
        key_pair_info: Any = None,
        cipher: Any = None,
        passphrase: str | None = None,
        *,
        dialect: str = "cos-v1",
        policy: _cse.Policy | None = None,
    ) -> None:
        super().__init__(cipher, policy)
        self._pair, self._passphrase, self._dialect = key_pair_info, passphrase, dialect

    @staticmethod
    def get_rsa_key_pair(public_key: Any, private_key: Any) -> Any:
        if public_key is None or private_key is None:
            raise CosClientError("public_key or private_key is not allowed to be None !!!")
        return RSAKeyPair(public_key, private_key)

    @staticmethod
    def get_rsa_key_pair_path(public_key_path: Any, private_key_path: Any) -> Any:
        if public_key_path is None or private_key_path is None:
            raise CosClientError("public_key or private_key is not allowed to be None !!!")
        return RSAKeyPairPath(public_key_path, private_key_path)

    def _make(self) -> tuple[_cse.Encryptor | None, _cse.Decryptor]:
        by_value = isinstance(self._pair, RSAKeyPair)
        if by_value:
            public, private = self._pair.publick_key, self._pair.private_key
        else:
            public, private = (_read(path) for path in self._paths())
        encrypting = _cse.RsaKey(public, passphrase=self._passphrase, pkcs1_where_unstated=by_value)
        decrypting = _cse.RsaKey(private, passphrase=self._passphrase)
        if not decrypting.is_private:
            raise CosClientError("the private key is a public key")
        if encrypting.fingerprint != decrypting.fingerprint:
            raise CosClientError("the public key is not that of the private key")
        encryptor = _cse.Encryptor(encrypting, self._dialect)
        return encryptor, _cse.Decryptor([decrypting], policy=self._policy)

    def _paths(self) -> tuple[pathlib.Path, pathlib.Path]:
        if isinstance(self._pair, RSAKeyPairPath):
            return pathlib.Path(self._pair.public_key_path), pathlib.Path(
                self._pair.private_key_path
            )
        if self._pair is not None:
            raise CosClientError("key_pair_info is neither a key pair nor paths of one")
        folder = pathlib.Path(os.path.expanduser("~/.cos_local_rsa"))
        public, private = folder / ".public_key.pem", folder / ".private_key.pem"
        if not public.exists() and not private.exists():
            make_key_pair(public, private, self._passphrase)
        return public, private


class AESProvider(BaseProvider):
    """An AES key of 32 bytes, in base64: `aes_key`, or in the file `aes_key_path`.

    Without either, the file is `~/.cos_local_aes/.aes_key.pem`, and is made if it does not exist.
    """

    def __init__(
        self,
        aes_key: Any = None,
        aes_key_path: Any = None,
        cipher: Any = None,
        *,
        dialect: str = "cos-v1",
        policy: _cse.Policy | None = None,
    ) -> None:
        super().__init__(cipher, policy)
        self._key, self._path, self._dialect = aes_key, aes_key_path, dialect
        if dialect == "cos-v1":
            warnings.warn(
                "the AES wrap of cos-python-sdk-v5 uses one keystream for all objects: whoever "
                'learns one content key can compute all others; dialect="cos-v2" does not',
                WeakWrapWarning,
                stacklevel=2,
            )

    def _make(self) -> tuple[_cse.Encryptor | None, _cse.Decryptor]:
        text = self._key
        if not text:
            path = pathlib.Path(self._path or os.path.expanduser("~/.cos_local_aes/.aes_key.pem"))
            if not self._path and not path.exists():
                make_aes_key(path)
            text = _read(path)
        # It is always base64, which 32 characters could also be a key themselves.
        key = _cse.AesKey(base64.b64decode(text))
        is_weak = self._dialect == "cos-v1"
        # What is there already is read, whatever is written from now on, unless the caller says
        # what may be read.
        policy = self._policy or _cse.Policy()
        if is_weak or self._policy is None:
            policy = policy.allow_weak_wrap()
        encryptor = _cse.Encryptor(key, self._dialect, allow_weak_wrap=is_weak)
        return encryptor, _cse.Decryptor([key], policy=policy)


def _read(path: pathlib.Path) -> bytes:
    try:
        return read_secret(path, "key file")
    except OSError as error:
        raise CosClientError(error.strerror) from error
