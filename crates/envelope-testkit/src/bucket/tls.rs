//! The certificate of a server over TLS.

use std::sync::Arc;

use axum_server::tls_rustls::RustlsConfig;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{ServerConfig, crypto::aws_lc_rs, pki_types::PrivateKeyDer};

/// Makes a certificate for this machine, and returns it in PEM, with the configuration of a server
/// that shows it.
pub(super) fn server() -> (String, RustlsConfig) {
    // SDKs that put the bucket into the name of the host find it below `localhost`.
    let names = ["127.0.0.1", "localhost", "*.localhost"].map(str::to_owned);
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(names).expect("a certificate");
    let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions of TLS")
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .expect("a key for the certificate");
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    (cert.pem(), RustlsConfig::from_config(Arc::new(config)))
}
