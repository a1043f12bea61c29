//! Envelope encryption, per-subject keys, tokens and masking operators.
//!
//! ```text
//! MasterKey --seals--> project key --derives (HKDF)--> subject-hash, quarantine, measures, token:{purpose}, hash:{purpose}
//!                                  --seals--> a random key per data subject --encrypts--> that person's values
//! ```
//!
//! Destroying a subject's key makes every value under it unreadable: that is erasure. Hashes and tokens are deterministic
//! within a project and purpose, so joins still work, and meaningless without the key.
//!
//! Invariants: keys are wiped when dropped and never shown by `Debug`; no error or log holds a value; masking keeps the
//! number of rows, and nulls stay null; a row whose subject has no key is never passed on in the clear.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::print_stdout))]

mod aead;
pub mod key;
pub mod keyring;
pub mod mac;
pub mod mask;
pub mod master;
pub mod measures;
pub mod project;
pub mod quarantine;
pub mod seal;
pub mod subject;
mod text;

pub use key::{Key, KeyError, KeyId};
pub use keyring::{Lookup, RowKeys, StoredKey, SubjectKey, SubjectKeyId, SubjectKeyStore, SubjectKeyring};
pub use mac::Mac;
pub use mask::{MaskContext, MaskError, MaskOp, compile, decrypt, supports};
pub use master::{MasterKey, MasterKeyError, MasterKeyOrigin};
pub use project::ProjectKeys;
pub use seal::{SealError, Sealed};
pub use subject::{SubjectHasher, SubjectId, Subjects};

/// A file of the public test data, or none, saying so.
#[cfg(test)]
fn test_data(path: &str) -> Option<std::path::PathBuf> {
    let root = match std::env::var_os("WEIR_TEST_DATA") {
        Some(root) => root.into(),
        None => std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
    };
    let path = root.join(path);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: no test data at {}; set WEIR_TEST_DATA", path.display());
    None
}
