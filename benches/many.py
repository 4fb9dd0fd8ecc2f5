"""Measures the commands for many objects beside oss2, and writes TRANSFERS.md.

usage: many.py ENVELOPE LOOPBACK_BUCKET RESULT.md

Client and server share this machine. Contenders take turns; a figure is the median of the rounds.
"""

import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

ENVELOPE, SERVER, RESULT = sys.argv[1:4]
ROUNDS = int(os.environ.get("ROUNDS", "5"))
FILES, PEER_FILES, SIZE = 10_000, 1_000, 4096
LATENCY, PARALLEL = 0.030, 64
os.environ.update(
    OSS_ACCESS_KEY_ID="LTAIloop",
    OSS_ACCESS_KEY_SECRET="SKloop",
    TENCENTCLOUD_SECRET_ID="LTAIloop",
    TENCENTCLOUD_SECRET_KEY="SKloop",
)
folder = tempfile.TemporaryDirectory()
root = pathlib.Path(folder.name)
os.environ.update(XDG_STATE_HOME=str(root / "state"), XDG_CONFIG_HOME=str(root / "config"))


class Server:
    def __init__(self, *options):
        self.process = subprocess.Popen(
            [SERVER, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.url = self.process.stdout.readline().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def run(server, *arguments, ok=(0,)):
    """Runs the command. Returns its seconds and its resident set in MiB."""
    command = [ENVELOPE, *map(str, arguments), "--endpoint", server.url, "--region", "cn-x"]
    begun = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said = []
    reader = threading.Thread(target=lambda: said.append(process.stderr.read()))
    reader.start()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - begun
    reader.join()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in ok:
        sys.exit("%s: %s" % (" ".join(command), said[0].decode()[-2000:]))
    return seconds, usage.ru_maxrss / 1024


def tree(name, count, size=SIZE):
    top = root / name
    for n in range(count):
        path = top / str(n % 100) / ("%06d" % n)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(size))
    return top


class Oss2:
    """`oss2.CryptoBucket` in eight threads, with the same RSA key."""

    def __init__(self, server):
        import oss2
        from oss2.crypto import RsaProvider

        pair = {
            "private_key": (root / "keys/private_key.pem").read_text(),
            "public_key": (root / "keys/public_key.pem").read_text(),
        }
        local = threading.local()

        def bucket():
            if not hasattr(local, "bucket"):
                auth = oss2.Auth("LTAIloop", "SKloop")
                local.bucket = oss2.CryptoBucket(
                    auth, server.url, "b-1", crypto_provider=RsaProvider(pair)
                )
            return local.bucket

        self.bucket = bucket

    def all(self, work, items):
        begun = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, items))
        return time.monotonic() - begun

    def put(self, paths):
        def one(path):
            self.bucket().put_object("oss2/" + path.name, path.read_bytes())

        return self.all(one, paths)

    def get(self, paths):
        target = root / "oss2-back"
        target.mkdir(exist_ok=True)

        def one(path):
            self.bucket().get_object_to_file("oss2/" + path.name, str(target / path.name))

        return self.all(one, paths)


rows, memory = [], []


def row(work, figure, goal, values, good=None):
    values = sorted(values)
    median = statistics.median(values)
    verdict = "" if good is None else ("" if good(median) else "missed")
    rows.append((work, figure, goal, values[0], median, values[-1], verdict))
    print("%s | %s | %s | %.2f | %s" % (work, figure, goal, median, verdict), flush=True)


def remember(work, parallel, mib, part=8):
    memory.append((work, parallel, mib, parallel * part + 128))


def medians(work):
    return [work() for _ in range(ROUNDS)]


def fresh(path):
    subprocess.run(["rm", "-rf", str(path)], check=True)
    return path


keys = root / "keys"
subprocess.run([ENVELOPE, "keygen", "rsa", "--bits", "2048", "--out", keys], check=True)
subprocess.run([ENVELOPE, "keygen", "rsa", "--bits", "2048", "--out", root / "new"], check=True)
private, public = keys / "private_key.pem", keys / "public_key.pem"
new = root / "new/private_key.pem"
aes, new_aes = keys / "master.key", root / "new/master.key"
for path in (keys, root / "new"):
    subprocess.run([ENVELOPE, "keygen", "aes", "--out", path], check=True)
