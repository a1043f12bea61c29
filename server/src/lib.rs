//! The HTTP server and the binary `weir`.

#![recursion_limit = "512"]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod cli;
pub mod http;
pub mod instance;
