//! The runs of a staging file as one: each key once, with what all runs say of it.

use super::{
    fold::{Folding, Outcome, join, outcome},
    staging::{Run, Staged},
};
use crate::error::ConnectorError;

/// Hands every key with what becomes of its row to `each`; rows that are only added have no key and come in their order.
pub(super) fn merge(
    staged: Staged,
    mut each: impl FnMut(&[u8], Outcome<'_>) -> Result<(), ConnectorError>,
) -> Result<(), ConnectorError> {
    let folding = staged.folding;
    let mut runs = Vec::with_capacity(staged.runs.len());
    for mut run in staged.runs {
        if folding == Folding::Append {
            while run.advance()? {
                each(&[], outcome(folding, &run.value))?;
            }
        } else if run.advance()? {
            runs.push(run);
        }
    }
    let (mut key, mut value) = (Vec::new(), Vec::new());
    // Runs stay in the order in which they were written.
    while let Some(least) = (0..runs.len()).min_by(|&a, &b| runs[a].key.cmp(&runs[b].key)) {
        key.clone_from(&runs[least].key);
        value.clear();
        let mut first = true;
        let mut error = None;
        runs.retain_mut(|run: &mut Run| {
            if run.key != key {
                return true;
            }
            if std::mem::take(&mut first) {
                value.clone_from(&run.value);
            } else {
                join(folding, &mut value, &run.value);
            }
            run.advance().unwrap_or_else(|failed| {
                error.get_or_insert(failed);
                false
            })
        });
        if let Some(error) = error {
            return Err(error);
        }
        each(&key, outcome(folding, &value))?;
    }
    Ok(())
}
