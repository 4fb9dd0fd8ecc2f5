"""Many objects on a Spark cluster: audit, verify, rewrap, encrypt, decrypt, translate.

    from envelope_cse import spark as cse_spark

    job = cse_spark.Job("rewrap", "cos://bucket-1250000000", keys=["/keys/old.pem"],
                        to_key="/keys/new.pem", dialect="cos-v2", region="ap-guangzhou")
    schema = "Appid, Bucket, Key, Size, LastModifiedDate, ETag"  # of the inventory's manifest.json
    objects = cse_spark.inventory(spark, "inventory/*.csv.gz", schema, bucket="bucket-1250000000")
    cse_spark.run(spark, job, objects, "hdfs:///reports/rewrap-2026-11")

or, with the same words, from a shell:

    spark-submit .../envelope_cse/spark.py rewrap cos://bucket-1250000000 \\
        --inventory 'inventory/*.csv.gz' --schema "$SCHEMA" --region ap-guangzhou \\
        --key /keys/old.pem --to-key /keys/new.pem --dialect cos-v2 \\
        --report hdfs:///reports/rewrap-2026-11

The report is a folder of Parquet files, with one row for each object. It is written in batches,
each of which is committed before the next begins: if the driver dies, the same call goes on, and at
most one batch is done twice. What was done already is then `already` or `exists`; only where
`to_key` is a public key, which opens nothing, it is `locked`. An object that changes, which its
ETag says, is done again; so is one that did not succeed. A report belongs to one job.

Keys are named, not given: by the paths of files on the executors, or as keys in a KMS. The access
keys of the bucket come from the environment of the executors, or from a profile there. So neither
the plan nor Spark's pages have a secret.

Spark (4.0 or newer) and pyarrow have to be installed.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import envelope_cse as cse

ACTIONS = ("audit", "verify", "rewrap", "encrypt", "decrypt", "translate")

# The rows of a report.
SCHEMA = "key string, etag string, status string, bytes long, details map<string,string>"
# What is done. Everything else is tried again: with another key, or when the service is back.
DONE = (
    "opens", "verified", "rewrapped", "already", "encrypted", "decrypted", "translated", "exists",
    "instruction file",
)  # fmt: skip
# What nobody can do anything about.
_FINAL = (*DONE, "gone", "plain")
_JOB = "_envelope_job.json"
# What an object costs beside its bytes, in bytes: a few requests.
_OVERHEAD = 1 << 20
# The objects of one batch, and of one partition, unless they are set.
_BATCH, _OF_PARTITION = 1_000_000, 2_000


@dataclasses.dataclass(frozen=True)
class Job:
    """What is done with each object, in words that hold no secret.

    `keys` open the objects: paths of key files on the executors, or addresses of a KMS, as in
    `envelope_cse.open_key`. `to_key` wraps anew, in `dialect`. `target` is where `encrypt` and
    `translate` write to, the same bucket by default for `encrypt`; `decrypt` writes files into the
    folder `target`, which every executor has to have.

    `allow` names methods of `Policy`, such as `allow_weak_wrap`. `parallel` is the number of
    objects in work in each task, and `rate` the number of objects a second in all tasks together.
    """

    action: str
    address: str
    keys: Sequence[str] = ()
    to_key: str | None = None
    dialect: str | None = None
    target: str | None = None
    region: str | None = None
    endpoint: str | None = None
    target_region: str | None = None
    target_endpoint: str | None = None
    profile_file: str | None = None
    profile: str = "default"
    passphrase_file: str | None = None
    kms_endpoint: str | None = None
    allow: Sequence[str] = ()
    reupload: bool = False
    replace: bool = False
    parallel: int = 16
    rate: float | None = None

    def __post_init__(self) -> None:
        # So that it is hashable, and the same job is the same after it was sent.
        object.__setattr__(self, "keys", tuple(self.keys))
        object.__setattr__(self, "allow", tuple(self.allow))
        if self.action not in ACTIONS:
            raise ValueError(f"the action is one of {', '.join(ACTIONS)}")
        if self.action in ("rewrap", "encrypt", "translate") and not (self.to_key and self.dialect):
            raise ValueError(f"{self.action} needs a to_key and a dialect")
        if self.action in ("translate", "decrypt") and not self.target:
            raise ValueError(f"{self.action} needs a target")
        if self.action != "encrypt" and not self.keys:
            raise ValueError(f"{self.action} needs keys")


class _Worker:
    """What a Python worker has opened for a job: connections, keys, and content keys in a cache."""

    def __init__(self, job: Job) -> None:
        self._job = job
        kms: dict[str, Any] = {"endpoint": job.kms_endpoint} if job.kms_endpoint else {}

        def opened(key: str) -> cse.MasterKey:
            return cse.open_key(key, passphrase_file=job.passphrase_file, **kms)

        self._store = cse.Store(
            job.address,
            region=job.region,
            endpoint=job.endpoint,
            profile_file=job.profile_file,
            profile=job.profile,
        )
        policy = cse.Policy()
        # What is to be encrypted is not encrypted yet.
        for name in (*job.allow, *(("allow_plaintext",) if job.action == "encrypt" else ())):
            policy = getattr(policy, name)()
        self._decryptor = cse.Decryptor([opened(key) for key in job.keys], policy=policy)
        if job.to_key is not None and job.dialect is not None:
            key = opened(job.to_key)
            self._encryptor = cse.Encryptor(key, job.dialect)
            # The public half opens nothing.
            can_open = not isinstance(key, cse.RsaKey) or key.is_private
            self._new = cse.Decryptor([key]) if can_open else None
        self._target = self._store
        if job.target is not None and job.action != "decrypt":
            self._target = cse.Store(
                job.target,
                region=job.target_region or job.region,
                endpoint=job.target_endpoint or job.endpoint,
                profile_file=job.profile_file,
                profile=job.profile,
            )

    def __call__(self, keys: list[str]) -> list[tuple[str, int | None, dict[str, str]]]:
        job, store, parallel = self._job, self._store, self._job.parallel
        match job.action:
            case "audit":
                return store.audit(keys, self._decryptor, parallel=parallel)
            case "verify":
                return store.verify(keys, self._decryptor, parallel=parallel)
            case "rewrap":
                return store.rewrap(
                    keys,
                    self._decryptor,
                    self._encryptor,
                    new=self._new,
                    reupload=job.reupload,
                    parallel=parallel,
                )
            case "decrypt":
                folder = job.target or ""
                return store.decrypt_files(
                    keys, folder, self._decryptor, replace=job.replace, parallel=parallel
                )
        pairs = [(key, key) for key in keys]
        work = store.translate if job.action == "translate" else self._encrypt
        return work(pairs, self._decryptor, self._target, self._encryptor, parallel=parallel)

    def _encrypt(
        self, pairs: list[tuple[str, str]], *args: Any, parallel: int
    ) -> list[tuple[str, int | None, dict[str, str]]]:
        found = self._store.audit([key for key, _ in pairs], self._decryptor, parallel=parallel)
        plain = [pair for pair, row in zip(pairs, found) if row[0] == "plain"]
        done = iter(self._store.reencrypt(plain, *args, parallel=parallel))
        rows = [next(done) if row[0] == "plain" else row for row in found]
        if self._job.target is None:
            # What is encrypted already stays as it is.
            is_encrypted = ("opens", "locked", "unprotected")
            return [("already", *row[1:]) if row[0] in is_encrypted else row for row in rows]
        # All objects are to be in the target, also those that are encrypted already.
        sealed = [pair for pair, row in zip(pairs, found) if row[0] == "opens"]
        copied = iter(self._store.translate(sealed, *args, parallel=parallel))
        return [next(copied) if row[0] == "opens" else row for row in rows]


_workers: dict[tuple[Job, tuple[Any, ...]], _Worker] = {}
_lock = threading.Lock()


def _worker(job: Job) -> _Worker:
    """Returns what this process has opened for a job. Spark uses its Python workers again; what is
    opened is opened again if a file of it has changed."""
    files = (*job.keys, job.to_key, job.passphrase_file, job.profile_file)
    with _lock:
        opened = (job, tuple(_stamp(file) for file in files))
        if opened not in _workers:
            _workers.clear()
            _workers[opened] = _Worker(job)
        return _workers[opened]


def _stamp(file: str | None) -> tuple[int, int, int] | None:
    try:
        found = os.stat(file or "")
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def work(job: Job, rate: float | None = None) -> Callable[[Iterable[Any]], Iterator[Any]]:
    """Returns the function for `DataFrame.mapInArrow`: from rows with `key` and `etag` to rows of
    the report. `rate` is the number of objects a second in one task."""

    def rows(batches: Iterable[Any]) -> Iterator[Any]:
        import pyarrow

        act = _worker(job)
        fields = [
            ("key", pyarrow.string()),
            ("etag", pyarrow.string()),
            ("status", pyarrow.string()),
            ("bytes", pyarrow.int64()),
            ("details", pyarrow.map_(pyarrow.string(), pyarrow.string())),
        ]
        # Small enough that the rate is kept, and that no task is silent for long.
        most = max(1, job.parallel * 8 if rate is None else int(min(job.parallel * 8, rate)))
        for batch in batches:
            keys, etags = batch.column("key").to_pylist(), batch.column("etag").to_pylist()
            for at in range(0, len(keys), most):
                some, began = keys[at : at + most], time.monotonic()
                found = act(some)
                if rate is not None:
                    time.sleep(max(0.0, len(some) / rate - (time.monotonic() - began)))
                columns = [
                    some,
                    etags[at : at + most],
                    [row[0] for row in found],
                    [row[1] for row in found],
                    [list(row[2].items()) for row in found],
                ]
                arrays = [pyarrow.array(column, kind) for column, (_, kind) in zip(columns, fields)]
                yield pyarrow.RecordBatch.from_arrays(arrays, schema=pyarrow.schema(fields))

    return rows


def inventory(spark: Any, path: str, schema: str, *, bucket: str | None = None) -> Any:
    """Reads the CSV files of a bucket inventory of OSS or COS.

    `schema` is the `fileSchema` of its `manifest.json`, which names the columns, such as
    `Bucket, Key, Size, StorageClass, LastModifiedDate, ETag` (OSS) or
    `Appid, Bucket, Key, Size, LastModifiedDate, ETag` (COS): it has to name `Key`, `Size` and
    `ETag`. Keys are in URL encoding. With `bucket`, rows of other buckets are left out. Of an
    inventory of all versions, the latest ones are taken, and no delete markers.

    A job takes any other DataFrame with the columns `key`, `size` and `etag`, too.
    """
    from pyspark.sql import functions as f

    names = [name.strip().lower() for name in schema.split(",")]
    missing = {"key", "size", "etag"} - set(names)
    if missing:
        raise ValueError(f"the schema does not name {', '.join(sorted(missing))}")
    columns = ", ".join(f"`{name}` string" for name in names)
    rows = spark.read.csv(
        path, schema=columns, header=False, quote='"', escape='"', mode="FAILFAST"
    )
    if bucket is not None and "bucket" in names:
        found = f.col("bucket")
        with_appid = f.concat_ws("-", "bucket", "appid") if "appid" in names else found
        rows = rows.where((found == bucket) | (with_appid == bucket))
    for flag, wanted in (("islatest", "true"), ("isdeletemarker", "false")):
        if flag in names:
            rows = rows.where(f.lower(f.col(flag)) == wanted)
    # `try_url_decode` takes a plus for a space, which both services write as %20.
    key = f.expr("try_url_decode(replace(key, '+', '%2B'))")
    return rows.select(
        f.coalesce(key, f.col("key")).alias("key"),
        f.expr("try_cast(size as long)").alias("size"),
        f.trim(f.col("etag"), f.lit('"')).alias("etag"),
    )


def _same(column: str) -> Any:
    from pyspark.sql import functions as f

    return f.coalesce(f.col(column), f.lit(""))


def pending(spark: Any, objects: Any, report: str) -> Any:
    """Returns the objects that the report has no final row of, by key and ETag."""
    from pyspark.sql import functions as f

    keys = objects.select("key", "size", _same("etag").alias("etag")).dropDuplicates(
        ["key", "etag"]
    )
    done = _read(spark, report)
    if done is None:
        return keys
    final = done.where(f.col("status").isin(*_FINAL))
    final = final.select("key", _same("etag").alias("etag")).dropDuplicates()
    return keys.join(final, ["key", "etag"], "left_anti")


def _read(spark: Any, report: str) -> Any:
    hadoop = spark._jvm.org.apache.hadoop.fs
    path = hadoop.Path(report)
    files = path.getFileSystem(spark._jsc.hadoopConfiguration())
    if not files.exists(path):
        return None
    # A first batch that was not committed leaves a folder without files.
    if not any(status.getPath().getName().startswith("part-") for status in files.listStatus(path)):
        return None
    return spark.read.schema(SCHEMA).parquet(report)


def partitioned(objects: Any, count: int) -> Any:
    """Spreads objects over `count` partitions which have about as many bytes each.

    Objects are put into classes by the power of two of their size, and each class gets partitions
    by its share of all bytes, so that neither the number of objects nor their order matters. The
    partition is then a column by which Spark ranges.
    """
    from pyspark.sql import functions as f

    if count <= 1:
        return objects.repartition(1)
    cost = f.coalesce(f.col("size"), f.lit(0)) + f.lit(_OVERHEAD)
    classed = objects.withColumn("_class", f.floor(f.log2(cost)).cast("int"))
    totals = classed.groupBy("_class").agg(f.sum(cost).alias("cost"), f.count("*").alias("objects"))
    shares: dict[int, tuple[int, int]] = {}
    begin = 0
    rows = sorted(totals.collect(), key=lambda row: row["_class"])
    whole = sum(row["cost"] for row in rows) or 1
    for row in rows:
        # Not more partitions than there are objects.
        wanted = min(row["objects"], max(1, round(count * row["cost"] / whole)))
        shares[row["_class"]] = (begin, wanted)
        begin += wanted
    if not shares:
        return objects.repartition(1)
    place = functools.reduce(
        lambda rest, item: f.when(
            f.col("_class") == item[0],
            f.lit(item[1][0]) + f.pmod(f.xxhash64("key"), f.lit(item[1][1])),
        ).otherwise(rest),
        shares.items(),
        f.lit(0).cast("long"),
    )
    placed = classed.withColumn("_place", place.cast("int"))
    if hasattr(placed, "repartitionById"):
        # Since Spark 4.1. Before it, ranges are only about as the places are.
        spread = placed.repartitionById(begin, "_place")
    else:
        spread = placed.repartitionByRange(begin, "_place")
    return spread.select("key", "size", "etag")


def _check_job(spark: Any, job: Job, report: str) -> None:
    """Writes down whose report it is, or checks it: another job has rows of its own."""
    hadoop = spark._jvm.org.apache.hadoop.fs
    # Spark does not read files whose names begin with an underscore.
    path = hadoop.Path(report, _JOB)
    files = path.getFileSystem(spark._jsc.hadoopConfiguration())
    own = json.dumps(
        [job.action, job.address, job.to_key, job.dialect, job.target], ensure_ascii=True
    )
    if files.exists(path):
        stream = files.open(path)
        size = int(files.getFileStatus(path).getLen())
        found = bytes(stream.readNBytes(size)).decode()
        stream.close()
        if found != own:
            raise ValueError(f"{report} is the report of another job: {found}")
        return
    stream = files.create(path, False)
    stream.write(bytearray(own.encode()))
    stream.close()


def run(
    spark: Any,
    job: Job,
    objects: Any,
    report: str,
    *,
    batch: int = _BATCH,
    partitions: int | None = None,
    tasks: int | None = None,
) -> dict[str, int]:
    """Does the job with every object that the report has no final row of, and returns how many rows
    of each status the report has then.

    `objects` has the columns `key`, `size` and `etag`. `batch` is the number of objects after which
    the report is committed. `tasks` is the number of tasks that run at the same time, by which the
    rate of the job is divided; where executors come and go, say the most there will be.
    """
    from pyspark.sql import functions as f

    _check_job(spark, job, report)
    todo = pending(spark, objects, report).persist()
    try:
        count = todo.count()
        batches = math.ceil(count / batch)
        rate = None
        if job.rate is not None:
            # Each task that runs has its share of the tokens.
            rate = max(job.rate / (tasks or spark.sparkContext.defaultParallelism), 0.001)
        for number in range(batches):
            part = todo
            if batches > 1:
                part = todo.where(f.pmod(f.xxhash64("key", f.lit(1)), f.lit(batches)) == number)
            wanted = partitions or max(
                spark.sparkContext.defaultParallelism,
                math.ceil(min(batch, count) / _OF_PARTITION),
            )
            rows = partitioned(part, wanted).mapInArrow(work(job, rate), SCHEMA)
            rows.write.mode("append").parquet(report)
    finally:
        todo.unpersist()
    return summary(spark, report, objects)


def summary(spark: Any, report: str, objects: Any = None) -> dict[str, int]:
    """Returns how many objects have each status in a report, or of these objects. Of one that was
    looked at several times, a row that says that it is done counts."""
    done = _read(spark, report)
    if done is None:
        return {}
    from pyspark.sql import functions as f

    done = done.select("key", _same("etag").alias("etag"), "status")
    if objects is not None:
        present = objects.select("key", _same("etag").alias("etag")).dropDuplicates()
        done = done.join(present, ["key", "etag"], "left_semi")
    order = f.when(f.col("status").isin(*DONE), 0).when(f.col("status").isin(*_FINAL), 1)
    best = done.groupBy("key", "etag").agg(f.min_by("status", order.otherwise(2)).alias("status"))
    return {row["status"]: row["count"] for row in best.groupBy("status").count().collect()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a job from the command line, for `spark-submit`. Returns 1 if an object has failed."""
    parser = argparse.ArgumentParser(prog="envelope_cse.spark", description=__doc__.split("\n")[0])
    parser.add_argument("action", choices=ACTIONS)
    parser.add_argument("address", help="oss://BUCKET or cos://BUCKET-APPID")
    parser.add_argument("--inventory", required=True, help="the CSV files of a bucket inventory")
    parser.add_argument("--schema", required=True, help="the fileSchema of its manifest.json")
    parser.add_argument("--report", required=True, help="the folder of the report")
    parser.add_argument("--key", action="append", default=[], dest="keys", metavar="FILE|KMS")
    parser.add_argument("--batch", type=int, default=_BATCH)
    parser.add_argument("--partitions", type=int)
    parser.add_argument("--tasks", type=int, help="tasks that run at the same time, for --rate")
    for field in dataclasses.fields(Job):
        option = "--" + field.name.replace("_", "-")
        if field.name in ("action", "address", "keys"):
            continue
        if field.type == "bool":
            parser.add_argument(option, action="store_true")
        elif field.name == "allow":
            parser.add_argument(option, action="append", default=[], metavar="METHOD")
        elif field.name in ("parallel", "rate"):
            kind = int if field.name == "parallel" else float
            parser.add_argument(option, type=kind, default=field.default)
        else:
            parser.add_argument(option, default=field.default)
    options = parser.parse_args(arguments)
    names = [field.name for field in dataclasses.fields(Job)]
    try:
        job = Job(**{name: getattr(options, name) for name in names})
    except ValueError as error:
        parser.error(str(error))

    from pyspark.sql import SparkSession

    spark = SparkSession.builder.appName(f"envelope {job.action} {job.address}").getOrCreate()
    bucket = job.address.partition("://")[2].rstrip("/") or None
    objects = inventory(spark, options.inventory, options.schema, bucket=bucket)
    found = run(
        spark,
        job,
        objects,
        options.report,
        batch=options.batch,
        partitions=options.partitions,
        tasks=options.tasks,
    )
    for status, count in sorted(found.items()):
        print(f"{count:>12} {status}")
    # An audit says what is there; everything else was to be done.
    fine = {*DONE, *(("plain",) if job.action == "audit" else ())}
    return 0 if set(found) <= fine else 1


if __name__ == "__main__":
    # What is sent to executors has to be found there, which `__main__` is not.
    from envelope_cse import spark as _this

    sys.exit(_this.main())
