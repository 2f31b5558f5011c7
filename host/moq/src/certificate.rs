//! The endpoint's certificate: one of its own making, or one from PEM files.
//!
//! A certificate of its own making is good for development: a browser trusts it where the page says its hash
//! (`serverCertificateHashes`, W3C WebTransport, 6.10), if its key is on the curve P-256 and it is valid for at most 14 days. It is
//! made when the server starts, and again in good time before it ends.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use time::{Duration, OffsetDateTime};

/// The longest that a browser takes a certificate for by its hash.
const VALID: Duration = Duration::days(14);
/// Clocks differ: it is valid from a while ago.
const SKEW: Duration = Duration::hours(1);
/// Half of its time is left when another is made, so that who has asked for its hash has time to use it.
const RENEWED_AFTER: Duration = Duration::days(7);

/// SHA-256 of a certificate (DER).
pub type Hash = [u8; 32];

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// It could not be made.
    #[error("a certificate cannot be made: {0}")]
    Make(#[from] rcgen::Error),
    /// A file cannot be read.
    #[error("{path} cannot be read: {source}", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// There is nothing in the file that was looked for.
    #[error("{path} has no {what} in it, expected PEM", path = .path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// A certificate, or a private key.
        what: &'static str,
    },
    /// The key cannot be used, or is not the certificate's.
    #[error("the key cannot be used with the certificate: {0}")]
    Key(#[from] rustls::Error),
}

/// Where certificates come from.
#[derive(Debug)]
enum Origin {
    /// Made here, for these names, at this time.
    Made { names: Vec<String>, at: OffsetDateTime },
    /// Read from files, as they were at these times.
    Files { cert: PathBuf, key: PathBuf, changed: [Option<SystemTime>; 2] },
}

#[derive(Debug)]
struct State {
    origin: Origin,
    current: Arc<CertifiedKey>,
}

/// The certificate that is shown to clients, which may be exchanged while connections come. Cheap to clone.
#[derive(Clone)]
pub struct Certificates(Arc<RwLock<State>>);

impl Certificates {
    /// Makes one for these DNS names and IP addresses.
    ///
    /// # Errors
    /// Where a name cannot stand in a certificate.
    pub fn development(names: Vec<String>, now: SystemTime) -> Result<Self, CertificateError> {
        let at = OffsetDateTime::from(now);
        let current = Arc::new(make(&names, at)?);
        Ok(Self(Arc::new(RwLock::new(State { origin: Origin::Made { names, at }, current }))))
    }

    /// Reads one from PEM files: the chain, the server's own first, and its key.
    ///
    /// # Errors
    /// Where a file cannot be read, has not in it what it should have, or the two do not go together.
    pub fn from_files(cert: &Path, key: &Path) -> Result<Self, CertificateError> {
        let changed = [cert, key].map(changed);
        let current = Arc::new(read(cert, key)?);
        let origin = Origin::Files { cert: cert.to_owned(), key: key.to_owned(), changed };
        Ok(Self(Arc::new(RwLock::new(State { origin, current }))))
    }

    /// The hash of the certificate that is shown now, where it was made here; none of one from files, which is trusted by its chain.
    pub fn hash(&self) -> Option<Hash> {
        let state = self.0.read().unwrap_or_else(PoisonError::into_inner);
        match &state.origin {
            Origin::Made { .. } => Some(hash(state.current.cert.first()?)),
            Origin::Files { .. } => None,
        }
    }

    /// Exchanges the certificate where that is due: one made here that has had half its time, or files that have changed. True where it
    /// was. To be called from time to time.
    ///
    /// # Errors
    /// Where another cannot be made or read; the one there was stays.
    pub fn refresh(&self, now: SystemTime) -> Result<bool, CertificateError> {
        let mut state = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let now = OffsetDateTime::from(now);
        let current = match &mut state.origin {
            Origin::Made { names, at } => {
                if now - *at < RENEWED_AFTER {
                    return Ok(false);
                }
                let made = make(names, now)?;
                *at = now;
                made
            }
            Origin::Files { cert, key, changed: known } => {
                let found = [&**cert, &**key].map(changed);
                if found == *known {
                    return Ok(false);
                }
                // Also where they cannot be used: they are looked at again when they change again.
                *known = found;
                read(cert, key)?
            }
        };
        state.current = Arc::new(current);
        Ok(true)
    }
}

