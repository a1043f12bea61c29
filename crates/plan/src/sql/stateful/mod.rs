//! From an analysed plan with state to a chain of nodes.
//!
//! ```text
//! LogicalPlan --lower, bottom up--> Relation (arms over nodes, what is above them composed)
//!                                      |  an operator needs columns: `input` makes a stateless node where they are not plain
//!                                      v
//!                                   Chain (nodes)
//! ```
//!
//! Windows and ranks are put off: a window is part of the aggregate behind it where it can be, and how many rows a rank keeps is
//! said by the filter behind it.

mod aggregate;
mod join;
mod rank;
mod recognize;
mod relation;
mod window;

use std::{collections::BTreeSet, sync::Arc};

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::{
    common::{Column, DFSchema},
    logical_expr::{Expr, ExprSchemable, LogicalPlan, cast},
};

use super::{
    chain::Chain,
    error::Issue,
    lower::{check_size, substitute, unqualified},
    tables::{Entry, Tables},
};
use crate::{
    plan::{NodeId, NodeKind},
    schema,
};
use relation::{Arm, Pending, Relation};

/// Lowers a query to nodes of the chain; answers the last one.
pub(super) fn lower(logical: &LogicalPlan, tables: &Tables, chain: &mut Chain<'_>) -> Result<NodeId, Vec<Issue>> {
    let before = chain.nodes.len();
    let mut lowering = Lowering { tables, chain, aggregates: 0 };
    let relation = lowering.lower(logical)?;
    let names: Vec<String> = logical.schema().fields().iter().map(|field| field.name().clone()).collect();
    lowering.finish(relation, logical, before, &names)?;
    if lowering.chain.min_group.is_some() && lowering.aggregates != 1 {
        let message = format!("min_group is for queries with one GROUP BY; this one has {}", lowering.aggregates);
        let help = "let the grouping whose rows are to be counted be a step of its own";
        return Err(vec![Issue::new("min-group", message).help(help)]);
    }
    Ok(lowering.chain.finish(&names))
}

struct Lowering<'l, 'c> {
    tables: &'l Tables,
    chain: &'l mut Chain<'c>,
    /// How many groupings there are so far.
    aggregates: usize,
}

fn unsupported(what: &str) -> Vec<Issue> {
    vec![Issue::new("sql-unsupported", format!("{what} is not supported"))]
}

