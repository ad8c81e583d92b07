//! Certificates and keys, from files to what the data plane speaks TLS with.

use std::{error::Error, path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    server::WebPkiClientVerifier,
};
use wsi_config::{ClientTls, ServerTls};

/// The one protocol that is spoken inside (RFC 7301).
const ALPN: &[u8] = b"http/1.1";

/// For a listener.
///
/// # Errors
/// A file that doesn't hold what it should, or a key that is not the certificate's.
pub(crate) fn server(tls: &ServerTls) -> Result<Arc<ServerConfig>, Box<dyn Error>> {
    let chain = certificates(&tls.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(|error| {
        format!("{}: no private key: {error}; it should hold one in PEM", tls.key.display())
    })?;
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match &tls.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(path)?), provider())
                .build()
                .map_err(|error| format!("{}: {error}", path.display()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|error| {
        let (certificate, key) = (tls.certificate.display(), tls.key.display());
        format!("{certificate} and {key} don't fit together: {error}")
    })?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    // A client that comes back saves a handshake, and nothing is kept of it meanwhile.
    config.ticketer = ring::Ticketer::new().map_err(|error| error.to_string())?;
    Ok(Arc::new(config))
}

/// For the servers of an upstream.
///
/// # Errors
/// A file that doesn't hold what it should, or a name that none can have.
pub(crate) fn client(tls: &ClientTls) -> Result<wsi_dataplane::ClientTls, Box<dyn Error>> {
    let name = ServerName::try_from(tls.server_name.clone()).map_err(|_| {
        format!(
            "\"{}\" can't be in a certificate; give the servers' name with `server-name`",
            tls.server_name
        )
    })?;
    let roots = match &tls.ca {
        Some(path) => roots(path)?,
        None => system_roots()?,
    };
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(wsi_dataplane::ClientTls { config: Arc::new(config), name })
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Box<dyn Error>> {
    let shown = path.display();
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates =
        read.map_err(|error| format!("{shown}: {error}; it should hold certificates in PEM"))?;
    if certificates.is_empty() {
        return Err(format!("{shown}: no certificate in it; it should hold some in PEM").into());
    }
    Ok(certificates)
}

fn roots(path: &Path) -> Result<RootCertStore, Box<dyn Error>> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(roots)
}

fn system_roots() -> Result<RootCertStore, Box<dyn Error>> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err("the system trusts nobody: install its certificates (Debian: ca-certificates), or name your own with `ca`".into());
    }
    Ok(roots)
}
