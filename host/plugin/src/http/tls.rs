//! Whom plugins' requests trust.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use rustls::{ClientConfig, RootCertStore};

/// Why plugins cannot make requests.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The operator's authorities.
    #[error("the certificates in {} cannot be used: {reason}", path.display())]
    Ca {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The threads.
    #[error("the threads for plugins' HTTP requests cannot be started: {0}")]
    Threads(#[from] io::Error),
    /// The library.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// Trusts the authorities of the system, and those in a PEM file.
pub(super) fn config(ca: Option<&Path>) -> Result<ClientConfig, TrustError> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    let (added, _) = roots.add_parsable_certificates(system.certs);
    if added == 0 {
        let errors = system.errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        tracing::warn!(errors, "the system has no authorities whose certificates plugins' requests could trust");
    }
    if let Some(path) = ca {
        add(&mut roots, path)?;
    }
    trusting(roots)
}

/// Adds the certificates of a file: at least one.
fn add(roots: &mut RootCertStore, path: &Path) -> Result<(), TrustError> {
    let wrong = |reason: String| TrustError::Ca { path: path.to_path_buf(), reason };
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))?;
    let certificates: Result<Vec<_>, pem::Error> = certificates.collect();
    let certificates = certificates.map_err(|error| wrong(error.to_string()))?;
    if certificates.is_empty() {
        return Err(wrong("there is no certificate in it".into()));
    }
    certificates
        .into_iter()
        .try_for_each(|certificate| roots.add(certificate))
        .map_err(|error| wrong(error.to_string()))
}

pub(super) fn trusting(roots: RootCertStore) -> Result<ClientConfig, TrustError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_authorities_is_read_or_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        assert!(config(Some(&path)).unwrap_err().to_string().contains("ca.pem"));
        std::fs::write(&path, "nothing").unwrap();
        assert!(config(Some(&path)).unwrap_err().to_string().ends_with("there is no certificate in it"));
        std::fs::write(&path, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        assert!(config(Some(&path)).is_err());
        let made = rcgen::generate_simple_self_signed(["ca.example".to_owned()]).unwrap();
        std::fs::write(&path, made.cert.pem()).unwrap();
        assert!(config(Some(&path)).is_ok());
    }
}
