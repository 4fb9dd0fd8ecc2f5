"""Reads an object with Alibaba Cloud's own SDK, oss2, to see that it needs nothing of ours.

usage: read_with_oss2.py oss://BUCKET/KEY PRIVATE_KEY.pem OUTPUT

The access key and the region come from the variables that ossutil and `envelope` read, too.
"""

import os
import pathlib
import sys
from urllib.parse import urlsplit

import oss2
from oss2.crypto import RsaProvider

address, key, output = sys.argv[1:]
endpoint = os.environ.get("OSS_ENDPOINT") or f"https://oss-{os.environ['OSS_REGION']}.aliyuncs.com"
auth = oss2.Auth(os.environ["OSS_ACCESS_KEY_ID"], os.environ["OSS_ACCESS_KEY_SECRET"])
# oss2 wants both halves, but to read an object takes only the private one.
private = pathlib.Path(key).read_text()
public = pathlib.Path(key).with_name("public_key.pem").read_text()
provider = RsaProvider({"private_key": private, "public_key": public})

where = urlsplit(address)
bucket = oss2.CryptoBucket(auth, endpoint, where.netloc, crypto_provider=provider)
plain = bucket.get_object(where.path.removeprefix("/")).read()
pathlib.Path(output).write_bytes(plain)
print(f"oss2 {oss2.__version__} read {len(plain)} bytes")
