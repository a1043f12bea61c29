//! The documents of `weir serve --demo`, out of the binary.

use weir_service::bootstrap::DemoDocuments;

include!(concat!(env!("OUT_DIR"), "/demo.rs"));

/// The example pipelines and the contracts that they name.
#[must_use]
pub fn documents() -> DemoDocuments {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    DemoDocuments { contracts: owned(CONTRACTS), pipelines: owned(PIPELINES) }
}