impl Lowering<'_, '_> {
    fn lower(&mut self, logical: &LogicalPlan) -> Result<Relation, Vec<Issue>> {
        match logical {
            LogicalPlan::TableScan(scan) => {
                let mut relation = self.table(scan.table_name.table())?;
                let (_, schema) = &self.tables.entries[scan.table_name.table()];
                let types = relation_types(schema)?;
                for filter in &scan.filters {
                    relation.filter(&unqualified(filter.clone()), &types)?;
                }
                let names: Vec<&str> = scan.projected_schema.fields().iter().map(|field| field.name().as_str()).collect();
                Ok(relation.select(&names, schema))
            }
            LogicalPlan::SubqueryAlias(alias) => self.lower(&alias.input),
            LogicalPlan::Filter(filter) => {
                let mut relation = self.lower(&filter.input)?;
                relation.filter(&filter.predicate, filter.input.schema())?;
                Ok(relation)
            }
            LogicalPlan::Projection(projection) => {
                let mut relation = self.lower(&projection.input)?;
                for arm in &mut relation.arms {
                    let columns = projection.expr.iter().map(|expr| substitute(expr, projection.input.schema(), &arm.columns));
                    arm.columns = columns.collect::<Result<_, _>>()?;
                    check_size(&arm.columns)?;
                }
                Ok(relation)
            }
            LogicalPlan::Union(union) => {
                let mut arms = Vec::new();
                for input in &union.inputs {
                    let relation = self.lower(input)?;
                    for mut arm in relation.arms {
                        for (column, (from, to)) in
                            arm.columns.iter_mut().zip(input.schema().fields().iter().zip(union.schema.fields()))
                        {
                            if from.data_type() != to.data_type() {
                                *column = cast(column.clone(), to.data_type().clone());
                            }
                        }
                        arms.push(arm);
                    }
                }
                Ok(Relation { arms })
            }
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate),
            LogicalPlan::Join(join) => self.join(join),
            LogicalPlan::Window(window) => self.rank(window),
            other => Err(unsupported(&other.display().to_string())),
        }
    }

    fn table(&mut self, name: &str) -> Result<Relation, Vec<Issue>> {
        let tables = self.tables;
        let Some((entry, schema)) = tables.entries.get(name) else {
            return Err(unsupported("this scan"));
        };
        match entry {
            Entry::Node(node) => {
                let pending = matches!(self.chain.nodes[*node].kind, NodeKind::Table(_)).then_some(Pending::Table);
                Ok(Relation::of(*node, pending, schema))
            }
            Entry::Query(logical) => {
                let mut relation = self.lower(logical)?;
                for arm in &mut relation.arms {
                    for (column, (from, to)) in arm.columns.iter_mut().zip(logical.schema().fields().iter().zip(schema.fields()))
                    {
                        if from.data_type() != to.data_type() {
                            *column = cast(column.clone(), to.data_type().clone());
                        }
                    }
                }
                Ok(relation)
            }
            Entry::Window(window) => self.window(window),
            Entry::Version { input, processing, span } => {
                let relation = self.table(input)?;
                self.version(relation, schema, *processing, *span)
            }
            Entry::Match(spec) => self.recognize(spec, schema),
        }
    }

    /// Makes every arm read a node that is there.
    fn settle(&mut self, mut relation: Relation) -> Result<Relation, Vec<Issue>> {
        let mut arms = Vec::new();
        for arm in relation.arms.drain(..) {
            arms.push(self.settled(arm)?);
        }
        Ok(Relation { arms })
    }

    fn settled(&mut self, mut arm: Arm) -> Result<Arm, Vec<Issue>> {
        match arm.pending.take() {
            None => Ok(arm),
            Some(Pending::Window(window)) => self.settle_window(arm, &window),
            Some(Pending::Rank(rank)) => self.settle_rank(arm, &rank),
            Some(Pending::Table) => {
                let name = &self.chain.nodes[arm.node].name;
                let message = format!("`{name}` is reference data; rows can only be looked up in it");
                let help = format!("join it: FROM rows AS r JOIN {name} ON r.key = {name}.key");
                Err(vec![Issue::new("sql-table", message).help(help)])
            }
            Some(Pending::Version { span, .. }) => {
                let message = "FOR SYSTEM_TIME AS OF belongs to the right side of a join";
                let help = "write a JOIN b FOR SYSTEM_TIME AS OF a.time ON a.key = b.key";
                Err(vec![Issue::new("sql-unsupported", message).help(help).at(span)])
            }
        }
    }

    /// One arm over one node, for operators that need to know its time.
    fn single(&mut self, relation: Relation, types: &DFSchema) -> Result<Arm, Vec<Issue>> {
        let mut relation = self.settle(relation)?;
        if let [_] = relation.arms.as_slice() {
            return Ok(relation.arms.remove(0));
        }
        let columns: Vec<Expr> = types.iter().map(|(qualifier, field)| Expr::Column(Column::from((qualifier, field)))).collect();
        let (node, places) = self.input(&relation, types, &columns, true)?;
        let schema = Arc::clone(&self.chain.nodes[node].schema);
        let columns = places.iter().zip(types.fields()).map(|(&place, field)| read(&schema, place, field.data_type())).collect();
        Ok(Arm { node, pending: None, filter: Vec::new(), columns })
    }

    /// A node that has these values of a settled relation as columns, and their places. What is there as it is, is used as it is;
    /// with `prune`, columns that are not asked for are left behind.
    fn input(
        &mut self,
        relation: &Relation,
        types: &DFSchema,
        wanted: &[Expr],
        prune: bool,
    ) -> Result<(NodeId, Vec<usize>), Vec<Issue>> {
        let mut rows: Vec<Vec<Expr>> = Vec::new();
        for arm in &relation.arms {
            let of_arm = wanted.iter().map(|expr| substitute(expr, types, &arm.columns));
            rows.push(of_arm.collect::<Result<_, _>>()?);
        }
        self.values(relation, rows, prune)
    }

    /// The same of values over the arms' nodes, one list an arm.
    fn values(&mut self, relation: &Relation, mut rows: Vec<Vec<Expr>>, prune: bool) -> Result<(NodeId, Vec<usize>), Vec<Issue>> {
        for (arm, row) in relation.arms.iter().zip(&mut rows) {
            for expr in row {
                *expr = relation::simplified(expr.clone(), &self.chain.nodes[arm.node].schema)?;
            }
        }
        if let ([arm], [row]) = (relation.arms.as_slice(), rows.as_slice())
            && arm.filter.is_empty()
        {
            let plain: Option<Vec<usize>> = row
                .iter()
                .map(|expr| match expr {
                    Expr::Column(column) => Some(self.chain.index(arm.node, &column.name)),
                    _ => None,
                })
                .collect();
            if let Some(plain) = plain {
                let used: BTreeSet<usize> = plain.iter().copied().collect();
                if !prune || used.len() == self.chain.nodes[arm.node].columns.len() {
                    return Ok((arm.node, plain));
                }
            }
        }
        relation::project(self.chain, relation, rows)
    }

    /// The step's last node: nothing more where the last one has the result's columns in their order.
    fn finish(&mut self, relation: Relation, logical: &LogicalPlan, first: NodeId, names: &[String]) -> Result<(), Vec<Issue>> {
        let relation = self.settle(relation)?;
        let types = logical.schema();
        let mut rows = Vec::new();
        for arm in &relation.arms {
            let schema = &self.chain.nodes[arm.node].schema;
            let known = DFSchema::try_from(schema.as_ref().clone()).map_err(|error| super::error::issues(error, &[]))?;
            let mut row = Vec::new();
            for (expr, field) in arm.columns.iter().zip(types.fields()) {
                let expr = relation::simplified(expr.clone(), schema)?;
                row.push(expr.cast_to(field.data_type(), &known).map_err(|error| super::error::issues(error, &[]))?);
            }
            rows.push(row);
        }
        if let ([arm], [row]) = (relation.arms.as_slice(), rows.as_slice()) {
            let schema = &self.chain.nodes[arm.node].schema;
            let same = |(i, expr): (usize, &Expr)| matches!(expr, Expr::Column(column) if column.name == *schema.field(i).name());
            let is_last = arm.node + 1 == self.chain.nodes.len() && arm.node >= first;
            if is_last && arm.filter.is_empty() && row.len() == schema.fields().len() && row.iter().enumerate().all(same) {
                return Ok(());
            }
        }
        relation::project_named(self.chain, &relation, rows, names).map(|_| ())
    }
}

