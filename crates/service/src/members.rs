//! Who has which roles in a project.

use weir_api::{Member, Page, PageQuery, SetMember, UserId};

use crate::{Cx, Result};

/// The members of the project, by name.
pub async fn list(cx: &Cx, query: PageQuery) -> Result<Page<Member>> {
    let _ = (cx, query);
    todo!()
}

/// Sets the roles of a user in the project; none removes the membership. A project keeps at least one administrator.
pub async fn set(cx: &Cx, user: UserId, request: SetMember) -> Result<Option<Member>> {
    let _ = (cx, user, request);
    todo!()
}
