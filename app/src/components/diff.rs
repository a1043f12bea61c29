//! Two texts line by line: what stayed, what went, what came.

use leptos::prelude::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Same,
    Added,
    Removed,
}

/// The lines of both texts in one sequence: a longest common subsequence, by dynamic programming after equal ends are cut off.
pub fn lines<'a>(old: &'a str, new: &'a str) -> Vec<(Change, &'a str)> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let head = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let tail = old[head..].iter().rev().zip(new[head..].iter().rev()).take_while(|(a, b)| a == b).count();
    let (a, b) = (&old[head..old.len() - tail], &new[head..new.len() - tail]);
    let mut longest = vec![vec![0_u32; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            longest[i][j] = if a[i] == b[j] { longest[i + 1][j + 1] + 1 } else { longest[i + 1][j].max(longest[i][j + 1]) };
        }
    }
    let mut out: Vec<(Change, &str)> = old[..head].iter().map(|line| (Change::Same, *line)).collect();
    let (mut i, mut j) = (0, 0);
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            out.push((Change::Same, a[i]));
            (i, j) = (i + 1, j + 1);
        } else if i < a.len() && (j == b.len() || longest[i + 1][j] >= longest[i][j + 1]) {
            out.push((Change::Removed, a[i]));
            i += 1;
        } else {
            out.push((Change::Added, b[j]));
            j += 1;
        }
    }
    out.extend(old[old.len() - tail..].iter().map(|line| (Change::Same, *line)));
    out
}

/// What changed from one version of a document to another.
#[component]
pub fn Diff(old: String, new: String, #[prop(into)] label: String) -> impl IntoView {
    let rows = lines(&old, &new)
        .into_iter()
        .map(|(change, line)| {
            let (class, sign, word) = match change {
                Change::Same => ("diff__line", " ", ""),
                Change::Added => ("diff__line diff__line--added", "+", "added: "),
                Change::Removed => ("diff__line diff__line--removed", "−", "removed: "),
            };
            view! {
                <div class=class>
                    <span class="diff__sign" aria-hidden="true">{sign}</span>
                    <span><span class="visually-hidden">{word}</span>{line.to_owned()}</span>
                </div>
            }
        })
        .collect_view();
    view! { <div class="diff" role="region" tabindex="0" aria-label=label>{rows}</div> }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Change::{Added, Removed, Same};

    #[test]
    fn a_changed_line_goes_and_comes_where_it_stood() {
        assert_eq!(lines("a\nb\nc", "a\nx\nc"), [(Same, "a"), (Removed, "b"), (Added, "x"), (Same, "c")]);
        assert_eq!(lines("a\nb", "a\nb"), [(Same, "a"), (Same, "b")]);
        assert_eq!(lines("", "a"), [(Added, "a")]);
        assert_eq!(lines("a\nb\nc\nd", "b\nd\ne"), [(Removed, "a"), (Same, "b"), (Removed, "c"), (Same, "d"), (Added, "e")]);
    }

    #[test]
    fn both_texts_can_be_read_back() {
        let (old, new) = ("a\nb\nc\na\nb\nb\na", "c\nb\na\nb\na\nc");
        let diff = lines(old, new);
        let side = |gone| diff.iter().filter(|(c, _)| *c != gone).map(|(_, l)| *l).collect::<Vec<_>>().join("\n");
        assert_eq!(side(Added), old);
        assert_eq!(side(Removed), new);
    }
}
