//! A conformance test for implementations of [`Kms`]. Run it against your own service in your
//! tests.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use envelope_core::kms::{Kms, KmsError};
use meta_codec::{Dialect, IvForm};

/// Makes about a dozen calls and checks the results.
///
/// # Errors
/// Returns a description of the first violated requirement.
pub fn check(kms: &dyn Kms) -> Result<(), String> {
    let broken = |what: &str, error: KmsError| format!("{what}: {error}");
    for context in [None, Some("{}"), Some(r#"{"a":"1"}"#)] {
        for bytes in [&[7_u8; 12][..], &[8; 16], &[9; 32]] {
            let plaintext = STANDARD.encode(bytes);
            let blob = kms.encrypt(&plaintext, context).map_err(|e| broken("encrypt", e))?;
            let again = kms.decrypt(&blob, context).map_err(|e| broken("decrypt", e))?;
            ensure(*again == plaintext, "decrypt returns the text passed to encrypt")?;
            let other = kms.encrypt(&plaintext, context).map_err(|e| broken("encrypt", e))?;
            ensure(blob != other, "encrypting twice yields two different blobs")?;
        }
    }
    let takes_text = Dialect::ALL.into_iter().any(|dialect| {
        dialect.iv_form() == IvForm::WrappedDecimal
            && dialect.wrap_algorithms().any(|wrap| wrap == kms.algorithm())
    });
    if takes_text {
        // oss-v1 encrypts the counter as decimal text, which is not base64.
        let blob = kms.encrypt("8", None).map_err(|e| broken("encrypt", e))?;
        let text = kms.decrypt(&blob, None).map_err(|e| broken("decrypt", e))?;
        ensure(*text == "8", "a text that is not base64 is returned unchanged")?;
    }

    let blob = kms.encrypt("AAAA", Some(r#"{"a":"1"}"#)).map_err(|e| broken("encrypt", e))?;
    let refused = |outcome: Result<_, KmsError>| matches!(outcome, Err(KmsError::Refused(_)));
    ensure(refused(kms.decrypt(&blob, Some(r#"{"a":"2"}"#))), "a different context is refused")?;
    ensure(refused(kms.decrypt(&blob, None)), "a missing context is refused")?;
    ensure(refused(kms.decrypt("AAAA", None)), "an unknown blob is refused")
}

fn ensure(holds: bool, promise: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("violated: {promise}")) }
}
