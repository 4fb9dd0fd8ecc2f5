//! Inventories: files that list objects.

use std::{
    collections::HashSet,
    fmt,
    fs::File,
    io::{self, BufRead as _, BufReader, Lines},
    path::{Path, PathBuf},
};

use csv::{StringRecord, StringRecordsIntoIter};
use serde_json::Value;

use super::mark::{Mark, mark};
use crate::{Location, decode_key};

/// A file that lists the objects of a bucket, row by row.
///
/// There are three formats: an inventory as both services write it (CSV without a header: bucket,
/// URL-encoded key, and more), CSV whose header has a column `key` and perhaps one `bucket`, and
/// lines of JSON with `key` and perhaps `bucket`. In the latter two, keys are not encoded. An
/// object that is listed again is passed over.
///
/// ```
/// use envelope_store::{Address, bulk::{Inventory, Row}};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("inventory.csv");
/// std::fs::write(&path, "photos,2026%2Fa.jpg,1024\nother,b.jpg,1\n")?;
/// let bucket: Address = "oss://photos/".parse()?;
/// let rows: Vec<Row> = Inventory::open(&path, &bucket.location)?.collect::<Result<_, _>>()?;
/// assert_eq!(rows[0], Row::Key("2026/a.jpg".into()));
/// assert_eq!(rows[1], Row::Foreign { bucket: "other".into(), key: "b.jpg".into() });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Inventory {
    path: PathBuf,
    /// The bucket that is worked on, if the location is one.
    bucket: Option<String>,
    rows: Rows,
    seen: HashSet<Mark>,
}

impl fmt::Debug for Inventory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inventory").field("path", &self.path).finish_non_exhaustive()
    }
}

enum Rows {
    Json(Lines<BufReader<File>>, u64),
    Csv(StringRecordsIntoIter<BufReader<File>>, Columns, u64),
}

/// The columns of CSV.
#[derive(Clone, Copy, Debug)]
enum Columns {
    /// The header was not read yet.
    Unknown,
    /// The format of the services.
    OfService,
    /// As the header says.
    Named { key: usize, bucket: Option<usize> },
}

/// A row of an inventory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Row {
    /// The key of an object.
    Key(String),
    /// An object in another bucket than the one that is worked on.
    Foreign {
        /// The other bucket.
        bucket: String,
        /// The key in it.
        key: String,
    },
}

impl Inventory {
    /// Opens an inventory, for work on the objects at a location.
    ///
    /// # Errors
    /// [`InventoryError::Io`].
    pub fn open(path: &Path, location: &Location) -> Result<Self, InventoryError> {
        let fail = |source| InventoryError::Io { path: path.to_owned(), source };
        let mut file = BufReader::new(File::open(path).map_err(fail)?);
        let is_json = file.fill_buf().map_err(fail)?.trim_ascii_start().starts_with(b"{");
        let rows = if is_json {
            Rows::Json(file.lines(), 0)
        } else {
            let mut reader = csv::ReaderBuilder::new();
            let reader = reader.has_headers(false).flexible(true).from_reader(file);
            Rows::Csv(reader.into_records(), Columns::Unknown, 0)
        };
        let bucket = match location {
            Location::Bucket(_, bucket) => Some(bucket.clone()),
            Location::Folder(_) => None,
        };
        Ok(Self { path: path.to_owned(), bucket, rows, seen: HashSet::new() })
    }

    /// Returns the row of a key in the bucket `of`, if that is known.
    fn row(&self, key: &str, of: Option<&str>) -> Row {
        match (of, &self.bucket) {
            (Some(of), Some(wanted)) if of != wanted => {
                Row::Foreign { bucket: of.to_owned(), key: key.to_owned() }
            }
            _ => Row::Key(key.to_owned()),
        }
    }

