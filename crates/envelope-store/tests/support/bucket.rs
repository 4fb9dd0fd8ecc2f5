//! A bucket on this machine, for the tests of transfers.

use envelope_store::{Bucket, Credentials, Signature};
use envelope_testkit::bucket::{ACCESS_KEY, LoopbackBucket, SECRET};
use meta_codec::Dialect;

/// Returns a client of the bucket that takes objects of this dialect.
pub(crate) fn bucket(server: &LoopbackBucket, dialect: Dialect) -> Bucket {
    let endpoint = server.url().parse().unwrap();
    let credentials = Credentials::new(ACCESS_KEY, SECRET);
    let bucket = if dialect == Dialect::COS_V2 {
        Bucket::cos("b-1", endpoint, credentials)
    } else {
        Bucket::oss("b-1", "cn-x", endpoint, credentials, Signature::V4)
    };
    bucket.unwrap()
}
