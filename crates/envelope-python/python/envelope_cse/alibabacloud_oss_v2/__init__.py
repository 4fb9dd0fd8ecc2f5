"""Stands in for `alibabacloud_oss_v2`, the newer SDK of Aliyun OSS: only the import changes.

    import envelope_cse.alibabacloud_oss_v2 as oss

Everything is that of `alibabacloud_oss_v2`, which has to be installed, except for
`EncryptionClient`, `crypto.MasterRsaCipher`, `Uploader` and `Downloader`. They write what the SDK
reads, and differ in this:

- `Uploader` uploads large files encrypted. That of the SDK cannot: it does not know of encryption.
  A checkpoint is not continued, but begun again, because it has no key.
- `Downloader` checks the checksum of what is stored. That of the SDK compares the checksum of the
  plaintext with it, and fails.
- Objects of every SDK are read, with all master keys that the client has.
- An object without encryption metadata is refused, unless the client was given
  `policy=envelope_cse.Policy().allow_plaintext()`.
- A part is never encrypted with the same keystream as other bytes.

Tested with alibabacloud-oss-v2 1.4.1.
"""

from __future__ import annotations

from alibabacloud_oss_v2 import *  # noqa: F403

from .._stand_in import stand_in as _stand_in

__getattr__ = _stand_in(
    __name__, "alibabacloud_oss_v2", "crypto", "downloader", "encryption_client", "uploader"
)

from .downloader import Downloader as Downloader  # noqa: E402
from .encryption_client import (  # noqa: E402
    EncryptionClient as EncryptionClient,
    EncryptionMultiPartContext as EncryptionMultiPartContext,
)
from .uploader import Uploader as Uploader  # noqa: E402
