//! Sealed blocks in a file: AES-256-GCM under a key of the file's own, so that counting is enough for nonces.
//!
//! A block is `ciphertext | tag 16`. Its plain text begins with a byte that says whether the rest is compressed (LZ4). The key
//! is derived (HKDF, [`Key::derive`]) from the state key and the whole header of the file, in which a file id of 128 random
//! bits stands; the nonce is the block's ordinal in the file. No nonce can be used twice under a key, a block is bound to its
//! file and place, and a change of the header makes every block unreadable.

use std::{fs::File, sync::Arc};

use aes_gcm::{AeadInOut, AesGcm, KeyInit, Nonce, aead::consts::U12, aes::Aes256Enc};
use lz4_flex::block;
use weir_vault::Key;

use super::StateError;

const TAG: usize = 16;
/// Blocks shorter than this are not worth compressing.
const WORTH_COMPRESSING: usize = 128;

/// What a block is. A block of one kind never opens as another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Page = 1,
    Index = 2,
    Footer = 3,
}

/// Where a block is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) offset: u64,
    pub(crate) length: u32,
    /// Counts the file's blocks from 0: the nonce.
    pub(crate) ordinal: u32,
}

/// Seals and opens the blocks of one file.
pub(crate) struct Cipher(AesGcm<Aes256Enc, U12>);

/// Room that sealing and opening use again and again.
#[derive(Default)]
pub(crate) struct Scratch {
    sealed: Vec<u8>,
    plain: Vec<u8>,
}

impl Cipher {
    pub(crate) fn new(key: &Key, header: &[u8]) -> Self {
        let key = key.derive(&format!("state-file/{}", hex::encode(header)));
        Self(AesGcm::new(key.expose().into()))
    }

    fn nonce(ordinal: u32) -> Nonce<U12> {
        let mut nonce = [0; 12];
        nonce[..4].copy_from_slice(&ordinal.to_le_bytes());
        nonce.into()
    }

    /// Appends a sealed block and says how long it is.
    pub(crate) fn seal(&self, kind: Kind, ordinal: u32, plain: &[u8], scratch: &mut Scratch, out: &mut Vec<u8>) -> u32 {
        let start = out.len();
        let compressed = compress(plain, &mut scratch.plain);
        out.push(u8::from(compressed.is_some()));
        if compressed.is_some() {
            out.extend_from_slice(&(plain.len() as u32).to_le_bytes());
        }
        out.extend_from_slice(compressed.unwrap_or(plain));
        let tag = self.0.encrypt_inout_detached(&Self::nonce(ordinal), &[kind as u8], (&mut out[start..]).into());
        out.extend_from_slice(&tag.expect("invariant: no block comes near AES-GCM's limit of 64 GiB"));
        u32::try_from(out.len() - start).expect("invariant: no page comes near 4 GiB")
    }

    /// Opens a sealed block: `None` if it was changed or is another.
    fn open<'a>(&self, kind: Kind, ordinal: u32, scratch: &'a mut Scratch) -> Option<&'a [u8]> {
        let (text, tag) = scratch.sealed.split_last_chunk_mut::<TAG>()?;
        let tag = (&*tag).into();
        self.0.decrypt_inout_detached(&Self::nonce(ordinal), &[kind as u8], (&mut *text).into(), tag).ok()?;
        let (compressed, text) = text.split_first()?;
        if *compressed == 0 {
            return Some(text);
        }
        let (length, text) = text.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length) as usize;
        scratch.plain.clear();
        scratch.plain.resize(length, 0);
        let written = block::decompress_into(text, &mut scratch.plain).ok()?;
        (written == length).then_some(&scratch.plain[..])
    }
}

/// Compresses if that saves an eighth or more.
fn compress<'a>(plain: &[u8], room: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    if plain.len() < WORTH_COMPRESSING || plain.len() > u32::MAX as usize {
        return None;
    }
    let most = block::get_maximum_output_size(plain.len());
    if room.len() < most {
        room.resize(most, 0);
    }
    let length = block::compress_into(plain, room).ok()?;
    (length < plain.len() / 8 * 7).then_some(&room[..length])
}

/// An open file of sealed blocks, read at any place by any thread.
pub(crate) struct BlockFile {
    pub(crate) name: String,
    pub(crate) cipher: Cipher,
    pub(crate) file: File,
}

impl BlockFile {
    /// Reads and opens a block.
    pub(crate) fn read<'a>(&self, kind: Kind, place: Place, scratch: &'a mut Scratch) -> Result<&'a [u8], StateError> {
        scratch.sealed.clear();
        scratch.sealed.resize(place.length as usize, 0);
        read_at(&self.file, &mut scratch.sealed, place.offset).map_err(StateError::io(&self.name, "read"))?;
        let opened = self.cipher.open(kind, place.ordinal, scratch);
        opened.ok_or_else(|| {
            let Place { offset, length, ordinal } = place;
            StateError::damaged(&self.name, format!("block {ordinal} (bytes {offset} + {length}) is not what was written"))
        })
    }
}

/// Reads all of `buffer` from a place, leaving the file's own position alone.
pub(crate) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

/// Fills an array with random bytes.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], StateError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(StateError::NoRandomness)?;
    Ok(bytes)
}

pub(crate) type SharedFile = Arc<BlockFile>;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn blocks_are_bound_to_header_kind_and_place() {
        let key = Key::from_bytes(&[1; 32]);
        let cipher = Cipher::new(&key, b"header");
        for plain in [&b""[..], b"short", &[7; 5000]] {
            let mut sealed = Vec::new();
            let mut scratch = Scratch::default();
            cipher.seal(Kind::Page, 3, plain, &mut scratch, &mut sealed);
            let mut open = |cipher: &Cipher, kind, ordinal| {
                scratch.sealed.clone_from(&sealed);
                cipher.open(kind, ordinal, &mut scratch).map(<[u8]>::to_vec)
            };
            assert_eq!(open(&cipher, Kind::Page, 3).as_deref(), Some(plain));
            assert_eq!(open(&cipher, Kind::Index, 3), None);
            assert_eq!(open(&cipher, Kind::Page, 4), None);
            assert_eq!(open(&Cipher::new(&key, b"Header"), Kind::Page, 3), None);
            assert_eq!(open(&Cipher::new(&Key::from_bytes(&[2; 32]), b"header"), Kind::Page, 3), None);
        }
    }

    #[test]
    fn nonces_are_unique_and_compression_pays() {
        let nonces: BTreeSet<_> = (0..10_000).map(|ordinal| Cipher::nonce(ordinal).to_vec()).collect();
        assert_eq!(nonces.len(), 10_000);
        let cipher = Cipher::new(&Key::from_bytes(&[1; 32]), b"");
        let mut sealed = Vec::new();
        assert!(cipher.seal(Kind::Page, 0, &[7; 5000], &mut Scratch::default(), &mut sealed) < 200);
    }
}
