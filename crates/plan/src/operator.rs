//! Operators with state: what a `sql` step with windows, aggregates, joins, ranks or patterns is lowered to; and those that watch
//! rows: window rules of quality steps, and alerts.
//!
//! Such a step becomes a chain of nodes. Expressions live in stateless `Sql` nodes before and after an operator, so that an operator
//! deals in column numbers only: its keys, times and arguments are columns of its input. The last node of the chain carries the
//! step's name, those before it are called `step#1`, `step#2`, ...
//!
//! Time is event time in microseconds since 1970-01-01T00:00:00Z; spans are microseconds. Windows are half open, `[start, end)`.

use std::sync::Arc;

use datafusion::logical_expr::Expr;
use serde::{Deserialize, Serialize};
use weir_spec::{
    Classification,
    metric::{RuleSeverity, WindowQuality},
};

/// How rows reach the lanes of an operator. One entry for each input of the node, in the order of [`crate::Node::inputs`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// By the hash of these columns: equal values meet in one lane.
    Hash(Vec<usize>),
    /// All in one lane.
    Single,
    /// Wherever they are: the operator needs no neighbours. The input of a lookup join, and its table, which is no flow of rows.
    Any,
}

/// A node with state.
#[derive(Clone, Debug)]
pub struct OperatorNode {
    pub operator: Operator,
    pub exchange: Vec<Exchange>,
    /// Stable text of the operator and of the types it takes in and gives out: state is restored only into an equal one.
    pub definition: String,
}

#[derive(Clone, Debug)]
pub enum Operator {
    Aggregate(AggregateNode),
    Join(JoinNode),
    Rank(RankNode),
    Match(MatchNode),
    Measure(MeasureNode),
    Alert(AlertNode),
}

impl Operator {
    /// Whether it only watches: rows go on beside it as if it were not there, and none is judged late or rejected by it.
    pub fn is_observer(&self) -> bool {
        matches!(self, Self::Measure(_) | Self::Alert(_))
    }

    /// The kind of node: `aggregate`, `join`, `rank`, `match`, `measure` or `alert`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Aggregate(_) => "aggregate",
            Self::Join(_) => "join",
            Self::Rank(_) => "rank",
            Self::Match(_) => "match",
            Self::Measure(_) => "measure",
            Self::Alert(_) => "alert",
        }
    }
}

/// The window rules of a quality step, over the rows that reach it: before any of them is rejected. Output columns: those of
/// [`MeasureNode::OUTPUT`], one row for each rule of each window, when the watermark (or the clock) passes the window's end.
#[derive(Clone, Debug)]
pub struct MeasureNode {
    pub quality: WindowQuality,
    /// The time that windows go by.
    pub time: TimeBasis,
    /// One a rule: why its numbers are kept from those who see observations, if they are.
    pub withheld: Vec<Option<Withheld>>,
    /// One a rule: whether what a window adds up to for it shows values of a column that is classified above internal, so that it may
    /// not be told.
    pub measures_withheld: Vec<bool>,
}

impl MeasureNode {
    /// The output's columns.
    pub const OUTPUT: [&str; 9] =
        ["rule", "severity", "metric", "window_start", "window_end", "rows", "observed", "verdict", "detail"];
}

/// A column whose values a number would show, to people who are not cleared for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withheld {
    pub column: String,
    pub classification: Classification,
}

/// An `alert` step. It puts out no rows.
#[derive(Clone, Debug)]
pub struct AlertNode {
    pub on: AlertOn,
    pub severity: RuleSeverity,
    /// What people are told: the document's words.
    pub message: String,
}

/// What raises an alert, and what resolves it.
#[derive(Clone, Debug)]
pub enum AlertOn {
    /// The condition is true of a row of the input; nothing and false are not true. Resolved when no such row of the same cause has
    /// come for `resolve_after` microseconds.
    Rows {
        when: Arc<Expr>,
        /// Columns of the input whose values tell causes apart.
        key: Vec<usize>,
        time: TimeBasis,
        resolve_after: i64,
    },
    /// The input is a [`MeasureNode`]; this rule of it is broken in a window. Resolved when a later window keeps it.
    Rule(String),
}

