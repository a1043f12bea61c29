//! Contracts from and to the Open Data Contract Standard v3 (bitol-io/open-data-contract-standard).
//!
//! What Weir takes: name, version, status, description, and the properties of the one schema object with their types, facts and rules.
//! Data categories stand in a custom property, `customProperties: [{property: categories, value: [user.contact.email]}]`, or in tags
//! with the prefix `category:`; both may be used together. What the standard can say and Weir cannot enforce row by row (thresholds,
//! row counts, SQL over the whole data set) is a warning, so that nobody relies on it by mistake.

mod data_type;
mod quality;
mod write;

use crate::{
    contract::Contract,
    diagnostic::Diagnostic,
    parse::{Node, Value, quoted},
    quality::Rule,
    read::choice,
    types::{Classification, Column, DataType},
};
pub use write::{to_odcs, to_odcs_json};

const CATEGORY_TAG: &str = "category:";

/// Reads a contract that the grammar has judged (`earlier`).
pub fn read(root: &Node, earlier: &[Diagnostic]) -> (Contract, Vec<Diagnostic>) {
    let mut reader = Reader { earlier, found: Vec::new(), rules: Vec::new(), outer: Classification::default() };
    let text = |key: &str| root.get(key).and_then(Node::as_str).unwrap_or_default().to_owned();
    let columns = reader.schema(root);
    let contract = Contract {
        id: text("id"),
        name: text("name"),
        version: text("version"),
        status: text("status"),
        description: root.get("description").and_then(description),
        columns,
        rules: reader.rules.into_iter().map(|(_, rule)| rule).collect(),
    };
    (contract, reader.found)
}

/// The text, or the purpose, usage and limitations of the standard's map, one a line.
fn description(node: &Node) -> Option<String> {
    if let Some(text) = node.as_str() {
        return Some(text.to_owned());
    }
    let parts: Vec<&str> =
        ["purpose", "usage", "limitations"].iter().filter_map(|key| node.get(key).and_then(Node::as_str)).collect();
    (!parts.is_empty()).then(|| parts.join("\n"))
}

struct Reader<'e> {
    earlier: &'e [Diagnostic],
    found: Vec<Diagnostic>,
    /// With the path that each comes from.
    rules: Vec<(String, Rule)>,
    /// How sensitive the property is whose fields are read.
    outer: Classification,
}

