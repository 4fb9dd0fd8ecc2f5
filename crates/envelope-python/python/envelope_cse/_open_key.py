"""Master keys by name: what a configuration can say without containing a secret."""

from __future__ import annotations

import errno
import os
import pathlib
from typing import Any

from ._native import AesKey, KmsKey, MasterKey, RsaKey

_KMS = ("aliyun:", "tencent:")


def open_key(
    key: MasterKey | str | os.PathLike[str],
    *,
    passphrase_file: str | os.PathLike[str] | None = None,
    description: dict[str, str] | None = None,
    **kms: Any,
) -> MasterKey:
    """Returns a master key: the one that is given, that in a file, or that in a KMS.

    A KMS is `aliyun:REGION[:KEY]` or `tencent:REGION[:KEY]`; its access keys come from the
    environment. A file has an RSA key in PEM or DER, or an AES key in base64. `passphrase_file` is
    the path of a file with the passphrase of an RSA key: its last line break is not part of it.

    >>> import envelope_cse as cse
    >>> key = cse.AesKey(bytes(32))
    >>> cse.open_key(key) is key
    True
    """
    if isinstance(key, MasterKey):
        return key
    if isinstance(key, str) and key.startswith(_KMS):
        return KmsKey(key, description=description, **kms)
    content = read_secret(key, "key file")
    passphrase = None
    if passphrase_file is not None:
        passphrase = read_secret(passphrase_file, "passphrase file").removesuffix(b"\n")
    # An AES key is a line of text, which may begin with the digit 0, as DER does. But the length of
    # an RSA key, which is next there, takes more than one byte, the first of which is no text.
    is_der = content[:1] == b"\x30" and content[1:2] >= b"\x80"
    if b"-----BEGIN" in content or is_der:
        return RsaKey(content, passphrase=passphrase, description=description)
    return AesKey.read(content, description=description)


def read_secret(path: str | os.PathLike[str], what: str) -> bytes:
    """Reads a file. What is raised does not have its name, which is the secret itself where
    somebody has mistaken one for the other."""
    try:
        return pathlib.Path(path).read_bytes()
    except OSError as error:
        reason = f"the {what} cannot be read: {error.strerror}"
        failure = type(error)(error.errno, reason)
    except ValueError:
        failure = OSError(errno.EINVAL, f"the {what} cannot be read: it is no path")
    # Here, since what is raised above has what was caught as its context, with the name.
    raise failure
