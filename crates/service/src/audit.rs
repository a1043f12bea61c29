//! The audit log: search, proofs, verification, export.

use std::{
    collections::HashMap,
    io::{BufWriter, Seek, SeekFrom},
};

use futures::StreamExt;
use weir_api::{
    AuditEntry, AuditQuery, ConsistencyProof, Cursor, FieldError, Head, InclusionProof, Outcome, Page, PageQuery, UserId,
    UserRef, VerifyFailure, VerifyResult,
};
use weir_authz::{Action, Grant, Resource, ResourceKind};
use weir_evidence::{
    BundleHeader, BundleWriter, Hash, Outcome as Verdict,
    merkle::{consistency_ranges, inclusion_ranges, root_of},
};
use weir_store::{evidence, heads, projects, tokens};

use crate::{Cx, Error, Result, heads as signing, proof, users};

/// The longest words that entries are searched for: the database refuses patterns that are much longer.
const LONGEST_SOUGHT: usize = 1_000;

/// Entries, newest first: those of the project, and with [`Cx::in_project`] not called those of the whole instance.
pub async fn search(cx: &Cx, query: AuditQuery) -> Result<Page<AuditEntry>> {
    authorize(cx, Action::AuditRead).await?;
    let sought = [("text", &query.text), ("kind", &query.kind), ("actor", &query.actor), ("action", &query.action)];
    for (field, words) in sought.into_iter().chain([("resource", &query.resource)]) {
        if words.as_ref().is_some_and(|words| words.chars().count() > LONGEST_SOUGHT) {
            return Err(Error::invalid(field, format!("use at most {LONGEST_SOUGHT} characters")));
        }
    }
    let names = users::refs(cx.store()).await?;
    let search = evidence::Search {
        project: cx.project.as_ref().map(|project| project.id),
        kinds: query.kind.iter().flat_map(|kinds| kinds.split(',')).map(str::to_owned).collect(),
        actor: query.actor.map(|actor| actor_id(&names, actor)),
        action: query.action,
        resource: query.resource,
        allowed: query.outcome.map(|outcome| outcome == Outcome::Allowed),
        run: None,
        from: query.from,
        until: query.until,
        text: query.text,
        after: query.after.map(Cursor),
        limit: PageQuery { after: None, limit: query.limit }.limit(),
    };
    let page = evidence::search(cx.store(), &search).await?;
    let mut items = Vec::with_capacity(page.items.len());
    for leaf in page.items {
        items.push(dto(cx, &names, leaf).await?);
    }
    Ok(Page { items, next: page.next })
}

/// One entry.
pub async fn entry(cx: &Cx, index: u64) -> Result<AuditEntry> {
    authorize(cx, Action::AuditRead).await?;
    let leaf = find(cx, index).await?;
    dto(cx, &users::refs(cx.store()).await?, leaf).await
}

/// The places of the entries before and after a place, among those that [`search`] lists: the log is one for all projects, so places
/// of a project's entries have gaps.
pub async fn neighbours(cx: &Cx, index: u64) -> Result<(Option<u64>, Option<u64>)> {
    authorize(cx, Action::AuditRead).await?;
    Ok(evidence::neighbours(cx.store(), cx.project.as_ref().map(|project| project.id), index).await?)
}

/// That an entry is under the newest head; signs a head first when the entry is newer.
pub async fn proof(cx: &Cx, index: u64) -> Result<InclusionProof> {
    authorize(cx, Action::AuditRead).await?;
    let leaf = find(cx, index).await?;
    let newest = heads::latest(cx.store()).await?.filter(|head| head.size > index);
    let head = match newest {
        Some(head) => head,
        None => signing::sign_now(&cx.services).await?,
    };
    let ranges = inclusion_ranges(index, head.size).map_err(|e| Error::internal("an inclusion proof", e))?;
    Ok(InclusionProof { index, leaf_hash: leaf.hash.to_string(), path: roots(cx, ranges).await?, head: signing::dto(head) })
}

/// The newest signed head.
pub async fn head(cx: &Cx) -> Result<Option<Head>> {
    authorize(cx, Action::AuditRead).await?;
    Ok(heads::latest(cx.store()).await?.map(signing::dto))
}

