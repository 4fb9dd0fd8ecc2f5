"""The providers of `oss2.crypto`, each of which holds master keys."""

from __future__ import annotations

import os
import pathlib
from typing import Any, NoReturn

from oss2 import utils as _utils
from oss2.crypto import BaseCryptoProvider, EncryptionMaterials as EncryptionMaterials
from oss2.exceptions import ClientError

from .. import _native as _cse
from .._key_files import make_key_pair, read_file
from .._stand_in import raising


class _Provider(BaseCryptoProvider):
    """Master keys: one that encrypts, and all that decrypt."""

    def __init__(
        self,
        encrypting: _cse.MasterKey | None,
        decrypting: list[_cse.MasterKey],
        *,
        wrap: str | None = None,
        cipher: Any = None,
        mat_desc: Any = None,
        policy: _cse.Policy | None = None,
    ) -> None:
        cipher = _utils.AESCTRCipher() if cipher is None else cipher
        if type(cipher) is not _utils.AESCTRCipher:
            raise ClientError("the cipher is AES-CTR: others are not supported")
        super().__init__(cipher=cipher, mat_desc=mat_desc)
        self._policy, self._decrypting = policy, list(decrypting)
        self._encryptor: _cse.Encryptor | None = None
        if encrypting is not None:
            self._encryptor = _cse.Encryptor(encrypting, "oss-v2", wrap=wrap)
        self._make_decryptor()

    def _make_decryptor(self) -> None:
        self._decryptor = _cse.Decryptor(self._decrypting, policy=self._policy)

    @property
    def encryptor(self) -> _cse.Encryptor:
        """What creates new objects."""
        if self._encryptor is None:
            raise ClientError("the provider has no key that encrypts")
        return self._encryptor

    @property
    def decryptor(self) -> _cse.Decryptor:
        """What opens objects, with all keys of the provider."""
        return self._decryptor

    def add_encryption_materials(self, encryption_materials: EncryptionMaterials) -> None:
        key = self._key_of(encryption_materials)
        super().add_encryption_materials(encryption_materials)
        self._decrypting.append(key)
        self._make_decryptor()

    def _key_of(self, materials: EncryptionMaterials) -> _cse.MasterKey:
        raise ClientError("this provider has one key")

    def _kept(self, *_: Any, **__: Any) -> NoReturn:
        raise ClientError("content keys stay inside envelope_cse: use its CryptoBucket")

    get_key = get_iv = create_content_material = _kept
    decrypt_encrypted_key = decrypt_encrypted_iv = reset_encryption_materials = _kept


def _rsa_key(file: Any, passphrase: Any, description: Any) -> _cse.RsaKey:
    with raising(ClientError):
        return _cse.RsaKey(file, passphrase=passphrase, description=description or None)


class RsaProvider(_Provider):
    """An RSA key pair: `{"public_key": PEM, "private_key": PEM}`. Either is enough to encrypt, and
    the private one to decrypt."""

    def __init__(
        self,
        key_pair: dict[str, Any],
        passphrase: str | None = None,
        cipher: Any = None,
        mat_desc: dict[str, str] | None = None,
        *,
        policy: _cse.Policy | None = None,
    ) -> None:
        if not isinstance(key_pair, dict):
            raise ClientError("Invalid type, the type of key_pair must be dict!")
        if mat_desc and not isinstance(mat_desc, dict):
            raise ClientError("Invalid type, the type of mat_desc must be dict!")
        public, private = self._read(key_pair, passphrase, mat_desc)
        super().__init__(
            public or private,
            [] if private is None else [private],
            cipher=cipher,
            mat_desc=mat_desc,
            policy=policy,
        )

    @staticmethod
    def _read(
        pair: dict[str, Any], passphrase: Any, description: Any
    ) -> tuple[_cse.RsaKey | None, _cse.RsaKey | None]:
        public, private = pair.get("public_key"), pair.get("private_key")
        if public is None and private is None:
            raise ClientError("the key pair has neither a public_key nor a private_key")
        public = None if public is None else _rsa_key(public, passphrase, description)
        private = None if private is None else _rsa_key(private, passphrase, description)
        if private is not None and not private.is_private:
            raise ClientError("the private_key is a public key")
        if public is not None and private is not None and public.fingerprint != private.fingerprint:
            raise ClientError("the public_key is not that of the private_key")
        return public, private

    def _key_of(self, materials: EncryptionMaterials) -> _cse.MasterKey:
        if not materials.key_pair:
            raise ClientError("the materials have no key pair")
        public, private = self._read(materials.key_pair, materials.passphrase, materials.desc)
        if private is None:
            raise ClientError("the materials have no private_key")
        return private


