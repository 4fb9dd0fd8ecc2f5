"""The modules that stand in for an SDK: what they promise beyond what the SDK does.

That the examples of the documentation run with them, and that the SDKs read what they write, is
tested by `fixtures/make/stand_ins.py`.
"""

import io
import os
import stat
import threading
import warnings

import oss2 as oss2_sdk
import pytest
import qcloud_cos as cos_sdk

import envelope_cse as cse
from conftest import AES, ID, PRIVATE, PUBLIC, SECRET, data
from envelope_cse._bodies import Pieces, PlainBody, encrypted_body
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

    def with_names_as_cos_writes_them(self, *args, **kwargs):
        answer = send(self, *args, **kwargs)
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


def test_user_metadata_stays(cos):
    client = aes_client(cos)
    client.put_object(Bucket=BUCKET, Key="m", Body=b"text", Metadata={"x-cos-meta-owner": "me"})
    assert client.head_object(Bucket=BUCKET, Key="m")["x-cos-meta-owner"] == "me"
    forged = {"x-cos-meta-client-side-encryption-key": "AAAA"}
    with pytest.raises(cos_sdk.CosClientError, match="by hand"):
        client.put_object(Bucket=BUCKET, Key="m", Body=b"text", Metadata=forged)


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
    for stated in (699_999, 700_001, 262_144):
        body = encrypted_body(io.BytesIO(data(700_000)), keystream(rsa), stated)
        with pytest.raises(cse.EncryptError, match="as it said"):
            body.read()
    unsized = encrypted_body(Pieces(iter([b"ab", "c", b"", b"d"])), keystream(rsa), None)
    assert not hasattr(unsized, "len") and not hasattr(unsized, "seek")
    assert len(unsized.read()) == 4


def test_a_body_that_failed_stays_failed(rsa):
    headers, body = cse.Encryptor(rsa, "cos-v2", content="gcm").encrypt(data(1000))
    cipher = cse.Decryptor([rsa]).open(cse.inspect(headers))
    reader = PlainBody(io.BytesIO(body[:-1]), cipher)
    for _ in range(2):
        with pytest.raises(cse.IntegrityError):
            reader.read()


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
