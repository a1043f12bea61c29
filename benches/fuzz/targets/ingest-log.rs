//! The ingest log: what was answered is read or refused, whatever became of the files, and nothing else is ever read.
#![no_main]

use std::{fs, path::Path, time::Duration};

use flate2::Crc;
use libfuzzer_sys::fuzz_target;
use weir_connectors::{
    Payload, Read, ReadLimit, SourceContext, arrow_schema,
    http::{IngestLog, LogOptions},
    open_source,
};
use weir_spec::connector::{Format, HttpSource, SourceConnector};

const KEY: [u8; 32] = [7; 32];

fn options(folder: &Path) -> LogOptions {
    LogOptions { segment_bytes: 300, ..LogOptions::new(folder, KEY, 1) }
}

fuzz_target!(|input: &[u8]| {
    let [requests, kind, file, high, low, bytes @ ..] = input else { return };
    let folder = tempfile::tempdir_in("/dev/shm").expect("a folder in memory");
    let mut answered: Vec<String> = Vec::new();
    if let Ok(log) = IngestLog::open(options(folder.path())) {
        for request in 0..requests % 12 {
            let text = format!("{{\"request\":{request}}}\n{{\"second\":true}}\n");
            let key = (request % 2 == 0).then(|| format!("key-{request}"));
            log.append(text.as_bytes(), key.as_deref()).expect("an empty log takes rows");
            answered.extend(text.lines().map(str::to_owned));
        }
    }
    tamper(folder.path(), kind % 5, *file, usize::from(u16::from_be_bytes([*high, *low])), bytes);

    // As the server opens it again, and as a run in another process reads it.
    let before = read(folder.path());
    if let Ok(log) = IngestLog::open(options(folder.path())) {
        let _ = log.append(b"{\"after\":true}\n", Some("key-0"));
        let _ = log.backlog_bytes();
    }
    for read in [before, read(folder.path())] {
        let own = read.iter().filter(|row| !row.contains("after"));
        let mut rest = answered.iter();
        assert!(own.into_iter().all(|row| rest.any(|known| known == row)), "rows were read that nobody posted, or in another order");
    }
});

/// Changes one of the log's files.
fn tamper(folder: &Path, kind: u8, file: u8, at: usize, bytes: &[u8]) {
    let mut files: Vec<_> = fs::read_dir(folder).expect("the folder").flatten().map(|entry| entry.path()).collect();
    files.sort();
    let Some(path) = files.get(usize::from(file) % files.len().max(1)) else { return };
    let mut content = fs::read(path).expect("a file in memory");
    match kind {
        0 => content = bytes.to_vec(),
        1 => content.truncate(at),
        2 => content.extend_from_slice(bytes),
        3 => {
            for (n, byte) in bytes.iter().enumerate() {
                if let Some(content) = content.get_mut(at + n) {
                    *content ^= byte;
                }
            }
        }
        // A frame with a checksum that fits, of which only the seal tells that nobody wrote it.
        _ => content.extend(frame(bytes)),
    }
    fs::write(path, content).expect("a file in memory");
}

/// `length u32 | crc32 u32 | rest`
fn frame(rest: &[u8]) -> Vec<u8> {
    let mut rest = rest.to_vec();
    rest.resize(rest.len().max(104), 0);
    let mut crc = Crc::new();
    crc.update(&rest);
    let sealed = (rest.len() - 32) as u32;
    [&sealed.to_le_bytes()[..], &crc.sum().to_le_bytes(), &rest].concat()
}

/// All rows up to the first error.
fn read(folder: &Path) -> Vec<String> {
    let columns = weir_fuzz::columns();
    let context =
        SourceContext { ingest_dir: Some(folder.to_owned()), seal_key: Some(KEY), ..SourceContext::default() };
    let connector = SourceConnector::Http(HttpSource { max_backlog_mib: 1 });
    let opened = open_source(&connector, Some(Format::Json), arrow_schema(&columns), &columns, &context, &[]);
    let Ok(mut source) = opened else { return Vec::new() };
    let mut rows = Vec::new();
    while let Ok(Read::Chunk(chunk)) = source.read(ReadLimit { rows: 3, wait: Duration::ZERO }) {
        let Payload::Bytes(bytes) = chunk.payload else { panic!("the log holds bytes") };
        rows.extend(String::from_utf8_lossy(&bytes).lines().map(str::to_owned));
    }
    let _ = source.lag();
    rows
}
