//! Progress on a terminal, silence in a pipe.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar over `total` things, or a counter where the total is unknown; invisible when nobody watches stderr.
#[must_use]
pub fn bar(what: &str, total: Option<u64>) -> ProgressBar {
    let bar = match total {
        Some(total) => ProgressBar::new(total),
        None => ProgressBar::no_length(),
    };
    if !super::output::is_watched() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    let template = match total {
        Some(_) => "{msg} {wide_bar} {human_pos}/{human_len} {eta}",
        None => "{msg} {spinner} {human_pos} {per_sec}",
    };
    bar.set_style(ProgressStyle::with_template(template).expect("invariant: the template is well-formed"));
    bar.set_message(what.to_owned());
    bar
}
