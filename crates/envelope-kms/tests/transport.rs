//! The blocking transport against a server that answers in ways of its own.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail loudly")]
#![cfg(feature = "blocking")]

use std::{
    io::{self, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use envelope_kms::{HttpRequest, Transport as _, TransportError, UreqTransport};
use zeroize::Zeroizing;

const PATIENCE: Duration = Duration::from_secs(10);

/// What one request to a server led to. The server reads the request up to its body, `hi`, and goes
/// on as it is told.
fn post(
    timeout: Duration,
    answer: impl FnOnce(&mut TcpStream) -> io::Result<()> + Send + 'static,
) -> Result<(u16, Vec<u8>), TransportError> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut seen, mut byte) = (Vec::new(), [0]);
        while !seen.ends_with(b"\r\n\r\nhi") && stream.read(&mut byte).is_ok_and(|read| read > 0) {
            seen.extend(byte);
        }
        // The client may have gone already.
        let _ = answer(&mut stream);
        String::from_utf8(seen).unwrap()
    });
    let headers = vec![("x-test", Zeroizing::new("yes".to_owned()))];
    let body = Zeroizing::new("hi".to_owned());
    let request = HttpRequest::new(Zeroizing::new(url), headers, body);
    let outcome = UreqTransport::default().post(&request, timeout);
    let seen = server.join().unwrap();
    assert!(seen.starts_with("POST / HTTP/1.1\r\n"), "{seen}");
    assert!(seen.contains("x-test: yes\r\n") && seen.ends_with("\r\n\r\nhi"), "{seen}");
    outcome.map(|response| (response.status, response.body.to_vec()))
}

fn head(stream: &mut TcpStream, len: usize) -> io::Result<()> {
    write!(stream, "HTTP/1.1 203 X\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n")
}

#[test]
fn a_body_arrives_however_it_is_cut() {
    let outcome = post(PATIENCE, |stream| {
        head(stream, 10)?;
        for piece in ["abc", "def", "ghij"] {
            stream.write_all(piece.as_bytes())?;
            stream.flush()?;
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    });
    assert_eq!(outcome, Ok((203, b"abcdefghij".to_vec())));
    assert_eq!(post(PATIENCE, |stream| head(stream, 0)), Ok((203, Vec::new())));
}

#[test]
fn a_body_of_64_kib_is_the_largest() {
    let sized = |len: usize| {
        post(PATIENCE, move |stream| {
            head(stream, len)?;
            stream.write_all(&vec![7; len])
        })
    };
    assert_eq!(sized(64 * 1024), Ok((203, vec![7; 64 * 1024])));
    assert_eq!(sized(64 * 1024 + 1), Err(TransportError::TooLarge));
}

#[test]
fn a_server_that_is_silent_times_out() {
    let timeout = Duration::from_millis(200);
    let start = Instant::now();
    let silent = post(timeout, |stream| {
        // Until the client hangs up.
        stream.read(&mut [0]).map(|_| ())
    });
    assert_eq!(silent, Err(TransportError::Timeout));
    let stuck = post(timeout, |stream| {
        head(stream, 10)?;
        stream.write_all(b"abc")?;
        stream.read(&mut [0]).map(|_| ())
    });
    assert_eq!(stuck, Err(TransportError::Timeout));
    assert!(start.elapsed() >= 2 * timeout && start.elapsed() < PATIENCE);
}

#[test]
fn a_connection_that_breaks_is_told_from_the_rest() {
    let gone = post(PATIENCE, |_| Ok(()));
    assert_eq!(gone, Err(TransportError::Connection));
    let cut = post(PATIENCE, |stream| {
        head(stream, 10)?;
        stream.write_all(b"abc")
    });
    assert_eq!(cut, Err(TransportError::Connection));
}

#[test]
fn a_server_without_tls_is_not_trusted() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").unwrap();
        let _ = stream.read(&mut [0; 1000]);
    });
    let request = HttpRequest::new(Zeroizing::new(url), Vec::new(), Zeroizing::default());
    let outcome = UreqTransport::default().post(&request, PATIENCE).map(|_| ());
    server.join().unwrap();
    assert_eq!(outcome, Err(TransportError::Tls));
}
