//! The plan of a pattern, compiled: what every partition is judged by.

use arrow::{array::RecordBatch, buffer::BooleanBuffer, datatypes::SchemaRef, error::ArrowError};
use weir_plan::operator::{AfterMatch, MatchExpr, MatchNode, MatchPart};

use super::{
    expression::Compiled,
    history::{Layout, Part},
    partition::Row,
    program::{Program, first_variable, is_nullable, is_unbounded},
    value::Value,
};

/// Variables of one pattern: as many as a word has bits.
const MAX_VARIABLES: usize = 64;

/// How much one partition may hold. What is beyond is an error that names the step.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Partial matches that begin with the same row.
    pub runs: usize,
    /// Rows that wait for their time, or that a match in the making still needs.
    pub rows: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { runs: 4_096, rows: 1_000_000 }
    }
}

/// The condition of a variable.
enum Define {
    /// There is none.
    Always,
    /// Of the row alone: asked of whole batches as rows come in. Columns of the input.
    Row { condition: Compiled, columns: Vec<usize> },
    /// Of the row and those around it or matched before it: asked of each partial match.
    Run { condition: Compiled, parts: Vec<Part>, of_partition: bool },
}

/// An output column.
pub struct Measure {
    pub value: Compiled,
    parts: Vec<Part>,
}

/// A compiled pattern with its conditions and measures.
pub struct Matcher {
    pub program: Program,
    pub variables: Vec<String>,
    pub after: AfterMatch,
    pub within: Option<i64>,
    pub limits: Limits,
    /// Columns of the input that are kept of each row, by slot.
    pub kept: Vec<usize>,
    /// How many rows before a match's first row are looked at.
    pub before: usize,
    defines: Vec<Define>,
    /// Registers that partial matches carry.
    pub layout: Layout,
    pub measures: Vec<Measure>,
    /// Registers of a whole match.
    summary: Layout,
}

impl Matcher {
    pub fn compile(node: &MatchNode, schema: &SchemaRef) -> Result<Self, String> {
        if node.variables.len() > MAX_VARIABLES {
            return Err(format!("a pattern can have {MAX_VARIABLES} variables, this has {}", node.variables.len()));
        }
        if is_nullable(&node.pattern) {
            return Err("the pattern can be matched by no row at all; make at least one variable mandatory".into());
        }
        if let AfterMatch::ToFirst(variable) = node.after
            && first_variable(&node.pattern) == Some(variable)
        {
            let name = &node.variables[variable];
            return Err(format!(
                "AFTER MATCH SKIP TO FIRST {name} would start at the row where the match began, for ever; skip to another \
                 variable, or past the last row"
            ));
        }
        let mut kept = Vec::new();
        let (mut layout, mut summary) = (Layout::default(), Layout::default());
        let define = |(variable, expr): (usize, &Option<MatchExpr>)| match expr {
            None => Ok(Define::Always),
            Some(expr) => define(expr, variable, schema, &mut layout, &mut kept)
                .map_err(|error| format!("DEFINE {}: {error}", node.variables[variable])),
        };
        let defines = node.defines.iter().enumerate().map(define).collect::<Result<Vec<_>, String>>()?;
        let measure = |(expr, name): &(MatchExpr, String)| {
            let (parts, value) =
                compile(expr, None, schema, &mut summary, &mut kept).map_err(|error| format!("measure {name}: {error}"))?;
            Ok(Measure { value, parts })
        };
        let measures = node.measures.iter().map(measure).collect::<Result<Vec<_>, String>>()?;
        let all = node.defines.iter().flatten().chain(node.measures.iter().map(|(expr, _)| expr)).flat_map(|expr| &expr.parts);
        let before = all.map(|part| if let MatchPart::Prev { offset, .. } = part { *offset as usize } else { 0 }).max();
        Ok(Self {
            program: Program::compile(&node.pattern)?,
            variables: node.variables.clone(),
            after: node.after,
            within: node.within,
            limits: Limits::default(),
            kept,
            before: before.unwrap_or(0),
            defines,
            layout,
            measures,
            summary,
        })
    }

