"""A program that uses every public name: it has to pass `mypy --strict`, and to run."""

from __future__ import annotations

import io
from typing import assert_type

import envelope_cse as cse

key = cse.RsaKey.generate(2048, description={"year": "2026"})
public = cse.RsaKey(key.public_pem(), description=key.description)
encryptor = cse.Encryptor(public, "oss-v2", key_check=True, name="a/key")
assert encryptor.vendor == "oss"
headers, body = encryptor.encrypt(bytearray(b"a text"))
assert_type(headers, dict[str, str])
assert_type(body, bytes)

policy = cse.Policy().require_seal().authenticated_only()
decryptor = cse.Decryptor([key, cse.AesKey(bytes(32))], policy=policy)
assert cse.decrypt(headers, memoryview(body), decryptor, name="a/key") == b"a text"

envelope = cse.inspect(headers)
assert_type(envelope.plain_len, int | None)
assert_type(envelope.readers, list[tuple[str, bool]])
assert_type(cse.parse(headers), cse.Envelope | None)

reader = cse.DecryptReader(io.BytesIO(body), headers, decryptor, name="a/key")
assert reader.readall() == b"a text"
buffered: io.BufferedReader = io.BufferedReader(
    cse.EncryptReader(io.BytesIO(b"a text"), encryptor)
)
assert len(buffered.read()) == 6

lax = cse.Decryptor([key])
keystream = lax.open_range(envelope, name="a/key")
buffer = bytearray(body)
keystream.apply_in_place(buffer)
assert bytes(buffer) == keystream.apply(body) == b"a text"

parts = encryptor.start_parts(3 << 20, 1 << 20)
assert_type(parts.part(1), tuple[int, int])
assert len(parts.encrypt(3, bytes(1 << 20))) == 1 << 20

try:
    cse.decrypt({}, b"", decryptor)
except cse.NotEncryptedError as error:
    assert isinstance(error, cse.PolicyError) and isinstance(error, cse.EnvelopeError)
print("typed")

from envelope_cse import aio  # noqa: E402


async def in_asyncio() -> bytes:
    made = await aio.encrypt(encryptor, b"a text")
    assert_type(made, tuple[dict[str, str], bytes])
    return await aio.decrypt(*made, decryptor, name="a/key")


def with_a_store(store: cse.Store) -> None:
    assert_type(store.head("a/key"), tuple[int, str, dict[str, str]])
    assert_type(store.audit(["a/key"], decryptor)[0][0], str)
    assert_type(cse.open_key(key), cse.MasterKey)
