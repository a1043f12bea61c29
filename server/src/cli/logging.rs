//! Where log lines go: stderr, filtered by `WEIR_LOG`, as text or (`WEIR_LOG_FORMAT=json`) as JSON.

use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Starts logging. A server tells what it does; a command only warns.
pub fn start(server: bool) {
    let usual = if server { "info,apalis=warn,sqlx=warn,sea_orm=warn,sea_orm_migration=warn" } else { "warn" };
    let filter = EnvFilter::try_from_env("WEIR_LOG").unwrap_or_else(|_| EnvFilter::new(usual));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(server);
    let json = std::env::var("WEIR_LOG_FORMAT").is_ok_and(|format| format == "json");
    let started = if json {
        lines.json().flatten_event(true).try_init()
    } else {
        lines.with_ansi(std::io::stderr().is_terminal()).try_init()
    };
    if started.is_ok() {
        std::panic::set_hook(Box::new(report_panic));
    }
}

/// Says where a panic happened. Not what its message was: that may hold a value of somebody's data.
fn report_panic(info: &std::panic::PanicHookInfo<'_>) {
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(place, "internal error (panic); set WEIR_PANIC_MESSAGE=1 to see its message");
    if std::env::var_os("WEIR_PANIC_MESSAGE").is_some() {
        super::output::note(info);
    }
}
