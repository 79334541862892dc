//! The server's certificate.

use std::io;
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, crypto, version};

/// A certificate and its key, both PEM.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// A self-signed certificate for the names.
pub(crate) fn self_signed(names: &[String]) -> io::Result<Identity> {
    let made = rcgen::generate_simple_self_signed(names.to_vec()).map_err(io::Error::other)?;
    Ok(Identity { certificate: made.cert.pem(), key: made.signing_key.serialize_pem() })
}

/// TLS 1.2 only: with 1.3 the tickets that follow the handshake would not be in PRELOGIN packets,
/// and TDS 7 clients have left those behind by then.
pub(crate) fn acceptor(identity: &Identity) -> io::Result<TlsAcceptor> {
    let chain = CertificateDer::pem_slice_iter(identity.certificate.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(io::Error::other)?;
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).map_err(io::Error::other)?;
    let config =
        ServerConfig::builder_with_provider(Arc::new(crypto::aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&version::TLS12])
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(io::Error::other)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
