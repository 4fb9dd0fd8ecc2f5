"""Many objects on a Spark cluster: audit, verify, rewrap, encrypt, decrypt, translate.

    from envelope_cse import spark as cse_spark

    job = cse_spark.Job("rewrap", "cos://bucket-1250000000", keys=["/keys/old.pem"],
                        to_key="/keys/new.pem", dialect="cos-v2", region="ap-guangzhou")
    objects = cse_spark.inventory(spark, "inventory/*.csv.gz", "cos")
    cse_spark.run(spark, job, objects, "hdfs:///reports/rewrap-2026-11")

or, with the same words, from a shell:

    spark-submit .../envelope_cse/spark.py rewrap cos://bucket-1250000000 \\
        --inventory 'inventory/*.csv.gz' --key /keys/old.pem --to-key /keys/new.pem \\
        --dialect cos-v2 --region ap-guangzhou --report hdfs:///reports/rewrap-2026-11

The report is a folder of Parquet files, with one row for each object. It is written in batches,
each of which is committed before the next begins: if the driver dies, the same call goes on, and at
most one batch is done twice, which no action minds. An object that changes, which its ETag says, is
done again; so is one that failed.

Keys are named, not given: by the paths of files on the executors, or as keys in a KMS. The access
keys of the bucket come from the environment of the executors, or from a profile there. So neither
the plan nor Spark's pages have a secret.

Spark (4.0 or newer) and pyarrow have to be installed.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import math
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import envelope_cse as cse

ACTIONS = ("audit", "verify", "rewrap", "encrypt", "decrypt", "translate")

# The rows of a report.
SCHEMA = "key string, etag string, status string, bytes long, details map<string,string>"
# What is looked at again, because it may end otherwise.
UNFINISHED = ("failed",)
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
            # The public half opens nothing; then what is rewrapped already is told by the old keys.
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
        # What is encrypted already stays as it is.
        found = self._store.audit([key for key, _ in pairs], self._decryptor, parallel=parallel)
        plain = [pair for pair, row in zip(pairs, found) if row[0] == "plain"]
        done = iter(self._store.reencrypt(plain, *args, parallel=parallel))
        return [next(done) if row[0] == "plain" else _already_encrypted(row) for row in found]


def _already_encrypted(
    row: tuple[str, int | None, dict[str, str]],
) -> tuple[str, int | None, dict[str, str]]:
    status = "already" if row[0] in ("opens", "locked", "unprotected") else row[0]
    return status, row[1], row[2]


_workers: dict[Job, _Worker] = {}
_lock = threading.Lock()


def _worker(job: Job) -> _Worker:
    """Returns what this process has opened for a job. Spark uses its Python workers again."""
    with _lock:
        if job not in _workers:
            _workers.clear()
            _workers[job] = _Worker(job)
        return _workers[job]


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
        next_at = time.monotonic()
        for batch in batches:
            keys, etags = batch.column("key").to_pylist(), batch.column("etag").to_pylist()
            for at in range(0, len(keys), most):
                some = keys[at : at + most]
                if rate is not None:
                    time.sleep(max(0.0, next_at - time.monotonic()))
                    next_at = max(next_at, time.monotonic()) + len(some) / rate
                found = act(some)
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


def inventory(spark: Any, path: str, vendor: str) -> Any:
    """Reads the CSV files of a bucket inventory: of OSS (`oss`) or of COS (`cos`).

    The inventory has to have the fields bucket and key in front, as both services write them, then
    size and ETag: OSS `Bucket, Key, Size, ..., ETag`; COS `Bucket, Key, Size, LastModifiedDate,
    ETag`. What is in another place can be read with Spark itself: a job takes any DataFrame with
    the columns `key`, `size` and `etag`. Keys are decoded, as they are written in URL encoding.
    """
    from pyspark.sql import functions as f

    if vendor not in ("oss", "cos"):
        raise ValueError("the vendor is oss or cos")
    rows = spark.read.csv(path, header=False, quote='"', escape='"')
    etag = f.col("_c4") if len(rows.columns) > 4 else f.lit(None).cast("string")
    # `try_url_decode` takes a plus for a space, which both services write as %20.
    key = f.expr("try_url_decode(replace(_c1, '+', '%2B'))")
    return rows.select(
        f.coalesce(key, f.col("_c1")).alias("key"),
        f.col("_c2").cast("long").alias("size"),
        f.trim(etag, f.lit('"')).alias("etag"),
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
    final = done.where(~f.col("status").isin(*UNFINISHED))
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
    shares, begin = {}, 0
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
    spread = classed.withColumn("_place", place).repartitionByRange(begin, "_place")
    return spread.select("key", "size", "etag")


def run(
    spark: Any,
    job: Job,
    objects: Any,
    report: str,
    *,
    batch: int = _BATCH,
    partitions: int | None = None,
) -> dict[str, int]:
    """Does the job with every object that the report has no final row of, and returns how many rows
    of each status the report has then.

    `objects` has the columns `key`, `size` and `etag`. `batch` is the number of objects after which
    the report is committed.
    """
    from pyspark.sql import functions as f

    todo = pending(spark, objects, report).persist()
    try:
        count = todo.count()
        batches = math.ceil(count / batch)
        rate = None
        if job.rate is not None:
            # Each task that runs has its share of the tokens.
            rate = max(job.rate / spark.sparkContext.defaultParallelism, 0.001)
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
    return summary(spark, report)


def summary(spark: Any, report: str) -> dict[str, int]:
    """Returns how many objects have each status in a report. Of an object that was looked at
    several times, the last final row counts."""
    done = _read(spark, report)
    if done is None:
        return {}
    from pyspark.sql import functions as f

    # A final row stands over one that failed before it.
    best = done.groupBy("key", _same("etag").alias("etag")).agg(
        f.min_by("status", f.col("status").isin(*UNFINISHED)).alias("status")
    )
    return {row["status"]: row["count"] for row in best.groupBy("status").count().collect()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a job from the command line, for `spark-submit`. Returns 1 if an object has failed."""
    parser = argparse.ArgumentParser(prog="envelope_cse.spark", description=__doc__.split("\n")[0])
    parser.add_argument("action", choices=ACTIONS)
    parser.add_argument("address", help="oss://BUCKET or cos://BUCKET-APPID")
    parser.add_argument("--inventory", required=True, help="the CSV files of a bucket inventory")
    parser.add_argument("--report", required=True, help="the folder of the report")
    parser.add_argument("--key", action="append", default=[], dest="keys", metavar="FILE|KMS")
    parser.add_argument("--batch", type=int, default=_BATCH)
    parser.add_argument("--partitions", type=int)
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
    objects = inventory(spark, options.inventory, job.address.partition(":")[0])
    found = run(
        spark, job, objects, options.report, batch=options.batch, partitions=options.partitions
    )
    for status, count in sorted(found.items()):
        print(f"{count:>12} {status}")
    return 1 if set(found) & {"failed", "damaged", "locked", "invalid", "refused"} else 0


if __name__ == "__main__":
    # What is sent to executors has to be found there, which `__main__` is not.
    from envelope_cse import spark as _this

    sys.exit(_this.main())
