//! Data contracts: the Open Data Contract Standard v3 (ODCS, bitol-io/open-data-contract-standard).

use crate::{quality::Rule, types::Column};

/// `payments@1`: a registered contract and its major version.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ContractRef {
    pub name: String,
    pub version: u32,
}

/// What Weir takes from an ODCS v3 document.
#[derive(Clone, Debug, PartialEq)]
pub struct Contract {
    /// The ODCS `id`.
    pub id: String,
    /// The name under which sources refer to it (`[a-z0-9-]`).
    pub name: String,
    /// The whole version, such as `1.4.0`; its first number is what `payments@1` refers to.
    pub version: String,
    pub status: String,
    pub description: Option<String>,
    pub columns: Vec<Column>,
    /// Rules that every row of every source under this contract must keep.
    pub rules: Vec<Rule>,
}

impl std::fmt::Display for ContractRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}
