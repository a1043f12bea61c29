//! The nodes of one step with state, as they come into being.

use std::{collections::BTreeSet, sync::Arc};

use arrow::datatypes::{DataType, Field, Schema};
use datafusion::{
    common::{DataFusionError, TableReference},
    logical_expr::{LogicalPlan, LogicalPlanBuilder, LogicalTableSource},
};
use weir_spec::Classification;

use super::{Branch, branches, error::Issue, error::issues, text};
use crate::{
    flow::{self, By, FilterUse, Flow, Role},
    origin::Origin,
    plan::{Node, NodeId, NodeKind, SqlNode},
    steps::subject_lost,
};

/// A step under construction: nodes are put behind those that are planned already.
pub(crate) struct Chain<'c> {
    pub nodes: &'c mut Vec<Node>,
    pub flows: &'c mut Vec<Flow>,
    /// The step's name.
    pub step: &'c str,
    /// Its query.
    pub text: &'c str,
    /// How long state lives that nothing bounds, in microseconds.
    pub ttl: Option<i64>,
    pub min_group: Option<u64>,
    /// What is allowed, but perhaps not wanted: state without bound.
    pub unbounded: Vec<Issue>,
    first: NodeId,
}

/// A node to be.
pub(crate) struct Draft {
    pub kind: NodeKind,
    pub inputs: Vec<NodeId>,
    /// Names and types of the output.
    pub fields: Vec<(String, DataType)>,
    pub flow: Flow,
    pub subject: Option<usize>,
    pub changes: bool,
    /// Columns that are one class less sensitive than what they are made from.
    pub lowered: Vec<usize>,
}

impl<'c> Chain<'c> {
    pub fn new(nodes: &'c mut Vec<Node>, flows: &'c mut Vec<Flow>, step: &'c str, text: &'c str) -> Self {
        let first = nodes.len();
        Self { nodes, flows, step, text, ttl: None, min_group: None, unbounded: Vec::new(), first }
    }

    /// What the columns of a node mean for time.
    pub fn roles(&self, id: NodeId) -> Vec<Option<Role>> {
        flow::roles(id, self.nodes, self.flows)
    }

    /// The place of a column of a node.
    pub fn index(&self, id: NodeId, name: &str) -> usize {
        self.nodes[id].schema.index_of(name).expect("invariant: expressions refer to columns of their node")
    }