impl Reader<'_> {
    fn error(&mut self, code: &str, path: &str, message: String, help: &str) {
        self.found.push(Diagnostic::error(code, path, message).with_help(help));
    }

    fn not_enforced(&mut self, path: &str, what: &str, help: &str) {
        self.found.push(Diagnostic::warning("not-enforced", path, format!("{what}; Weir does not enforce this")).with_help(help));
    }

    fn is_clean(&self, path: &str) -> bool {
        !self.earlier.iter().any(|error| error.path == path)
    }

    fn schema(&mut self, root: &Node) -> Vec<Column> {
        let objects = root.get("schema").map(Node::items).unwrap_or_default();
        if objects.len() > 1 {
            let message = format!("the contract describes {} objects; a stream has one", objects.len());
            self.error("several-objects", "schema[1]", message, "write one contract for each object");
        }
        let Some(object) = objects.first() else {
            return Vec::new();
        };
        let columns = self.properties(object, "schema[0].properties", true);
        self.object_quality(object, "schema[0]");
        self.unknown_columns(&columns);
        self.duplicate_rules();
        columns
    }

    fn properties(&mut self, node: &Node, path: &str, top: bool) -> Vec<Column> {
        let properties = node.get("properties").map(Node::items).unwrap_or_default();
        let key_columns = properties.iter().filter(|p| p.get("primaryKey").and_then(Node::as_bool) == Some(true)).count();
        let mut columns: Vec<Column> = Vec::new();
        for (i, property) in properties.iter().enumerate() {
            let at = format!("{path}[{i}]");
            let column = self.column(property, &at, top, key_columns == 1);
            if !column.name.is_empty() && columns.iter().any(|known| known.name == column.name) {
                let message = format!("the property {} is given twice", quoted(&column.name));
                self.error("duplicate-column", &format!("{at}.name"), message, "remove or rename one");
            }
            columns.push(column);
        }
        columns
    }

    /// A property of the object itself (`top`) or of a nested one, whose rules have no column to hold on to.
    fn column(&mut self, node: &Node, path: &str, top: bool, only_key: bool) -> Column {
        let flag = |key: &str| node.get(key).and_then(Node::as_bool).unwrap_or(false);
        let name = node.get("name").and_then(Node::as_str).unwrap_or_default().to_owned();
        let classification = classification(node, self.outer);
        let outer = std::mem::replace(&mut self.outer, classification);
        let data_type = self.data_type(node, path);
        self.outer = outer;
        let column = Column {
            data_type,
            required: flag("required") || flag("primaryKey"),
            unique: flag("unique") || flag("primaryKey") && only_key,
            classification,
            categories: categories(node),
            description: node.get("description").and_then(Node::as_str).map(str::to_owned),
            name,
        };
        if top {
            self.type_options(node, path, &column);
            self.column_quality(node, path, &column);
        } else if node.get("quality").is_some_and(|list| !list.items().is_empty()) {
            let help = "write a rule with `expression` on the outer column";
            self.not_enforced(&format!("{path}.quality"), "rules of a nested property", help);
        }
        column
    }

    fn unknown_columns(&mut self, columns: &[Column]) {
        let known = |name: &str| {
            let first = name.split('.').next().unwrap_or(name);
            columns.iter().any(|c| c.name == name || c.name == first && matches!(c.data_type, DataType::Struct(_)))
        };
        for (path, rule) in &self.rules {
            for column in rule.check.columns().into_iter().filter(|column| !column.is_empty() && !known(column)) {
                let names = || columns.iter().map(|c| c.name.as_str());
                let help = crate::nearest::did_you_mean(column, names())
                    .unwrap_or_else(|| format!("the contract has: {}", names().collect::<Vec<_>>().join(", ")));
                let message = format!("there is no property {}", quoted(column));
                self.found.push(Diagnostic::error("unknown-column", path.clone(), message).with_help(help));
            }
        }
    }

    /// Rules of a contract are counted by name. Those that say the same twice are one; the others get a number.
    fn duplicate_rules(&mut self) {
        let mut kept: Vec<(String, Rule)> = Vec::new();
        for (path, mut rule) in std::mem::take(&mut self.rules) {
            if kept.iter().any(|(_, known)| known.check == rule.check) {
                continue;
            }
            let taken = |name: &str| kept.iter().any(|(_, known)| known.name == name);
            if taken(&rule.name) {
                let free = (2..).map(|n| format!("{} {n}", rule.name)).find(|name| !taken(name));
                rule.name = free.unwrap_or(rule.name);
            }
            kept.push((path, rule));
        }
        self.rules = kept;
    }
}

/// What a property says of itself and of its elements; where it says nothing, what holds it.
fn classification(node: &Node, outer: Classification) -> Classification {
    let own = choice(node, "classification").unwrap_or(outer);
    node.get("items").map_or(own, |items| own.max(classification(items, own)))
}

/// Data categories, from the custom property and from tags, of a property and of its elements.
fn categories(node: &Node) -> Vec<String> {
    let mut categories: Vec<String> = Vec::new();
    let mut add = |category: &str| {
        if !category.is_empty() && !categories.iter().any(|known| known == category) {
            categories.push(category.to_owned());
        }
    };
    let custom = node.get("customProperties").map(Node::items).unwrap_or_default();
    for property in custom {
        if property.get("property").and_then(Node::as_str) != Some("categories") {
            continue;
        }
        // The grammar has seen to it that this is a text or a list of texts.
        match property.get("value").map(|node| &node.value) {
            Some(Value::String(one)) => add(one),
            Some(Value::List(items)) => items.iter().filter_map(Node::as_str).for_each(&mut add),
            _ => {}
        }
    }
    let tags = node.get("tags").map(Node::items).unwrap_or_default();
    tags.iter().filter_map(Node::as_str).filter_map(|tag| tag.strip_prefix(CATEGORY_TAG)).map(str::trim).for_each(&mut add);
    if let Some(items) = node.get("items") {
        self::categories(items).iter().for_each(|category| add(category));
    }
    categories
}
