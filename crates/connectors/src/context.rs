//! What a connector is told about its surroundings when it is opened.

use std::path::PathBuf;

use crate::base_dir::BaseDir;

/// The surroundings of a source.
#[derive(Clone, Default)]
pub struct SourceContext {
    /// The folder of the document: relative paths begin here.
    pub base_dir: BaseDir,
    /// `http` only: the folder of this very source's ingest log (one folder a source, nothing else in it).
    pub ingest_dir: Option<PathBuf>,
    /// `http` only: the key under which rows are sealed while they rest in the ingest log. Required there.
    pub seal_key: Option<[u8; 32]>,
}

impl std::fmt::Debug for SourceContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SourceContext")
            .field("base_dir", &self.base_dir)
            .field("ingest_dir", &self.ingest_dir)
            .field("seal_key", &self.seal_key.map(|_| "set"))
            .finish()
    }
}

/// The surroundings of a sink.
#[derive(Clone, Debug, Default)]
pub struct SinkContext {
    /// The folder of the document: relative paths begin here.
    pub base_dir: BaseDir,
    /// Names this sink's temporary files, so that a restart clears its own and nobody else's. It must be the same in every run
    /// of one pipeline's sink and different for every other sink that may write to the same folder. Not empty, no slashes.
    pub run_tag: String,
    /// Where the sink replaces rows by their key: changes of one key come in the order in which they happened. Otherwise they come in
    /// any order within an epoch, and every row that is taken back is, to the last bit, one that was added.
    pub changes_in_order: bool,
}
