//! Sign-in, sessions and passwords.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use weir_api::{ChangePassword, Me, Secret, SignIn};

use crate::{Cx, RequestInfo, Result, Services};

/// A session just begun. The token goes into the cookie; only its hash is stored.
#[derive(Clone, Debug)]
pub struct SignedIn {
    pub token: Secret,
    /// The session ends then, whatever happens.
    pub expires_at: DateTime<Utc>,
    pub me: Me,
}

/// Checks name and password and begins a session. Errors: `SignInFailed`, `Locked`.
pub async fn sign_in(cx: &Cx, request: SignIn) -> Result<SignedIn> {
    let _ = (cx, request);
    todo!()
}

/// The context of a session token, or `Unauthenticated` when it is unknown, expired, idle too long or its user is disabled.
pub async fn resume(services: &Arc<Services>, token: &Secret, request: RequestInfo) -> Result<Cx> {
    let _ = (services, token, request);
    todo!()
}

/// Ends the session of this context.
pub async fn sign_out(cx: &Cx) -> Result<()> {
    let _ = (cx,);
    todo!()
}

/// The caller, with roles and permissions in the project of the context, or in their first project.
pub async fn me(cx: &Cx) -> Result<Me> {
    let _ = (cx,);
    todo!()
}

/// Changes the own password and ends all other sessions.
pub async fn change_password(cx: &Cx, request: ChangePassword) -> Result<()> {
    let _ = (cx, request);
    todo!()
}
