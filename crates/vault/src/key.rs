//! A secret key of 32 bytes, the ids by which evidence names keys, and derivation of keys from keys.

use std::{fmt, str::FromStr};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::mac::Mac;

/// A secret key: 32 random bytes. Wiped when dropped; `Debug` shows its id only; compared in constant time.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Key([u8; 32]);

/// What goes wrong with keys. Never holds key material.
#[derive(Debug, Error)]
pub enum KeyError {
    #[error(
        "not a key; give 32 bytes as base64 (44 characters) or hex (64 characters), for example from `openssl rand -base64 32`"
    )]
    NotAKey,
    #[error("not a key id; it is 16 lower-case hex digits")]
    NotAKeyId,
    #[error("the operating system gave no random bytes: {0}")]
    NoRandomness(getrandom::Error),
}

impl Key {
    /// A new key from the operating system's random source.
    pub fn generate() -> Result<Self, KeyError> {
        let mut key = Self([0; 32]);
        random(&mut key.0)?;
        Ok(key)
    }

    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(*bytes)
    }

    /// The secret itself. Seal it before it goes anywhere.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads 64 hex digits, or base64 (standard or URL-safe, padded or not) of 32 bytes. White space around it is ignored.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        let mut key = Self([0; 32]);
        if text.len() == 64 {
            hex::decode_to_slice(text, &mut key.0).map_err(|_| KeyError::NotAKey)?;
            return Ok(key);
        }
        let text = text.trim_end_matches('=');
        let engine = if text.contains(['-', '_']) { &URL_SAFE_NO_PAD } else { &STANDARD_NO_PAD };
        // Decoded into a longer buffer, so that a longer text is noticed.
        let mut bytes = Zeroizing::new([0u8; 66]);
        match engine.decode_slice(text, bytes.as_mut_slice()) {
            Ok(32) => {
                key.0.copy_from_slice(&bytes[..32]);
                Ok(key)
            }
            _ => Err(KeyError::NotAKey),
        }
    }

    /// Names the key in evidence and in sealed values without telling anything of it.
    pub fn id(&self) -> KeyId {
        let tag = Zeroizing::new(Mac::new(&self.0).mac(b"weir/v1/key-id"));
        let mut id = [0; 8];
        id.copy_from_slice(&tag[..8]);
        KeyId(id)
    }

    /// The key for a use named by `label`, independent of this key and of those for other labels: HKDF-Expand with
    /// SHA-256 to 32 bytes (RFC 5869, section 2.3) of `weir/v1/{label}`. Extraction is not needed: this key is uniform.
    pub fn derive(&self, label: &str) -> Self {
        Self(expand(&self.0, format!("weir/v1/{label}").as_bytes()))
    }
}

/// The first block of HKDF-Expand.
fn expand(key: &[u8], info: &[u8]) -> [u8; 32] {
    Mac::new(key).mac(&[info, &[1]].concat())
}

/// Fills a buffer from the operating system's random source.
pub(crate) fn random(buffer: &mut [u8]) -> Result<(), KeyError> {
    getrandom::fill(buffer).map_err(KeyError::NoRandomness)
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Key {}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.id())
    }
}

/// A key's public name: 16 lower-case hex digits, computed from the key one-way.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId([u8; 8]);

impl KeyId {
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    pub const fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

impl FromStr for KeyId {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let mut id = [0; 8];
        match hex::decode_to_slice(text, &mut id) {
            Ok(()) if !text.bytes().any(|byte| byte.is_ascii_uppercase()) => Ok(Self(id)),
            _ => Err(KeyError::NotAKeyId),
        }
    }
}

impl TryFrom<String> for KeyId {
    type Error = KeyError;
    fn try_from(text: String) -> Result<Self, KeyError> {
        text.parse()
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_hex_and_every_base64() {
        let key = Key::from_bytes(&[0xfb; 32]);
        for text in [
            "fb".repeat(32),
            "FB".repeat(32),
            "+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/s=".into(),
            "-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_s".into(),
            format!(" {}\n", "fb".repeat(32)),
        ] {
            assert_eq!(Key::parse(&text).unwrap(), key, "{text}");
        }
        for text in ["", "secret", &"fb".repeat(31), &"fb".repeat(33), &"zz".repeat(32), &"A".repeat(42), &"A".repeat(4096)] {
            let error = Key::parse(text).unwrap_err().to_string();
            assert!(text.is_empty() || !error.contains(text), "the message repeats what may be a key");
        }
    }

    #[test]
    fn debug_shows_no_key_material() {
        let key = Key::generate().unwrap();
        assert_eq!(format!("{key:?}"), format!("Key({})", key.id()));
        assert!(!hex::encode(key.expose()).contains(&key.id().to_string()));
        assert_eq!(key.id().to_string().parse::<KeyId>().unwrap(), key.id());
    }

    #[test]
    fn derived_keys_differ_by_label_and_from_their_parent() {
        let key = Key::from_bytes(&[1; 32]);
        let derived = [key.clone(), key.derive("a"), key.derive("b"), key.derive("a").derive("b"), key.derive("")];
        for (n, one) in derived.iter().enumerate() {
            assert!(derived[..n].iter().all(|other| other != one && other.id() != one.id()));
        }
        assert_eq!(key.derive("a"), key.derive("a"));
    }

    /// RFC 5869, appendix A, tests 1 and 2: the first 32 bytes of the output are the first block.
    #[test]
    fn expansion_is_hkdfs() {
        let prk = hex::decode("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5").unwrap();
        let info = hex::decode("f0f1f2f3f4f5f6f7f8f9").unwrap();
        assert_eq!(hex::encode(expand(&prk, &info)), "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf");
        let prk = hex::decode("06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244").unwrap();
        let info: Vec<u8> = (0xb0..=0xff).collect();
        assert_eq!(hex::encode(expand(&prk, &info)), "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c");
    }
}
