//! The server's certificates: read at the start, and again when their files change or somebody asks for it.
//!
//! Connections that are open keep what they began with. What cannot be read, or does not fit together (a new
//! certificate with the old key), changes nothing: the old one stays in use, the log says why, and the next change of a
//! file is another try.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig};

use tidewire_base::config::Tls;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// The protocol that is spoken.
const ALPN: &[u8] = b"http/1.1";

/// What a file looks like from outside: number, size, seconds and nanoseconds of its last change.
type Look = Option<(u64, u64, i64, i64)>;

/// The certificates in use.
pub struct Certificates {
    files: Tls,
    current: RwLock<Arc<ServerConfig>>,
    seen: Mutex<Vec<Look>>,
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificates")
    }
}

impl Certificates {
    /// Those that the configuration names; the reason where they cannot be used.
    pub fn read(files: &Tls) -> Result<Self, String> {
        let seen = look(files);
        let current = Arc::new(config(files)?);
        Ok(Self { files: files.clone(), current: RwLock::new(current), seen: Mutex::new(seen) })
    }

    /// What a new connection begins with.
    pub fn current(&self) -> Arc<ServerConfig> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the files again.
    pub fn reload(&self) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = look(&self.files);
        match config(&self.files) {
            Ok(config) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
                log::info!("the certificate of {} is in use", self.files.certificate_file.display());
            }
            Err(reason) => log::error!("the certificate in use stays, the new one cannot be used: {reason}"),
        }
    }

    /// Reads them when they change, on a thread of its own, as long as anybody has them.
    pub fn watch(self: &Arc<Self>) -> std::io::Result<()> {
        let watched = Arc::downgrade(self);
        let watch = move || {
            while let Some(certificates) = watched.upgrade() {
                let has_changed = {
                    let seen = certificates.seen.lock().unwrap_or_else(PoisonError::into_inner);
                    *seen != look(&certificates.files)
                };
                if has_changed {
                    certificates.reload();
                }
                drop(certificates);
                std::thread::sleep(LOOK);
            }
        };
        std::thread::Builder::new().name("tidewire-tls".to_owned()).spawn(watch).map(drop)
    }
}

fn paths(files: &Tls) -> impl Iterator<Item = &PathBuf> {
    let all = [&files.certificate_file, &files.key_file, &files.client_ca_file];
    all.into_iter().filter(|path| !path.as_os_str().is_empty())
}

fn look(files: &Tls) -> Vec<Look> {
    let look = |path: &PathBuf| {
        let file = std::fs::metadata(path).ok()?;
        Some((file.ino(), file.size(), file.mtime(), file.mtime_nsec()))
    };
    paths(files).map(look).collect()
}

/// What the files come to.
fn config(files: &Tls) -> Result<ServerConfig, String> {
    let provider = Arc::new(default_provider());
    let chain = certificates(&files.certificate_file)?;
    let key = PrivateKeyDer::from_pem_file(&files.key_file)
        .map_err(|error| format!("{}: no private key: {error}", files.key_file.display()))?;
    let builder = ServerConfig::builder_with_provider(provider.clone());
    let builder = builder.with_protocol_versions(&[&TLS13, &TLS12]).map_err(|error| error.to_string())?;
    let builder = match files.client_ca_file.as_os_str().is_empty() {
        true => builder.with_no_client_auth(),
        false => {
            let mut roots = RootCertStore::empty();
            for root in certificates(&files.client_ca_file)? {
                let path = files.client_ca_file.display();
                roots.add(root).map_err(|error| format!("{path}: {error}"))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.map_err(|error| error.to_string())?)
        }
    };
    let path = files.certificate_file.display();
    let mut config = builder.with_single_cert(chain, key).map_err(|error| format!("{path}: {error}"))?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(config)
}

/// Those of a file in PEM.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let refused = |error: rustls::pki_types::pem::Error| format!("{}: no certificate: {error}", path.display());
    let found = CertificateDer::pem_file_iter(path).map_err(refused)?;
    let found: Vec<_> = found.collect::<Result<_, _>>().map_err(refused)?;
    if found.is_empty() { Err(format!("{}: there is no certificate in it", path.display())) } else { Ok(found) }
}
