//! `mask:` steps: what becomes of a column before it goes on.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::types::{Classification, DataType};

#[derive(Clone, Debug, PartialEq)]
pub struct MaskStep {
    /// A source or a step.
    pub from: String,
    pub columns: IndexMap<String, Mask>,
}

/// A masking operator. What it does is told by `weir-vault`.
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
    /// Coarser values. Result: one level down, unless they are hardly coarser: see [`Mask::result_class`].
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

    /// What the result of masking a column of this class is worth. Never more than the column itself.
    ///
    /// `from` is the class of what has not been masked before. Masks on top of one another do not add up: of a column that was masked
    /// already the plan asks what this operator makes of the class before all masks, and takes the lowest that any of them has reached.
    ///
    /// An operator that leaves too much of a value readable does not count: see [`Mask::MAX_TOKEN_KEPT`],
    /// [`Mask::MAX_KEPT`] and [`Mask::MAX_PREFIX`].
    ///
    /// Intervals of numbers count when several values fall into one. Whole numbers and decimals say themselves what their smallest step
    /// is, and a width of one step is refused ([`Mask::result_type`]). Floats have no step: an interval of at least 1 counts, which
    /// takes all digits behind the point; a smaller one counts where rules keep the values in a range that it cuts into
    /// [`Mask::MOST_INTERVALS`] at most, so that so many results are left, whatever the values are.
    pub fn result_class(&self, from: Classification, of: Values<'_>) -> Classification {
        match self {
            Self::Redact { .. } | Self::Null => Classification::Public,
            Self::Hash => from.min(Classification::Internal),
            Self::Token { keep_last, .. } if *keep_last <= Self::MAX_TOKEN_KEPT => from.min(Classification::Internal),
            Self::Token { keep_last, .. } if *keep_last <= Self::MAX_KEPT => {
                from.lowered().max(from.min(Classification::Internal))
            }
            Self::Partial { keep_first, keep_last, .. } if keep_first.saturating_add(*keep_last) <= Self::MAX_KEPT => {
                from.lowered()
            }
            Self::Generalize { to: Generalization::Prefix(length) } if *length > Self::MAX_PREFIX => from,
            Self::Generalize { to: Generalization::Width(width) } if !of.are_coarse_by(*width) => from,
            Self::Generalize { .. } => from.lowered(),
            Self::Token { .. } | Self::Partial { .. } | Self::Encrypt => from,
        }
    }

    /// A token that shows more characters than this (the last four of a card, as on receipts) is worth as much as a partial mask.
    pub const MAX_TOKEN_KEPT: usize = 4;
    /// A mask that shows more characters than this (the first six and the last four of a card, as PCI DSS 3.4.1 allows)
    /// lowers nothing.
    pub const MAX_KEPT: usize = 10;
    /// A longer prefix than this (the area of a postcode) lowers nothing.
    pub const MAX_PREFIX: usize = 4;
    /// Narrow intervals of floats that cut a known range into more than this lower nothing.
    pub const MOST_INTERVALS: f64 = 1_000.0;
    /// The narrowest interval of floats. A `float64` has 15 to 16 digits: a smaller one would leave values around a million as they are.
    pub const LEAST_FLOAT_WIDTH: f64 = 1e-9;

    /// The type of the result for a column of this type; `None` where the operator cannot be applied.
    pub fn result_type(&self, from: &DataType) -> Option<DataType> {
        use DataType::{Date, Decimal, Float32, Float64, Int32, Int64, List, String, Struct, Timestamp};
        match self {
            Self::Redact { .. } | Self::Null => Some(from.clone()),
            Self::Partial { .. } => matches!(from, String | Int32 | Int64).then_some(String),
            Self::Hash | Self::Token { .. } | Self::Encrypt => (!matches!(from, List(_) | Struct(_))).then_some(String),
            Self::Generalize { to } => {
                let fits = match (to, from) {
                    (Generalization::Year | Generalization::Month, Date | Timestamp) => true,
                    (Generalization::Day | Generalization::Hour, Timestamp) => true,
                    // Intervals of one unit change nothing.
                    (Generalization::Width(width), Int32 | Int64) => *width > 1.0 && width.fract() == 0.0,
                    (Generalization::Width(width), Decimal { scale, .. }) => {
                        let units = width * 10f64.powi(i32::from(*scale));
                        units > 1.5 && (units - units.round()).abs() < 1e-6
                    }
                    (Generalization::Width(width), Float32 | Float64) => width.is_finite() && *width >= Self::LEAST_FLOAT_WIDTH,
                    (Generalization::Prefix(length), String) => *length > 0,
                    _ => false,
                };
                fits.then(|| from.clone())
            }
        }
    }
}

/// What is known of the values of a column that is masked.
#[derive(Clone, Copy, Debug)]
pub struct Values<'t> {
    pub data_type: &'t DataType,
    /// The least and the greatest value that any row can have, where rules see to it.
    pub range: Option<(f64, f64)>,
}

