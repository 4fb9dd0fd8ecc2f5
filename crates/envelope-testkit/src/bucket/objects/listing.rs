//! Listings of objects and of open uploads.

use std::collections::BTreeSet;

use super::{
    super::{
        Fault,
        answer::{Answer, document, escape},
        route::{Call, encode},
    },
    Begun, Kept, Name, State, iso_date,
};

impl State {
    /// Lists the objects or the open multipart uploads of a bucket.
    pub(in super::super) fn list(&self, call: &Call, fault: Option<Fault>) -> Answer {
        let encoded = call.query("encoding-type") == "url";
        let shown = |key: &str| if encoded { encode(key, "/") } else { escape(key) };
        let kind = if encoded { "<EncodingType>url</EncodingType>" } else { "" };
        let prefix = call.query("prefix");
        if call.query.contains_key("location") {
            return document("<LocationConstraint>loop</LocationConstraint>");
        }
        if call.query.contains_key("uploads") {
            return self.open_list(call, fault, kind, &shown);
        }
        if call.query.contains_key("versions") {
            return self.version_list(call, fault, kind, &shown);
        }
        let after = ["continuation-token", "start-after", "marker"]
            .iter()
            .map(|name| call.query(name))
            .find(|after| !after.is_empty())
            .unwrap_or_default();
        let most = call.query("max-keys").parse().unwrap_or(1000_usize).min(call.page);
        let delimiter = call.query("delimiter");
        let (mut contents, mut folders) = (String::new(), BTreeSet::new());
        let (mut count, mut last, mut more) = (0, String::new(), false);
        for (key, kept) in self.after(&call.bucket, prefix, after) {
            let rest = key.get(prefix.len()..).unwrap_or_default();
            let folder = rest.split_once(delimiter).filter(|_| !delimiter.is_empty());
            let folder = folder.map(|(name, _)| format!("{prefix}{name}{delimiter}"));
            if folder.as_ref().is_some_and(|folder| folders.contains(folder)) {
                last.clone_from(&key);
                continue;
            }
            if count >= most {
                more = true;
                break;
            }
            count += 1;
            last.clone_from(&key);
            if let Some(folder) = folder {
                folders.insert(folder);
                continue;
            }
            contents.push_str(&format!(
                "<Contents><Key>{}</Key><LastModified>{}</LastModified><ETag>{}</ETag>\
                 <Type>Normal</Type><Size>{}</Size><StorageClass>Standard</StorageClass>\
                 <Owner><ID>0</ID><DisplayName>0</DisplayName></Owner></Contents>",
                shown(&key),
                iso_date(kept.written),
                escape(&kept.etag),
                kept.bytes.len()
            ));
        }
        let folders: String = folders
            .iter()
            .map(|it| format!("<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>", shown(it)))
            .collect();
        let (more, next) = match fault {
            Some(Fault::SameMarker) => (true, shown(after)),
            Some(Fault::NoMarker) => (true, String::new()),
            _ => (more, shown(&last)),
        };
        if fault == Some(Fault::NoMarker) {
            contents.clear();
        }
        let next = if more {
            format!(
                "<NextMarker>{next}</NextMarker>\
                 <NextContinuationToken>{next}</NextContinuationToken>"
            )
        } else {
            String::new()
        };
        document(&format!(
            "<ListBucketResult><Name>{}</Name><Prefix>{}</Prefix><Marker>{}</Marker>\
             <MaxKeys>{most}</MaxKeys><Delimiter>{}</Delimiter>{kind}<KeyCount>{count}</KeyCount>\
             <IsTruncated>{more}</IsTruncated>{next}{contents}{folders}</ListBucketResult>",
            call.bucket,
            shown(prefix),
            shown(after),
            shown(delimiter)
        ))
    }

