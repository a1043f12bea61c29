//! The pipeline document.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    connector::{EventTime, Format, SinkConnector, SourceConnector, TableConnector},
    consent::ConsentStep,
    contract::ContractRef,
    mask::MaskStep,
    metric::AlertStep,
    quality::QualityStep,
    types::{Classification, Column, Timespan},
};

/// A pipeline: sources, a graph of steps, sinks, and for what purpose it may process personal data.
#[derive(Clone, Debug, PartialEq)]
pub struct Pipeline {
    /// `[a-z0-9-]`, unique in its project.
    pub name: String,
    pub description: Option<String>,
    pub owner: Option<String>,
    /// A registered processing purpose: a fideslang data use, or the project's own.
    pub purpose: String,
    pub basis: Basis,
    /// Lanes that process batches side by side. Default 1.
    pub parallelism: usize,
    pub checkpoint: Checkpoint,
    pub batch: Batch,
    /// State that would grow without bound is an error rather than a warning.
    pub strict: bool,
    /// Reference data that SQL steps look up.
    pub tables: IndexMap<String, Table>,
    pub sources: IndexMap<String, Source>,
    pub steps: IndexMap<String, Step>,
    pub sinks: IndexMap<String, Sink>,
}

impl Pipeline {
    /// The contracts that the document names, of sources and of tables, some more than once.
    pub fn contracts(&self) -> impl Iterator<Item = &ContractRef> {
        let of_sources = self.sources.values().filter_map(|source| source.contract.as_ref());
        of_sources.chain(self.tables.values().filter_map(|table| table.contract.as_ref()))
    }
}

/// The lawful basis of GDPR Art. 6(1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    Consent,
    Contract,
    LegalObligation,
    VitalInterests,
    PublicTask,
    LegitimateInterest,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Default 2s.
    pub every: Timespan,
}

impl Default for Checkpoint {
    fn default() -> Self {
        Self { every: Timespan::from_millis(2_000) }
    }
}

/// A batch closes at so many rows, or after so long, whichever comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Default 8192.
    pub rows: usize,
    /// Default 5ms.
    pub wait: Timespan,
}

impl Default for Batch {
    fn default() -> Self {
        Self { rows: 8192, wait: Timespan::from_millis(5) }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    pub connector: SourceConnector,
    /// Default json. A generator has none.
    pub format: Option<Format>,
    /// A registered contract; exactly one of `contract` and `schema`, except for a generator, which brings its own.
    pub contract: Option<ContractRef>,
    pub schema: Option<Vec<Column>>,
    /// The column that names the person a row is about.
    pub subject: Option<String>,
    pub event_time: Option<EventTime>,
    pub on_malformed: OnMalformed,
}

/// Reference data: a file or a database's table that is held in memory and read again when it has changed. SQL steps join it with
/// `JOIN name FOR SYSTEM_TIME AS OF ...` or a plain JOIN; it has no rows of its own to give.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    pub connector: TableConnector,
    /// Default json. A database's table has none.
    pub format: Format,
    /// A registered contract; exactly one of `contract` and `schema`.
    pub contract: Option<ContractRef>,
    pub schema: Option<Vec<Column>>,
    /// The columns that tell its rows apart; a later row replaces an earlier one of the same key. Empty where keys may repeat.
    pub key: Vec<String>,
    /// How often it is looked at. Default 10s.
    pub reload: Timespan,
}

impl Table {
    /// The default of `reload`.
    pub const RELOAD: Timespan = Timespan::from_millis(10_000);
}

/// What happens to input that cannot be decoded or that breaks its contract.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnMalformed {
    #[default]
    Quarantine,
    Drop,
    /// The run fails.
    Fail,
}

/// A step: exactly one operator key.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    Quality(QualityStep),
    Consent(ConsentStep),
    Mask(MaskStep),
    /// Streaming SQL; the tables it names are sources, steps or tables.
    Sql(SqlStep),
    /// Rows go on unchanged.
    Alert(AlertStep),
}

/// A query and how it keeps its state.
#[derive(Clone, Debug, PartialEq)]
pub struct SqlStep {
    pub query: String,
    /// How long state that nothing touches is kept where neither windows nor time bound it: processing time.
    pub state_ttl: Option<Timespan>,
    /// Groups of fewer rows are dropped, and what adds up or counts a column over all rows of the rest counts as less sensitive. It is
    /// rows that are counted, not people.
    pub min_group: Option<u64>,
}

impl From<String> for SqlStep {
    fn from(query: String) -> Self {
        Self { query, state_ttl: None, min_group: None }
    }
}

impl From<&str> for SqlStep {
    fn from(query: &str) -> Self {
        query.to_owned().into()
    }
}

impl Step {
    /// The operator's key in a document.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Quality(_) => "quality",
            Self::Consent(_) => "consent",
            Self::Mask(_) => "mask",
            Self::Sql(_) => "sql",
            Self::Alert(_) => "alert",
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Sink {
    /// A source or a step.
    pub from: String,
    pub connector: SinkConnector,
    /// Default json. A database has none.
    pub format: Format,
    /// The most sensitive column it may hold. Default internal.
    pub clearance: Classification,
    /// A registered recipient: a team, a processor, a region.
    pub recipient: Option<String>,
    /// Default: the best that the connector can promise.
    pub delivery: Delivery,
    /// Default: upsert where the connector has a key, else append.
    pub mode: SinkMode,
}

/// What a sink makes of rows that change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SinkMode {
    /// Rows only ever come; a changelog is refused.
    #[default]
    Append,
    /// Every change is a row, with what happened in a leading column `op`: `+I`, `-U`, `+U` or `-D`.
    Changes,
    /// The sink holds the rows as they are now: a row replaces the one with its key, one that is taken back is deleted. For
    /// `sqlite`, which then needs a `key`; its default with one.
    Upsert,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    ExactlyOnce,
    AtLeastOnce,
}