impl Certificates {
    /// Reads the files again, whether they seem to have changed or not. True where the certificate is another than before; one that was
    /// made here stays.
    ///
    /// # Errors
    /// Where a file cannot be read, has not in it what it should have, or the two do not go together; the one there was stays.
    pub fn reload(&self) -> Result<bool, CertificateError> {
        let files = match &self.0.read().unwrap_or_else(PoisonError::into_inner).origin {
            Origin::Made { .. } => return Ok(false),
            Origin::Files { cert, key, .. } => [cert.clone(), key.clone()],
        };
        // Clients are not kept waiting while the disk is.
        let [cert, key] = &files;
        let found = [&**cert, &**key].map(changed);
        let read = read(cert, key)?;
        let mut state = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Origin::Files { changed, .. } = &mut state.origin {
            *changed = found;
        }
        let is_new = state.current.cert != read.cert;
        state.current = Arc::new(read);
        Ok(is_new)
    }

    /// True of two handles to one certificate.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.read().unwrap_or_else(PoisonError::into_inner);
        f.debug_tuple("Certificates").field(&state.origin).finish()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).current.clone())
    }
}

/// SHA-256 of a certificate (DER).
pub fn hash(certificate: &CertificateDer<'_>) -> Hash {
    let digest = ring::digest::digest(&ring::digest::SHA256, certificate);
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// A hash in hexadecimal, as it is shown.
pub fn to_hex(hash: &Hash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads a hash in hexadecimal, with or without colons between its bytes; none where it is not one.
pub fn from_hex(text: &str) -> Option<Hash> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b':').collect();
    let mut hash = Hash::default();
    if digits.len() != 2 * hash.len() {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(hash)
}

fn make(names: &[String], now: OffsetDateTime) -> Result<CertifiedKey, CertificateError> {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let mut params = rcgen::CertificateParams::new(names.to_vec())?;
    params.distinguished_name.push(rcgen::DnType::CommonName, "Millrace development");
    params.not_before = now - SKEW;
    params.not_after = now - SKEW + VALID;
    let certificate = params.self_signed(&key)?;
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    certified(vec![certificate.der().clone()], &key)
}

fn read(cert: &Path, key: &Path) -> Result<CertifiedKey, CertificateError> {
    let open =
        |path: &Path| std::fs::read(path).map_err(|source| CertificateError::Read { path: path.to_owned(), source });
    let missing = |path: &Path, what| CertificateError::Missing { path: path.to_owned(), what };
    let chain: Result<Vec<_>, PemError> = CertificateDer::pem_slice_iter(&open(cert)?).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or_else(|| missing(cert, "certificate"))?;
    let key_in = PrivateKeyDer::from_pem_slice(&open(key)?).map_err(|_| missing(key, "private key"))?;
    certified(chain, &key_in)
}

fn certified(chain: Vec<CertificateDer<'static>>, key: &PrivateKeyDer<'_>) -> Result<CertifiedKey, CertificateError> {
    let certified = CertifiedKey::new(chain, any_supported_type(key)?);
    match certified.keys_match() {
        // A key of a kind that does not tell is tried.
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => Ok(certified),
        Err(error) => Err(error.into()),
    }
}

fn changed(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|known| known.modified()).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration as StdDuration;

    use super::*;

    const DAY: StdDuration = StdDuration::from_secs(86_400);

    fn names() -> Vec<String> {
        vec!["localhost".into(), "127.0.0.1".into()]
    }

    #[test]
    fn a_certificate_made_here_is_made_again_when_half_its_time_is_over() {
        let now = SystemTime::now();
        let certificates = Certificates::development(names(), now).unwrap();
        let first = certificates.hash().unwrap();
        assert!(!certificates.refresh(now + DAY * 6).unwrap());
        assert_eq!(certificates.hash(), Some(first));
        assert!(certificates.refresh(now + DAY * 7).unwrap());
        assert_ne!(certificates.hash(), Some(first));
        assert!(!certificates.refresh(now + DAY * 8).unwrap(), "the new one is new");
    }

    fn write_pair(directory: &Path) {
        let key = rcgen::KeyPair::generate().unwrap();
        let made = rcgen::CertificateParams::new(names()).unwrap().self_signed(&key).unwrap();
        std::fs::write(directory.join("cert.pem"), made.pem()).unwrap();
        std::fs::write(directory.join("key.pem"), key.serialize_pem()).unwrap();
    }

    fn shown(certificates: &Certificates) -> Hash {
        hash(&certificates.0.read().unwrap().current.cert[0])
    }

    #[test]
    fn hashes_are_read_as_they_are_shown() {
        let known = hash(&CertificateDer::from(vec![1, 2, 3]));
        let shown = to_hex(&known);
        assert_eq!(shown, "039058c6f2c0cb492c533b0a4d14ef77cc0f78abccced5287d84a1a2011cfb81");
        assert_eq!(from_hex(&shown), Some(known));
        let with_colons = shown.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap()).collect::<Vec<_>>();
        assert_eq!(from_hex(&with_colons.join(":").to_uppercase()), Some(known));
        for bad in ["", "03", &shown[1..], &format!("{shown}00"), &shown.replace('9', "g"), &shown.replace("03", "é")]
        {
            assert_eq!(from_hex(bad), None, "{bad:?} was taken");
        }
    }

    #[test]
    fn files_are_read_again_when_they_change() {
        let directory = tempfile::tempdir().unwrap();
        let (cert, key) = (directory.path().join("cert.pem"), directory.path().join("key.pem"));
        write_pair(directory.path());
        let certificates = Certificates::from_files(&cert, &key).unwrap();
        let (first, now) = (shown(&certificates), SystemTime::now());
        assert_eq!(certificates.hash(), None, "it is trusted by its chain");
        assert!(!certificates.refresh(now).unwrap());
        write_pair(directory.path());
        let later = now + StdDuration::from_secs(5);
        std::fs::File::options().write(true).open(&key).unwrap().set_modified(later).unwrap();
        assert!(certificates.refresh(now).unwrap());
        let second = shown(&certificates);
        assert_ne!(second, first);
        std::fs::write(&cert, "nothing").unwrap();
        std::fs::File::options().write(true).open(&cert).unwrap().set_modified(later).unwrap();
        let error = certificates.refresh(now).unwrap_err();
        assert!(error.to_string().contains("cert.pem has no certificate in it"), "{error}");
        assert_eq!(shown(&certificates), second, "the one there was stays");
    }

    #[test]
    fn files_are_read_again_whenever_that_is_asked_for() {
        let directory = tempfile::tempdir().unwrap();
        let (cert, key) = (directory.path().join("cert.pem"), directory.path().join("key.pem"));
        write_pair(directory.path());
        let certificates = Certificates::from_files(&cert, &key).unwrap();
        let first = shown(&certificates);
        let modified = |path: &Path| std::fs::metadata(path).unwrap().modified().unwrap();
        let times = [&cert, &key].map(|path| modified(path));
        assert!(!certificates.reload().unwrap(), "it is the same");
        write_pair(directory.path());
        for (path, time) in [&cert, &key].into_iter().zip(times) {
            std::fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
        }
        assert!(!certificates.refresh(SystemTime::now()).unwrap(), "their times tell nothing");
        assert!(certificates.reload().unwrap());
        let second = shown(&certificates);
        assert_ne!(second, first);
        std::fs::remove_file(&key).unwrap();
        assert!(certificates.reload().unwrap_err().to_string().contains("key.pem cannot be read"));
        assert_eq!(shown(&certificates), second, "the one there was stays");
        let made = Certificates::development(names(), SystemTime::now()).unwrap();
        let hash = made.hash();
        assert!(!made.reload().unwrap());
        assert_eq!(made.hash(), hash, "whoever knows its hash can use it on");
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        write_pair(one.path());
        write_pair(other.path());
        let error = Certificates::from_files(&one.path().join("cert.pem"), &other.path().join("key.pem")).unwrap_err();
        assert!(matches!(error, CertificateError::Key(_)), "{error}");
    }
}
