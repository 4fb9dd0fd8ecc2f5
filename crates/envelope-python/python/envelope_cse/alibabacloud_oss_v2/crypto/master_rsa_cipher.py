"""`MasterRsaCipher`: an RSA key pair."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from alibabacloud_oss_v2.crypto import MasterCipher as MasterCipher

from ... import _native as _cse


class MasterRsaCipher(MasterCipher):  # type: ignore[misc]
    """An RSA key pair in PEM. The public half is enough to encrypt."""

    def __init__(
        self,
        mat_desc: dict[str, str] | None = None,
        public_key: str | None = None,
        private_key: str | None = None,
    ) -> None:
        self._description = dict(mat_desc or {})
        self.encrypting = self.decrypting = None
        if private_key is not None:
            self.decrypting = _cse.RsaKey(private_key, description=self._description or None)
            if not self.decrypting.is_private:
                raise ValueError("the private key is a public key")
        if public_key is not None:
            self.encrypting = _cse.RsaKey(public_key, description=self._description or None)
        both = (self.encrypting, self.decrypting)
        if all(both) and len({key.fingerprint for key in both if key is not None}) > 1:
            raise ValueError("the public key is not that of the private key")

    def get_wrap_algorithm(self) -> str:
        return "RSA/NONE/PKCS1Padding"

    def get_mat_desc(self) -> str:
        return json.dumps(self._description) if self._description else ""

    def encrypt(self, data: Any) -> NoReturn:
        raise ValueError("content keys stay inside envelope_cse: use its EncryptionClient")

    decrypt = encrypt
