//! An in-memory loopback KMS that emulates Aliyun (both signatures) and Tencent.
//!
//! Signatures are always checked, contexts are compared as JSON maps, calls are counted, and calls
//! can be made to fail. `cargo xtask test` runs the official SDKs against it, which validates the
//! server itself.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rand::{TryRng as _, rngs::SysRng};
use serde_json::{Value, json};

pub use crate::http::Request;
use crate::http::{Reply, serve};

mod signature;

/// The access key of the only account.
pub const ACCESS_KEY: &str = "LTAIloop";
/// The secret of [`ACCESS_KEY`].
pub const SECRET: &str = "SKloop";
/// The session token that a request may carry; any other is rejected.
pub const TOKEN: &str = "loop-token";
/// The id of a disabled master key.
pub const DISABLED_KEY: &str = "disabled-key";

/// A handle to a running server, which stops when the process exits.
#[derive(Clone, Debug)]
pub struct LoopbackKms {
    address: String,
    state: Arc<Mutex<State>>,
}

/// A failure of the next calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The connection closes in the middle of the response.
    Cut,
    /// The response arrives at one byte every 100 milliseconds.
    Drip,
    /// A response of 10 MiB.
    Huge,
    /// An HTML page.
    Html,
    /// Status 503.
    ServerError,
    /// A redirect to another host.
    Redirect,
    /// The vendor's error for too many requests.
    Throttle,
    /// Half of a JSON object.
    Truncated,
    /// A plaintext of 31 bytes.
    WrongLength,
}

#[derive(Debug, Default)]
struct State {
    blobs: BTreeMap<String, (String, String)>,
    calls: Vec<Request>,
    fault: Option<(Fault, u32)>,
    /// Tells the absence of a context apart from the empty map.
    is_strict: bool,
}