files, few = tree("files", FILES), tree("few", PEER_FILES)
paths = [path for path in few.rglob("*") if path.is_file()]

# Small objects, without latency, beside oss2.
with Server() as server:
    peer, put, get, plain = Oss2(server), [], [], []
    for n in range(ROUNDS):
        # Each round has a folder of its own: what is there already is not uploaded again.
        to = [f"oss://b-1/{name}{n}/" for name in "abc"]
        ours, mib = run(server, "put", "-r", files, to[0], "--key", private, "--parallel", 16)
        remember("put -r", 16, mib)
        put.append((FILES / ours) / (PEER_FILES / peer.put(paths)))
        # A public key is enough to upload. With the private one, each wrap is proven, which takes
        # an RSA operation of a millisecond.
        ours, _ = run(server, "put", "-r", files, to[1], "--key", public, "--parallel", 16)
        bare, _ = run(server, "put", "-r", files, to[2], "--plain", "--parallel", 16)
        plain.append(bare / ours)
        ours, mib = run(server, "get", "-r", to[0], fresh(root / "back"), "--key", private)
        remember("get -r", 16, mib)
        get.append((FILES / ours) / (PEER_FILES / peer.get(paths)))
    same = subprocess.run(["diff", "-r", str(files), str(root / "back")])
    assert same.returncode == 0
    row("put -r, 10 000 files of 4 KiB, RSA-2048", "x objects/s of oss2, 8 threads", ">= 3", put, lambda it: it >= 3)
    row("put -r, the same, public key", "x objects/s of put -r --plain", ">= 0.8", plain, lambda it: it >= 0.8)
    row("get -r, the same", "x objects/s of oss2, 8 threads", ">= 3", get, lambda it: it >= 3)

# The same behind 30 ms.
with Server("--latency", str(int(LATENCY * 1000))) as server:
    parallel = ("--parallel", PARALLEL)

    def put_slow():
        seconds, mib = run(server, "put", "-r", files, "cos://b-1/a/", "--key", public, *parallel)
        run(server, "rm", "-r", "cos://b-1/a/", "--yes")
        remember("put -r, 30 ms", PARALLEL, mib)
        return (FILES / seconds) / (PARALLEL / (LATENCY * 2))

    def get_slow():
        seconds, mib = run(
            server, "get", "-r", "oss://b-1/o/", fresh(root / "back"), "--key", private, *parallel
        )
        remember("get -r, 30 ms", PARALLEL, mib)
        return (FILES / seconds) / (PARALLEL / LATENCY)

    row("put -r, 30 ms, --parallel 64", "x parallel / (latency x 2 requests)", ">= 0.8", medians(put_slow), lambda it: it >= 0.8)
    run(server, "put", "-r", files, "oss://b-1/o/", "--key", public, *parallel)
    row("get -r, 30 ms, --parallel 64", "x parallel / (latency x 1 request)", "", medians(get_slow))

    # Sequentially, ten objects are enough to know the rate. With an AES key, the machine is not
    # busy with RSA.
    run(server, "put", "-r", few, "cos://b-1/few/", "--key", aes, *parallel)
    run(server, "put", "-r", files, "cos://b-1/aes/", "--key", aes, *parallel)
    run(server, "put", "-r", few, "cos://b-1/rsa/", "--key", public, *parallel)

    def rate(count, *command):
        seconds, mib = run(server, *command)
        return count / seconds, mib

    few_of = PEER_FILES / 100
    state = [aes, new_aes]

    def rewrap():
        command = ("rewrap", "-r", "--key", state[0], "--to-key", state[1])
        many, mib = rate(FILES, *command, "cos://b-1/aes/", *parallel)
        one, _ = rate(few_of, *command, "cos://b-1/few/0/", "--parallel", 1)
        state.reverse()
        remember("rewrap -r, 30 ms", PARALLEL, mib)
        return many / one

    row("rewrap -r (COS), 10 000 objects, AES key, 30 ms, --parallel 64", "x the sequential rate", ">= 40", medians(rewrap), lambda it: it >= 40)

    def audit():
        many, mib = rate(FILES, "audit", "cos://b-1/aes/", "--key", state[0], *parallel)
        one, _ = rate(few_of, "audit", "cos://b-1/few/0/", "--key", state[0], "--parallel", 1)
        remember("audit, 30 ms", PARALLEL, mib)
        return many / one

    row("audit, the same", "x the sequential rate", ">= 40", medians(audit), lambda it: it >= 40)
    command = ("rewrap", "-r", "cos://b-1/rsa/", "--key", private, "--to-key", private)
    row("rewrap -r (COS), 1 000 objects, RSA-2048, 30 ms, --parallel 64", "objects/s", "", [rate(PEER_FILES, *command, *parallel)[0]])

    # One large object among many small ones.
    large = root / "mixed"
    (large / "small").mkdir(parents=True)
    with open(large / "z-large", "wb") as file:
        block = os.urandom(1 << 20)
        for _ in range(4096):
            file.write(block)
    subprocess.run(["cp", "-r", str(files), str(large / "small")], check=True)

    def mixed():
        alone = []
        for options in (("--include", "z-large"), ("--exclude", "z-large")):
            seconds, mib = run(
                server, "put", "-r", large, "cos://b-1/mixed/", "--key", public, *parallel, *options
            )
            alone.append(seconds)
            run(server, "rm", "-r", "cos://b-1/mixed/", "--yes")
            remember("put -r of 4 GiB, 30 ms" if "--include" in options else "put -r, 30 ms", PARALLEL, mib)
        seconds, mib = run(
            server, "put", "-r", large, "cos://b-1/mixed/", "--key", public, *parallel
        )
        remember("put -r of both, 30 ms", PARALLEL, mib)
        run(server, "rm", "-r", "cos://b-1/mixed/", "--yes")
        return seconds / max(alone)

    row("put -r, 4 GiB among 10 000 small files, 30 ms", "x the longer of both alone", "<= 1.2", medians(mixed), lambda it: it <= 1.2)
    fresh(large)

