//! Consent: grant, deny, withdraw, import, show. Subjects are hashed before anything is stored.

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt};
use weir_api::{ConsentHistory, ConsentRecord, ConsentState, ImportLineError, ImportResult, SetConsent, ShowConsent};
use weir_authz::{Action, Grant, Resource, ResourceKind};
use weir_evidence::{
    Body, Hash, Timestamp,
    record::{self, ConsentChange, ConsentImported, SubjectHash},
};
use weir_store::{
    consent as stored,
    consent_import::{self, ImportOutcome, NewConsent},
};
use weir_vault::SubjectHasher;

use crate::{
    Cx, Error, Result,
    consent_csv::{ConsentCsv, check_purpose},
};

/// Consents that one transaction takes over: others can write in between.
const BATCH: usize = 20_000;
/// Bad lines that are named.
const NAMED: usize = 1_000;

/// Grants, denies or withdraws. Running pipelines heed it within a second.
pub async fn set(cx: &Cx, request: SetConsent) -> Result<ConsentRecord> {
    let project = cx.project()?.id;
    let permitted = cx.authorize(Action::ConsentWrite, &resource(cx)?).await?;
    let now = cx.now();
    let at = request.at.unwrap_or(now);
    let subject_text = request.subject.trim();
    if subject_text.is_empty() {
        return Err(Error::invalid("subject", "is empty"));
    }
    check_purpose(&request.purpose).map_err(|message| Error::invalid("purpose", message))?;
    if at > now {
        return Err(Error::invalid("at", "lies in the future; consent is recorded when it was given"));
    }
    if request.expires_at.is_some_and(|expiry| expiry <= at) {
        return Err(Error::invalid("expires_at", "is not after the time of the consent"));
    }
    let subject = hasher(cx).await?.hash(subject_text);
    let new = NewConsent {
        subject: *subject.as_bytes(),
        purpose: request.purpose.clone(),
        state: request.state,
        valid_from: at.timestamp_micros(),
        expires_at: request.expires_at.map(|expiry| expiry.timestamp_micros()),
    };
    let mut change = cx.change(&permitted).await?;
    let outcome = consent_import::import(change.tx(), &permitted, project, &[new], now).await?;
    let Some(version) = outcome.version else {
        return Err(Error::Conflict("a later word of this subject on this purpose is known; it stays".to_owned()));
    };
    change.with(Body::ConsentChange(ConsentChange {
        subject: SubjectHash::from_bytes(subject.as_bytes()),
        purpose: request.purpose.clone(),
        state: evidence_state(request.state),
        since: timestamp(at)?,
        expires_at: request.expires_at.map(timestamp).transpose()?,
        version,
    }));
    change.commit().await?;
    cx.services.notify_consent();
    Ok(record(request.purpose, request.state, at, request.expires_at, now))
}

/// What a subject has said, one record a purpose. The reading is recorded: it tells of a person.
pub async fn show(cx: &Cx, request: ShowConsent) -> Result<ConsentHistory> {
    let project = cx.project()?.id;
    let permitted = cx.authorize(Action::ConsentRead, &resource(cx)?).await?;
    let subject_text = request.subject.trim();
    if subject_text.is_empty() {
        return Err(Error::invalid("subject", "is empty"));
    }
    let subject = hasher(cx).await?.hash(subject_text);
    let found = stored::of_subject(cx.store(), project, subject.as_bytes()).await?;
    let mut change = cx.change(&permitted).await?;
    change.after(format!("subject:{subject}"));
    change.commit().await?;
    let now = cx.now();
    let records = found.into_iter().map(|one| record(one.purpose, one.state, one.valid_from, one.expires_at, now)).collect();
    Ok(ConsentHistory { subject_hash: subject.to_string(), records })
}

