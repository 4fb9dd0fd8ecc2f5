"""The modules that stand in for an SDK: what they promise beyond what the SDK does.

That the examples of the documentation run with them, and that the SDKs read what they write, is
tested by `fixtures/make/stand_ins.py`.
"""

import base64
import copy
import gzip
import io
import os
import pickle
import stat
import subprocess
import sys
import threading
import urllib.parse
import warnings

import oss2 as oss2_sdk
import pytest
import qcloud_cos as cos_sdk
from requests import Session

import envelope_cse as cse
from conftest import AES, ID, PRIVATE, PUBLIC, SECRET, data
from envelope_cse._encrypted_body import encrypted_body
from envelope_cse._plain_body import Answer, open_answer, stored_pieces
from envelope_cse._source import Pieces
from envelope_cse._upload import Upload

MIB = 1 << 20
BUCKET = "examplebucket-1250000000"


# oss2


@pytest.fixture
def oss(loopback, tmp_path, monkeypatch):
    import envelope_cse.oss2 as oss2

    monkeypatch.setenv("HOME", str(tmp_path))
    return oss2


def provider(oss2, **more):
    return oss2.crypto.RsaProvider({"private_key": PRIVATE, "public_key": PUBLIC}, **more)


@pytest.fixture
def bucket(oss, loopback):
    return oss.CryptoBucket(oss.Auth(ID, SECRET), loopback, "bkt", provider(oss))


@pytest.fixture
def plain_bucket(loopback):
    return oss2_sdk.Bucket(oss2_sdk.Auth(ID, SECRET), loopback, "bkt")


def test_only_the_import_changes(oss):
    import envelope_cse.oss2.models
    import envelope_cse.qcloud_cos.cos_exception
    from envelope_cse.alibabacloud_oss_v2.models.enums import StorageClassType
    from envelope_cse.oss2.exceptions import NoSuchKey

    assert envelope_cse.oss2.models is oss2_sdk.models
    assert oss2_sdk.models.__name__ == "oss2.models"
    assert oss2_sdk.models.__spec__.name == "oss2.models"
    assert NoSuchKey is oss2_sdk.exceptions.NoSuchKey
    assert envelope_cse.qcloud_cos.cos_exception is cos_sdk.cos_exception
    assert StorageClassType.__module__ == "alibabacloud_oss_v2.models.enums"
    assert oss.ObjectIterator is oss2_sdk.ObjectIterator
    assert issubclass(oss.CryptoBucket, oss2_sdk.CryptoBucket)
    with pytest.raises(AttributeError, match="envelope_cse.oss2"):
        oss.there_is_no_such_name
    with pytest.raises(ModuleNotFoundError):
        import envelope_cse.oss2.there_is_no_such_module