    fn next_json(&mut self) -> Option<Result<Row, Fault>> {
        let line = loop {
            let Rows::Json(lines, count) = &mut self.rows else { return None };
            *count = count.saturating_add(1);
            match lines.next()? {
                Ok(line) if line.trim().is_empty() => {}
                Ok(line) => break line,
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    return Some(Err(Fault::Malformed));
                }
                Err(error) => return Some(Err(Fault::Io(error))),
            }
        };
        let Ok(value) = serde_json::from_str::<Value>(&line) else {
            return Some(Err(Fault::Malformed));
        };
        let field = |name: &str, other: &str| {
            value.get(name).or_else(|| value.get(other)).and_then(Value::as_str)
        };
        let row = field("key", "Key").map(|key| self.row(key, field("bucket", "Bucket")));
        Some(row.ok_or(Fault::Malformed))
    }

    fn next_csv(&mut self) -> Option<Result<Row, Fault>> {
        loop {
            let Rows::Csv(records, columns, count) = &mut self.rows else { return None };
            *count = count.saturating_add(1);
            let record = match records.next()? {
                Ok(record) => record,
                Err(error) => {
                    return Some(Err(match error.into_kind() {
                        csv::ErrorKind::Io(error) => Fault::Io(error),
                        _ => Fault::Malformed,
                    }));
                }
            };
            if matches!(columns, Columns::Unknown) {
                match Columns::of(&record, self.bucket.as_deref()) {
                    Some((found, is_header)) => {
                        *columns = found;
                        if is_header {
                            continue;
                        }
                    }
                    None => return Some(Err(Fault::Malformed)),
                }
            }
            let columns = *columns;
            return Some(self.record(&record, columns).ok_or(Fault::Malformed));
        }
    }

    fn record(&self, record: &StringRecord, columns: Columns) -> Option<Row> {
        match columns {
            Columns::Named { key, bucket } => {
                let of = bucket.and_then(|column| record.get(column));
                record.get(key).map(|key| self.row(key, of))
            }
            // A COS bucket includes its APPID.
            Columns::OfService | Columns::Unknown => match (record.get(0), record.get(1)) {
                (Some(of), Some(key)) => decode_key(key).map(|key| self.row(&key, Some(of))),
                (Some(key), None) => Some(Row::Key(key.to_owned())),
                _ => None,
            },
        }
    }
}

impl Iterator for Inventory {
    type Item = Result<Row, InventoryError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let row = match &self.rows {
                Rows::Json(..) => self.next_json()?,
                Rows::Csv(..) => self.next_csv()?,
            };
            let (Rows::Json(_, count) | Rows::Csv(_, _, count)) = &self.rows;
            let (path, number) = (self.path.clone(), *count);
            let row = match row {
                Ok(row) => row,
                Err(fault) => return Some(Err(fault.at(path, number))),
            };
            let mark = match &row {
                Row::Key(key) => mark(key, None),
                Row::Foreign { bucket, key } => mark(key, Some(bucket)),
            };
            if self.seen.insert(mark) {
                return Some(Ok(row));
            }
        }
    }
}

enum Fault {
    Io(io::Error),
    Malformed,
}

impl Fault {
    fn at(self, path: PathBuf, row: u64) -> InventoryError {
        match self {
            Self::Io(source) => InventoryError::Io { path, source },
            Self::Malformed => InventoryError::Malformed { path, row },
        }
    }
}

impl Columns {
    /// Returns the columns of a file with this first record, and whether that is a header. `None`
    /// if nobody can tell.
    fn of(first: &StringRecord, bucket: Option<&str>) -> Option<(Self, bool)> {
        // It is an object of this bucket already.
        if bucket.is_some() && bucket == first.get(0) {
            return Some((Self::OfService, false));
        }
        let column = |wanted: &str| first.iter().position(|it| it.eq_ignore_ascii_case(wanted));
        match column("key") {
            Some(1) if is_perhaps_bucket(first.get(0)) => None,
            Some(key) => Some((Self::Named { key, bucket: column("bucket") }, true)),
            None => Some((Self::OfService, false)),
        }
    }
}

/// Returns whether the cell before a cell `key` could be a bucket, so that nobody can tell whether
/// these are names of columns.
fn is_perhaps_bucket(cell: Option<&str>) -> bool {
    const COLUMNS: [&str; 5] = ["bucket", "etag", "id", "name", "size"];
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    cell.is_some_and(|cell| cell.bytes().all(plain) && !COLUMNS.contains(&cell))
}

/// An inventory that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InventoryError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A row has none of the three formats.
    #[error("{}: row {row} is malformed", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The row, counted from 1.
        row: u64,
    },
}
