//! One column of an encrypted Parquet file.

#![allow(
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use std::{
    io::{Cursor, Read},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use bytes::Bytes;
use envelope_core::{Decryptor, Dialect, Encryptor, KeyCacheLimits, Keyring};
use envelope_object_store::EncryptedStore;
use object_store::{ObjectStore, ObjectStoreExt as _, path::Path};
use parquet::{
    data_type::Int64Type,
    errors::ParquetError,
    file::{
        properties::WriterProperties,
        reader::{ChunkReader, FileReader as _, Length, SerializedFileReader},
        writer::SerializedFileWriter,
    },
    record::RowAccessor as _,
    schema::parser::parse_message_type,
};
use tokio::runtime::Handle;

use self::common::{CountingKey, Memory};

const COLUMNS: i64 = 8;
const ROWS: i64 = 200_000;
const GROUPS: i64 = 4;

/// The numbers in a column, which do not compress.
fn number(column: i64, row: i64) -> i64 {
    (column * ROWS + row).wrapping_mul(0x5851_f42d_4c95_7f2d)
}

/// Writes a file of 51 MB.
fn file() -> Bytes {
    let fields: String = (0..COLUMNS).map(|n| format!("required int64 c{n};")).collect();
    let schema = parse_message_type(&format!("message schema {{ {fields} }}")).unwrap();
    let properties = WriterProperties::builder().set_dictionary_enabled(false).build();
    let mut writer =
        SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties)).unwrap();
    for group in 0..GROUPS {
        let mut rows = writer.next_row_group().unwrap();
        let mut column = 0;
        while let Some(mut out) = rows.next_column().unwrap() {
            let values: Vec<i64> =
                (0..ROWS).map(|row| number(column, group * ROWS + row)).collect();
            out.typed::<Int64Type>().write_batch(&values, None, None).unwrap();
            out.close().unwrap();
            column += 1;
        }
        rows.close().unwrap();
    }
    writer.into_inner().unwrap().into()
}

/// A file in a store, for the blocking reader: every read is a range.
struct Remote<S> {
    store: Arc<S>,
    path: Path,
    len: u64,
    runtime: Handle,
}

impl<S: ObjectStore> Length for Remote<S> {
    fn len(&self) -> u64 {
        self.len
    }
}

impl<S: ObjectStore> ChunkReader for Remote<S> {
    type T = Box<dyn Read>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        let len = usize::try_from((self.len - start).min(64 * 1024)).unwrap();
        Ok(Box::new(Cursor::new(self.get_bytes(start, len)?)))
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        let range = start..start + length as u64;
        let read = self.store.get_range(&self.path, range);
        self.runtime.block_on(read).map_err(|error| ParquetError::External(Box::new(error)))
    }
}

/// Reads one column, and returns the sum of its numbers.
async fn sum<S: ObjectStore>(store: Arc<S>, path: &Path) -> i64 {
    let len = store.head(path).await.unwrap().size;
    let remote = Remote { store, path: path.clone(), len, runtime: Handle::current() };
    tokio::task::spawn_blocking(move || {
        let reader = SerializedFileReader::new(remote).unwrap();
        let wanted = parse_message_type("message schema { required int64 c5; }").unwrap();
        let rows = reader.get_row_iter(Some(wanted)).unwrap();
        rows.fold(0, |sum: i64, row| sum.wrapping_add(row.unwrap().get_long(0).unwrap()))
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn a_column_costs_one_unwrap_and_the_bytes_of_a_plain_file() {
    let (file, path) = (file(), Path::from("year=2026/part-0.parquet"));
    let want = (0..GROUPS * ROWS).fold(0, |sum: i64, row| sum.wrapping_add(number(5, row)));

    let plain = Arc::new(Memory::default());
    plain.put(&path, file.clone().into()).await.unwrap();
    assert_eq!(sum(Arc::clone(&plain), &path).await, want);

    let key = CountingKey::generate();
    let encryptor = Encryptor::new(&key.key, Dialect::COS_V2);
    let limits = KeyCacheLimits::new(10, Duration::from_secs(60));
    let decryptor = Decryptor::new(&Keyring::new().with(key.clone())).with_cache(limits);
    let store = EncryptedStore::new(Memory::default(), encryptor, decryptor);
    store.put(&path, file.clone().into()).await.unwrap();
    let stored = store.inner().inner.get(&path).await.unwrap().bytes().await.unwrap();
    assert!(stored.len() == file.len() && !stored.starts_with(b"PAR1"));
    let written = store.inner().heads.load(Relaxed);
    let store = Arc::new(store);
    assert_eq!(sum(Arc::clone(&store), &path).await, want);

    let memory = store.inner();
    let (bytes, gets) = (memory.bytes.load(Relaxed), memory.gets.load(Relaxed));
    let (plain_bytes, plain_gets) = (plain.bytes.load(Relaxed), plain.gets.load(Relaxed));
    println!("{bytes} bytes in {gets} requests; plain: {plain_bytes} bytes in {plain_gets}");
    assert!(bytes <= plain_bytes + plain_bytes / 20 && bytes < file.len() as u64 / 4);
    assert_eq!(gets, plain_gets);
    assert_eq!(memory.heads.load(Relaxed) - written, 1, "only the reader's own");
    assert_eq!(key.unwraps.load(Relaxed), 1);
}
