//! The log's signing key and its public half (Ed25519, RFC 8032).

use std::{fmt, str::FromStr};

use ed25519_dalek::{Signature, Signer, VerifyingKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::hash::decode_hex;

/// What goes wrong with keys.
#[derive(Debug, Error)]
pub enum KeyError {
    #[error("not an Ed25519 public key; write its 32 bytes as 64 lower-case hex digits")]
    NotAPublicKey,
    #[error("the operating system gave no random bytes for a new signing key: {0}")]
    NoRandomness(getrandom::Error),
}

/// Signs tree heads. Wiped from memory when dropped; never shown by `Debug`.
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// A new key from the operating system's random source.
    pub fn generate() -> Result<Self, KeyError> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut_slice()).map_err(KeyError::NoRandomness)?;
        Ok(Self::from_bytes(&seed))
    }

    /// The key of a 32-byte seed (RFC 8032's private key).
    pub fn from_bytes(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// The 32-byte seed; keep it sealed.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// See [`PublicKey::key_id`].
    pub fn key_id(&self) -> String {
        self.public_key().key_id()
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.key_id())
    }
}

/// Checks signatures of tree heads. Written as 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Refuses bytes that are no point of the curve, and points of small order, under which anyone can sign anything.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::NotAPublicKey)?;
        if key.is_weak() { Err(KeyError::NotAPublicKey) } else { Ok(Self(key)) }
    }

    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The first 16 hex digits of the key's SHA-256: names the key in heads and evidence.
    pub fn key_id(&self) -> String {
        hex::encode(&Sha256::digest(self.as_bytes())[..8])
    }

    /// Whether this key made the signature over the message. Strict: one message and key have one acceptable signature encoding.
    pub fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.0.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::from_bytes(&decode_hex(text.as_bytes()).ok_or(KeyError::NotAPublicKey)?)
    }
}

impl TryFrom<String> for PublicKey {
    type Error = KeyError;
    fn try_from(text: String) -> Result<Self, KeyError> {
        text.parse()
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        hex::encode(key.as_bytes())
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.as_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_through_bytes_and_hides_its_seed() {
        let key = SigningKey::generate().unwrap();
        let again = SigningKey::from_bytes(&key.to_bytes());
        assert_eq!(again.public_key(), key.public_key());
        assert!(again.public_key().verifies(b"message", &key.sign(b"message")));
        assert!(!again.public_key().verifies(b"massage", &key.sign(b"message")));
        assert!(!format!("{key:?}").contains(&hex::encode(*key.to_bytes())));
        assert_ne!(SigningKey::generate().unwrap().key_id(), key.key_id());
    }

    #[test]
    fn key_id_is_the_beginning_of_the_keys_sha_256() {
        // RFC 8032, section 7.1, test 1.
        let key: PublicKey = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a".parse().unwrap();
        assert_eq!(key.key_id(), "21fe31dfa154a261");
    }

    #[test]
    fn refuses_weak_points() {
        let mut identity = [0; 32];
        identity[0] = 1;
        assert!(PublicKey::from_bytes(&identity).is_err());
        assert!(PublicKey::from_bytes(&[0; 32]).is_err());
    }
}
