//! A frame of the ingest log: some rows of one request, sealed, with a checksum that shows a torn write.
//!
//! ```text
//! length u32 | crc32 u32 | first_row u64 | first_byte u64 | rows u32 | nonce 12 bytes | sealed
//! ```
//!
//! All numbers are little-endian. `length` counts `sealed`; the checksum covers everything after it. `sealed` is AES-256-GCM over
//! `appended_at u64 | key_hash 16 bytes | body_hash 16 bytes | rows`, bound to the segment and to the numbers before it. Nonces
//! are random: a frame that was torn off is written again with other content under the same numbers.

use aes_gcm::{
    Aes256Gcm, Nonce,
    aead::{AeadInOut, KeyInit},
};
use flate2::Crc;
use rand::RngCore;
use sha2::{Digest, Sha256};

pub(super) const HEADER: usize = 4 + 4 + 8 + 8 + 4 + 12;
const TAG: usize = 16;
/// What precedes the rows inside the seal.
const PREFIX: usize = 8 + 16 + 16;

/// Hash of an idempotency key, or of a body. All zero stands for no key.
pub(super) type Hash = [u8; 16];

/// A frame's numbers and where it lies in its segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHead {
    pub at: u64,
    pub length: u64,
    pub first_row: u64,
    pub first_byte: u64,
    pub rows: u32,
}

impl FrameHead {
    pub fn end(&self) -> u64 {
        self.at + self.length
    }

    pub fn end_row(&self) -> u64 {
        self.first_row + u64::from(self.rows)
    }

    /// Bytes of rows in it.
    pub fn row_bytes(&self) -> u64 {
        self.length.saturating_sub((HEADER + PREFIX + TAG) as u64)
    }
}

/// What a frame holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Opened {
    /// Milliseconds since 1970.
    pub appended_at: u64,
    pub key: Hash,
    pub body: Hash,
    pub rows: Vec<u8>,
}

/// A checksum or a seal does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Damaged;

/// Seals and opens the frames of one log.
pub(super) struct Sealer {
    cipher: Aes256Gcm,
    key_salt: [u8; 32],
}

impl Sealer {
    pub fn new(key: &[u8; 32]) -> Self {
        let salt = Sha256::new_with_prefix(b"weir ingest idempotency key").chain_update(key).finalize();
        Self { cipher: Aes256Gcm::new(&(*key).into()), key_salt: salt.into() }
    }

    /// A hash by which keys are told apart without being kept.
    pub fn hash_key(&self, key: &str) -> Hash {
        self.hash(key.as_bytes())
    }

    pub fn hash(&self, content: &[u8]) -> Hash {
        let digest = Sha256::new_with_prefix(self.key_salt).chain_update(content).finalize();
        let mut hash = Hash::default();
        hash.copy_from_slice(&digest[..16]);
        hash
    }

    pub fn seal(&self, segment: u64, head: FrameHead, content: &Opened) -> Result<Vec<u8>, Damaged> {
        let mut nonce = [0; 12];
        rand::rng().fill_bytes(&mut nonce);
        let mut sealed = Vec::with_capacity(PREFIX + content.rows.len() + TAG);
        sealed.extend_from_slice(&content.appended_at.to_le_bytes());
        sealed.extend_from_slice(&content.key);
        sealed.extend_from_slice(&content.body);
        sealed.extend_from_slice(&content.rows);
        let bound = bound_to(segment, head);
        self.cipher.encrypt_in_place(&Nonce::from(nonce), &bound, &mut sealed).map_err(|_| Damaged)?;
        let mut frame = Vec::with_capacity(HEADER + sealed.len());
        frame.extend_from_slice(&u32::try_from(sealed.len()).map_err(|_| Damaged)?.to_le_bytes());
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(&head.first_row.to_le_bytes());
        frame.extend_from_slice(&head.first_byte.to_le_bytes());
        frame.extend_from_slice(&head.rows.to_le_bytes());
        frame.extend_from_slice(&nonce);
        frame.extend_from_slice(&sealed);
        let checksum = crc32(&frame[8..]);
        frame[4..8].copy_from_slice(&checksum.to_le_bytes());
        Ok(frame)
    }

    /// Opens a whole frame, as found at `head`.
    pub fn open(&self, segment: u64, head: FrameHead, frame: &[u8]) -> Result<Opened, Damaged> {
        if !is_whole(frame) {
            return Err(Damaged);
        }
        let nonce: [u8; 12] = array(frame, 28).ok_or(Damaged)?;
        let mut content = frame[HEADER..].to_vec();
        self.cipher.decrypt_in_place(&Nonce::from(nonce), &bound_to(segment, head), &mut content).map_err(|_| Damaged)?;
        let appended_at = u64::from_le_bytes(array(&content, 0).ok_or(Damaged)?);
        let (key, body) = (array(&content, 8).ok_or(Damaged)?, array(&content, 24).ok_or(Damaged)?);
        content.drain(..PREFIX);
        Ok(Opened { appended_at, key, body, rows: content })
    }
}

fn bound_to(segment: u64, head: FrameHead) -> [u8; 28] {
    let mut bound = [0; 28];
    bound[..8].copy_from_slice(&segment.to_le_bytes());
    bound[8..16].copy_from_slice(&head.first_row.to_le_bytes());
    bound[16..24].copy_from_slice(&head.first_byte.to_le_bytes());
    bound[24..].copy_from_slice(&head.rows.to_le_bytes());
    bound
}

/// The numbers of the frame that begins `bytes`, which lies at `at` of its segment; None where they cannot be a frame's. Not checked
/// against its checksum.
pub(super) fn read_head(bytes: &[u8], at: u64) -> Option<FrameHead> {
    let sealed = u32::from_le_bytes(array(bytes, 0)?);
    if (sealed as usize) < PREFIX + TAG {
        return None;
    }
    let head = FrameHead {
        at,
        length: HEADER as u64 + u64::from(sealed),
        first_row: u64::from_le_bytes(array(bytes, 8)?),
        first_byte: u64::from_le_bytes(array(bytes, 16)?),
        rows: u32::from_le_bytes(array(bytes, 24)?),
    };
    // What comes after it must have numbers too.
    head.first_row.checked_add(u64::from(head.rows))?;
    head.first_byte.checked_add(head.length)?;
    Some(head)
}

/// Whether the checksum of a frame fits.
pub(super) fn is_whole(frame: &[u8]) -> bool {
    frame.len() >= HEADER && array(frame, 4).map(u32::from_le_bytes) == Some(crc32(&frame[8..]))
}

/// The frames of a segment that are whole, from its beginning; stops at the first that is not.
pub(super) fn frames(segment: &[u8]) -> impl Iterator<Item = (FrameHead, &[u8])> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = segment.get(at..)?;
        let head = read_head(rest, at as u64)?;
        let frame = rest.get(..usize::try_from(head.length).ok()?).filter(|frame| is_whole(frame))?;
        at += frame.len();
        Some((head, frame))
    })
}

pub(super) fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

pub(super) fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}