/// A column of a node as a value of this type.
fn read(schema: &SchemaRef, place: usize, data_type: &DataType) -> Expr {
    let field = schema.field(place);
    let column = Expr::Column(Column::new_unqualified(field.name()));
    if field.data_type() == data_type { column } else { cast(column, data_type.clone()) }
}

/// Names that are all different: the second `price` becomes `price_2`.
fn unique(names: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut taken: BTreeSet<String> = BTreeSet::new();
    let mut found = Vec::new();
    for name in names {
        let mut candidate = name.clone();
        let mut number = 2;
        while !taken.insert(candidate.clone()) {
            candidate = format!("{name}_{number}");
            number += 1;
        }
        found.push(candidate);
    }
    found
}

/// The type in which a value travels between nodes.
fn travelling(data_type: &DataType, what: &str) -> Result<DataType, Vec<Issue>> {
    schema::representable(data_type).ok_or_else(|| {
        let message = format!("{what} has the type {data_type}, which no document can name");
        vec![Issue::new("sql-type", message).help("cast it, for example to string, int64, double or timestamp")]
    })
}

/// The columns of a table, as expressions name them.
fn relation_types(schema: &SchemaRef) -> Result<DFSchema, Vec<Issue>> {
    DFSchema::try_from(schema.as_ref().clone()).map_err(|error| super::error::issues(error, &[]))
}

/// A table by the name that the query has for it: generated ones end in a number.
fn known_as(table: &str) -> &str {
    table.split_once('#').map_or(table, |(name, _)| name)
}
