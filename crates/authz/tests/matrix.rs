//! The golden matrix: role x action x resource. A change of policy shows up as a change of `policies/matrix.txt`.
//!
//! `UPDATE_EXPECT=1 cargo test -p weir-authz` writes it anew.
#![allow(clippy::unwrap_used)]

use std::fmt::Write;

use weir_api::{ProjectId, UserId};
use weir_authz::{Action, Actor, Authorizer, Resource, Role};
use weir_spec::Classification;

/// A column of the matrix: who asks.
struct Who {
    name: &'static str,
    actor: Actor,
}

fn everybody(project: ProjectId, user: UserId) -> Vec<Who> {
    let person = || Actor::user(user, "somebody");
    let mut all: Vec<_> =
        Role::ALL.into_iter().map(|role| Who { name: role.as_str(), actor: person().with_role(project, role) }).collect();
    all.push(Who { name: "instance", actor: Actor { instance_admin: true, ..person() } });
    all.push(Who { name: "signed-in", actor: person() });
    all.push(Who { name: "system", actor: Actor::system("worker") });
    all.push(Who { name: "anonymous", actor: Actor::anonymous() });
    all
}

const CLASSES: [Classification; 3] = [Classification::Internal, Classification::Confidential, Classification::Restricted];

/// The answers to everybody, for each class of a resource and for another's and one's own.
type Answers = [[String; 2]; 3];

fn answers(authorizer: &Authorizer, everybody: &[Who], action: Action, resource: &Resource, owners: [UserId; 2]) -> Answers {
    CLASSES.map(|class| {
        owners.map(|owner| {
            let resource = resource.clone().id("x").owned_by(owner).classified(class);
            everybody.iter().fold(String::new(), |cells, who| {
                let may = authorizer.decide(&who.actor, action, &resource).allowed;
                format!("{cells} {:<10}", if may { '+' } else { '.' })
            })
        })
    })
}

/// One line for each class and owner, where these make a difference.
fn lines(place: &str, answers: &Answers) -> Vec<(String, String)> {
    let class_matters = answers.iter().any(|by_owner| *by_owner != answers[0]);
    let owner_matters = answers.iter().any(|[others, own]| others != own);
    let mut lines = Vec::new();
    for (class, by_owner) in CLASSES.iter().zip(answers).take(if class_matters { 3 } else { 1 }) {
        for (owner, cells) in ["another's", "own"].iter().zip(by_owner).take(if owner_matters { 2 } else { 1 }) {
            let mut label = place.to_owned();
            if class_matters {
                write!(label, ", {class}").unwrap();
            }
            if owner_matters {
                write!(label, ", {owner}").unwrap();
            }
            lines.push((label, cells.clone()));
        }
    }
    lines
}

fn matrix() -> String {
    let (project, me, other) = (ProjectId::generate(), UserId::generate(), UserId::generate());
    let authorizer = Authorizer::new().unwrap();
    let everybody = everybody(project, me);
    let mut text = String::from(
        "# role x action x resource: + may, . may not. Made by a test from model.conf and policy.csv; do not edit.\n\
         # Class and owner are named where they make a difference; what nobody may, in a place, is left out.\n\n",
    );
    write!(text, "{:<18} {:<32}", "action", "resource").unwrap();
    for who in &everybody {
        write!(text, " {:<10}", who.name).unwrap();
    }
    text = text.trim_end().to_owned() + "\n";
    for &action in Action::ALL {
        let kind = action.on();
        let places = [("in the project", Resource::in_project(kind, project)), ("of the instance", Resource::of_instance(kind))];
        let mut name = action.as_str();
        for (place, resource) in places {
            let answers = answers(&authorizer, &everybody, action, &resource, [other, me]);
            if !answers.iter().flatten().any(|cells| cells.contains('+')) {
                continue;
            }
            for (label, cells) in lines(place, &answers) {
                text += format!("{name:<18} {label:<32}{cells}").trim_end();
                text.push('\n');
                name = "";
            }
        }
        assert!(name.is_empty(), "nobody may {action}");
    }
    text
}

#[test]
fn the_policies_allow_what_the_matrix_says_and_nothing_else() {
    expect_test::expect_file!["../../../policies/matrix.txt"].assert_eq(&matrix());
}
