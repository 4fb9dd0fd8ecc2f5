"""The core of the package: keys, objects, readers, and hostile callers."""

import copy
import gc
import io
import os
import pickle
import random
import resource
import signal
import subprocess
import sys
import threading
import time
import traceback
from array import array

import numpy
import pytest

import envelope_cse as cse
from conftest import data

SIZES = (0, 1, 15, 16, 17, 8191, 8192, 8193, 262144, 600_001)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dialect, content", [("oss-v2", "ctr"), ("cos-v2", "ctr"), ("cos-v2", "gcm")])
def test_what_is_encrypted_is_decrypted(rsa, dialect, content, size):
    plain = data(size)
    headers, body = cse.Encryptor(rsa, dialect, content=content).encrypt(plain)
    assert len(body) == size + (16 if content == "gcm" else 0)
    assert size < 16 or plain[:16] not in body
    decryptor = cse.Decryptor([rsa])
    assert cse.decrypt(headers, body, decryptor) == plain
    for form in (bytearray, memoryview, lambda it: numpy.frombuffer(it, numpy.uint8)):
        assert cse.decrypt(headers, form(body), decryptor) == plain
    for step in (1, 7, 16, 100_000) if size < 10_000 else (4096, 100_000):
        pieces = (body[at : at + step] for at in range(0, len(body), step))
        assert b"".join(cse.decrypt_chunks(headers, pieces, decryptor)) == plain
    reader = cse.DecryptReader(io.BytesIO(body), headers, decryptor)
    assert io.BufferedReader(reader).read() == plain


def test_the_seal_is_of_the_whole_body(rsa):
    headers, body = cse.Encryptor(rsa, "oss-v2").encrypt(b"a text that matters")
    strict = cse.Decryptor([rsa], policy=cse.Policy().require_seal().authenticated_only())
    assert cse.decrypt(headers, body, strict) == b"a text that matters"
    changed = bytes([body[0] ^ 1]) + body[1:]
    with pytest.raises(cse.IntegrityError):
        cse.decrypt(headers, changed, strict)
    del headers["x-oss-meta-envelope-seal"]
    with pytest.raises(cse.PolicyError):
        cse.decrypt(headers, body, strict)
    unsealed = cse.Encryptor(rsa, "oss-v2", seal=False).encrypt(b"x")
    assert not cse.inspect(unsealed[0]).is_sealed


def test_ranges_and_buffers_in_place(rsa):
    plain = data(1 << 20)
    headers, body = cse.Encryptor(rsa, "oss-v2").encrypt(plain)
    decryptor = cse.Decryptor([rsa])
    for start, end in ((0, 10), (5, 5), (1000, 500_000), (1 << 19, 1 << 20), (17, 1 << 20)):
        assert cse.decrypt_range(headers, body[start:end], start, decryptor) == plain[start:end]
        keystream = decryptor.open_range(cse.inspect(headers))
        for buffer in (bytearray(body[start:end]), numpy.frombuffer(body[start:end], "u1").copy()):
            keystream.apply_in_place(buffer, start)
            assert bytes(buffer) == plain[start:end]
    gcm, _ = cse.Encryptor(rsa, "cos-v2", content="gcm").encrypt(plain)
    with pytest.raises(cse.PolicyError):
        decryptor.open_range(cse.inspect(gcm))


def test_file_objects_can_be_sought(rsa):
    plain = data(300_000)
    headers, body = cse.Encryptor(rsa, "oss-v2").encrypt(plain)
    decryptor = cse.Decryptor([rsa])
    reader = cse.DecryptReader(io.BytesIO(body), headers, decryptor)
    assert reader.seekable() and reader.tell() == 0
    assert reader.read(10) == plain[:10] and reader.tell() == 10
    for at in (123_457, 0, 299_999, 300_000, 400_000):
        assert reader.seek(at) == at == reader.tell()
        assert reader.read(33) == plain[at : at + 33]
    assert reader.seek(-5, os.SEEK_END) == 299_995 and reader.readall() == plain[-5:]
    assert reader.seek(-10, os.SEEK_CUR) == 299_990
    with pytest.raises(ValueError):
        reader.seek(-1)
    reader.close()
    for use in (reader.read, lambda: reader.seek(0), reader.tell):
        with pytest.raises(ValueError):
            use()


