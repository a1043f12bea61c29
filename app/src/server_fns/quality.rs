//! Quality over time: the rules of a pipeline with what they measured.

use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use weir_api::{QualityResolution, QualityRule, QualitySeries};

use crate::fault::Fault;

#[cfg(feature = "ssr")]
use crate::request;

/// A rule with its series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RuleSeries {
    pub rule: QualityRule,
    pub series: QualitySeries,
}

/// All rules of a pipeline, window by window or by hours or days. `hours` before the end of each rule's newest window; without, the newest
/// points.
#[server(name = LoadQuality, prefix = "/fn", endpoint = "quality/series", input = leptos::server_fn::codec::GetUrl)]
pub async fn quality(
    project: String,
    pipeline: String,
    hours: Option<u32>,
    resolution: QualityResolution,
) -> Result<Vec<RuleSeries>, Fault> {
    let cx = request::cx_in(&project).await?;
    let pipeline = request::slug(&pipeline, "pipeline")?;
    let recent = weir_service::quality::recent(&cx, &pipeline, hours, resolution).await;
    let recent = recent.map_err(|error| request::refuse(&cx, error))?;
    Ok(recent.into_iter().map(|(rule, series)| RuleSeries { rule, series }).collect())
}
