//! What flows through the branches of a stateless query: columns, filters, and what columns mean for time and subject.

use std::collections::{BTreeSet, HashMap};

use datafusion::{common::DFSchema, logical_expr::Expr};
use weir_spec::Classification;

use super::{Branch, column_uses, failures::failing, null_tested_only, text};
use crate::{
    flow::{self, By, ColumnFlow, FilterUse, Flow, Influence, Role, Tells},
    plan::{Node, NodeId},
};

/// The flow of `width` result columns; rows are not traced yet.
pub(crate) fn flow(branches: &[Branch], width: usize, nodes: &[Node]) -> Flow {
    let mut flow = Flow { columns: vec![ColumnFlow::default(); width], ..Flow::default() };
    for branch in branches {
        let places = places(&nodes[branch.input]);
        let index = |column: &str| *places.get(column).expect("invariant: branches refer to columns of their input");
        for (column, (expr, name)) in flow.columns.iter_mut().zip(&branch.projection) {
            for (used, kinds) in column_uses(expr) {
                let influence = |kind| {
                    let field = used.field.clone();
                    Influence { field, ..Influence::of(branch.input, index(&used.column), kind) }
                };
                column.influences.extend(kinds.into_iter().map(influence));
            }
            let plain = matches!(expr, Expr::Column(column) if column.name == *name);
            if !plain {
                let text = text(expr);
                let arm = format!("{text} AS {name}");
                column.how =
                    Some(column.how.take().map_or(arm.clone(), |how| if how == arm { how } else { format!("{how} or {arm}") }));
            }
        }
        for filter in &branch.filter {
            let only_tested = null_tested_only(filter);
            for used in column_uses(filter).into_keys() {
                let tells = if only_tested.contains(&used.column) { Tells::Presence } else { Tells::Value };
                let column = index(&used.column);
                flow.filters.push(FilterUse { input: branch.input, column, field: used.field, by: By::Filter, tells });
            }
        }
        let fails = failures(branch, &nodes[branch.input]).into_iter();
        flow.filters.extend(fails.map(|column| FilterUse::compared(branch.input, column, By::Failure)));
    }
    flow.filters.sort();
    flow.filters.dedup();
    flow
}

/// The restricted columns of a branch's input for some of whose values it cannot be computed. Of less sensitive ones nothing is said,
/// so nothing is looked for.
fn failures(branch: &Branch, input: &Node) -> BTreeSet<usize> {
    let restricted = |name: &str| {
        let index = input.schema.index_of(name).ok();
        index.filter(|&index| input.columns[index].classification == Classification::Restricted)
    };
    let exprs = branch.filter.iter().chain(branch.projection.iter().map(|(expr, _)| expr));
    let computed = exprs.filter(|expr| !matches!(expr, Expr::Column(_)));
    let telling: Vec<&Expr> =
        computed.filter(|expr| expr.column_refs().into_iter().any(|column| restricted(&column.name).is_some())).collect();
    if telling.is_empty() {
        return BTreeSet::new();
    }
    let Ok(types) = DFSchema::try_from(input.schema.as_ref().clone()) else { return BTreeSet::new() };
    let fails = telling.into_iter().flat_map(|expr| failing(expr, &types));
    fails.filter_map(|used| restricted(&used.column)).collect()
}

/// The first result column that is, in every branch, the input's column of this role.
pub(crate) fn surviving(
    branches: &[Branch],
    width: usize,
    nodes: &[Node],
    role: impl Fn(&Node) -> Option<usize>,
) -> Option<usize> {
    let named = |branch: &Branch| {
        let input = &nodes[branch.input];
        role(input).map(|column| input.columns[column].name.as_str())
    };
    let wanted: Vec<Option<&str>> = branches.iter().map(named).collect();
    (0..width).find(|&position| {
        branches.iter().zip(&wanted).all(|(branch, column)| match &branch.projection[position].0 {
            Expr::Column(used) => *column == Some(used.name.as_str()),
            _ => false,
        })
    })
}

/// The columns of a node by name: documents may have thousands, and each is looked for.
fn places(node: &Node) -> HashMap<&str, usize> {
    node.schema.fields().iter().enumerate().map(|(index, field)| (field.name().as_str(), index)).collect()
}

/// What result columns mean for time: what they mean in every branch. The windows of several branches are windows of this node,
/// whose id is the next.
pub(crate) fn roles(branches: &[Branch], width: usize, nodes: &[Node], flows: &[Flow]) -> Vec<Option<Role>> {
    let own = nodes.len();
    let known: Vec<_> =
        branches.iter().map(|branch| (places(&nodes[branch.input]), flow::roles(branch.input, nodes, flows))).collect();
    (0..width)
        .map(|position| {
            let mut all = branches.iter().zip(&known).map(|(branch, (places, roles))| match &branch.projection[position].0 {
                Expr::Column(used) => roles[*places.get(used.name.as_str())?],
                _ => None,
            });
            let first = all.next().flatten()?;
            all.try_fold(first, |known, role| merge(known, role?, own))
        })
        .collect()
}

/// What a column means that means this in one branch and that in another.
pub(crate) fn merge(one: Role, other: Role, own: NodeId) -> Option<Role> {
    Some(match (one, other) {
        (one, other) if one == other => one,
        (Role::WindowStart(_), Role::WindowStart(_)) => Role::WindowStart(own),
        (Role::WindowEnd(_), Role::WindowEnd(_)) => Role::WindowEnd(own),
        (Role::WindowTime(_), Role::WindowTime(_)) => Role::WindowTime(own),
        _ => return None,
    })
}