def test_readers_encrypt(rsa):
    plain = data(300_000)
    reader = cse.EncryptReader(io.BytesIO(plain), cse.Encryptor(rsa, "oss-v2"), len(plain))
    body = reader.readall()
    assert cse.decrypt(reader.headers, body, cse.Decryptor([rsa])) == plain
    assert cse.inspect(reader.headers).plain_len == len(plain)
    headers, pieces = cse.encrypt_chunks([plain[:100], plain[100:]], cse.Encryptor(rsa, "cos-v1"))
    assert cse.decrypt(headers, b"".join(pieces), cse.Decryptor([rsa])) == plain


def test_parts_in_any_order(rsa):
    plain = data(5 * 102_400 + 77)
    parts = cse.Encryptor(rsa, "oss-v2").start_parts(len(plain), 102_400)
    assert parts.count == 6
    numbers = list(range(1, 7))
    random.Random(1).shuffle(numbers)
    body = {}

    def encrypt(number):
        start, length = parts.part(number)
        body[number] = parts.encrypt(number, plain[start : start + length])

    threads = [threading.Thread(target=encrypt, args=(number,)) for number in numbers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    whole = b"".join(body[number] for number in sorted(body))
    assert cse.decrypt(parts.headers, whole, cse.Decryptor([rsa])) == plain
    with pytest.raises(ValueError):
        parts.encrypt(1, plain[:102_399])
    for number in (0, 7):
        with pytest.raises(ValueError):
            parts.part(number)


def test_keys_are_read_and_found(rsa, aes):
    private, public = rsa.private_pem(), rsa.public_pem()
    assert cse.RsaKey(private).fingerprint == cse.RsaKey(public).fingerprint
    assert not cse.RsaKey(public).is_private
    locked = rsa.private_pem(passphrase="open sesame")
    assert cse.RsaKey(locked, passphrase="open sesame").bits == 2048
    for words in ({}, {"passphrase": b"wrong"}):
        with pytest.raises(cse.KeyFileError):
            cse.RsaKey(locked, **words)
    assert cse.AesKey.read(cse.AesKey.generate_text()).fingerprint
    with pytest.raises(cse.KeyFileError):
        cse.AesKey(b"short")

    described = cse.RsaKey(private, description={"year": "2026"})
    headers, body = cse.Encryptor(described, "oss-v2").encrypt(b"x")
    assert cse.inspect(headers).description == {"year": "2026"} == described.description
    assert cse.decrypt(headers, body, cse.Decryptor([aes, described])) == b"x"
    with pytest.raises(cse.NoKeyError):
        cse.decrypt(headers, body, cse.Decryptor([cse.RsaKey(private, description={"year": "1"})]))
    with pytest.raises(cse.UnwrapError):
        cse.decrypt(headers, body, cse.Decryptor([cse.RsaKey.generate(2048)]))


def test_rewrapping(rsa, aes):
    headers, body = cse.Encryptor(rsa, "cos-v2").encrypt(b"a text")
    rewrapped = cse.Decryptor([rsa]).rewrap(cse.inspect(headers), cse.Encryptor(aes, "cos-v2"))
    assert rewrapped.wrap_algorithm == "aes-kw"
    assert cse.decrypt(rewrapped.headers, body, cse.Decryptor([aes])) == b"a text"


def test_metadata(rsa):
    headers, _ = cse.Encryptor(rsa, "oss-v2").encrypt(b"a text")
    envelope = cse.inspect({**headers, "Content-Length": 6, "x-oss-meta-owner": "me"})
    assert (envelope.dialect, envelope.vendor, envelope.plain_len) == ("oss-v2", "oss", 6)
    assert ("oss-go", True) in envelope.readers and envelope.headers == headers
    assert cse.parse({"x-oss-meta-owner": "me"}) is None
    with pytest.raises(cse.NotEncryptedError):
        cse.inspect({})
    with pytest.raises(cse.NotEncryptedError):
        cse.decrypt({}, b"plain", cse.Decryptor([rsa]))
    lax = cse.Decryptor([rsa], policy=cse.Policy().allow_plaintext())
    assert cse.decrypt({}, b"plain", lax) == b"plain"
    name = "x-oss-meta-client-side-encryption-key"
    for value in ("", "?", headers[name] + "=", "A" * 100_000):
        with pytest.raises(cse.MetadataError):
            cse.parse({**headers, name: value})
    deviating = {name: headers[name] for name in headers if "cek-alg" not in name}
    del deviating["x-oss-meta-envelope-seal"]
    assert cse.parse(deviating).deviations == ["content-unnamed"]
    with pytest.raises(cse.PolicyError):
        cse.decrypt(deviating, b"", cse.Decryptor([rsa]))


def test_checksums():
    plain = data(100_000)
    whole, first, second = cse.Crc64(), cse.Crc64(), cse.Crc64()
    whole.update(plain)
    first.update(plain[:7])
    second.update(memoryview(plain)[7:])
    assert cse.Crc64.combine(first.value, second.value, len(plain) - 7) == whole.value
    known = cse.Crc64()
    known.update(b"123456789")
    assert known.value == 0x995DC9BBDF1939FA


class Raising(io.RawIOBase):
    def readable(self):
        return True

    def read(self, size=-1):
        raise ConnectionError("the line is dead")


def test_wrong_arguments_are_exceptions(rsa):
    headers, body = cse.Encryptor(rsa, "oss-v2").encrypt(b"a text")
    decryptor, keystream = cse.Decryptor([rsa]), None
    keystream = decryptor.open_range(cse.inspect(headers))
    for wrong in (None, 1, "text", [1], object(), array("i", [1]), memoryview(b"abcd")[::2]):
        with pytest.raises((TypeError, BufferError)):
            keystream.apply(wrong)
        with pytest.raises((TypeError, BufferError)):
            cse.Encryptor(rsa, "oss-v2").encrypt(wrong)
    for wrong in (b"read-only", memoryview(b"read-only"), "text", None):
        with pytest.raises((TypeError, BufferError)):
            keystream.apply_in_place(wrong)
    for offset in (-1, 1 << 64, "0"):
        with pytest.raises((TypeError, OverflowError)):
            keystream.apply(b"x", offset)
    with pytest.raises(OverflowError):
        keystream.apply(b"xx", (1 << 64) - 1)
    for wrong in (None, [], "x", {1: 2}):
        with pytest.raises(TypeError):
            cse.parse(wrong)
    with pytest.raises(TypeError):
        cse.Decryptor(["key"])
    for dialect in ("", "oss-v3", "cos-legacy"):
        with pytest.raises((ValueError, cse.EncryptError)):
            cse.Encryptor(rsa, dialect).encrypt(b"")
    finished = decryptor.open(cse.inspect(headers)).decryptor()
    finished.update(body)
    finished.finish()
    for use in (finished.finish, lambda: finished.update(b"")):
        with pytest.raises(ValueError):
            use()
    with pytest.raises(ConnectionError):
        cse.DecryptReader(Raising(), headers, decryptor).read(1)


def test_a_buffer_cannot_be_resized_while_it_is_used(rsa):
    headers, _ = cse.Encryptor(rsa, "oss-v2").encrypt(b"a text")
    keystream = cse.Decryptor([rsa]).open_range(cse.inspect(headers))
    buffer, failures, stop = bytearray(8 << 20), [], threading.Event()

    def resize():
        while not stop.is_set():
            try:
                buffer.append(0)
                del buffer[-1]
            except BufferError:
                failures.append(1)

    thread = threading.Thread(target=resize)
    thread.start()
    for _ in range(5):
        keystream.apply_in_place(buffer)
    stop.set()
    thread.join()
    assert failures, "it was never in use"


def test_secrets_are_not_shown_or_pickled(rsa, aes):
    pem = rsa.private_pem().decode()
    secret = pem.splitlines()[3]
    kms = cse.KmsKey("aliyun:cn-hangzhou:k-1", access_key_id="LTAI", access_key_secret="hush")
    for key in (rsa, aes, kms, cse.OriginKey(bytes(32)), cse.Decryptor([rsa]), cse.Encryptor(rsa, "oss-v2")):
        assert secret not in repr(key) and "hush" not in repr(key) and "LTAI" not in repr(key)
        with pytest.raises(TypeError):
            pickle.dumps(key)
        with pytest.raises(AttributeError):
            key.anything = 1
    try:
        cse.RsaKey(pem.replace("A", "B"))
    except cse.KeyFileError:
        assert secret not in traceback.format_exc()


def test_it_survives_fork_and_refuses_subinterpreters(rsa):
    headers, body = cse.Encryptor(rsa, "oss-v2").encrypt(b"a text")
    decryptor = cse.Decryptor([rsa])
    pid = os.fork()
    if pid == 0:
        os._exit(0 if cse.decrypt(headers, body, decryptor) == b"a text" else 1)
    assert os.waitpid(pid, 0)[1] == 0
    code = (
        "import _xxsubinterpreters as sub\n"
        "import envelope_cse\n"
        "it = sub.create()\n"
        "try:\n"
        "    sub.run_string(it, 'import envelope_cse')\n"
        "except sub.RunFailedError as error:\n"
        "    assert 'ImportError' in str(error), error\n"
        "    print('refused')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "refused\n"), done.stderr


def test_many_threads_share_a_decryptor(rsa):
    headers, body = cse.Encryptor(rsa, "oss-v2").encrypt(data(1 << 20))
    decryptor, wrong = cse.Decryptor([rsa]), []

    def work():
        for _ in range(5):
            if cse.decrypt(headers, body, decryptor) != data(1 << 20):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    gc.collect()


def flipped(body, at=0):
    return body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]


@pytest.mark.parametrize("content", ["ctr", "gcm"])
def test_what_was_refused_stays_refused(rsa, content):
    headers, body = cse.Encryptor(rsa, "cos-v2", content=content).encrypt(data(300_000))
    for wrong in (flipped(body), body[:-1], body + b"x"):
        reader = cse.DecryptReader(io.BytesIO(wrong), headers, cse.Decryptor([rsa]))
        for _ in range(3):
            with pytest.raises(cse.IntegrityError):
                reader.readall()
        for use in (reader.tell, lambda: reader.seek(0), lambda: reader.read(1)):
            with pytest.raises(cse.IntegrityError):
                use()


def test_seeking_keeps_what_can_be_kept(rsa, tmp_path):
    plain = data(600_000)
    headers, body = cse.Encryptor(rsa, "oss-v2").encrypt(plain)
    decryptor = cse.Decryptor([rsa])
    # A seek that fails changes nothing.
    (tmp_path / "body").write_bytes(body)
    with open(tmp_path / "body", "rb") as file:
        reader = cse.DecryptReader(file, headers, decryptor)
        # A raw reader may return less.
        first = reader.read(262_144)
        assert first and plain.startswith(first)
        for wrong, error in (((-(10**9), 2), ValueError), ((1.5,), TypeError), ((0, 9), ValueError)):
            with pytest.raises(error):
                reader.seek(*wrong)
        assert reader.readall() == plain[len(first) :]
    # The body need not begin where the file does.
    file = io.BytesIO(b"H" * 100 + body)
    file.seek(100)
    reader = cse.DecryptReader(file, headers, decryptor)
    assert reader.read(10) == plain[:10]
    for at in (10, 5, 300_001, 0):
        assert reader.seek(at) == at and reader.read(10) == plain[at : at + 10]
    assert reader.seek(-3, 2) == 599_997 and reader.readall() == plain[-3:]
    # Going nowhere, or back to the beginning, loses no check.
    for seek in (lambda it: it.seek(it.tell()), lambda it: (it.seek(0, 2), it.seek(0))):
        reader = cse.DecryptReader(io.BytesIO(flipped(body)), headers, decryptor)
        seek(reader)
        with pytest.raises(cse.IntegrityError):
            reader.readall()
    # Where no range may be read, nothing can be sought.
    strict = cse.Decryptor([rsa], policy=cse.Policy().require_seal())
    reader = cse.DecryptReader(io.BytesIO(body), headers, strict)
    assert not reader.seekable()
    with pytest.raises(io.UnsupportedOperation):
        reader.seek(5)
    assert reader.readall() == plain


def test_a_length_that_was_stated_is_kept(rsa):
    for stated, there in ((10, 5), (10, 20), (0, 1)):
        encryptor = cse.Encryptor(rsa, "oss-v2")
        with pytest.raises(ValueError):
            cse.EncryptReader(io.BytesIO(bytes(there)), encryptor, stated).readall()
        with pytest.raises(ValueError):
            list(cse.encrypt_chunks([bytes(there)], encryptor, stated)[1])


@pytest.mark.parametrize("content", ["ctr", "gcm"])
def test_an_object_has_one_body(rsa, content):
    started = cse.Encryptor(rsa, "cos-v2", content=content).start()
    started.encryptor()
    with pytest.raises(ValueError):
        started.encryptor()


def test_no_header_is_passed_over(rsa):
    headers, body = cse.Encryptor(rsa, "oss-v2").encrypt(b"a text")
    lax = cse.Decryptor([rsa], policy=cse.Policy().allow_plaintext())
    as_bytes = {name: value.encode() for name, value in headers.items()}
    assert cse.decrypt(as_bytes, body, lax) == b"a text"
    for change in (lambda it: [it], lambda it: 1, lambda it: None):
        with pytest.raises(TypeError):
            cse.parse({name: change(value) for name, value in headers.items()})
    with pytest.raises(cse.MetadataError):
        cse.parse({name: value + "\udc80" for name, value in headers.items()})
    assert cse.parse({"x-other\udc80": "x", "x-other": [1], **headers}).dialect == "oss-v2"
    for wrong in (5, [1, 2], "text"):
        with pytest.raises(TypeError):
            cse.decrypt({}, wrong, lax)
    with pytest.raises(TypeError):
        list(cse.decrypt_chunks({}, b"\x03\x02", lax))
    with pytest.raises(OverflowError):
        cse.decrypt_range({}, b"abc", -5, lax)


def test_in_place_is_all_or_nothing(rsa):
    headers, _ = cse.Encryptor(rsa, "oss-v2").encrypt(b"a text")
    keystream = cse.Decryptor([rsa]).open_range(cse.inspect(headers))
    buffer = bytearray(600_000)
    with pytest.raises(OverflowError):
        keystream.apply_in_place(buffer, 2**64 - 300_000)
    assert not any(buffer)
    keystream.apply_in_place(numpy.empty((0, 3), "u1"))


def test_nothing_is_pickled_or_copied(rsa):
    headers, body = cse.Encryptor(rsa, "oss-v2").encrypt(b"a text")
    envelope, decryptor = cse.inspect(headers), cse.Decryptor([rsa])
    started = cse.Encryptor(rsa, "oss-v2").start()
    parts = cse.Encryptor(rsa, "oss-v2").start_parts(1 << 20, 1 << 18)
    reader = cse.DecryptReader(io.BytesIO(body), headers, decryptor)
    cipher = decryptor.open(envelope)
    for value in (
        cipher, cipher.decryptor(), decryptor.open_range(envelope), started, started.encryptor(),
        parts, reader, decryptor, rsa,
    ):
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with pytest.raises(TypeError):
                pickle.dumps(value, protocol)
        with pytest.raises(TypeError):
            copy.copy(value)


def child(work):
    """Runs something in a forked process, and returns its exit status."""
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)
        try:
            os._exit(work())
        except BaseException:
            os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_fork_does_not_wait_for_threads_that_are_gone(rsa):
    body = cse.Encryptor(rsa, "oss-v2").start().encryptor()
    block, begun = bytes(200 << 20), threading.Event()

    def work():
        begun.set()
        body.update(block)

    thread = threading.Thread(target=work)
    thread.start()
    begun.wait()
    time.sleep(0.02)

    def refused():
        try:
            body.finish()
        except RuntimeError:
            return 0
        # It was not in use any more.
        return 1

    status = child(refused)
    thread.join()
    assert status in (0, 1)

    headers, stored = cse.Encryptor(rsa, "oss-v2").encrypt(b"a text")
    decryptor, stop = cse.Decryptor([rsa]), threading.Event()
    # They hold the lock of the cache, and work with the key, with which AWS-LC would end the child.
    uncached = cse.Decryptor([rsa], cached_keys=0)

    def opening():
        while not stop.is_set():
            decryptor.open(cse.inspect(headers))
            uncached.open(cse.inspect(headers))

    threads = [threading.Thread(target=opening) for _ in range(3)]
    for thread in threads:
        thread.start()
    statuses = {
        child(lambda: 0 if cse.decrypt(headers, stored, it) == b"a text" else 1)
        for it in [decryptor, uncached] * 10
    }
    stop.set()
    for thread in threads:
        thread.join()
    assert statuses == {0}


