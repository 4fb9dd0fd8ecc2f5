//! The command `envelope`, which takes the same requests as the drivers.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Command, Stdio},
};

use envelope_testkit::bucket::{ACCESS_KEY, SECRET};
use meta_codec::Vendor;
use serde_json::Value;

use crate::{case::PART_SIZE, outcome::Outcome};

/// The name of the command among the writers and readers.
pub(crate) const NAME: &str = "envelope";

/// The command, and a folder for the state of its uploads.
#[derive(Clone, Debug)]
pub(crate) struct Envelope {
    pub(crate) program: PathBuf,
    pub(crate) state: PathBuf,
    pub(crate) vendor: Vendor,
}

impl Envelope {
    pub(crate) fn ask(&self, request: &Value) -> Result<Outcome, String> {
        let text = |name: &str| request.get(name).and_then(Value::as_str).unwrap_or_default();
        let address = format!("{}://{}/{}", self.vendor.id(), text("bucket"), text("key"));
        let mut command = Command::new(&self.program);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        for (name, value) in ENVIRONMENT {
            command.env(name, value);
        }
        if text("do") == "write" {
            let part_size = PART_SIZE.to_string();
            command.args(["put", "--force"]);
            if text("how") == "stream" {
                let file = File::open(text("file")).map_err(|error| error.to_string())?;
                command.arg("-").stdin(file);
            } else {
                command.arg(text("file"));
            }
            command.args([&address, "--content", text("content"), "--dialect", text("dialect")]);
            command.args(["--threshold", &part_size, "--part-size", &part_size]);
            command.arg("--state").arg(&self.state);
            let master = request.get("master").and_then(|master| master.get("wrap"));
            match (text("dialect"), master.and_then(Value::as_str)) {
                ("oss-v2", Some("rsa-oaep")) => command.args(["--wrap", "rsa-oaep-sha1"]),
                ("cos-v1", Some("aes")) => command.arg("--allow-weak-wrap"),
                _ => &mut command,
            };
            if request.get("key_check").is_some() {
                command.arg("--key-check");
            }
        } else {
            let out = File::create(text("out")).map_err(|error| error.to_string())?;
            command.args(["cat", &address]).stdout(out);
            if !text("range").is_empty() {
                command.arg(format!("--range={}", text("range"))).arg("--unauthenticated-range");
            }
        }
        command.args(["--endpoint", text("endpoint")]);
        self.keys(&mut command, request);
        let output = command.output().map_err(|error| error.to_string())?;
        if output.status.success() {
            return Ok(Outcome::Works);
        }
        let words = String::from_utf8_lossy(&output.stderr);
        let last = words.lines().find(|line| line.contains("error")).unwrap_or_default();
        let reason = last.trim_start_matches("error: ").trim_start_matches(&address);
        Ok(Outcome::Refuses(reason.trim_start_matches(": ").to_owned()))
    }

    /// Names the master keys.
    fn keys(&self, command: &mut Command, request: &Value) {
        let is_write = request.get("do").and_then(Value::as_str) == Some("write");
        let others = request.get("others").and_then(Value::as_array);
        for master in request.get("master").into_iter().chain(others.into_iter().flatten()) {
            let text = |name: &str| master.get(name).and_then(Value::as_str).unwrap_or_default();
            let wrap = text("wrap");
            if wrap.starts_with("kms") {
                let vendor = match self.vendor {
                    Vendor::Oss => "aliyun:cn-hangzhou",
                    Vendor::Cos => "tencent:ap-guangzhou",
                };
                let key = if is_write { format!(":{}", text("key_id")) } else { String::new() };
                command.arg("--kms").arg(format!("{vendor}{key}"));
                let url = request.get("kms").and_then(Value::as_str).unwrap_or_default();
                command.args(["--kms-endpoint", url]);
                match wrap {
                    "kms-go" => command.arg("--kms-context-go"),
                    "kms-twice" => command.arg("--kms-blob-twice"),
                    _ => command,
                };
            } else {
                let name = match wrap {
                    "aes" => "key",
                    _ if is_write => "public_key",
                    _ => "private_key",
                };
                command.args(["--key", text(name)]);
            }
            if !is_write {
                continue;
            }
            let description = master.get("description").and_then(Value::as_object);
            for (name, value) in description.into_iter().flatten() {
                let value = value.as_str().unwrap_or_default();
                command.args(["--matdesc", &format!("{name}={value}")]);
            }
        }
    }
}

const ENVIRONMENT: [(&str, &str); 10] = [
    ("OSS_ACCESS_KEY_ID", ACCESS_KEY),
    ("OSS_ACCESS_KEY_SECRET", SECRET),
    ("OSS_REGION", "cn-hangzhou"),
    ("TENCENTCLOUD_SECRET_ID", ACCESS_KEY),
    ("TENCENTCLOUD_SECRET_KEY", SECRET),
    ("TENCENTCLOUD_REGION", "ap-guangzhou"),
    ("ALIBABA_CLOUD_ACCESS_KEY_ID", ACCESS_KEY),
    ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", SECRET),
    ("ALIBABA_CLOUD_SECURITY_TOKEN", ""),
    ("TENCENTCLOUD_TOKEN", ""),
];

/// Generates a key pair that opens nothing, and returns the paths of its private and public key.
pub(crate) fn other_key(program: &PathBuf, folder: &PathBuf) -> Result<[PathBuf; 2], String> {
    fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    let status = Command::new(program)
        .args(["keygen", "rsa", "--bits", "2048", "--out"])
        .arg(folder)
        .stdout(Stdio::null())
        .status()
        .map_err(|error| format!("{}: {error}", program.display()))?;
    if !status.success() {
        return Err("envelope keygen failed".to_owned());
    }
    Ok(["private_key.pem", "public_key.pem"].map(|name| folder.join(name)))
}
