//! The grammar of documents as data. One table (`pipeline`, `contract`) says which keys there are, what they hold, which are
//! required and what they mean; the validator, the JSON Schema and the writer all read it, so they cannot disagree.

pub mod contract;
pub mod mend;
pub mod metrics;
pub mod pipeline;
pub mod schema;
pub mod text;
pub mod validate;

use schemars::JsonSchema;
use serde_json::Value as Json;

use text::Text;

/// What a value may look like.
pub enum Shape {
    /// Exactly this text.
    Const(&'static str),
    Text(Text),
    Boolean,
    /// A whole number, both ends included.
    Integer(i128, i128),
    /// A number, both ends included.
    Number(f64, f64),
    /// A duration, both ends in milliseconds and included.
    Duration(u64, u64),
    /// One of the names of an enum.
    Choice(fn() -> Vec<Choice>),
    /// A boolean, a finite number or a text.
    Scalar,
    /// Anything; what it holds is not Weir's business.
    Any,
    List(&'static List),
    Map(&'static Map),
    Object(&'static Object),
    /// The first shape for a text, the second for a map.
    TextOr(&'static Shape, &'static Shape),
    /// The first shape for a list, the second for a map.
    ListOr(&'static Shape, &'static Shape),
}

/// A list of one shape.
pub struct List {
    pub of: Shape,
    pub min: usize,
    /// A single text may stand for a list of one.
    pub or_one: bool,
}

/// A map whose keys are names of the author's choice.
pub struct Map {
    /// What an entry is: `a source`.
    pub what: &'static str,
    pub key: Text,
    pub of: Shape,
    pub min: usize,
    pub max: usize,
}

/// A map whose keys the grammar knows.
pub struct Object {
    /// With its article: `a source`.
    pub what: &'static str,
    pub fields: &'static [Field],
    /// Exactly one of these must be given.
    pub one_of: Option<Group>,
    /// At least one of these must be given.
    pub any_of: &'static [&'static str],
    /// A key with nothing behind it counts as absent.
    pub lenient_null: bool,
    pub when: &'static [When],
}

/// Where `key` has this text, `then` must be given and have this shape.
pub struct When {
    pub key: &'static str,
    pub equals: &'static str,
    pub then: &'static str,
    pub shape: Shape,
}

/// Keys of which exactly one is given: connectors, operators, checks.
pub struct Group {
    /// What they are: `connector`.
    pub what: &'static str,
    pub fields: &'static [Field],
}

pub struct Field {
    pub key: &'static str,
    pub shape: Shape,
    pub required: bool,
    /// The value taken when the key is absent, as JSON.
    pub default: Option<&'static str>,
    pub about: &'static str,
}

/// A name of an enum and what it means.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    pub name: String,
    pub about: Option<String>,
}

/// A key that may be absent.
pub const fn optional(key: &'static str, shape: Shape, about: &'static str) -> Field {
    Field { key, shape, required: false, default: None, about }
}

/// A key that must be given.
pub const fn required(key: &'static str, shape: Shape, about: &'static str) -> Field {
    Field { key, shape, required: true, default: None, about }
}

/// A key that has this value (JSON) when it is absent.
pub const fn defaulted(key: &'static str, shape: Shape, default: &'static str, about: &'static str) -> Field {
    Field { key, shape, required: false, default: Some(default), about }
}

impl Object {
    pub const fn new(what: &'static str, fields: &'static [Field]) -> Self {
        Self { what, fields, one_of: None, any_of: &[], lenient_null: false, when: &[] }
    }

    pub const fn with_when(mut self, when: &'static [When]) -> Self {
        self.when = when;
        self
    }

    pub const fn with_one_of(mut self, what: &'static str, fields: &'static [Field]) -> Self {
        self.one_of = Some(Group { what, fields });
        self
    }

    pub const fn with_any_of(mut self, keys: &'static [&'static str]) -> Self {
        self.any_of = keys;
        self
    }

    pub const fn lenient(mut self) -> Self {
        self.lenient_null = true;
        self
    }

    /// All keys with their fields, those of the group last.
    pub fn all_fields(&self) -> impl Iterator<Item = &'static Field> {
        self.fields.iter().chain(self.one_of.iter().flat_map(|group| group.fields))
    }

    pub fn field(&self, key: &str) -> Option<&'static Field> {
        self.all_fields().find(|field| field.key == key)
    }
}

impl Field {
    /// The default as JSON.
    pub fn default_json(&self) -> Option<Json> {
        self.default.map(|text| serde_json::from_str(text).expect("invariant: the grammar's defaults are JSON"))
    }
}

/// The names of an enum, with the doc comments of its variants; those that have none come first.
pub fn choices<T: JsonSchema>() -> Vec<Choice> {
    let schema = schemars::schema_for!(T).to_value();
    let text = |value: &Json| value.as_str().map(str::to_owned);
    let mut found = Vec::new();
    let alternatives = schema.get("oneOf").and_then(Json::as_array).cloned().unwrap_or_else(|| vec![schema.clone()]);
    for alternative in &alternatives {
        if let Some(name) = alternative.get("const").and_then(text) {
            found.push(Choice { name, about: alternative.get("description").and_then(text) });
        }
        for name in alternative.get("enum").and_then(Json::as_array).into_iter().flatten().filter_map(text) {
            found.push(Choice { name, about: None });
        }
    }
    found
}
