//! Sinks that write to a database's table: its columns, and whether its key fits what is written.

use std::collections::HashSet;

use weir_spec::{DataType, Diagnostic, Sink, connector::SqliteSink, pipeline::SinkMode};

use crate::{
    keys::{Columns, Keys},
    plan::{NodeId, Upsert},
    steps::Known,
};

/// What SQLite takes, as it is usually built.
const MAX_COLUMNS: usize = 2000;

impl Known<'_> {
    /// Checks a sink that writes to a table; says how it replaces rows, if it does.
    pub(crate) fn table_sink(
        &self,
        name: &str,
        sink: &Sink,
        table: &SqliteSink,
        input: NodeId,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Option<Upsert> {
        let from = &self.nodes[input];
        let path = format!("sinks.{name}.sqlite");
        let names = || from.columns.iter().map(|facts| facts.name.as_str());
        let mut seen = HashSet::new();
        for twice in names().filter(|name| !seen.insert(name.to_ascii_lowercase())) {
            let message = format!("a table cannot have two columns `{twice}`: SQLite does not tell upper and lower case apart");
            diagnostics.push(Diagnostic::error("duplicate-column", &path, message).with_help("rename one in a sql step"));
        }
        let written = from.columns.len() + usize::from(sink.mode == SinkMode::Changes);
        if written > MAX_COLUMNS {
            let message = format!("a table has {MAX_COLUMNS} columns at most, and `{}` has {written}", sink.from);
            diagnostics.push(Diagnostic::error("column-count", &path, message).with_help("choose columns in a sql step"));
        }
        if sink.mode != SinkMode::Upsert {
            return None;
        }
        let fits = |data_type: &DataType| {
            !matches!(data_type, DataType::Float32 | DataType::Float64 | DataType::List(_) | DataType::Struct(_))
        };
        let path = format!("{path}.key");
        let expected = "a key is made of plain values that are equal or not: no float, list or struct";
        let key = table.key.iter().map(|column| self.sink_column(&path, column, input, fits, expected, diagnostics));
        // All of them are looked at, also behind one that is not there.
        let key = key.collect::<Vec<_>>().into_iter().collect::<Option<Vec<usize>>>()?;
        if key.is_empty() {
            return None;
        }
        let (keys, columns) = (Keys { nodes: self.nodes }, key.iter().copied().collect::<Columns>());
        let in_order = keys.in_order(input, &columns);
        let shown = table.key.iter().map(|column| format!("`{column}`")).collect::<Vec<_>>().join(", ");
        match (from.changes, keys.distinct(input, &columns)) {
            (true, false) => {
                let message = format!(
                    "rows of `{}` may have equal values in {shown}: they would replace each other, and whichever changes last would be \
                     left",
                    sink.from
                );
                let help = "let the key name what tells the rows apart: the columns of GROUP BY, those of PARTITION BY with the row \
                            number, those of both sides of a join, or a column that its source declares `unique` and `required`";
                diagnostics.push(Diagnostic::error("upsert-key", path, message).with_help(help));
            }
            (true, true) if !in_order && !keys.is_exact(input) => {
                let message = format!(
                    "changes of one row of `{}` may come in any order, and what is taken back need not be what was added, so nobody \
                     can tell which row is left",
                    sink.from
                );
                let help = "the key does not hold what the rows were joined or ranked by: add those columns to it; or encrypt and look \
                            up before the join rather than behind it";
                diagnostics.push(Diagnostic::error("upsert-order", path, message).with_help(help));
            }
            (false, false) if !in_order => {
                let message = format!(
                    "rows of `{}` may have equal values in {shown} and come in any order, so which of them is left is not defined",
                    sink.from
                );
                let help = "let the key name what tells the rows apart, or say in a sql step which row counts: ROW_NUMBER() OVER \
                            (PARTITION BY key ORDER BY time DESC) with the number 1";
                diagnostics.push(Diagnostic::warning("upsert-order", path, message).with_help(help));
            }
            _ => {}
        }
        Some(Upsert { key, in_order: in_order || !from.changes })
    }
}
