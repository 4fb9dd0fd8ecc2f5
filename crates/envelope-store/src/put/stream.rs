//! Uploads of streams.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    sync::Arc,
};

use bytes::Bytes;
use envelope_core::{AesKeyWrapper, BodyEncryptor, Crc64, Encryptor};
use meta_codec::{ContentAlgorithm, Dialect, Envelope, PartLayout, Vendor};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    task::{JoinError, JoinSet},
};

use super::{Put, STREAM_PART_SIZE, UploadResult, multipart::Uploaded, source::Source};
use crate::{Event, Headers, TransferError, Upload};

/// Number of bytes read from a stream at a time.
const CHUNK: u64 = 256 * 1024;

/// The most memory that is reserved before anything was read.
const MAX_CAPACITY: u64 = 64 << 20;

/// A part that arrived: number, entity tag, CRC-64, length.
type Sent = Result<(u16, String, u64, u64), TransferError>;

impl Put {
    pub(super) async fn put_stream(
        &self,
        mut plain: impl AsyncRead + Send + Unpin,
        len: Option<u64>,
        encryptor: &Encryptor,
        // The file that it is, which must not change meanwhile.
        source: Option<&Source>,
    ) -> Result<UploadResult, TransferError> {
        let first = self.read_or_stop(&mut plain, self.threshold.saturating_add(1)).await?;
        let whole = Some(first.len() as u64).filter(|len| *len <= self.threshold);
        if let (Some(want), Some(got)) = (len, whole)
            && want != got
        {
            return Err(TransferError::StreamLength { want, got });
        }
        let is_ctr = self.content == ContentAlgorithm::Aes256Ctr;
        if is_ctr && whole.is_some() {
            return self.encrypt_single(first, encryptor).await;
        }
        self.check_new().await?;
        let announces = Vendor::needs_encryption_headers_on_parts;
        let spools = self.spool && encryptor.seals();
        if is_ctr && (spools || self.store.vendor().is_some_and(announces)) {
            return self.spooled(plain, len, first, encryptor).await;
        }
        let encryptor = match whole.or(len) {
            Some(len) => encryptor.clone().with_plain_len(len),
            None => encryptor.clone(),
        };
        let object = encryptor.encrypt_with_async(self.content).await?;
        let headers = self.all_headers(encryptor.dialect().vendor(), object.headers())?;
        if is_ctr && encryptor.seals() {
            self.listener.notify(Event::Warning(
                "the seal covers the metadata, but not the body, because the headers of a stream \
                 are sent before it ends; spool it to seal the body, too"
                    .to_owned(),
            ));
        }
        let (envelope, transform) = object.into_inner();
        let (first, transform, ready) = (Some(first), Some(transform), Vec::new());
        let (want, got) = (whole.or(len), 0);
        let mut body = Ciphertext { plain, first, transform, ready, want, got };
        if whole.is_some() {
            let bytes = body.next(usize::MAX).await?;
            source.map_or(Ok(()), Source::check_unchanged)?;
            return self.single(bytes, headers, Some(envelope)).await;
        }
        let upload = self.create_upload(&headers).await?;
        let outcome = self.send_all(&upload, body, &headers, &envelope, source).await;
        if outcome.is_err() {
            self.abort(&upload).await;
        }
        outcome
    }

    /// Uploads a stream in parts as it is read.
    async fn send_all<R: AsyncRead + Send + Unpin>(
        &self,
        upload: &Upload,
        mut body: Ciphertext<R>,
        headers: &Headers,
        envelope: &Envelope,
        source: Option<&Source>,
    ) -> Result<UploadResult, TransferError> {
        let size = self.part_size.unwrap_or(STREAM_PART_SIZE);
        let size = usize::try_from(size).map_err(io::Error::other)?;
        let (mut uploaded, mut lens) = (BTreeMap::new(), Vec::new());
        // Tasks of their own, so that parts are on their way while the stream is waited for.
        let mut sending: JoinSet<Sent> = JoinSet::new();
        let headers = Arc::new(headers.clone());
        loop {
            let part = tokio::select! {
                part = body.next(size) => part?,
                () = self.stop.stopped() => return Err(TransferError::Stopped),
            };
            if part.is_empty() {
                break;
            }
            let number = u16::try_from(lens.len().saturating_add(1))
                .ok()
                .filter(|number| u64::from(*number) <= PartLayout::MAX_PARTS)
                .ok_or(TransferError::TooLong)?;
            lens.push((number, part.len() as u64));
            let crc64 = Crc64::of(&part);
            let part = Bytes::from(part);
            let (own, upload, headers) = (self.clone(), upload.clone(), Arc::clone(&headers));
            sending.spawn(async move {
                let len = part.len() as u64;
                let result = own.send_part(&upload, number, part, crc64, &headers).await?;
                Ok((number, result.etag, crc64, len))
            });
            // Reading waits while enough parts are in flight, which bounds the memory.
            while sending.len() >= self.concurrency {
                tokio::select! {
                    sent = sending.join_next() => self.note(sent, &mut uploaded)?,
                    () = self.stop.stopped() => return Err(TransferError::Stopped),
                }
            }
        }
        while !sending.is_empty() {
            self.note(sending.join_next().await, &mut uploaded)?;
        }
        source.map_or(Ok(()), Source::check_unchanged)?;
        self.complete(upload, &uploaded, lens.into_iter(), (&headers, Some(envelope))).await
    }

