//! The documents of `weir serve --demo`, out of the binary: the three generated streams of `examples/` and their contracts.

use weir_service::bootstrap::DemoDocuments;

const CONTRACTS: [&str; 3] = [
    include_str!("../../../examples/contracts/payments.yaml"),
    include_str!("../../../examples/contracts/sensors.yaml"),
    include_str!("../../../examples/contracts/clicks.yaml"),
];
const PIPELINES: [&str; 3] = [
    include_str!("../../../examples/payments.yaml"),
    include_str!("../../../examples/sensors.yaml"),
    include_str!("../../../examples/clicks.yaml"),
];

/// The example pipelines and the contracts that they name.
#[must_use]
pub fn documents() -> DemoDocuments {
    let owned = |texts: [&str; 3]| texts.map(str::to_owned).to_vec();
    DemoDocuments { contracts: owned(CONTRACTS), pipelines: owned(PIPELINES) }
}
