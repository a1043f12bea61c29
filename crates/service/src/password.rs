//! Passwords: argon2id, hashed off the async threads, a few at a time.

use std::sync::{Arc, LazyLock};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use weir_api::Secret;

use crate::{Error, Result};

/// Short enough to remember, long enough not to be guessed (NIST SP 800-63B asks for 8 at least; no composition rules).
pub(crate) const MIN_LENGTH: usize = 12;
/// Longer texts only cost time.
pub(crate) const MAX_LENGTH: usize = 256;

/// Every hash takes 19 MiB and one core, so only so many run side by side.
static TURNS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(4)));

/// What an unknown user's password is checked against, so that the answer takes as long as for a known one.
static NOBODY: LazyLock<String> = LazyLock::new(|| {
    hash_now(&Secret::new("nobody")).expect("invariant: the parameters are valid and the system has random bytes")
});

/// OWASP's first recommendation for argon2id: 19 MiB, two passes, one lane.
fn argon2() -> Argon2<'static> {
    let params = Params::new(19 * 1024, 2, 1, None).expect("invariant: the parameters are within argon2's bounds");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn hash_now(password: &Secret) -> Result<String> {
    let hash: PasswordHash = argon2()
        .hash_password(password.expose().as_bytes())
        .map_err(|e| Error::Internal(format!("a password could not be hashed: {e}")))?;
    Ok(hash.to_string())
}

/// Refuses what is too short or too long.
pub(crate) fn check(field: &str, password: &Secret) -> Result<()> {
    match password.expose().chars().count() {
        ..MIN_LENGTH => Err(Error::invalid(field, format!("must have at least {MIN_LENGTH} characters"))),
        MIN_LENGTH..=MAX_LENGTH => Ok(()),
        _ => Err(Error::invalid(field, format!("must have at most {MAX_LENGTH} characters"))),
    }
}

/// The PHC string to store.
pub(crate) async fn hash(password: Secret) -> Result<String> {
    off_thread(turn().await?, move || hash_now(&password)).await?
}

/// Leave to check a password. Whoever counts failures holds it from the look at the lock until the failure is counted: of guesses
/// that are sent side by side, only as many as there are turns can then overlook a lock.
#[derive(Clone)]
pub(crate) struct Turn(#[expect(dead_code, reason = "held, not read")] Arc<OwnedSemaphorePermit>);

/// Waits for a turn.
pub(crate) async fn turn() -> Result<Turn> {
    let permit =
        Arc::clone(&TURNS).acquire_owned().await.map_err(|_| Error::Internal("the password workers are gone".to_owned()))?;
    Ok(Turn(Arc::new(permit)))
}

/// Whether the password is the one that was hashed. Without a hash the answer is no, after the same work.
pub(crate) async fn verify(turn: &Turn, stored: Option<String>, password: Secret) -> Result<bool> {
    off_thread(turn.clone(), move || {
        // Made at the first use, whoever that is about.
        let nobodys = LazyLock::force(&NOBODY);
        let nobody = stored.is_none();
        let stored = stored.unwrap_or_else(|| nobodys.clone());
        let parsed =
            PasswordHash::new(&stored).map_err(|e| Error::Internal(format!("a stored password hash is damaged: {e}")))?;
        // An overlong password is no password that anyone set; do not spend time on it.
        let plausible = password.expose().len() <= 4 * MAX_LENGTH;
        Ok(plausible && argon2().verify_password(password.expose().as_bytes(), &parsed).is_ok() && !nobody)
    })
    .await?
}

async fn off_thread<T: Send + 'static>(turn: Turn, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(move || {
        let done = work();
        // The turn lasts as long as the work, even if nobody waits for it any more.
        drop(turn);
        done
    })
    .await
    .map_err(|e| Error::Internal(format!("a password could not be checked: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_right_password_alone_is_accepted() {
        let stored = hash(Secret::new("correct horse battery")).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        let turn = turn().await.unwrap();
        assert!(verify(&turn, Some(stored.clone()), Secret::new("correct horse battery")).await.unwrap());
        assert!(!verify(&turn, Some(stored.clone()), Secret::new("correct horse batterz")).await.unwrap());
        assert!(!verify(&turn, Some(stored), Secret::new("")).await.unwrap());
    }

    #[tokio::test]
    async fn nobody_has_no_password_not_even_the_one_they_are_measured_with() {
        assert!(!verify(&turn().await.unwrap(), None, Secret::new("nobody")).await.unwrap());
    }

    #[test]
    fn length_is_counted_in_characters() {
        for (text, ok) in [("a".repeat(11), false), ("ä".repeat(12), true), ("a".repeat(256), true), ("a".repeat(257), false)] {
            assert_eq!(check("password", &Secret::new(text.clone())).is_ok(), ok, "{}", text.len());
        }
    }
}
