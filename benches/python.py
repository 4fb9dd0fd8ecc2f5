"""How fast the Python package is, beside the SDKs that its modules stand in for.

usage: python.py ENVELOPE LOOPBACK_BUCKET OUTPUT.md

Run it with a Python that has the SDKs and the package. Contenders take turns, and a figure is the
median of the rounds.
"""

import concurrent.futures
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys
import time
import warnings

import oss2
import qcloud_cos
from oss2 import utils as oss2_utils
from qcloud_cos import cos_encryption_client as cos_sdk, crypto as cos_crypto
from qcloud_cos.version import __version__ as cos_version

import envelope_cse as cse
import envelope_cse.oss2 as our_oss2
from envelope_cse.qcloud_cos import cos_encryption_client as our_cos, crypto as our_crypto

ROUNDS = int(os.environ.get("ROUNDS", 5))
MIB = 1 << 20
SIZE = 64 * MIB
KEYS = pathlib.Path(__file__).resolve().parents[1] / "fixtures/keys"
PRIVATE, PUBLIC = (KEYS / "private_key.pem").read_text(), (KEYS / "public_key.pem").read_text()
BUCKET = "bench-1250000000"

rows = []


def timed(work):
    """Returns seconds, and seconds of this process's processor time."""
    began, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - began, time.process_time() - cpu


def compare(what, ours, theirs, sdk, goal=None, unit="s"):
    """Runs both in turn, and keeps by how much ours is faster."""
    ours(), theirs()
    of_ours, of_theirs = [], []
    for _ in range(ROUNDS):
        of_ours.append(timed(ours))
        of_theirs.append(timed(theirs))
    row = [what, sdk]
    for which in (0, 1):
        pairs = [(o[which], t[which]) for o, t in zip(of_ours, of_theirs)]
        row += [statistics.median(t / max(o, 1e-9) for o, t in pairs)]
    row += [statistics.median(o[0] for o in of_ours), statistics.median(t[0] for t in of_theirs)]
    rows.append((*row, goal))
    print("%-40s %-10s %.2f x   %.1f and %.1f ms" % (what, sdk, row[2], row[4] * 1e3, row[5] * 1e3))


def in_memory():
    keystream = cse.Encryptor(cse.RsaKey(PUBLIC), "oss-v2").start().keystream()
    body = bytearray(os.urandom(SIZE))
    whole = bytes(body)

    def sdk_cipher():
        cipher = oss2_utils.AESCTRCipher()
        cipher.initialize(cipher.get_key(), cipher.get_iv())
        return cipher

    def cos_cipher():
        cipher = cos_crypto.AESCTRCipher()
        cipher.new_cipher(cipher.get_key(), 1)
        return cipher

    ours = lambda: keystream.apply_in_place(body)
    compare("decrypt 64 MiB in place", ours, lambda: sdk_cipher().decrypt(whole), "oss2")
    compare("decrypt 64 MiB in place", ours, lambda: cos_cipher().decrypt(whole), "qcloud_cos")

    def ours_with_crc():
        crc = cse.Crc64()
        crc.update(body)
        keystream.apply_in_place(body)

    def theirs_with_crc():
        crc = oss2_utils.Crc64()
        crc(whole)
        sdk_cipher().decrypt(whole)

    compare("the same, with the CRC-64 of the body", ours_with_crc, theirs_with_crc, "oss2")
    for size, name in ((8 << 10, "8 KiB"), (MIB, "1 MiB")):
        pieces = [whole[at : at + size] for at in range(0, SIZE, size)]

        def ours_in_chunks():
            at = 0
            for piece in pieces:
                keystream.apply(piece, at)
                at += len(piece)

        def theirs_in_chunks():
            cipher = sdk_cipher()
            for piece in pieces:
                cipher.decrypt(piece)

        compare(f"decrypt 64 MiB in chunks of {name}", ours_in_chunks, theirs_in_chunks, "oss2")


def threads():
    """How much faster 16 threads are than one, with the same work: objects that are verified."""
    key = cse.RsaKey(PRIVATE)
    headers, body = cse.Encryptor(key, "oss-v2").encrypt(os.urandom(MIB))
    cipher = cse.Decryptor([key]).open(cse.inspect(headers))

    def work(_):
        for _ in range(16):
            cipher.decrypt(body)

    # One thread is one of a pool, too: the memory of the main thread is managed in another way.
    with (
        concurrent.futures.ThreadPoolExecutor(16) as pool,
        concurrent.futures.ThreadPoolExecutor(1) as one,
    ):
        compare(
            "decrypt and verify 256 MiB in 16 threads",
            lambda: list(pool.map(work, range(16))),
            lambda: list(one.map(work, range(16))),
            "one thread",
            goal=1.8,
        )