def test_out_of_memory_is_an_exception(rsa):
    headers, body = cse.Encryptor(rsa, "oss-v2").encrypt(b"a text")

    def work():
        block = bytes(300 << 20)
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + (100 << 20), resource.RLIM_INFINITY))
        for use in (
            cse.Decryptor([rsa]).open(cse.inspect(headers)).decryptor().update,
            cse.Decryptor([rsa]).open(cse.inspect(headers)).decrypt,
            cse.Encryptor(rsa, "cos-v2", content="gcm").encrypt,
            cse.Encryptor(rsa, "cos-v2").encrypt,
            cse.AesKey,
        ):
            try:
                use(block)
            except MemoryError:
                continue
            return 1
        return 0

    assert child(work) == 0


def test_asyncio(rsa):
    import asyncio

    from envelope_cse import aio

    encryptor, decryptor = cse.Encryptor(rsa, "oss-v2"), cse.Decryptor([rsa])
    plain = data(300_001)

    async def pieces(of):
        for at in range(0, len(of), 70_000):
            yield of[at : at + 70_000]

    async def main():
        many = await asyncio.gather(*(aio.encrypt(encryptor, plain) for _ in range(8)))
        back = await asyncio.gather(*(aio.decrypt(*each, decryptor) for each in many))
        assert back == [plain] * 8
        headers, body = await aio.encrypt_chunks(pieces(plain), encryptor, len(plain))
        stored = b"".join([piece async for piece in body])
        read = aio.decrypt_chunks(headers, pieces(stored), decryptor)
        assert b"".join([piece async for piece in read]) == plain
        with pytest.raises(cse.IntegrityError):
            async for _ in aio.decrypt_chunks(headers, pieces(stored[:-1]), decryptor):
                pass
        new = cse.RsaKey.generate(2048)
        envelope = await aio.rewrap(
            decryptor, cse.inspect(headers), cse.Encryptor(new, "oss-v2")
        )
        assert await aio.decrypt(envelope.headers, stored, cse.Decryptor([new])) == plain
        with pytest.raises(cse.NotEncryptedError):
            async for _ in aio.decrypt_chunks({}, pieces(stored), decryptor):
                pass

    asyncio.run(main())


def test_what_encrypts_is_not_used_on_both_sides_of_a_fork(rsa):
    started = cse.Encryptor(rsa, "oss-v2").start()
    body = cse.Encryptor(rsa, "oss-v2").start().encryptor()

    def refused():
        for work in (started.encryptor, lambda: body.update(b"other bytes")):
            try:
                work()
            except RuntimeError:
                continue
            return 1
        return 0

    assert child(refused) == 0
    body.update(b"bytes")
    started.encryptor()


def test_a_secret_that_was_taken_for_a_path_is_not_repeated(tmp_path):
    key = tmp_path / "key"
    key.write_text("AAAA")
    pem = "-----BEGIN PRIVATE KEY-----" + "secret" * 1000
    for arguments in ((pem,), ("secret\0",), (str(tmp_path) + "/secret",)):
        with pytest.raises(OSError) as raised:
            cse.open_key(*arguments)
        assert "secret" not in str(raised.value) and raised.value.filename is None
    with pytest.raises(OSError) as raised:
        cse.open_key(key, passphrase_file="secret")
    assert "secret" not in str(raised.value)
