//! Automation: run, test, ci, bench, the wasm set-up.
fn main() {}