    /// What is known of where columns come from.
    pub fn origin(&self) -> Origin<'_> {
        Origin { nodes: self.nodes, flows: self.flows }
    }

    /// Of columns that rows are grouped by, those that tell what they hold. Groups of a source's own column tell which rows have equal
    /// values, as a pseudonym does; groups of what a document computes may be of its own choice.
    pub fn grouped(&self, input: NodeId, columns: &[usize]) -> Vec<FilterUse> {
        let chosen = columns.iter().filter(|&&column| !self.origin().is_own(input, column));
        chosen.map(|&column| FilterUse::compared(input, column, By::Group)).collect()
    }

    pub fn push(&mut self, draft: Draft) -> NodeId {
        let Draft { kind, inputs, fields, mut flow, subject, changes, lowered } = draft;
        flow.trace_rows(&inputs, self.nodes, self.flows);
        if flow.roles.is_empty() {
            flow.roles = vec![None; fields.len()];
        }
        let mut columns: Vec<_> = fields.iter().enumerate().map(|(i, (name, _))| flow.facts(i, name, self.nodes)).collect();
        for column in lowered {
            let class: &mut Classification = &mut columns[column].classification;
            *class = class.lowered();
        }
        flow.subject_lost = subject_lost(self.step, subject, &inputs, self.nodes);
        let id = self.nodes.len();
        let fields: Vec<Field> = fields.into_iter().map(|(name, data_type)| Field::new(name, data_type, true)).collect();
        self.nodes.push(Node {
            name: format!("{}#{}", self.step, id - self.first + 1),
            step: self.step.to_owned(),
            inputs,
            kind,
            schema: Arc::new(Schema::new(fields)),
            columns,
            subject,
            event_time: flow::event_time(&flow.roles),
            changes,
        });
        self.flows.push(flow);
        id
    }

    /// A stateless node of these branches, whose columns have these types.
    pub fn project(&mut self, branches: Vec<Branch>, types: Vec<DataType>) -> Result<NodeId, Vec<Issue>> {
        let width = types.len();
        let mut flow = branches::flow(&branches, width, self.nodes);
        flow.roles = branches::roles(&branches, width, self.nodes, self.flows);
        let subject = branches::surviving(&branches, width, self.nodes, |node| node.subject);
        let names = branches.first().map(|branch| branch.projection.iter().map(|(_, name)| name.clone()).collect::<Vec<_>>());
        let inputs: BTreeSet<NodeId> = branches.iter().map(|branch| branch.input).collect();
        let changes = inputs.iter().any(|&input| self.nodes[input].changes);
        let logical = self.logical(&branches).map_err(|error| issues(error, &[]))?;
        let text = branches.iter().map(|branch| self.select(branch)).collect::<Vec<_>>().join(" UNION ALL ");
        Ok(self.push(Draft {
            kind: NodeKind::Sql(SqlNode { text, logical, branches }),
            inputs: inputs.into_iter().collect(),
            fields: names.unwrap_or_default().into_iter().zip(types).collect(),
            flow,
            subject,
            changes,
            lowered: Vec::new(),
        }))
    }

    /// A branch as SQL, for display.
    fn select(&self, branch: &Branch) -> String {
        let column = |(expr, name): &(datafusion::logical_expr::Expr, String)| match expr {
            datafusion::logical_expr::Expr::Column(column) if column.name == *name => text(expr),
            _ => format!("{} AS {name}", text(expr)),
        };
        let columns: Vec<_> = branch.projection.iter().map(column).collect();
        let filter: Vec<_> = branch.filter.iter().map(text).collect();
        let filter = if filter.is_empty() { String::new() } else { format!(" WHERE {}", filter.join(" AND ")) };
        format!("SELECT {} FROM {}{filter}", columns.join(", "), self.nodes[branch.input].name)
    }

    fn logical(&self, branches: &[Branch]) -> Result<LogicalPlan, DataFusionError> {
        let mut whole: Option<LogicalPlanBuilder> = None;
        for branch in branches {
            let node = &self.nodes[branch.input];
            let source = Arc::new(LogicalTableSource::new(Arc::clone(&node.schema)));
            let mut plan = LogicalPlanBuilder::scan(TableReference::bare(node.name.as_str()), source, None)?;
            for filter in &branch.filter {
                plan = plan.filter(filter.clone())?;
            }
            let plan = plan.project(branch.projection.iter().map(|(expr, name)| expr.clone().alias(name)))?;
            whole = Some(match whole {
                Some(whole) => whole.union(plan.build()?)?,
                None => plan,
            });
        }
        whole.map_or_else(|| LogicalPlanBuilder::empty(false).build(), LogicalPlanBuilder::build)
    }

    /// Gives the last node the step's name and its columns their final names. A scan in it keeps its own names.
    pub fn finish(&mut self, names: &[String]) -> NodeId {
        let id = self.nodes.len() - 1;
        let node = &mut self.nodes[id];
        node.name = self.step.to_owned();
        let renamed = node.schema.fields().iter().zip(names);
        node.schema =
            Arc::new(Schema::new(renamed.map(|(field, name)| field.as_ref().clone().with_name(name)).collect::<Vec<_>>()));
        for (facts, name) in node.columns.iter_mut().zip(names) {
            facts.name = name.clone();
        }
        if let NodeKind::Sql(sql) = &mut node.kind {
            sql.text = self.text.to_owned();
        }
        id
    }
}
