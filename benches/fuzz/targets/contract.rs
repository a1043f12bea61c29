//! Contracts: every text is a contract or has an error, and what is written reads back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_spec::{Diagnostic, parse_contract, to_odcs};

fuzz_target!(|text: &str| {
    let parsed = parse_contract(text);
    let Some(contract) = parsed.value else {
        assert!(parsed.diagnostics.iter().any(Diagnostic::is_error), "nothing came of it, and nothing is said");
        return;
    };
    let written = to_odcs(&contract);
    let again = parse_contract(&written);
    let again = again.value.unwrap_or_else(|| panic!("what was written is not understood: {:?}", again.diagnostics));
    assert_eq!(to_odcs(&again), written);
});
