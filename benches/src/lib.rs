//! What benchmarks and the tests of their documents share.

#![allow(clippy::print_stdout, clippy::print_stderr)]

mod memory;
pub mod nexmark;
