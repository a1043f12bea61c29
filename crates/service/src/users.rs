//! Users of this instance.

use weir_api::{
    CreateUser, CreatedUser, Page, PageQuery, Secret, SetPassword, UpdateUser, User, UserId,
};

use crate::{Cx, Result};

/// All users of the instance, by name.
pub async fn list(cx: &Cx, query: PageQuery) -> Result<Page<User>> {
    let _ = (cx, query);
    todo!()
}

/// One user.
pub async fn get(cx: &Cx, id: UserId) -> Result<User> {
    let _ = (cx, id);
    todo!()
}

/// Makes a user and, inside a project, gives roles in it.
pub async fn create(cx: &Cx, request: CreateUser) -> Result<CreatedUser> {
    let _ = (cx, request);
    todo!()
}

/// Renames, disables or enables. Disabling ends all sessions.
pub async fn update(cx: &Cx, id: UserId, request: UpdateUser) -> Result<User> {
    let _ = (cx, id, request);
    todo!()
}

/// Gives a new password, ends all sessions and lifts a lockout. Returns the password when one was made.
pub async fn set_password(cx: &Cx, id: UserId, request: SetPassword) -> Result<Option<Secret>> {
    let _ = (cx, id, request);
    todo!()
}
