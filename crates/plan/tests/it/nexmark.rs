//! The queries of the NEXMark benchmark plan.

use std::{fmt::Write, path::PathBuf};

use expect_test::expect;
use weir_plan::{NodeKind, operator::Operator};

use crate::support::{Registry, plan_with, report};

/// What kind of node it is, and what bounds its state.
fn told(kind: &NodeKind) -> String {
    let NodeKind::Operator(node) = kind else { return kind.as_str().to_owned() };
    let bound = match &node.operator {
        Operator::Aggregate(aggregate) => format!("{:?}", aggregate.grouping),
        Operator::Join(join) => format!("{:?}", join.bound),
        Operator::Rank(rank) => format!("{:?}", rank.bound),
        Operator::Match(_) | Operator::Measure(_) | Operator::Alert(_) => String::new(),
    };
    format!("{} {}", kind.as_str(), bound.split([' ', '{']).next().unwrap_or_default())
}

#[test]
fn every_query_plans() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples/nexmark");
    let mut text = String::new();
    let mut failed = String::new();
    for number in 0..23 {
        let Ok(document) = std::fs::read_to_string(folder.join(format!("q{number}.yaml"))) else { continue };
        let planned = plan_with(&document, &Registry::default());
        let Some(plan) = planned.plan else {
            writeln!(failed, "q{number}\n{}", report(&planned.diagnostics)).unwrap();
            continue;
        };
        let steps =
            plan.nodes.iter().filter(|node| !matches!(node.kind, NodeKind::Source(_) | NodeKind::Sink(_) | NodeKind::Table(_)));
        let kinds: Vec<String> =
            steps.map(|node| format!("{}{}", told(&node.kind), if node.changes { "*" } else { "" })).collect();
        writeln!(text, "q{number}: {}", kinds.join(" -> ")).unwrap();
    }
    assert!(failed.is_empty(), "{failed}");
    expect![[r#"
        q0: sql
        q1: sql
        q2: sql
        q3: sql -> sql -> join Updating -> sql
        q4: sql -> sql -> join Updating -> aggregate Updating* -> sql* -> aggregate Updating*
        q5: aggregate Window -> sql -> aggregate Windowed -> sql -> join Window -> sql
        q7: aggregate Window -> sql -> sql -> sql -> join Interval -> sql
        q8: aggregate Window -> sql -> aggregate Window -> sql -> join Window -> sql
        q9: sql -> join Updating -> rank Updating*
        q10: sql
        q11: aggregate Window -> sql
        q12: aggregate Window -> sql
        q13: sql -> join Lookup -> sql
        q14: sql
        q15: sql -> aggregate Updating*
        q16: sql -> aggregate Updating*
        q17: sql -> aggregate Updating*
        q18: rank Updating*
        q19: rank Updating*
        q20: sql -> join Updating -> sql
        q21: sql
        q22: sql
    "#]]
    .assert_eq(&text);
}
