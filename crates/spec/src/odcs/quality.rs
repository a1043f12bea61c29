//! Quality of the standard to Weir's rules: library metrics, limits of types, and rules of Weir's own (`engine: weir`).

use super::Reader;
use crate::{
    check,
    grammar::contract,
    parse::{Node, Value},
    quality::{Check, Rule, Scalar, TextFormat},
    read::rule as read_rule,
    types::{Column, DataType},
};

impl Reader<'_> {
    fn add(&mut self, path: &str, name: Option<&str>, check: Check) {
        let name = name.map_or_else(|| check.default_name(), str::to_owned);
        check::bounds(path, &check, &mut self.found);
        self.rules.push((path.to_owned(), Rule { name, check }));
    }

    /// Rules of one property.
    pub(super) fn column_quality(&mut self, node: &Node, path: &str, column: &Column) {
        for (i, check) in node.get("quality").map(Node::items).unwrap_or_default().iter().enumerate() {
            self.quality(check, &format!("{path}.quality[{i}]"), Some(column));
        }
    }

    /// Rules of the whole object.
    pub(super) fn object_quality(&mut self, node: &Node, path: &str) {
        for (i, check) in node.get("quality").map(Node::items).unwrap_or_default().iter().enumerate() {
            self.quality(check, &format!("{path}.quality[{i}]"), None);
        }
    }

    fn quality(&mut self, node: &Node, path: &str, column: Option<&Column>) {
        let text = |key: &str| node.get(key).and_then(Node::as_str);
        let metric = text("metric").or_else(|| text("rule"));
        let kind = text("type").unwrap_or(if text("query").is_some() { "sql" } else { "library" });
        match (kind, metric) {
            ("text", _) => {}
            ("custom", _) if text("engine") == Some("weir") => self.own(node, path),
            ("custom", _) if text("engine").is_some_and(|engine| engine.eq_ignore_ascii_case("weir")) => {
                self.error(
                    "bad-value",
                    &format!("{path}.engine"),
                    "Weir's own rules are of `engine: weir`".to_owned(),
                    "write `weir`",
                );
            }
            // Checks of other tools stay with those tools.
            ("custom", _) => {}
            ("sql", _) => {
                self.not_enforced(path, "a query over the whole data set", "write a row rule with `type: custom, engine: weir`")
            }
            (_, Some(_)) if !self.is_clean(&format!("{path}.metric")) => {}
            (_, Some(metric)) => self.library(node, path, metric, column),
            (_, None) if self.is_clean(&format!("{path}.metric")) => {
                self.error(
                    "no-metric",
                    path,
                    "a quality check has no `metric`".to_owned(),
                    "give `metric: nullValues`, or `type: text`",
                );
            }
            (_, None) => {}
        }
    }

    /// A rule as in a quality step; the grammar has looked at its inside.
    fn own(&mut self, node: &Node, path: &str) {
        let at = format!("{path}.implementation");
        let broken = self.earlier.iter().any(|error| error.path.starts_with(&at));
        let check = node.get("implementation").and_then(read_rule::check).filter(|_| !broken);
        if let Some(check) = check {
            self.add(&at, node.get("name").and_then(Node::as_str), check);
        }
    }

    fn library(&mut self, node: &Node, path: &str, metric: &str, column: Option<&Column>) {
        let name = node.get("name").and_then(Node::as_str);
        let zero = node.get("mustBe").and_then(Node::as_f64) == Some(0.0);
        if metric == "rowCount" {
            return self.not_enforced(
                path,
                "a count of rows",
                "a stream has no end to count at; remove it, or check it elsewhere",
            );
        }
        if !zero && contract::METRICS.contains(&metric) {
            return self.not_enforced(path, "a threshold over many rows", "write `mustBe: 0` to have each row checked");
        }
        let argument = |key: &str| node.get("arguments").and_then(|arguments| arguments.get(key));
        match (metric, column) {
            ("nullValues", Some(column)) => self.add(path, name, Check::NotNull { columns: vec![column.name.clone()] }),
            ("invalidValues", Some(column)) => {
                let values = argument("validValues").or_else(|| node.get("validValues")).map(Node::items);
                let pattern = argument("pattern").and_then(Node::as_str);
                if let Some(values) = values {
                    let values = values.iter().filter_map(read_rule::scalar).collect();
                    self.add(path, name, Check::InSet { column: column.name.clone(), values });
                }
                if let Some(pattern) = pattern {
                    self.add(path, name, Check::Matches { column: column.name.clone(), pattern: pattern.to_owned() });
                }
                if values.is_none() && pattern.is_none() {
                    let help = "add `arguments: { validValues: [...] }` or `arguments: { pattern: ... }`";
                    self.error("no-valid-values", path, "nothing says which values are valid".to_owned(), help);
                }
            }
            ("missingValues", Some(column)) => self.missing_values(path, name, column, argument("missingValues")),
            ("duplicateValues", column) => {
                let columns =
                    argument("properties").map(|list| list.items().iter().filter_map(Node::as_str).map(str::to_owned).collect());
                let columns: Vec<String> = columns.or_else(|| column.map(|c| vec![c.name.clone()])).unwrap_or_default();
                match argument("within").and_then(Node::as_str).and_then(|text| text.parse().ok()) {
                    Some(within) if !columns.is_empty() => self.add(path, name, Check::Unique { columns, within }),
                    _ => self.not_enforced(
                        path,
                        "duplicates without a span of time",
                        "add `arguments: { within: 1h }`: a stream cannot remember for ever",
                    ),
                }
            }
            (metric, None) if contract::METRICS.contains(&metric) => {
                let message = format!("`{metric}` is a check of a property, not of the object");
                self.error("misplaced", path, message, "move it below the property");
            }
            (metric, _) => {
                let known = contract::METRICS.iter().copied();
                let help = crate::nearest::did_you_mean(metric, known)
                    .unwrap_or_else(|| "see the standard's library metrics".to_owned());
                let message = format!("{} is not a metric", crate::parse::quoted(metric));
                self.error("bad-value", path, message, &help);
            }
        }
    }

    /// Not null, and none of the texts that stand for nothing.
    fn missing_values(&mut self, path: &str, name: Option<&str>, column: &Column, values: Option<&Node>) {
        let values = values.map(Node::items).unwrap_or_default();
        if values.is_empty() || values.iter().any(|value| value.value == Value::Null) {
            self.add(path, None, Check::NotNull { columns: vec![column.name.clone()] });
        }
        let texts: Vec<String> = values.iter().filter_map(read_rule::scalar).map(|value| sql_literal(&value)).collect();
        if !texts.is_empty() {
            let sql = format!("{} NOT IN ({})", sql_name(&column.name), texts.join(", "));
            self.add(path, name, Check::Expression { sql });
        }
    }

    /// Limits of the logical type are promises like any other, so they are enforced as rules.
    pub(super) fn type_options(&mut self, node: &Node, path: &str, column: &Column) {
        let Some(options) = node.get("logicalTypeOptions") else {
            return;
        };
        let path = format!("{path}.logicalTypeOptions");
        let count = |key: &str| options.get(key).and_then(Node::as_int).and_then(|n| u64::try_from(n).ok());
        let name = &column.name;
        let is_list = matches!(column.data_type, DataType::List(_));
        let (min, max) = if is_list { (count("minItems"), count("maxItems")) } else { (count("minLength"), count("maxLength")) };
        if min.is_some() || max.is_some() {
            self.add(&path, None, Check::Length { column: name.clone(), min, max });
        }
        if let Some(pattern) = options.get("pattern").and_then(Node::as_str) {
            self.add(&format!("{path}.pattern"), None, Check::Matches { column: name.clone(), pattern: pattern.to_owned() });
        }
        let format = options.get("format").and_then(Node::as_str).filter(|_| column.data_type == DataType::String);
        if let Some(is) = format.and_then(text_format) {
            self.add(&format!("{path}.format"), None, Check::Format { column: name.clone(), is });
        }
        self.limits(options, &path, name);
        if let Some(step) = options.get("multipleOf").and_then(Node::as_f64) {
            let sql = format!("{} % {step} = 0", sql_name(name));
            self.add(&format!("{path}.multipleOf"), None, Check::Expression { sql });
        }
        if options.get("uniqueItems").and_then(Node::as_bool) == Some(true) {
            self.not_enforced(&format!("{path}.uniqueItems"), "distinct elements of a list", "remove it, or check it elsewhere");
        }
        let zone = options.get("defaultTimezone").and_then(Node::as_str).unwrap_or("UTC");
        if column.data_type == DataType::Timestamp && !matches!(zone, "UTC" | "Etc/UTC" | "Z" | "GMT" | "Etc/GMT") {
            self.not_enforced(
                &format!("{path}.defaultTimezone"),
                "a time zone other than UTC",
                "Weir reads texts without a zone as UTC; convert them before",
            );
        }
    }

    fn limits(&mut self, options: &Node, path: &str, column: &str) {
        // In v3.0 the exclusive limits are booleans beside the limit, in v3.1 they are limits themselves.
        let strict = |key: &str| options.get(key).and_then(Node::as_bool) == Some(true);
        let value = |key: &str| options.get(key).filter(|node| node.as_bool().is_none()).and_then(read_rule::scalar);
        let (mut min, mut max) = (value("minimum"), value("maximum"));
        let mut above = value("exclusiveMinimum");
        let mut below = value("exclusiveMaximum");
        if strict("exclusiveMinimum") {
            above = min.take();
        }
        if strict("exclusiveMaximum") {
            below = max.take();
        }
        if min.is_some() || max.is_some() {
            self.add(path, None, Check::Between { column: column.to_owned(), min, max });
        }
        for (limit, operator, key) in [(above, ">", "exclusiveMinimum"), (below, "<", "exclusiveMaximum")] {
            if let Some(limit) = limit {
                let sql = format!("{} {operator} {}", sql_name(column), sql_literal(&limit));
                self.add(&format!("{path}.{key}"), None, Check::Expression { sql });
            }
        }
    }
}

fn text_format(name: &str) -> Option<TextFormat> {
    Some(match name {
        "email" => TextFormat::Email,
        "uuid" => TextFormat::Uuid,
        "uri" | "url" => TextFormat::Url,
        "ip" | "ipv4" | "ipv6" => TextFormat::Ip,
        "iban" => TextFormat::Iban,
        "phone" => TextFormat::Phone,
        "date" => TextFormat::Date,
        "json" => TextFormat::Json,
        _ => return None,
    })
}

fn sql_name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn sql_literal(value: &Scalar) -> String {
    match value {
        Scalar::Bool(value) => value.to_string(),
        Scalar::Int(value) => value.to_string(),
        Scalar::Float(value) => format!("{value:?}"),
        Scalar::String(text) => format!("'{}'", text.replace('\'', "''")),
    }
}
