//! Writing to a terminal or a pipe: lines, JSON, aligned tables; a reader that went away ends the program quietly.

use serde::Serialize;
use std::fmt::Display;
use std::io::{ErrorKind, IsTerminal, Write};

/// One line on stdout.
pub fn line(text: impl Display) {
    write_out(&format!("{text}\n"));
}

/// One JSON value on stdout, on one line.
pub fn json(value: &impl Serialize) -> anyhow::Result<()> {
    line(serde_json::to_string(value)?);
    Ok(())
}

/// Raw bytes on stdout.
pub fn bytes(bytes: &[u8]) {
    finish(std::io::stdout().lock().write_all(bytes));
}

/// One line of explanation on stderr.
pub fn note(text: impl Display) {
    // A closed stderr leaves nobody to tell.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// `error: ...` on stderr.
pub fn error(text: &str) {
    note(format_args!("error: {text}"));
}

/// Text on stdout for whoever listens: for what goes on without a reader, too.
pub fn announce(text: &str) {
    let mut out = std::io::stdout().lock();
    // Nobody is left to tell.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Rows under their headings, columns aligned, on stdout.
pub fn table(headings: &[&str], rows: &[Vec<String>]) {
    write_out(&table_text(headings, rows));
}

/// Rows under their headings, columns aligned, each on a line.
pub fn table_text(headings: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([headings[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let render = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> = cells.zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    let mut text = render(&mut headings.iter().copied()) + "\n";
    for row in rows {
        text.push_str(&render(&mut row.iter().map(String::as_str)));
        text.push('\n');
    }
    text
}

/// Whether a person is watching stderr.
#[must_use]
pub fn is_watched() -> bool {
    std::io::stderr().is_terminal()
}

fn write_out(text: &str) {
    finish(std::io::stdout().lock().write_all(text.as_bytes()));
}

/// `weir ... | head` is no error of ours; any other failure to write is.
fn finish(written: std::io::Result<()>) {
    let Err(failure) = written else { return };
    if failure.kind() == ErrorKind::BrokenPipe {
        std::process::exit(0);
    }
    error(&format!("cannot write to standard output: {failure}"));
    std::process::exit(1);
}
