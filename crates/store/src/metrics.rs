//! How fast a run's nodes are, for the console. Recent only: old rates are pruned, evidence keeps the counts.

use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use weir_api::RunId;

use crate::{
    db::{Db, Tx},
    entity::node_metrics,
    error::Result,
    stored::{signed, unsigned},
    time::{at, micros},
};

/// One node at one moment. Counts are totals since the run's first start; rates are rows a second since the moment before.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeMetrics {
    pub node: String,
    pub rows_in: u64,
    pub rows_out: u64,
    pub rejects: u64,
    pub rows_in_per_second: f64,
    pub rows_out_per_second: f64,
    pub rejects_per_second: f64,
    /// What is known to wait at a source: rows or bytes.
    pub lag: Option<u64>,
}

/// All nodes of a run at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Moment {
    pub at: DateTime<Utc>,
    pub nodes: Vec<NodeMetrics>,
}

/// Keeps one moment of a run. The same moment again changes nothing.
pub async fn record(tx: &Tx, run: RunId, moment: &Moment) -> Result<()> {
    if moment.nodes.is_empty() {
        return Ok(());
    }
    let rows = moment.nodes.iter().map(|node| {
        node_metrics::ActiveModel::from(node_metrics::Model {
            run_id: run.0,
            at: micros(moment.at),
            node: node.node.clone(),
            rows_in: signed(node.rows_in),
            rows_out: signed(node.rows_out),
            rejects: signed(node.rejects),
            rows_in_per_second: node.rows_in_per_second,
            rows_out_per_second: node.rows_out_per_second,
            rejects_per_second: node.rejects_per_second,
            lag: node.lag.map(signed),
        })
    });
    let keep_first = sea_orm::sea_query::OnConflict::columns([
        node_metrics::Column::RunId,
        node_metrics::Column::At,
        node_metrics::Column::Node,
    ])
    .do_nothing()
    .to_owned();
    node_metrics::Entity::insert_many(rows).on_conflict(keep_first).exec_without_returning(tx.conn()).await?;
    Ok(())
}

/// The newest moment of a run.
pub async fn latest(db: &impl Db, run: RunId) -> Result<Option<Moment>> {
    let newest = node_metrics::Entity::find()
        .filter(node_metrics::Column::RunId.eq(run.0))
        .order_by_desc(node_metrics::Column::At)
        .limit(1)
        .one(db.conn())
        .await?;
    let Some(newest) = newest else {
        return Ok(None);
    };
    Ok(since(db, run, at(newest.at)).await?.pop())
}

/// The moments of a run at or after a time, oldest first.
pub async fn since(db: &impl Db, run: RunId, from: DateTime<Utc>) -> Result<Vec<Moment>> {
    let rows = node_metrics::Entity::find()
        .filter(node_metrics::Column::RunId.eq(run.0))
        .filter(node_metrics::Column::At.gte(micros(from)))
        .order_by_asc(node_metrics::Column::At)
        .order_by_asc(node_metrics::Column::Node)
        .all(db.conn())
        .await?;
    let mut moments: Vec<Moment> = Vec::new();
    for row in rows {
        let row_at = at(row.at);
        let node = metrics(row)?;
        match moments.last_mut() {
            Some(last) if last.at == row_at => last.nodes.push(node),
            _ => moments.push(Moment { at: row_at, nodes: vec![node] }),
        }
    }
    Ok(moments)
}

/// Forgets what is older. Returns how many rows went.
pub async fn prune(tx: &Tx, before: DateTime<Utc>) -> Result<u64> {
    let old = node_metrics::Entity::delete_many().filter(node_metrics::Column::At.lt(micros(before)));
    Ok(old.exec(tx.conn()).await?.rows_affected)
}

fn metrics(row: node_metrics::Model) -> Result<NodeMetrics> {
    Ok(NodeMetrics {
        node: row.node,
        rows_in: unsigned("rows in", row.rows_in)?,
        rows_out: unsigned("rows out", row.rows_out)?,
        rejects: unsigned("rejects", row.rejects)?,
        rows_in_per_second: row.rows_in_per_second,
        rows_out_per_second: row.rows_out_per_second,
        rejects_per_second: row.rejects_per_second,
        lag: row.lag.map(|lag| unsigned("lag", lag)).transpose()?,
    })
}
