//! CSV through the file source: with and without a header, in chunks of any size, the same rows.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_fuzz::{file_source, read};
use weir_spec::connector::{FileSource, Format};

fuzz_target!(|input: &[u8]| {
    let Some((&choice, text)) = input.split_first() else { return };
    let folder = tempfile::tempdir_in("/dev/shm").expect("a folder in memory");
    std::fs::write(folder.path().join("rows.csv"), text).expect("a file in memory");
    let config = || FileSource {
        header: choice & 1 == 0,
        delimiter: if choice & 2 == 0 { ',' } else { ';' },
        null: if choice & 4 == 0 { String::new() } else { "NULL".to_owned() },
        max_line: if choice & 8 == 0 { 1 << 16 } else { 40 },
        ..file_source("rows.csv")
    };
    let whole = read(folder.path(), config(), Format::Csv, 1000);
    let one_by_one = read(folder.path(), config(), Format::Csv, 1);
    match (whole, one_by_one) {
        (Ok(whole), Ok(one_by_one)) => {
            assert_eq!(whole.rows(), one_by_one.rows());
            assert_eq!(whole.malformed, one_by_one.malformed);
        }
        (Err(_), Err(_)) => {}
        _ => panic!("whether a file can be read depends on the chunks"),
    }
});
