//! Encryption by the store itself, beside that of this machine.

use std::str::FromStr;

use meta_codec::{
    Vendor,
    sse::{CosSse, OssSse, Request, Scheme, SseError, SseHeaders, StoreCipher},
};

use super::entry;
use crate::failure::Failure;

/// Options for encryption by the store itself.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Encryption by the store")]
pub(crate) struct ServerSide {
    /// Let the store encrypt the object once more, with a key that it keeps: `cos` or `oss`
    /// (AES-256), `sm4` (of either), or with one in a KMS: `cos-kms` or `oss-kms`, perhaps followed
    /// by `:KEY_ID`. It does not protect data from the store. After the upload, the store must say
    /// that it did.
    #[arg(long, value_name = "MODE")]
    sse: Option<SseMode>,
    /// An entry of the encryption context for cos-kms. May be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = entry, requires = "sse")]
    sse_context: Vec<(String, String)>,
}

/// How the store encrypts.
#[derive(Clone, Debug, PartialEq, Eq)]
enum SseMode {
    Managed(Option<Vendor>, StoreCipher),
    Kms(Vendor, Option<String>),
}

impl FromStr for SseMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (mode, id) = match text.split_once(':') {
            Some((mode, id)) => (mode, Some(id.to_owned())),
            None => (text, None),
        };
        match (mode, id) {
            ("cos", None) => Ok(Self::Managed(Some(Vendor::Cos), StoreCipher::Aes256)),
            ("oss", None) => Ok(Self::Managed(Some(Vendor::Oss), StoreCipher::Aes256)),
            ("sm4", None) => Ok(Self::Managed(None, StoreCipher::Sm4)),
            ("cos-kms", id) => Ok(Self::Kms(Vendor::Cos, id)),
            ("oss-kms", id) => Ok(Self::Kms(Vendor::Oss, id)),
            _ => Err("expected cos, oss, sm4, cos-kms[:KEY_ID] or oss-kms[:KEY_ID]".to_owned()),
        }
    }
}

impl ServerSide {
    /// Returns the headers of the request that creates an object.
    pub(crate) fn headers(&self, vendor: Vendor) -> Result<Vec<(String, String)>, Failure> {
        let Some(mode) = &self.sse else { return Ok(Vec::new()) };
        let of_mode = match mode {
            SseMode::Managed(of_mode, _) => of_mode.unwrap_or(vendor),
            SseMode::Kms(of_mode, _) => *of_mode,
        };
        let is_cos_kms = matches!(mode, SseMode::Kms(Vendor::Cos, _));
        if of_mode != vendor || (!self.sse_context.is_empty() && !is_cos_kms) {
            return Err(Failure::usage(
                format_args!("--sse and --sse-context do not suit {}", vendor.id()),
                "choose the mode of the store; only cos-kms has a context",
            ));
        }
        let headers = self.typed(mode, vendor);
        let headers = headers.map_err(|error| Failure::usage(error, "choose another key ID"))?;
        Ok(headers.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    fn typed(&self, mode: &SseMode, vendor: Vendor) -> Result<SseHeaders, SseError> {
        // Only a customer key must not be sent over http.
        let (request, scheme) = (Request::Put, Scheme::Https);
        match (mode, vendor) {
            (SseMode::Managed(_, cipher), Vendor::Cos) => {
                CosSse::managed(*cipher).headers(request, scheme)
            }
            (SseMode::Managed(_, cipher), Vendor::Oss) => {
                Ok(OssSse::managed(*cipher).headers(request))
            }
            (SseMode::Kms(_, id), Vendor::Cos) => {
                CosSse::kms(id.as_deref(), self.sse_context.iter().cloned())?
                    .headers(request, scheme)
            }
            (SseMode::Kms(_, id), Vendor::Oss) => {
                Ok(OssSse::kms(id.as_deref(), StoreCipher::Aes256)?.headers(request))
            }
        }
    }
}
