//! How a long-lived command ends: the first SIGTERM or Ctrl-C asks it to finish its work, a second ends it at once.

use tokio_util::sync::CancellationToken;

/// Cancelled at the first signal. A second one ends the process with the code shells expect.
#[must_use]
pub fn on_signal() -> CancellationToken {
    let token = CancellationToken::new();
    let asked = token.clone();
    tokio::spawn(async move {
        signal().await;
        tracing::info!("stopping; once more to stop at once");
        asked.cancel();
        let code = signal().await;
        tracing::warn!("stopped at once");
        std::process::exit(code);
    });
    token
}

/// Waits for a signal that ends the process, and returns 128 + its number.
#[cfg(unix)]
async fn signal() -> i32 {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).expect("invariant: the runtime handles signals");
    tokio::select! {
        _ = tokio::signal::ctrl_c() => 130,
        _ = terminate.recv() => 143,
    }
}

#[cfg(not(unix))]
async fn signal() -> i32 {
    // Without a way to hear of it, wait for ever rather than stop at random.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
    130
}
