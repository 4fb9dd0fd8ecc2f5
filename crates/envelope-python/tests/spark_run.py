"""Audits and rewraps many objects on a Spark cluster of this machine, kills the driver in the
middle, and starts it again: every object is in the report once, and opens with the new key.

usage: spark_run.py ENVELOPE LOOPBACK_BUCKET [OBJECTS]

Run it with a Python that has pyspark and the package. It prints objects a second, beside those of
the command on the same machine.
"""

import concurrent.futures
import csv
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import pyspark

import envelope_cse as cse
from envelope_cse import spark as cse_spark

KEYS = pathlib.Path(__file__).resolve().parents[3] / "fixtures/keys"
OLD_KEY = str(KEYS / "aes-256.key")
ADDRESS, REGION = "cos://spark-1250000000", "ap-guangzhou"
SIZE = 1000
SCHEMA = "Appid, Bucket, Key, Size, LastModifiedDate, ETag"
CLUSTER = "local-cluster[2,1,1024]"


def put_objects(store, count):
    encryptor = cse.Encryptor(cse.open_key(OLD_KEY), "cos-v2")
    plain = os.urandom(SIZE)
    keys = [f"objects/{number:06} ü+%" for number in range(count)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: store.put(key, plain, encryptor), keys))
    return keys


def write_inventory(store, path):
    """Writes an inventory as COS does: with keys in URL encoding, and without a header."""
    from urllib.parse import quote

    marker, count = None, 0
    with open(path, "w", newline="") as file:
        rows = csv.writer(file, quoting=csv.QUOTE_ALL)
        while True:
            page, marker = store.list_page("objects/", marker)
            for key, size, etag in page:
                when = "2026-11-28T00:00:00Z"
                rows.writerow(["1250000000", "spark", quote(key, safe=""), size, when, etag])
                # That of another bucket is left out.
                rows.writerow(["1250000000", "other", quote(key, safe=""), size, when, etag])
            count += len(page)
            if marker is None:
                return count


def submit(action, url, folder, report, *more):
    """Starts a driver, in a process group of its own."""
    home = pathlib.Path(pyspark.__file__).parent
    return subprocess.Popen(
        [
            home / "bin/spark-submit", "--master", CLUSTER,
            "--conf", "spark.ui.enabled=false", "--conf", "spark.sql.shuffle.partitions=4",
            cse_spark.__file__, action, ADDRESS,
            "--inventory", f"{folder}/inventory.csv", "--report", report, "--schema", SCHEMA,
            "--region", REGION, "--endpoint", url, "--key", OLD_KEY, *more,
        ],
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "SPARK_HOME": str(home), "PYSPARK_PYTHON": sys.executable},
        cwd=folder,
        text=True,
    )  # fmt: skip


def committed(report):
    return len(list(pathlib.Path(report).glob("part-*")))


def finished(process):
    out, _ = process.communicate(timeout=1800)
    assert process.returncode == 0, (process.returncode, out)
    return {line.split()[1]: int(line.split()[0]) for line in out.splitlines() if line[:1] == " "}


def killed_and_continued(action, url, folder, count, *more):
    """Runs a job, whose driver is killed after some batches. Returns its seconds, and its report."""
    report = f"{folder}/{action}"
    more = ("--batch", str(max(1, count // 8)), "--partitions", "4", *more)
    process = submit(action, url, folder, report, *more)
    while committed(report) < 12 and process.poll() is None:
        time.sleep(0.05)
    # Somewhere in the next batch.
    time.sleep(1)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    before = committed(report)
    assert 0 < before, "the driver was killed before its first batch"
    found = finished(submit(action, url, folder, report, *more))
    assert committed(report) > before, "the driver had finished before it was killed"
    return found, report


def keys_of(report):
    import pyarrow.dataset

    files = [str(path) for path in sorted(pathlib.Path(report).glob("part-*.parquet"))]
    return pyarrow.dataset.dataset(files).to_table(columns=["key"]).column("key").to_pylist()


def timed(action, url, folder, count, *more):
    """Returns the objects a second of a job that is not interrupted, without the start of Spark."""
    began = time.monotonic()
    process = submit(action, url, folder, f"{folder}/timed-{action}", "--batch", "10000000", *more)
    finished(process)
    whole = time.monotonic() - began
    began = time.monotonic()
    finished(submit(action, url, folder, f"{folder}/timed-{action}", "--batch", "10000000", *more))
    return count / max(0.001, whole - (time.monotonic() - began))


def by_command(envelope, url, folder, count, action, *more):
    began = time.monotonic()
    subprocess.run(
        [
            envelope, action, f"{ADDRESS}/objects/", "--key", OLD_KEY, *more,
            "--endpoint", url, "--region", REGION, "--report", f"{folder}/{action}.ndjson",
        ],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    return count / (time.monotonic() - began)


def main(envelope, loopback, count):
    folder = tempfile.mkdtemp()
    new = pathlib.Path(folder, "new.key")
    new.write_bytes(cse.AesKey.generate_text())
    new.chmod(0o600)
    os.environ.update(
        HOME=folder, TENCENTCLOUD_SECRET_ID="LTAIloop", TENCENTCLOUD_SECRET_KEY="SKloop"
    )
    try:
        with subprocess.Popen(
            [loopback], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as server:
            url = server.stdout.readline().strip()
            store = cse.Store(ADDRESS, region=REGION, endpoint=url)
            keys = put_objects(store, count)
            assert write_inventory(store, f"{folder}/inventory.csv") == count
            rates = {
                "audit, by the command": by_command(envelope, url, folder, count, "audit"),
                "audit, by Spark": timed("audit", url, folder, count),
            }
            to_new = ("--to-key", str(new), "--dialect", "cos-v2")
            for action, status, more in (("audit", "opens", ()), ("rewrap", "rewrapped", to_new)):
                found, report = killed_and_continued(action, url, folder, count, *more)
                seen = keys_of(report)
                assert sorted(seen) == sorted(keys), f"{action}: not every object once"
                assert set(found) <= {status, "already"} and sum(found.values()) == count, found
                print(f"{action}: killed, continued; {len(seen)} rows, {found}")
            opened = store.verify(keys, cse.Decryptor([cse.open_key(str(new))]), parallel=16)
            assert all(row[0] == "verified" for row in opened)
            print(f"all {len(opened)} objects open with the new key")
            # Back again, which is as much work.
            back = ("--to-key", OLD_KEY, "--dialect", "cos-v2")
            rates["rewrap, by Spark"] = timed(
                "rewrap", url, folder, count, *back, "--key", str(new)
            )
            rates["rewrap, by the command"] = by_command(
                envelope, url, folder, count, "rewrap", "-r", "--to-key", str(new)
            )
            for what, rate in rates.items():
                print(f"{what}: {rate:.0f} objects/s")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    program = [os.path.abspath(path) for path in sys.argv[1:3]]
    main(*program, int(sys.argv[3]) if len(sys.argv) > 3 else 20_000)
