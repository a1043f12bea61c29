//! JSON Schemas (draft 2020-12) of the documents, made from the grammar, so that editors complete and check what the decoder accepts.
//!
//! What a schema cannot say is left to the decoder: ranges of durations, the inside of nested types, references between the
//! parts of a document.

use serde_json::{Map as JsonMap, Value as Json, json};

use super::{Field, Object, Shape, contract::CONTRACT, pipeline::PIPELINE, text::DURATION_PATTERN};

/// The JSON Schema of pipelines.
pub fn pipeline_schema() -> Json {
    document("https://weir.dev/schema/pipeline.v1.json", "Weir pipeline", &PIPELINE)
}

/// The JSON Schema of contracts: Open Data Contract Standard v3.0 and v3.1, as Weir reads it.
pub fn contract_schema() -> Json {
    document("https://weir.dev/schema/contract.odcs.v3.json", "Weir data contract (ODCS v3)", &CONTRACT)
}

fn document(id: &str, title: &str, shape: &'static Shape) -> Json {
    let mut builder = Builder { definitions: JsonMap::new(), names: Vec::new() };
    let mut root = match shape {
        Shape::Object(object) => builder.object(object),
        other => builder.shape(other),
    };
    root["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    root["$id"] = json!(id);
    root["title"] = json!(title);
    if !builder.definitions.is_empty() {
        root["$defs"] = Json::Object(builder.definitions);
    }
    root
}

struct Builder {
    definitions: JsonMap<String, Json>,
    /// Objects by identity, with the name of their definition: the grammar is recursive.
    names: Vec<(*const Object, String)>,
}

impl Builder {
    fn shape(&mut self, shape: &'static Shape) -> Json {
        match shape {
            Shape::Any => json!({}),
            Shape::Const(text) => json!({ "const": text }),
            Shape::Text(kind) => match kind.pattern() {
                Some(pattern) => json!({ "type": "string", "pattern": pattern }),
                None => json!({ "type": "string" }),
            },
            Shape::Boolean => json!({ "type": "boolean" }),
            Shape::Integer(min, max) => {
                json!({ "type": "integer", "minimum": *min as i64, "maximum": *max as i64 })
            }
            Shape::Number(min, max) => {
                let mut number = json!({ "type": "number" });
                if *min > f64::MIN {
                    number["minimum"] = json!(min);
                }
                if *max < f64::MAX {
                    number["maximum"] = json!(max);
                }
                number
            }
            Shape::Duration(..) => {
                json!({ "type": "string", "pattern": DURATION_PATTERN, "examples": ["250ms", "2s", "5m", "1h", "7d"] })
            }
            Shape::Choice(choices) => {
                let choices = choices();
                if choices.iter().any(|choice| choice.about.is_some()) {
                    let each = choices.iter().map(|choice| match &choice.about {
                        Some(about) => json!({ "const": choice.name, "description": about }),
                        None => json!({ "const": choice.name }),
                    });
                    json!({ "type": "string", "oneOf": each.collect::<Vec<_>>() })
                } else {
                    json!({ "type": "string", "enum": choices.iter().map(|choice| &choice.name).collect::<Vec<_>>() })
                }
            }
            Shape::Scalar => json!({ "type": ["boolean", "number", "string"] }),
            Shape::List(list) => {
                let items = self.shape(&list.of);
                let mut array = json!({ "type": "array", "items": items });
                if list.min > 0 {
                    array["minItems"] = json!(list.min);
                }
                if list.or_one { json!({ "anyOf": [array, array["items"].clone()] }) } else { array }
            }
            Shape::Map(map) => {
                let of = self.shape(&map.of);
                let mut object = json!({ "type": "object", "additionalProperties": of });
                if let Some(pattern) = map.key.pattern() {
                    object["propertyNames"] = json!({ "pattern": pattern });
                }
                object["maxProperties"] = json!(map.max);
                if map.min > 0 {
                    object["minProperties"] = json!(map.min);
                }
                object
            }
            Shape::Object(object) => self.reference(object),
            Shape::TextOr(first, second) | Shape::ListOr(first, second) => {
                json!({ "anyOf": [self.shape(first), self.shape(second)] })
            }
        }
    }

    fn reference(&mut self, object: &'static Object) -> Json {
        let known = self.names.iter().find(|(known, _)| std::ptr::eq(*known, object));
        if let Some((_, name)) = known {
            return json!({ "$ref": format!("#/$defs/{name}") });
        }
        let name = self.free_name(object);
        self.names.push((object, name.clone()));
        let definition = self.object(object);
        self.definitions.insert(name.clone(), definition);
        json!({ "$ref": format!("#/$defs/{name}") })
    }

    /// `a file source` becomes `fileSource`.
    fn free_name(&self, object: &Object) -> String {
        let what = object.what.trim_matches('`');
        let what = what.strip_prefix("a ").or_else(|| what.strip_prefix("an ")).unwrap_or(what);
        let mut name = String::new();
        for (i, word) in what.split([' ', '_', '-']).enumerate() {
            let mut letters = word.chars().filter(char::is_ascii_alphanumeric);
            match letters.next() {
                Some(first) if i > 0 => name.push(first.to_ascii_uppercase()),
                Some(first) => name.push(first),
                None => {}
            }
            name.extend(letters);
        }
        let taken = |name: &str| self.names.iter().any(|(_, known)| known == name);
        let mut free = name.clone();
        let mut n = 2;
        while taken(&free) {
            free = format!("{name}{n}");
            n += 1;
        }
        free
    }

    fn object(&mut self, object: &'static Object) -> Json {
        let mut properties = JsonMap::new();
        for field in object.all_fields() {
            let property = self.property(field, object.lenient_null);
            properties.insert(field.key.to_owned(), property);
        }
        let mut schema = json!({ "type": "object", "properties": properties, "additionalProperties": false });
        let required: Vec<&str> = object.fields.iter().filter(|field| field.required).map(|field| field.key).collect();
        if !required.is_empty() {
            schema["required"] = json!(required);
        }
        if let Some(group) = &object.one_of {
            let each: Vec<Json> = group.fields.iter().map(|field| json!({ "required": [field.key] })).collect();
            schema["oneOf"] = json!(each);
        }
        if !object.any_of.is_empty() {
            let given = |key: &&str| {
                if object.lenient_null {
                    json!({ "required": [key], "properties": { *key: { "not": { "type": "null" } } } })
                } else {
                    json!({ "required": [key] })
                }
            };
            schema["anyOf"] = json!(object.any_of.iter().map(given).collect::<Vec<_>>());
        }
        let when: Vec<Json> = object
            .when
            .iter()
            .map(|when| {
                json!({
                    "if": { "properties": { when.key: { "const": when.equals } }, "required": [when.key] },
                    "then": {
                        "properties": { when.then: { "allOf": [self.shape(&when.shape), { "not": { "type": "null" } }] } },
                        "required": [when.then],
                    },
                })
            })
            .collect();
        if !when.is_empty() {
            schema["allOf"] = json!(when);
        }
        schema
    }

    fn property(&mut self, field: &'static Field, lenient: bool) -> Json {
        let mut property = self.shape(&field.shape);
        let nullable = lenient && !field.required;
        if nullable && property.as_object().is_some_and(|schema| !schema.is_empty()) {
            property = json!({ "anyOf": [property, { "type": "null" }] });
        }
        if lenient && field.required && property == json!({}) {
            property = json!({ "not": { "type": "null" } });
        }
        property["description"] = json!(field.about);
        if let Some(default) = field.default_json() {
            property["default"] = default;
        }
        property
    }
}