    /// For each variable whose condition is of the row alone, the rows for which it holds.
    pub fn judge_rows(&self, rows: &RecordBatch) -> Result<Vec<(usize, BooleanBuffer)>, ArrowError> {
        let mut judged = Vec::new();
        for (variable, define) in self.defines.iter().enumerate() {
            if let Define::Row { condition, columns } = define {
                let parts = columns.iter().map(|&column| rows.column(column).clone()).collect();
                judged.push((variable, condition.holds(parts, rows.num_rows())?));
            }
        }
        Ok(judged)
    }

    /// Whether a row may be mapped to a variable; `before` gives the rows before it, 1 being the last. A condition that cannot be
    /// computed does not hold.
    pub fn accepts<'r>(
        &self,
        variable: usize,
        registers: &[Value],
        row: &Row,
        before: impl Fn(usize) -> Option<&'r [Value]> + Copy,
    ) -> Judgement {
        match &self.defines[variable] {
            Define::Always => Judgement { holds: true, of_partition: false },
            Define::Row { .. } => Judgement { holds: row.truths >> variable & 1 == 1, of_partition: false },
            Define::Run { of_partition: true, .. } if row.known >> variable & 1 == 1 => {
                Judgement { holds: row.truths >> variable & 1 == 1, of_partition: false }
            }
            Define::Run { condition, parts, of_partition } => {
                let values: Vec<Value> =
                    parts.iter().map(|part| self.layout.read(part, registers, &row.values, before)).collect();
                let holds = matches!(condition.evaluate(&values), Ok(Value::Bool(true)));
                Judgement { holds, of_partition: *of_partition }
            }
        }
    }

    /// What the measures need of a match's rows, each with its variable. The parts of all measures, one after the other.
    pub fn summarize<'r>(
        &self,
        rows: impl Iterator<Item = (&'r Row, usize)>,
        last: &Row,
        before: impl Fn(usize) -> Option<&'r [Value]> + Copy,
    ) -> Vec<Vec<Value>> {
        let mut registers = self.summary.empty();
        for (row, variable) in rows {
            self.summary.update(&mut registers, &row.values, variable);
        }
        let read = |part: &Part| self.summary.read(part, &registers, &last.values, before);
        self.measures.iter().map(|measure| measure.parts.iter().map(read).collect()).collect()
    }
}

/// The answer of a condition.
pub struct Judgement {
    pub holds: bool,
    /// The same for every partial match, and worth remembering with the row.
    pub of_partition: bool,
}

fn define(
    expr: &MatchExpr,
    variable: usize,
    schema: &SchemaRef,
    layout: &mut Layout,
    kept: &mut Vec<usize>,
) -> Result<Define, String> {
    let current = |part: &MatchPart| match part {
        MatchPart::Last { variable: of, column, offset: 0 } if of.is_none_or(|of| of == variable) => Some(*column),
        MatchPart::Prev { column, offset: 0 } => Some(*column),
        _ => None,
    };
    if let Some(columns) = expr.parts.iter().map(current).collect::<Option<Vec<_>>>() {
        let types: Vec<_> = columns.iter().map(|&column| schema.field(column).data_type().clone()).collect();
        return Ok(Define::Row { condition: Compiled::new(&expr.expr, &types)?, columns });
    }
    let (parts, condition) = compile(expr, Some(variable), schema, layout, kept)?;
    let of_partition = !parts.iter().any(|part| matches!(part, Part::Register { .. }));
    Ok(Define::Run { condition, parts, of_partition })
}

fn compile(
    expr: &MatchExpr,
    judged: Option<usize>,
    schema: &SchemaRef,
    layout: &mut Layout,
    kept: &mut Vec<usize>,
) -> Result<(Vec<Part>, Compiled), String> {
    let mut slot = |column: usize| {
        kept.iter().position(|&known| known == column).unwrap_or_else(|| {
            kept.push(column);
            kept.len() - 1
        })
    };
    let placed: Vec<_> =
        expr.parts.iter().map(|part| layout.place(part, judged, schema, &mut slot)).collect::<Result<_, String>>()?;
    let (parts, types): (Vec<_>, Vec<_>) = placed.into_iter().unzip();
    Ok((parts, Compiled::new(&expr.expr, &types)?))
}

/// Whether a step's state may grow for as long as its input goes on: a pattern without an end, and no `WITHIN`.
pub fn grows_without_bound(node: &MatchNode) -> bool {
    node.within.is_none() && is_unbounded(&node.pattern)
}
