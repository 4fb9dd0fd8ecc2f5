"""What the tests have in common."""

import os
import pathlib
import random
import subprocess

import pytest

import envelope_cse as cse

KEYS = pathlib.Path(__file__).resolve().parents[3] / "fixtures/keys"
PRIVATE, PUBLIC = (KEYS / "private_key.pem").read_text(), (KEYS / "public_key.pem").read_text()
AES = (KEYS / "aes-256.key").read_text().strip()
ID, SECRET = "LTAIloop", "SKloop"


def data(size):
    return random.Random(size).randbytes(size)


@pytest.fixture(scope="session")
def rsa():
    return cse.RsaKey.generate(2048)


@pytest.fixture(scope="session")
def aes():
    return cse.AesKey(bytes(range(32)))


@pytest.fixture(scope="session")
def loopback():
    """The URL of the loopback OSS and COS. The end of its standard input ends it."""
    with subprocess.Popen(
        [os.environ["LOOPBACK_BUCKET"]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process.stdout.readline().strip()
