//! HMAC-SHA256 (RFC 2104) with the key's two blocks hashed once: two compressions for a short value.
//!
//! Hashing, tokens and subjects MAC millions of short values a second, and need no streaming: this skips the block buffers
//! of the `hmac` crate, which is the oracle of the tests. A column's values are taken some at a time ([`Macs`]): their
//! compressions do not wait for each other, so the processor overlaps them.

use std::fmt;

use sha2::{Digest, Sha256, block_api::compress256};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

const BLOCK: usize = 64;
/// FIPS 180-4, section 5.3.3.
const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// A keyed HMAC-SHA256. Wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Mac {
    /// The hash state after the inner and after the outer key block.
    inner: [u32; 8],
    outer: [u32; 8],
}

impl Mac {
    /// A key of any length; the project's keys have 32 bytes.
    pub fn new(key: &[u8]) -> Self {
        let mut block = Zeroizing::new([0u8; BLOCK]);
        if key.len() > BLOCK {
            block[..32].copy_from_slice(&Sha256::digest(key));
        } else {
            block[..key.len()].copy_from_slice(key);
        }
        let state_after = |pad: u8| {
            let padded = Zeroizing::new(block.map(|byte| byte ^ pad));
            let mut state = INITIAL;
            compress256(&mut state, std::slice::from_ref(&*padded));
            state
        };
        Self { inner: state_after(0x36), outer: state_after(0x5c) }
    }

    /// The MAC of a message.
    #[inline]
    pub fn mac(&self, message: &[u8]) -> [u8; 32] {
        let mut state = self.inner;
        let (blocks, rest) = message.as_chunks::<BLOCK>();
        if !blocks.is_empty() {
            compress256(&mut state, blocks);
        }
        let inner = finish(state, rest, BLOCK + message.len());
        finish(self.outer, &inner, BLOCK + inner.len())
    }

    /// Whether the MAC belongs to the message, in constant time.
    pub fn verify(&self, message: &[u8], mac: &[u8; 32]) -> bool {
        self.mac(message).ct_eq(mac).into()
    }
}

/// Messages whose compressions overlap. More gains nothing: a processor looks ahead over about two of them.
const LANES: usize = 8;

/// MACs of many messages, in order.
pub struct Macs<'k> {
    mac: &'k Mac,
    /// Of the messages that wait: the state before their last block, and that block.
    states: [[u32; 8]; LANES],
    blocks: [[u8; BLOCK]; LANES],
    /// Which of them are messages; the others are gaps.
    present: [bool; LANES],
    waiting: usize,
    done: Vec<[u8; 32]>,
}

impl<'k> Macs<'k> {
    /// For so many messages.
    pub fn with_capacity(mac: &'k Mac, messages: usize) -> Self {
        Self {
            mac,
            states: [[0; 8]; LANES],
            blocks: [[0; BLOCK]; LANES],
            present: [false; LANES],
            waiting: 0,
            done: Vec::with_capacity(messages),
        }
    }

    /// The next message; for none, the result holds zeros.
    #[inline]
    pub fn push(&mut self, message: Option<&[u8]>) {
        let lane = self.waiting;
        self.present[lane] = message.is_some();
        if let Some(message) = message {
            let mut state = self.mac.inner;
            let (blocks, rest) = message.as_chunks::<BLOCK>();
            if !blocks.is_empty() {
                compress256(&mut state, blocks);
            }
            self.blocks[lane] = last_block(&mut state, rest, BLOCK + message.len());
            self.states[lane] = state;
        }
        self.waiting += 1;
        if self.waiting == LANES {
            self.compress();
        }
    }

    /// All MACs, one a message.
    pub fn finish(mut self) -> Vec<[u8; 32]> {
        self.compress();
        self.done
    }

    fn compress(&mut self) {
        let lanes = std::mem::take(&mut self.waiting);
        for lane in (0..lanes).filter(|&lane| self.present[lane]) {
            compress256(&mut self.states[lane], std::slice::from_ref(&self.blocks[lane]));
        }
        for lane in 0..lanes {
            let inner = digest(self.states[lane]);
            self.states[lane] = self.mac.outer;
            self.blocks[lane] = last_block(&mut self.states[lane], &inner, BLOCK + inner.len());
        }
        for lane in (0..lanes).filter(|&lane| self.present[lane]) {
            compress256(&mut self.states[lane], std::slice::from_ref(&self.blocks[lane]));
        }
        for lane in 0..lanes {
            self.done.push(if self.present[lane] { digest(self.states[lane]) } else { [0; 32] });
        }
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mac(..)")
    }
}

