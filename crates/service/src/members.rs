//! Who has which roles in a project.

use std::collections::{BTreeMap, BTreeSet};

use weir_api::{AddMember, Member, Page, PageQuery, ProjectId, Role, SetMember, UserId};
use weir_authz::{Action, Grant, Resource, ResourceKind};
use weir_store::{Tx, projects, users};

use crate::{Cx, Error, Result, change::Change, paging::page, users as service_users};

/// The members of the project, by name.
pub async fn list(cx: &Cx, query: PageQuery) -> Result<Page<Member>> {
    let project = cx.project()?.id;
    cx.authorize(Action::MemberRead, &Resource::in_project(ResourceKind::Member, project)).await?;
    let mut roles = projects::members(cx.store(), project).await?;
    let users = users::list(cx.store()).await?;
    let members = users
        .into_iter()
        .filter_map(|user| {
            roles.remove(&user.id).map(|roles| Member { user: service_users::dto(user), roles: roles.into_iter().collect() })
        })
        .collect();
    page(members, &query, |member| member.user.name.clone())
}

/// Takes an existing user into the project, by sign-in name.
pub async fn add(cx: &Cx, request: AddMember) -> Result<Member> {
    let project = cx.project()?.id;
    let permitted = cx.authorize(Action::MemberWrite, &Resource::in_project(ResourceKind::Member, project)).await?;
    if request.roles.is_empty() {
        return Err(Error::invalid("roles", "name at least one role"));
    }
    let name = service_users::normal_name(&request.name);
    let Some(found) = users::by_name(cx.store(), &name).await? else {
        return Err(Error::invalid("name", "nobody has this sign-in name; an administrator of the instance can create the user"));
    };
    let roles: BTreeSet<Role> = request.roles.into_iter().collect();
    let mut change = cx.change(&permitted).await?;
    write(cx, &mut change, &permitted, project, found.user.id, &roles).await?;
    change.commit().await?;
    Ok(Member { user: service_users::dto(found.user), roles: roles.into_iter().collect() })
}

/// Sets the roles of a user in the project; none removes the membership. A project keeps at least one administrator who may sign in.
pub async fn set(cx: &Cx, user: UserId, request: SetMember) -> Result<Option<Member>> {
    let project = cx.project()?.id;
    let resource = Resource::in_project(ResourceKind::Member, project).id(user);
    let permitted = cx.authorize(Action::MemberWrite, &resource).await?;
    let roles: BTreeSet<Role> = request.roles.into_iter().collect();
    let mut change = cx.change(&permitted).await?;
    let Some(found) = users::by_id(change.tx(), user).await? else {
        return Err(Error::missing(&resource));
    };
    write(cx, &mut change, &permitted, project, user, &roles).await?;
    change.commit().await?;
    Ok((!roles.is_empty()).then(|| Member { user: service_users::dto(found), roles: roles.into_iter().collect() }))
}

async fn write(
    cx: &Cx,
    change: &mut Change,
    permitted: &Grant,
    project: ProjectId,
    user: UserId,
    roles: &BTreeSet<Role>,
) -> Result<()> {
    let members = projects::members(change.tx(), project).await?;
    let was_admin = members.get(&user).is_some_and(|roles| roles.contains(&Role::Admin));
    if was_admin && !roles.contains(&Role::Admin) && !has_other_admin(change.tx(), &members, user).await? {
        return Err(Error::Conflict("a project keeps at least one administrator; make somebody else one first".to_owned()));
    }
    projects::set_roles(change.tx(), permitted, project, user, roles, cx.now()).await?;
    change.before(format!("user:{user} {}", members.get(&user).map(names).unwrap_or_default()));
    change.after(format!("user:{user} {}", names(roles)));
    Ok(())
}

/// Whether somebody else among the members is an administrator who may sign in.
async fn has_other_admin(tx: &Tx, members: &BTreeMap<UserId, BTreeSet<Role>>, user: UserId) -> Result<bool> {
    let others = members.iter().filter(|(other, roles)| **other != user && roles.contains(&Role::Admin));
    for (other, _) in others {
        if users::by_id(tx, *other).await?.is_some_and(|other| other.disabled_at.is_none()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The projects that have no administrator left who may sign in once this user cannot.
pub(crate) async fn left_alone_by(tx: &Tx, user: UserId) -> Result<Vec<String>> {
    let mut alone = Vec::new();
    for (project, roles) in projects::roles_of(tx, user).await? {
        if !roles.contains(&Role::Admin) {
            continue;
        }
        let members = projects::members(tx, project).await?;
        if !has_other_admin(tx, &members, user).await? {
            alone.push(projects::by_id(tx, project).await?.map_or_else(|| project.to_string(), |project| project.slug));
        }
    }
    Ok(alone)
}

/// Roles as the audit log writes them: `engineer, viewer`, or `no role`.
pub(crate) fn names(roles: &BTreeSet<Role>) -> String {
    if roles.is_empty() {
        return "no role".to_owned();
    }
    roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", ")
}
