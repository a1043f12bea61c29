//! Parquet: a file that is none, or is damaged, is a malformed row and never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_fuzz::{file_source, read};
use weir_spec::connector::Format;

// The reader contains panics of the Parquet library; those must not end the process before it does. One that is not contained still does.
fuzz_target!(init: std::panic::set_hook(Box::new(|_| {})), |bytes: &[u8]| {
    let folder = tempfile::tempdir_in("/dev/shm").expect("a folder in memory");
    std::fs::write(folder.path().join("rows.parquet"), bytes).expect("a file in memory");
    // A file may lack a required column, or have one of another type: that is an error with a message.
    let _ = read(folder.path(), file_source("rows.parquet"), Format::Parquet, 100);
});
