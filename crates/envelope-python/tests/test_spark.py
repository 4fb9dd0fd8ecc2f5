"""What `envelope_cse.spark` does in a task, without Spark; `cargo xtask spark` has a cluster."""

import base64
import errno
import os
import pickle
import time

import pytest

import envelope_cse as cse
from conftest import ID, KEYS, SECRET
from envelope_cse import spark as cse_spark

pyarrow = pytest.importorskip("pyarrow")
PRIVATE_KEY, AES_KEY = str(KEYS / "private_key.pem"), str(KEYS / "aes-256.key")


@pytest.fixture
def cos(loopback, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TENCENTCLOUD_SECRET_ID", ID)
    monkeypatch.setenv("TENCENTCLOUD_SECRET_KEY", SECRET)
    return {"region": "ap-guangzhou", "endpoint": loopback}


def store(cos, name):
    return cse.Store(f"cos://{name}-1250000000", **cos)


def done(job, keys, rate=None):
    columns = {"key": keys, "etag": [f"tag of {key}" for key in keys]}
    batches = [pyarrow.RecordBatch.from_pydict(columns)]
    # As Spark does.
    job = pickle.loads(pickle.dumps(job))
    table = pyarrow.Table.from_batches(list(cse_spark.work(job, rate)(iter(batches))))
    assert table.column("key").to_pylist() == keys
    assert table.column("etag").to_pylist() == columns["etag"]
    return table.column("status").to_pylist()


def test_each_action(cos, tmp_path, rsa):
    here, old = store(cos, "spark-actions"), cse.AesKey.read((KEYS / "aes-256.key").read_bytes())
    keys = [f"k{number}" for number in range(30)]
    for key in keys:
        here.put(key, key.encode(), cse.Encryptor(old, "cos-v2"))
    new = tmp_path / "new.pem"
    new.write_bytes(rsa.private_pem())
    address = "cos://spark-actions-1250000000"
    job = lambda action, key=AES_KEY, **more: cse_spark.Job(  # noqa: E731
        action, address, keys=[key], **cos, **more
    )
    assert done(job("audit"), [*keys, "missing"]) == ["opens"] * 30 + ["gone"]
    assert done(job("verify"), keys) == ["verified"] * 30
    assert done(job("audit", key=PRIVATE_KEY), keys) == ["locked"] * 30
    rewrap = job("rewrap", to_key=str(new), dialect="cos-v2")
    assert done(rewrap, keys) == ["rewrapped"] * 30
    assert done(rewrap, keys) == ["already"] * 30
    opened = job("decrypt", key=str(new), target=str(tmp_path / "out"))
    assert done(opened, keys) == ["decrypted"] * 30
    assert done(opened, keys) == ["exists"] * 30
    assert (tmp_path / "out/k7").read_bytes() == b"k7"
    there = job(
        "translate", key=str(new), to_key=AES_KEY, dialect="cos-v2",
        target="cos://spark-there-1250000000",
    )  # fmt: skip
    assert done(there, keys) == ["translated"] * 30
    assert store(cos, "spark-there").get("k3", cse.Decryptor([old])) == b"k3"


def test_everything_that_is_encrypted_is_in_the_target(cos, tmp_path, loopback):
    import qcloud_cos

    host, port = loopback.removeprefix("http://").split(":")
    plain = qcloud_cos.CosS3Client(
        qcloud_cos.CosConfig(
            Region="ap-guangzhou", SecretId=ID, SecretKey=SECRET, Scheme="http", IP=host,
            Port=int(port),
        )
    )  # fmt: skip
    plain.put_object(Bucket="spark-from-1250000000", Key="plain", Body=b"plain")
    key = cse.open_key(AES_KEY)
    store(cos, "spark-from").put("sealed", b"sealed", cse.Encryptor(key, "cos-v2"))
    job = cse_spark.Job(
        "encrypt", "cos://spark-from-1250000000", keys=[AES_KEY], to_key=AES_KEY, dialect="cos-v2",
        target="cos://spark-to-1250000000", **cos,
    )  # fmt: skip
    assert done(job, ["plain", "sealed", "missing"]) == ["encrypted", "translated", "gone"]
    for name in ("plain", "sealed"):
        assert store(cos, "spark-to").get(name, cse.Decryptor([key])) == name.encode()
    in_place = cse_spark.Job(
        "encrypt", "cos://spark-from-1250000000", keys=[AES_KEY], to_key=AES_KEY, dialect="cos-v2",
        **cos,
    )  # fmt: skip
    assert done(in_place, ["plain", "sealed"]) == ["encrypted", "already"]
    assert done(in_place, ["plain", "sealed"]) == ["already", "already"]


def test_an_aes_key_begins_with_any_letter(tmp_path):
    path, firsts = tmp_path / "key", set()
    for number in range(0, 256, 4):
        text = base64.b64encode(bytes([number]) + bytes(31))
        firsts.add(text[:1])
        path.write_bytes(text)
        assert isinstance(cse.open_key(path), cse.AesKey), text
    assert len(firsts) == 64 and b"0" in firsts
    # DER, which begins with the same byte.
    key = cse.RsaKey.generate()
    body = "".join(key.private_pem().decode().splitlines()[1:-1])
    path.write_bytes(base64.b64decode(body))
    assert path.read_bytes()[:1] == b"0" and isinstance(cse.open_key(path), cse.RsaKey)


def test_a_key_file_that_has_changed_is_read_again(cos, tmp_path):
    path, here = tmp_path / "key", store(cos, "spark-keys")
    job = cse_spark.Job("audit", "cos://spark-keys-1250000000", keys=[str(path)], **cos)
    for number in range(2):
        path.write_bytes(cse.AesKey.generate_text())
        os.utime(path, ns=(number, number))
        here.put("k", b"text", cse.Encryptor(cse.open_key(path), "cos-v2"))
        assert done(job, ["k"]) == ["opens"]


def test_the_rate_is_kept_by_tasks_of_one_object(cos):
    job = cse_spark.Job("audit", "cos://spark-rate-1250000000", keys=[AES_KEY], **cos)
    began = time.monotonic()
    for _ in range(4):
        done(job, ["missing"], rate=10.0)
    assert time.monotonic() - began >= 0.4


def test_jobs_that_cannot_be_done_are_refused():
    for action, more in (
        ("rewrap", {"keys": ["k"]}),
        ("decrypt", {"keys": ["k"]}),
        ("audit", {}),
        ("delete", {"keys": ["k"]}),
    ):
        with pytest.raises(ValueError):
            cse_spark.Job(action, "cos://b-1", **more)
    with pytest.raises(SystemExit):
        cse_spark.main(["audit", "cos://b-1", "--inventory", "i", "--schema", "s"])


def test_an_error_of_reading_a_key_has_its_number_and_not_its_path(tmp_path):
    (tmp_path / "file").touch()
    for path, kind, number in (
        (tmp_path, IsADirectoryError, errno.EISDIR),
        (tmp_path / "missing", FileNotFoundError, errno.ENOENT),
        (tmp_path / "file/below", NotADirectoryError, errno.ENOTDIR),
        (f"{tmp_path}/" + "a" * 300, OSError, errno.ENAMETOOLONG),
        (f"{tmp_path}\0", OSError, errno.EINVAL),
    ):
        for keyword in ({}, {"passphrase_file": path}):
            with pytest.raises(kind, match="cannot be read") as caught:
                cse.open_key(AES_KEY if keyword else path, **keyword)
            error = caught.value
            assert error.errno == number and error.filename is None
            assert error.__cause__ is None and error.__context__ is None
            assert str(tmp_path) not in str(error)
