"""Client-side encryption for Aliyun OSS and Tencent COS.

Objects are encrypted before they are uploaded, in the formats of the official SDKs, and what any of
these SDKs has written is decrypted. The work is done in Rust, without the interpreter's lock.

>>> import envelope_cse as cse
>>> key = cse.RsaKey.generate(2048)
>>> headers, body = cse.Encryptor(key, "oss-v2").encrypt(b"a file")
>>> cse.decrypt(headers, body, cse.Decryptor([key]))
b'a file'
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from . import _interpreter as _interpreter
from ._io import DecryptReader, EncryptReader, as_bytes as _as_bytes
from ._native import (
    AesKey,
    BodyDecryptor,
    BodyEncryptor,
    Cipher,
    Crc64,
    Decryptor,
    EncryptedObject,
    EncryptError,
    Encryptor,
    Envelope,
    EnvelopeError,
    IntegrityError,
    KeyFileError,
    Keystream,
    KmsError,
    KmsKey,
    MasterKey,
    MetadataError,
    NoKeyError,
    NotEncryptedError,
    OriginKey,
    PartEncryptor,
    Policy,
    PolicyError,
    RsaKey,
    Store,
    StoreError,
    UnwrapError,
    __VERSION__ as __version__,
    parse,
)

from ._open_key import open_key

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = [
    "AesKey",
    "BodyDecryptor",
    "BodyEncryptor",
    "Cipher",
    "Crc64",
    "DecryptReader",
    "Decryptor",
    "EncryptError",
    "EncryptReader",
    "EncryptedObject",
    "Encryptor",
    "Envelope",
    "EnvelopeError",
    "IntegrityError",
    "KeyFileError",
    "Keystream",
    "KmsError",
    "KmsKey",
    "MasterKey",
    "MetadataError",
    "NoKeyError",
    "NotEncryptedError",
    "OriginKey",
    "PartEncryptor",
    "Policy",
    "PolicyError",
    "RsaKey",
    "Store",
    "StoreError",
    "UnwrapError",
    "__version__",
    "decrypt",
    "decrypt_chunks",
    "decrypt_range",
    "encrypt_chunks",
    "inspect",
    "open_key",
    "parse",
]


def inspect(headers: Mapping[str, Any]) -> Envelope:
    """Returns the envelope in the headers of an object.

    Raises `NotEncryptedError` if there is none, and `MetadataError` if it is damaged.
    """
    envelope = parse(headers)
    if envelope is None:
        raise NotEncryptedError("the object is not encrypted, or its metadata was stripped")
    return envelope


def decrypt(
    headers: Mapping[str, Any], body: Buffer, decryptor: Decryptor, *, name: str | None = None
) -> bytes:
    """Decrypts a whole body in memory, and checks everything that can be checked.

    `name` is the key under which the object is stored, for seals that are bound to it.
    """
    envelope = parse(headers)
    if envelope is None:
        decryptor.check_plaintext()
        return _as_bytes(body)
    return decryptor.open(envelope, name=name).decrypt(body)


def decrypt_range(
    headers: Mapping[str, Any],
    body: Buffer,
    start: int,
    decryptor: Decryptor,
    *,
    name: str | None = None,
) -> bytes:
    """Decrypts bytes that begin at byte `start` of the object. Nothing authenticates them."""
    envelope = parse(headers)
    if envelope is None:
        decryptor.check_plaintext()
        if start < 0:
            raise OverflowError("start is negative")
        return _as_bytes(body)
    return decryptor.open_range(envelope, name=name).apply(body, start)


def decrypt_chunks(
    headers: Mapping[str, Any],
    body: Iterable[Buffer],
    decryptor: Decryptor,
    *,
    name: str | None = None,
) -> Iterator[bytes]:
    """Yields the plaintext of a body that arrives in pieces.

    What it yields is unverified until it has ended without an exception. Whether the object may be
    read at all is checked when the first piece is asked for.
    """
    envelope = parse(headers)
    if envelope is None:
        decryptor.check_plaintext()
        yield from map(_as_bytes, body)
        return
    plain = decryptor.open(envelope, name=name).decryptor()
    for piece in body:
        if ready := plain.update(piece):
            yield ready
    if rest := plain.finish():
        yield rest


def encrypt_chunks(
    plain: Iterable[Buffer], encryptor: Encryptor, plain_len: int | None = None
) -> tuple[dict[str, str], Iterator[bytes]]:
    """Encrypts what arrives in pieces. Returns the headers, and the pieces of the body."""
    started = encryptor.start(plain_len)

    def pieces() -> Iterator[bytes]:
        body = started.encryptor()
        for piece in plain:
            yield body.update(piece)
        if rest := body.finish():
            yield rest

    return started.headers, pieces()
