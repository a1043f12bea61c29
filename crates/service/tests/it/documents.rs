//! Pipelines and contracts: versions, refusals, deployment.

use weir_api::{
    AuditQuery, CreatePipeline, DeployPipeline, PageQuery, PipelineState, RegisterContract, Role, UpdatePipeline,
    ValidatePipeline,
};
use weir_service::{Error, contracts, overview, pipelines};

use crate::world::{PIPELINE, World, cleared, leaking, slug, status};

fn create(document: &str) -> CreatePipeline {
    CreatePipeline { document: document.to_owned(), note: None }
}

fn update(document: &str, expected_version: u32) -> UpdatePipeline {
    UpdatePipeline { document: document.to_owned(), expected_version, note: Some("a change".into()) }
}

#[tokio::test]
async fn a_pipeline_is_drawn_with_the_class_of_every_column() {
    let world = World::new().await;
    let cx = world.person(Role::Engineer).await;
    let made = pipelines::create(&cx, create(PIPELINE)).await.unwrap();
    assert_eq!((made.summary.state, made.summary.version), (PipelineState::Draft, 1));
    assert_eq!(made.summary.updated_by.unwrap().name, "engineer");
    let graph = made.graph.unwrap();
    let drawn: Vec<_> = graph.nodes.iter().map(|node| (node.name.as_str(), node.operator.as_str(), node.depth)).collect();
    assert_eq!(drawn, [("payments", "http", 0), ("safe", "mask", 1), ("alerts", "file", 2)]);
    let card = |node: usize| graph.nodes[node].columns.iter().find(|column| column.name == "card").unwrap();
    assert_eq!((card(0).classification.as_str(), card(0).masked_by.as_deref()), ("restricted", None));
    assert_eq!((card(2).classification.as_str(), card(2).masked_by.as_deref()), ("internal", Some("token")));
    let edges: Vec<_> = graph.edges.iter().map(|edge| edge.classification.unwrap().as_str()).collect();
    assert_eq!(edges, ["restricted", "internal"]);
}

#[tokio::test]
async fn all_errors_of_a_document_are_told_with_their_places() {
    let world = World::new().await;
    let cx = world.person(Role::Viewer).await;
    let broken = PIPELINE.replace("mask:", "maks:").replace("clearance: internal", "clearance: secret");
    let found = pipelines::validate(&cx, ValidatePipeline { document: broken }).await.unwrap();
    assert!(!found.deployable);
    assert!(found.diagnostics.iter().filter(|finding| finding.is_error()).count() >= 2, "{:?}", found.diagnostics);
    assert!(found.diagnostics.iter().all(|finding| finding.span.is_some()));
    let leak = pipelines::validate(&cx, ValidatePipeline { document: leaking() }).await.unwrap();
    assert!(!leak.deployable);
    assert!(leak.graph.is_some(), "what can be read is drawn");
    let leaks: Vec<_> = leak.diagnostics.iter().filter(|finding| finding.is_error()).collect();
    assert!(leaks.iter().any(|finding| finding.code.contains("leak") && finding.span.is_some()), "{leaks:?}");
    let fine = pipelines::validate(&cx, ValidatePipeline { document: PIPELINE.to_owned() }).await.unwrap();
    assert!(fine.deployable, "{:?}", fine.diagnostics);
}

#[tokio::test]
async fn a_leaking_pipeline_may_be_drafted_but_not_deployed() {
    let world = World::new().await;
    let cx = world.person(Role::Engineer).await;
    pipelines::create(&cx, create(&leaking())).await.unwrap();
    let Err(Error::Document(findings)) = pipelines::deploy(&cx, &slug("card-fraud"), DeployPipeline::default()).await else {
        panic!("a leak is deployed")
    };
    let leak = findings.iter().find(|finding| finding.code == "leak").unwrap();
    let trail = leak.trail.as_ref().unwrap();
    assert!(trail.ways.iter().all(|way| way.len() > 1 && way.last() == Some(&trail.sink)), "{trail:?}");
    let denied = world.denials().await.remove(0);
    assert_eq!((denied.action.as_str(), denied.resource.as_str()), ("pipeline.deploy", "pipeline:card-fraud"));
    let rule = denied.rule.unwrap();
    assert!(rule.contains(&format!("leak({} -> {})", trail.column, trail.sink)), "{rule}");
    assert!(!rule.contains("cleared for"), "no message: {rule}");
    assert!(denied.leaf["body"]["after"].as_str().unwrap().starts_with("pipeline:card-fraud@1 sha256:"));
    assert_eq!(pipelines::get(&cx, &slug("card-fraud")).await.unwrap().summary.state, PipelineState::Draft);
}

