//! TLS to a receiver, trusting whom this machine trusts: the system's store, or what `SSL_CERT_FILE` and
//! `SSL_CERT_DIR` name. The store is read for each connection: a certificate that is added there counts at once, and
//! between the rare deliveries nothing of it takes memory.

use std::io;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{CertificateError, ClientConfig, Error, RootCertStore};

use super::post::PostError;
use crate::process::blocking;

/// Makes a connection a secret one, with a receiver that proves to be `host`.
pub(super) async fn connect(host: &str, tcp: TcpStream) -> Result<TlsStream<TcpStream>, PostError> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| PostError::HostName)?;
    let config = blocking(config).await?;
    let connector = TlsConnector::from(Arc::new(config));
    connector.connect(name, tcp).await.map_err(PostError::Tls)
}

fn config() -> Result<ClientConfig, PostError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err(PostError::NobodyTrusted);
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has the versions that are the default");
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// What is wrong, with the way out where it is a common mistake.
pub(super) fn words(error: &io::Error) -> String {
    let tls = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Error>());
    match tls {
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            "its certificate is signed by nobody whom this machine trusts; add the authority to the system's store, or start the server with SSL_CERT_FILE"
                .to_owned()
        }
        // The only mistake that reaches us without a name of its own.
        Some(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            "its certificate is that of an authority (CA:TRUE), and can't be a server's as well; have the authority sign one for the server"
                .to_owned()
        }
        _ => error.to_string(),
    }
}
