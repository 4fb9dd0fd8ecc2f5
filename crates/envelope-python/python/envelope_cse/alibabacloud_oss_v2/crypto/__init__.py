"""The master keys of `alibabacloud_oss_v2.crypto`."""

from __future__ import annotations

from alibabacloud_oss_v2.crypto import *  # noqa: F403

from .master_rsa_cipher import MasterRsaCipher as MasterRsaCipher