/// How a row's windows are found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowKind {
    Tumble {
        size: i64,
        offset: i64,
    },
    /// Of length `size`, one beginning every `slide`, which need not divide `size`.
    Hop {
        size: i64,
        slide: i64,
        offset: i64,
    },
    /// From each multiple of `size`, growing by `step` until it is `size` long. `step` divides `size`.
    Cumulate {
        size: i64,
        step: i64,
        offset: i64,
    },
    /// As long as rows of a key come no further apart than `gap`.
    Session {
        gap: i64,
    },
}

/// What time a window goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeBasis {
    /// This column of the input, a timestamp. A row without it is quarantined.
    Event(usize),
    /// The clock when the row is taken in.
    Processing,
}

/// Adds the columns `window_start`, `window_end` and `window_time` (the last microsecond within) behind the input's columns: one row
/// for each window of the row. Stateless; for windows that are not aggregated at once (window joins, window ranks, plain selects).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowNode {
    /// Not [`WindowKind::Session`].
    pub window: WindowKind,
    pub time: TimeBasis,
}

/// What groups are closed by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grouping {
    /// Windows of rows; a group is put out when the watermark passes its window's end. A row none of whose windows is open is late.
    Window { window: WindowKind, time: TimeBasis },
    /// Rows that already carry their window: `start` and `end` are columns of the input.
    Windowed { start: usize, end: usize },
    /// Never: every change of a group is put out as a change of its row. State of a group that was not touched for `ttl`
    /// (processing time) is forgotten.
    Updating { ttl: Option<i64> },
}

/// GROUP BY, and SELECT DISTINCT where there are no calls: then, over rows that are only added, the first row of each group is the only
/// one put out and the output is no changelog. Output columns: the keys, then for `Window` and `Windowed` `window_start`, `window_end`, `window_time`, then one
/// column for each call.
#[derive(Clone, Debug)]
pub struct AggregateNode {
    /// Key columns of the input; none for one group over all rows. Null is a value like any other here.
    pub keys: Vec<usize>,
    pub grouping: Grouping,
    pub calls: Vec<AggregateCall>,
    /// Groups of fewer rows are not put out and count as dropped, row by row; one that shrinks below is taken back.
    pub min_rows: Option<u64>,
}

/// One aggregate.
#[derive(Clone, Debug, PartialEq)]
pub struct AggregateCall {
    pub function: AggregateFunction,
    /// Columns of the input; none for `count(*)`.
    pub args: Vec<usize>,
    pub distinct: bool,
    /// A boolean column of the input: rows where it is not true are left out (`FILTER (WHERE ...)`).
    pub filter: Option<usize>,
    /// The order of the rows for those that depend on it; otherwise the order of arrival.
    pub order: Vec<SortKey>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum AggregateFunction {
    Count,
    Sum,
    Min,
    Max,
    Avg,
    /// Sample standard deviation and variance (n - 1), as `stddev` and `variance` mean in SQL.
    Stddev,
    StddevPop,
    Variance,
    VariancePop,
    FirstValue,
    LastValue,
    BoolAnd,
    BoolOr,
    /// HyperLogLog.
    ApproxDistinct,
    /// t-digest; the fraction lies within 0 and 1.
    ApproxPercentile(f64),
    StringAgg {
        separator: String,
    },
    ArrayAgg,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SortKey {
    pub column: usize,
    pub descending: bool,
    pub nulls_first: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinKind {
    Inner,
    /// Every row of the left input, with nulls where nothing on the right matches.
    Left,
}

/// A join of input 0 (left) and input 1 (right). Output columns: the left's, then the right's.
#[derive(Clone, Debug)]
pub struct JoinNode {
    pub kind: JoinKind,
    /// Equal columns, left and right in pairs; nulls never match.
    pub keys: Vec<(usize, usize)>,
    /// A further condition over the output's columns, which it calls `$0`, `$1`, ... by their place.
    pub condition: Option<Arc<Expr>>,
    pub bound: JoinBound,
}

/// What bounds a join's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JoinBound {
    /// `left.time BETWEEN right.time + lower AND right.time + upper`. Append only: a left row without a match is put out when the
    /// watermark says that none can come. Either time may be the event time of what follows, so the watermark that is handed on
    /// lags behind by as much as a row can wait for its match.
    Interval { left_time: usize, right_time: usize, lower: i64, upper: i64 },
    /// Rows of equal windows; start and end columns of both. Put out when the watermark passes the window's end.
    Window { left: (usize, usize), right: (usize, usize) },
    /// The right input is a versioned stream: a left row meets the last version of its key that is not newer than it, once the
    /// watermark has passed the row.
    AsOf { left_time: usize, right_time: usize },
    /// The right input is a [`crate::TableNode`]: a left row meets the rows that the table holds when it comes. No state.
    Lookup,
    /// Nothing but the time to live (processing time). A changelog unless both inputs only append and the join is inner.
    Updating { ttl: Option<i64> },
}

/// `ROW_NUMBER() OVER (PARTITION BY ... ORDER BY ...) <= limit`. Output columns: the input's, then the row number (int64) where
/// `number` is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RankNode {
    pub partition: Vec<usize>,
    pub order: Vec<SortKey>,
    /// Rows with a number in `1..=limit` are kept.
    pub limit: u64,
    pub number: bool,
    pub bound: RankBound,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RankBound {
    /// Within windows; start and end columns of the input. Append only, put out when the watermark passes the window's end.
    Window { start: usize, end: usize },
    /// The first row of each partition by its arrival or ascending time with limit 1: append only.
    KeepFirst { time: Option<usize>, ttl: Option<i64> },
    /// A changelog: a row that is pushed out is taken back.
    Updating { ttl: Option<i64> },
}

/// What happened to a row of a changelog. Batches of append-only nodes carry none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(i8)]
pub enum Change {
    Insert = 0,
    /// The row as it was, followed by [`Change::UpdateAfter`].
    UpdateBefore = 1,
    UpdateAfter = 2,
    Delete = 3,
}

impl Change {
    /// Whether the row is taken back rather than added.
    pub fn is_retraction(self) -> bool {
        matches!(self, Self::UpdateBefore | Self::Delete)
    }

    pub fn from_code(code: i8) -> Option<Self> {
        Some(match code {
            0 => Self::Insert,
            1 => Self::UpdateBefore,
            2 => Self::UpdateAfter,
            3 => Self::Delete,
            _ => return None,
        })
    }

    /// As change logs write it: `+I`, `-U`, `+U`, `-D`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Insert => "+I",
            Self::UpdateBefore => "-U",
            Self::UpdateAfter => "+U",
            Self::Delete => "-D",
        }
    }
}