class LocalRsaProvider(_Provider):
    """An RSA key pair in files, which are made if neither of them exists.

    `dir` is `~/.oss-local-rsa` by default, and `key` is put before the names of the files.
    """

    DEFAULT_PUB_KEY_SUFFIX = ".public_key.pem"
    DEFAULT_PRIV_KEY_SUFFIX = ".private_key.pem"

    def __init__(
        self,
        dir: str | None = None,
        key: str = "",
        passphrase: str | None = None,
        cipher: Any = None,
        pub_key_suffix: str = DEFAULT_PUB_KEY_SUFFIX,
        private_key_suffix: str = DEFAULT_PRIV_KEY_SUFFIX,
        *,
        policy: _cse.Policy | None = None,
    ) -> None:
        folder = pathlib.Path(dir or os.path.join(os.path.expanduser("~"), ".oss-local-rsa"))
        private_path, public_path = (
            folder / (key + private_key_suffix),
            folder / (key + pub_key_suffix),
        )
        if not private_path.exists() and not public_path.exists():
            make_key_pair(public_path, private_path, passphrase)
        private = public = None
        if private_path.exists():
            private = _rsa_key(read_file(private_path), passphrase, None)
        if public_path.exists():
            public = _rsa_key(read_file(public_path), passphrase, None)
        if public is not None and private is not None and public.fingerprint != private.fingerprint:
            raise ClientError(f"{public_path} is not the public key of {private_path}")
        super().__init__(
            public or private,
            [] if private is None else [private],
            wrap="rsa-oaep-sha1",
            cipher=cipher,
            policy=policy,
        )


class AliKMSProvider(_Provider):
    """A key in Aliyun KMS.

    `passphrase` becomes the encryption context `x-passphrase`. `endpoint` is the URL of the
    service, if it is not the usual one of the region.
    """

    def __init__(
        self,
        access_key_id: str,
        access_key_secret: str,
        region: str,
        cmk_id: str,
        sts_token: str | None = None,
        passphrase: str | None = None,
        cipher: Any = None,
        mat_desc: dict[str, str] | None = None,
        *,
        endpoint: str | None = None,
        policy: _cse.Policy | None = None,
    ) -> None:
        def key(cmk_id: str, passphrase: str | None, description: Any) -> _cse.KmsKey:
            with raising(ClientError):
                return _cse.KmsKey(
                    f"aliyun:{region}:{cmk_id}",
                    access_key_id=access_key_id,
                    access_key_secret=access_key_secret,
                    session_token=sts_token,
                    endpoint=endpoint,
                    context_passphrase=passphrase,
                    # What oss2 reads.
                    blob_twice=True,
                    description=description or None,
                )

        self._key = key
        own = key(cmk_id, passphrase, mat_desc)
        super().__init__(own, [own], cipher=cipher, mat_desc=mat_desc, policy=policy)

    def _key_of(self, materials: EncryptionMaterials) -> _cse.MasterKey:
        if not materials.custom_master_key_id:
            raise ClientError("the materials have no custom_master_key_id")
        return self._key(materials.custom_master_key_id, materials.passphrase, materials.desc)
