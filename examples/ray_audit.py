"""Audits the objects of an inventory with Ray Data.

usage: ray_audit.py ADDRESS INVENTORY.csv KEY REPORT_FOLDER

ADDRESS is oss://BUCKET or cos://BUCKET-APPID; region, endpoint and access keys come from the
environment of the workers. The inventory has the columns key, size and etag.
"""

import sys

import ray
from envelope_cse import Decryptor, Store, open_key


class Audit:
    """One actor: its connections, its key, and a cache of content keys."""

    def __init__(self, address, key):
        self.store, self.decryptor = Store(address), Decryptor([open_key(key)])

    def __call__(self, batch):
        rows = self.store.audit(list(batch["key"]), self.decryptor, parallel=64)
        batch["status"] = [status for status, _, _ in rows]
        batch["error"] = [details.get("error", "") for _, _, details in rows]
        return batch


def main(address, inventory, key, report):
    objects = ray.data.read_csv(inventory)
    audited = objects.map_batches(
        Audit, fn_constructor_args=(address, key), batch_size=1000, batch_format="pandas",
        concurrency=(1, 8), num_cpus=0.5,
    )  # fmt: skip
    audited.write_parquet(report)
    print(ray.data.read_parquet(report).groupby("status").count().to_pandas().to_string())


if __name__ == "__main__":
    main(*sys.argv[1:5])
