//! The layout of a state file, its writer and its reader.
//!
//! ```text
//!  ┌────────┬────────┬────────┬─────┬─────────┬────────┬─────┬─────────┬────────┬─────────┐
//!  │ header │ page 0 │ page 1 │ ... │ index   │ page n │ ... │ index   │ footer │ trailer │
//!  │ 72     │ sealed │ sealed │     │ of these│ sealed │     │ of these│ sealed │ 32      │
//!  └────────┴────────┴────────┴─────┴─────────┴────────┴─────┴─────────┴────────┴─────────┘
//!  header   magic 8 | version 4 | lane 2 | lanes 2 | key id 8 | file id 16 | operator 32
//!  index    per page: ordinal, offset, length, live slots, hash of each key, timers
//!  footer   where the index blocks are; the manifest: which pages of which files the state consists of
//!  trailer  where the footer is: offset 8 | length 4 | ordinal 4 | hash of the header 8 | magic 8
//! ```
//!
//! A file appears under its name only when it is whole and durable: it is written as `NAME.part`, synced, renamed.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use weir_vault::{Key, KeyId};

#[cfg(fuzzing)]
#[path = "forge.rs"]
pub mod forge;

use super::{
    StateError, VERSION,
    codec::{Reader, put_varint},
    hash::key_hash,
    page::PageSummary,
    seal::{BlockFile, Cipher, Kind, Place, Scratch, SharedFile, random, read_at},
};

const MAGIC: &[u8; 8] = b"WeirStat";
const END: &[u8; 8] = b"tatSrieW";
pub(crate) const HEADER: usize = 72;
const TRAILER: usize = 32;
/// Pages per index block: 512 KiB of hashes.
const PAGES_PER_INDEX: usize = 1024;

/// What the header of a file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) lane: u16,
    pub(crate) lanes: u16,
    pub(crate) key: KeyId,
    pub(crate) id: [u8; 16],
    pub(crate) operator: [u8; 32],
}

impl Header {
    fn encode(&self) -> [u8; HEADER] {
        let mut out = Vec::with_capacity(HEADER);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&self.lane.to_le_bytes());
        out.extend_from_slice(&self.lanes.to_le_bytes());
        out.extend_from_slice(self.key.as_bytes());
        out.extend_from_slice(&self.id);
        out.extend_from_slice(&self.operator);
        out.try_into().expect("invariant: the fields are 72 bytes")
    }

    fn decode(file: &str, bytes: &[u8; HEADER]) -> Result<Self, StateError> {
        let mut reader = Reader::new(bytes);
        if &reader.array()? != MAGIC {
            return Err(StateError::damaged(file, "it does not begin like a state file"));
        }
        let version = reader.u32()?;
        if version != VERSION {
            return Err(StateError::OtherVersion { file: file.to_owned(), version });
        }
        let [lane, lanes] = [reader.array()?, reader.array()?].map(u16::from_le_bytes);
        Ok(Self { lane, lanes, key: KeyId::from_bytes(reader.array()?), id: reader.array()?, operator: reader.array()? })
    }
}

/// A file being written.
pub(crate) struct FileWriter {
    out: BufWriter<File>,
    path: PathBuf,
    part: PathBuf,
    name: String,
    header: Header,
    cipher: Cipher,
    next: Place,
    index: Vec<u8>,
    indexed: usize,
    indexes: Vec<Place>,
    sealed: Vec<u8>,
    scratch: Scratch,
}

/// A file that is whole.
pub(crate) struct FinishedFile {
    pub(crate) file: SharedFile,
    pub(crate) bytes: u64,
}

