//! Where the paths of a pipeline begin, and the folders that they may not leave, wherever symbolic links lead.

use std::{
    io,
    ops::Deref,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use crate::error::ConnectorError;

/// The folder in which relative paths begin; used as a [`Path`], it is that folder. Whoever opens a file asks [`Self::admit`] first.
#[derive(Clone, Debug, Default)]
pub struct BaseDir {
    dir: PathBuf,
    /// Without symbolic links. None where paths may lead anywhere.
    roots: Option<Arc<[PathBuf]>>,
}

impl BaseDir {
    /// Paths lead anywhere, through symbolic links too: the document and the machine belong to the same person.
    pub fn unconfined(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), roots: None }
    }

    /// Paths stay in `dir` and the folders `allowed`. Where these lie behind symbolic links themselves, they are followed now.
    pub fn confined(dir: impl Into<PathBuf>, allowed: &[PathBuf]) -> Result<Self, ConnectorError> {
        let dir = dir.into();
        let root = |path: &PathBuf| {
            let followed = follow(path).map_err(|error| ConnectorError::io(path, error));
            followed.map(|followed| followed.real)
        };
        let roots = std::iter::once(&dir).chain(allowed).map(root).collect::<Result<_, ConnectorError>>()?;
        Ok(Self { roots: Some(roots), dir })
    }

    /// An error when the path, followed through every symbolic link on it, leaves the folders. What does not exist yet is where it
    /// would be made, also behind a link to nothing. Ask right before opening: a link that is made between the two is not seen.
    pub fn admit(&self, path: &Path) -> Result<(), ConnectorError> {
        let Some(roots) = &self.roots else { return Ok(()) };
        let is_inside = |real: &Path| roots.iter().any(|root| real.starts_with(root));
        if path.canonicalize().is_ok_and(|real| is_inside(&real)) {
            return Ok(());
        }
        let followed = follow(path).map_err(|error| ConnectorError::io(path, error))?;
        if is_inside(&followed.real) {
            return Ok(());
        }
        let (path, leads_to) = followed.last_link.unwrap_or_else(|| (path.to_owned(), followed.real));
        Err(ConnectorError::Outside { path, leads_to })
    }
}

impl Deref for BaseDir {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.dir
    }
}

impl From<&Path> for BaseDir {
    fn from(dir: &Path) -> Self {
        Self::unconfined(dir)
    }
}

/// Where a path leads.
struct Followed {
    /// Absolute, without `.`, `..` and symbolic links, as far as it exists.
    real: PathBuf,
    /// The last link on the way, and where it leads.
    last_link: Option<(PathBuf, PathBuf)>,
}

fn follow(path: &Path) -> io::Result<Followed> {
    let (mut real, mut written, mut last_link) = (PathBuf::new(), PathBuf::new(), None);
    for component in std::path::absolute(path)?.components() {
        written.push(component);
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                if !real.exists() || !real.pop() {
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, "`..` goes up from what does not exist"));
                }
            }
            other => {
                real.push(other);
                if real.is_symlink() {
                    // Links in a circle are an error of their own, so what is followed here ends.
                    let target = match real.canonicalize() {
                        Err(error) if error.kind() == io::ErrorKind::NotFound => {
                            let folder = real.parent().unwrap_or(&real);
                            follow(&folder.join(real.read_link()?))?.real
                        }
                        found => found?,
                    };
                    last_link = Some((written.clone(), target.clone()));
                    real = target;
                }
            }
        }
    }
    Ok(Followed { real, last_link })
}

#[cfg(all(test, unix))]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    /// `files/in` is a project's folder, `other` a folder beside it.
    fn world() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let (base, other) = (dir.path().join("files"), dir.path().join("other"));
        fs::create_dir_all(base.join("in")).unwrap();
        fs::create_dir_all(&other).unwrap();
        fs::write(base.join("in/a.json"), "{}").unwrap();
        fs::write(other.join("secret"), "{}").unwrap();
        (dir, base, other)
    }

    #[test]
    fn paths_that_stay_are_admitted_whether_they_exist_or_not() {
        let (_dir, base, _) = world();
        symlink("in", base.join("link")).unwrap();
        let confined = BaseDir::confined(&base, &[]).unwrap();
        for path in ["", "in/a.json", "link/a.json", "link/new/folder", "in/../in/./a.json", "new"] {
            confined.admit(&base.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        }
    }

    #[test]
    fn a_link_that_leads_out_is_named_with_where_it_leads() {
        let (_dir, base, other) = world();
        symlink(&other, base.join("in/link")).unwrap();
        let confined = BaseDir::confined(&base, &[]).unwrap();
        for path in ["in/link", "in/link/secret", "in/link/new/folder"] {
            let error = confined.admit(&base.join(path)).unwrap_err();
            let ConnectorError::Outside { path, leads_to } = &error else { panic!("{error}") };
            assert_eq!((path, leads_to), (&base.join("in/link"), &other.canonicalize().unwrap()));
        }
        BaseDir::confined(&base, std::slice::from_ref(&other)).unwrap().admit(&base.join("in/link/secret")).unwrap();
        BaseDir::unconfined(&base).admit(&base.join("in/link/secret")).unwrap();
    }

    #[test]
    fn what_would_be_made_elsewhere_is_refused() {
        let (_dir, base, other) = world();
        symlink(other.join("absent"), base.join("absolute")).unwrap();
        symlink("../other/absent", base.join("relative")).unwrap();
        let confined = BaseDir::confined(&base, &[]).unwrap();
        for path in ["absolute", "relative", "relative/x", "../other/x", "absent/../../other/x", "in/../../other/secret"] {
            assert!(confined.admit(&base.join(path)).is_err(), "{path}");
        }
    }

    #[test]
    fn a_base_behind_a_link_is_followed() {
        let (dir, base, _) = world();
        symlink(&base, dir.path().join("moved")).unwrap();
        let confined = BaseDir::confined(dir.path().join("moved"), &[]).unwrap();
        confined.admit(&confined.join("in/a.json")).unwrap();
    }
}
