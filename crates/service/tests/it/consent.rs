//! Consent: one at a time and by file, never with a name on disk.

use chrono::TimeDelta;
use weir_api::{AuditQuery, ConsentState, Role, SetConsent, ShowConsent};
use weir_service::{Cx, consent};

use crate::world::{World, start, status};

const PERSON: &str = "customer-4711@example.org";

fn say(state: ConsentState) -> SetConsent {
    SetConsent { subject: PERSON.into(), purpose: "marketing.email".into(), state, at: None, expires_at: None }
}

async fn shown(cx: &Cx, subject: &str) -> Vec<(String, ConsentState, bool)> {
    let history = consent::show(cx, ShowConsent { subject: subject.to_owned() }).await.unwrap();
    history.records.into_iter().map(|record| (record.purpose, record.state, record.allows)).collect()
}

#[tokio::test]
async fn the_last_word_counts_and_expires() {
    let world = World::new().await;
    let cx = world.person(Role::Compliance).await;
    assert_eq!(shown(&cx, PERSON).await, []);
    let expires_at = Some(start() + TimeDelta::days(1));
    let granted = consent::set(&cx, SetConsent { expires_at, ..say(ConsentState::Granted) }).await.unwrap();
    assert!(granted.allows);
    assert_eq!(shown(&cx, PERSON).await, [("marketing.email".to_owned(), ConsentState::Granted, true)]);
    world.advance(TimeDelta::days(1));
    let cx = world.admin().await;
    assert_eq!(shown(&cx, PERSON).await, [("marketing.email".to_owned(), ConsentState::Granted, false)]);
    let older = SetConsent { at: Some(start() - TimeDelta::days(1)), ..say(ConsentState::Denied) };
    assert_eq!(status(&consent::set(&cx, older).await), 409, "an older word does not undo a later one");
    assert!(!consent::set(&cx, say(ConsentState::Withdrawn)).await.unwrap().allows);
    assert_eq!(shown(&cx, PERSON).await, [("marketing.email".to_owned(), ConsentState::Withdrawn, false)]);
}

#[tokio::test]
async fn nobody_is_named_on_disk_or_on_record() {
    let world = World::new().await;
    let cx = world.person(Role::Compliance).await;
    consent::set(&cx, say(ConsentState::Granted)).await.unwrap();
    let history = consent::show(&cx, ShowConsent { subject: PERSON.into() }).await.unwrap();
    assert!(!world.is_on_disk(PERSON.as_bytes()));
    let leaves = world.leaves(AuditQuery { kind: Some("consent_change".into()), ..AuditQuery::default() }).await;
    assert_eq!(leaves[0].leaf["body"]["subject"], history.subject_hash, "the same hash stands in the log");
    let read = world.leaves(AuditQuery { action: Some("consent.read".into()), ..AuditQuery::default() }).await;
    assert_eq!(read.len(), 1, "looking a person up is on record");
}

#[tokio::test]
async fn nonsense_is_refused() {
    let world = World::new().await;
    let cx = world.person(Role::Compliance).await;
    for (name, request) in [
        ("no subject", SetConsent { subject: " ".into(), ..say(ConsentState::Granted) }),
        ("no purpose", SetConsent { purpose: "Marketing!".into(), ..say(ConsentState::Granted) }),
        ("the future", SetConsent { at: Some(start() + TimeDelta::seconds(1)), ..say(ConsentState::Granted) }),
        ("expired before given", SetConsent { expires_at: Some(start()), ..say(ConsentState::Granted) }),
    ] {
        assert_eq!(status(&consent::set(&cx, request).await), 422, "{name}");
    }
}

#[tokio::test]
async fn a_file_with_bad_lines_is_taken_over_but_for_these() {
    let world = World::new().await;
    let cx = world.person(Role::Compliance).await;
    let file = format!(
        "subject,purpose,state,at,expires_at\n\
         {PERSON},marketing.email,granted,2026-01-01,\n\
         c-2,marketing.email,maybe,,\n\
         c-3,marketing.email,granted,2026-01-01,2025-01-01\n\
         c-4,marketing.email,denied,2030-01-01,\n\
         {PERSON},marketing.email,withdrawn,2026-02-01,\n\
         c-5,analytics,granted,2026-01-01T00:00:00Z,2027-01-01\n\
         c-6,analytics\n"
    );
    let result = consent::import(&cx, &mut file.as_bytes()).await.unwrap();
    assert_eq!((result.accepted, result.outdated, result.rejected), (2, 1, 4));
    assert_eq!(result.errors.iter().map(|error| error.line).collect::<Vec<_>>(), [3, 4, 5, 8]);
    assert_eq!(shown(&cx, PERSON).await, [("marketing.email".to_owned(), ConsentState::Withdrawn, false)]);
    assert_eq!(shown(&cx, "c-5").await, [("analytics".to_owned(), ConsentState::Granted, true)]);
    assert_eq!(shown(&cx, "c-4").await, []);
    let again = consent::import(&cx, &mut file.as_bytes()).await.unwrap();
    assert_eq!(again.rejected, 4);
    assert_eq!(
        shown(&cx, PERSON).await,
        [("marketing.email".to_owned(), ConsentState::Withdrawn, false)],
        "repeating does no harm"
    );
    let imported = world.leaves(AuditQuery { kind: Some("consent_imported".into()), ..AuditQuery::default() }).await;
    assert_eq!(imported.len(), 2);
    assert_eq!(imported[0].leaf["body"]["file"], imported[1].leaf["body"]["file"], "the file is named by its hash");
    assert!(!world.is_on_disk(PERSON.as_bytes()));
}

#[tokio::test]
async fn a_file_without_the_heading_is_refused_whole() {
    let world = World::new().await;
    let cx = world.person(Role::Compliance).await;
    let refused = consent::import(&cx, &mut "c-1,marketing,granted,,\n".as_bytes()).await;
    assert_eq!(status(&refused), 422);
    assert_eq!(shown(&cx, "c-1").await, []);
}

#[tokio::test]
async fn an_empty_file_is_refused_and_one_without_rows_is_not() {
    let world = World::new().await;
    let cx = world.person(Role::Compliance).await;
    for empty in ["", "\n\n", "\u{feff}"] {
        assert_eq!(status(&consent::import(&cx, &mut empty.as_bytes()).await), 422, "{empty:?}");
    }
    let heading = "subject,purpose,state,at,expires_at";
    let none = consent::import(&cx, &mut heading.as_bytes()).await.unwrap();
    assert_eq!((none.accepted, none.outdated, none.rejected), (0, 0, 0));
}

#[tokio::test]
async fn a_file_of_many_people_goes_in_by_batches() {
    let world = World::new().await;
    let cx = world.person(Role::Compliance).await;
    let mut file = String::from("subject,purpose,state,at,expires_at\n");
    for n in 0..45_000 {
        file.push_str(&format!("c-{n},analytics,granted,2026-01-01,\n"));
    }
    let result = consent::import(&cx, &mut file.as_bytes()).await.unwrap();
    assert_eq!((result.accepted, result.rejected), (45_000, 0));
    assert_eq!(shown(&cx, "c-44999").await, [("analytics".to_owned(), ConsentState::Granted, true)]);
    let batches = world.leaves(AuditQuery { action: Some("consent.write".into()), ..AuditQuery::default() }).await;
    assert_eq!(batches.len(), 4, "three batches and the whole");
}