def over_http(url):
    auth = oss2.Auth("LTAIloop", "SKloop")
    pair = {"private_key": PRIVATE, "public_key": PUBLIC}
    provider = our_oss2.crypto.RsaProvider(pair)
    mine = our_oss2.CryptoBucket(auth, url, "bench", provider)
    theirs = oss2.CryptoBucket(auth, url, "bench", oss2.RsaProvider(pair))
    body = os.urandom(SIZE)
    compare(
        "put 64 MiB",
        lambda: mine.put_object("o", body),
        lambda: theirs.put_object("t", body),
        "oss2",
    )
    compare(
        "get 64 MiB",
        lambda: mine.get_object("o").read(),
        lambda: theirs.get_object("o").read(),
        "oss2",
    )
    small = os.urandom(4096)

    def many(bucket):
        for _ in range(100):
            bucket.put_object("small", small)
            bucket.get_object("small").read()

    compare("put and get 4 KiB, 100 times", lambda: many(mine), lambda: many(theirs), "oss2")

    host, port = url.removeprefix("http://").split(":")
    conf = qcloud_cos.CosConfig(
        Region="ap-beijing", SecretId="LTAIloop", SecretKey="SKloop", Scheme="http", IP=host,
        Port=int(port),
    )  # fmt: skip
    text = cos_crypto.RSAProvider.get_rsa_key_pair(PUBLIC, PRIVATE)
    ours = our_cos.CosEncryptionClient(conf, our_crypto.RSAProvider(text))
    sdk = cos_sdk.CosEncryptionClient(conf, cos_crypto.RSAProvider(text))

    def read(client):
        stream = client.get_object(Bucket=BUCKET, Key="o")["Body"]
        while stream.read(MIB):
            pass

    compare(
        "put 64 MiB",
        lambda: ours.put_object(Bucket=BUCKET, Key="o", Body=body),
        lambda: sdk.put_object(Bucket=BUCKET, Key="t", Body=body),
        "qcloud_cos",
    )
    sdk.put_object(Bucket=BUCKET, Key="o", Body=body)
    compare("get 64 MiB", lambda: read(ours), lambda: read(sdk), "qcloud_cos")


def with_names_as_cos_writes_them():
    """`qcloud_cos` looks for names in the case in which COS writes them."""
    send = qcloud_cos.CosS3Client.send_request

    def send_request(self, *args, **kwargs):
        answer = send(self, *args, **kwargs)
        for name in list(answer.headers):
            if not name.startswith("x-"):
                shown = "ETag" if name == "etag" else name.title()
                answer.headers[shown] = answer.headers.pop(name)
        return answer

    qcloud_cos.CosS3Client.send_request = send_request


def native_scaling(envelope):
    """By how much the command's cipher is faster on all cores than on one, in memory."""
    lines = subprocess.run([envelope, "bench"], capture_output=True, text=True).stdout.splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith("encrypt, 64 MiB"))
    figure = lambda line: float(re.search(r"(\d+\.\d)(?!.*\d\.\d)", line)[1])
    return figure(lines[at + 1]) / figure(lines[at])


def write(path, native):
    lines = [
        "# Python",
        "",
        "Generated by `cargo xtask bench python`. Client and server share two cores of one machine;",
        f"contenders take turns, and a figure is the median of {ROUNDS} rounds. More than 1 is",
        "better than the other one, in time and in processor time of the client. A native program",
        f"scales by {native:.2f} from one thread to two here (`envelope bench`, 64 MiB).",
        "",
        f"Python {platform.python_version()}, oss2 {oss2.__version__}, "
        f"cos-python-sdk-v5 {cos_version}.",
        "",
        "| work | beside | faster | less processor time | ms | ms of the other | goal |",
        "|---|---|---|---|---|---|---|",
    ]
    for what, sdk, faster, cpu, ours, theirs, goal in rows:
        told = "" if goal is None else f">= {goal}" + ("" if faster >= goal else ", missed")
        figures = f"{faster:.2f} x | {cpu:.2f} x | {ours * 1e3:.1f} | {theirs * 1e3:.1f}"
        lines.append(f"| {what} | {sdk} | {figures} | {told} |")
    pathlib.Path(path).write_text("\n".join(lines) + "\n")


def main(envelope, loopback, output):
    warnings.simplefilter("ignore")
    with_names_as_cos_writes_them()
    in_memory()
    threads()
    with subprocess.Popen(
        [loopback], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        over_http(server.stdout.readline().strip())
    write(output, native_scaling(envelope))


if __name__ == "__main__":
    main(*sys.argv[1:4])
