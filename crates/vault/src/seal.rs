//! Sealed bytes: authenticated encryption of secrets and rejected rows for storage.

use std::fmt;

use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    aead::{Aead, NONCE_LEN, TAG_LEN},
    key::{Key, KeyError, KeyId, random},
};

const VERSION: u8 = 1;
const KEY_ID: std::ops::Range<usize> = 1..9;
const NONCE: std::ops::Range<usize> = 9..HEADER;
const HEADER: usize = 9 + NONCE_LEN;

/// Bytes sealed with AES-256-GCM: `version 1 | key id 8 | nonce 12 | ciphertext | tag 16`.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(Vec<u8>);

/// Why something cannot be sealed or opened. Never holds what was sealed.
#[derive(Debug, Error)]
pub enum SealError {
    #[error("not sealed bytes of a version that this Weir reads")]
    NotSealed,
    #[error("sealed under key {needed}, but key {given} was given; provide the key it was sealed with")]
    WrongKey { needed: KeyId, given: KeyId },
    #[error("the sealed bytes were changed, or belong to something else")]
    Unauthentic,
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl Sealed {
    /// Takes stored bytes; whether they are authentic shows when they are opened.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Result<Self, SealError> {
        let bytes = bytes.into();
        if bytes.len() < HEADER + TAG_LEN || bytes[0] != VERSION {
            return Err(SealError::NotSealed);
        }
        Ok(Self(bytes))
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// The key that opens it.
    pub fn key_id(&self) -> KeyId {
        KeyId::from_bytes(self.0[KEY_ID].try_into().expect("invariant: 8 bytes"))
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes under {})", self.0.len(), self.key_id())
    }
}

/// Seals and opens many values under one key.
///
/// Nonces are random: seal at most 2^32 values under one key (NIST SP 800-38D, section 8.3); seal rows in batches.
pub struct Sealer {
    aead: Aead,
    key_id: KeyId,
}

impl Sealer {
    pub fn new(key: &Key) -> Self {
        Self { aead: Aead::new(key), key_id: key.id() }
    }

    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// Seals a secret. It opens only with the same `aad`, which says what it is and where it belongs.
    pub fn seal(&self, aad: &[u8], secret: &[u8]) -> Result<Sealed, SealError> {
        let mut bytes = Vec::with_capacity(HEADER + secret.len() + TAG_LEN);
        bytes.push(VERSION);
        bytes.extend_from_slice(self.key_id.as_bytes());
        let mut nonce = [0; NONCE_LEN];
        random(&mut nonce)?;
        bytes.extend_from_slice(&nonce);
        let bound = self.bind(aad);
        bytes.extend_from_slice(secret);
        let tag = self.aead.encrypt(&nonce, &bound, &mut bytes[HEADER..]);
        bytes.extend_from_slice(&tag);
        Ok(Sealed(bytes))
    }

    /// Opens what was sealed under this key with the same `aad`.
    pub fn open(&self, aad: &[u8], sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let needed = sealed.key_id();
        if needed != self.key_id {
            return Err(SealError::WrongKey { needed, given: self.key_id });
        }
        let nonce = sealed.0[NONCE].try_into().expect("invariant: 12 bytes");
        let (text, tag) = sealed.0[HEADER..].split_last_chunk::<TAG_LEN>().expect("invariant: checked when made");
        let mut secret = Zeroizing::new(text.to_vec());
        let opened = self.aead.decrypt(nonce, &self.bind(aad), &mut secret, tag);
        opened.map_err(|_| SealError::Unauthentic)?;
        Ok(secret)
    }

    /// The header is authenticated too.
    fn bind(&self, aad: &[u8]) -> Vec<u8> {
        [&[VERSION], self.key_id.as_bytes().as_slice(), aad].concat()
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealer({})", self.key_id)
    }
}

impl Key {
    /// Seals one secret; see [`Sealer::seal`].
    pub fn seal(&self, aad: &[u8], secret: &[u8]) -> Result<Sealed, SealError> {
        Sealer::new(self).seal(aad, secret)
    }

    /// Opens one secret; see [`Sealer::open`].
    pub fn open(&self, aad: &[u8], sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, SealError> {
        Sealer::new(self).open(aad, sealed)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn opens_with_its_key_and_aad_only(secret in prop::collection::vec(any::<u8>(), 0..100), aad in prop::collection::vec(any::<u8>(), 0..20)) {
            let key = Key::generate().unwrap();
            let sealed = key.seal(&aad, &secret).unwrap();
            prop_assert_eq!(&*key.open(&aad, &sealed).unwrap(), &secret);
            let stored = Sealed::from_bytes(sealed.as_bytes()).unwrap();
            prop_assert_eq!(&*key.open(&aad, &stored).unwrap(), &secret);
            let other_aad = [aad.as_slice(), b"x"].concat();
            prop_assert!(matches!(key.open(&other_aad, &sealed), Err(SealError::Unauthentic)));
            let other_key = Key::generate().unwrap();
            let wrong_key = matches!(other_key.open(&aad, &sealed), Err(SealError::WrongKey { .. }));
            prop_assert!(wrong_key);
        }
    }

    #[test]
    fn any_changed_bit_and_any_cut_is_noticed() {
        let key = Key::from_bytes(&[3; 32]);
        let sealed = key.seal(b"aad", b"secret").unwrap().into_bytes();
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(Sealed::from_bytes(changed).and_then(|sealed| key.open(b"aad", &sealed)).is_err(), "bit {bit}");
        }
        for cut in 0..sealed.len() {
            assert!(Sealed::from_bytes(&sealed[..cut]).and_then(|sealed| key.open(b"aad", &sealed)).is_err(), "cut {cut}");
        }
    }

    #[test]
    fn the_same_secret_is_sealed_differently_each_time() {
        let key = Key::generate().unwrap();
        let [one, two] = [key.seal(b"", b"secret").unwrap(), key.seal(b"", b"secret").unwrap()];
        assert_ne!(one, two);
        assert!(!one.as_bytes().windows(6).any(|window| window == b"secret"));
    }
}
