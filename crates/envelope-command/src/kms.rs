//! Master keys in a KMS.

use std::{num::NonZeroU32, path::Path, sync::Arc};

use envelope_core::{
    KeyWrapper as _, KmsKeyWrapper,
    kms::{ContextStyle, Kms, KmsError},
};
use envelope_kms::{CacheLimits, CachedKms, Endpoint, EndpointError, KmsAddress};
use envelope_store::RateLimit;
use meta_codec::{Dialect, KmsContext, WrapAlgorithm};
use zeroize::Zeroizing;

use crate::{
    args::{self, KmsStyle, ToKms},
    failure::Failure,
    input::read_text_line,
};

/// A KMS of either vendor. Responses are cached for one run of the command.
pub(crate) type AnyKms = Arc<dyn Kms>;

/// A master key in a KMS, as named by the arguments.
#[derive(Clone, Copy)]
pub(crate) struct KmsKey<'a> {
    name: &'a KmsAddress,
    endpoint: Option<&'a Endpoint>,
    passphrase: Option<&'a Path>,
    rate: Option<NonZeroU32>,
}

impl args::Kms {
    pub(crate) fn key(&self) -> Result<Option<KmsKey<'_>>, Failure> {
        let (endpoint, passphrase) = (&self.kms_endpoint, &self.kms_passphrase_file);
        key(self.kms.as_ref(), endpoint.as_ref(), passphrase.as_deref(), self.kms_rate)
    }
}

impl ToKms {
    pub(crate) fn key(&self) -> Result<Option<KmsKey<'_>>, Failure> {
        let (endpoint, passphrase) = (&self.to_kms_endpoint, &self.to_kms_passphrase_file);
        key(self.to_kms.as_ref(), endpoint.as_ref(), passphrase.as_deref(), self.to_kms_rate)
    }
}

fn key<'a>(
    name: Option<&'a KmsAddress>,
    endpoint: Option<&'a Endpoint>,
    passphrase: Option<&'a Path>,
    rate: Option<NonZeroU32>,
) -> Result<Option<KmsKey<'a>>, Failure> {
    match name {
        Some(name) => Ok(Some(KmsKey { name, endpoint, passphrase, rate })),
        None if endpoint.is_none() && passphrase.is_none() => Ok(None),
        None => Err(Failure::usage(
            "an endpoint or a passphrase is given for a KMS, but no KMS",
            "name the KMS with --kms or --to-kms, or omit these options",
        )),
    }
}

impl KmsKey<'_> {
    /// Returns the key for unwrapping.
    pub(crate) fn reader(&self) -> Result<KmsKeyWrapper<AnyKms>, Failure> {
        let wrapper = KmsKeyWrapper::new(self.client().map_err(|error| {
            Failure::usage(
                error,
                "specify the KMS as VENDOR:REGION[:KEY_ID], such as aliyun:cn-hangzhou",
            )
        })?);
        let Some(path) = self.passphrase else { return Ok(wrapper) };
        if self.context(&wrapper) != Some(KmsContext::Constant) {
            return Err(Failure::usage(
                format_args!("a passphrase is not valid with the KMS of {}", self.name.vendor.id()),
                "omit it",
            ));
        }
        let bytes = read_text_line(path)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| {
            Failure::usage(
                format_args!("{}: not UTF-8 text", path.display()),
                "oss2 accepts only text as a passphrase",
            )
        })?;
        Ok(wrapper.with_passphrase(&Zeroizing::new(text.to_owned())))
    }

    /// Returns the key for wrapping.
    pub(crate) fn writer(
        &self,
        style: KmsStyle,
        dialect: Dialect,
    ) -> Result<KmsKeyWrapper<AnyKms>, Failure> {
        if self.name.key_id.is_none() {
            return Err(Failure::usage(
                "no master key is named for encryption",
                "specify it as VENDOR:REGION:KEY_ID",
            ));
        }
        if style.kms_blob_twice && dialect != Dialect::OSS_V2 {
            return Err(Failure::usage("--kms-blob-twice is only valid with oss-v2", "omit it"));
        }
        let mut wrapper = self.reader()?;
        if style.kms_context_go && self.context(&wrapper) != Some(KmsContext::Description) {
            return Err(Failure::usage(
                format_args!("--kms-context-go is not valid with {}", self.name.vendor.id()),
                "omit it",
            ));
        }
        if style.kms_blob_twice {
            wrapper = wrapper.with_blob_twice();
        }
        if style.kms_context_go {
            wrapper = wrapper.with_context_style(ContextStyle::Go);
        }
        Ok(wrapper)
    }

    /// Returns the source of the encryption contexts of the service.
    fn context(&self, wrapper: &KmsKeyWrapper<AnyKms>) -> Option<KmsContext> {
        let mut algorithms = WrapAlgorithm::ALL.into_iter().filter(|wrap| wrapper.wraps(*wrap));
        algorithms.find_map(|wrap| wrap.kms()).map(|convention| convention.context)
    }

    fn client(&self) -> Result<AnyKms, EndpointError> {
        let client = self.name.client(self.endpoint)?;
        let limit = self.rate.map(RateLimit::per_second);
        // What is known already takes no call.
        Ok(Arc::new(CachedKms::new(LimitedKms { client, limit }, CacheLimits::default())))
    }
}

/// A KMS that is called so often a second, and no more.
struct LimitedKms<K> {
    client: K,
    limit: Option<RateLimit>,
}

impl<K> LimitedKms<K> {
    fn wait(&self) {
        self.limit.iter().for_each(|limit| limit.take_blocking(1));
    }
}

impl<K: Kms> Kms for LimitedKms<K> {
    fn algorithm(&self) -> WrapAlgorithm {
        self.client.algorithm()
    }

    fn encrypt(&self, plaintext: &str, context: Option<&str>) -> Result<String, KmsError> {
        self.wait();
        self.client.encrypt(plaintext, context)
    }

    fn decrypt(&self, blob: &str, context: Option<&str>) -> Result<Zeroizing<String>, KmsError> {
        self.wait();
        self.client.decrypt(blob, context)
    }
}
