//! How large a value an expression may make, told from its text: before planning, which computes what is constant.
//!
//! `repeat('x', 2000000000)` is a short text and two gigabytes; whoever may check a document could bring a server down with it. A column
//! counts as a short text; a literal and what functions make of it by what they may become at most.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Spanned, Value, Visit, Visitor,
};

use super::error::Issue;

/// A value of a column counts as so many bytes.
pub(super) const COLUMN: f64 = 64.0;
/// More bytes than this in one value are refused: as long as the longest line of an input by default.
const LARGEST: f64 = (1 << 20) as f64;

/// The most bytes that a value of the expression may have, with `column` for each column; and what makes too many.
pub(super) fn measure(expr: &Expr, column: f64) -> (f64, Vec<Issue>) {
    let mut walk = Walk { column, made: vec![Vec::new()], issues: Vec::new() };
    // The walk never breaks off.
    let _ = expr.visit(&mut walk);
    let whole = walk.made.pop().unwrap_or_default().into_iter().sum();
    (whole, walk.issues)
}

struct Walk {
    column: f64,
    /// For each expression that is being looked at, the sizes of its parts so far.
    made: Vec<Vec<f64>>,
    issues: Vec<Issue>,
}

impl Visitor for Walk {
    type Break = ();

    fn pre_visit_expr(&mut self, _expr: &Expr) -> ControlFlow<()> {
        self.made.push(Vec::new());
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        let parts = self.made.pop().unwrap_or_default();
        let mut size = match expr {
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => self.column,
            Expr::Value(value) => match &value.value {
                Value::SingleQuotedString(text) => text.len() as f64,
                other => other.to_string().len() as f64,
            },
            Expr::Function(function) => self.function(function, &parts),
            _ => parts.iter().sum::<f64>().max(16.0),
        };
        if size > LARGEST {
            if self.issues.is_empty() {
                let message = format!("this may make values of {size:.0} bytes; at most {LARGEST:.0} are allowed");
                self.issues.push(Issue::new("too-large", message).help("ask for less").at(expr.span()));
            }
            size = LARGEST;
        }
        if let Some(parent) = self.made.last_mut() {
            parent.push(size);
        }
        ControlFlow::Continue(())
    }
}

impl Walk {
    fn function(&mut self, function: &Function, parts: &[f64]) -> f64 {
        let part = |index: usize| parts.get(index).copied().unwrap_or(0.0);
        let all: f64 = parts.iter().sum::<f64>() + 16.0;
        match function.name.to_string().to_ascii_lowercase().as_str() {
            "repeat" => part(0).max(1.0) * self.count(function, 1),
            // Characters of four bytes, at most.
            "lpad" | "rpad" => part(0).max(4.0 * self.count(function, 1)),
            "encode" => 2.0 * part(0),
            // Something new at every place, at most.
            "replace" => (part(0) + 1.0) * part(2).max(1.0),
            // A reference to a group is two characters of the new text, and as long as the match.
            "regexp_replace" => (part(0) + 1.0) * (1.5 * part(2) + 1.0),
            "concat_ws" => all + part(0) * parts.len() as f64,
            _ => all,
        }
    }

    /// A number that decides on a size: it must be written out.
    fn count(&mut self, function: &Function, index: usize) -> f64 {
        let FunctionArguments::List(list) = &function.args else { return 0.0 };
        let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))) = list.args.get(index) else { return 0.0 };
        if let Some(number) = literal(argument) {
            return number.abs();
        }
        let message = format!("how much {}(…) makes must be written as a number", function.name.to_string().to_ascii_lowercase());
        let help = "a number from the data could ask for more than there is memory";
        self.issues.push(Issue::new("too-large", message).help(help).at(argument.span()));
        0.0
    }
}

fn literal(expr: &Expr) -> Option<f64> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Number(number, _) => number.to_string().parse().ok(),
            _ => None,
        },
        Expr::UnaryOp { expr, .. } | Expr::Nested(expr) => literal(expr),
        _ => None,
    }
}
