"""oss2 2.9.1, which writes oss-v1, and later versions, which write oss-v2."""

import itertools
import os
import tempfile

import oss2
from aliyunsdkcore.profile import region_provider
from oss2 import crypto
from protocol import ID, SECRET, Unsupported, host, serve, span, stream, text

REGION = "cn-hangzhou"
IS_OLD = oss2.__version__.startswith("2.9")


def rsa(master, **more):
    pair = {name: text(master[name]) for name in ("public_key", "private_key")}
    return crypto.RsaProvider(pair, mat_desc=master.get("description"), **more)


def local_rsa(master):
    """The provider that keeps its key pair in a folder, and wraps with OAEP."""
    if master.get("description"):
        raise Unsupported("LocalRsaProvider has no descriptions")
    folder = tempfile.mkdtemp()
    for name in ("public_key", "private_key"):
        with open(os.path.join(folder, "k.%s.pem" % name), "w") as file:
            file.write(text(master[name]))
    return crypto.LocalRsaProvider(dir=folder, key="k")


def kms(master, url):
    if master.get("description") and IS_OLD:
        raise Unsupported("this version has no descriptions")
    region_provider.add_endpoint("Kms", REGION, host(url))
    more = {} if IS_OLD else {"mat_desc": master.get("description")}
    return crypto.AliKMSProvider(ID, SECRET, REGION, master["key_id"], **more)


# The provider speaks https only; the loopback server does not.
_send = crypto.AliKMSProvider._AliKMSProvider__do


def _send_in_clear(self, request):
    request.set_protocol_type("http")
    return _send(self, request)


crypto.AliKMSProvider._AliKMSProvider__do = _send_in_clear


def provider(request):
    master, url = request["master"], request["kms"]
    if master["wrap"] == "kms":
        made = kms(master, url)
    elif master["wrap"] == "rsa-oaep" or (master["wrap"] == "rsa" and IS_OLD):
        made = local_rsa(master)
    elif master["wrap"] == "rsa":
        made = rsa(master)
    else:
        raise Unsupported("oss2 has no provider for %s keys" % master["wrap"])
    for other in request.get("others", []):
        if IS_OLD:
            raise Unsupported("this version knows one key only")
        if other["wrap"] != "rsa":
            raise Unsupported("other keys must be of the same kind")
        pair = {name: text(other[name]) for name in ("public_key", "private_key")}
        made.add_encryption_materials(crypto.EncryptionMaterials(other["description"], pair))
    return made


def bucket(request):
    auth = oss2.Auth(ID, SECRET)
    return oss2.CryptoBucket(
        auth, request["endpoint"], request["bucket"], crypto_provider=provider(request)
    )


def write(request):
    if request["content"] != "ctr":
        raise Unsupported("oss2 encrypts with AES-CTR only")
    client, key, path, how = (
        bucket(request),
        request["key"],
        request["file"],
        request["how"],
    )
    if how == "put":
        client.put_object_from_file(key, path)
    elif how == "stream":
        client.put_object(key, stream(path))
    elif IS_OLD:
        raise Unsupported("CryptoBucket has no multipart uploads in this version")
    elif how == "multipart":
        size, part_size = os.path.getsize(path), request["part_size"]
        context = oss2.models.MultipartUploadCryptoContext(size, part_size)
        upload = client.init_multipart_upload(key, upload_context=context).upload_id
        parts = []
        with open(path, "rb") as file:
            for number in itertools.count(1):
                piece = file.read(part_size)
                if not piece:
                    break
                done = client.upload_part(key, upload, number, piece, upload_context=context)
                parts.append(
                    oss2.models.PartInfo(number, done.etag, size=len(piece), part_crc=done.crc)
                )
        client.complete_multipart_upload(key, upload, parts)
    else:
        with tempfile.TemporaryDirectory() as folder:
            oss2.resumable_upload(
                client,
                key,
                path,
                store=oss2.ResumableStore(root=folder),
                multipart_threshold=request["part_size"],
                part_size=request["part_size"],
            )


def read(request):
    wanted = span(request)
    if wanted and IS_OLD:
        raise Unsupported("CryptoBucket has no ranges in this version")
    more = {"byte_range": wanted} if wanted else {}
    result = bucket(request).get_object(request["key"], **more)
    with open(request["out"], "wb") as file:
        for piece in result:
            file.write(piece)


serve("oss2", oss2.__version__, write, read)