/// MATCH_RECOGNIZE over rows of a partition in the order of a time column.
#[derive(Clone, Debug)]
pub struct MatchNode {
    pub partition: Vec<usize>,
    /// The rows' event time; rows are taken in this order, once the watermark has passed them.
    pub time: usize,
    /// Further order among rows of equal time.
    pub order: Vec<SortKey>,
    /// Names of the pattern variables; [`Pattern::Variable`] counts in it. A variable without a definition matches every row.
    pub variables: Vec<String>,
    pub pattern: Pattern,
    /// One a variable; the condition under which a row may be mapped to it.
    pub defines: Vec<Option<MatchExpr>>,
    /// The output's columns behind the partition's.
    pub measures: Vec<(MatchExpr, String)>,
    pub after: AfterMatch,
    /// The longest time from a match's first row to its last.
    pub within: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    Variable(usize),
    Sequence(Vec<Pattern>),
    Alternation(Vec<Pattern>),
    Repeat { pattern: Box<Pattern>, min: u32, max: Option<u32>, greedy: bool },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterMatch {
    PastLastRow,
    ToNextRow,
    /// To the first row that is mapped to the variable.
    ToFirst(usize),
    ToLast(usize),
}

/// An expression over the rows of a (partial) match: `expr` refers to columns named `$0`, `$1`, ..., which stand for `parts`.
#[derive(Clone, Debug)]
pub struct MatchExpr {
    pub expr: Arc<Expr>,
    pub parts: Vec<MatchPart>,
}

/// A value taken from the rows matched so far. Variable `None` means any variable, in the order of the rows.
#[derive(Clone, Debug, PartialEq)]
pub enum MatchPart {
    /// The column in the last row but `offset` that is mapped to the variable (`LAST(A.price, 1)`); in a definition, the row
    /// being judged counts as mapped to the variable it is judged for.
    Last {
        variable: Option<usize>,
        column: usize,
        offset: u32,
    },
    First {
        variable: Option<usize>,
        column: usize,
        offset: u32,
    },
    /// The column `offset` rows before the row being judged, whatever it is mapped to (`PREV`).
    Prev {
        column: usize,
        offset: u32,
    },
    Aggregate {
        variable: Option<usize>,
        function: AggregateFunction,
        column: Option<usize>,
    },
}
