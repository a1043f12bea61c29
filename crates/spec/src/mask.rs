//! `mask:` steps: what becomes of a column before it goes on.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq)]
pub struct MaskStep {
    /// A source or a step.
    pub from: String,
    pub columns: IndexMap<String, Mask>,
}

/// A masking operator. What the result is worth is told by `weir-plan`, what it does by `weir-vault`.
#[derive(Clone, Debug, PartialEq)]
pub enum Mask {
    /// Replaces text by a constant (default `[redacted]`), other types by null. Result: public.
    Redact { with: Option<String> },
    /// Null. Result: public.
    Null,
    /// Keeps some characters at the ends and replaces the rest (default `*`). Result: one level down.
    Partial { keep_first: usize, keep_last: usize, with: char },
    /// Keyed HMAC-SHA256, hex; deterministic per project and purpose. Result: internal.
    Hash,
    /// Keyed HMAC-SHA256 token, URL-safe, optionally with the last characters kept for support staff. Result: internal.
    Token { prefix: Option<String>, keep_last: usize },
    /// AES-256-GCM under the subject's own key. Keeps its classification; readable by permission, erasable.
    Encrypt,
    /// Coarser values. Result: one level down, or what policy says.
    Generalize { to: Generalization },
}

impl Mask {
    /// The operator's key in a document.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Redact { .. } => "redact",
            Self::Null => "null",
            Self::Partial { .. } => "partial",
            Self::Hash => "hash",
            Self::Token { .. } => "token",
            Self::Encrypt => "encrypt",
            Self::Generalize { .. } => "generalize",
        }
    }
}

/// How values are made coarser.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Generalization {
    /// Dates and timestamps: the start of the unit.
    Year,
    Month,
    Day,
    Hour,
    /// Numbers: the lower bound of the interval of this width.
    Width(f64),
    /// Text: the first characters only, such as the area of a postcode.
    Prefix(usize),
}
