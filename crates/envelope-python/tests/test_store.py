"""`Store`: what is done with objects whose bytes do not pass through Python."""

import os
import signal
import threading
import time

import pytest

import envelope_cse as cse
from conftest import ID, KEYS, SECRET, data

PRIVATE_KEY = (KEYS / "private_key.pem").read_text()


@pytest.fixture
def account(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("OSS_ACCESS_KEY_ID", "TENCENTCLOUD_SECRET_ID"):
        monkeypatch.setenv(name, ID)
    for name in ("OSS_ACCESS_KEY_SECRET", "TENCENTCLOUD_SECRET_KEY"):
        monkeypatch.setenv(name, SECRET)


@pytest.fixture(params=["oss", "cos", "file"])
def store(request, account, loopback, tmp_path):
    if request.param == "file":
        return cse.Store(f"file:{tmp_path}/store")
    name = "store" if request.param == "oss" else "store-1250000000"
    region = "cn-hangzhou" if request.param == "oss" else "ap-guangzhou"
    return cse.Store(f"{request.param}://{name}", region=region, endpoint=loopback)


def dialect_of(store):
    return "cos-v2" if "cos:" in repr(store) else "oss-v2"


def words(rows):
    return [row[0] for row in rows]


def test_objects_are_put_got_audited_verified_and_rewrapped(store, rsa, tmp_path):
    new = cse.RsaKey.generate(2048)
    old_keys, new_keys = cse.Decryptor([rsa]), cse.Decryptor([new])
    encryptor = cse.Encryptor(rsa, dialect_of(store))
    keys = [f"a/{number}" for number in range(20)]
    for number, key in enumerate(keys):
        store.put(key, data(number * 1000), encryptor)
    assert store.get(keys[7], old_keys) == data(7000)
    size, etag, headers = store.head(keys[7])
    assert (size, cse.inspect(headers)) == (7000, store.envelope(keys[7])) and etag
    page, marker = store.list_page("a/")
    assert sorted(key for key, _, _ in page) == sorted(keys) and marker is None

    rows = store.audit([*keys, "missing"], old_keys, parallel=7)
    assert words(rows) == ["opens"] * 20 + ["gone"]
    assert rows[3][1] == 3000 and rows[3][2]["dialect"] == dialect_of(store)
    assert words(store.audit(keys[:2], new_keys)) == ["locked"] * 2
    rows = store.verify(keys, old_keys)
    assert rows[19][:2] == ("verified", 19_000) and set(words(rows)) == {"verified"}

    again = cse.Encryptor(new, dialect_of(store))
    rows = store.rewrap(keys, old_keys, again, new=new_keys, reupload=True, parallel=5)
    assert set(words(rows)) == {"rewrapped"}, rows
    rows = store.rewrap([*keys, "missing"], old_keys, again, new=new_keys, reupload=True)
    assert words(rows) == ["already"] * 20 + ["gone"]
    assert set(words(store.verify(keys, new_keys))) == {"verified"}
    assert set(words(store.verify(keys[:3], old_keys))) == {"locked"}

    folder = tmp_path / "out"
    assert set(words(store.decrypt_files(keys, folder, new_keys))) == {"decrypted"}
    assert (folder / "a/7").read_bytes() == data(7000)
    assert set(words(store.decrypt_files(keys[:2], folder, new_keys))) == {"exists"}
    assert words(store.decrypt_files(["../out"], folder, new_keys)) == ["refused"]
    pairs = [(f"b/{number}", folder / "a" / str(number)) for number in range(3)]
    assert words(store.encrypt_files(pairs, encryptor)) == ["encrypted"] * 3
    assert store.get("b/2", old_keys) == data(2000)


def test_objects_are_translated_and_encrypted_anew(account, loopback, rsa, tmp_path):
    oss = cse.Store("oss://store", region="cn-hangzhou", endpoint=loopback)
    cos = cse.Store("cos://store-1250000000", region="ap-guangzhou", endpoint=loopback)
    keys = cse.Decryptor([rsa])
    oss.put("t", data(5000), cse.Encryptor(rsa, "oss-v2"))
    to_cos = cse.Encryptor(rsa, "cos-v2")
    assert words(oss.translate([("t", "u"), ("missing", "u")], keys, cos, to_cos)) == [
        "translated",
        "gone",
    ]
    assert cos.envelope("u").dialect == "cos-v2" and cos.get("u", keys) == data(5000)
    assert words(cos.reencrypt([("u", "u")], keys, cos, to_cos)) == ["encrypted"]
    assert cos.get("u", keys) == data(5000)
    plain = tmp_path / "plain"
    plain.mkdir()
    (plain / "p").write_bytes(b"not encrypted yet")
    here = cse.Store(f"file:{plain}")
    assert words(here.audit(["p"], keys)) == ["plain"]
    assert words(here.reencrypt([("p", "p")], keys, oss, cse.Encryptor(rsa, "oss-v2"))) == ["plain"]
    allowed = cse.Decryptor([rsa], policy=cse.Policy().allow_plaintext())
    rows = here.reencrypt([("p", "p")], allowed, oss, cse.Encryptor(rsa, "oss-v2"))
    assert words(rows) == ["encrypted"] and oss.get("p", keys) == b"not encrypted yet"


def test_failures_are_rows_or_exceptions(store, rsa, tmp_path):
    keys = cse.Decryptor([rsa])
    with pytest.raises(FileNotFoundError):
        store.head("missing")
    with pytest.raises(FileNotFoundError):
        store.get("missing", keys)
    for address in ("oss://Bad_Name", "nothing", "oss://bucket/key", "s3://bucket"):
        with pytest.raises(ValueError):
            cse.Store(address, region="r", endpoint="http://127.0.0.1:1")
    for key in ("a/../b", "", "/a"):
        assert words(store.audit([key], keys))[0] in ("failed", "gone")
    assert store.audit([], keys) == []
    with pytest.raises(TypeError):
        store.audit([1], keys)


def test_a_file_upload_is_continued_from_its_journal(store, rsa, tmp_path):
    (tmp_path / "plain").write_bytes(data(3000))
    journal, keys = tmp_path / "journal", cse.Decryptor([rsa])
    encryptor = cse.Encryptor(rsa, dialect_of(store))
    store.put_file("k", tmp_path / "plain", encryptor, journal=journal, decryptor=keys)
    assert store.get("k", keys) == data(3000)


def test_a_call_can_be_interrupted(account, rsa):
    # Nobody answers there, and it is asked again for minutes.
    store = cse.Store("oss://store", region="cn-hangzhou", endpoint="http://127.0.0.1:9")
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    # A process in the background has been told to ignore it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        timer.start()
        begin = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            store.audit(["a"], cse.Decryptor([rsa]))
        assert time.monotonic() - begin < 30
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_forked_process_opens_a_store_of_its_own(store, rsa):
    store.put("forked", b"text", cse.Encryptor(rsa, dialect_of(store)))
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            try:
                store.head("forked")
            except RuntimeError:
                code = 0
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0
    assert store.get("forked", cse.Decryptor([rsa])) == b"text"


def test_threads_share_a_store(store, rsa):
    keys, wrong = cse.Decryptor([rsa]), []
    encryptor = cse.Encryptor(rsa, dialect_of(store))

    def work(number):
        store.put(f"t{number}", data(number), encryptor)
        wrong.extend([number] if store.get(f"t{number}", keys) != data(number) else [])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert wrong == []
