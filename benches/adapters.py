"""The adapters with which the Python SDKs encrypt an upload, over 64 MiB; GB/s, in processor time.

Prints a line for each: SDK, size of the reads, figure.
"""

import base64
import io
import os
import time

from oss2 import utils
from qcloud_cos import crypto

LEN = 64 << 20
PLAIN = os.urandom(1 << 20) * (LEN >> 20)


def oss2_adapter():
    cipher = utils.AESCTRCipher()
    cipher.initialize(cipher.get_key(), cipher.get_iv())
    return utils.make_cipher_adapter(io.BytesIO(PLAIN), cipher.encrypt)


def cos_adapter():
    provider = crypto.AESProvider(aes_key=base64.b64encode(bytes(32)).decode())
    provider.init_data_cipher()
    return crypto.DataEncryptAdapter(io.BytesIO(PLAIN), LEN, provider.data_cipher)


def measure(make, size):
    figures = []
    for _ in range(5):
        adapter = make()
        start = time.process_time()
        while adapter.read(size):
            pass
        figures.append(LEN / (time.process_time() - start) / 1e9)
    return sorted(figures)[2]


for name, size in [("8-KiB", 8 << 10), ("1-MiB", 1 << 20)]:
    print(f"oss2-{name}", measure(oss2_adapter, size))
    print(f"cos-{name}", measure(cos_adapter, size))
