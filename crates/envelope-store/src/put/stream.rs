//! Uploads of streams.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
};

use bytes::Bytes;
use envelope_core::{AesKeyWrapper, Crc64, Encryptor, io::EncryptWriter};
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use meta_codec::{Dialect, Envelope, PartLayout, Vendor};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::{
    Put, PutOutcome, STREAM_PART_SIZE,
    multipart::{complete, initiate, send_part},
    source::Source,
};
use crate::{
    Event, Headers, TransferError, Upload,
    transfer::{Tap, read},
};

/// Number of bytes read from a stream at a time.
const CHUNK: u64 = 256 * 1024;

pub(super) async fn put(
    put: &Put<'_>,
    mut plain: impl AsyncRead + Send + Unpin,
    len: Option<u64>,
    encryptor: &Encryptor<'_>,
    gcm: bool,
) -> Result<PutOutcome, TransferError> {
    let first = read_or_stop(put, &mut plain, put.threshold.saturating_add(1)).await?;
    let whole = (first.len() as u64 <= put.threshold).then_some(first.len() as u64);
    if len.zip(whole).is_some_and(|(said, came)| said != came) {
        return Err(TransferError::SourceChanged);
    }
    if !gcm && whole.is_some() {
        return put.single(first, encryptor).await;
    }
    put.check_new().await?;
    if !gcm && put.store.vendor() == Some(Vendor::Oss) {
        return spooled(put, plain, first, encryptor).await;
    }
    let encryptor = whole.or(len).map_or(*encryptor, |len| encryptor.plain_len(len));
    let tap = Tap::default();
    let (envelope, writer) = if gcm {
        let (envelope, cipher) = encryptor.encrypt_gcm()?;
        (envelope, EncryptWriter::new(tap.clone(), cipher))
    } else {
        let (envelope, cipher) = encryptor.encrypt()?;
        (envelope, EncryptWriter::new(tap.clone(), cipher))
    };
    let headers = put.all_headers(&envelope, encryptor.dialect())?;
    let envelope = read(&headers)?;
    let mut cipher =
        Ciphertext { plain, first: Some(first), writer: Some(writer), tap, left: Vec::new() };
    if whole.is_some() {
        let body = cipher.next(usize::MAX).await?;
        return put.write(body, headers, envelope).await;
    }
    parts(put, cipher, headers, envelope).await
}

/// Encrypts a reader as its ciphertext is requested.
struct Ciphertext<R> {
    plain: R,
    first: Option<Vec<u8>>,
    writer: Option<EncryptWriter<Tap>>,
    tap: Tap,
    left: Vec<u8>,
}

impl<R: AsyncRead + Send + Unpin> Ciphertext<R> {
    /// Returns the next `want` bytes, or fewer at the end.
    async fn next(&mut self, want: usize) -> Result<Vec<u8>, TransferError> {
        while self.left.len() < want && self.writer.is_some() {
            let chunk = match self.first.take() {
                Some(first) => first,
                None => read_up_to(&mut self.plain, CHUNK).await?,
            };
            if let Some(mut writer) = self.writer.take() {
                if chunk.is_empty() {
                    writer.finish()?;
                } else {
                    writer.write_all(&chunk)?;
                    self.writer = Some(writer);
                }
            }
            if self.left.is_empty() {
                self.left = self.tap.take();
            } else {
                self.left.append(&mut self.tap.take());
            }
        }
        let rest = self.left.split_off(want.min(self.left.len()));
        Ok(std::mem::replace(&mut self.left, rest))
    }
}

async fn read_or_stop(
    put: &Put<'_>,
    from: &mut (impl AsyncRead + Send + Unpin),
    most: u64,
) -> Result<Vec<u8>, TransferError> {
    tokio::select! {
        bytes = read_up_to(from, most) => bytes,
        () = put.stopped() => Err(TransferError::Stopped),
    }
}

async fn read_up_to(
    from: &mut (impl AsyncRead + Send + Unpin),
    most: u64,
) -> Result<Vec<u8>, TransferError> {
    let mut bytes = Vec::new();
    from.take(most).read_to_end(&mut bytes).await?;
    Ok(bytes)
}

