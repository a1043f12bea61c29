//! AES-256-GCM with the nonce given by the caller. Whoever calls must never use a nonce twice under one key.

use aes_gcm::{AeadInOut, AesGcm, KeyInit, Nonce, aead::consts::U12, aes::Aes256Enc};

use crate::key::Key;

pub(crate) const NONCE_LEN: usize = 12;
pub(crate) const TAG_LEN: usize = 16;

/// The tag does not fit: another key, other associated data, or changed bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unauthentic;

/// A key made ready. GCM runs the block cipher forwards only, so the schedule for decryption, half of the work for a key
/// that is used once, is left out. Wiped when dropped.
pub(crate) struct Aead(AesGcm<Aes256Enc, U12>);

impl Aead {
    pub(crate) fn new(key: &Key) -> Self {
        Self(AesGcm::new(key.expose().into()))
    }

    /// Encrypts in place and gives the tag.
    pub(crate) fn encrypt(&self, nonce: &[u8; NONCE_LEN], aad: &[u8], text: &mut [u8]) -> [u8; TAG_LEN] {
        let nonce: &Nonce<_> = nonce.into();
        let tag = self.0.encrypt_inout_detached(nonce, aad, text.into());
        tag.expect("invariant: no value comes near AES-GCM's limit of 64 GiB").into()
    }

    /// Decrypts in place, if the tag fits; else the text stays as it was.
    pub(crate) fn decrypt(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        text: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> Result<(), Unauthentic> {
        let nonce: &Nonce<_> = nonce.into();
        self.0.decrypt_inout_detached(nonce, aad, text.into(), tag.into()).map_err(|_| Unauthentic)
    }
}

#[cfg(test)]
mod tests {
    use aes_gcm::{
        aead::{Payload, consts},
        aes::{Aes128, Aes192, Aes256},
    };
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Vectors {
        test_groups: Vec<Group>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Group {
        iv_size: usize,
        key_size: usize,
        tests: Vec<Case>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Case {
        tc_id: u32,
        key: String,
        iv: String,
        aad: String,
        msg: String,
        ct: String,
        tag: String,
        result: String,
    }

    fn bytes(hex: &str) -> Vec<u8> {
        hex::decode(hex).unwrap()
    }

    /// Encrypts and decrypts with what Weir uses: 256-bit keys and 96-bit nonces.
    fn check_ours(case: &Case) {
        let aead = Aead::new(&Key::from_bytes(&bytes(&case.key).try_into().unwrap()));
        let nonce = bytes(&case.iv).try_into().unwrap();
        let tag: [u8; TAG_LEN] = bytes(&case.tag).try_into().unwrap();
        let (aad, valid) = (bytes(&case.aad), case.result == "valid");
        let mut text = bytes(&case.ct);
        assert_eq!(aead.decrypt(&nonce, &aad, &mut text, &tag).is_ok(), valid, "test {}", case.tc_id);
        let expected = if valid { &case.msg } else { &case.ct };
        assert_eq!(&hex::encode(&text), expected, "test {}: what is not authentic is not decrypted", case.tc_id);
        let mut text = bytes(&case.msg);
        let made = aead.encrypt(&nonce, &aad, &mut text);
        assert_eq!(hex::encode(&text) == case.ct && made == tag, valid, "test {}", case.tc_id);
    }

    /// Other sizes go to the crate that does the work.
    fn check_crate<A: aes_gcm::aead::Aead + KeyInit>(case: &Case) {
        let aead = A::new_from_slice(&bytes(&case.key)).unwrap();
        let iv = bytes(&case.iv);
        let nonce = iv.as_slice().try_into().unwrap();
        let sealed = bytes(&format!("{}{}", case.ct, case.tag));
        let (msg, aad) = (bytes(&case.msg), bytes(&case.aad));
        let opened = aead.decrypt(nonce, Payload { msg: &sealed, aad: &aad });
        let made = aead.encrypt(nonce, Payload { msg: &msg, aad: &aad }).unwrap();
        let valid = case.result == "valid";
        assert_eq!((opened == Ok(msg), made == sealed), (valid, valid), "test {}", case.tc_id);
    }

    #[test]
    #[allow(unreachable_patterns, reason = "256 and 96 bits are ours")]
    fn aes_gcm_is_as_published() {
        let Some(path) = crate::test_data("wycheproof/aes_gcm_test.json") else {
            return;
        };
        let vectors: Vectors = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let (mut ours, mut others, mut impossible) = (0, 0, 0);
        for group in &vectors.test_groups {
            for case in &group.tests {
                macro_rules! by_size {
                    ($($bits:literal => $nonce:ident),+) => {
                        match (group.key_size, group.iv_size) {
                            (256, 96) => { check_ours(case); ours += 1; }
                            // An empty nonce cannot be expressed, with Weir's types or the crate's.
                            (_, 0) => { assert_eq!(case.result, "invalid"); impossible += 1; }
                            $((128, $bits) => { check_crate::<AesGcm<Aes128, consts::$nonce>>(case); others += 1; }
                            (192, $bits) => { check_crate::<AesGcm<Aes192, consts::$nonce>>(case); others += 1; }
                            (256, $bits) => { check_crate::<AesGcm<Aes256, consts::$nonce>>(case); others += 1; })+
                            sizes => panic!("no test for key and nonce of {sizes:?} bits"),
                        }
                    };
                }
                by_size!(8 => U1, 16 => U2, 32 => U4, 48 => U6, 64 => U8, 80 => U10, 96 => U12, 120 => U15, 128 => U16,
                    160 => U20, 256 => U32, 512 => U64, 1024 => U128, 2056 => U257);
            }
        }
        assert_eq!((ours, impossible, ours + others + impossible), (66, 6, 316));
    }
}
