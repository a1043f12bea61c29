//! One query, run and measured in this process.

use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use weir_engine::Control;
use weir_service::{Services, ServicesConfig, bootstrap, operator};
use weir_store::Store;
use weir_vault::MasterKey;
use weir_worker::foreground;

use super::{document::Query, skipped};
use crate::memory;

pub fn measure(query: &Query, events: u64, event_rate: u64, parallelism: usize) -> Result<Value> {
    let work = tempfile::tempdir().context("cannot make a temporary folder")?;
    let document = query.sized(work.path(), events, event_rate, parallelism)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let data = work.path().join("data");
        let store = Store::open(&data, chrono::Utc::now()).await?;
        let (master_key, _) = MasterKey::load(&data.join("master.key"))?;
        let config = ServicesConfig::new(store, master_key, &data, weir_connectors::generator::columns, weir_worker::window_sum);
        let services = Services::open(config).await?;
        bootstrap::first_start(&services).await?;
        let cx = operator::context(&services).await?.in_project(&"main".parse().map_err(|e| anyhow::anyhow!("{e}"))?).await?;

        memory::reset_peak();
        let began = Instant::now();
        let checked = foreground::check_text(document, work.path().to_path_buf(), &weir_worker::FileContracts::default());
        if checked.plan.is_none() {
            let why: Vec<_> = checked.diagnostics.iter().filter(|d| d.is_error()).map(|d| d.message.clone()).collect();
            return Ok(skipped(&query.name, &why.join("; ")));
        }
        let outcome = foreground::run(&cx, &data, checked, &Control::default()).await?;
        let seconds = began.elapsed().as_secs_f64();
        let summary = serde_json::to_value(&outcome.summary)?;
        let sum = |part: &str, count: &str| -> u64 {
            summary[part].as_object().into_iter().flat_map(|nodes| nodes.values()).filter_map(|node| node[count].as_u64()).sum()
        };
        let read = sum("sources", "in");
        Ok(json!({
            "bench": "nexmark",
            "query": query.name,
            "events_per_second": (read as f64 / seconds).round(),
            "peak_rss_mb": memory::peak_rss_mb().round(),
            "events_read": read,
            "rows_written": sum("sinks", "written"),
            "seconds": (seconds * 1e3).round() / 1e3,
            "parallelism": parallelism,
            "checkpoints": outcome.summary.checkpoints,
        }))
    })
}