/// Uploads a stream in parts as it is read.
async fn parts<R: AsyncRead + Send + Unpin>(
    put: &Put<'_>,
    cipher: Ciphertext<R>,
    headers: Headers,
    envelope: Option<Envelope>,
) -> Result<PutOutcome, TransferError> {
    let upload = initiate(put, &headers).await?;
    let outcome = send_all(put, &upload, cipher, &headers, envelope.as_ref()).await;
    if outcome.is_err() {
        // The original error matters more than a failure to abort.
        let _ = put.store.abort(&upload).await;
    }
    outcome
}

async fn send_all<R: AsyncRead + Send + Unpin>(
    put: &Put<'_>,
    upload: &Upload,
    mut cipher: Ciphertext<R>,
    headers: &Headers,
    envelope: Option<&Envelope>,
) -> Result<PutOutcome, TransferError> {
    let size = put.part_size.unwrap_or(STREAM_PART_SIZE);
    let size = usize::try_from(size).map_err(io::Error::other)?;
    let (mut arrived, mut lens) = (BTreeMap::new(), Vec::new());
    let mut sending = FuturesUnordered::new();
    loop {
        let part = tokio::select! {
            part = cipher.next(size) => part?,
            () = put.stopped() => return Err(TransferError::Stopped),
        };
        if part.is_empty() {
            break;
        }
        let number = u16::try_from(lens.len().saturating_add(1))
            .ok()
            .filter(|number| u64::from(*number) <= PartLayout::MAX_PARTS)
            .ok_or(TransferError::TooLong)?;
        lens.push((number, part.len() as u64));
        let mut sum = Crc64::new();
        sum.update(&part);
        let (body, crc64) = (Bytes::from(part), sum.value());
        sending.push(async move {
            let len = body.len() as u64;
            let stored = send_part(put, upload, number, body, crc64, headers).await?;
            Ok::<_, TransferError>((number, stored.etag, crc64, len))
        });
        // Reading pauses while `in_flight` parts are in flight, which bounds the memory.
        while sending.len() >= put.in_flight {
            tokio::select! {
                sent = sending.next() => note(put, sent, &mut arrived)?,
                () = put.stopped() => return Err(TransferError::Stopped),
            }
        }
    }
    while !sending.is_empty() {
        note(put, sending.next().await, &mut arrived)?;
    }
    complete(put, upload, &arrived, lens.into_iter(), envelope).await
}

fn note(
    put: &Put<'_>,
    sent: Option<Result<(u16, String, u64, u64), TransferError>>,
    arrived: &mut BTreeMap<u16, (String, u64)>,
) -> Result<(), TransferError> {
    if let Some(sent) = sent {
        let (number, etag, crc64, len) = sent?;
        arrived.insert(number, (etag, crc64));
        put.listener.tell(Event::Moved(len));
    }
    Ok(())
}

/// Uploads a stream by way of a temporary file, to learn its length. The file is encrypted with a
/// key of its own, which never leaves memory.
async fn spooled(
    put: &Put<'_>,
    mut plain: impl AsyncRead + Send + Unpin,
    first: Vec<u8>,
    encryptor: &Encryptor<'_>,
) -> Result<PutOutcome, TransferError> {
    let wrapper = AesKeyWrapper::generate().map_err(envelope_core::EncryptError::from)?;
    let (_, cover) = Encryptor::new(&wrapper, Dialect::COS_V2).encrypt()?;
    let (mut keystream, mut file, mut chunk) = (cover.at(0), tempfile::tempfile()?, first);
    while !chunk.is_empty() {
        keystream.apply(&mut chunk);
        let written = tokio::task::spawn_blocking(move || file.write_all(&chunk).map(|()| file));
        file = written.await.map_err(io::Error::other)??;
        chunk = read_or_stop(put, &mut plain, CHUNK).await?;
    }
    put.source(Source::new(file)?.covered(cover), encryptor).await
}
