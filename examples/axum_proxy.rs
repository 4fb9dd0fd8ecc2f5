//! A web server that encrypts what is uploaded, and decrypts what is downloaded.
//!
//! Neither direction holds a whole object in memory: bodies are streams, from the client to the
//! store and back. The program starts the server on this machine, and tries it out.
//!
//! `cargo run --release --example axum_proxy`

use std::{error::Error, io, sync::Arc};

use axum::{
    Router,
    body::{Body, HttpBody as _},
    extract::{Path, State},
    http::{StatusCode, header::CONTENT_LENGTH},
    response::{IntoResponse, Response},
    routing::get,
};
use envelope_core::{AesKeyWrapper, Decryptor, Dialect, Encryptor, Keyring};
use envelope_store::{Get, MemoryStore, Put, Store, StoreError, TransferError};
use futures_util::TryStreamExt as _;
use tokio::net::TcpListener;
use tokio_util::io::StreamReader;

/// What the handlers share. Clones are cheap.
#[derive(Clone)]
struct Proxy {
    store: Arc<dyn Store>,
    encryptor: Encryptor,
    decryptor: Decryptor,
}

async fn download(
    State(proxy): State<Proxy>,
    Path(key): Path<String>,
) -> Result<Response, StatusCode> {
    let get = Get::new(proxy.store, key);
    let object = get.decrypt(&proxy.decryptor).await.map_err(status)?;
    let len = object.plain_len();
    // The last bytes are held back until the object is verified. An error cuts the response.
    let mut response = Body::from_stream(object.into_stream()).into_response();
    if let Some(len) = len {
        response.headers_mut().insert(CONTENT_LENGTH, len.into());
    }
    Ok(response)
}

async fn upload(
    State(proxy): State<Proxy>,
    Path(key): Path<String>,
    body: Body,
) -> Result<StatusCode, StatusCode> {
    let len = body.size_hint().exact();
    let plain = StreamReader::new(body.into_data_stream().map_err(io::Error::other));
    let put = Put::new(proxy.store, key);
    put.stream(plain, len, &proxy.encryptor).await.map_err(status)?;
    Ok(StatusCode::CREATED)
}

/// Returns the status for a failed transfer. The details are not the client's business.
fn status(error: TransferError) -> StatusCode {
    match error {
        TransferError::Store(StoreError::NotFound) => StatusCode::NOT_FOUND,
        _ => StatusCode::BAD_GATEWAY,
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let key = AesKeyWrapper::generate()?;
    let proxy = Proxy {
        store: Arc::new(MemoryStore::new()), // or a `Bucket`, or a `FolderStore`
        encryptor: Encryptor::new(&key, Dialect::COS_V2),
        decryptor: Decryptor::new(&Keyring::new().with(key)),
    };
    let store = proxy.store.clone();
    let router = Router::new().route("/{*key}", get(download).put(upload)).with_state(proxy);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let server = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async { axum::serve(listener, router).await });

    let (client, url) = (reqwest::Client::new(), format!("{server}/films/1.mkv"));
    let film: Vec<u8> = (0..10_000_000_u32).flat_map(u32::to_le_bytes).collect();
    client.put(&url).body(film.clone()).send().await?.error_for_status()?;
    let response = client.get(&url).send().await?.error_for_status()?;
    assert_eq!(response.content_length(), Some(film.len() as u64));
    assert_eq!(response.bytes().await?, film);
    let missing = client.get(format!("{server}/films/2.mkv")).send().await?;
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);

    let stored = store.head("films/1.mkv").await?;
    println!("{} bytes went in and came out again, and were encrypted in between", stored.len);
    Ok(())
}