/// Reads CSV with the heading `subject,purpose,state,at,expires_at`, in batches. A bad line is reported and changes nothing; the
/// others are taken over. When reading fails half-way, what was taken over stays, and the import can simply be repeated.
pub async fn import(cx: &Cx, csv: &mut (dyn AsyncRead + Unpin + Send)) -> Result<ImportResult> {
    let permitted = cx.authorize(Action::ConsentWrite, &resource(cx)?).await?;
    let mut import = Import { cx, permitted, result: ImportResult::default(), batch: Vec::new(), lines: Vec::new(), version: 0 };
    let hasher = hasher(cx).await?;
    let now = cx.now();
    let mut records = ConsentCsv::new();
    let mut digest = Sha256::new();
    let mut chunk = vec![0; 64 * 1024];
    loop {
        let read =
            csv.read(&mut chunk).await.map_err(|e| Error::Conflict(format!("the file could not be read to its end: {e}")))?;
        digest.update(&chunk[..read]);
        let mut lines = Vec::new();
        let pushed = records.push(&chunk[..read], |line, parsed| match parsed {
            Ok(parsed) => {
                let at = parsed.at.unwrap_or(now);
                if parsed.expires_at.is_some_and(|expiry| expiry <= at) {
                    return lines.push(Err(ImportLineError { line, message: "expires_at is not after at".to_owned() }));
                }
                if at > now {
                    return lines.push(Err(ImportLineError { line, message: "at lies in the future".to_owned() }));
                }
                lines.push(Ok((
                    line,
                    NewConsent {
                        subject: *hasher.hash(parsed.subject).as_bytes(),
                        purpose: parsed.purpose.to_owned(),
                        state: parsed.state,
                        valid_from: at.timestamp_micros(),
                        expires_at: parsed.expires_at.map(|expiry| expiry.timestamp_micros()),
                    },
                )));
            }
            Err(error) => lines.push(Err(error)),
        });
        if pushed.is_err() {
            return Err(Error::invalid("line 1", "must begin with the heading subject,purpose,state,at,expires_at"));
        }
        // Somebody's export has failed, rather than nobody having said anything.
        if read == 0 && !records.has_heading() {
            return Err(Error::invalid(
                "line 1",
                "the file is empty; it begins with the heading subject,purpose,state,at,expires_at",
            ));
        }
        for line in lines {
            import.take(line).await?;
        }
        if read == 0 {
            break;
        }
    }
    import.finish(Hash::from_bytes(digest.finalize().into())).await
}

struct Import<'a> {
    cx: &'a Cx,
    permitted: Grant,
    result: ImportResult,
    batch: Vec<NewConsent>,
    lines: Vec<u64>,
    version: u64,
}

impl Import<'_> {
    async fn take(&mut self, line: Result<(u64, NewConsent), ImportLineError>) -> Result<()> {
        match line {
            Ok((line, new)) => {
                self.batch.push(new);
                self.lines.push(line);
                if self.batch.len() >= BATCH { self.flush().await } else { Ok(()) }
            }
            Err(error) => {
                self.result.rejected += 1;
                if self.result.errors.len() < NAMED {
                    self.result.errors.push(error);
                }
                Ok(())
            }
        }
    }

    /// Each batch is on record with its transaction; the whole file follows at the end.
    async fn flush(&mut self) -> Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let project = self.cx.project()?.id;
        let mut change = self.cx.change(&self.permitted).await?;
        let ImportOutcome { accepted, outdated, version, .. } =
            consent_import::import(change.tx(), &self.permitted, project, &self.batch, self.cx.now()).await?;
        let (first, last) = (self.lines.first().copied().unwrap_or(0), self.lines.last().copied().unwrap_or(0));
        change.after(format!("lines {first} to {last}: {accepted} accepted, {outdated} outdated"));
        change.commit().await?;
        self.cx.services.notify_consent();
        self.result.accepted += accepted;
        self.result.outdated += outdated;
        self.version = version.unwrap_or(self.version);
        self.batch.clear();
        self.lines.clear();
        Ok(())
    }

    async fn finish(mut self, file: Hash) -> Result<ImportResult> {
        self.flush().await?;
        let imported = ConsentImported { file, rows: self.result.accepted, version: self.version };
        self.cx.record(&self.permitted, Some(Body::ConsentImported(imported))).await?;
        Ok(self.result)
    }
}

fn resource(cx: &Cx) -> Result<Resource> {
    Ok(Resource::in_project(ResourceKind::Consent, cx.project()?.id))
}

async fn hasher(cx: &Cx) -> Result<SubjectHasher> {
    Ok(cx.services.project_keys(cx.project()?.id).await?.subject_hasher())
}

fn record(
    purpose: String,
    state: ConsentState,
    at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> ConsentRecord {
    let allows = state == ConsentState::Granted && expires_at.is_none_or(|expiry| expiry > now);
    ConsentRecord { purpose, state, at, expires_at, allows }
}

fn evidence_state(state: ConsentState) -> record::ConsentState {
    match state {
        ConsentState::Granted => record::ConsentState::Granted,
        ConsentState::Denied => record::ConsentState::Denied,
        ConsentState::Withdrawn => record::ConsentState::Withdrawn,
    }
}

fn timestamp(at: DateTime<Utc>) -> Result<Timestamp> {
    Timestamp::from_micros(at.timestamp_micros()).map_err(|e| Error::invalid("at", e.to_string()))
}
