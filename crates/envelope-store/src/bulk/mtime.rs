//! The time of a file, kept in the metadata of its object.

use std::{
    fs::File,
    io,
    time::{Duration, SystemTime},
};

use jiff::Timestamp;
use meta_codec::Vendor;

use crate::ObjectMeta;

/// The name of the header, behind the prefix of the vendor: that of rclone.
const NAME: &str = "mtime";

/// Returns the header that keeps the time of a file: seconds since 1970, with nine decimals, as
/// rclone writes it (`mtime`, version 1.60). `None` for a time before 1970.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
///
/// use envelope_store::{bulk::mtime_header, envelope_core::Vendor};
///
/// let time = UNIX_EPOCH + Duration::from_millis(1_700_000_000_250);
/// let header = mtime_header(Vendor::Oss, time);
/// assert_eq!(header, Some(("x-oss-meta-mtime".into(), "1700000000.250000000".into())));
/// ```
#[must_use]
pub fn mtime_header(vendor: Vendor, time: SystemTime) -> Option<(String, String)> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    let value = format!("{}.{:09}", since.as_secs(), since.subsec_nanos());
    Some((format!("{}{NAME}", vendor.metadata_prefix()), value))
}

/// Returns the time of the file that an object was made of, if its metadata has one, and otherwise
/// the time at which the object was written.
#[must_use]
pub fn modified(meta: &ObjectMeta) -> Option<SystemTime> {
    let prefixes = Vendor::ALL.into_iter().map(Vendor::metadata_prefix);
    let kept = prefixes.filter_map(|prefix| meta.header(&format!("{prefix}{NAME}"))).next();
    kept.and_then(parse).or_else(|| listed(meta.modified.as_deref()?))
}

/// The coarsest step of file systems that keep fractions of a second: that of exFAT.
pub(super) const FINE_STEP: Duration = Duration::from_millis(10);

/// The steps in which file systems count times, in nanoseconds: most count each, NTFS tenths of a
/// microsecond, exFAT hundredths of a second, others seconds, and FAT every other one.
const STEPS: [u128; 7] = [1, 100, 1_000, 1_000_000, 10_000_000, SECOND, 2 * SECOND];
/// A second, in nanoseconds.
const SECOND: u128 = 1_000_000_000;

/// Returns the step in which the file system of a file counts times.
pub(super) fn time_step(probe: &File) -> io::Result<Duration> {
    // An odd second with nine decimals.
    let time = SystemTime::UNIX_EPOCH + Duration::new(1_700_000_001, 987_654_321);
    // Where no time can be set, there is none to compare with.
    if probe.set_modified(time).is_err() {
        return Ok(FINE_STEP);
    }
    let nanos = |time: SystemTime| {
        time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos())
    };
    let read = probe.metadata()?.modified().map_or(0, nanos);
    let step = STEPS.into_iter().find(|step| cut(nanos(time), *step) == Some(read));
    Ok(step.and_then(|step| u64::try_from(step).ok()).map_or(FINE_STEP, Duration::from_nanos))
}

/// Returns the last multiple of a step that is not after a time.
const fn cut(nanos: u128, step: u128) -> Option<u128> {
    match nanos.checked_rem(step) {
        Some(rest) => nanos.checked_sub(rest),
        None => None,
    }
}

/// Returns whether the time of a file is the one that its object keeps, as far as the file system
/// of the file can tell, whose steps are as long as `step` at most. Without one, it keeps fractions
/// of a second.
#[must_use]
pub fn is_same_time(of_file: SystemTime, kept: SystemTime, step: Option<Duration>) -> bool {
    let nanos = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).ok();
    let (Some(of_file), Some(kept)) = (nanos(of_file), nanos(kept)) else {
        return of_file == kept;
    };
    let (of_file, kept) = (of_file.as_nanos(), kept.as_nanos());
    // A time in whole seconds is that of a store, and an odd one is another one than an even one.
    let coarsest = match kept.checked_rem(SECOND) {
        Some(0) => 1,
        _ => step.unwrap_or(FINE_STEP).as_nanos(),
    };
    let steps = STEPS.into_iter().filter(|step| *step <= coarsest);
    steps.into_iter().any(|step| cut(kept, step) == Some(of_file))
}

