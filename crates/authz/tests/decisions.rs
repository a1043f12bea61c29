//! What the authorizer promises, beyond the matrix: tokens, strangers, concealment, the rule that is named.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use weir_api::{ProjectId, TokenId, UserId};
use weir_authz::{Action, Actor, Authorizer, Principal, Resource, ResourceKind, Role, Scope};
use weir_spec::Classification;

struct World {
    authorizer: Authorizer,
    project: ProjectId,
    user: UserId,
}

fn world() -> World {
    World { authorizer: Authorizer::new().unwrap(), project: ProjectId::generate(), user: UserId::generate() }
}

impl World {
    fn person(&self, role: Role) -> Actor {
        Actor::user(self.user, "Ada").with_role(self.project, role)
    }

    fn token(&self, owner: Role, project: Option<ProjectId>, scopes: &[&str]) -> Actor {
        let scopes: BTreeSet<Scope> = scopes.iter().map(|s| s.parse().unwrap()).collect();
        Actor {
            principal: Principal::Token { token: TokenId::generate(), owner: self.user, project, scopes },
            ..self.person(owner)
        }
    }

    fn pipeline(&self) -> Resource {
        Resource::in_project(ResourceKind::Pipeline, self.project).id("card-fraud")
    }
}

#[test]
fn a_grant_names_who_what_and_by_which_rule() {
    let w = world();
    let grant = w.authorizer.authorize(&w.person(Role::Engineer), Action::PipelineDeploy, &w.pipeline()).unwrap();
    assert_eq!(grant.actor(), format!("user:{}", w.user));
    assert_eq!((grant.action(), grant.resource().to_string()), (Action::PipelineDeploy, "pipeline:card-fraud".to_owned()));
    assert_eq!((grant.rule(), grant.project()), ("engineer.deploy", Some(w.project)));
}

#[test]
fn the_rule_is_the_same_when_the_answer_is_remembered() {
    let w = world();
    for _ in 0..2 {
        let may =
            w.authorizer.decide(&w.person(Role::Viewer), Action::RunRead, &Resource::in_project(ResourceKind::Run, w.project));
        assert_eq!((may.allowed, may.rule.as_str()), (true, "viewer.runs"));
        let not = w.authorizer.decide(&w.person(Role::Viewer), Action::PipelineDeploy, &w.pipeline());
        assert_eq!((not.allowed, not.rule.as_str()), (false, "default.deny"));
    }
}

#[test]
fn a_role_in_one_project_is_worth_nothing_in_another() {
    let w = world();
    let elsewhere = Resource::in_project(ResourceKind::Pipeline, ProjectId::generate()).id("card-fraud");
    for &action in Action::ALL {
        let resource = Resource { kind: action.on(), ..elsewhere.clone() };
        let denied = w.authorizer.authorize(&w.person(Role::Admin), action, &resource).unwrap_err();
        assert!(denied.concealed, "{action}: a stranger must not learn that it exists");
    }
}

#[test]
fn a_member_is_told_that_they_may_not_but_only_of_what_they_may_see() {
    let w = world();
    let denied = w.authorizer.authorize(&w.person(Role::Viewer), Action::PipelineDeploy, &w.pipeline()).unwrap_err();
    assert!(!denied.concealed, "a viewer sees pipelines: forbidden, not missing");
    let audit = Resource::in_project(ResourceKind::Audit, w.project);
    let denied = w.authorizer.authorize(&w.person(Role::Viewer), Action::AuditRead, &audit).unwrap_err();
    assert!(!denied.concealed, "that there is an audit log is no secret");
    let denied = w.authorizer.authorize(&w.person(Role::Viewer), Action::AuditRead, &audit.id("leaf-7")).unwrap_err();
    assert!(denied.concealed, "which leaves there are is one");
}

#[test]
fn a_token_has_its_scopes_and_never_more_than_its_owner() {
    let w = world();
    let cases: [(Role, &[&str], Action, Result<&str, &str>); 5] = [
        (Role::Engineer, &["pipeline.*"], Action::PipelineDeploy, Ok("engineer.deploy")),
        (Role::Engineer, &["pipeline.read"], Action::PipelineDeploy, Err("token.scope")),
        (Role::Engineer, &["pipeline.read"], Action::PipelineRead, Ok("viewer.pipelines")),
        (Role::Viewer, &["pipeline.*"], Action::PipelineDeploy, Err("default.deny")),
        (Role::Admin, &[], Action::PipelineRead, Err("token.scope")),
    ];
    for (role, scopes, action, expected) in cases {
        let decision = w.authorizer.decide(&w.token(role, Some(w.project), scopes), action, &w.pipeline());
        let found = if decision.allowed { Ok(decision.rule.as_str()) } else { Err(decision.rule.as_str()) };
        assert_eq!(found, expected, "{role} token with {scopes:?} asks for {action}");
    }
}

#[test]
fn a_token_of_one_project_is_no_good_in_another_of_its_owner() {
    let w = world();
    let second = ProjectId::generate();
    let token = w.token(Role::Admin, Some(w.project), &["pipeline.*"]).with_role(second, Role::Admin);
    let decision =
        w.authorizer.decide(&token, Action::PipelineRead, &Resource::in_project(ResourceKind::Pipeline, second).id("x"));
    assert_eq!((decision.allowed, decision.rule.as_str()), (false, "token.project"));
    assert_eq!(token.projects().collect::<Vec<_>>(), [w.project]);
}

#[test]
fn sensitive_data_asks_for_a_higher_clearance() {
    let w = world();
    let held = |class| Resource::in_project(ResourceKind::Quarantine, w.project).id("s").classified(class);
    for (role, class, allowed) in [
        (Role::Engineer, Classification::Confidential, true),
        (Role::Engineer, Classification::Restricted, false),
        (Role::Steward, Classification::Restricted, true),
        (Role::Viewer, Classification::Public, false),
    ] {
        assert_eq!(w.authorizer.decide(&w.person(role), Action::QuarantineRead, &held(class)).allowed, allowed, "{role} {class}");
    }
}

#[test]
fn only_actions_and_kinds_are_scopes() {
    for good in ["pipeline.read", "ingest.write", "audit.*"] {
        assert!(good.parse::<Scope>().is_ok(), "{good}");
    }
    for bad in ["", "*", "pipeline", "pipeline.", "pipeline.fly", "pipe*", "ufo.*", "pipeline:read"] {
        assert!(bad.parse::<Scope>().is_err(), "{bad}");
    }
    assert!(!"run.*".parse::<Scope>().unwrap().covers(Action::QuarantineRead));
}
