//! A data folder and documents in temporary folders.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use weir_engine::{Control, Outcome};
use weir_service::{Cx, Services, ServicesConfig, bootstrap, operator};
use weir_store::Store;
use weir_vault::MasterKey;
use weir_worker::{WorkerError, foreground};

pub struct Instance {
    pub dir: tempfile::TempDir,
    pub services: Arc<Services>,
}

impl Instance {
    pub async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { services: open(&dir.path().join("data")).await, dir }
    }

    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// A path beside the data folder, where documents, inputs and outputs lie.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    pub async fn cx(&self) -> Cx {
        operator::context(&self.services).await.unwrap().in_project(&"main".parse().unwrap()).await.unwrap()
    }

    /// Runs a document that lies beside the data folder.
    pub async fn run(&self, document: &str) -> Result<Outcome, WorkerError> {
        self.run_with(document, &Control::default()).await
    }

    pub async fn run_with(&self, document: &str, control: &Control) -> Result<Outcome, WorkerError> {
        let path = self.write("pipeline.yaml", document);
        let checked = foreground::check_file(&path, &weir_worker::FileContracts::default())?;
        foreground::run(&self.cx().await, &self.data(), checked, control).await
    }

    /// The lines of all committed files of a sink's folder, in the order of the files' names.
    pub fn output(&self, folder: &str) -> Vec<String> {
        lines_below(&self.path(folder))
    }
}

pub async fn open(data: &Path) -> Arc<Services> {
    let store = Store::open(data, chrono::Utc::now()).await.unwrap();
    let (master_key, _) = MasterKey::load(&data.join("master.key")).unwrap();
    let columns = weir_connectors::generator::columns;
    let config = ServicesConfig::new(store, master_key, data, columns, weir_worker::window_sum);
    let services = Services::open(config).await.unwrap();
    bootstrap::first_start(&services).await.unwrap();
    services
}

pub fn lines_below(folder: &Path) -> Vec<String> {
    let mut files: Vec<PathBuf> = Vec::new();
    let mut stack = vec![folder.to_path_buf()];
    while let Some(dir) = stack.pop() {
        let Ok(entries) = std::fs::read_dir(&dir) else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') || name.starts_with('_') {
                continue;
            }
            if entry.path().is_dir() { stack.push(entry.path()) } else { files.push(entry.path()) }
        }
    }
    files.sort();
    files.iter().flat_map(|file| std::fs::read_to_string(file).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}
