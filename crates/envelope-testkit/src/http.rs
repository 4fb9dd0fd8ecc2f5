//! A small HTTP/1.1 server on 127.0.0.1, one request per connection, that can also fail on purpose.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    thread,
    time::Duration,
};

/// A request as received.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Request {
    /// The method.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The query, as received.
    pub query: String,
    /// Headers by lowercase name.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
}

/// A response to send.
pub(crate) enum Reply {
    /// A status and a body.
    Json(u16, String),
    /// Raw bytes, after which the connection closes.
    Raw(Vec<u8>),
    /// Raw bytes, sent one at a time with a delay before each.
    Drip(Vec<u8>, Duration),
}

/// Serves on a free port until the process exits, and returns the address.
pub(crate) fn serve(answer: impl Fn(&Request) -> Reply + Send + Sync + Clone + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
    let address = listener.local_addr().expect("an address").to_string();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            thread::spawn(move || {
                let _ = converse(stream, &answer);
            });
        }
    });
    address
}

fn converse(mut stream: TcpStream, answer: &impl Fn(&Request) -> Reply) -> std::io::Result<()> {
    let Some(request) = read(&mut stream)? else { return Ok(()) };
    match answer(&request) {
        Reply::Json(status, body) => {
            let head = format!(
                "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
                 Connection: close\r\n\r\n",
                body.len()
            );
            stream.write_all(head.as_bytes())?;
            stream.write_all(body.as_bytes())
        }
        Reply::Raw(bytes) => stream.write_all(&bytes),
        Reply::Drip(bytes, pause) => bytes.chunks(1).try_for_each(|byte| {
            thread::sleep(pause);
            stream.write_all(byte)
        }),
    }
}

fn read(stream: &mut TcpStream) -> std::io::Result<Option<Request>> {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        match stream.read(&mut chunk)? {
            0 => return Ok(None),
            read => bytes.extend_from_slice(chunk.get(..read).unwrap_or_default()),
        }
    };
    let head = String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned();
    let mut body = bytes.get(end.saturating_add(4)..).unwrap_or_default().to_vec();
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    while body.len() < length {
        match stream.read(&mut chunk)? {
            0 => return Ok(None),
            read => body.extend_from_slice(chunk.get(..read).unwrap_or_default()),
        }
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Ok(Some(Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body,
    }))
}
