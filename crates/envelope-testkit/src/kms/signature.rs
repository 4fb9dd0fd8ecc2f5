//! Verification of the signatures of Aliyun (RPC, ACS3) and Tencent (TC3), by recomputing them.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use serde_json::Value;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::{ACCESS_KEY, Refusal, Request, SECRET, TOKEN};

type Parameters = BTreeMap<String, String>;

/// Verifies the signature of a request and returns its action and parameters.
pub(super) fn check(request: &Request) -> Result<(String, Parameters), Refusal> {
    let authorization = header(request, "authorization");
    if request.headers.contains_key("x-tc-action") {
        tc3(request, authorization)
    } else if authorization.starts_with("ACS3-HMAC-SHA256") {
        acs3(request, authorization)
    } else {
        rpc(request)
    }
}

fn rpc(request: &Request) -> Result<(String, Parameters), Refusal> {
    let mut parameters = query(&request.query);
    if header(request, "content-type").starts_with("application/x-www-form-urlencoded") {
        parameters.extend(query(&String::from_utf8_lossy(&request.body)));
    }
    let given = parameters.remove("Signature").unwrap_or_default();
    let canonical: Vec<String> = parameters
        .iter()
        .map(|(name, value)| format!("{}={}", percent(name), percent(value)))
        .collect();
    let to_sign = format!("{}&%2F&{}", request.method, percent(&canonical.join("&")));
    let mut mac =
        Hmac::<Sha1>::new_from_slice(format!("{SECRET}&").as_bytes()).expect("HMAC takes any key");
    mac.update(to_sign.as_bytes());
    let parameter = |name: &str| parameters.get(name).cloned().unwrap_or_default();
    if parameter("AccessKeyId") != ACCESS_KEY {
        return Err(Refusal(404, "InvalidAccessKeyId.NotFound"));
    }
    if given != STANDARD.encode(mac.finalize().into_bytes()) {
        return Err(Refusal(400, "SignatureDoesNotMatch"));
    }
    check_token(parameters.get("SecurityToken"), Refusal(400, "InvalidSecurityToken.Expired"))?;
    check_date(&parameter("Timestamp"), Refusal(400, "InvalidTimeStamp.Expired"))?;
    Ok((parameter("Action"), parameters))
}

fn acs3(request: &Request, authorization: &str) -> Result<(String, Parameters), Refusal> {
    let fields = fields(authorization.trim_start_matches("ACS3-HMAC-SHA256"));
    let signed = fields.get("SignedHeaders").cloned().unwrap_or_default();
    let parameters = query(&request.query);
    let canonical_query: Vec<String> = parameters
        .iter()
        .map(|(name, value)| format!("{}={}", percent(name), percent(value)))
        .collect();
    let headers: String =
        signed.split(';').map(|name| format!("{name}:{}\n", header(request, name))).collect();
    let body = hex(&Sha256::digest(&request.body));
    let canonical = format!(
        "{}\n{}\n{}\n{headers}\n{signed}\n{body}",
        request.method,
        request.path,
        canonical_query.join("&")
    );
    let to_sign = format!("ACS3-HMAC-SHA256\n{}", hex(&Sha256::digest(canonical)));
    let wanted = hex(&sha256_mac(SECRET.as_bytes(), &to_sign));
    if fields.get("Credential").map(String::as_str) != Some(ACCESS_KEY) {
        return Err(Refusal(404, "InvalidAccessKeyId.NotFound"));
    }
    let must_be_signed = ["host", "x-acs-action", "x-acs-content-sha256", "x-acs-date"];
    if fields.get("Signature") != Some(&wanted)
        || header(request, "x-acs-content-sha256") != body
        || !must_be_signed.iter().all(|name| signed.split(';').any(|each| each == *name))
    {
        return Err(Refusal(400, "SignatureDoesNotMatch"));
    }
    let token = request.headers.get("x-acs-security-token");
    check_token(token, Refusal(400, "InvalidSecurityToken.Expired"))?;
    check_date(header(request, "x-acs-date"), Refusal(400, "InvalidTimeStamp.Expired"))?;
    let mut parameters = parameters;
    parameters.extend(query(&String::from_utf8_lossy(&request.body)));
    Ok((header(request, "x-acs-action").to_owned(), parameters))
}

fn tc3(request: &Request, authorization: &str) -> Result<(String, Parameters), Refusal> {
    let fields = fields(authorization.trim_start_matches("TC3-HMAC-SHA256"));
    let credential = fields.get("Credential").cloned().unwrap_or_default();
    let (id, scope) = credential.split_once('/').unwrap_or_default();
    let signed = fields.get("SignedHeaders").cloned().unwrap_or_default();
    let headers: String = signed
        .split(';')
        .map(|name| {
            let value = header(request, name);
            let value = if name == "content-type" { value.into() } else { value.to_lowercase() };
            format!("{name}:{value}\n")
        })
        .collect();
    let canonical = format!(
        "{}\n{}\n{}\n{headers}\n{signed}\n{}",
        request.method,
        request.path,
        request.query,
        hex(&Sha256::digest(&request.body))
    );
    let to_sign = format!(
        "TC3-HMAC-SHA256\n{}\n{scope}\n{}",
        header(request, "x-tc-timestamp"),
        hex(&Sha256::digest(canonical))
    );
    let mut key = format!("TC3{SECRET}").into_bytes();
    for piece in scope.split('/') {
        key = sha256_mac(&key, piece);
    }
    if id != ACCESS_KEY {
        return Err(Refusal(200, "AuthFailure.SecretIdNotFound"));
    }
    if fields.get("Signature") != Some(&hex(&sha256_mac(&key, &to_sign))) {
        return Err(Refusal(200, "AuthFailure.SignatureFailure"));
    }
    let token = request.headers.get("x-tc-token");
    check_token(token, Refusal(200, "AuthFailure.TokenFailure"))?;
    let sent: i64 = header(request, "x-tc-timestamp").parse().unwrap_or_default();
    if (Timestamp::now().as_second() - sent).abs() > 300 {
        return Err(Refusal(200, "AuthFailure.SignatureExpire"));
    }
    let parameters = match serde_json::from_slice(&request.body) {
        Ok(Value::Object(map)) => map
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.as_str()?.to_owned())))
            .collect(),
        _ => Parameters::new(),
    };
    Ok((header(request, "x-tc-action").to_owned(), parameters))
}

fn check_token(token: Option<&String>, refusal: Refusal) -> Result<(), Refusal> {
    match token {
        Some(token) if token != TOKEN && !token.is_empty() => Err(refusal),
        _ => Ok(()),
    }
}

fn check_date(text: &str, refusal: Refusal) -> Result<(), Refusal> {
    match text.parse::<Timestamp>() {
        Ok(sent) if (Timestamp::now().as_second() - sent.as_second()).abs() <= 900 => Ok(()),
        _ => Err(refusal),
    }
}

fn header<'a>(request: &'a Request, name: &str) -> &'a str {
    request.headers.get(name).map_or("", String::as_str)
}

fn fields(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split(',').filter_map(|field| field.trim().split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn query(text: &str) -> Parameters {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (unpercent(name), unpercent(value)))
        .collect()
}

fn unpercent(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits: Vec<u8> = bytes.by_ref().take(2).collect();
                let digits = String::from_utf8_lossy(&digits).into_owned();
                u8::from_str_radix(&digits, 16).unwrap_or(b'?')
            }
            other => other,
        });
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn percent(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

fn sha256_mac(key: &[u8], message: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes any key");
    mac.update(message.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