def test_the_modules_that_are_replaced_are_never_those_of_the_sdk():
    program = """
import qcloud_cos.crypto, qcloud_cos.cos_encryption_client, oss2.resumable, oss2.crypto_bucket
import alibabacloud_oss_v2.crypto.types
from envelope_cse.qcloud_cos import cos_encryption_client, crypto
from envelope_cse.oss2 import crypto as oss_crypto
from envelope_cse.oss2.resumable import resumable_upload, make_upload_store
from envelope_cse.oss2.crypto_bucket import CryptoBucket
from envelope_cse.alibabacloud_oss_v2.crypto.types import MasterCipher
from envelope_cse.alibabacloud_oss_v2.crypto import MasterRsaCipher
import envelope_cse.alibabacloud_oss_v2 as oss
import importlib
import envelope_cse.oss2 as oss2
importlib.reload(oss2)
replaced = (
    cos_encryption_client, crypto, oss_crypto, oss2.crypto, oss.crypto, oss.uploader,
)
assert all(module.__name__.startswith("envelope_cse.") for module in replaced)
for each in (resumable_upload, CryptoBucket, MasterRsaCipher, oss2.CryptoBucket, oss.Downloader):
    assert each.__module__.startswith("envelope_cse."), each
assert MasterCipher is alibabacloud_oss_v2.crypto.types.MasterCipher
assert make_upload_store is __import__("oss2").make_upload_store
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_plaintext_is_refused_unless_it_is_allowed(oss, bucket, plain_bucket, loopback):
    plain_bucket.put_object("plain", b"put there by somebody")
    with pytest.raises(oss.exceptions.ClientError, match="not encrypted"):
        bucket.get_object("plain")
    lenient = provider(oss, policy=cse.Policy().allow_plaintext())
    allowed = oss.CryptoBucket(oss.Auth(ID, SECRET), loopback, "bkt", lenient)
    assert allowed.get_object("plain").read() == b"put there by somebody"
    assert allowed.get_object("plain", byte_range=(4, 8)).read() == b"there"


def test_damage_is_an_error_of_the_sdk(oss, bucket, plain_bucket):
    bucket.put_object("damaged", data(300000))
    stored = plain_bucket.get_object("damaged")
    body, headers = stored.read(), stored.headers
    kept = {
        name: value for name, value in headers.items() if name.lower().startswith("x-oss-meta-")
    }
    plain_bucket.put_object("damaged", body[:-1] + b"\0", kept)
    with pytest.raises(oss.exceptions.ClientError):
        bucket.get_object("damaged").read()
    result = bucket.get_object("damaged")
    with pytest.raises(oss.exceptions.ClientError):
        for _ in result:
            pass
    with pytest.raises(oss.exceptions.ClientError):
        result.read()
    other = {name: "AAAA" if "start" in name.lower() else it for name, it in kept.items()}
    plain_bucket.put_object("damaged", body, other)
    with pytest.raises(oss.exceptions.ClientError):
        bucket.get_object("damaged")


@pytest.mark.parametrize("size", [0, 1, 100, 700_000])
def test_progress_is_that_of_the_plaintext(oss, bucket, tmp_path, size):
    seen = []
    note = lambda done, total: seen.append((done, total))  # noqa: E731
    bucket.put_object("progress", data(size), progress_callback=note)
    for read in (
        lambda: bucket.get_object("progress", progress_callback=note).read(),
        lambda: b"".join(bucket.get_object("progress", progress_callback=note)),
        lambda: bucket.get_object("progress").read(size),
    ):
        seen.clear()
        assert read() == data(size)
        assert not seen or seen[-1] == (size, size)
    back = str(tmp_path / "back")
    bucket.get_object_to_file("progress", back, progress_callback=note)
    oss.resumable_download(bucket, "progress", back, progress_callback=note)
    with open(back, "rb") as file:
        assert file.read() == data(size)


def damage(bucket, key, at):
    """Changes a byte of what is stored, and keeps its metadata."""
    stored = bucket.get_object(key)
    body = bytearray(stored.read())
    body[at] ^= 1
    names = [name for name in stored.headers if name.lower().startswith("x-oss-meta-")]
    bucket.put_object(key, bytes(body), {name: stored.headers[name] for name in names})


def test_a_file_is_replaced_by_what_was_checked(oss, bucket, plain_bucket, tmp_path):
    bucket.put_object("filed", data(700_000))
    url = bucket.sign_url("GET", "filed", 60)
    path, link = tmp_path / "file", tmp_path / "link"
    link.symlink_to(path)
    gets = (
        lambda: bucket.get_object_to_file("filed", str(link)),
        lambda: bucket.get_object_with_url_to_file(url, str(link)),
    )
    for get in gets:
        path.write_bytes(b"what was there")
        path.chmod(0o600)
        assert get().status == 200
        assert path.read_bytes() == data(700_000)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600 and link.is_symlink()
    damage(plain_bucket, "filed", 699_999)
    with pytest.raises(oss.exceptions.ClientError):
        bucket.get_object("filed", byte_range=(0, 699_999)).read()
    path.write_bytes(b"what was there")
    for get in gets:
        with pytest.raises(oss.exceptions.ClientError):
            get()
    with pytest.raises(oss.exceptions.NoSuchKey):
        bucket.get_object_to_file("missing", str(path))
    assert path.read_bytes() == b"what was there"
    assert sorted(os.listdir(tmp_path)) == ["file", "link"]
    # A pipe is written to, and not replaced.
    bucket.put_object("filed", b"text")
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    bucket.get_object_to_file("filed", str(pipe))
    reader.join()
    assert got == [b"text"] and stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.fixture
def seen(monkeypatch):
    """The requests that are sent."""
    requests, send = [], Session.send

    def noting(self, request, **kwargs):
        requests.append(request)
        return send(self, request, **kwargs)

    monkeypatch.setattr(Session, "send", noting)
    return requests


def test_a_range_may_end_behind_the_object(bucket, newer, seen):
    bucket.put_object("short", b"some text")
    del seen[:]
    assert bucket.get_object("short", byte_range=(5, 1000)).read() == b"text"
    assert bucket.get_object("short", headers={"Range": "bytes=5-1000"}).read() == b"text"
    newer_oss, client, _ = newer
    get = newer_oss.GetObjectRequest(bucket="bkt", key="short", range_header="bytes=5-1000")
    assert client.get_object(get).body.read() == b"text"
    assert get.range_behavior is None
    # Without this, OSS answers with the whole object, which the loopback server does not.
    behavior = [request.headers.get("x-oss-range-behavior") for request in seen]
    assert behavior == ["standard", "standard", "standard"]
    url = bucket.sign_url("GET", "short", 60)
    bucket.get_object("short").read()
    bucket.get_object_with_url(url, byte_range=(5, 8)).read()
    assert [request.headers.get("x-oss-range-behavior") for request in seen[3:]] == [None, None]


@pytest.mark.parametrize("size", [0, 1, 700_000])
def test_ciphertext_is_not_decompressed(bucket, newer, cos, tmp_path, size):
    plain, headers = gzip.compress(data(size)), {"Content-Encoding": "gzip"}
    bucket.put_object("zipped", plain, headers)
    assert bucket.get_object("zipped").headers["Content-Encoding"] == "gzip"
    assert bucket.get_object("zipped").read() == plain
    assert b"".join(bucket.get_object("zipped")) == plain
    assert bucket.get_object("zipped", byte_range=(3, 9)).read() == plain[3:10]
    bucket.get_object_to_file("zipped", str(tmp_path / "file"))
    assert (tmp_path / "file").read_bytes() == plain
    newer_oss, client, _ = newer
    get = newer_oss.GetObjectRequest(bucket="bkt", key="zipped", accept_encoding="gzip")
    assert client.get_object(get).body.read() == plain
    newer_oss.Downloader(client, part_size=1000_000).download_file(get, str(tmp_path / "file"))
    assert (tmp_path / "file").read_bytes() == plain
    client = aes_client(cos)
    client.put_object(BUCKET, plain, "zipped", ContentEncoding="gzip")
    assert client.head_object(BUCKET, "zipped")["Content-Encoding"] == "gzip"
    assert read(client, "zipped") == plain
    client.download_file(BUCKET, "zipped", str(tmp_path / "file"))
    assert (tmp_path / "file").read_bytes() == plain


def test_what_breaks_is_an_error_of_requests():
    from requests.exceptions import ChunkedEncodingError, ConnectionError, SSLError
    from urllib3 import exceptions as urllib3

    class Broken:
        def __init__(self, error):
            self.raw, self._error = self, error

        def stream(self, _, decode_content):
            yield b"piece"
            raise self._error

    for error, kind in (
        (urllib3.ProtocolError("broken"), ChunkedEncodingError),
        (urllib3.ReadTimeoutError(None, "", "slow"), ConnectionError),
        (urllib3.SSLError("broken"), SSLError),
    ):
        with pytest.raises(kind):
            list(stored_pieces(Broken(error)))


def test_keys_that_do_not_belong_together_are_refused(oss, rsa):
    with pytest.raises(oss.exceptions.ClientError, match="not that of"):
        oss.crypto.RsaProvider({"private_key": PRIVATE, "public_key": rsa.public_pem()})
    with pytest.raises(oss.exceptions.ClientError, match="is a public key"):
        oss.crypto.RsaProvider({"private_key": PUBLIC})
    for pair in ({}, {"public_key": "no key"}, "no dictionary", None):
        with pytest.raises(oss.exceptions.ClientError):
            oss.crypto.RsaProvider(pair)


def test_content_keys_are_not_handed_out(oss, loopback):
    own = provider(oss)
    for name in ("get_key", "create_content_material"):
        with pytest.raises(oss.exceptions.ClientError, match="stay inside"):
            getattr(own, name)()
    with pytest.raises(oss.exceptions.ClientError):
        own.decrypt_encrypted_key(b"")
    # Neither bucket takes the providers of the other one by accident.
    with pytest.raises(oss.exceptions.ClientError):
        oss2_sdk.CryptoBucket(oss.Auth(ID, SECRET), loopback, "bkt", own).put_object("a", b"b")
    theirs = oss2_sdk.RsaProvider({"private_key": PRIVATE, "public_key": PUBLIC})
    with pytest.raises(oss.exceptions.ClientError, match="envelope_cse"):
        oss.CryptoBucket(oss.Auth(ID, SECRET), loopback, "bkt", theirs)


def test_local_keys_are_made_once_and_never_overwritten(oss, tmp_path):
    oss.LocalRsaProvider(key="k")
    folder = tmp_path / ".oss-local-rsa"
    private, public = folder / "k.private_key.pem", folder / "k.public_key.pem"
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    before = private.read_bytes(), public.read_bytes()
    oss.LocalRsaProvider(key="k")
    public.unlink()
    # The SDK would make another pair here, and overwrite the private key.
    encrypting = oss.LocalRsaProvider(key="k")
    assert (private.read_bytes(), public.exists()) == (before[0], False)
    assert encrypting.encryptor.encrypt(b"")
    private.unlink()
    public.write_bytes(before[1])
    only_public = oss.LocalRsaProvider(key="k")
    headers, body = only_public.encryptor.encrypt(b"text")
    with pytest.raises(cse.EnvelopeError):
        cse.decrypt(headers, body, only_public.decryptor)
    assert not private.exists()


def test_md5_and_length_are_those_of_the_plaintext_and_not_stored(oss, bucket, plain_bucket):
    md5 = oss.utils.content_md5(b"text")
    bucket.put_object("md5", b"text", headers={"Content-MD5": md5, "Content-Length": "4"})
    assert md5 not in str(plain_bucket.head_object("md5").headers)
    with pytest.raises(oss.exceptions.ClientError, match="Content-MD5"):
        bucket.put_object("md5", b"other", headers={"Content-MD5": md5})
    for wrong in (io.BytesIO(b"other"), iter([b"other"])):
        with pytest.raises((oss.exceptions.ClientError, oss.exceptions.RequestError)):
            bucket.put_object("md5", wrong, headers={"Content-MD5": md5})
    assert bucket.get_object("md5").read() == b"text"
    with pytest.raises(oss.exceptions.ClientError, match="by hand"):
        bucket.put_object("md5", b"", headers={"x-oss-meta-client-side-encryption-key": "a"})


def test_a_part_is_sent_again_only_as_it_was(oss, bucket):
    context = oss.models.MultipartUploadCryptoContext(3 * 102400, 102400)
    upload = bucket.init_multipart_upload("part", upload_context=context).upload_id
    part = data(102400)
    bucket.upload_part("part", upload, 1, part, upload_context=context)
    bucket.upload_part("part", upload, 1, io.BytesIO(part), upload_context=context)
    with pytest.raises(oss.exceptions.ClientError, match="other bytes"):
        bucket.upload_part("part", upload, 1, part[::-1], upload_context=context)
    with pytest.raises(oss.exceptions.ClientError):
        bucket.upload_part("part", upload, 2, part + b"\0", upload_context=context)
    with pytest.raises(oss.exceptions.ClientError, match="upload_context"):
        bucket.upload_part("part", upload, 2, part)
    bucket.abort_multipart_upload("part", upload)


def put_v1(plain_bucket, key, body, **more):
    """An object of a dialect whose metadata OSS lets a copy replace."""
    headers, stored = cse.Encryptor(cse.RsaKey(PUBLIC), "oss-v1").encrypt(body)
    plain_bucket.put_object(key, stored, {**headers, **more})


def before_copies(bucket, monkeypatch, act):
    """Calls `act` before each copy is sent."""
    do = bucket.session.do_request

    def acting(request, timeout):
        if "x-oss-copy-source" in request.headers:
            act()
        return do(request, timeout)

    monkeypatch.setattr(bucket.session, "do_request", acting)


def test_new_metadata_has_the_wrapped_key_too(oss, bucket, plain_bucket):
    description = {"x-oss-meta-oss-crypto-note": "\u6240\u6709\u8005".encode()}
    put_v1(plain_bucket, "meta", b"text", **description)
    bucket.update_object_meta("meta", {"x-oss-meta-owner": "me"})
    assert bucket.get_object("meta").read() == b"text"
    found = bucket.head_object("meta").headers
    assert found["x-oss-meta-owner"] == "me"
    # It is sent as it was, in UTF-8.
    assert found["x-oss-meta-oss-crypto-note"].encode("latin-1").decode() == "\u6240\u6709\u8005"
    replacing = {"X-Oss-Metadata-Directive": "Replace", "x-oss-meta-owner": "you"}
    bucket.copy_object("bkt", "meta", "copied", headers=replacing)
    assert bucket.get_object("copied").read() == b"text"
    assert bucket.head_object("copied").headers["x-oss-meta-owner"] == "you"
    # Who helps himself with the SDK repeats it, which does no harm.
    repeated = {name: it for name, it in found.items() if name.lower().startswith("x-oss-meta-")}
    bucket.update_object_meta("meta", dict(repeated))
    assert bucket.get_object("meta").read() == b"text"
    for name in ("x-oss-meta-oss-crypto-key", "x-oss-meta-client-side-encryption-key"):
        with pytest.raises(oss.exceptions.ClientError, match="by hand"):
            bucket.update_object_meta("meta", {name: "AAAA"})
    assert bucket.get_object("meta").read() == b"text"
    # What is not encrypted has nothing to keep.
    plain_bucket.put_object("plain", b"text")
    bucket.update_object_meta("plain", {"x-oss-meta-owner": "me"})
    assert plain_bucket.head_object("plain").headers["x-oss-meta-owner"] == "me"


def test_new_metadata_is_not_that_of_a_newer_object(oss, bucket, plain_bucket, monkeypatch):
    put_v1(plain_bucket, "raced", b"older")
    seen = plain_bucket.head_object("raced").etag
    before_copies(bucket, monkeypatch, lambda: put_v1(plain_bucket, "raced", b"newer"))
    with pytest.raises(oss.exceptions.PreconditionFailed):
        bucket.update_object_meta("raced", {"x-oss-meta-owner": "me"})
    assert bucket.get_object("raced").read() == b"newer"
    # A condition of the caller holds, too.
    with pytest.raises(oss.exceptions.ServerError) as caught:
        bucket.update_object_meta("raced", {"x-oss-copy-source-if-match": f'"{seen}"'})
    assert caught.value.status == 412
    # Under its own name, a bucket cannot look at another one.
    bucket._make_url.is_cname = True
    with pytest.raises(oss.exceptions.ClientError, match="another bucket"):
        bucket.copy_object("other", "a", "b", {"x-oss-metadata-directive": "REPLACE"})


class Interrupted(BaseException):
    pass


@pytest.fixture
def upload(oss, bucket, tmp_path, monkeypatch):
    """Uploads a file in parts, of which the given ones fail, and counts what is sent."""
    path, sent = tmp_path / "source", []
    send = bucket._send

    def run(plain, failing=(), interrupt=None):
        sent.clear()

        def counted(what, key, body, headers, progress, params):
            if what == "upload part":
                number = int(params["partNumber"])
                if number in failing:
                    raise oss.exceptions.RequestError(OSError("the line is down"))
                sent.append((number, body))
            return send(what, key, body, headers, progress, params)

        monkeypatch.setattr(bucket, "_send", counted)
        if plain is not None:
            path.write_bytes(plain)
            os.utime(path, (1, 1))
        result = oss.resumable_upload(
            bucket, "up", str(path), multipart_threshold=MIB, part_size=MIB, num_threads=3
        )
        return result, list(sent)

    return run, sent, bucket


def test_an_upload_is_continued(oss, upload):
    run, sent, bucket = upload
    plain = data(8 * MIB + 5)
    with pytest.raises(oss.exceptions.RequestError):
        run(plain, failing=(4,))
    first = dict(sent)
    _, again = run(None)
    assert again and not set(dict(again)) & (set(first) - {4})
    assert len(first) + len(again) == 9
    assert bucket.get_object("up").read() == plain
    # A finished upload leaves no record.
    _, everything = run(None)
    assert len(everything) == 9


def test_a_file_that_has_changed_gets_another_key(oss, upload):
    run, sent, bucket = upload
    plain = data(8 * MIB + 5)
    with pytest.raises(oss.exceptions.RequestError):
        run(plain, failing=(4,))
    first = dict(sent)
    # Length and time of the file are as before, which is all that the SDK looks at.
    changed = plain[: 3 * MIB] + b"x" * MIB + plain[4 * MIB :]
    with pytest.raises(oss.exceptions.ClientError, match="has changed"):
        run(changed)
    assert 4 not in dict(sent)
    _, again = run(None)
    assert len(again) == 9
    assert all(first[number] != body for number, body in again if number in first)
    assert bucket.get_object("up").read() == changed


def test_parts_that_are_not_ours_are_sent_again(oss, upload, plain_bucket):
    run, sent, bucket = upload
    plain = data(4 * MIB)
    with pytest.raises(oss.exceptions.RequestError):
        run(plain, failing=(4,))
    (upload_id,) = (
        each.upload_id for each in oss.MultipartUploadIterator(plain_bucket, prefix="up")
    )
    plain_bucket.upload_part("up", upload_id, 1, b"x" * MIB)
    _, again = run(None)
    assert {1, 4} <= set(dict(again))
    assert bucket.get_object("up").read() == plain


def test_who_cannot_decrypt_begins_again(oss, loopback, tmp_path):
    public = oss.crypto.RsaProvider({"public_key": PUBLIC})
    bucket = oss.CryptoBucket(oss.Auth(ID, SECRET), loopback, "bkt", public)
    path = tmp_path / "source"
    path.write_bytes(data(3 * MIB))
    send = bucket._send
    bucket._send = lambda *_: (_ for _ in ()).throw(oss.exceptions.RequestError(OSError("down")))
    with pytest.raises(oss.exceptions.RequestError):
        oss.resumable_upload(bucket, "public", str(path), multipart_threshold=MIB, part_size=MIB)
    bucket._send = send
    oss.resumable_upload(bucket, "public", str(path), multipart_threshold=MIB, part_size=MIB)
    reading = oss.CryptoBucket(oss.Auth(ID, SECRET), loopback, "bkt", provider(oss))
    assert reading.get_object("public").read() == data(3 * MIB)


# qcloud_cos


@pytest.fixture
def cos(loopback, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    host, port = loopback.removeprefix("http://").split(":")
    send = cos_sdk.CosS3Client.send_request

    def with_names_as_cos_writes_them(self, method, url, **kwargs):
        # `copy` looks at its source under the public name of the bucket, even if there is an IP.
        url = urllib.parse.urlsplit(url)._replace(netloc=f"{host}:{port}").geturl()
        answer = send(self, method, url, **kwargs)
        for name in list(answer.headers):
            if not name.startswith("x-"):
                shown = "ETag" if name == "etag" else name.title()
                answer.headers[shown] = answer.headers.pop(name)
        return answer

    monkeypatch.setattr(cos_sdk.CosS3Client, "send_request", with_names_as_cos_writes_them)
    return cos_sdk.CosConfig(
        Region="ap-beijing", SecretId=ID, SecretKey=SECRET, Scheme="http", IP=host, Port=int(port)
    )


def aes_client(conf, **more):
    from envelope_cse.qcloud_cos.cos_encryption_client import CosEncryptionClient
    from envelope_cse.qcloud_cos.crypto import AESProvider

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return CosEncryptionClient(conf, AESProvider(aes_key=AES, **more))


def read(client, key, **more):
    return client.get_object(Bucket=BUCKET, Key=key, **more)["Body"].get_raw_stream().read()


def test_upload_file_with_its_defaults_does_not_corrupt(cos, tmp_path):
    client, plain = aes_client(cos), data(6 * MIB + 5)
    path = tmp_path / "source"
    path.write_bytes(plain)
    for _ in range(6):
        client.upload_file(Bucket=BUCKET, Key="f", LocalFilePath=str(path))
        assert read(client, "f") == plain

    class Short(io.BytesIO):
        def read(self, size=-1):
            return super().read(min(size, 100_000))

    client.upload_file_from_buffer(Bucket=BUCKET, Key="f", Body=Short(plain), PartSize=1)
    assert read(client, "f") == plain
    client.download_file(BUCKET, "f", str(tmp_path / "back"), PartSize=1)
    assert (tmp_path / "back").read_bytes() == plain


def test_threads_share_a_client(cos):
    client, wrong = aes_client(cos), []

    def work(number):
        for turn in range(5):
            key, plain = f"t{number}", data(1000 * number + turn)
            client.put_object(Bucket=BUCKET, Key=key, Body=plain)
            wrong.extend([key] if read(client, key) != plain else [])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 9)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert wrong == []


def test_objects_of_other_dialects_are_read(cos):
    from envelope_cse.qcloud_cos.cos_encryption_client import CosEncryptionClient
    from envelope_cse.qcloud_cos.crypto import RSAProvider

    plain_client = cos_sdk.CosS3Client(cos)
    key = cse.AesKey.read(AES)
    pair = RSAProvider.get_rsa_key_pair(PUBLIC, PRIVATE)
    rsa_client = CosEncryptionClient(cos, RSAProvider(pair))
    for client, content, master in (
        (aes_client(cos), "ctr", key),
        (rsa_client, "ctr", cse.RsaKey(PUBLIC)),
        (rsa_client, "gcm", cse.RsaKey(PUBLIC)),
    ):
        headers, body = cse.Encryptor(master, "cos-v2", content=content).encrypt(data(5000))
        plain_client.put_object(Bucket=BUCKET, Key="v2", Body=body, Metadata=headers)
        answer = client.get_object(Bucket=BUCKET, Key="v2")["Body"]
        assert len(answer) == 5000
        assert b"".join(answer) == data(5000)
    with pytest.raises(cos_sdk.CosClientError, match="range"):
        read(client, "v2", Range="bytes=1-2")
    client = aes_client(cos)
    modern = aes_client(cos, dialect="cos-v2")
    modern.put_object(Bucket=BUCKET, Key="v2", Body=data(100))
    assert cse.inspect(plain_client.head_object(Bucket=BUCKET, Key="v2")).wrap_algorithm == "aes-kw"
    assert read(modern, "v2") == read(client, "v2") == data(100)


def test_the_weak_wrap_is_said(cos):
    from envelope_cse.qcloud_cos.crypto import AESProvider, WeakWrapWarning

    with pytest.warns(WeakWrapWarning, match="one keystream"):
        AESProvider(aes_key=AES)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        AESProvider(aes_key=AES, dialect="cos-v2")


def test_a_path_without_a_key_makes_none(cos, tmp_path):
    from envelope_cse.qcloud_cos.cos_encryption_client import CosEncryptionClient
    from envelope_cse.qcloud_cos.crypto import AESProvider, RSAProvider

    missing = str(tmp_path / "missing")
    pair = RSAProvider.get_rsa_key_pair_path(missing, missing)
    for each in (AESProvider(aes_key_path=missing, dialect="cos-v2"), RSAProvider(pair)):
        with pytest.raises(cos_sdk.CosClientError, match="cannot be read"):
            CosEncryptionClient(cos, each).put_object(Bucket=BUCKET, Key="k", Body=b"")
    assert os.listdir(tmp_path) == []
    # Without a path, it is made, for its owner alone.
    CosEncryptionClient(cos, AESProvider(dialect="cos-v2")).put_object(
        Bucket=BUCKET, Key="k", Body=b"text"
    )
    made = tmp_path / ".cos_local_aes/.aes_key.pem"
    assert stat.S_IMODE(made.stat().st_mode) == 0o600


def test_a_key_in_place_of_its_path_is_not_repeated(cos):
    from envelope_cse.qcloud_cos.crypto import AESProvider, RSAProvider

    pair = RSAProvider.get_rsa_key_pair_path(PRIVATE, PRIVATE)
    secrets = AES[:12], PRIVATE.splitlines()[3]
    for each in (
        AESProvider(None, AES, dialect="cos-v2"),
        AESProvider(None, AES + "\0", dialect="cos-v2"),
        RSAProvider(pair),
        RSAProvider(RSAProvider.get_rsa_key_pair_path(PRIVATE * 9, PRIVATE * 9)),
    ):
        with pytest.raises(cos_sdk.CosClientError, match="cannot be read") as caught:
            each.encryptor
        error = caught.value
        while error is not None:
            shown = f"{error!r} {error} {vars(error)} {getattr(error, 'filename', None)}"
            assert not any(secret in shown for secret in secrets)
            error = error.__cause__ or error.__context__


def test_parts_are_encrypted_for_their_place(cos):
    client, plain = aes_client(cos), data(3 * MIB)
    pieces = [plain[at : at + MIB] for at in range(0, len(plain), MIB)]

    def begin(**more):
        return client.create_multipart_upload(Bucket=BUCKET, Key="p", **more)["UploadId"]

    def put(upload, number, body):
        return client.upload_part(
            Bucket=BUCKET, Key="p", Body=body, PartNumber=number, UploadId=upload
        )["ETag"]

    def complete(upload, etags):
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in sorted(etags.items())]
        client.complete_multipart_upload(
            Bucket=BUCKET, Key="p", UploadId=upload, MultipartUpload={"Part": parts}
        )

    upload = begin()
    put(upload, 1, pieces[0])
    with pytest.raises(cos_sdk.CosClientError, match="comes before"):
        put(upload, 3, pieces[2])
    with pytest.raises(cos_sdk.CosClientError, match="other bytes"):
        put(upload, 1, pieces[1])
    etags = {
        1: put(upload, 1, pieces[0]),
        2: put(upload, 2, pieces[1]),
        3: put(upload, 3, pieces[2]),
    }
    with pytest.raises(cos_sdk.CosClientError, match="missing or short"):
        complete(upload, {1: etags[1], 3: etags[3]})
    complete(upload, etags)
    assert read(client, "p") == plain
    upload = begin(PartBytes=MIB)
    complete(upload, {number: put(upload, number, pieces[number - 1]) for number in (3, 1, 2)})
    assert read(client, "p") == plain
    upload = begin(PartBytes=MIB)
    with pytest.raises(cos_sdk.CosClientError, match="longer"):
        put(upload, 1, pieces[0] + b"\0")
    short = {1: put(upload, 1, pieces[0][:-1]), 2: put(upload, 2, pieces[1])}
    with pytest.raises(cos_sdk.CosClientError, match="missing or short"):
        complete(upload, short)
    with pytest.raises(cos_sdk.CosClientError, match="has begun"):
        put("another", 1, b"")
    with pytest.raises(cos_sdk.CosClientError, match="appended"):
        client.append_object(Bucket=BUCKET, Key="p", Position=0, Data=b"in the clear")


def test_what_changes_an_object_in_place_keeps_its_key(cos):
    client = aes_client(cos)
    client.put_object(Bucket=BUCKET, Key="u", Body=b"text", Metadata={"x-cos-meta-owner": "me"})
    client.change_object_storage_class(BUCKET, "u", "STANDARD_IA")
    assert read(client, "u") == b"text"
    client.update_object_meta(BUCKET, "u", ContentType="text/html")
    assert read(client, "u") == b"text"
    with pytest.raises(cos_sdk.CosClientError, match="processes"):
        client.ci_put_object(Bucket=BUCKET, Body=b"image", Key="u")
    source = {"Bucket": BUCKET, "Key": "u", "Region": "ap-beijing"}
    client.copy(Bucket=BUCKET, Key="copied", CopySource=source)
    assert read(client, "copied") == b"text"


def test_the_body_of_an_answer_is_the_body_of_a_request(cos):
    client, plain_client = aes_client(cos), cos_sdk.CosS3Client(cos)
    plain_client.put_object(Bucket=BUCKET, Key="from", Body=data(200_000))
    body = plain_client.get_object(Bucket=BUCKET, Key="from")["Body"]
    upload = client.create_multipart_upload(Bucket=BUCKET, Key="to")["UploadId"]
    etag = client.upload_part(
        Bucket=BUCKET, Key="to", Body=body, PartNumber=1, UploadId=upload
    )["ETag"]  # fmt: skip
    parts = {"Part": [{"PartNumber": 1, "ETag": etag}]}
    client.complete_multipart_upload(
        Bucket=BUCKET, Key="to", UploadId=upload, MultipartUpload=parts
    )
    assert read(client, "to") == data(200_000)
    client.put_object(Bucket=BUCKET, Key="again", Body=client.get_object(BUCKET, "to")["Body"])
    assert read(client, "again") == data(200_000)


def test_md5_is_that_of_the_plaintext(cos):
    from qcloud_cos.cos_comm import get_md5

    client = aes_client(cos)
    put = lambda body, md5: client.put_object(BUCKET, body, "md5", ContentMD5=md5)  # noqa: E731
    put(b"text", get_md5(b"text"))
    put(io.BytesIO(b"text"), get_md5(b"text"))
    for body in (b"other", io.BytesIO(b"other")):
        with pytest.raises(cos_sdk.CosClientError, match="Content-MD5"):
            put(body, get_md5(b"text"))
    assert read(client, "md5") == b"text"


def test_keys_with_a_passphrase_are_those_of_the_sdk(oss, cos, tmp_path):
    from envelope_cse.qcloud_cos.crypto import AESProvider, RSAProvider

    oss2_sdk.LocalRsaProvider(str(tmp_path / "oss"), "k", "secret")
    provider = oss.LocalRsaProvider(str(tmp_path / "oss"), "k", "secret")
    headers, body = provider.encryptor.encrypt(b"text")
    assert cse.decrypt(headers, body, provider.decryptor) == b"text"
    from qcloud_cos.crypto import RSAProvider as SdkProvider

    SdkProvider(passphrase="secret")
    assert RSAProvider(passphrase="secret").encryptor.encrypt(b"text")
    short = base64.b64encode(bytes(range(24))).decode()
    assert AESProvider(aes_key=short, dialect="cos-v2").encryptor.encrypt(b"text")


def test_a_provider_is_not_pickled(cos):
    from envelope_cse.qcloud_cos.crypto import AESProvider

    provider = AESProvider(aes_key=AES, dialect="cos-v2")
    with pytest.raises(TypeError, match="keys"):
        pickle.dumps(provider)
    assert copy.deepcopy(provider) is provider


def before(client, monkeypatch, is_it, act):
    """Calls `act` once, before the first request that `is_it` wants."""
    send, left = client.send_request, [act]

    def acting(method, url, **kwargs):
        names = {
            (name.decode() if isinstance(name, bytes) else name).lower()
            for name in kwargs.get("headers") or {}
        }
        if left and is_it(method, names):
            left.pop()()
        return send(method, url, **kwargs)

    monkeypatch.setattr(client, "send_request", acting)


def test_a_download_is_one_object(cos, tmp_path, monkeypatch):
    writer = aes_client(cos)
    path = tmp_path / "file"
    path.write_bytes(b"what was there")
    put = lambda plain: writer.put_object(Bucket=BUCKET, Key="swapped", Body=plain)  # noqa: E731
    put(data(3 * MIB))
    client, ranges = aes_client(cos), []

    def is_second_range(method, names):
        ranges.extend(["range"] if "range" in names else [])
        return len(ranges) == 2

    before(client, monkeypatch, is_second_range, lambda: put(data(3 * MIB)[::-1]))
    with pytest.raises(cos_sdk.CosClientError, match="some download_part fail"):
        client.download_file(BUCKET, "swapped", str(path), PartSize=1, MAXThread=1)
    assert path.read_bytes() == b"what was there"
    client.download_file(BUCKET, "swapped", str(path), PartSize=1)
    assert path.read_bytes() == data(3 * MIB)[::-1]
    # A condition of the caller holds, too.
    with pytest.raises(cos_sdk.CosServiceError):
        client.download_file(BUCKET, "swapped", str(path), IfMatch='"another"')


def test_new_metadata_is_not_that_of_a_newer_cos_object(cos, monkeypatch):
    writer, client = aes_client(cos), aes_client(cos)
    put = lambda plain: writer.put_object(Bucket=BUCKET, Key="raced", Body=plain)  # noqa: E731
    put(b"older")
    is_copy = lambda method, names: "x-cos-copy-source" in names  # noqa: E731
    before(client, monkeypatch, is_copy, lambda: put(b"newer"))
    with pytest.raises(cos_sdk.CosServiceError) as caught:
        client.update_object_meta(BUCKET, "raced", ContentType="text/html")
    assert caught.value.get_status_code() == 412
    assert read(client, "raced") == b"newer"
    source = {"Bucket": BUCKET, "Key": "raced", "Region": "ap-beijing"}
    copy_to = lambda **more: client.copy_object(  # noqa: E731
        BUCKET, "raced-copy", source, CopyStatus="Replaced", **more
    )
    with pytest.raises(cos_sdk.CosServiceError):
        copy_to(CopySourceIfMatch='"another"')
    with pytest.raises(cos_sdk.CosClientError, match="by hand"):
        copy_to(Metadata={"x-cos-meta-client-side-encryption-key": "AAAA"})
    copy_to(Metadata={"x-cos-meta-owner": "me"})
    assert read(client, "raced-copy") == b"newer"
    assert client.head_object(BUCKET, "raced-copy")["x-cos-meta-owner"] == "me"


def test_what_cannot_be_verified_is_not_left_in_a_file(cos, tmp_path, monkeypatch):
    client, plain_client = aes_client(cos), cos_sdk.CosS3Client(cos)
    client.put_object(Bucket=BUCKET, Key="saved", Body=data(3 * MIB))
    path = tmp_path / "file"
    path.write_bytes(b"what was there")
    client.download_file(BUCKET, "saved", str(path))
    assert path.read_bytes() == data(3 * MIB) and os.listdir(tmp_path) == ["file"]
    found = plain_client.get_object(Bucket=BUCKET, Key="saved")
    body = found["Body"].get_raw_stream().read()
    kept = {name: it for name, it in found.items() if name.startswith("x-cos-meta-")}
    plain_client.put_object(
        Bucket=BUCKET, Key="saved", Body=body[:-1] + bytes([body[-1] ^ 1]), Metadata=kept
    )
    path.write_bytes(b"what was there")
    with pytest.raises(cos_sdk.CosClientError):
        client.download_file(BUCKET, "saved", str(path))
    interrupted = client.get_object(Bucket=BUCKET, Key="saved")["Body"]
    more = interrupted.get_raw_stream()._more
    monkeypatch.setattr(
        interrupted.get_raw_stream(),
        "_more",
        lambda: more() if more.__self__._got < MIB else stop(),
    )
    with pytest.raises(Interrupted):
        interrupted.get_stream_to_file(str(path))
    assert path.read_bytes() == b"what was there" and os.listdir(tmp_path) == ["file"]
    # Who wants no other file has an empty one.
    with pytest.raises(cos_sdk.CosClientError):
        client.download_file(BUCKET, "saved", str(path), DisableTempDestFilePath=True)
    assert path.read_bytes() == b"" and os.listdir(tmp_path) == ["file"]


def stop():
    raise Interrupted


def test_user_metadata_stays(cos):
    client = aes_client(cos)
    client.put_object(Bucket=BUCKET, Key="m", Body=b"text", Metadata={"x-cos-meta-owner": "me"})
    assert client.head_object(Bucket=BUCKET, Key="m")["x-cos-meta-owner"] == "me"
    forged = {"x-cos-meta-client-side-encryption-key": "AAAA"}
    with pytest.raises(cos_sdk.CosClientError, match="by hand"):
        client.put_object(Bucket=BUCKET, Key="m", Body=b"text", Metadata=forged)


# alibabacloud_oss_v2


@pytest.fixture
def newer(loopback):
    """The stand-in, its client that encrypts, and the plain client."""
    import envelope_cse.alibabacloud_oss_v2 as oss

    config = oss.config.load_default()
    config.credentials_provider = oss.credentials.StaticCredentialsProvider(ID, SECRET)
    config.region, config.endpoint, config.use_path_style = "cn-hangzhou", loopback, True
    plain = oss.Client(config)
    master = oss.crypto.MasterRsaCipher(public_key=PUBLIC, private_key=PRIVATE)
    return oss, oss.EncryptionClient(plain, master), plain


def test_metadata_of_another_object_is_refused(newer):
    oss, client, _ = newer
    client.put_object(oss.PutObjectRequest(bucket="bkt", key="a", body=b"first"))
    kept = dict(client.head_object(oss.HeadObjectRequest(bucket="bkt", key="a")).metadata)
    with pytest.raises(ValueError, match="by hand"):
        client.put_object(
            oss.PutObjectRequest(bucket="bkt", key="a", body=b"second", metadata=kept)
        )
    client.put_object(
        oss.PutObjectRequest(bucket="bkt", key="a", body=b"second", metadata={"owner": "me"})
    )
    result = client.get_object(oss.GetObjectRequest(bucket="bkt", key="a"))
    assert (result.body.read(), result.metadata["owner"]) == (b"second", "me")


def test_the_newer_client_does_not_copy(newer):
    _, client, _ = newer
    # One that did would have to keep the wrapped key where the metadata is replaced.
    assert not hasattr(client, "copy_object")


def test_plaintext_and_damage_of_the_newer_sdk(newer):
    oss, client, plain = newer
    plain.put_object(oss.PutObjectRequest(bucket="bkt", key="plain", body=data(3000)))
    get = oss.GetObjectRequest(bucket="bkt", key="plain")
    with pytest.raises(cse.NotEncryptedError):
        client.get_object(get)
    master = oss.crypto.MasterRsaCipher(private_key=PRIVATE)
    allowed = oss.EncryptionClient(plain, master, policy=cse.Policy().allow_plaintext())
    assert allowed.get_object(get).body.read() == data(3000)
    written = io.BytesIO()
    oss.Downloader(allowed, part_size=1000).download_to(get, written)
    assert written.getvalue() == data(3000)


@pytest.mark.parametrize("parallel", [1, 3])
def test_a_download_goes_on_where_the_connection_broke(newer, tmp_path, parallel):
    oss, client, _ = newer
    client.put_object(oss.PutObjectRequest(bucket="bkt", key="long", body=data(3 * MIB + 5)))
    opened, path = client._open, tmp_path / "back"

    def breaks(result, asked):
        iter_bytes, first = result.body.iter_bytes, int(asked[6:].split("-")[0])

        def half(**kwargs):
            yield from iter([b"".join(iter_bytes(**kwargs))[:100_000]])
            if not first % MIB:
                raise ConnectionError("the line is down")

        if not first % MIB:
            result.body.iter_bytes = half
        opened(result, asked)

    client._open = breaks
    get = oss.GetObjectRequest(bucket="bkt", key="long")
    downloader = oss.Downloader(client, part_size=MIB, parallel_num=parallel)
    downloader.download_file(get, str(path))
    assert path.read_bytes() == data(3 * MIB + 5)
    # So it does if there is one range.
    oss.Downloader(client, part_size=5 * MIB, parallel_num=parallel).download_file(get, str(path))
    assert path.read_bytes() == data(3 * MIB + 5)
    client._open = opened

    class Stopped(Exception):
        pass

    def stop(*_):
        raise Stopped

    get = oss.GetObjectRequest(bucket="bkt", key="long", progress_fn=stop)
    with pytest.raises(oss.DownloadError):
        downloader.download_file(get, str(path))


# What they have in common


def keystream(key):
    return cse.Encryptor(key, "cos-v2").start().keystream()


def test_a_body_can_be_sent_again(rsa):
    plain = data(700_000)
    stream = keystream(rsa)
    want = stream.apply(plain)
    body = encrypted_body(io.BytesIO(b"before" + plain), stream, len(plain))
    body._source.seek(6)
    body._base = 6
    assert body.len == len(plain)
    assert body.read() == want and body.len == 0 and body.read(10) == b""
    crc = cse.Crc64()
    crc.update(want)
    assert body.crc == crc.value
    for offset in (0, 1, 262143, 262144, 699_999, 700_000):
        body.seek(offset)
        assert body.read(1000) == want[offset : offset + 1000]
    assert body.seek(-5, io.SEEK_END) == 699_995 and body.read() == want[-5:]
    with pytest.raises(ValueError):
        body.seek(-1)


@pytest.mark.parametrize("at", [0, 262143, 262144, 699_999])
def test_a_source_that_has_changed_is_not_sent_again(rsa, at):
    source = io.BytesIO(data(700_000))
    body = encrypted_body(source, keystream(rsa), 700_000)
    body.read()
    source.getbuffer()[at] ^= 1
    body.seek(0)
    with pytest.raises(cse.EncryptError, match="has changed"):
        body.read()


def test_a_source_has_the_length_that_it_says(rsa):
    body = encrypted_body(io.BytesIO(data(700_000)), keystream(rsa), 700_001)
    with pytest.raises(cse.EncryptError, match="as it said"):
        body.read()
    for stated in (699_999, 262_144):
        # It has grown since it was looked at.
        stream = keystream(rsa)
        body = encrypted_body(io.BytesIO(data(700_000)), stream, stated)
        assert body.read() == stream.apply(data(700_000)[:stated])
    unsized = encrypted_body(Pieces(iter([b"ab", "c", b"", b"d"])), keystream(rsa), None)
    assert not hasattr(unsized, "len") and not hasattr(unsized, "seek")
    assert len(unsized.read()) == 4


def test_a_body_that_failed_stays_failed(rsa):
    headers, body = cse.Encryptor(rsa, "cos-v2", content="gcm").encrypt(data(1000))
    reader = open_answer(Answer(200, headers, [body[:-1]]), cse.Decryptor([rsa]))
    for _ in range(2):
        with pytest.raises(cse.IntegrityError):
            reader.read()


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 1000, 300_001])
@pytest.mark.parametrize("dialect, content", [("oss-v2", "ctr"), ("cos-v2", "gcm")])
def test_who_reads_as_much_as_there_is_has_read_to_the_end(rsa, dialect, content, size):
    headers, body = cse.Encryptor(rsa, dialect, content=content).encrypt(data(size))
    headers["content-length"] = str(len(body))
    decryptor = cse.Decryptor([rsa])

    def opened(body):
        pieces = [body[at : at + 10_007] for at in range(0, len(body), 10_007)]
        return open_answer(Answer(200, headers, pieces), decryptor)

    reader = opened(body)
    assert reader.len == size
    assert reader.read(size) == data(size) and reader.read(1) == b""
    reader, got = opened(body), b""
    while piece := reader.read(777):
        got += piece
    assert got == data(size)
    if size:
        damaged = bytes([body[0] ^ 1]) + body[1:]
        for broken in (damaged, body[:-1], body + b"x"):
            with pytest.raises(cse.EnvelopeError):
                opened(broken).read(size)


def test_a_body_has_the_checksum_that_the_service_says(rsa):
    headers, body = cse.Encryptor(rsa, "cos-v2").start().headers, data(5000)
    crc = cse.Crc64()
    crc.update(body)
    for vendor in ("oss", "cos"):
        for stated, is_right in ((crc.value, True), (crc.value ^ 1, False)):
            more = {f"x-{vendor}-hash-crc64ecma": str(stated)}
            plain = open_answer(Answer(200, {**headers, **more}, [body]), cse.Decryptor([rsa]))
            if is_right:
                assert len(plain.read()) == 5000
            else:
                with pytest.raises(cse.EnvelopeError, match="checksum"):
                    plain.read()


def test_an_answer_is_the_range_that_was_asked_for(rsa):
    body, total = data(1000), 5000
    for content in ("ctr", "gcm"):
        policy = cse.Policy().allow_unauthenticated_ranges()
        decryptor = cse.Decryptor([rsa], policy=policy)
        headers, body = cse.Encryptor(rsa, "cos-v2", content=content).encrypt(data(5000))

        def read(asked, given, piece, headers=headers, decryptor=decryptor):
            more = {"Content-Range": given, "Content-Length": str(len(piece))}
            return open_answer(Answer(206, {**headers, **more}, [piece], asked), decryptor).read()

        total = len(body)
        assert read("bytes=10-19", f"bytes 10-19/{total}", body[10:20]) == data(5000)[10:20]
        assert read("bytes=10-", f"bytes 10-{total - 1}/{total}", body[10:]) == data(5000)[10:]
        suffix = f"bytes {total - 20}-{total - 1}/{total}"
        assert read("bytes=-20", suffix, body[-20:]) == data(5000)[total - 20 :]
        # The end of the object is before the end of the range.
        assert read("bytes=4990-9999", f"bytes 4990-{total - 1}/{total}", body[4990:])
        for asked, given, piece in (
            (None, f"bytes 0-{total - 1}/{total}", body),
            ("bytes=10-19", f"bytes 0-9/{total}", body[:10]),
            ("bytes=10-19", f"bytes 10-20/{total}", body[10:21]),
            ("bytes=10-19", f"bytes 10-19/{total}", body[10:19]),
            ("bytes=10-19", f"bytes 10-19/{19}", body[10:20]),
            ("bytes=-20", f"bytes 0-19/{total}", body[:20]),
            ("bytes=-20", "bytes 0-19/*", body[:20]),
            ("bytes=0-1,5-6", f"bytes 0-1/{total}", body[:2]),
            ("bytes=10-19", None, body[10:20]),
            ("bytes=10-19", "bytes 19-10/5000", b""),
            ("bytes=-", f"bytes 0-{total - 1}/{total}", body),
        ):
            with pytest.raises(cse.EnvelopeError):
                read(asked, given, piece)
    with pytest.raises(cse.EnvelopeError, match="tag"):
        read("bytes=10-19", "bytes 10-19/*", body[10:20])


@pytest.mark.parametrize("dialect, content", [("oss-v2", "ctr"), ("cos-v2", "gcm")])
def test_a_range_that_is_the_whole_object_is_checked(rsa, dialect, content):
    headers, body = cse.Encryptor(rsa, dialect, content=content).encrypt(data(1000))
    total = len(body)
    altered = body[:500] + bytes([body[500] ^ 1]) + body[501:]
    # It is not what a policy means by a range.
    decryptor = cse.Decryptor([rsa], policy=cse.Policy().require_seal().authenticated_only())

    def read(asked, piece, crc=None):
        more = {"Content-Range": f"bytes 0-{total - 1}/{total}", "Content-Length": str(total)}
        if crc is not None:
            more["x-oss-hash-crc64ecma"] = str(crc)
        answer = Answer(206, {**headers, **more}, [piece], asked)
        return open_answer(answer, decryptor)

    for asked in (f"bytes=0-{total - 1}", "bytes=0-", f"bytes=-{total}", "bytes=0-9999"):
        assert read(asked, body).len == 1000
        assert read(asked, body).read() == data(1000)
        with pytest.raises(cse.IntegrityError):
            read(asked, altered).read()
    with pytest.raises(cse.EnvelopeError, match="checksum"):
        read("bytes=0-", body, 1).read()
    with pytest.raises(cse.PolicyError):
        more = {"Content-Range": f"bytes 0-9/{total}"}
        open_answer(Answer(206, {**headers, **more}, [body[:10]], "bytes=0-9"), decryptor)


def test_what_is_no_data_is_refused(rsa):
    for source in (Pieces(iter([b"a", None])), Pieces(iter([b"a", 7])), NotReady()):
        with pytest.raises((cse.EncryptError, TypeError)):
            encrypted_body(source, keystream(rsa), None).read()


class NotReady:
    def read(self, size):
        return None


def test_a_stream_is_sent_once(rsa):
    for length in (None, 6):
        body = encrypted_body(Pieces(iter([b"stream"])), keystream(rsa), length)
        assert len(b"".join(body)) == 6
        with pytest.raises(cse.EncryptError, match="second time"):
            b"".join(body)


def test_two_threads_that_send_one_part_send_the_same(rsa):
    upload = Upload(keystream(rsa).apply, 1000)
    outcomes = []

    def send(plain):
        try:
            outcomes.append(upload.encrypt(1, plain))
        except cse.EncryptError:
            outcomes.append(None)

    threads = [threading.Thread(target=send, args=(bytes([n]) * 1000,)) for n in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len([outcome for outcome in outcomes if outcome is not None]) == 1


def test_no_two_parts_overlap(rsa):
    upload = Upload(keystream(rsa).apply, 16, last_part=3)
    upload.encrypt(3, bytes(40))
    for number in (4, 5):
        with pytest.raises(cse.EncryptError, match="after the last"):
            upload.encrypt(number, b"others")
    with pytest.raises(cse.EncryptError, match="longer"):
        upload.encrypt(2, bytes(17))
    upload.encrypt(2, bytes(16))


def test_a_whole_object_is_no_range(rsa):
    headers, body = cse.Encryptor(rsa, "oss-v2").encrypt(b"a text")
    found = {**headers, "content-length": str(len(body))}
    for asked in ("bytes=2-3", "bytes=1-", "bytes=0-4", "bytes=-5", "bytes=6-9"):
        with pytest.raises(cse.EnvelopeError, match="range"):
            open_answer(Answer(200, found, [body], asked), cse.Decryptor([rsa]))
    # OSS answers so to a range that ends behind the object.
    for asked in ("bytes=0-5", "bytes=0-4095", "bytes=0-", "bytes=-6", "bytes=-9", "bytes=-", None):
        answer = Answer(200, found, [body], asked)
        assert open_answer(answer, cse.Decryptor([rsa])).read() == b"a text"


@pytest.mark.parametrize("name", ["\u6240\u6709\u8005", "\u00e9", "owner"])
def test_a_description_is_read_as_it_was_sent(name):
    key = cse.AesKey(base64.b64decode(AES), description={name: "\u6240"})
    headers, body = cse.Encryptor(key, "cos-v2").encrypt(b"a text")
    # Python's HTTP client decodes the bytes of headers like this.
    decoded = {each: value.encode().decode("latin-1") for each, value in headers.items()}
    # What another client has decoded right is left alone.
    for found in (decoded, headers):
        answer = Answer(200, found, [body])
        assert open_answer(answer, cse.Decryptor([key])).read() == b"a text"


def test_headers_of_an_envelope_are_those_of_every_dialect():
    from envelope_cse._stand_in import is_of_envelope

    for name in ("unencrypted-content-length", "oss-cek-alg", "Client-Side-Encryption-Key"):
        assert is_of_envelope(f"X-Oss-Meta-{name}"), name
    assert not is_of_envelope("x-oss-meta-owner")


def test_a_policy_that_was_given_is_not_loosened():
    strict = cse.Policy().require_seal().authenticated_only()
    from envelope_cse.qcloud_cos.crypto import AESProvider

    weak, _ = AESProvider(AES)._make()
    headers, body = weak.encrypt(b"a text")
    _, decryptor = AESProvider(AES, dialect="cos-v2", policy=strict)._make()
    with pytest.raises(cse.PolicyError):
        cse.decrypt(headers, body, decryptor)
    # Without one, what is there already is read.
    _, decryptor = AESProvider(AES, dialect="cos-v2")._make()
    assert cse.decrypt(headers, body, decryptor) == b"a text"


def test_a_forked_process_pads_as_its_parent():
    from Crypto.Cipher import PKCS1_v1_5
    from Crypto.PublicKey import RSA

    encryptor = cse.Encryptor(cse.RsaKey(PRIVATE, pkcs1_where_unstated=True), "cos-v1")

    def wrong():
        headers, _ = encryptor.encrypt(b"text")
        wrapped = base64.b64decode(headers["x-cos-meta-client-side-encryption-key"])
        return 0 if PKCS1_v1_5.new(RSA.import_key(PRIVATE)).decrypt(wrapped, b"") else 1

    assert wrong() == 0
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(wrong())
        except BaseException:
            os._exit(99)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
