//! What every handler shares. Cheap to clone.

use super::console;
use super::public::Public;
use axum::extract::FromRef;
use leptos::config::LeptosOptions;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use weir_service::Services;

/// The largest ingest body by default, in bytes.
pub const DEFAULT_INGEST_LIMIT: usize = 16 << 20;

/// Services, addresses and the signal to stop.
#[derive(Clone)]
pub struct AppState(Arc<Shared>);

struct Shared {
    services: Arc<Services>,
    public: Public,
    leptos: LeptosOptions,
    ingest_limit: usize,
    stopping: CancellationToken,
}

impl AppState {
    /// `stopping` is cancelled when the server is asked to end; open event streams end with it.
    #[must_use]
    pub fn new(services: Arc<Services>, public: Public, ingest_limit: usize, stopping: CancellationToken) -> Self {
        Self(Arc::new(Shared { services, public, leptos: console::options(), ingest_limit, stopping }))
    }

    #[must_use]
    pub fn services(&self) -> &Arc<Services> {
        &self.0.services
    }

    #[must_use]
    pub fn public(&self) -> &Public {
        &self.0.public
    }

    #[must_use]
    pub fn leptos(&self) -> &LeptosOptions {
        &self.0.leptos
    }

    /// The most bytes of one ingest request.
    #[must_use]
    pub fn ingest_limit(&self) -> usize {
        self.0.ingest_limit
    }

    /// Cancelled when the server is asked to end.
    #[must_use]
    pub fn stopping(&self) -> CancellationToken {
        self.0.stopping.clone()
    }
}

impl FromRef<AppState> for LeptosOptions {
    fn from_ref(state: &AppState) -> Self {
        state.leptos().clone()
    }
}
