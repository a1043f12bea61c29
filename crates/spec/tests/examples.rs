//! Every example is a document without errors or warnings, and every contract that one refers to lies beside it.

#![allow(clippy::unwrap_used)]

use std::{collections::BTreeSet, fs, path::Path};

use weir_spec::{Document, parse_any, parse_contract, parse_pipeline, to_yaml};

fn yaml_files(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(folder);
    let mut files: Vec<(String, String)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "yaml"))
        .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), fs::read_to_string(&path).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn every_example_is_a_document_without_findings() {
    let documents = [yaml_files("."), yaml_files("contracts")].concat();
    assert!(documents.len() >= 13);
    for (name, text) in documents {
        let parsed = parse_any(&text);
        let shown: Vec<String> = parsed.diagnostics.iter().map(|d| d.render(&name)).collect();
        assert!(shown.is_empty(), "{}", shown.join("\n"));
        // The file is named for what is in it.
        match parsed.value.unwrap() {
            Document::Pipeline(pipeline) => assert_eq!(pipeline.name, name),
            Document::Contract(contract) => assert_eq!(contract.name, name),
        }
    }
}

#[test]
fn every_contract_that_an_example_refers_to_lies_beside_it() {
    let contracts: BTreeSet<String> = yaml_files("contracts")
        .iter()
        .map(|(_, text)| parse_contract(text).value.unwrap().reference().unwrap().to_string())
        .collect();
    let mut used = BTreeSet::new();
    for (name, text) in yaml_files(".") {
        for source in parse_pipeline(&text).value.unwrap().sources.values() {
            let reference = source.contract.as_ref().unwrap().to_string();
            assert!(contracts.contains(&reference), "{name} refers to {reference}");
            used.insert(reference);
        }
    }
    assert_eq!(used, contracts);
}

#[test]
fn every_example_reads_back_as_it_is_written() {
    for (name, text) in yaml_files(".") {
        let pipeline = parse_pipeline(&text).value.unwrap();
        assert_eq!(parse_pipeline(&to_yaml(&pipeline)).value.unwrap(), pipeline, "{name}");
    }
}
