"""Stands in for `oss2`, the SDK of Aliyun OSS: only the import changes.

    import envelope_cse.oss2 as oss2
    from envelope_cse.oss2.crypto import RsaProvider

Everything is that of `oss2`, which has to be installed, except for `CryptoBucket`, its providers,
and `resumable_upload`. They write what `oss2` reads, and differ in this:

- Objects of every SDK are read, with all master keys that the provider has.
- An object without encryption metadata is refused, unless the provider was given
  `policy=envelope_cse.Policy().allow_plaintext()`: whoever can write to the bucket could have put
  it there. `oss2` returns it as it is.
- A part is never encrypted with the same keystream as other bytes, whatever happens to the file.
- `update_object_meta`, and `copy_object` with `REPLACE`, keep the metadata of the encryption, where
  OSS does not refuse them. With `oss2`, the wrapped key is lost, and the object with it.
- `get_object_to_file` leaves a file as it is until all of the object was checked, and only then
  replaces it. `oss2` empties it first, and leaves in it what it could not verify.
- A key file that exists is never overwritten.
- Wrong and damaged metadata gives a `ClientError`.

Tested with oss2 2.19.1.
"""

from __future__ import annotations

from oss2 import *  # noqa: F403
from oss2 import EncryptionMaterials as EncryptionMaterials, __version__ as __version__

from .._stand_in import stand_in as _stand_in

__getattr__ = _stand_in(__name__, "oss2", "crypto", "crypto_bucket", "resumable")

from .crypto import (  # noqa: E402
    AliKMSProvider as AliKMSProvider,
    LocalRsaProvider as LocalRsaProvider,
    RsaProvider as RsaProvider,
)
from .crypto_bucket import CryptoBucket as CryptoBucket  # noqa: E402
from .resumable import resumable_upload as resumable_upload  # noqa: E402