impl LoopbackKms {
    /// Starts a server on a free port.
    #[must_use]
    pub fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let address = serve(move |request: &Request| answer(&shared, request));
        Self { address, state }
    }

    /// Returns the URL of the server, `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on, takes a context that is absent for another one than the empty map. What the
    /// real services do is not known, and SDKs differ in what they send.
    pub fn tell_empty_contexts_apart(&self) {
        lock(&self.state).is_strict = true;
    }

    /// Makes the server decrypt a blob that it did not make, such as a recorded one.
    ///
    /// # Panics
    /// Panics if the context is not a JSON object of strings.
    pub fn learn(&self, blob: &str, plaintext: &str, context: &str) {
        let mut state = lock(&self.state);
        let context = canonical(context, state.is_strict).expect("a JSON object of strings");
        state.blobs.insert(blob.to_owned(), (plaintext.to_owned(), context));
    }

    /// Returns the number of calls received, including failed ones.
    #[must_use]
    pub fn calls(&self) -> usize {
        lock(&self.state).calls.len()
    }

    /// Returns every request received.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.state).calls.clone()
    }

    /// Makes the next `times` calls fail.
    pub fn fail(&self, fault: Fault, times: u32) {
        lock(&self.state).fault = Some((fault, times));
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A vendor's error: the status and the code.
struct Refusal(u16, &'static str);

fn answer(state: &Mutex<State>, request: &Request) -> Reply {
    let tencent = request.headers.contains_key("x-tc-action");
    let mut state = lock(state);
    state.calls.push(request.clone());
    let fault = match &mut state.fault {
        Some((fault, times)) if *times > 0 => {
            *times -= 1;
            Some(*fault)
        }
        _ => None,
    };
    let outcome = match fault {
        Some(Fault::Throttle) if tencent => Err(Refusal(200, "RequestLimitExceeded")),
        Some(Fault::Throttle) => Err(Refusal(429, "Rejected.Throttling")),
        _ => perform(&mut state, request, tencent),
    };
    let text = match outcome {
        Ok(object) if tencent => (200, json!({ "Response": object }).to_string()),
        Ok(object) => (200, object.to_string()),
        Err(Refusal(_, code)) if tencent => {
            let error = json!({ "Code": code, "Message": format!("{code} for test") });
            (200, json!({ "Response": { "Error": error, "RequestId": "req-1" } }).to_string())
        }
        Err(Refusal(status, code)) => {
            let error = json!({ "Code": code, "Message": format!("{code} for test"),
                "RequestId": "req-1", "HostId": "loopback" });
            (status, error.to_string())
        }
    };
    misbehave(fault, text)
}

fn misbehave(fault: Option<Fault>, (status, text): (u16, String)) -> Reply {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ";
    match fault {
        Some(Fault::Cut) => Reply::Raw(format!("{head}{}\r\n\r\n{{", text.len()).into_bytes()),
        Some(Fault::Drip) => {
            let bytes = format!("{head}{}\r\n\r\n{text}", text.len()).into_bytes();
            Reply::Drip(bytes, Duration::from_millis(100))
        }
        Some(Fault::Huge) => Reply::Json(200, " ".repeat(10 << 20)),
        Some(Fault::Html) => Reply::Json(200, "<html>Welcome to the hotel</html>".to_owned()),
        Some(Fault::ServerError) => Reply::Json(503, "<html>busy</html>".to_owned()),
        Some(Fault::Redirect) => Reply::Raw(
            b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n"
                .to_vec(),
        ),
        Some(Fault::Truncated) => Reply::Json(200, text.chars().take(text.len() / 2).collect()),
        Some(Fault::WrongLength) => {
            let plaintext = STANDARD.encode([7; 31]);
            let object = json!({ "Plaintext": plaintext, "CiphertextBlob": "eA==", "KeyId": "k" });
            let both = json!({ "Response": object, "Plaintext": plaintext,
                "CiphertextBlob": "eA==", "KeyId": "k" });
            Reply::Json(200, both.to_string())
        }
        _ => Reply::Json(status, text),
    }
}

fn perform(state: &mut State, request: &Request, tencent: bool) -> Result<Value, Refusal> {
    let (action, parameters) = signature::check(request)?;
    let parameter = |name: &str| parameters.get(name).cloned().unwrap_or_default();
    let invalid = || match tencent {
        true => Refusal(200, "InvalidParameterValue.InvalidCiphertext"),
        false => Refusal(400, "InvalidParameter"),
    };
    let context = canonical(&parameter("EncryptionContext"), state.is_strict);
    let context = context.ok_or_else(invalid)?;
    if parameter("KeyId") == DISABLED_KEY {
        return Err(match tencent {
            true => Refusal(200, "ResourceUnavailable.CmkDisabled"),
            false => Refusal(409, "Rejected.Disabled"),
        });
    }
    let mut answer = json!({ "RequestId": "req-1", "KeyId": parameter("KeyId") });
    let mut keep = |plaintext: &str| {
        let mut name = [0; 24];
        let _ = SysRng.try_fill_bytes(&mut name);
        let name = format!("loop-{}", STANDARD.encode(name));
        // Aliyun's blobs are base64, of data that is not; Tencent's are not base64 at all.
        let blob = if tencent { format!("{name}-k-") } else { STANDARD.encode(name) };
        state.blobs.insert(blob.clone(), (plaintext.to_owned(), context.clone()));
        blob
    };
    match action.as_str() {
        "GenerateDataKey" => {
            let mut key = [0; 32];
            let _ = SysRng.try_fill_bytes(&mut key);
            let plaintext = STANDARD.encode(key);
            answer["CiphertextBlob"] = keep(&plaintext).into();
            answer["Plaintext"] = plaintext.into();
        }
        "Encrypt" => {
            let plaintext = parameter("Plaintext");
            if tencent && STANDARD.decode(&plaintext).is_err() {
                return Err(Refusal(200, "InvalidParameterValue.InvalidPlaintext"));
            }
            answer["CiphertextBlob"] = keep(&plaintext).into();
        }
        "Decrypt" => match state.blobs.get(&parameter("CiphertextBlob")) {
            Some((plaintext, wanted)) if *wanted == context => {
                answer["Plaintext"] = plaintext.as_str().into();
                answer["KeyId"] = "loop-key".into();
            }
            _ => return Err(invalid()),
        },
        _ => return Err(Refusal(if tencent { 200 } else { 404 }, "InvalidAction")),
    }
    Ok(answer)
}

/// Returns a context as a sorted JSON map. Without a context, it is the empty map, unless the
/// server is strict.
fn canonical(context: &str, is_strict: bool) -> Option<String> {
    if context.is_empty() {
        return Some(if is_strict { String::new() } else { "{}".to_owned() });
    }
    let map: BTreeMap<String, String> = serde_json::from_str(context).ok()?;
    serde_json::to_string(&map).ok()
}