# Nothing to do.
with Server() as server:
    many = tree("many", 100_000, 16)
    run(server, "put", "-r", many, "oss://b-1/m/", "--key", public, "--parallel", 64)
    seconds, mib = zip(*medians(lambda: run(server, "sync", many, "oss://b-1/m/", "--key", public)))
    row("sync, 100 000 objects, nothing to do", "seconds", "<= 15", seconds, lambda it: it <= 15)
    row("sync, the same", "MiB resident", "<= 200", mib, lambda it: it <= 200)

# A million objects that are made when they are asked for.
with Server("--made", "1000000") as server:
    template = root / "template"
    template.write_bytes(os.urandom(SIZE))
    run(server, "put", template, "oss://b-1/made/template", "--key", public)
    for count in (10_000, 1_000_000):
        # Without a key: what is measured is the engine, and an RSA operation takes a millisecond.
        pattern = ("--include", "00000????") if count == 10_000 else ()
        seconds, mib = run(server, "audit", "oss://b-1/made/", *parallel, *pattern, "--html", root / "a.html")
        row("audit, %d objects, no key, with a page" % count, "seconds", "", [seconds])
        row("audit, the same", "MiB resident", "<= 640", [mib], lambda it: it <= 640)

with open(RESULT, "w") as out:
    print("# Many objects\n", file=out)
    print("Generated by `cargo xtask bench many`. Client and server share two cores of one machine;", file=out)
    print("contenders take turns, and a figure is the median of %d rounds. oss2 puts and gets" % ROUNDS, file=out)
    print("%d of the files. Latency is what the server waits before every answer.\n" % PEER_FILES, file=out)
    print("| work | figure | goal | min | median | max | |", file=out)
    print("|---|---|---|---|---|---|---|", file=out)
    for work, figure, goal, least, median, most, verdict in rows:
        print("| %s | %s | %s | %.2f | %.2f | %.2f | %s |" % (work, figure, goal, least, median, most, verdict), file=out)
    print("\n## Memory\n", file=out)
    print("The largest resident set of each work; less than 60 MiB is that of the program that measures. The\ngoal is requests in flight x part size + 128 MiB.\n", file=out)
    print("| work | in flight | MiB | goal |", file=out)
    print("|---|---|---|---|", file=out)
    largest = {}
    for work, parallel, mib, goal in memory:
        largest[work] = max(largest.get(work, (0, 0, 0)), (mib, parallel, goal))
    for work, (mib, parallel, goal) in largest.items():
        print("| %s | %d | %.0f | <= %d |" % (work, parallel, mib, goal), file=out)
