//! Measures masking on one core: `cargo run --release -p weir-vault --example mask_speed`.
#![allow(clippy::print_stdout)]

use std::{hint::black_box, sync::Arc};

use arrow::array::{ArrayRef, StringArray};
use weir_spec::mask::{Generalization, Mask};
use weir_vault::{
    Key, Lookup, MaskContext, MasterKey, ProjectKeys, RowKeys, SubjectId, SubjectKeyStore, SubjectKeyring, compile,
};

struct NothingStored;

impl SubjectKeyStore for NothingStored {
    fn load(&self, subjects: &[SubjectId]) -> Result<Vec<Lookup>, Box<dyn std::error::Error + Send + Sync>> {
        Ok(vec![Lookup::Unknown; subjects.len()])
    }
}

const ROWS: usize = 8192;
const BATCHES: usize = 500;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (project, _) = ProjectKeys::create(&MasterKey::from_key(Key::generate()?), "speed")?;
    let column: ArrayRef = Arc::new(StringArray::from_iter_values((0..ROWS).map(|n| format!("person{n:06}@mail.ex"))));
    let hasher = project.subject_hasher();
    let keyring = SubjectKeyring::new(Arc::new(NothingStored), project.subject_key_sealer(), 1_000_000);
    let subjects = hasher.hash_array(&column)?;

    report("subjects", || {
        black_box(hasher.hash_array(&column)?);
        Ok(())
    })?;
    let started = processor_seconds()?;
    let keys = RowKeys::resolve(&keyring, &subjects)?;
    println!("new keys       {:6.2} M/s", ROWS as f64 / (processor_seconds()? - started) / 1e6);
    report("cached keys", || {
        black_box(RowKeys::resolve(&keyring, &subjects)?);
        Ok(())
    })?;

    for mask in [
        Mask::Redact { with: None },
        Mask::Partial { keep_first: 2, keep_last: 4, with: '*' },
        Mask::Hash,
        Mask::Token { prefix: None, keep_last: 0 },
        Mask::Token { prefix: Some("tok_".into()), keep_last: 4 },
        Mask::Generalize { to: Generalization::Prefix(3) },
        Mask::Encrypt,
    ] {
        let op = compile(&mask, column.data_type(), MaskContext { keys: &project, purpose: "speed" })?;
        report(mask.key(), || {
            black_box(op.apply(&column, Some(&keys))?);
            Ok(())
        })?;
    }
    Ok(())
}

/// The best of five rounds, by processor time: other processes do not count.
fn report(
    name: &str,
    mut batch: impl FnMut() -> Result<(), Box<dyn std::error::Error>>,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut best = f64::MAX;
    for _ in 0..5 {
        let started = processor_seconds()?;
        for _ in 0..BATCHES / 5 {
            batch()?;
        }
        best = best.min(processor_seconds()? - started);
    }
    println!("{name:<14} {:6.2} M/s", (ROWS * BATCHES / 5) as f64 / best / 1e6);
    Ok(())
}

/// How long this thread has run, as Linux counts it.
fn processor_seconds() -> Result<f64, Box<dyn std::error::Error>> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds: u64 = text.split(' ').next().unwrap_or_default().parse()?;
    Ok(nanoseconds as f64 / 1e9)
}
