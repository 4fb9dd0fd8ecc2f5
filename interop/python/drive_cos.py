"""cos-python-sdk-v5."""

import base64
import importlib.metadata
import os

from protocol import ID, SECRET, Unsupported, host, serve
from qcloud_cos import CosConfig
from qcloud_cos.cos_encryption_client import CosEncryptionClient
from qcloud_cos.crypto import AESCTRCipher, AESProvider, RSAProvider
from requests.structures import CaseInsensitiveDict


def provider(request):
    master = request["master"]
    if request.get("others"):
        raise Unsupported("the SDK knows one key only")
    if master.get("description"):
        raise Unsupported("the SDK has no descriptions")
    if master["wrap"] == "rsa":
        pair = RSAProvider.get_rsa_key_pair_path(master["public_key"], master["private_key"])
        return RSAProvider(pair, cipher=AESCTRCipher())
    if master["wrap"] == "aes":
        with open(master["key"], "rb") as file:
            key = base64.b64encode(file.read())
        return AESProvider(aes_key=key, cipher=AESCTRCipher())
    raise Unsupported("the SDK has no provider for %s keys" % master["wrap"])


def client(request):
    address, port = host(request["endpoint"]).split(":")
    config = CosConfig(
        Region="ap-guangzhou",
        SecretId=ID,
        SecretKey=SECRET,
        Scheme="http",
        IP=address,
        Port=int(port),
    )
    return CosEncryptionClient(config, provider(request))


class Stream:
    """A file object that cannot seek, such as a pipe."""

    def __init__(self, path):
        self.file = open(path, "rb")

    def read(self, length=-1):
        return self.file.read(length)


def write(request):
    if request["content"] != "ctr" or request["storage"] != "header":
        raise Unsupported("the SDK writes AES-CTR with the key in headers only")
    encrypted, place = client(request), {"Bucket": request["bucket"], "Key": request["key"]}
    path, how, part_size = request["file"], request["how"], request["part_size"]
    if how == "put":
        with open(path, "rb") as file:
            encrypted.put_object(Body=file, **place)
    elif how == "stream":
        encrypted.put_object(Body=Stream(path), **place)
    elif how == "multipart":
        upload = encrypted.create_multipart_upload(**place)["UploadId"]
        parts = []
        with open(path, "rb") as file:
            while piece := file.read(part_size):
                number = len(parts) + 1
                done = encrypted.upload_part(
                    Body=piece, PartNumber=number, UploadId=upload, **place
                )
                # The service spells this header as the SDK does, the loopback server does not.
                tag = CaseInsensitiveDict(done)["ETag"]
                parts.append({"PartNumber": number, "ETag": tag})
        encrypted.complete_multipart_upload(
            UploadId=upload, MultipartUpload={"Part": parts}, **place
        )
    else:
        encrypted.upload_file(LocalFilePath=path, PartSize=part_size >> 20, **place)


def read(request):
    more = {"Range": "bytes=" + request["range"]} if "range" in request else {}
    result = client(request).get_object(Bucket=request["bucket"], Key=request["key"], **more)
    result["Body"].get_stream_to_file(request["out"])


serve("cos-python-sdk-v5", importlib.metadata.version("cos-python-sdk-v5"), write, read)
