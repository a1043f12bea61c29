//! Window rules of a quality step: windows of what reaches it, before any row is rejected.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray},
    datatypes::SchemaRef,
    error::ArrowError,
};
use weir_plan::operator::{MeasureNode, TimeBasis};
use weir_spec::metric::RuleSeverity;

use super::{Clock, ObserverContext, piece::Piece, times};
use crate::{
    batch::Batch,
    counts::RuleCounts,
    error::EngineError,
    observation::{MeasuredWindow, Observations, RuleObservation, WindowVerdict},
    stages::{
        quality::metrics::{Closed, OpenWindows, Outcome, Plan, Verdict, measures, plan::Rule},
        transform::{
            operator::{Durable, Operator, Output, Progress, Time},
            window::timestamps,
        },
    },
};

/// See the [module](self).
pub struct MeasureOperator {
    node: String,
    /// As the document names it.
    step: String,
    planned: MeasureNode,
    plan: Arc<Plan>,
    output: SchemaRef,
    open: OpenWindows,
    clock: Clock,
    /// Goes by the clock and was restored: nobody watched since the last checkpoint.
    was_away: bool,
    noticed: Observations,
    rules: BTreeMap<String, RuleCounts>,
    state: Piece,
}

impl MeasureOperator {
    pub fn new(planned: &MeasureNode, context: &ObserverContext<'_>) -> Result<Self, EngineError> {
        let operator = context.operator;
        let plan = Arc::new(Plan::compile(&operator.node, &planned.quality, &operator.inputs[0], context.base_dir)?);
        let mut open =
            OpenWindows::new(Arc::clone(&plan), &operator.inputs[0]).map_err(|e| EngineError::internal(&operator.node, e))?;
        let state = Piece::open(operator, "windows")?;
        let restored = !state.bytes().is_empty();
        if restored {
            open.restore(state.bytes()).map_err(|e| operator.failed(e))?;
        }
        Ok(Self {
            node: operator.node.clone(),
            step: context.step.to_owned(),
            planned: planned.clone(),
            plan,
            output: Arc::clone(&operator.output),
            open,
            clock: Clock::new(),
            was_away: restored && planned.time == TimeBasis::Processing,
            noticed: Observations::default(),
            rules: BTreeMap::new(),
            state,
        })
    }

    /// What is told of a window, and its rows for whoever reads them.
    fn notice(&mut self, closed: &[Closed], out: &mut Output) -> Result<(), ArrowError> {
        let first = self.noticed.windows.len();
        for window in closed {
            let told = self.plan.rules.iter().zip(&window.outcomes).enumerate();
            let rules: Vec<RuleObservation> = told.map(|(n, (rule, outcome))| self.told(n, rule, outcome)).collect();
            for rule in &rules {
                let counts = self.rules.entry(rule.rule.clone()).or_default();
                counts.evaluated += u64::from(rule.verdict != WindowVerdict::Open);
                counts.failed += u64::from(rule.verdict == WindowVerdict::Broken);
            }
            let told = |rule: usize| self.planned.measures_withheld.get(rule) == Some(&false);
            let measures = measures::encode(&self.plan, &window.window, told);
            self.noticed.windows.push(MeasuredWindow {
                step: self.step.clone(),
                start: window.start,
                end: window.end,
                rows: window.window.rows(),
                late_rows: window.late_rows,
                rules,
                measures,
            });
        }
        out.emit(outcomes(&self.noticed.windows[first..], &self.output)?);
        Ok(())
    }

    fn told(&self, n: usize, rule: &Rule, outcome: &Outcome) -> RuleObservation {
        let withheld = self.planned.withheld.get(n).and_then(Option::as_ref);
        let (verdict, detail) = match &outcome.verdict {
            Verdict::Kept => (WindowVerdict::Kept, None),
            Verdict::Open => (WindowVerdict::Open, None),
            Verdict::Broken(finding) => (WindowVerdict::Broken, Some(finding)),
        };
        let detail = match (withheld, detail) {
            (None, finding) => finding.map(|finding| finding.told.clone()),
            (Some(withheld), finding) => {
                let why = format!("the value is withheld: `{}` is {}", withheld.column, withheld.classification);
                Some(finding.map_or(why.clone(), |finding| format!("{}; {why}", finding.bare)))
            }
        };
        RuleObservation {
            rule: rule.name.clone(),
            metric: rule.metric.clone(),
            severity: rule.severity,
            observed: outcome.observed.filter(|value| withheld.is_none() && value.is_finite()),
            verdict,
            detail,
        }
    }
}

impl Operator for MeasureOperator {
    fn process(&mut self, _input: usize, batch: &Batch, out: &mut Output) -> Result<(), EngineError> {
        let added = times(self.planned.time, &batch.rows, self.clock.now()).and_then(|times| self.open.add(&batch.rows, &times));
        added.map_err(|e| EngineError::internal(&self.node, e))?;
        out.absorbed += batch.num_rows() as u64;
        Ok(())
    }

    fn advance(&mut self, time: Time, out: &mut Output) -> Result<Progress, EngineError> {
        self.clock.told(time.now);
        let until = match self.planned.time {
            TimeBasis::Processing if time.watermark < i64::MAX => self.clock.now(),
            _ => time.watermark,
        };
        let closed = match std::mem::take(&mut self.was_away) {
            true => self.open.close_after_absence(until),
            false => self.open.close(until),
        };
        if !closed.is_empty() {
            self.notice(&closed, out).map_err(|e| EngineError::internal(&self.node, e))?;
        }
        Ok(Progress::Done)
    }

    fn states(&mut self) -> Vec<(&'static str, &mut dyn Durable)> {
        let mut bytes = Vec::new();
        self.open.encode(&mut bytes);
        self.state.set(bytes);
        vec![("windows", &mut self.state)]
    }

    fn take_observations(&mut self) -> Observations {
        std::mem::take(&mut self.noticed)
    }

    fn take_rules(&mut self) -> BTreeMap<String, RuleCounts> {
        std::mem::take(&mut self.rules)
    }
}

/// One row a rule of a window: [`MeasureNode::OUTPUT`].
fn outcomes(windows: &[MeasuredWindow], schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let each = || windows.iter().flat_map(|window| window.rules.iter().map(move |rule| (window, rule)));
    let texts =
        |text: fn(&RuleObservation) -> Option<&str>| Arc::new(each().map(|(_, rule)| text(rule)).collect::<StringArray>());
    let time = |column: usize, time: fn(&MeasuredWindow) -> i64| {
        timestamps(each().map(|(window, _)| time(window)).collect(), schema.field(column).data_type())
    };
    let columns: Vec<ArrayRef> = vec![
        texts(|rule| Some(&rule.rule)),
        texts(|rule| Some(severity(rule.severity))),
        texts(|rule| Some(&rule.metric)),
        time(3, |window| window.start)?,
        time(4, |window| window.end)?,
        Arc::new(each().map(|(window, _)| i64::try_from(window.rows).unwrap_or(i64::MAX)).collect::<Int64Array>()),
        Arc::new(each().map(|(_, rule)| rule.observed).collect::<Float64Array>()),
        texts(|rule| Some(rule.verdict.as_str())),
        texts(|rule| rule.detail.as_deref()),
    ];
    RecordBatch::try_new(Arc::clone(schema), columns)
}

fn severity(severity: RuleSeverity) -> &'static str {
    match severity {
        RuleSeverity::Warn => "warn",
        RuleSeverity::Error => "error",
        RuleSeverity::Critical => "critical",
    }
}
