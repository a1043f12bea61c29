//! Masking operators.

use super::{character, float, number, optional_text, text};
use crate::{
    mask::{Generalization, Mask, MaskStep},
    parse::Node,
};

pub fn step(node: &Node) -> MaskStep {
    let columns = node.get("columns").map(Node::entries).unwrap_or_default();
    MaskStep {
        from: text(node, "from"),
        columns: columns.iter().filter_map(|entry| Some((entry.key.clone(), mask(&entry.value)?))).collect(),
    }
}

fn mask(node: &Node) -> Option<Mask> {
    let operator = node.entries().first()?;
    let options = &operator.value;
    Some(match operator.key.as_str() {
        "redact" => Mask::Redact { with: optional_text(options, "with") },
        "null" => Mask::Null,
        "partial" => Mask::Partial {
            keep_first: number(options, "keep_first").unwrap_or(0),
            keep_last: number(options, "keep_last").unwrap_or(0),
            with: character(options, "with").unwrap_or('*'),
        },
        "hash" => Mask::Hash,
        "token" => Mask::Token { prefix: optional_text(options, "prefix"), keep_last: number(options, "keep_last").unwrap_or(0) },
        "encrypt" => Mask::Encrypt,
        "generalize" => Mask::Generalize { to: generalization(options.get("to")?)? },
        _ => return None,
    })
}

fn generalization(node: &Node) -> Option<Generalization> {
    Some(match node.as_str() {
        Some("year") => Generalization::Year,
        Some("month") => Generalization::Month,
        Some("day") => Generalization::Day,
        Some("hour") => Generalization::Hour,
        Some(_) => return None,
        None => match float(node, "width") {
            Some(width) => Generalization::Width(width),
            None => Generalization::Prefix(number(node, "prefix")?),
        },
    })
}