    /// Lists all versions of the objects of a bucket, the newest of each first.
    fn version_list(
        &self,
        call: &Call,
        fault: Option<Fault>,
        kind: &str,
        shown: &dyn Fn(&str) -> String,
    ) -> Answer {
        let prefix = call.query("prefix");
        let (after_key, after_id) = (call.query("key-marker"), call.query("version-id-marker"));
        let mut names: BTreeSet<&Name> = self.objects.keys().collect();
        names.extend(self.old.keys());
        let names = names.into_iter().filter(|(bucket, key)| {
            *bucket == call.bucket && key.starts_with(prefix) && key.as_str() >= after_key
        });
        let all = names.flat_map(|name| {
            let old = self.old.get(name).into_iter().flatten().rev();
            let all: Vec<&Kept> = self.objects.get(name).into_iter().chain(old).collect();
            let id = |kept: &Kept| kept.version.clone().unwrap_or_else(|| "null".to_owned());
            let seen = match name.1 == after_key {
                true if after_id.is_empty() => all.len(),
                true => all.iter().position(|kept| id(kept) == after_id).map_or(0, |it| it + 1),
                false => 0,
            };
            all.into_iter().enumerate().skip(seen).map(move |(n, kept)| (name, n, id(kept), kept))
        });
        let mut all: Vec<_> = all.take(call.page + 1).collect();
        let more = all.len() > call.page;
        all.truncate(call.page);
        let last = all.last().map(|(name, _, id, _)| (name.1.clone(), id.clone()));
        let (more, next) = match fault {
            Some(Fault::SameMarker) => (true, (after_key.to_owned(), after_id.to_owned())),
            Some(Fault::NoMarker) => (true, Default::default()),
            _ => (more, last.filter(|_| more).unwrap_or_default()),
        };
        let mut text = String::new();
        for (name, n, id, kept) in all {
            let element = if kept.is_marker { "DeleteMarker" } else { "Version" };
            let about = format!(
                "<Key>{}</Key><VersionId>{id}</VersionId><IsLatest>{}</IsLatest>\
                 <LastModified>{}</LastModified>",
                shown(&name.1),
                n == 0,
                iso_date(kept.written)
            );
            let size = format!(
                "<ETag>{}</ETag><Size>{}</Size><StorageClass>Standard</StorageClass>",
                escape(&kept.etag),
                kept.bytes.len()
            );
            let size = if kept.is_marker { String::new() } else { size };
            text.push_str(&format!("<{element}>{about}{size}</{element}>"));
        }
        document(&format!(
            "<ListVersionsResult><Name>{}</Name>{kind}<IsTruncated>{more}</IsTruncated>\
             <NextKeyMarker>{}</NextKeyMarker><NextVersionIdMarker>{}</NextVersionIdMarker>{text}\
             </ListVersionsResult>",
            call.bucket,
            shown(&next.0),
            next.1
        ))
    }

    /// Lists the open uploads of a bucket.
    fn open_list(
        &self,
        call: &Call,
        fault: Option<Fault>,
        kind: &str,
        shown: &dyn Fn(&str) -> String,
    ) -> Answer {
        let after = (call.query("key-marker"), call.query("upload-id-marker"));
        let mut open: Vec<(&str, &str, &Begun)> = self
            .uploads
            .iter()
            .filter(|(_, it)| it.name.0 == call.bucket)
            .map(|(id, it)| (it.name.1.as_str(), id.as_str(), it))
            .filter(|(key, id, _)| key.starts_with(call.query("prefix")) && (*key, *id) > after)
            .collect();
        open.sort_unstable_by_key(|(key, id, _)| (*key, *id));
        let more = open.len() > call.page;
        open.truncate(call.page);
        let last = open.last().map_or(("", ""), |(key, id, _)| (*key, *id));
        let (more, next) = match fault {
            Some(Fault::SameMarker) => (true, after),
            Some(Fault::NoMarker) => (true, ("", "")),
            _ => (more, last),
        };
        let text: String = open
            .into_iter()
            .map(|(key, id, it)| {
                format!(
                    "<Upload><Key>{}</Key><UploadId>{id}</UploadId>\
                     <Initiated>{}</Initiated></Upload>",
                    shown(key),
                    iso_date(it.begun)
                )
            })
            .collect();
        document(&format!(
            "<ListMultipartUploadsResult><Bucket>{}</Bucket>{kind}\
             <NextKeyMarker>{}</NextKeyMarker><NextUploadIdMarker>{}</NextUploadIdMarker>\
             <IsTruncated>{more}</IsTruncated>{text}</ListMultipartUploadsResult>",
            call.bucket,
            shown(next.0),
            next.1
        ))
    }
}
