//! Responses.

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode},
    response::Response,
};
use bytes::Bytes;

#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Bytes,
}

/// Builds a vendor's error document.
pub(super) fn refusal(status: u16, code: &str, message: &str) -> Answer {
    coded(status, code, message, "")
}

/// Builds an error document with OSS's code for the exact cause.
pub(super) fn coded(status: u16, code: &str, message: &str, cause: &str) -> Answer {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>{}</Message>\
         <Resource>loopback</Resource><RequestId>{ID}</RequestId><HostId>loopback</HostId>\
         <EC>{cause}</EC></Error>",
        // SDKs reject an error without words.
        escape(if message.is_empty() { code } else { message })
    );
    let mut answer = document(&text);
    answer.status = status;
    if !cause.is_empty() {
        answer.headers.push(("x-oss-ec".to_owned(), cause.to_owned()));
    }
    answer
}

/// Builds the answer for a bucket that is not here: at another endpoint, or nowhere.
pub(super) fn elsewhere(endpoint: &str) -> Answer {
    if endpoint.is_empty() {
        return refusal(404, "NoSuchBucket", "The specified bucket does not exist.");
    }
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>AccessDenied</Code><Message>The \
         bucket you are attempting to access must be addressed using the specified endpoint. \
         Please send all future requests to this endpoint.</Message><RequestId>{ID}</RequestId>\
         <Endpoint>{}</Endpoint></Error>",
        escape(endpoint)
    );
    Answer { status: 403, ..document(&text) }
}

pub(super) fn document(text: &str) -> Answer {
    Answer {
        status: 200,
        headers: vec![("content-type".to_owned(), "application/xml".to_owned())],
        body: Bytes::from(text.to_owned()),
    }
}

const ID: &str = "0123456789ABCDEF01234567";

impl Answer {
    pub(super) fn into_response(self, head: bool) -> Response {
        let len = self.body.len();
        let mut response = Response::new(if head { Body::empty() } else { Body::from(self.body) });
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or_default();
        let headers = response.headers_mut();
        for (name, value) in &self.headers {
            let name: Result<HeaderName, _> = name.parse();
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_bytes())) {
                headers.insert(name, value);
            }
        }
        for name in ["x-oss-request-id", "x-cos-request-id"] {
            headers.insert(name, HeaderValue::from_static(ID));
        }
        headers.entry("content-length").or_insert(len.into());
        response
    }
}

pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
