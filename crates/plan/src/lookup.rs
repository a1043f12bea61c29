//! What planning asks of the outside: contracts, the columns of generators, the policy on purposes.

use weir_spec::{Column, Contract, connector::GeneratorKind, contract::ContractRef};

use crate::purpose::PurposePolicy;

/// Answers from memory; planning performs no I/O.
pub trait Lookup {
    /// The newest contract with this name and major version.
    fn contract(&self, reference: &ContractRef) -> Option<Contract>;

    /// Every contract that [`Lookup::contract`] knows, written `payments@1`; for suggestions.
    fn contract_names(&self) -> Vec<String>;

    /// The columns that a generator brings, with their facts.
    fn generator_columns(&self, kind: GeneratorKind) -> Vec<Column>;

    /// Which purposes allow which data categories.
    fn purpose_policy(&self) -> PurposePolicy {
        PurposePolicy::default()
    }
}
