//! Rows that are not yet a node's: arms of a union, each a node with filters and values to be computed.

use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::{
    common::{
        Column, DFSchema, ScalarValue,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    logical_expr::{Expr, ExprSchemable, cast, simplify::SimplifyContext, utils::split_conjunction_owned},
    optimizer::simplify_expressions::ExprSimplifier,
    sql::sqlparser::tokenizer::Span,
};

use super::{
    super::{
        Branch,
        chain::Chain,
        error::{Issue, issues},
        lower::{allowed, check_size, substitute},
        text,
    },
    rank::PendingRank,
    travelling, unique,
    window::PendingWindow,
};
use crate::plan::NodeId;

#[derive(Clone, Debug)]
pub(super) struct Relation {
    pub arms: Vec<Arm>,
}

#[derive(Clone, Debug)]
pub(super) struct Arm {
    pub node: NodeId,
    /// What has to happen to the node's rows first.
    pub pending: Option<Pending>,
    /// Over the node's columns, and those that what is pending adds.
    pub filter: Vec<Expr>,
    /// The same, one for each column of the relation.
    pub columns: Vec<Expr>,
}

#[derive(Clone, Debug)]
pub(super) enum Pending {
    Window(PendingWindow),
    Rank(PendingRank),
    /// Reference data: only to be looked up.
    Table,
    /// The versions of a table, for a join.
    Version {
        table: bool,
        time: Option<String>,
        span: Span,
    },
}

impl Relation {
    /// All columns of a node.
    pub fn of(node: NodeId, pending: Option<Pending>, schema: &SchemaRef) -> Self {
        let columns = schema.fields().iter().map(|field| Expr::Column(Column::new_unqualified(field.name()))).collect();
        Self { arms: vec![Arm { node, pending, filter: Vec::new(), columns }] }
    }

    /// Some of the columns, by the names that `schema` has for them.
    pub fn select(mut self, names: &[&str], schema: &SchemaRef) -> Self {
        for arm in &mut self.arms {
            let of = |name: &&str| schema.index_of(name).expect("invariant: a scan has columns of its table");
            arm.columns = names.iter().map(|name| arm.columns[of(name)].clone()).collect();
        }
        self
    }

    pub fn filter(&mut self, predicate: &Expr, types: &DFSchema) -> Result<(), Vec<Issue>> {
        for arm in &mut self.arms {
            let predicate = substitute(predicate, types, &arm.columns)?;
            check_size(std::slice::from_ref(&predicate))?;
            for conjunct in split_conjunction_owned(predicate) {
                if let Some(Pending::Rank(rank)) = &mut arm.pending
                    && rank.limited_by(&conjunct)?
                {
                    continue;
                }
                arm.filter.push(conjunct);
            }
        }
        Ok(())
    }
}

/// Whether an expression refers to any of these columns.
pub(super) fn uses(expr: &Expr, names: &[String]) -> bool {
    let mut found = false;
    let _ = expr.apply(|node| {
        found |= matches!(node, Expr::Column(column) if names.contains(&column.name));
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    found
}

/// The expression as short as it gets: what casts there and back is left alone.
pub(super) fn simplified(expr: Expr, schema: &SchemaRef) -> Result<Expr, Vec<Issue>> {
    allowed(&expr)?;
    let types = Arc::new(DFSchema::try_from(schema.as_ref().clone()).map_err(|error| issues(error, &[]))?);
    let expr = ExprSimplifier::new(SimplifyContext::builder().with_schema(Arc::clone(&types)).build())
        .simplify(expr)
        .map_err(|error| issues(error, &[]))?;
    let expr = match expr {
        Expr::Alias(alias) => *alias.expr,
        other => other,
    };
    let there_and_back = expr.transform_up(|expr| {
        Ok(match &expr {
            Expr::Cast(outer) => match outer.expr.as_ref() {
                Expr::Cast(inner)
                    if is_other_form(inner.field.data_type()) && inner.expr.get_type(&types)? == *outer.field.data_type() =>
                {
                    Transformed::yes(inner.expr.as_ref().clone())
                }
                _ => Transformed::no(expr),
            },
            _ => Transformed::no(expr),
        })
    });
    there_and_back.map(|expr| expr.data).map_err(|error| issues(error, &[]))
}

/// Types that hold the same values as one that documents can name.
fn is_other_form(data_type: &DataType) -> bool {
    matches!(data_type, DataType::LargeUtf8 | DataType::Utf8View | DataType::LargeBinary | DataType::BinaryView)
}

/// A stateless node with these values, named after what they are.
pub(super) fn project(
    chain: &mut Chain<'_>,
    relation: &Relation,
    rows: Vec<Vec<Expr>>,
) -> Result<(NodeId, Vec<usize>), Vec<Issue>> {
    let width = rows.first().map_or(0, Vec::len);
    // Values that are asked for twice are computed once.
    let mut places: Vec<usize> = Vec::new();
    let mut kept: Vec<usize> = Vec::new();
    for position in 0..width {
        let known = kept.iter().position(|&other| rows.iter().all(|row| row[other] == row[position]));
        places.push(known.unwrap_or_else(|| {
            kept.push(position);
            kept.len() - 1
        }));
    }
    let name = |position: usize| match rows.first().map(|row| &row[position]) {
        Some(Expr::Column(column)) => column.name.clone(),
        Some(expr) => text(expr).replace('"', ""),
        None => String::new(),
    };
    let names = unique(kept.iter().map(|&position| name(position)));
    let rows = rows.into_iter().map(|row| kept.iter().map(|&position| row[position].clone()).collect()).collect();
    Ok((project_named(chain, relation, rows, &names)?, places))
}

/// A stateless node with these values under these names.
pub(super) fn project_named(
    chain: &mut Chain<'_>,
    relation: &Relation,
    rows: Vec<Vec<Expr>>,
    names: &[String],
) -> Result<NodeId, Vec<Issue>> {
    let mut types = Vec::new();
    let mut branches = Vec::new();
    for (arm, row) in relation.arms.iter().zip(rows) {
        let schema = Arc::clone(&chain.nodes[arm.node].schema);
        let known = DFSchema::try_from(schema.as_ref().clone()).map_err(|error| issues(error, &[]))?;
        let mut projection = Vec::new();
        for (position, (expr, name)) in row.into_iter().zip(names).enumerate() {
            let expr = simplified(expr, &schema)?;
            let own = expr.get_type(&known).map_err(|error| issues(error, &[]))?;
            let wanted = match types.get(position) {
                Some(wanted) => wanted,
                None => {
                    types.push(travelling(&own, &format!("`{name}`"))?);
                    &types[position]
                }
            };
            let expr = if own == *wanted { expr } else { cast(expr, wanted.clone()) };
            projection.push((expr, name.clone()));
        }
        let mut filter = Vec::new();
        for expr in &arm.filter {
            let expr = simplified(expr.clone(), &schema)?;
            if expr != Expr::Literal(ScalarValue::Boolean(Some(true)), None) {
                filter.push(expr);
            }
        }
        branches.push(Branch { input: arm.node, filter, projection });
    }
    chain.project(branches, types)
}
