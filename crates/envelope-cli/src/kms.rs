//! Master keys in a KMS.

use std::sync::Arc;

use envelope_core::{KmsKeyWrapper, kms::ContextStyle};
use envelope_kms::{
    Aliyun, CacheLimits, CachedKms, Client, Tencent, aliyun_environment, tencent_environment,
};
use zeroize::Zeroizing;

use crate::{
    args::{Kms, KmsName, KmsVendor},
    failure::Failure,
    input::read_small,
};

/// A KMS of either vendor. Answers are remembered for the one run of the command.
pub(crate) type AnyKms = Arc<dyn envelope_core::kms::Kms>;

impl Kms {
    /// The master key that the arguments name.
    pub(crate) fn wrapper(&self, name: &KmsName) -> Result<KmsKeyWrapper<AnyKms>, Failure> {
        let mut wrapper = KmsKeyWrapper::new(self.client(name));
        if let Some(path) = &self.kms_passphrase_file {
            let bytes = read_small(path)?;
            let bytes = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
            let text = Zeroizing::new(String::from_utf8(bytes.to_vec()).map_err(|_| {
                Failure::usage(
                    format_args!("{}: not UTF-8 text", path.display()),
                    "oss2 takes a passphrase of text",
                )
            })?);
            wrapper = wrapper.with_passphrase(&text);
        }
        if self.kms_blob_twice {
            wrapper = wrapper.with_blob_twice();
        }
        if self.kms_context_go {
            wrapper = wrapper.with_context_style(ContextStyle::Go);
        }
        Ok(wrapper)
    }

    fn client(&self, name: &KmsName) -> AnyKms {
        let limits = CacheLimits::default();
        match name.vendor {
            KmsVendor::Aliyun => {
                let mut service = Aliyun::new(name.region.as_str());
                if let Some(key_id) = &name.key_id {
                    service = service.with_key_id(key_id.as_str());
                }
                if let Some(endpoint) = &self.kms_endpoint {
                    service = service.with_endpoint(endpoint.clone());
                }
                Arc::new(CachedKms::new(Client::new(service, aliyun_environment()), limits))
            }
            KmsVendor::Tencent => {
                let mut service = Tencent::new(name.region.as_str());
                if let Some(key_id) = &name.key_id {
                    service = service.with_key_id(key_id.as_str());
                }
                if let Some(endpoint) = &self.kms_endpoint {
                    service = service.with_endpoint(endpoint.clone());
                }
                Arc::new(CachedKms::new(Client::new(service, tencent_environment()), limits))
            }
        }
    }
}
