//! The master key, from which every other key of a backend is derived.

use std::{fmt, path::Path};

use hkdf::Hkdf;
use secrecy::{ExposeSecret, SecretBox};
use sha2::Sha256;

use crate::error::{Error, Result};

/// 32 secret bytes. Each use derives its own key from them (HKDF-SHA-256, RFC 5869) under a label,
/// so that a key for one purpose says nothing about the others.
pub struct MasterKey(SecretBox<[u8; 32]>);

impl MasterKey {
    /// A new random key.
    ///
    /// # Errors
    /// `Internal` if the operating system has no randomness to give.
    pub fn generate() -> Result<Self> {
        let mut bytes = [0_u8; 32];
        getrandom::fill(&mut bytes).map_err(|error| Error::internal(error.to_string()))?;
        Ok(Self(SecretBox::new(Box::new(bytes))))
    }

    /// A key from 64 hexadecimal digits, as `UNIVERSAL_MASTER_KEY` holds it.
    ///
    /// # Errors
    /// `Invalid` if the text is anything else.
    pub fn from_hex(text: &str) -> Result<Self> {
        let bad = || {
            Error::invalid(
                "invalid-master-key",
                "a master key is 64 hexadecimal digits; `openssl rand -hex 32` prints a good one",
            )
        };
        let text = text.trim().as_bytes();
        if text.len() != 64 {
            return Err(bad());
        }
        let mut bytes = [0_u8; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| bad())?;
            if !pair.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(bad());
            }
            *byte = u8::from_str_radix(pair, 16).map_err(|_| bad())?;
        }
        Ok(Self(SecretBox::new(Box::new(bytes))))
    }

    /// Reads the key at `path`, or writes a new one there: mode 0600, complete before it has its name,
    /// and never over one that another process has put there meanwhile.
    ///
    /// # Errors
    /// `Unavailable` if the file cannot be read or written, `Invalid` if it holds something else.
    pub async fn load_or_create(path: &Path) -> Result<Self> {
        let path = path.to_owned();
        tokio::task::spawn_blocking(move || load_or_create(&path)).await.map_err(Error::internal)?
    }

    /// The key for one purpose.
    #[must_use]
    pub fn derive(&self, label: &'static str) -> SecretBox<[u8; 32]> {
        let mut out = Box::new([0_u8; 32]);
        let hkdf = Hkdf::<Sha256>::new(Some(b"universal-backend"), self.0.expose_secret());
        // 32 bytes are far below HKDF's limit of 255 blocks, its only error.
        let _ = hkdf.expand(label.as_bytes(), out.as_mut());
        SecretBox::new(out)
    }

    fn to_hex(&self) -> String {
        crate::id::hex(self.0.expose_secret())
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey([redacted])")
    }
}

fn load_or_create(path: &Path) -> Result<MasterKey> {
    use std::io::{ErrorKind, Write};
    let failed = |error: std::io::Error| {
        Error::new(
            crate::error::ErrorKind::Unavailable,
            "master-key-unavailable",
            "the file of the master key cannot be read or written; check the data folder's rights",
        )
        .with_source(error)
    };
    match std::fs::read_to_string(path) {
        Ok(text) => return MasterKey::from_hex(&text),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let key = MasterKey::generate()?;
    let draft = path.with_extension(format!("{}.new", crate::id::random_hex(8)?));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft).map_err(failed)?;
    file.write_all(key.to_hex().as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    // A hard link fails if the name exists, where a rename would replace another process's key.
    let linked = std::fs::hard_link(&draft, path);
    std::fs::remove_file(&draft).map_err(failed)?;
    match linked {
        Ok(()) => Ok(key),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            MasterKey::from_hex(&std::fs::read_to_string(path).map_err(failed)?)
        }
        Err(error) => Err(failed(error)),
    }
}
