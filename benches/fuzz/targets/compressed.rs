//! Compressed lines: streams that are cut or damaged give the rows before the damage, in chunks of any size.
#![no_main]

use std::io::Write;

use libfuzzer_sys::fuzz_target;
use weir_fuzz::{file_source, read};
use weir_spec::connector::{Compression, FileSource, Format};

fn compress(compression: Compression, text: &[u8]) -> Vec<u8> {
    match compression {
        Compression::Zstd => zstd::bulk::compress(text, 1).expect("memory suffices"),
        _ => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(text).and_then(|()| encoder.finish()).expect("memory suffices")
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let [choice, place, content @ ..] = input else { return };
    let compression = if choice & 1 == 0 { Compression::Gzip } else { Compression::Zstd };
    // As it came, or compressed here and then cut or changed in one byte.
    let mut stored = if choice & 2 == 0 { content.to_vec() } else { compress(compression, content) };
    if choice & 2 != 0 && !stored.is_empty() {
        let at = usize::from(*place) * stored.len() / 256;
        match choice & 12 {
            4 => stored.truncate(at),
            8 => stored[at] ^= 1 << (choice >> 5),
            _ => {}
        }
    }
    let folder = tempfile::tempdir_in("/dev/shm").expect("a folder in memory");
    std::fs::write(folder.path().join("rows"), &stored).expect("a file in memory");
    let config = || FileSource { compression: Some(compression), ..file_source("rows") };
    let whole = read(folder.path(), config(), Format::Json, 1000).expect("a damaged stream is no error");
    let one_by_one = read(folder.path(), config(), Format::Json, 1).expect("a damaged stream is no error");
    assert_eq!(whole.rows(), one_by_one.rows());
    assert_eq!(whole.malformed, one_by_one.malformed);
});