#[tokio::test]
async fn restricted_data_leaves_only_by_an_administrators_deployment() {
    let world = World::new().await;
    let engineer = world.person(Role::Engineer).await;
    pipelines::create(&engineer, create(&cleared())).await.unwrap();
    let name = slug("card-fraud");
    assert_eq!(status(&pipelines::deploy(&engineer, &name, DeployPipeline::default()).await), 403);
    assert_eq!(world.denials().await[0].action, "pipeline.deploy");
    pipelines::deploy(&world.admin().await, &name, DeployPipeline::default()).await.unwrap();
}

#[tokio::test]
async fn who_comes_second_is_told_and_loses_nothing() {
    let world = World::new().await;
    let cx = world.person(Role::Engineer).await;
    let name = slug("card-fraud");
    pipelines::create(&cx, create(PIPELINE)).await.unwrap();
    assert_eq!(status(&pipelines::create(&cx, create(PIPELINE)).await), 409, "the name is taken");
    let second = PIPELINE.replace("risky", "very risky");
    assert_eq!(pipelines::update(&cx, &name, update(&second, 1)).await.unwrap().summary.version, 2);
    let late = pipelines::update(&cx, &name, update(&PIPELINE.replace("risky", "odd"), 1)).await;
    assert!(matches!(late, Err(Error::Stale { expected: 1, found: 2, .. })), "{late:?}");
    assert_eq!(
        pipelines::update(&cx, &name, update(&second, 2)).await.unwrap().summary.version,
        2,
        "the same text is no new version"
    );
    let renamed = pipelines::update(&cx, &name, update(&second.replace("card-fraud", "other"), 2)).await;
    assert_eq!(status(&renamed), 422);
    let versions = pipelines::versions(&cx, &name, PageQuery::default()).await.unwrap().items;
    assert_eq!(versions.iter().map(|version| version.version).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(pipelines::version(&cx, &name, 1).await.unwrap().document, PIPELINE);
    assert_eq!(pipelines::export(&cx, &name).await.unwrap(), second);
    assert_eq!(status(&pipelines::version(&cx, &name, 3).await), 404);
}

#[tokio::test]
async fn deploying_stopping_and_deleting_leave_their_leaves() {
    let world = World::new().await;
    let cx = world.person(Role::Engineer).await;
    let name = slug("card-fraud");
    let made = pipelines::create(&cx, create(PIPELINE)).await.unwrap();
    assert_eq!(status(&pipelines::stop(&cx, &name).await), 409, "it was never deployed");
    let deployed = pipelines::deploy(&cx, &name, DeployPipeline::default()).await.unwrap();
    assert_eq!((deployed.state, deployed.version, &deployed.hash), (PipelineState::Starting, 1, &made.hash));
    assert_eq!(status(&pipelines::delete(&cx, &name, 1).await), 409, "it runs");
    assert_eq!(overview::show(&cx).await.unwrap().pipelines.total, 1);
    assert_eq!(pipelines::stop(&cx, &name).await.unwrap().state, PipelineState::Stopped);
    assert_eq!(status(&pipelines::delete(&cx, &name, 2).await), 409, "another version was seen");
    pipelines::delete(&cx, &name, 1).await.unwrap();
    assert_eq!(status(&pipelines::get(&cx, &name).await), 404);
    assert_eq!(status(&pipelines::deploy(&cx, &name, DeployPipeline::default()).await), 404);

    let leaves = world.leaves(AuditQuery { actor: Some("engineer".into()), ..AuditQuery::default() }).await;
    let actions: Vec<_> =
        leaves.iter().rev().map(|leaf| leaf.action.as_str()).filter(|action| action.starts_with("pipeline")).collect();
    assert_eq!(actions, ["pipeline.create", "pipeline.deploy", "pipeline.stop", "pipeline.delete"]);
    let deploy = leaves.iter().find(|leaf| leaf.action == "pipeline.deploy").unwrap();
    let after = deploy.leaf["body"]["after"].as_str().unwrap();
    assert!(after.contains(&made.hash), "the deployment is bound to the text: {after}");
    assert_eq!(deploy.rule.as_deref(), Some("engineer.deploy"));
}

const CONTRACT: &str = "\
apiVersion: v3.0.2
kind: DataContract
id: 53581432-6c55-4ba2-a65f-72344a91553a
name: payments
version: 1.0.0
status: active
schema:
  - name: payments
    properties:
      - { name: card, logicalType: string, required: true, classification: restricted }
      - { name: amount, logicalType: number }
";

#[tokio::test]
async fn a_registered_contract_is_never_changed() {
    let world = World::new().await;
    let steward = world.person(Role::Steward).await;
    let register = async |document: String| contracts::register(&steward, RegisterContract { document }).await;
    let first = register(CONTRACT.to_owned()).await.unwrap();
    assert_eq!((first.summary.version.as_str(), first.summary.major, first.columns.len()), ("1.0.0", 1, 2));
    assert_eq!(register(CONTRACT.to_owned()).await.unwrap().summary, first.summary, "the same text again is fine");
    assert_eq!(status(&register(CONTRACT.replace("amount", "total")).await), 409);
    for version in ["1.10.0", "1.9.0"] {
        register(CONTRACT.replace("1.0.0", version)).await.unwrap();
    }
    let name = slug("payments");
    let versions = contracts::versions(&steward, &name).await.unwrap();
    assert_eq!(versions.iter().map(|version| version.version.as_str()).collect::<Vec<_>>(), ["1.10.0", "1.9.0", "1.0.0"]);
    assert_eq!(contracts::get(&steward, &name, None).await.unwrap().summary.version, "1.10.0");
    assert_eq!(contracts::get(&steward, &name, Some("1.0.0")).await.unwrap().document, CONTRACT);
    assert_eq!(status(&contracts::get(&steward, &name, Some("3.0.0")).await), 404);
    assert_eq!(contracts::list(&steward, PageQuery::default()).await.unwrap().items[0].version, "1.10.0");
    assert!(matches!(register("kind: DataContract\n".to_owned()).await, Err(Error::Document(_))));
    let registered = world.leaves(AuditQuery { kind: Some("contract_registered".into()), ..AuditQuery::default() }).await;
    assert_eq!(registered.len(), 3);
}

#[tokio::test]
async fn a_pipeline_is_planned_against_the_newest_minor_version_of_its_contract() {
    let world = World::new().await;
    let admin = world.admin().await;
    let document = PIPELINE.replace(
        "    schema:\n      - { name: card, type: string, classification: restricted, categories: [user.financial.credit_card] }\n      - { name: amount, type: float64 }\n",
        "    contract: payments@1\n",
    );
    assert!(document.contains("payments@1"));
    let validate = async || pipelines::validate(&admin, ValidatePipeline { document: document.clone() }).await.unwrap();
    assert!(!validate().await.deployable, "there is no such contract yet");
    contracts::register(&admin, RegisterContract { document: CONTRACT.to_owned() }).await.unwrap();
    let planned = validate().await;
    assert!(planned.deployable, "{:?}", planned.diagnostics);
    contracts::register(&admin, RegisterContract { document: CONTRACT.replace("1.0.0", "1.2.0").replace("card", "pan") })
        .await
        .unwrap();
    assert!(!validate().await.deployable, "1.2.0 has no column `card` to mask");
    contracts::register(&admin, RegisterContract { document: CONTRACT.replace("1.0.0", "2.0.0") }).await.unwrap();
    assert!(!validate().await.deployable, "version 2 is another contract");
}

#[tokio::test]
async fn reference_data_is_planned_against_its_registered_contract() {
    let world = World::new().await;
    let admin = world.admin().await;
    let table = "tables:\n  known: { file: { path: known.ndjson }, contract: payments@1 }\nsources:\n";
    let document = PIPELINE.replace("sources:\n", table);
    let validate = async || pipelines::validate(&admin, ValidatePipeline { document: document.clone() }).await.unwrap();
    assert!(!validate().await.deployable, "there is no such contract yet");
    contracts::register(&admin, RegisterContract { document: CONTRACT.to_owned() }).await.unwrap();
    let planned = validate().await;
    assert!(planned.deployable, "{:?}", planned.diagnostics);
}

#[tokio::test]
async fn a_path_outside_the_projects_folder_is_refused_where_it_stands() {
    let world = World::new().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let cx = world.person(Role::Engineer).await;
    let at = |path: &str| PIPELINE.replace("path: out/alerts", &format!("path: {path}"));
    let escaping = at("../../master.key");
    let validated = |document: String| pipelines::validate(&cx, ValidatePipeline { document });
    assert!(validated(escaping.clone()).await.unwrap().deployable, "a host that runs nothing for others confines nothing");

    world.services.confine_to(vec![elsewhere.path().to_owned()]);
    let found = validated(escaping.clone()).await.unwrap();
    assert!(!found.deployable);
    let [refusal] = found.diagnostics.as_slice() else { panic!("{:?}", found.diagnostics) };
    assert_eq!((refusal.code.as_str(), refusal.path.as_str()), ("path-outside", "sinks.alerts.file.path"));
    let line = escaping.lines().position(|line| line.contains("master.key")).unwrap() as u32 + 1;
    let column = escaping.lines().nth(line as usize - 1).unwrap().find("../").unwrap() as u32 + 1;
    assert_eq!(refusal.span.map(|span| (span.start.line, span.start.column)), Some((line, column)));
    assert!(!refusal.message.contains(&*world.folder.path().to_string_lossy()), "the server's folders are nobody's business");

    // Databases too, whether they are written to or looked up in, and files that are looked up in.
    for (from, to, place) in [
        (
            "file: { path: out/alerts }\n    format: json",
            "sqlite: { path: ../../weir.db, table: users }",
            "sinks.alerts.sqlite.path",
        ),
        (
            "sources:\n",
            "tables:\n  t: { sqlite: { path: /etc/t.db, table: t }, schema: [{ name: a, type: string }] }\nsources:\n",
            "tables.t.sqlite.path",
        ),
        (
            "sources:\n",
            "tables:\n  t: { file: { path: /etc/passwd }, schema: [{ name: a, type: string }] }\nsources:\n",
            "tables.t.file.path",
        ),
    ] {
        assert!(PIPELINE.contains(from), "{from}");
        let found = validated(PIPELINE.replacen(from, to, 1)).await.unwrap().diagnostics;
        let refused: Vec<_> = found.iter().filter(|finding| finding.code == "path-outside").map(|f| f.path.as_str()).collect();
        assert_eq!(refused, [place], "{found:?}");
    }

    // Beside an error of the document itself, too.
    let both = validated(escaping.replace("token: {}", "tokn: {}")).await.unwrap().diagnostics;
    assert_eq!(
        both.iter().filter(|finding| finding.is_error()).map(|f| f.code.as_str()).collect::<Vec<_>>(),
        ["unknown-key", "path-outside"]
    );

    // Whatever a document reads is meant: reference data, and what a window rule compares with.
    let reads = PIPELINE.replacen(
        "steps:\n",
        "tables:
  known:
    file: { path: ../../master.key }
    format: csv
    schema: [{ name: id, type: string }]
    key: id
steps:
  watched:
    quality: { from: payments, metrics: [{ distribution: { column: card, reference: ../../secret.csv, max: 0.1 } }] }
",
        1,
    );
    let found = validated(reads).await.unwrap().diagnostics;
    let outside: Vec<&str> = found.iter().filter(|one| one.code == "path-outside").map(|one| one.path.as_str()).collect();
    assert_eq!(outside, ["tables.known.file.path", "steps.watched.quality.metrics[0].distribution.reference"], "{found:?}");

    pipelines::create(&cx, create(&escaping)).await.unwrap();
    let refused = pipelines::deploy(&cx, &slug("card-fraud"), DeployPipeline::default()).await;
    assert!(matches!(&refused, Err(Error::Document(findings)) if findings.iter().any(|one| one.code == "path-outside")));

    // Reference data is read like a source.
    let tables =
        "tables:\n  keys:\n    file: { path: ../../master.key }\n    format: csv\n    schema: [{ name: key, type: string }]\n";
    let looked_up = validated(PIPELINE.replace("sources:\n", &format!("{tables}sources:\n"))).await.unwrap();
    let refusal = looked_up.diagnostics.iter().find(|finding| finding.code == "path-outside").expect("a refusal");
    assert_eq!((refusal.path.as_str(), looked_up.deployable), ("tables.keys.file.path", false));

    for fine in ["out/../alerts".to_owned(), elsewhere.path().join("out").display().to_string()] {
        assert!(validated(at(&fine)).await.unwrap().deployable, "{fine}");
    }
}
