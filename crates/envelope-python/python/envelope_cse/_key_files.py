"""Key files, as the SDKs make them where they find none."""

from __future__ import annotations

import os
import pathlib

from ._native import AesKey, RsaKey


def read_file(path: str | os.PathLike[str]) -> bytes:
    return pathlib.Path(path).read_bytes()


def _write_new(path: pathlib.Path, content: bytes, mode: int) -> None:
    """Writes a file that does not exist yet. What is there is never overwritten."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def make_key_pair(public: pathlib.Path, private: pathlib.Path, passphrase: str | None) -> None:
    """Makes an RSA key pair of 3072 bits. Only its owner can read the private key."""
    key = RsaKey.generate()
    _write_new(private, key.private_pem(passphrase or None), 0o600)
    _write_new(public, key.public_pem().encode(), 0o644)


def make_aes_key(path: pathlib.Path) -> None:
    """Makes an AES key, in base64. Only its owner can read it."""
    _write_new(path, AesKey.generate_text(), 0o600)
