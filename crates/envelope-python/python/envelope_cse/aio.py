"""The package for `asyncio`: what takes long runs in a thread, without the interpreter's lock.

>>> import asyncio
>>> import envelope_cse as cse
>>> from envelope_cse import aio
>>> key = cse.RsaKey.generate(2048)
>>> async def main():
...     headers, body = await aio.encrypt(cse.Encryptor(key, "oss-v2"), b"a file")
...     return await aio.decrypt(headers, body, cse.Decryptor([key]))
>>> asyncio.run(main())
b'a file'
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from . import decrypt as _decrypt
from ._io import as_bytes as _as_bytes
from ._native import Decryptor, Encryptor, Envelope, parse

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["decrypt", "decrypt_chunks", "encrypt", "encrypt_chunks", "rewrap"]


async def encrypt(encryptor: Encryptor, plain: Buffer) -> tuple[dict[str, str], bytes]:
    """As `Encryptor.encrypt`."""
    return await asyncio.to_thread(encryptor.encrypt, plain)


async def decrypt(
    headers: Mapping[str, Any], body: Buffer, decryptor: Decryptor, *, name: str | None = None
) -> bytes:
    """As `envelope_cse.decrypt`."""
    return await asyncio.to_thread(_decrypt, headers, body, decryptor, name=name)


async def rewrap(
    decryptor: Decryptor, envelope: Envelope, encryptor: Encryptor, *, name: str | None = None
) -> Envelope:
    """As `Decryptor.rewrap`."""
    return await asyncio.to_thread(decryptor.rewrap, envelope, encryptor, name=name)


async def decrypt_chunks(
    headers: Mapping[str, Any],
    body: AsyncIterable[Buffer],
    decryptor: Decryptor,
    *,
    name: str | None = None,
) -> AsyncIterator[bytes]:
    """As `envelope_cse.decrypt_chunks`: what it yields is unverified until it has ended."""
    envelope = parse(headers)
    if envelope is None:
        decryptor.check_plaintext()
        async for piece in body:
            yield _as_bytes(piece)
        return
    cipher = await asyncio.to_thread(decryptor.open, envelope, name=name)
    plain = cipher.decryptor()
    async for piece in body:
        if ready := await asyncio.to_thread(plain.update, piece):
            yield ready
    if rest := await asyncio.to_thread(plain.finish):
        yield rest


async def encrypt_chunks(
    plain: AsyncIterable[Buffer], encryptor: Encryptor, plain_len: int | None = None
) -> tuple[dict[str, str], AsyncIterator[bytes]]:
    """As `envelope_cse.encrypt_chunks`: the headers, and the pieces of the body."""
    started = await asyncio.to_thread(encryptor.start, plain_len)

    async def pieces() -> AsyncIterator[bytes]:
        body = started.encryptor()
        async for piece in plain:
            yield await asyncio.to_thread(body.update, piece)
        if rest := body.finish():
            yield rest

    return started.headers, pieces()
