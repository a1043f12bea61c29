//! MATCH_RECOGNIZE: its columns become those of a node.

use std::collections::BTreeSet;

use arrow::datatypes::{DataType, SchemaRef};

use super::{
    super::{chain::Draft, error::Issue, recognize::Recognize},
    Lowering, Relation, relation_types,
};
use crate::{
    flow::{By, ColumnFlow, FilterUse, Flow, Influence, Role},
    operator::{Exchange, MatchExpr, MatchNode, MatchPart, Operator, OperatorNode, Pattern, SortKey},
    plan::{LineageKind, NodeKind},
};

impl Lowering<'_, '_> {
    pub(super) fn recognize(&mut self, spec: &Recognize, output: &SchemaRef) -> Result<Relation, Vec<Issue>> {
        let input = self.table(&spec.input)?;
        let (_, schema) = &self.tables.entries[&spec.input];
        let types = relation_types(schema)?;
        let arm = self.single(input, &types)?;
        let fail = |message: String, help: &str| Err(vec![Issue::new("sql-match", message).help(help).at(spec.span)]);
        if self.chain.nodes[arm.node].changes {
            let message = format!(
                "`{}` changes rows that it has put out; a pattern takes only rows that stay",
                super::known_as(&spec.input)
            );
            return fail(message, "let the step before be one that only adds rows");
        }
        // Only columns that the pattern asks for are kept with its partial matches.
        let mut used: BTreeSet<usize> =
            spec.partition.iter().copied().chain(spec.order.iter().map(|&(column, ..)| column)).collect();
        let exprs = || spec.defines.iter().flatten().chain(spec.measures.iter().map(|(expr, _)| expr));
        used.extend(exprs().flat_map(|expr| &expr.parts).filter_map(column));
        let used: Vec<usize> = used.into_iter().collect();
        let row = used.iter().map(|&column| arm.columns[column].clone()).collect();
        let (node, places) = self.values(&Relation { arms: vec![arm] }, vec![row], true)?;
        let at = |column: usize| places[used.iter().position(|&known| known == column).expect("invariant: collected above")];

        let roles = self.chain.roles(node);
        let by_time = |&(column, descending, _): &(usize, bool, bool)| {
            !descending && matches!(roles[at(column)], Some(Role::EventTime | Role::WindowTime(_)))
        };
        if !spec.order.first().is_some_and(by_time) {
            let help = match self.chain.nodes[node].event_time {
                Some(time) => format!("write ORDER BY {}", self.chain.nodes[node].columns[time].name),
                None => "add `event_time:` to the source, select that column in the steps before, and write ORDER BY with it"
                    .to_owned(),
            };
            return fail("the rows of a pattern are ordered by their event time, ascending".to_owned(), &help);
        }
        if spec.within.is_none() && is_endless(&spec.pattern) {
            self.chain.unbounded.push(
                Issue::new("unbounded-state", "a match can go on for ever, because nothing says how long it may take")
                    .help("write WITHIN INTERVAL '1' HOUR behind PATTERN (…)")
                    .at(spec.span),
            );
        }
        let moved = |expr: &MatchExpr| MatchExpr {
            expr: expr.expr.clone(),
            parts: expr.parts.iter().map(|part| moved(part, at)).collect(),
        };
        let partition: Vec<usize> = spec.partition.iter().map(|&column| at(column)).collect();
        let time = at(spec.order[0].0);
        let operator = MatchNode {
            partition: partition.clone(),
            time,
            order: spec.order[1..]
                .iter()
                .map(|&(column, descending, nulls_first)| SortKey { column: at(column), descending, nulls_first })
                .collect(),
            variables: spec.variables.clone(),
            pattern: spec.pattern.clone(),
            defines: spec.defines.iter().map(|define| define.as_ref().map(moved)).collect(),
            measures: spec.measures.iter().map(|(expr, name)| (moved(expr), name.clone())).collect(),
            after: spec.after,
            within: spec.within,
        };

        let influence = |column: usize, kind| Influence::of(node, column, kind);
        let deciding: BTreeSet<usize> =
            operator.defines.iter().flatten().flat_map(|define| &define.parts).filter_map(column).collect();
        let order = std::iter::once(time).chain(operator.order.iter().map(|key| key.column));
        let shared: Vec<Influence> = order
            .map(|column| influence(column, LineageKind::Sort))
            .chain(partition.iter().map(|&column| influence(column, LineageKind::Window)))
            .collect();
        let mut flow = Flow::default();
        for &column in &partition {
            let influences = std::iter::once(Influence::identity(node, column)).chain(shared.iter().cloned()).collect();
            flow.columns.push(ColumnFlow { influences, how: None });
            flow.roles.push(None);
        }
        for (i, (measure, name)) in operator.measures.iter().enumerate() {
            let of_part = |part: &MatchPart| {
                let kind = match part {
                    MatchPart::Aggregate { .. } => LineageKind::Aggregation,
                    _ => LineageKind::Transformation,
                };
                column(part).map(|column| influence(column, kind))
            };
            let influences = measure.parts.iter().filter_map(of_part).chain(shared.iter().cloned()).collect();
            flow.columns.push(ColumnFlow { influences, how: Some(format!("{name} of a match")) });
            flow.roles.push((spec.rowtime == Some(i)).then_some(Role::EventTime));
        }
        let order = std::iter::once(time).chain(operator.order.iter().map(|key| key.column));
        flow.filters = deciding.into_iter().map(|column| FilterUse::compared(node, column, By::Pattern)).collect();
        flow.filters.extend(order.map(|column| FilterUse::compared(node, column, By::Order)));
        flow.filters.extend(self.chain.grouped(node, &partition));
        let fields: Vec<(String, DataType)> =
            output.fields().iter().map(|field| (field.name().clone(), field.data_type().clone())).collect();
        let exchange = if partition.is_empty() { Exchange::Single } else { Exchange::Hash(partition.clone()) };
        let subject = self.chain.nodes[node].subject.and_then(|subject| partition.iter().position(|&column| column == subject));
        let definition = self.definition(&text(&operator), &[node], &fields);
        let id = self.chain.push(Draft {
            kind: NodeKind::Operator(OperatorNode { operator: Operator::Match(operator), exchange: vec![exchange], definition }),
            inputs: vec![node],
            fields,
            flow,
            subject,
            changes: false,
            lowered: Vec::new(),
        });
        Ok(Relation::of(id, None, output))
    }
}

