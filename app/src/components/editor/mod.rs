//! The document editor: a textarea over its own coloured text, with line numbers and findings at their lines.

mod findings;
pub mod highlight;

pub use findings::{Findings, summary};

use leptos::{ev::KeyboardEvent, html, prelude::*};
use wasm_bindgen::JsCast;
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
            replace(&area, text, &value);
            let _ = area.set_selection_range(start, end);
        }
        "Enter" if !(event.shift_key() || event.ctrl_key() || event.meta_key() || event.alt_key() || event.is_composing()) => {
            event.prevent_default();
            let (value, start, end) = (area.value(), at(area.selection_start()), at(area.selection_end()));
            let (value, caret) = continued(&value, start, end);
            replace(&area, text, &value);
            let _ = area.set_selection_range(caret, caret);
        }
        "Tab" | "Shift" => {}
        _ => {
            let _ = area.remove_attribute("data-free-tab");
        }
    }
}

/// Makes the text of the area this one, as if the part that differs had been typed: the browser can undo it.
fn replace(area: &HtmlTextAreaElement, text: RwSignal<String>, wanted: &str) {
    let (now, new): (Vec<u16>, Vec<u16>) = (area.value().encode_utf16().collect(), wanted.encode_utf16().collect());
    let (start, end_now, end_new) = changed(&now, &new);
    let part = String::from_utf16_lossy(&new[start..end_new]);
    let _ = area.set_selection_range(start as u32, end_now as u32);
    let typed = document().dyn_into::<web_sys::HtmlDocument>().is_ok_and(|page| match part.is_empty() {
        true => page.exec_command("delete").unwrap_or(false),
        false => page.exec_command_with_show_ui_and_value("insertText", false, &part).unwrap_or(false),
    });
    if !typed || area.value() != wanted {
        area.set_value(wanted);
    }
    text.set(wanted.to_owned());
}

/// Where two texts begin to differ, and where in each they end to; no character is cut in two.
fn changed(now: &[u16], new: &[u16]) -> (usize, usize, usize) {
    let low = |unit: &u16| (0xDC00..0xE000).contains(unit);
    let mut start = now.iter().zip(new).take_while(|(a, b)| a == b).count();
    if now.get(start).is_some_and(low) || new.get(start).is_some_and(low) {
        start = start.saturating_sub(1);
    }
    let most = now.len().min(new.len()) - start;
    let mut same = now.iter().rev().zip(new.iter().rev()).take(most).take_while(|(a, b)| a == b).count();
    if same > 0 && low(&now[now.len() - same]) {
        same -= 1;
    }
    (start, now.len() - same, new.len() - same)
}

/// A new line at the caret that is indented as the one before it, one level more behind a key that opens a block.
fn continued(text: &str, start: u32, end: u32) -> (String, u32) {
    let units: Vec<u16> = text.encode_utf16().collect();
    let (from, to) = (start as usize, end as usize);
    let before = String::from_utf16_lossy(&units[line_start(&units, from)..from]);
    let indent = before.len() - before.trim_start_matches(' ').len();
    let deeper = if before.trim_end().ends_with(':') { 2 } else { 0 };
    let line = format!("\n{}", " ".repeat(indent + deeper));
    let out = [&units[..from], &line.encode_utf16().collect::<Vec<_>>(), &units[to..]].concat();
    (String::from_utf16_lossy(&out), start + line.len() as u32)
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
    fn enter_keeps_the_indentation_and_opens_a_block() {
        assert_eq!(continued("  a: 1", 6, 6), ("  a: 1\n  ".into(), 9));
        assert_eq!(continued("  a:", 4, 4), ("  a:\n    ".into(), 9));
        assert_eq!(continued("ab", 1, 2), ("a\n".into(), 2));
    }

    #[test]
    fn only_what_differs_is_replaced() {
        let units = |text: &str| text.encode_utf16().collect::<Vec<_>>();
        assert_eq!(changed(&units("ab"), &units("a  b")), (1, 1, 3));
        assert_eq!(changed(&units("aa"), &units("aaa")), (2, 2, 3));
        assert_eq!(changed(&units("same"), &units("same")), (4, 4, 4));
        assert_eq!(changed(&units("\u{1F30A}"), &units("\u{1F30B}")), (0, 2, 2), "a pair stays whole");
    }

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