/// That the log of `second` leaves continues the log of `first` leaves.
pub async fn consistency(cx: &Cx, first: u64, second: u64) -> Result<ConsistencyProof> {
    authorize(cx, Action::AuditRead).await?;
    let size = evidence::state(cx.store()).await?.range.size();
    if first == 0 || first > second || second > size {
        let message = format!("must hold 1 <= first <= second <= {size}, the leaves of the log");
        return Err(Error::Invalid(vec![FieldError { field: "first, second".to_owned(), message }]));
    }
    let ranges = consistency_ranges(first, second).map_err(|e| Error::internal("a consistency proof", e))?;
    let path = roots(cx, ranges).await?;
    let hashes = evidence::hashes(cx.store(), 0..second).await?;
    Ok(ConsistencyProof {
        first_size: first,
        first_root: root_of(hashes[..first as usize].iter().copied()).to_string(),
        second_size: second,
        second_root: root_of(hashes).to_string(),
        path,
    })
}

/// Reads the whole log again and checks it against every signed head, wherever it is kept. That somebody did is on record, after the
/// result is known.
pub async fn verify(cx: &Cx) -> Result<VerifyResult> {
    let permitted = authorize(cx, Action::AuditVerify).await?;
    let result = verify_now(cx).await?;
    let mut change = cx.change(&permitted).await?;
    change.after(match &result.failure {
        None => format!("valid: {} leaves, root {}", result.leaves, result.root),
        Some(failure) => format!("broken: {}", failure.message),
    });
    change.commit().await?;
    Ok(result)
}

async fn verify_now(cx: &Cx) -> Result<VerifyResult> {
    // Signed first, so that a head vouches for the newest leaves as well. What Weir refuses to sign is no valid log.
    let refusal = match signing::sign_now(&cx.services).await {
        Err(Error::Conflict(refusal)) => Some(refusal),
        signed => signed.map(|_| None)?,
    };
    let services = &cx.services;
    let given = proof::Given { outside: Vec::new(), keys: services.evidence_keys.clone(), master: Some(&services.master_key) };
    let mut read = 0;
    let verdict = proof::verify(cx.store(), services.heads_file(), given, || read += 1).await?;
    // One that cannot be read was named by the verdict.
    let head = heads::latest(cx.store()).await.ok().flatten().map(signing::dto);
    let failed = |leaves: u64, index: Option<u64>, message: String| VerifyResult {
        valid: false,
        leaves,
        root: String::new(),
        heads: 0,
        head: head.clone(),
        verified_at: cx.now(),
        failure: Some(VerifyFailure { index, message }),
    };
    Ok(match (verdict, refusal) {
        (Verdict::Broken(broken), _) => failed(read, broken.at, broken.to_string()),
        (Verdict::Verified(verified), Some(refusal)) => failed(verified.size, None, refusal),
        (Verdict::Verified(verified), None) => VerifyResult {
            valid: true,
            leaves: verified.size,
            root: verified.root.to_string(),
            heads: verified.heads_checked,
            head,
            verified_at: cx.now(),
            failure: None,
        },
    })
}

