//! Encrypts a file on its way to a presigned URL, and decrypts it on its way back.
//!
//! The program has an HTTP client of its own; `envelope-core` contributes the headers and the
//! streams. No more than a chunk of the file is in memory while it is uploaded.
//!
//! `cargo run --release --example presigned_upload [FILE PUT_URL GET_URL]`. Without arguments, a
//! server on this machine stands in for the bucket, and the program uploads its own executable.

use std::{env, error::Error, path::Path, sync::Arc};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::HeaderMap,
    routing::get,
};
use envelope_core::{
    AesKeyWrapper, Decryptor, Dialect, Encryptor, Keyring, PlainCheck,
    io::{DecryptStream, EncryptStream},
    parse,
};
use futures_util::TryStreamExt as _;
use reqwest::{Body, Client, header::CONTENT_LENGTH};
use tokio::{fs::File, net::TcpListener, sync::Mutex};
use tokio_util::io::ReaderStream;

type BoxError = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (file, put_url, get_url) = match arguments.as_slice() {
        [] => {
            let url = start_bucket().await?;
            (env::current_exe()?, url.clone(), url)
        }
        [file, put_url, get_url] => (file.into(), put_url.clone(), get_url.clone()),
        _ => return Err("usage: presigned_upload [FILE PUT_URL GET_URL]".into()),
    };
    let key = AesKeyWrapper::generate()?;
    upload(&put_url, &file, &key).await?;
    let plain = download(&get_url, key).await?;
    if plain != tokio::fs::read(&file).await? {
        return Err("the download is not the file that was uploaded".into());
    }
    println!("{} bytes were encrypted, uploaded, downloaded and decrypted", plain.len());
    Ok(())
}

/// Encrypts a file while it is sent. If the signature of a URL covers headers, as that of OSS does,
/// sign the URL after `encrypt`, with the headers that the object then has.
async fn upload(url: &str, file: &Path, key: &AesKeyWrapper) -> Result<(), BoxError> {
    let file = File::open(file).await?;
    let len = file.metadata().await?.len();
    let object = Encryptor::new(key, Dialect::COS_V2).with_plain_len(len).encrypt()?;
    // AES-CTR keeps the length. Buckets accept no body of unknown length.
    let mut request = Client::new().put(url).header(CONTENT_LENGTH, len);
    for (name, value) in object.headers() {
        request = request.header(*name, value);
    }
    let plain = ReaderStream::with_capacity(file, 1 << 16).map_err(BoxError::from);
    let body = EncryptStream::new(plain, object.into_cipher());
    request.body(Body::wrap_stream(body)).send().await?.error_for_status()?;
    Ok(())
}

/// Decrypts an object while it is received. Its bytes are unverified until the stream has ended.
async fn download(url: &str, key: AesKeyWrapper) -> Result<Vec<u8>, BoxError> {
    let response = reqwest::get(url).await?.error_for_status()?;
    let envelope = parse(response.headers())?.ok_or("the object is not encrypted")?;
    let cipher = Decryptor::new(&Keyring::new().with(key)).decrypt(&envelope)?;
    let body = response.bytes_stream().map_err(BoxError::from);
    let plain = DecryptStream::new(body, cipher).with_check(PlainCheck::new(&envelope));
    let chunks: Vec<_> = plain.try_collect().await?;
    Ok(chunks.concat())
}

/// A bucket with one object: the headers and the body that it came with.
type Bucket = Arc<Mutex<(HeaderMap, Bytes)>>;

/// Starts the server that stands in for the bucket, and returns the URL of its object.
async fn start_bucket() -> Result<String, BoxError> {
    let write = async |State(bucket): State<Bucket>, headers: HeaderMap, body: Bytes| {
        *bucket.lock().await = (headers, body);
    };
    let read = async |State(bucket): State<Bucket>| bucket.lock().await.clone();
    let router = Router::new()
        .route("/object", get(read).put(write))
        .layer(DefaultBodyLimit::disable())
        .with_state(Bucket::default());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/object", listener.local_addr()?);
    tokio::spawn(async { axum::serve(listener, router).await });
    Ok(url)
}
