//! A project's keys: one random key, sealed under the master key, from which the keys for each use are derived.

use crate::{
    key::{Key, KeyId},
    master::MasterKey,
    seal::{SealError, Sealed, Sealer},
    subject::SubjectHasher,
};

/// The keys of one project. Two projects share nothing: the same value has another hash and another token in each.
#[derive(Debug)]
pub struct ProjectKeys {
    project: String,
    key: Key,
}

impl ProjectKeys {
    /// A new project's keys, and what to store of them.
    pub fn create(master: &MasterKey, project: &str) -> Result<(Self, Sealed), SealError> {
        let keys = Self { project: project.to_owned(), key: Key::generate()? };
        let sealed = keys.seal_under(master)?;
        Ok((keys, sealed))
    }

    /// The keys of a project from what was stored of them.
    pub fn open(master: &MasterKey, project: &str, sealed: &Sealed) -> Result<Self, SealError> {
        let secret = master.key().open(&aad(project), sealed)?;
        let key = Key::from_bytes(secret.as_slice().try_into().map_err(|_| SealError::NotSealed)?);
        Ok(Self { project: project.to_owned(), key })
    }

    /// Seals the project key, perhaps under a new master key.
    pub fn seal_under(&self, master: &MasterKey) -> Result<Sealed, SealError> {
        master.key().seal(&aad(&self.project), self.key.expose())
    }

    pub fn project(&self) -> &str {
        &self.project
    }

    /// Names the project key in evidence.
    pub fn id(&self) -> KeyId {
        self.key.id()
    }

    /// Turns a person's identifier into the [`crate::SubjectId`] that stands for them everywhere.
    pub fn subject_hasher(&self) -> SubjectHasher {
        SubjectHasher::new(&self.key.derive("subject-hash"))
    }

    /// Seals subjects' keys.
    pub fn subject_key_sealer(&self) -> Sealer {
        Sealer::new(&self.key.derive("subject-key"))
    }

    /// Seals quarantined rows.
    pub fn quarantine_sealer(&self) -> Sealer {
        Sealer::new(&self.key.derive("quarantine"))
    }

    /// Seals what windows of quality steps added up to.
    pub fn measures_sealer(&self) -> Sealer {
        Sealer::new(&self.key.derive("measures"))
    }

    /// For `hash` masks of pipelines with this purpose.
    pub fn hash_key(&self, purpose: &str) -> Key {
        self.key.derive(&format!("hash:{purpose}"))
    }

    /// For `token` masks of pipelines with this purpose.
    pub fn token_key(&self, purpose: &str) -> Key {
        self.key.derive(&format!("token:{purpose}"))
    }

    /// For another use, named by a label such as `ingest-log`.
    pub fn derive(&self, label: &str) -> Key {
        self.key.derive(&format!("use:{label}"))
    }
}

fn aad(project: &str) -> Vec<u8> {
    [b"weir/project-key/v1/", project.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn master(byte: u8) -> MasterKey {
        MasterKey::from_key(Key::from_bytes(&[byte; 32]))
    }

    #[test]
    fn opens_under_its_master_key_and_project_only() {
        let (keys, sealed) = ProjectKeys::create(&master(1), "payments").unwrap();
        let opened = ProjectKeys::open(&master(1), "payments", &sealed).unwrap();
        assert_eq!(opened.id(), keys.id());
        assert!(matches!(ProjectKeys::open(&master(2), "payments", &sealed), Err(SealError::WrongKey { .. })));
        assert!(matches!(ProjectKeys::open(&master(1), "other", &sealed), Err(SealError::Unauthentic)));
    }

    #[test]
    fn moves_to_a_new_master_key() {
        let (keys, _) = ProjectKeys::create(&master(1), "payments").unwrap();
        let resealed = keys.seal_under(&master(2)).unwrap();
        assert_eq!(ProjectKeys::open(&master(2), "payments", &resealed).unwrap().id(), keys.id());
    }

    #[test]
    fn every_use_has_its_own_key() {
        let (keys, _) = ProjectKeys::create(&master(1), "payments").unwrap();
        let ids = [
            keys.id(),
            keys.subject_key_sealer().key_id(),
            keys.quarantine_sealer().key_id(),
            keys.hash_key("fraud").id(),
            keys.hash_key("marketing").id(),
            keys.token_key("fraud").id(),
            keys.derive("fraud").id(),
        ];
        assert!((1..ids.len()).all(|n| !ids[..n].contains(&ids[n])), "{ids:?}");
    }
}
