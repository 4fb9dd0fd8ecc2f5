//! Encryption by the store itself, beside that of this machine.

use std::{path::Path, str::FromStr};

use meta_codec::{
    Vendor,
    sse::{CosSse, CustomerKey, OssSse, Request, Scheme, SseError, SseHeaders, StoreCipher},
};

use super::entry;
use crate::{
    failure::{Code, Failure},
    input::{Secret, read_secret, warn_if_exposed},
};

/// Options for encryption by the store itself.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Encryption by the store")]
pub(crate) struct ServerSide {
    /// Let the store encrypt the object once more, with a key that it keeps: `cos` or `oss`
    /// (AES-256), `sm4` (of either), or with one in a KMS: `cos-kms` or `oss-kms`, perhaps followed
    /// by `:KEY_ID`. `customer` is a key of yours, which the store does not keep: see --sse-key.
    /// None of them protects data from the store. After the upload, the store must say that it did.
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
    Customer,
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
            ("customer", None) => Ok(Self::Customer),
            _ => {
                Err("expected cos, oss, sm4, cos-kms[:KEY_ID], oss-kms[:KEY_ID] or customer"
                    .to_owned())
            }
        }
    }
}

impl ServerSide {
    /// Returns whether a mode is given.
    pub(crate) const fn is_given(&self) -> bool {
        self.sse.is_some()
    }

    /// Returns the headers of the request that creates an object. A customer key is none of them:
    /// the store sends it with every request.
    pub(crate) fn headers(
        &self,
        vendor: Vendor,
        customer_key: Option<&Path>,
    ) -> Result<Vec<(String, String)>, Failure> {
        let is_customer = matches!(self.sse, None | Some(SseMode::Customer));
        if customer_key.is_some() != (self.sse == Some(SseMode::Customer)) && self.sse.is_some() {
            return Err(Failure::usage(
                "--sse customer and --sse-key belong together",
                "give both, or neither",
            ));
        }
        if is_customer && !self.sse_context.is_empty() {
            return Err(unsuited(vendor));
        }
        let Some(mode) = self.sse.as_ref().filter(|_| !is_customer) else { return Ok(Vec::new()) };
        let of_mode = match mode {
            SseMode::Managed(of_mode, _) => of_mode.unwrap_or(vendor),
            SseMode::Kms(of_mode, _) => *of_mode,
            SseMode::Customer => Vendor::Cos,
        };
        let is_cos_kms = matches!(mode, SseMode::Kms(Vendor::Cos, _));
        if of_mode != vendor || (!self.sse_context.is_empty() && !is_cos_kms) {
            return Err(unsuited(vendor));
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
            (SseMode::Customer, _) => Ok(SseHeaders::default()),
        }
    }
}

/// The words for a store that holds an object encrypted with a customer key, where there is
/// nothing to choose.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct CustomerMode {
    /// The same as for `put`; --sse-key alone is enough.
    #[arg(
        long,
        value_name = "MODE",
        value_parser = ["customer"],
        requires = "sse_key",
        hide = true
    )]
    sse: Option<String>,
}

/// Reads a customer key from a file.
pub(crate) fn customer_key(path: &Path) -> Result<CustomerKey, Failure> {
    warn_if_exposed(path);
    CustomerKey::read(&read_secret(path, Secret::Key)?).map_err(|_| {
        Failure::new(
            Code::Key,
            format_args!("{}: neither 32 bytes nor their base64 text", path.display()),
            "generate one with `envelope keygen aes`",
        )
    })
}

fn unsuited(vendor: Vendor) -> Failure {
    Failure::usage(
        format_args!("--sse and --sse-context do not suit {}", vendor.id()),
        "choose the mode of the store; only cos-kms has a context",
    )
}
