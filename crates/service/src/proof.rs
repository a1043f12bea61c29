//! The whole log read again and checked against its heads wherever they are kept: for the console, and offline for the command line.

use std::{fs::File, io::BufReader, path::Path, time::Duration};

use weir_evidence::{
    HeadOrigin, Outcome, Places, PublicKey, Reason, TreeHead, Trust, Verifier,
    heads_file::{self, HeadsFileError},
};
use weir_store::{Store, evidence, heads, keys};
use weir_vault::MasterKey;

use crate::{Error, Result, heads as signing};

/// How often the heads are read before a difference between their places counts: somebody may be signing.
const READINGS: u32 = 3;

/// What verification stands on besides the log itself.
#[derive(Default)]
pub struct Given<'a> {
    /// Heads that were kept elsewhere.
    pub outside: Vec<TreeHead>,
    /// Trust these keys only; with none, all that this instance ever had.
    pub keys: Vec<PublicKey>,
    /// Where it is at hand, the sealed copy of the newest head is opened, too.
    pub master: Option<&'a MasterKey>,
}

/// Verifies the log of a store whose heads file is at `path`. `seen` is called for each leaf that fits. `Err` only where something
/// cannot be read at all.
pub async fn verify(store: &Store, path: &Path, given: Given<'_>, seen: impl FnMut()) -> Result<Outcome> {
    let own = public_keys(store).await?;
    let has_signed = !own.is_empty();
    let Found { places, fault, copy } = settled(store, path).await?;
    let trust = Trust { log_id: store.log_id().to_string(), keys: if given.keys.is_empty() { own } else { given.keys } };
    let outside = given.outside.into_iter().map(|head| (HeadOrigin::Outside, head));
    let mut verifier = Verifier::new(&trust, places.heads().chain(outside));
    evidence::verify(store, &mut verifier, seen).await?;
    if let Some(fault) = fault {
        verifier.break_beside(fault);
    }
    match places.compare() {
        Ok(note) => note.into_iter().for_each(|note| verifier.note(note)),
        Err(reason) => verifier.break_beside(reason),
    }
    if let (Some(master), Some(copy)) = (given.master, &copy)
        && let Err(Error::Conflict(_)) = signing::open_copy(master, copy)
    {
        verifier.break_beside(Reason::SealedCopy { problem: "was changed".to_owned() });
    }
    if has_signed && verifier.size() == 0 {
        verifier.break_beside(Reason::Emptied);
    }
    Ok(verifier.finish())
}

/// The public keys of all keys that this instance ever had for signing heads.
pub async fn public_keys(store: &Store) -> Result<Vec<PublicKey>> {
    let known = keys::list(store, signing::KEY_KIND, None).await?;
    let public = known.iter().filter_map(|key| key.public_key.as_deref());
    let read = |bytes: &[u8]| PublicKey::from_bytes(bytes.try_into().ok()?).ok();
    public
        .map(|bytes| {
            read(bytes).ok_or_else(|| Error::Internal("a public key of this instance is none; it was changed".to_owned()))
        })
        .collect()
}

struct Found {
    places: Places,
    /// What is wrong with a single head.
    fault: Option<Reason>,
    copy: Option<heads::SealedHead>,
}

/// Reads the heads until all places tell the same, a few times at most.
async fn settled(store: &Store, path: &Path) -> Result<Found> {
    let mut found = read(store, path).await?;
    for _ in 1..READINGS {
        if found.fault.is_none() && found.places.compare().is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        found = read(store, path).await?;
    }
    Ok(found)
}

/// The file first: what is in it was in the database before.
async fn read(store: &Store, path: &Path) -> Result<Found> {
    let (file, mut fault) = match from_file(path.to_owned()).await? {
        Ok(heads) => (heads, None),
        Err(reason) => (Vec::new(), Some(reason)),
    };
    let recorded = heads::recorded(store).await?;
    fault = recorded.fault.or(fault);
    let copy = heads::sealed(store).await?;
    let sealed = match copy.as_ref().map(|copy| TreeHead::from_line(&copy.line)).transpose() {
        Ok(sealed) => sealed,
        Err(error) => {
            fault.get_or_insert(Reason::DamagedHead { origin: HeadOrigin::Sealed, problem: error.to_string() });
            None
        }
    };
    Ok(Found { places: Places { log: recorded.heads, file, sealed }, fault, copy })
}

async fn from_file(path: std::path::PathBuf) -> Result<Result<Vec<TreeHead>, Reason>> {
    let read = tokio::task::spawn_blocking(move || match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        opened => heads_file::read(BufReader::new(opened?)).map(|found| found.heads),
    });
    match read.await.map_err(|e| Error::internal("the heads file", e))? {
        Ok(heads) => Ok(Ok(heads)),
        Err(HeadsFileError::Io(error)) => Err(Error::internal("the heads file", error)),
        Err(damaged) => Ok(Err(Reason::DamagedHead { origin: HeadOrigin::HeadsFile, problem: damaged.to_string() })),
    }
}