    fn note(
        &self,
        sent: Option<Result<Sent, JoinError>>,
        uploaded: &mut Uploaded,
    ) -> Result<(), TransferError> {
        if let Some(sent) = sent {
            let (number, etag, crc64, len) = sent.map_err(io::Error::other)??;
            uploaded.insert(number, (etag, crc64));
            self.listener.notify(Event::Transferred(len));
        }
        Ok(())
    }

    /// Uploads a stream by way of a temporary file, to learn its length. The file is encrypted with
    /// a key of its own, which never leaves memory.
    async fn spooled(
        &self,
        mut plain: impl AsyncRead + Send + Unpin,
        len: Option<u64>,
        first: Vec<u8>,
        encryptor: &Encryptor,
    ) -> Result<UploadResult, TransferError> {
        let own_key = AesKeyWrapper::generate().map_err(envelope_core::EncryptError::from)?;
        let cover = Encryptor::new(&own_key, Dialect::COS_V2).encrypt()?.into_cipher();
        let (mut keystream, mut file, mut chunk) = (cover.at(0), tempfile::tempfile()?, first);
        while !chunk.is_empty() {
            keystream.apply(&mut chunk);
            let written =
                tokio::task::spawn_blocking(move || file.write_all(&chunk).map(|()| file));
            file = written.await.map_err(io::Error::other)??;
            chunk = self.read_or_stop(&mut plain, CHUNK).await?;
        }
        let source = Source::new(file)?;
        check_len(len, source.len(), true)?;
        self.source(source.covered(cover), encryptor, None, None).await
    }

    async fn read_or_stop(
        &self,
        from: &mut (impl AsyncRead + Send + Unpin),
        most: u64,
    ) -> Result<Vec<u8>, TransferError> {
        tokio::select! {
            bytes = read_up_to(from, most) => bytes,
            () = self.stop.stopped() => Err(TransferError::Stopped),
        }
    }
}

/// A reader that is encrypted as its ciphertext is requested.
struct Ciphertext<R> {
    plain: R,
    /// Plaintext that was read already.
    first: Option<Vec<u8>>,
    /// Gone after the end of the plaintext.
    transform: Option<BodyEncryptor>,
    ready: Vec<u8>,
    /// The number of bytes of plaintext that were announced and that were read.
    want: Option<u64>,
    got: u64,
}

impl<R: AsyncRead + Send + Unpin> Ciphertext<R> {
    /// Returns the next `want` bytes, or fewer at the end.
    async fn next(&mut self, want: usize) -> Result<Vec<u8>, TransferError> {
        while self.ready.len() < want {
            let Some(transform) = &mut self.transform else { break };
            let mut chunk = match self.first.take() {
                Some(first) => first,
                None => read_up_to(&mut self.plain, CHUNK).await?,
            };
            self.got = self.got.saturating_add(chunk.len() as u64);
            check_len(self.want, self.got, chunk.is_empty())?;
            if chunk.is_empty() {
                self.ready
                    .extend(self.transform.take().map(BodyEncryptor::finish).unwrap_or_default());
            } else {
                transform.update(&mut chunk)?;
                self.ready.append(&mut chunk);
            }
        }
        let rest = self.ready.split_off(want.min(self.ready.len()));
        Ok(std::mem::replace(&mut self.ready, rest))
    }
}

/// Checks that no more bytes came than were announced, and at the end that no fewer did: the
/// metadata states the number already.
fn check_len(want: Option<u64>, got: u64, at_end: bool) -> Result<(), TransferError> {
    match want {
        Some(want) if got > want || (at_end && got < want) => {
            Err(TransferError::StreamLength { want, got })
        }
        _ => Ok(()),
    }
}

async fn read_up_to(
    from: &mut (impl AsyncRead + Send + Unpin),
    most: u64,
) -> Result<Vec<u8>, TransferError> {
    // Growing it would leave plaintext behind. The room is for the read that finds the end.
    let capacity = usize::try_from(most.min(MAX_CAPACITY)).map_err(io::Error::other)?;
    let mut bytes = Vec::with_capacity(capacity.saturating_add(64));
    from.take(most).read_to_end(&mut bytes).await?;
    Ok(bytes)
}