impl FileWriter {
    pub(crate) fn create(
        folder: &Path,
        name: &str,
        key: &Key,
        operator: [u8; 32],
        lane: usize,
        lanes: usize,
    ) -> Result<Self, StateError> {
        let word = |number: usize| u16::try_from(number).expect("invariant: lanes are at most 1,024");
        let header = Header { lane: word(lane), lanes: word(lanes), key: key.id(), id: random()?, operator };
        let (path, part) = (folder.join(name), folder.join(format!("{name}.part")));
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&part);
        let mut out = BufWriter::with_capacity(1 << 18, file.map_err(StateError::io(name, "create"))?);
        let bytes = header.encode();
        out.write_all(&bytes).map_err(StateError::io(name, "write"))?;
        Ok(Self {
            out,
            path,
            part,
            name: name.to_owned(),
            cipher: Cipher::new(key, &bytes),
            header,
            next: Place { offset: HEADER as u64, length: 0, ordinal: 0 },
            index: Vec::new(),
            indexed: 0,
            indexes: Vec::new(),
            sealed: Vec::new(),
            scratch: Scratch::default(),
        })
    }

    pub(crate) fn id(&self) -> [u8; 16] {
        self.header.id
    }

    /// Bytes written so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.next.offset
    }

    fn block(&mut self, kind: Kind, plain: &[u8]) -> Result<Place, StateError> {
        self.sealed.clear();
        let length = self.cipher.seal(kind, self.next.ordinal, plain, &mut self.scratch, &mut self.sealed);
        self.out.write_all(&self.sealed).map_err(StateError::io(&self.name, "write"))?;
        let place = Place { length, ..self.next };
        let ordinal = self.next.ordinal.checked_add(1).ok_or(StateError::Full)?;
        self.next = Place { offset: place.offset + u64::from(length), length: 0, ordinal };
        Ok(place)
    }

    /// Appends an encoded page.
    pub(crate) fn page(&mut self, plain: &[u8], summary: &PageSummary) -> Result<Place, StateError> {
        let place = self.block(Kind::Page, plain)?;
        put_place(&mut self.index, place);
        summary.encode(&mut self.index);
        self.indexed += 1;
        if self.indexed == PAGES_PER_INDEX {
            self.index_block()?;
        }
        Ok(place)
    }

    fn index_block(&mut self) -> Result<(), StateError> {
        let index = std::mem::take(&mut self.index);
        let place = self.block(Kind::Index, &index)?;
        self.indexes.push(place);
        (self.index, self.indexed) = (index, 0);
        self.index.clear();
        Ok(())
    }

    /// Writes index, footer and trailer, makes the file durable and gives it its name.
    pub(crate) fn finish(mut self, manifest: &[u8]) -> Result<FinishedFile, StateError> {
        if self.indexed > 0 {
            self.index_block()?;
        }
        let mut footer = Vec::new();
        put_varint(&mut footer, self.indexes.len() as u64);
        self.indexes.iter().for_each(|&place| put_place(&mut footer, place));
        footer.extend_from_slice(manifest);
        let place = self.block(Kind::Footer, &footer)?;
        let mut trailer = Vec::with_capacity(TRAILER);
        trailer.extend_from_slice(&place.offset.to_le_bytes());
        trailer.extend_from_slice(&place.length.to_le_bytes());
        trailer.extend_from_slice(&place.ordinal.to_le_bytes());
        trailer.extend_from_slice(&key_hash(&self.header.encode()).to_le_bytes());
        trailer.extend_from_slice(END);
        self.out.write_all(&trailer).map_err(StateError::io(&self.name, "write"))?;
        let file = self.out.into_inner().map_err(|error| StateError::io(&self.name, "write")(error.into_error()))?;
        file.sync_all().map_err(StateError::io(&self.name, "sync"))?;
        fs::rename(&self.part, &self.path).map_err(StateError::io(&self.name, "rename"))?;
        if cfg!(unix)
            && let Some(folder) = self.path.parent()
        {
            let synced = File::open(folder).and_then(|folder| folder.sync_all());
            synced.map_err(StateError::io(&self.name, "sync the folder of"))?;
        }
        let bytes = self.next.offset + TRAILER as u64;
        Ok(FinishedFile { file: Arc::new(BlockFile { name: self.name, cipher: self.cipher, file }), bytes })
    }
}

fn put_place(out: &mut Vec<u8>, place: Place) {
    put_varint(out, u64::from(place.ordinal));
    put_varint(out, place.offset);
    put_varint(out, u64::from(place.length));
}