impl Values<'_> {
    fn are_coarse_by(self, width: f64) -> bool {
        let few = |(min, max): (f64, f64)| (max - min) / width <= Mask::MOST_INTERVALS;
        !matches!(self.data_type, DataType::Float32 | DataType::Float64) || width >= 1.0 || self.range.is_some_and(few)
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

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn partial(keep_first: usize, keep_last: usize) -> Mask {
        Mask::Partial { keep_first, keep_last, with: '*' }
    }

    fn token(keep_last: usize) -> Mask {
        Mask::Token { prefix: None, keep_last }
    }

    fn generalize(to: Generalization) -> Mask {
        Mask::Generalize { to }
    }

    #[test]
    fn what_masked_values_are_worth() {
        let masks = [
            Mask::Redact { with: None },
            Mask::Null,
            Mask::Hash,
            token(0),
            token(4),
            token(5),
            token(10),
            token(11),
            partial(6, 4),
            partial(6, 5),
            partial(usize::MAX, 1),
            Mask::Encrypt,
            generalize(Generalization::Year),
            generalize(Generalization::Width(10.0)),
            generalize(Generalization::Prefix(4)),
            generalize(Generalization::Prefix(5)),
        ];
        let mut table = String::new();
        for mask in &masks {
            let classes = Classification::ALL.map(|from| {
                let result = mask.result_class(from, Values { data_type: &DataType::Int32, range: None });
                assert!(result <= from, "{mask:?} raises {from}");
                result.as_str()
            });
            table.push_str(&format!("{mask:?}: {}\n", classes.join(", ")));
        }
        expect![[r#"
            Redact { with: None }: public, public, public, public
            Null: public, public, public, public
            Hash: public, internal, internal, internal
            Token { prefix: None, keep_last: 0 }: public, internal, internal, internal
            Token { prefix: None, keep_last: 4 }: public, internal, internal, internal
            Token { prefix: None, keep_last: 5 }: public, internal, internal, confidential
            Token { prefix: None, keep_last: 10 }: public, internal, internal, confidential
            Token { prefix: None, keep_last: 11 }: public, internal, confidential, restricted
            Partial { keep_first: 6, keep_last: 4, with: '*' }: public, public, internal, confidential
            Partial { keep_first: 6, keep_last: 5, with: '*' }: public, internal, confidential, restricted
            Partial { keep_first: 18446744073709551615, keep_last: 1, with: '*' }: public, internal, confidential, restricted
            Encrypt: public, internal, confidential, restricted
            Generalize { to: Year }: public, public, internal, confidential
            Generalize { to: Width(10.0) }: public, public, internal, confidential
            Generalize { to: Prefix(4) }: public, public, internal, confidential
            Generalize { to: Prefix(5) }: public, internal, confidential, restricted
        "#]]
        .assert_eq(&table);
    }

    #[test]
    fn a_narrow_interval_of_floats_counts_only_in_a_range_that_is_known() {
        use DataType::{Decimal, Float32, Float64, Int64};
        let lowered = |width, data_type, range| {
            let mask = generalize(Generalization::Width(width));
            let result = mask.result_class(Classification::Restricted, Values { data_type: &data_type, range });
            result < Classification::Restricted
        };
        for (width, range, expected) in [
            (1.0, None, true),
            (0.5, None, false),
            (1e-9, None, false),
            (0.5, Some((0.0, 500.0)), true),
            (0.5, Some((-250.0, 250.5)), false),
            (0.001, Some((0.0, 1.0)), true),
            (10.0, Some((0.0, 1e9)), true),
        ] {
            assert_eq!(lowered(width, Float64, range), expected, "{width} of {range:?}");
            assert_eq!(lowered(width, Float32, range), expected, "{width} of {range:?}");
        }
        assert!(lowered(2.0, Int64, None));
        assert!(lowered(0.02, Decimal { precision: 12, scale: 2 }, None));
    }

    #[test]
    fn what_can_be_masked() {
        use DataType::{Boolean, Date, Float64, Int32, String, Timestamp};
        let decimal = DataType::Decimal { precision: 12, scale: 2 };
        let list = DataType::List(Box::new(String));
        let width = |width| generalize(Generalization::Width(width));
        let cases = [
            (Mask::Null, list.clone(), Some(list.clone())),
            (Mask::Redact { with: None }, Date, Some(Date)),
            (Mask::Hash, Timestamp, Some(String)),
            (Mask::Hash, list.clone(), None),
            (token(4), Int32, Some(String)),
            (Mask::Encrypt, Boolean, Some(String)),
            (Mask::Encrypt, list, None),
            (partial(1, 1), Int32, Some(String)),
            (partial(1, 1), Date, None),
            (generalize(Generalization::Month), Date, Some(Date)),
            (generalize(Generalization::Day), Date, None),
            (generalize(Generalization::Hour), Timestamp, Some(Timestamp)),
            (generalize(Generalization::Year), String, None),
            (width(10.0), Int32, Some(Int32)),
            (width(1.0), Int32, None),
            (width(2.5), Int32, None),
            (width(0.5), decimal.clone(), Some(decimal.clone())),
            (width(0.01), decimal.clone(), None),
            (width(0.005), decimal, None),
            (width(0.5), Float64, Some(Float64)),
            (width(1e-9), Float64, Some(Float64)),
            (width(1e-10), Float64, None),
            (width(1e-300), Float64, None),
            (width(0.0), Float64, None),
            (width(-1.0), Float64, None),
            (width(10.0), String, None),
            (generalize(Generalization::Prefix(2)), String, Some(String)),
            (generalize(Generalization::Prefix(0)), String, None),
            (generalize(Generalization::Prefix(2)), Int32, None),
        ];
        for (mask, from, expected) in cases {
            assert_eq!(mask.result_type(&from), expected, "{mask:?} of {from}");
        }
    }
}
