//! The document editor: a textarea over its own coloured text, with line numbers and findings at their lines.

mod findings;
pub mod highlight;

pub use findings::{Findings, summary};

use leptos::{ev::KeyboardEvent, html, prelude::*};
use web_sys::HtmlTextAreaElement;
use weir_api::{Diagnostic, Severity};

use crate::markup;

/// The worst finding of a line (counted from 1), as a class.
fn class_of(findings: &[Diagnostic], line: u32) -> Option<&'static str> {
    let here = findings.iter().filter(|finding| finding.span.is_some_and(|span| span.start.line == line));
    here.map(|finding| finding.severity).min().map(|severity| match severity {
        Severity::Error => "is-error",
        Severity::Warning => "is-warning",
    })
}

/// Text that can only be read.
#[component]
pub fn CodeView(text: String, #[prop(into)] label: String) -> impl IntoView {
    view! {
        <div class="code-view" role="region" tabindex="0" aria-label=label>
            <code inner_html=highlight::to_html(&text, |_| None)></code>
        </div>
    }
}

/// An editor that is a form field of the given name. Tab inserts two spaces; Escape gives Tab back to the keyboard's walk
/// through the page.
#[component]
pub fn CodeEditor(
    name: &'static str,
    #[prop(into)] label: String,
    text: RwSignal<String>,
    findings: Signal<Vec<Diagnostic>>,
    area: NodeRef<html::Textarea>,
) -> impl IntoView {
    let coloured = move || findings.with(|findings| text.with(|text| highlight::to_html(text, |line| class_of(findings, line))));
    let lines = move || text.with(|text| text.split('\n').count());
    let at_start = text.with_untracked(|text| markup::in_textarea(text));
    view! {
        <div class="editor">
            <div class="editor__scroll">
                <ol class="editor__gutter" aria-hidden="true">
                    {move || findings.with(|findings| {
                        (1..=lines() as u32)
                            .map(|line| view! { <li id=format!("L{line}") class=class_of(findings, line).unwrap_or("")>{line}</li> })
                            .collect_view()
                    })}
                </ol>
                <div class="editor__stack">
                    <pre class="editor__code" aria-hidden="true"><code inner_html=coloured></code></pre>
                    <textarea
                        node_ref=area
                        class="editor__input"
                        name=name
                        aria-label=label
                        aria-describedby="editor-keys"
                        spellcheck="false"
                        autocapitalize="off"
                        autocomplete="off"
                        wrap="off"
                        required
                        prop:value=move || text.get()
                        on:input:target=move |event| text.set(event.target().value())
                        on:keydown=move |event| on_key(&event, text)
                    >
                        {at_start}
                    </textarea>
                </div>
            </div>
            <div class="editor__foot">
                <span id="editor-keys">"Tab indents, Shift+Tab outdents. Press Escape, then Tab, to leave the editor."</span>
                <span>{move || crate::format::plural(lines() as u64, "line", "lines")}</span>
            </div>
        </div>
    }
}

fn on_key(event: &KeyboardEvent, text: RwSignal<String>) {
    let area: HtmlTextAreaElement = event_target(event);
    match event.key().as_str() {
        "Escape" => {
            let _ = area.set_attribute("data-free-tab", "true");
        }
        "Tab" if area.get_attribute("data-free-tab").is_none() => {
            event.prevent_default();
            let (value, start, end) = (area.value(), at(area.selection_start()), at(area.selection_end()));
            let (value, start, end) =
                if event.shift_key() { outdented(&value, start, end) } else { indented(&value, start, end) };
            text.set(value.clone());
            area.set_value(&value);
            let _ = area.set_selection_range(start, end);
        }
        "Tab" | "Shift" => {}
        _ => {
            let _ = area.remove_attribute("data-free-tab");
        }
    }
}

fn at(position: Result<Option<u32>, wasm_bindgen::JsValue>) -> u32 {
    position.ok().flatten().unwrap_or(0)
}

/// Two spaces at the caret, or before each selected line. Positions count UTF-16 units, as the browser does.
fn indented(text: &str, start: u32, end: u32) -> (String, u32, u32) {
    let units: Vec<u16> = text.encode_utf16().collect();
    let (from, to) = (start as usize, end as usize);
    if !units[from..to].contains(&u16::from(b'\n')) {
        let out = [&units[..from], &[32, 32], &units[to..]].concat();
        return (String::from_utf16_lossy(&out), start + 2, start + 2);
    }
    let (first, mut out, mut added) = (line_start(&units, from), Vec::new(), 0);
    for (i, &unit) in units.iter().enumerate() {
        if (i == first) || (i > first && i < to && units[i - 1] == u16::from(b'\n')) {
            out.extend([32, 32]);
            added += 2;
        }
        out.push(unit);
    }
    (String::from_utf16_lossy(&out), start + 2, end + added)
}

/// Up to two spaces fewer before each selected line.
fn outdented(text: &str, start: u32, end: u32) -> (String, u32, u32) {
    let units: Vec<u16> = text.encode_utf16().collect();
    let (from, to) = (start as usize, end as usize);
    let first = line_start(&units, from);
    let (mut out, mut before_start, mut before_end, mut allowance) = (Vec::new(), 0, 0, 0);
    for (i, &unit) in units.iter().enumerate() {
        let begins = i == first || (i > first && i < to && units[i - 1] == u16::from(b'\n'));
        if begins {
            allowance = 2;
        }
        if allowance > 0 && unit == 32 {
            allowance -= 1;
            before_start += u32::from(i < from);
            before_end += u32::from(i < to);
            continue;
        }
        allowance = 0;
        out.push(unit);
    }
    (String::from_utf16_lossy(&out), start - before_start, end - before_end)
}

fn line_start(units: &[u16], at: usize) -> usize {
    units[..at].iter().rposition(|&unit| unit == u16::from(b'\n')).map_or(0, |i| i + 1)
}

/// Puts the caret at a place of the document (both count from 1) and shows it.
pub fn jump(area: NodeRef<html::Textarea>, line: u32, column: u32) {
    let Some(area) = area.get_untracked() else {
        return;
    };
    let value = area.value();
    let before: usize = value.split('\n').take(line.saturating_sub(1) as usize).map(|l| l.encode_utf16().count() + 1).sum();
    let here = value.split('\n').nth(line.saturating_sub(1) as usize).unwrap_or("");
    let within = here.chars().take(column.saturating_sub(1) as usize).map(char::len_utf16).sum::<usize>();
    let position = (before + within) as u32;
    let _ = area.focus();
    let _ = area.set_selection_range(position, position);
    if let Some(row) = document().get_element_by_id(&format!("L{line}")) {
        row.scroll_into_view_with_bool(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tab_inserts_two_spaces_at_the_caret() {
        assert_eq!(indented("ab", 1, 1), ("a  b".into(), 3, 3));
        assert_eq!(indented("é\u{1F30A}b", 3, 3), ("é\u{1F30A}  b".into(), 5, 5));
    }

    #[test]
    fn tab_indents_every_selected_line() {
        assert_eq!(indented("a\nb\nc", 0, 3), ("  a\n  b\nc".into(), 2, 7));
    }

    #[test]
    fn shift_tab_takes_back_what_is_there_and_no_more() {
        assert_eq!(outdented("  a\n b\nc", 3, 8), ("a\nb\nc".into(), 1, 5));
        assert_eq!(outdented("a", 1, 1), ("a".into(), 1, 1));
        assert_eq!(outdented("  a", 1, 1), ("a".into(), 0, 0));
    }
}
