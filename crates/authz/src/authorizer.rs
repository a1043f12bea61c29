//! The decision: casbin over the embedded policies, denied by default, and never more than a token's scopes.

use std::{
    collections::HashMap,
    future::Future,
    pin::pin,
    sync::Mutex,
    task::{Context, Poll, Waker},
};

use casbin::{CoreApi, DefaultModel, Enforcer, MgmtApi, StringAdapter, function_map::OperatorFunction, rhai::Dynamic};
use weir_spec::Classification;

use crate::{
    action::Action,
    actor::{Actor, Principal},
    effect::{FirstAllow, Matched},
    grant::Grant,
    resource::Resource,
};

const MODEL: &str = include_str!("../../../policies/model.conf");
const POLICY: &str = include_str!("../../../policies/policy.csv");
/// How many distinct questions are remembered; purposes are free text, so the number is not bounded by itself.
const REMEMBERED: usize = 8_192;

/// The policies cannot be read. They are part of the binary, so a release never shows this.
#[derive(Debug, thiserror::Error)]
#[error("the permission policies are broken: {0}")]
pub struct PolicyError(String);

/// What was decided and why. `rule` is the allowing rule's name in `policy.csv`, or what stood against it: `default.deny`,
/// `token.scope`, `token.project`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub allowed: bool,
    pub rule: String,
}

/// The answer to a request that may not be done. `concealed`: the actor may not even know that the resource exists, so the
/// answer to the outside is «not found», not «forbidden».
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{actor} may not do {action} on {resource} ({rule})")]
pub struct Denied {
    pub actor: String,
    pub action: Action,
    pub resource: Box<Resource>,
    pub rule: String,
    pub concealed: bool,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Question {
    role: &'static str,
    action: Action,
    classification: Classification,
    owner: &'static str,
    purpose: String,
}

struct Casbin {
    enforcer: Enforcer,
    matched: Matched,
    rules: Vec<String>,
    answers: HashMap<Question, Option<usize>>,
}

/// Decides who may do what. Cheap to ask: answers depend on the embedded policies only and are remembered.
pub struct Authorizer {
    casbin: Mutex<Casbin>,
}

impl std::fmt::Debug for Authorizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authorizer")
    }
}

impl Authorizer {
    /// Reads the embedded policies.
    pub fn new() -> Result<Self, PolicyError> {
        Self::from_policies(MODEL, POLICY)
    }

    pub(crate) fn from_policies(model: &str, policy: &str) -> Result<Self, PolicyError> {
        let broken = |e: casbin::Error| PolicyError(e.to_string());
        let matched = Matched::new();
        let mut enforcer = at_once(async {
            let model = DefaultModel::from_str(model).await?;
            Enforcer::new(model, StringAdapter::new(policy)).await
        })
        .map_err(broken)?;
        enforcer.set_effector(Box::new(FirstAllow(matched.clone())));
        enforcer.add_function("clears", OperatorFunction::Arg2(clears));
        let rules = enforcer.get_policy().into_iter().map(|mut rule| rule.swap_remove(0)).collect();
        Ok(Self { casbin: Mutex::new(Casbin { enforcer, matched, rules, answers: HashMap::new() }) })
    }

    /// Decides, without making a grant of it: for menus, disabled buttons and the matrix.
    pub fn decide(&self, actor: &Actor, action: Action, resource: &Resource) -> Decision {
        if let Principal::Token { project, scopes, .. } = &actor.principal {
            if !scopes.iter().any(|scope| scope.covers(action)) {
                return Decision { allowed: false, rule: "token.scope".to_owned() };
            }
            if project.is_some() && *project != resource.project {
                return Decision { allowed: false, rule: "token.project".to_owned() };
            }
        }
        let owner = match (resource.owner, actor.user_id()) {
            (None, _) => "none",
            (Some(owner), Some(user)) if owner == user => "self",
            (Some(_), _) => "other",
        };
        let purpose = resource.purpose.as_deref().unwrap_or("none");
        let mut casbin = self.casbin.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for role in roles_in_force(actor, resource) {
            let question = Question { role, action, classification: resource.classification, owner, purpose: purpose.to_owned() };
            if let Some(rule) = casbin.ask(question) {
                return Decision { allowed: true, rule };
            }
        }
        Decision { allowed: false, rule: "default.deny".to_owned() }
    }

    /// The choke point: a grant, or the reason why not.
    pub fn authorize(&self, actor: &Actor, action: Action, resource: &Resource) -> Result<Grant, Denied> {
        let decision = self.decide(actor, action, resource);
        if decision.allowed {
            return Ok(Grant::new(actor, action, resource, decision.rule));
        }
        Err(Denied {
            actor: actor.audit_name(),
            action,
            resource: Box::new(resource.clone()),
            rule: decision.rule,
            concealed: self.is_concealed_from(actor, resource),
        })
    }

    /// Whether the actor must not learn that the resource exists: it lies in a project they are no member of, or it is one
    /// thing of a kind that they may not see.
    pub fn is_concealed_from(&self, actor: &Actor, resource: &Resource) -> bool {
        let stranger = resource.project.is_some_and(|project| {
            !actor.instance_admin && !matches!(actor.principal, Principal::System(_)) && actor.projects().all(|p| p != project)
        });
        stranger || (resource.id.is_some() && !self.decide(actor, resource.kind.seen_by(), resource).allowed)
    }
}

