//! The vocabulary that all documents share: logical types, classifications, columns, durations.

use std::{collections::BTreeSet, fmt, str::FromStr, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How sensitive a value is. Ordered: a later class is the more sensitive one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Classification {
    /// May be shown to anyone.
    Public,
    /// For the organisation itself; what is not stated is internal.
    #[default]
    Internal,
    /// For those who need it; most personal data.
    Confidential,
    /// Special categories, secrets, card numbers: by explicit permission only.
    Restricted,
}

impl Classification {
    /// All classes, least sensitive first.
    pub const ALL: [Self; 4] = [Self::Public, Self::Internal, Self::Confidential, Self::Restricted];

    /// The class one level below; public stays public.
    pub fn lowered(self) -> Self {
        match self {
            Self::Public | Self::Internal => Self::Public,
            Self::Confidential => Self::Internal,
            Self::Restricted => Self::Confidential,
        }
    }

    /// The name used in documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Internal => "internal",
            Self::Confidential => "confidential",
            Self::Restricted => "restricted",
        }
    }
}

impl fmt::Display for Classification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A logical type. Written `int64`, `decimal(12,2)`, `list<string>`, `struct<street: string, zip: string>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DataType {
    Boolean,
    Int32,
    Int64,
    Float32,
    Float64,
    /// Fixed-point number: precision 1 to 38, scale 0 to precision.
    Decimal {
        precision: u8,
        scale: i8,
    },
    String,
    Bytes,
    /// Days since 1970-01-01.
    Date,
    /// Microseconds since 1970-01-01T00:00:00Z.
    Timestamp,
    List(Box<DataType>),
    Struct(Vec<Column>),
}

/// A column: what a contract or an inline schema says of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Column {
    pub name: String,
    pub data_type: DataType,
    /// A row without a value here breaks the contract.
    pub required: bool,
    /// The contract promises distinct values.
    pub unique: bool,
    /// Of the column itself and of the elements of a list; a field of which nothing is said has that of what holds it. See
    /// [`Column::sensitivity`].
    pub classification: Classification,
    /// Data categories: fideslang keys such as `user.contact.email`.
    pub categories: Vec<String>,
    pub description: Option<String>,
}

impl DataType {
    /// The fields of a struct, or of the structs in a list.
    pub fn fields(&self) -> &[Column] {
        match self {
            Self::Struct(fields) => fields,
            Self::List(element) => element.fields(),
            _ => &[],
        }
    }

    /// Fields of which nothing is said are as sensitive as what holds them.
    pub fn classify(&mut self, classification: Classification) {
        match self {
            Self::Struct(fields) => fields.iter_mut().for_each(|field| {
                field.classification = classification;
                field.data_type.classify(classification);
            }),
            Self::List(element) => element.classify(classification),
            _ => {}
        }
    }
}

impl Column {
    /// How sensitive a value is, with all that is nested in it.
    pub fn sensitivity(&self) -> Classification {
        self.data_type.fields().iter().map(Self::sensitivity).fold(self.classification, Classification::max)
    }

    /// The categories of a value and of all that is nested in it.
    pub fn all_categories(&self) -> BTreeSet<&str> {
        let nested = self.data_type.fields().iter().flat_map(Self::all_categories);
        self.categories.iter().map(String::as_str).chain(nested).collect()
    }

    /// An optional, internal column without categories.
    pub fn new(name: impl Into<String>, data_type: DataType) -> Self {
        Self {
            name: name.into(),
            data_type,
            required: false,
            unique: false,
            classification: Classification::default(),
            categories: Vec::new(),
            description: None,
        }
    }
}

/// A span of time as documents write it: `250ms`, `2s`, `5m`, `1h`, `7d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timespan(pub Duration);

impl Timespan {
    pub const fn from_millis(ms: u64) -> Self {
        Self(Duration::from_millis(ms))
    }
    pub const fn as_duration(self) -> Duration {
        self.0
    }
}

impl FromStr for Timespan {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (digits, unit) = text.split_at(split);
        let bad = || format!("`{text}` is not a duration; write a whole number and a unit, such as 250ms, 2s, 5m, 1h or 7d");
        let n: u64 = digits.parse().map_err(|_| bad())?;
        let millis = match unit.trim() {
            "ms" => Some(n),
            "s" => n.checked_mul(1_000),
            "m" | "min" => n.checked_mul(60_000),
            "h" => n.checked_mul(3_600_000),
            "d" => n.checked_mul(86_400_000),
            _ => return Err(bad()),
        };
        millis.map(Self::from_millis).ok_or_else(bad)
    }
}

impl fmt::Display for Timespan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_millis();
        match ms {
            _ if ms.is_multiple_of(86_400_000) && ms > 0 => write!(f, "{}d", ms / 86_400_000),
            _ if ms.is_multiple_of(3_600_000) && ms > 0 => write!(f, "{}h", ms / 3_600_000),
            _ if ms.is_multiple_of(60_000) && ms > 0 => write!(f, "{}m", ms / 60_000),
            _ if ms.is_multiple_of(1_000) && ms > 0 => write!(f, "{}s", ms / 1_000),
            _ => write!(f, "{ms}ms"),
        }
    }
}
