//! What the decoder expects of an object: its fields by name, and the order in which the last row had them.

use ahash::AHashMap;
use weir_spec::{Column, DataType};

use crate::schema::type_name;

/// The key is not in the schema.
pub(super) const UNKNOWN: u32 = u32::MAX;

/// Places of a row that are remembered; beyond, keys are looked up.
const MAX_REMEMBERED: usize = 4096;

/// The fields of an object.
pub(super) struct Fields {
    pub shapes: Vec<Shape>,
    index: AHashMap<Box<[u8]>, u32>,
    /// Which field the previous row had at each place.
    pub order: Vec<u32>,
}

/// One value's expected form.
pub(super) struct Shape {
    pub name: String,
    /// `name":`, which follows the opening quote of a key when a writer wastes no space.
    pub key: Box<[u8]>,
    /// The name needs no escapes, so `key` is how it is written.
    pub key_is_plain: bool,
    pub required: bool,
    pub type_name: String,
    pub nested: Nested,
}

pub(super) enum Nested {
    None,
    Item(Box<Shape>),
    Fields(Fields),
}

impl Fields {
    pub fn new(columns: &[Column]) -> Self {
        let shapes: Vec<Shape> = columns.iter().map(Shape::new).collect();
        let index = shapes.iter().zip(0..).map(|(shape, i)| (shape.name.as_bytes().into(), i)).collect();
        Self { order: (0..shapes.len() as u32).collect(), shapes, index }
    }

    /// The field with this (unescaped) name; remembered for the same place of the next row.
    pub fn look_up(&mut self, place: usize, name: &[u8]) -> u32 {
        let slot = self.index.get(name).copied().unwrap_or(UNKNOWN);
        if let Some(entry) = self.order.get_mut(place) {
            *entry = slot;
        } else if place == self.order.len() && place < MAX_REMEMBERED {
            self.order.push(slot);
        }
        slot
    }
}

impl Shape {
    pub fn new(column: &Column) -> Self {
        Self::of(&column.name, &column.data_type, column.required)
    }

    fn of(name: &str, data_type: &DataType, required: bool) -> Self {
        let nested = match data_type {
            DataType::List(item) => Nested::Item(Box::new(Self::of("[]", item, false))),
            DataType::Struct(columns) => Nested::Fields(Fields::new(columns)),
            _ => Nested::None,
        };
        Self {
            name: name.to_owned(),
            key: format!("{}\":", name).into_bytes().into(),
            key_is_plain: !name.bytes().any(|b| b == b'"' || b == b'\\' || b < 0x20),
            required,
            type_name: type_name(data_type),
            nested,
        }
    }
}
