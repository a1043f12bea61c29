//! Files: reading a file, a folder or a glob; writing a folder of files that appear whole, with each checkpoint.

mod encode;
mod hashing;
mod input;
mod list;
mod parquet_input;
mod partition;
mod sink;
mod source;
mod text_input;

pub use encode::FileEncoder;
pub use sink::FileWriter;
pub use source::{FileReader, FileReaderOptions};

#[cfg(test)]
mod parquet_tests;
#[cfg(test)]
mod sink_tests;
#[cfg(test)]
mod source_tests;
