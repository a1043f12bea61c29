//! Documents: every text is a document or has an error with a place, and what is written reads back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_spec::{Diagnostic, parse_any, parse_pipeline, to_json, to_yaml};

fuzz_target!(|text: &str| {
    let any = parse_any(text);
    assert!(any.value.is_some() || any.diagnostics.iter().any(Diagnostic::is_error), "nothing came of it, and nothing is said");
    for diagnostic in &any.diagnostics {
        let rendered = diagnostic.render("document.yaml");
        assert!(!rendered.is_empty());
    }
    if let Some(pipeline) = parse_pipeline(text).value {
        let again = parse_pipeline(&to_yaml(&pipeline));
        let again = again.value.unwrap_or_else(|| panic!("what was written is not understood: {:?}", again.diagnostics));
        assert_eq!(to_json(&again), to_json(&pipeline));
    }
});
