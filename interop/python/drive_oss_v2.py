"""alibabacloud-oss-v2."""

import base64
import json
import os

import alibabacloud_oss_v2 as oss
from alibabacloud_kms20160120 import models as kms_models
from alibabacloud_kms20160120.client import Client as KmsClient
from alibabacloud_oss_v2.crypto import MasterCipher, MasterRsaCipher
from alibabacloud_tea_openapi.models import Config as KmsConfig
from protocol import ID, SECRET, Unsupported, host, save, serve, stream, text

REGION = "cn-hangzhou"


class MasterKmsCipher(MasterCipher):
    """A key in the KMS. The SDK leaves it to its users, and its sister for Go has a sample."""

    def __init__(self, client, key_id, description):
        self.client, self.key_id = client, key_id
        self.description = json.dumps(description) if description else ""

    def get_wrap_algorithm(self):
        return "KMS/ALICLOUD"

    def get_mat_desc(self):
        return self.description

    def encrypt(self, data):
        request = kms_models.EncryptRequest(
            key_id=self.key_id, plaintext=base64.b64encode(data).decode()
        )
        return base64.b64decode(self.client.encrypt(request).body.ciphertext_blob)

    def decrypt(self, data):
        request = kms_models.DecryptRequest(ciphertext_blob=base64.b64encode(data).decode())
        return base64.b64decode(self.client.decrypt(request).body.plaintext)


def cipher(master, url):
    if master["wrap"] == "rsa":
        return MasterRsaCipher(
            master.get("description"), text(master["public_key"]), text(master["private_key"])
        )
    if master["wrap"] == "kms":
        config = KmsConfig(
            access_key_id=ID,
            access_key_secret=SECRET,
            endpoint=host(url),
            protocol="http",
            region_id=REGION,
        )
        return MasterKmsCipher(KmsClient(config), master["key_id"], master.get("description"))
    raise Unsupported("the SDK has no cipher for %s keys" % master["wrap"])


def client(request):
    config = oss.config.load_default()
    config.credentials_provider = oss.credentials.StaticCredentialsProvider(ID, SECRET)
    config.region, config.endpoint, config.use_path_style = REGION, request["endpoint"], True
    config.retry_max_attempts = 1
    url = request["kms"]
    return oss.EncryptionClient(
        oss.Client(config),
        cipher(request["master"], url),
        [cipher(other, url) for other in request.get("others", [])],
    )


def write(request):
    if request["content"] != "ctr":
        raise Unsupported("the SDK encrypts with AES-CTR only")
    encrypted, bucket, key = client(request), request["bucket"], request["key"]
    path, how, part_size = request["file"], request["how"], request["part_size"]
    if how == "put":
        with open(path, "rb") as file:
            encrypted.put_object(oss.PutObjectRequest(bucket, key, body=file))
    elif how == "stream":
        encrypted.put_object(oss.PutObjectRequest(bucket, key, body=stream(path)))
    elif how == "multipart":
        started = encrypted.initiate_multipart_upload(
            oss.InitiateMultipartUploadRequest(
                bucket, key, cse_part_size=part_size, cse_data_size=os.path.getsize(path)
            )
        )
        parts = []
        with open(path, "rb") as file:
            while piece := file.read(part_size):
                done = encrypted.upload_part(
                    oss.UploadPartRequest(
                        bucket=bucket,
                        key=key,
                        upload_id=started.upload_id,
                        part_number=len(parts) + 1,
                        cse_multipart_context=started.cse_multipart_context,
                        body=piece,
                    )
                )
                parts.append(oss.UploadPart(part_number=len(parts) + 1, etag=done.etag))
        encrypted.complete_multipart_upload(
            oss.CompleteMultipartUploadRequest(
                bucket=bucket,
                key=key,
                upload_id=started.upload_id,
                complete_multipart_upload=oss.CompleteMultipartUpload(parts=parts),
            )
        )
    else:
        raise Unsupported("the SDK's Uploader takes plain clients only")


def read(request):
    more = {"range_header": "bytes=" + request["range"]} if "range" in request else {}
    result = client(request).get_object(
        oss.GetObjectRequest(request["bucket"], request["key"], **more)
    )
    save(request["out"], result.body.iter_bytes())


serve("alibabacloud-oss-v2", oss.__version__, write, read)
