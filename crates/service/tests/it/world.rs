//! What every test begins with: an instance after its first start, and people of every role.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use tempfile::TempDir;
use weir_api::{AuditEntry, AuditQuery, CreateUser, Role, Secret, SignIn, Slug};
use weir_service::{
    Cx, Error, Limits, ManualClock, RequestInfo, Services, ServicesConfig, audit, auth, bootstrap,
    quality::{CannotAdd, WindowSum},
    users,
};
use weir_spec::{Column, DataType, connector::GeneratorKind};
use weir_store::Store;
use weir_vault::{Key, MasterKey};

pub const PASSWORD: &str = "correct horse battery staple";

pub struct World {
    pub folder: TempDir,
    pub services: Arc<Services>,
    pub clock: Arc<ManualClock>,
    pub admin_password: Secret,
}

pub fn start() -> DateTime<Utc> {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn generator_columns(_: GeneratorKind) -> Vec<Column> {
    vec![Column::new("amount", DataType::Float64)]
}

/// Measures that a test can make: what kind they are of, how many rows, and what they sum up to.
pub fn measures(kind: u8, rows: u8, sum: u8) -> Vec<u8> {
    vec![kind, rows, sum]
}

/// Adds up the means of [`measures`].
pub fn window_sum(_: &str) -> Box<dyn WindowSum> {
    #[derive(Default)]
    struct Mean {
        kind: Option<u8>,
        rows: f64,
        sum: f64,
    }

    impl WindowSum for Mean {
        fn add(&mut self, measures: &[u8]) -> Result<(), CannotAdd> {
            let [kind, rows, sum] = *measures else { return Err(CannotAdd::Unreadable("three bytes".to_owned())) };
            if *self.kind.get_or_insert(kind) != kind {
                return Err(CannotAdd::Unalike);
            }
            self.rows += f64::from(rows);
            self.sum += f64::from(sum);
            Ok(())
        }

        fn value(&self, _: i64) -> Option<f64> {
            (self.rows > 0.0).then(|| self.sum / self.rows)
        }
    }
    Box::<Mean>::default()
}

pub async fn open(folder: &std::path::Path, clock: Arc<ManualClock>) -> Result<Arc<Services>, Error> {
    let store = Store::open(folder, start()).await.unwrap();
    Services::open(ServicesConfig {
        store,
        master_key: MasterKey::from_key(Key::from_bytes(&[7; 32])),
        data: folder.to_owned(),
        generator_columns,
        window_sums: window_sum,
        clock,
        limits: Limits::default(),
    })
    .await
}

impl World {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(start()));
        let services = open(folder.path(), Arc::clone(&clock)).await.unwrap();
        let admin = bootstrap::first_start(&services).await.unwrap().unwrap();
        Self { folder, services, clock, admin_password: admin.password }
    }

    pub fn advance(&self, by: TimeDelta) {
        self.clock.advance(by);
    }

    pub fn anonymous(&self) -> Cx {
        Cx::anonymous(Arc::clone(&self.services), request())
    }

    pub async fn sign_in(&self, name: &str, password: &str) -> Result<auth::SignedIn, Error> {
        auth::sign_in(&self.anonymous(), SignIn { name: name.to_owned(), password: Secret::new(password) }).await
    }

    pub async fn resume(&self, token: &Secret) -> Result<Cx, Error> {
        auth::resume(&self.services, token, request()).await
    }

    /// The administrator, in `main`.
    pub async fn admin(&self) -> Cx {
        let signed_in = self.sign_in("admin", self.admin_password.expose()).await.unwrap();
        in_main(self.resume(&signed_in.token).await.unwrap()).await
    }

    /// Somebody with one role in `main`, named after it.
    pub async fn person(&self, role: Role) -> Cx {
        let admin = self.admin().await;
        let request = CreateUser {
            name: role.as_str().to_owned(),
            display_name: None,
            password: Some(Secret::new(PASSWORD)),
            roles: vec![role],
        };
        users::create(&admin, request).await.unwrap();
        let signed_in = self.sign_in(role.as_str(), PASSWORD).await.unwrap();
        in_main(self.resume(&signed_in.token).await.unwrap()).await
    }

    /// Leaves of `main` and of the instance, newest first.
    pub async fn leaves(&self, query: AuditQuery) -> Vec<AuditEntry> {
        let operator = weir_service::operator::context(&self.services).await.unwrap();
        audit::search(&operator, query).await.unwrap().items
    }

    pub async fn denials(&self) -> Vec<AuditEntry> {
        self.leaves(AuditQuery { outcome: Some(weir_api::Outcome::Denied), limit: Some(500), ..AuditQuery::default() }).await
    }

    /// Whether these bytes stand in any file of the data folder.
    pub fn is_on_disk(&self, needle: &[u8]) -> bool {
        std::fs::read_dir(self.folder.path()).unwrap().any(|entry| {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            bytes.windows(needle.len()).any(|window| window == needle)
        })
    }
}

pub async fn in_main(cx: Cx) -> Cx {
    cx.in_project(&slug("main")).await.unwrap()
}

pub fn slug(text: &str) -> Slug {
    text.parse().unwrap()
}

pub fn request() -> RequestInfo {
    RequestInfo { request_id: "req-1".to_owned(), remote_address: Some("192.0.2.7".parse().unwrap()) }
}

/// The status of the problem that an error becomes.
pub fn status<T>(result: &Result<T, Error>) -> u16 {
    match result {
        Ok(_) => 200,
        Err(error) => error.problem().status,
    }
}

/// A pipeline over an `http` source whose restricted column is masked before it reaches its sink.
pub const PIPELINE: &str = "\
apiVersion: weir/v1
kind: Pipeline
name: card-fraud
description: Flags risky payments.
owner: payments-risk
purpose: essential.fraud_detection
basis: legitimate_interest
sources:
  payments:
    http: {}
    format: json
    schema:
      - { name: card, type: string, classification: restricted, categories: [user.financial.credit_card] }
      - { name: amount, type: float64 }
steps:
  safe:
    mask:
      from: payments
      columns:
        card: { token: {} }
sinks:
  alerts:
    from: safe
    file: { path: out/alerts }
    format: json
    clearance: internal
";

/// The same with the mask by-passed.
pub fn leaking() -> String {
    PIPELINE.replace("    from: safe\n", "    from: payments\n")
}

/// The same with a sink that is cleared for the card number as it is.
pub fn cleared() -> String {
    leaking().replace("clearance: internal", "clearance: restricted")
}