impl Casbin {
    fn ask(&mut self, question: Question) -> Option<String> {
        let known = self.answers.get(&question).copied();
        let answer = known.unwrap_or_else(|| {
            let request = vec![
                question.role.to_owned(),
                question.action.as_str().to_owned(),
                question.classification.as_str().to_owned(),
                question.owner.to_owned(),
                question.purpose.clone(),
            ];
            let allowed = match self.enforcer.enforce(request) {
                Ok(allowed) => allowed,
                Err(error) => {
                    tracing::error!(%error, action = %question.action, "the policy engine failed; the request is denied");
                    false
                }
            };
            let rule = self.matched.take().filter(|_| allowed);
            if self.answers.len() >= REMEMBERED {
                self.answers.clear();
            }
            self.answers.insert(question, rule);
            rule
        });
        answer.map(|at| self.rules[at].clone())
    }
}

/// The names by which the policies know the actor, for this resource.
fn roles_in_force(actor: &Actor, resource: &Resource) -> Vec<&'static str> {
    let mut roles = Vec::new();
    if let Some(in_project) = resource.project.and_then(|project| actor.roles.get(&project)) {
        roles.extend(in_project.iter().map(|role| role.as_str()));
    }
    if actor.instance_admin {
        roles.push("instance_admin");
    }
    match actor.principal {
        Principal::Anonymous => {}
        Principal::System(_) => roles.push("system"),
        Principal::User(_) | Principal::Token { .. } if resource.project.is_none() => roles.push("signed_in"),
        Principal::User(_) | Principal::Token { .. } => {}
    }
    roles
}

/// The matcher's `clears(classification, clearance)`. What is not a classification is cleared by nothing.
fn clears(classification: Dynamic, clearance: Dynamic) -> Dynamic {
    let level = |name: Dynamic| {
        let name = name.into_string().ok()?;
        Classification::ALL.into_iter().find(|c| c.as_str() == name)
    };
    match (level(classification), level(clearance)) {
        (Some(classification), Some(clearance)) => (classification <= clearance).into(),
        _ => false.into(),
    }
}

/// Runs a future that never waits: casbin's loaders are async in form only when the policy comes from memory.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(done) = future.as_mut().poll(&mut context) {
            return done;
        }
        std::thread::yield_now();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_embedded_policies_are_whole() {
        let authorizer = Authorizer::new().unwrap();
        let casbin = authorizer.casbin.lock().unwrap();
        let policy = casbin.enforcer.get_policy();
        let lines = POLICY.lines().filter(|line| line.starts_with("p,")).count();
        assert_eq!(policy.len(), lines, "a line was not read, or stands twice");
        let names: BTreeSet<_> = casbin.rules.iter().collect();
        assert_eq!(names.len(), lines, "two rules have one name");
        for rule in &policy {
            let action = rule[2].as_str();
            let names_something = Action::ALL.iter().any(|a| match action.strip_suffix('*') {
                Some(prefix) => a.as_str().starts_with(prefix),
                None => a.as_str() == action,
            });
            assert!(names_something, "{}: `{action}` is no action", rule[0]);
            assert!(Classification::ALL.iter().any(|c| c.as_str() == rule[3]), "{}: `{}` is no clearance", rule[0], rule[3]);
            assert!(["any", "self", "other"].contains(&rule[4].as_str()), "{}: `{}` is no owner", rule[0], rule[4]);
        }
    }

    #[test]
    fn purposes_and_clearances_narrow_a_rule() {
        let policy = "p, narrow, viewer, run.read, internal, other, essential.*";
        let authorizer = Authorizer::from_policies(MODEL, policy).unwrap();
        let project = weir_api::ProjectId::generate();
        let actor = Actor::user(weir_api::UserId::generate(), "x").with_role(project, weir_api::Role::Viewer);
        let run = Resource::in_project(crate::ResourceKind::Run, project)
            .owned_by(weir_api::UserId::generate())
            .for_purpose("essential.fraud");
        let may = |resource: &Resource| authorizer.decide(&actor, Action::RunRead, resource).allowed;
        assert!(may(&run));
        assert!(!may(&run.clone().for_purpose("marketing")));
        assert!(!may(&run.clone().classified(Classification::Confidential)));
        assert!(!may(&Resource { owner: actor.user_id(), ..run }));
    }

    #[test]
    fn a_policy_that_cannot_be_evaluated_denies() {
        let actor = Actor::system("worker");
        let run = Resource::of_instance(crate::ResourceKind::Run);
        for model in
            [MODEL.replace("keyMatch(r.action, p.action)", "noSuchFunction(r.action)"), MODEL.replace("clears(", "clears(1, ")]
        {
            let authorizer = Authorizer::from_policies(&model, POLICY).unwrap();
            assert!(!authorizer.decide(&actor, Action::RunRead, &run).allowed);
        }
        assert!(Authorizer::from_policies(&MODEL.replace("keyMatch(r.action", "keyMatch((r.action"), POLICY).is_err());
    }
}
