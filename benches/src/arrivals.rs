//! Files as they get their names: the moment at which a sink's output becomes visible, told by the kernel and not by polling.

use std::{
    ffi::OsString,
    mem::MaybeUninit,
    os::{fd::OwnedFd, unix::ffi::OsStringExt},
    path::Path,
    sync::mpsc::{Receiver, channel},
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result};
use rustix::fs::inotify::{CreateFlags, Reader, WatchFlags, add_watch, init};

use crate::weir::is_committed;

/// A file that was committed.
pub struct Arrival {
    pub name: OsString,
    pub at: SystemTime,
}

/// The committed files of one folder from now on.
pub struct Arrivals(Receiver<Arrival>);

impl Arrivals {
    pub fn watch(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let watch = init(CreateFlags::CLOEXEC).context("inotify is not to be had")?;
        add_watch(&watch, folder, WatchFlags::MOVED_TO).with_context(|| format!("cannot watch {}", folder.display()))?;
        let (told, arrivals) = channel();
        // Ends with the process; an observer costs nothing while nothing arrives.
        std::thread::Builder::new().name("arrivals".to_owned()).spawn(move || {
            let mut buffer = [MaybeUninit::uninit(); 64 << 10];
            let mut events = Reader::<OwnedFd>::new(watch, &mut buffer);
            while let Ok(event) = events.next() {
                let at = SystemTime::now();
                let Some(name) = event.file_name() else { continue };
                let name = OsString::from_vec(name.to_bytes().to_vec());
                if is_committed(&name) && told.send(Arrival { name, at }).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self(arrivals))
    }

    /// The next one, if it comes within this time.
    pub fn next_within(&self, time: Duration) -> Option<Arrival> {
        self.0.recv_timeout(time).ok()
    }
}
