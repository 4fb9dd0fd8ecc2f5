"""Stands in for `qcloud_cos`, the SDK of Tencent COS: only the import changes.

    from envelope_cse.qcloud_cos import CosConfig
    from envelope_cse.qcloud_cos.cos_encryption_client import CosEncryptionClient
    from envelope_cse.qcloud_cos.crypto import AESProvider, RSAProvider

Everything is that of `qcloud_cos` (cos-python-sdk-v5), which has to be installed, except for
`CosEncryptionClient` and its providers. They write what `qcloud_cos` reads, and differ in this:

- `upload_file` and threads do not corrupt. Those of the SDK share one cipher, so that parts which
  are uploaded at the same time are encrypted wrongly.
- Objects of every SDK are read, in whole and, where they are AES-CTR, in ranges.
- User metadata stays: the SDK replaces it by its own.
- An object without encryption metadata is refused, unless the provider was given
  `policy=envelope_cse.Policy().allow_plaintext()`.
- What would lose the metadata, or send plaintext, is refused or mended: `append_object`,
  `ci_put_object`, `copy` in parts; `update_object_meta` and `change_object_storage_class` keep it.
- `download_file` is one object, or an error: the SDK puts parts of an older and of a newer one
  together.
- A body that is saved in a file, as `download_file` does, replaces the file when all of it was
  checked. What the SDK could not verify, it leaves in a file beside it.
- A key path that names no file is an error. The SDK makes another key and goes on with that.
- `AESProvider` warns (`WeakWrapWarning`): the AES wrap of the SDK uses one keystream for all
  objects, so that whoever learns one content key can compute all others.
  `AESProvider(..., dialect="cos-v2")` wraps with RFC 3394, which COS Java and `envelope` read, but
  the SDK does not.

Tested with cos-python-sdk-v5 1.9.44.
"""

from __future__ import annotations

from qcloud_cos import *  # noqa: F403

from .._stand_in import stand_in as _stand_in

__getattr__ = _stand_in(__name__, "qcloud_cos", "cos_encryption_client", "crypto")
