//! The mask stage: columns are masked before they go on. A value that must be encrypted but has no key does not go on.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, RecordBatch, RecordBatchOptions},
    buffer::BooleanBuffer,
    datatypes::SchemaRef,
};
use weir_plan::{MaskNode, Node};
use weir_vault::{MaskContext, MaskOp, RowKeys, SubjectHasher, SubjectKeyring, keyring::KeyringError};

use super::{Processed, Reason, Rejected, RejectedContent, Stage, StageKind, Turn, consent::subject_ids};
use crate::{batch::Batch, error::EngineError};

/// A `mask` step in one lane.
pub struct MaskStage {
    node: String,
    schema: SchemaRef,
    /// The operator of each column, if it has one.
    columns: Vec<Option<Box<dyn MaskOp>>>,
    encryption: Option<Encryption>,
}

/// What encryption under the subjects' own keys needs.
struct Encryption {
    subject: usize,
    hasher: Arc<SubjectHasher>,
    keyring: Arc<SubjectKeyring>,
}

impl MaskStage {
    pub fn compile(
        node: &str,
        planned: &MaskNode,
        input: &Node,
        schema: &SchemaRef,
        context: MaskContext<'_>,
        hasher: &Arc<SubjectHasher>,
        keyring: &Arc<SubjectKeyring>,
    ) -> Result<Self, EngineError> {
        let mut columns: Vec<Option<Box<dyn MaskOp>>> = (0..input.schema.fields().len()).map(|_| None).collect();
        for mask in &planned.masks {
            let data_type = input.schema.field(mask.column).data_type();
            let op = weir_vault::compile(&mask.mask, data_type, context).map_err(|e| EngineError::internal(node, e))?;
            columns[mask.column] = Some(op);
        }
        let needs_keys = columns.iter().flatten().any(|op| op.needs_subject_keys());
        let encryption = match (needs_keys, input.subject) {
            (false, _) => None,
            (true, Some(subject)) => Some(Encryption { subject, hasher: Arc::clone(hasher), keyring: Arc::clone(keyring) }),
            (true, None) => return Err(EngineError::internal(node, "encrypts, but its input has no subject column")),
        };
        Ok(Self { node: node.to_owned(), schema: Arc::clone(schema), columns, encryption })
    }

    fn masked(&self, batch: &Batch, keys: Option<&RowKeys>) -> Result<Batch, EngineError> {
        let columns: Vec<ArrayRef> = batch
            .rows
            .columns()
            .iter()
            .zip(&self.columns)
            .map(|(column, op)| match op {
                Some(op) => op.apply(column, keys).map_err(|e| EngineError::internal(&self.node, e)),
                None => Ok(Arc::clone(column)),
            })
            .collect::<Result<_, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let rows = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
            .map_err(|e| EngineError::internal(&self.node, e))?;
        Ok(batch.with_rows(rows))
    }
}

impl Stage for MaskStage {
    fn process(&mut self, batch: Batch, _turn: Turn) -> Result<Processed, EngineError> {
        let Some(encryption) = &self.encryption else { return Ok(Processed::pass(self.masked(&batch, None)?)) };
        let internal = |e: &dyn std::fmt::Display| EngineError::internal(&self.node, e);
        let failed = |e: KeyringError| EngineError::Host { message: format!("{}: {e}", self.node), retryable: true };
        let subjects = subject_ids(&self.node, &batch.rows, encryption.subject, &encryption.hasher)?;
        let keys = RowKeys::resolve(&encryption.keyring, &subjects).map_err(failed)?;
        if keys.missing().next().is_none() {
            return Ok(Processed::pass(self.masked(&batch, Some(&keys))?));
        }
        // Whoever was erased is refused; a row about nobody cannot be encrypted and is held.
        let has_key = BooleanBuffer::collect_bool(batch.num_rows(), |row| keys.get(row).is_some());
        let nobody: Vec<u32> = (0..batch.num_rows()).filter(|&row| subjects.get(row).is_none()).map(|row| row as u32).collect();
        let kept = batch.filter(&has_key).map_err(|e| internal(&e))?;
        let kept_keys = keys.filter(has_key.iter());
        let mut processed = Processed { quarantined: nobody.len() as u64, ..Processed::default() };
        processed.denied = (batch.num_rows() - kept.num_rows() - nobody.len()) as u64;
        if !nobody.is_empty() {
            let reason = Reason::new("encrypt.no_subject", "names no subject, so there is no key to encrypt under");
            processed.rejected.push(Rejected {
                stage: StageKind::Mask,
                partition: Arc::clone(&batch.origin.partition),
                content: RejectedContent::Rows {
                    rows: batch.take(&nobody).map_err(|e| internal(&e))?,
                    offsets: nobody.iter().map(|&row| batch.offset(row as usize)).collect(),
                    reasons: vec![vec![reason]; nobody.len()],
                },
            });
        }
        processed.out.push(self.masked(&kept, Some(&kept_keys))?);
        Ok(processed)
    }
}

#[cfg(test)]
mod tests {
    use weir_plan::schema::{arrow_type, logical_type};
    use weir_spec::{
        DataType,
        mask::{Generalization, Mask},
    };
    use weir_vault::mask::supports;

    fn masks() -> Vec<Mask> {
        use Generalization::{Day, Hour, Month, Prefix, Width, Year};
        let widths =
            [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-300, 1e-10, 1e-9, 0.001, 0.005, 0.01, 0.02, 0.5, 1.0, 1.5, 2.0, 10.0, 1e6]
                .map(Width);
        let to = [Year, Month, Day, Hour, Prefix(0), Prefix(1), Prefix(2), Prefix(5)].into_iter().chain(widths);
        let mut masks: Vec<Mask> = to.map(|to| Mask::Generalize { to }).collect();
        masks.extend([Mask::Null, Mask::Hash, Mask::Encrypt]);
        masks.extend([None, Some("?".to_owned())].map(|with| Mask::Redact { with }));
        masks.extend([0, 4, 20].map(|keep_last| Mask::Token { prefix: Some("t_".to_owned()), keep_last }));
        masks.extend([(0, 0), (6, 4), (0, 20)].map(|(keep_first, keep_last)| Mask::Partial { keep_first, keep_last, with: '*' }));
        masks
    }

    /// What the document's check promises, the plan types and the operators do is one and the same.
    #[test]
    fn operators_take_and_give_the_types_that_documents_are_told() {
        let types = [
            "boolean",
            "int32",
            "int64",
            "float32",
            "float64",
            "decimal(12,2)",
            "decimal(38,0)",
            "decimal(5,3)",
            "string",
            "bytes",
            "date",
            "timestamp",
            "list<string>",
            "list<int64>",
            "struct<a: string, b: date>",
        ];
        for data_type in types.map(|text| text.parse::<DataType>().unwrap()) {
            for mask in masks() {
                let made = supports(&mask, &arrow_type(&data_type)).ok().map(|arrow| logical_type(&arrow).unwrap());
                assert_eq!(made, mask.result_type(&data_type), "{mask:?} of {data_type}");
            }
        }
    }
}