/// The stable text of a pattern.
fn text(node: &MatchNode) -> String {
    let expr = |expr: &MatchExpr| format!("{} of {:?}", expr.expr, expr.parts);
    let defines: Vec<String> =
        node.defines.iter().map(|define| define.as_ref().map_or_else(|| "true".to_owned(), expr)).collect();
    let measures: Vec<String> = node.measures.iter().map(|(measure, name)| format!("{name} = {}", expr(measure))).collect();
    format!(
        "MatchNode {{ partition: {:?}, time: {}, order: {:?}, variables: {:?}, pattern: {:?}, defines: {defines:?}, measures: {measures:?}, after: {:?}, within: {:?} }}",
        node.partition, node.time, node.order, node.variables, node.pattern, node.after, node.within
    )
}

fn column(part: &MatchPart) -> Option<usize> {
    match part {
        MatchPart::Last { column, .. } | MatchPart::First { column, .. } | MatchPart::Prev { column, .. } => Some(*column),
        MatchPart::Aggregate { column, .. } => *column,
    }
}

fn moved(part: &MatchPart, at: impl Fn(usize) -> usize) -> MatchPart {
    let mut part = part.clone();
    match &mut part {
        MatchPart::Last { column, .. }
        | MatchPart::First { column, .. }
        | MatchPart::Prev { column, .. }
        | MatchPart::Aggregate { column: Some(column), .. } => *column = at(*column),
        MatchPart::Aggregate { column: None, .. } => {}
    }
    part
}

fn is_endless(pattern: &Pattern) -> bool {
    match pattern {
        Pattern::Variable(_) => false,
        Pattern::Sequence(patterns) | Pattern::Alternation(patterns) => patterns.iter().any(is_endless),
        Pattern::Repeat { pattern, max, .. } => max.is_none() || is_endless(pattern),
    }
}
