//! Pipelines from end to end: real documents, real files, a real control database.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod examples;
mod floods;
mod golden;
mod harness;
mod observed;
mod recovery;
mod runs;
mod table;
mod tables;
mod unordered;