fn read_place(reader: &mut Reader<'_>) -> Result<Place, StateError> {
    let word = |number: u64| u32::try_from(number).map_err(|_| StateError::Malformed("a place is out of range"));
    let ordinal = word(reader.varint()?)?;
    let offset = reader.varint()?;
    Ok(Place { offset, length: word(reader.varint()?)?, ordinal })
}

/// A state file that was opened and whose footer was authentic.
pub(crate) struct OpenedFile {
    pub(crate) file: SharedFile,
    pub(crate) header: Header,
    pub(crate) bytes: u64,
    indexes: Vec<Place>,
    manifest: Vec<u8>,
}

impl OpenedFile {
    pub(crate) fn open(folder: &Path, name: &str, key: &Key, operator: &[u8; 32]) -> Result<Self, StateError> {
        let file = File::open(folder.join(name)).map_err(StateError::io(name, "open"))?;
        let bytes = file.metadata().map_err(StateError::io(name, "read"))?.len();
        if bytes < (HEADER + TRAILER) as u64 {
            return Err(StateError::damaged(name, "it ends too early"));
        }
        let (mut head, mut trailer) = ([0; HEADER], [0; TRAILER]);
        read_at(&file, &mut head, 0).map_err(StateError::io(name, "read"))?;
        read_at(&file, &mut trailer, bytes - TRAILER as u64).map_err(StateError::io(name, "read"))?;
        let mut reader = Reader::new(&trailer);
        let place = Place { offset: reader.u64()?, length: reader.u32()?, ordinal: reader.u32()? };
        if reader.u64()? != key_hash(&head) || &reader.array()? != END {
            return Err(StateError::damaged(name, "its beginning and its end do not belong together"));
        }
        let header = Header::decode(name, &head)?;
        if header.key != key.id() {
            return Err(StateError::WrongKey { file: name.to_owned(), needed: header.key, given: key.id() });
        }
        if place.offset.checked_add(u64::from(place.length)) != Some(bytes - TRAILER as u64) {
            return Err(StateError::damaged(name, "its footer is not where it should be"));
        }
        let file = BlockFile { name: name.to_owned(), cipher: Cipher::new(key, &head), file };
        let mut scratch = Scratch::default();
        let footer = file.read(Kind::Footer, place, &mut scratch)?;
        if &header.operator != operator {
            // Only now is it certain that the header says the truth.
            return Err(StateError::OtherOperator { file: name.to_owned() });
        }
        let (indexes, manifest) = footer_parts(footer).map_err(|error| StateError::damaged(name, error.to_string()))?;
        Ok(Self { header, bytes, indexes, manifest: manifest.to_vec(), file: Arc::new(file) })
    }

    pub(crate) fn manifest(&self) -> &[u8] {
        &self.manifest
    }

    /// Visits every page that the file has: where it is and which keys it holds.
    pub(crate) fn pages(&self, mut visit: impl FnMut(Place, &PageSummary) -> Result<(), StateError>) -> Result<(), StateError> {
        let (mut scratch, mut summary) = (Scratch::default(), PageSummary::default());
        for &place in &self.indexes {
            let mut reader = Reader::new(self.file.read(Kind::Index, place, &mut scratch)?);
            while !reader.is_empty() {
                let mut next = || {
                    let place = read_place(&mut reader)?;
                    summary.decode_into(&mut reader)?;
                    Ok(place)
                };
                let place = next().map_err(|error: StateError| StateError::damaged(&self.file.name, error.to_string()))?;
                visit(place, &summary)?;
            }
        }
        Ok(())
    }
}

fn footer_parts(footer: &[u8]) -> Result<(Vec<Place>, &[u8]), StateError> {
    let mut reader = Reader::new(footer);
    let count = reader.size()?;
    let mut indexes = Vec::with_capacity(count.min(footer.len()));
    for _ in 0..count {
        indexes.push(read_place(&mut reader)?);
    }
    Ok((indexes, reader.remaining()))
}
