//! How the project is doing.

use weir_api::Overview;

use crate::{Cx, Result};

/// Counts, recent runs, rates, quarantine and evidence.
pub async fn show(cx: &Cx) -> Result<Overview> {
    let _ = (cx,);
    todo!()
}