/// A bundle for `weir audit verify --bundle`: leaves, heads and the public keys, as a temporary file rewound to its start. The log
/// is one for all projects, because a part of it proves nothing: whoever exports it must be permitted in each of them, or for the
/// instance.
pub async fn export(cx: &Cx) -> Result<std::fs::File> {
    let permitted = authorize(cx, Action::AuditExport).await?;
    let whole = Resource::of_instance(ResourceKind::Audit);
    let may = |resource: &Resource| cx.services.authorizer.decide(cx.actor(), Action::AuditExport, resource).allowed;
    let everywhere = async || -> Result<bool> {
        let all = projects::list(cx.store()).await?;
        Ok(all.iter().all(|project| may(&Resource::in_project(ResourceKind::Audit, project.id))))
    };
    if !may(&whole) && !everywhere().await? {
        return Err(cx.refuse(Action::AuditExport, &whole, "audit.whole_log").await?);
    }
    let mut change = cx.change(&permitted).await?;
    change.after("the whole log");
    change.commit().await?;
    let head = signing::sign_now(&cx.services).await?;
    let mut heads = heads::all(cx.store()).await?;
    heads.retain(|one| one.size <= head.size);
    let wrong = |e: &dyn std::fmt::Display| Error::Internal(format!("the bundle could not be written: {e}"));
    let file = tempfile::tempfile().map_err(|e| wrong(&e))?;
    let header = BundleHeader {
        log_id: cx.services.log_id(),
        keys: cx.services.evidence_keys.clone(),
        heads: heads.len() as u64,
        leaves: head.size,
    };
    let mut bundle = BundleWriter::new(BufWriter::with_capacity(1 << 20, file), header).map_err(|e| wrong(&e))?;
    for head in &heads {
        bundle.head(head).map_err(|e| wrong(&e))?;
    }
    let mut leaves = std::pin::pin!(evidence::stream(cx.store(), 0..head.size));
    while let Some(leaf) = leaves.next().await {
        let (seq, bytes, hash) = leaf?;
        bundle.leaf(seq, &bytes, &hash).map_err(|e| wrong(&e))?;
    }
    let mut file = bundle.finish().map_err(|e| wrong(&e))?.into_inner().map_err(|e| wrong(&e))?;
    file.seek(SeekFrom::Start(0)).map_err(|e| wrong(&e))?;
    Ok(file)
}

async fn authorize(cx: &Cx, action: Action) -> Result<Grant> {
    let resource = match &cx.project {
        Some(project) => Resource::in_project(ResourceKind::Audit, project.id),
        None => Resource::of_instance(ResourceKind::Audit),
    };
    cx.authorize(action, &resource).await
}

/// A leaf of another project is not there for this one.
async fn find(cx: &Cx, index: u64) -> Result<evidence::StoredLeaf> {
    let leaf = evidence::by_seq(cx.store(), index).await?;
    let visible = leaf.filter(|leaf| cx.project.as_ref().is_none_or(|project| leaf.project == Some(project.id)));
    visible.ok_or_else(|| Error::not_found(format!("audit entry {index}")))
}

async fn roots(cx: &Cx, ranges: Vec<std::ops::Range<u64>>) -> Result<Vec<String>> {
    let mut path = Vec::with_capacity(ranges.len());
    for range in ranges {
        let hashes: Vec<Hash> = evidence::hashes(cx.store(), range).await?;
        path.push(root_of(hashes).to_string());
    }
    Ok(path)
}

/// A sign-in name stands for its user.
fn actor_id(names: &HashMap<UserId, UserRef>, actor: String) -> String {
    let named = names.values().find(|user| user.name == users::normal_name(&actor));
    named.map_or(actor, |user| format!("user:{}", user.id))
}

async fn dto(cx: &Cx, names: &HashMap<UserId, UserRef>, leaf: evidence::StoredLeaf) -> Result<AuditEntry> {
    let content: serde_json::Value = serde_json::from_slice(&leaf.body).unwrap_or_default();
    let text = |key: &str| content["body"][key].as_str().map(str::to_owned);
    let user = |id: &str| id.parse::<UserId>().ok().and_then(|id| names.get(&id)).map(|user| user.name.clone());
    let actor_name = match leaf.actor.split_once(':') {
        Some(("user", id)) => user(id),
        Some(("token", id)) => match id.parse() {
            Ok(id) => tokens::by_id(cx.store(), id).await?.map(|token| {
                let owner = names.get(&token.owner).map_or_else(|| token.owner.to_string(), |user| user.name.clone());
                format!("{owner} (token {})", token.name)
            }),
            Err(_) => None,
        },
        Some(("system", part)) => Some(format!("Weir {part}")),
        // What a run puts on record names its pipeline.
        Some(("run", _)) => text("pipeline").map(|pipeline| format!("{pipeline} (run)")),
        _ => None,
    };
    Ok(AuditEntry {
        index: leaf.seq,
        at: leaf.at,
        kind: leaf.kind,
        actor_name,
        actor: leaf.actor,
        action: leaf.action,
        resource: leaf.resource,
        outcome: if leaf.allowed { Outcome::Allowed } else { Outcome::Denied },
        rule: text("rule"),
        request_id: text("request_id"),
        remote_address: text("address"),
        leaf: content,
        leaf_hash: leaf.hash.to_string(),
    })
}
