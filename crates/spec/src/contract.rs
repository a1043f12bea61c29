//! Data contracts: the Open Data Contract Standard v3 (ODCS, bitol-io/open-data-contract-standard).

use std::str::FromStr;

use crate::{grammar::text::Text, parse::quoted, quality::Rule, types::Column};

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

impl FromStr for ContractRef {
    /// What is wrong, in a sentence.
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || format!("{} does not name a contract", quoted(text));
        let (name, version) = text.split_once('@').ok_or_else(bad)?;
        let digits =
            version.len() <= 9 && version.bytes().all(|b| b.is_ascii_digit()) && (version == "0" || !version.starts_with('0'));
        if Text::DocumentName.check(name).is_err() || !digits {
            return Err(bad());
        }
        Ok(Self { name: name.to_owned(), version: version.parse().map_err(|_| bad())? })
    }
}

impl Contract {
    /// The first number of the version: the `1` of `payments@1`.
    pub fn major(&self) -> Option<u32> {
        self.version.split(['.', '-', '+']).next()?.parse().ok()
    }

    /// What a source writes to refer to this contract.
    pub fn reference(&self) -> Option<ContractRef> {
        Some(ContractRef { name: self.name.clone(), version: self.major()? })
    }
}
