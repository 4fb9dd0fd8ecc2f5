//! The name of an object, which its seal may be bound to.

use envelope_core::Decryptor;

/// Returns the decryptor for the object under this key. If the caller gave it a name, it keeps that
/// one: the object may have been renamed.
pub(crate) fn named(decryptor: &Decryptor, key: &str) -> Decryptor {
    if decryptor.name().is_some() {
        return decryptor.clone();
    }
    decryptor.clone().with_name(key)
}