/// The digest of a message of `length` bytes whose full blocks are in `state`.
#[inline]
fn finish(mut state: [u32; 8], rest: &[u8], length: usize) -> [u8; 32] {
    let block = last_block(&mut state, rest, length);
    compress256(&mut state, &[block]);
    digest(state)
}

/// Pads the last, incomplete block of a message of `length` bytes (FIPS 180-4, section 5.1.1). Where the length does not fit
/// behind it, it is compressed and another one is last.
#[inline]
fn last_block(state: &mut [u32; 8], rest: &[u8], length: usize) -> [u8; BLOCK] {
    let bits = (length as u64 * 8).to_be_bytes();
    let mut block = [0u8; BLOCK];
    block[..rest.len()].copy_from_slice(rest);
    block[rest.len()] = 0x80;
    if rest.len() >= BLOCK - bits.len() {
        compress256(state, &[block]);
        block = [0; BLOCK];
    }
    block[BLOCK - bits.len()..].copy_from_slice(&bits);
    block
}

#[inline]
fn digest(state: [u32; 8]) -> [u8; 32] {
    let mut digest = [0; 32];
    for (bytes, word) in digest.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    digest
}

#[cfg(test)]
mod tests {
    use hmac::{Hmac, KeyInit, Mac as _};
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    proptest! {
        #[test]
        fn equals_the_hmac_crate(key in prop::collection::vec(any::<u8>(), 0..200), message in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut oracle = Hmac::<Sha256>::new_from_slice(&key).unwrap();
            oracle.update(&message);
            let expected: [u8; 32] = oracle.finalize().into_bytes().into();
            let mac = Mac::new(&key);
            prop_assert_eq!(mac.mac(&message), expected);
            prop_assert!(mac.verify(&message, &expected));
            let mut wrong = expected;
            wrong[31] ^= 1;
            prop_assert!(!mac.verify(&message, &wrong));
        }
    }

    proptest! {
        #[test]
        fn many_at_a_time_are_what_they_are_one_by_one(
            messages in prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 0..140)), 0..40),
        ) {
            let mac = Mac::new(b"key");
            let mut macs = Macs::with_capacity(&mac, messages.len());
            messages.iter().for_each(|message| macs.push(message.as_deref()));
            let expected: Vec<[u8; 32]> =
                messages.iter().map(|message| message.as_ref().map_or([0; 32], |message| mac.mac(message))).collect();
            prop_assert_eq!(macs.finish(), expected);
        }
    }

    #[test]
    fn every_length_around_a_block_is_padded_right() {
        let mac = Mac::new(b"key");
        for length in 0..=200 {
            let message = vec![7; length];
            let mut oracle = Hmac::<Sha256>::new_from_slice(b"key").unwrap();
            oracle.update(&message);
            assert_eq!(mac.mac(&message), <[u8; 32]>::from(oracle.finalize().into_bytes()), "{length} bytes");
        }
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Vectors {
        test_groups: Vec<Group>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Group {
        tag_size: usize,
        tests: Vec<Case>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Case {
        tc_id: u32,
        key: String,
        msg: String,
        tag: String,
        result: String,
    }

    #[test]
    fn hmac_sha256_is_as_published() {
        let Some(path) = crate::test_data("wycheproof/hmac_sha256_test.json") else {
            return;
        };
        let vectors: Vectors = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let mut count = 0;
        for Group { tag_size, tests } in vectors.test_groups {
            for Case { tc_id, key, msg, tag, result } in tests {
                let mac = Mac::new(&hex::decode(key).unwrap());
                let (msg, tag) = (hex::decode(msg).unwrap(), hex::decode(tag).unwrap());
                assert_eq!(mac.mac(&msg)[..tag_size / 8] == tag, result == "valid", "test {tc_id}");
                if let Ok(tag) = tag.try_into() {
                    assert_eq!(mac.verify(&msg, &tag), result == "valid", "test {tc_id}");
                }
                count += 1;
            }
        }
        assert_eq!(count, 174);
    }
}
