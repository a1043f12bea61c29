//! The master key: from the environment, from a file, or made at the first start. It never enters the database.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::key::{Key, KeyError, KeyId};

/// The environment variable that holds the master key as base64 or hex.
pub const ENVIRONMENT: &str = "WEIR_MASTER_KEY";

/// Seals project keys, and through them everything else.
#[derive(Debug)]
pub struct MasterKey(Key);

/// Where the master key came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MasterKeyOrigin {
    Environment,
    File,
    /// Made just now and written to the file: tell the administrator to keep a copy.
    Created,
}

/// Why there is no master key.
#[derive(Debug, Error)]
pub enum MasterKeyError {
    #[error("the environment variable {ENVIRONMENT} is {0}")]
    Environment(KeyError),
    #[error("the master key file {path} holds {source}")]
    NotAKey { path: PathBuf, source: KeyError },
    #[error(
        "the master key file {path} can be read by others (mode {mode:03o}); run `chmod 600 {path}` and consider who may have read it"
    )]
    ReadableByOthers { path: PathBuf, mode: u32 },
    #[error(
        "there is neither {ENVIRONMENT} nor the file {path}, and what is here was sealed under a master key; put the key back from the \
         copy that was kept elsewhere"
    )]
    Missing { path: PathBuf },
    #[error("cannot use the master key file {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Random(KeyError),
}

impl MasterKey {
    /// From [`ENVIRONMENT`] if it is set, else from the file, else made and written to the file.
    pub fn load(path: &Path) -> Result<(Self, MasterKeyOrigin), MasterKeyError> {
        let text = std::env::var(ENVIRONMENT).ok().map(Zeroizing::new);
        Self::load_from(text.as_ref().map(|text| text.as_str()), path)
    }

    /// As [`MasterKey::load`], but never makes one: a new key opens nothing that an old one has sealed.
    pub fn find(path: &Path) -> Result<(Self, MasterKeyOrigin), MasterKeyError> {
        let text = std::env::var(ENVIRONMENT).ok().map(Zeroizing::new);
        Self::find_from(text.as_ref().map(|text| text.as_str()), path)
    }

    /// As [`MasterKey::load`], with the environment's value given. An empty value counts as none.
    pub fn load_from(environment: Option<&str>, path: &Path) -> Result<(Self, MasterKeyOrigin), MasterKeyError> {
        match Self::find_from(environment, path) {
            Err(MasterKeyError::Missing { .. }) => Self::create(path),
            found => found,
        }
    }

    fn find_from(environment: Option<&str>, path: &Path) -> Result<(Self, MasterKeyOrigin), MasterKeyError> {
        if let Some(text) = environment.filter(|text| !text.trim().is_empty()) {
            let key = Key::parse(text).map_err(MasterKeyError::Environment)?;
            return Ok((Self(key), MasterKeyOrigin::Environment));
        }
        match Self::read(path) {
            Err(MasterKeyError::Io { source, path }) if source.kind() == io::ErrorKind::NotFound => {
                Err(MasterKeyError::Missing { path })
            }
            found => found.map(|key| (key, MasterKeyOrigin::File)),
        }
    }

    /// From a file of base64 or hex that nobody but its owner may read.
    pub fn read(path: &Path) -> Result<Self, MasterKeyError> {
        let io = |source| MasterKeyError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(io)?;
        refuse_readable_by_others(&file, path)?;
        let text = Zeroizing::new(io::read_to_string(io::Read::take(file, 4096)).map_err(io)?);
        let key = Key::parse(&text).map_err(|source| MasterKeyError::NotAKey { path: path.to_owned(), source })?;
        Ok(Self(key))
    }

    pub fn from_key(key: Key) -> Self {
        Self(key)
    }

    pub fn key(&self) -> &Key {
        &self.0
    }

    pub fn id(&self) -> KeyId {
        self.0.id()
    }

    /// Writes a new key under a temporary name, syncs it and links it into place: the file is whole or absent, and of two
    /// processes that start at once both end with the same key.
    fn create(path: &Path) -> Result<(Self, MasterKeyOrigin), MasterKeyError> {
        let key = Key::generate().map_err(MasterKeyError::Random)?;
        let temporary = path.with_extension(format!("new-{}", std::process::id()));
        let linked = write_private(&temporary, &key).and_then(|()| fs::hard_link(&temporary, path));
        let removed = fs::remove_file(&temporary);
        match linked.and(removed).and_then(|()| sync_folder(path)) {
            Ok(()) => Ok((Self(key), MasterKeyOrigin::Created)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Self::read(path).map(|key| (key, MasterKeyOrigin::File))
            }
            Err(source) => Err(MasterKeyError::Io { path: path.to_owned(), source }),
        }
    }
}

fn write_private(path: &Path, key: &Key) -> io::Result<()> {
    // Left behind by a process of the same id that died here.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    let text = Zeroizing::new(STANDARD.encode(key.expose()));
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if cfg!(unix) && !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn refuse_readable_by_others(file: &File, path: &Path) -> Result<(), MasterKeyError> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = file.metadata().map_err(|source| MasterKeyError::Io { path: path.to_owned(), source })?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(MasterKeyError::ReadableByOthers { path: path.to_owned(), mode }) }
}

#[cfg(not(unix))]
fn refuse_readable_by_others(_: &File, _: &Path) -> Result<(), MasterKeyError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_made_once_and_read_ever_after() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        let (made, origin) = MasterKey::load_from(None, &path).unwrap();
        assert_eq!(origin, MasterKeyOrigin::Created);
        let (read, origin) = MasterKey::load_from(Some(" "), &path).unwrap();
        assert_eq!(origin, MasterKeyOrigin::File);
        assert_eq!(read.key(), made.key());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file stays");
    }

    #[test]
    fn processes_that_start_at_once_agree() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        let (first, _) = MasterKey::create(&path).unwrap();
        let (second, origin) = MasterKey::create(&path).unwrap();
        assert_eq!(origin, MasterKeyOrigin::File);
        assert_eq!(first.key(), second.key());
    }

    #[test]
    fn the_environment_comes_first_and_touches_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        let (key, origin) = MasterKey::load_from(Some(&"ab".repeat(32)), &path).unwrap();
        assert_eq!((origin, key.key()), (MasterKeyOrigin::Environment, &Key::from_bytes(&[0xab; 32])));
        assert!(!path.exists());
        let error = MasterKey::load_from(Some("hunter2"), &path).unwrap_err().to_string();
        assert!(error.contains(ENVIRONMENT) && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_damaged_file_is_an_error_and_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        MasterKey::load_from(None, &path).unwrap();
        for damage in ["", "not a key", "AAAA"] {
            fs::write(&path, damage).unwrap();
            let error = MasterKey::load_from(None, &path).unwrap_err();
            assert!(matches!(error, MasterKeyError::NotAKey { .. }), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), damage);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        MasterKey::load_from(None, &path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        for mode in [0o640, 0o604, 0o620, 0o777] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = MasterKey::load_from(None, &path).unwrap_err().to_string();
            assert!(error.contains("chmod 600") && error.contains(&format!("{mode:o}")), "{error}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        assert!(MasterKey::load_from(None, &path).is_ok());
    }
}