/// Returns a time as stores write it: RFC 3339 in a listing, RFC 9110 in a response. `None` for
/// anything else.
#[must_use]
pub fn listed(text: &str) -> Option<SystemTime> {
    match text.parse::<Timestamp>() {
        Ok(time) => Some(time.into()),
        Err(_) => httpdate::parse_http_date(text).ok(),
    }
}

fn parse(text: &str) -> Option<SystemTime> {
    let (seconds, decimals) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if seconds.is_empty() || !digits(seconds) || !digits(decimals) || decimals.len() > 9 {
        return None;
    }
    let nanos = format!("{decimals:0<9}").parse().ok()?;
    let since = Duration::new(seconds.parse().ok()?, nanos);
    // What no calendar has is no time of a file.
    SystemTime::UNIX_EPOCH.checked_add(since).filter(|time| Timestamp::try_from(*time).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for nanos in [0, 1, 999_999_999, 250_000_000, 1_700_000_000_123_456_789] {
            let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos);
            for vendor in Vendor::ALL {
                let headers = vec![mtime_header(vendor, time).unwrap()];
                let mut meta = ObjectMeta::new(0, "", headers);
                meta.modified = Some("Fri, 27 Nov 2026 12:00:00 GMT".to_owned());
                assert_eq!(modified(&meta), Some(time));
            }
        }
        let before = SystemTime::UNIX_EPOCH - Duration::from_nanos(1);
        assert_eq!(mtime_header(Vendor::Oss, before), None);
    }

    #[test]
    fn times_are_compared_as_exactly_as_a_file_system_keeps_them() {
        let at = |nanos: u64| SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos);
        let kept = at(1_700_000_001_123_456_789);
        for same in
            [1_700_000_001_123_456_789, 1_700_000_001_123_456_700, 1_700_000_001_120_000_000]
        {
            assert!(is_same_time(at(same), kept, None), "{same}");
        }
        // Only where nothing finer can be kept.
        for (coarse, step) in [(1_700_000_001_000_000_000, 1), (1_700_000_000_000_000_000, 2)] {
            let step = Duration::from_secs(step);
            assert!(is_same_time(at(coarse), kept, Some(step)), "{coarse}");
            assert!(!is_same_time(at(coarse), kept, Some(step / 2)), "{coarse}");
            assert!(!is_same_time(at(coarse), kept, None), "{coarse}");
        }
        for other in [
            1_700_000_001_123_456_788,
            1_700_000_001_123_456_800,
            1_700_000_001_123_456_600,
            1_700_000_001_140_000_000,
            1_699_999_999_000_000_000,
            1_700_000_003_000_000_000,
            1_700_000_004_000_000_000,
        ] {
            let coarsest = Some(Duration::from_secs(2));
            assert!(!is_same_time(at(other), kept, coarsest), "{other}");
        }
        // The time of a store, which somebody else wrote a second later.
        let (even, odd) = (at(1_700_000_000_000_000_000), at(1_700_000_001_000_000_000));
        let is_same_time = |one, other| is_same_time(one, other, Some(Duration::from_secs(2)));
        assert!(is_same_time(even, even) && !is_same_time(even, odd));
        let before = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        assert!(is_same_time(before, before) && !is_same_time(before, kept));
    }

    #[test]
    fn what_is_no_time_is_passed_over() {
        let written = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_780_800);
        for (text, nanos) in [("7", 0), ("7.5", 500_000_000), ("007.000000001", 1)] {
            assert_eq!(parse(text), Some(SystemTime::UNIX_EPOCH + Duration::new(7, nanos)));
        }
        for text in
            ["", ".", ".5", "-1", "+1", "1.5.5", "1e9", "1.0000000001", "99999999999999999999", "x"]
        {
            let headers = vec![("x-cos-meta-mtime".to_owned(), text.to_owned())];
            let mut meta = ObjectMeta::new(0, "", headers);
            assert_eq!(modified(&meta), None, "{text:?}");
            for form in ["2026-11-27T12:00:00.000Z", "Fri, 27 Nov 2026 12:00:00 GMT"] {
                meta.modified = Some(form.to_owned());
                assert_eq!(modified(&meta), Some(written), "{text:?} {form}");
            }
        }
    }
}
