//! Quarantine over HTTP: listed without content, read by permission, each reading on record.

use crate::common::{MAIN, Server, until};
use crate::people::{DOCUMENT, post_row};
use axum::http::StatusCode;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_held_row_is_listed_without_content_and_read_on_record() {
    let server = Server::start().await;
    let worker = server.work().await;
    server.deploy("people", DOCUMENT).await;
    let viewer = server.member("vera", "viewer").await;
    let steward = server.member("stan", "steward").await;
    let engineer = server.member("erik", "engineer").await;
    let compliance = server.member("cora", "compliance").await;

    post_row(&server, -7, "bob@example.com", None).await;
    post_row(&server, -8, "eve@example.com", Some("secret words")).await;
    let list = format!("{MAIN}/quarantine?pipeline=people");
    let held = until("two held rows", async || {
        let page = server.get(&list, &viewer).await;
        assert_eq!(page.status, StatusCode::OK, "a viewer may see why rows are held");
        assert!(!page.text().contains("example.com") && !page.text().contains("secret"), "without content: {}", page.text());
        page.value()["items"].as_array().filter(|items| items.len() == 2).cloned()
    })
    .await;
    let both = held.iter().find(|row| row["offset"] == 0).unwrap();
    let rules: Vec<&Value> = both["reasons"].as_array().unwrap().iter().map(|reason| &reason["rule"]).collect();
    assert_eq!(rules.len(), 2, "all failed rules, not only the first: {rules:?}");
    let columns: Vec<&Value> = both["reasons"].as_array().unwrap().iter().map(|reason| &reason["column"]).collect();
    assert!(columns.iter().all(|column| column.is_string()), "each names its column: {columns:?}");
    assert_eq!((&both["node"], &both["stage"]), (&json!("checked"), &json!("quality")));

    let id = format!("{}/{}", both["segment"].as_str().unwrap(), both["row"]);
    let address = format!("{MAIN}/quarantine/{id}");
    assert_eq!(server.get(&address, &viewer).await.value(), *both);
    assert_eq!(server.get(&format!("{address}/content"), &viewer).await.problem(403), "/problems/denied");
    let read = server.get(&format!("{address}/content"), &steward).await;
    assert_eq!(read.status, StatusCode::OK, "{}", read.text());
    assert_eq!(read.value()["content"]["columns"]["person"], "bob@example.com");

    // The reading is in the log, with the row and the reader; so is the refusal.
    let leaf = read.value()["leaf_index"].as_u64().expect("the reading has its leaf");
    let entry = server.get(&format!("{MAIN}/audit/{leaf}"), &compliance).await.value();
    assert_eq!((&entry["actor_name"], &entry["outcome"]), (&json!("stan"), &json!("allowed")));
    let search = async |query: &str| server.get(&format!("{MAIN}/audit?{query}"), &compliance).await.value();
    let readings = search("kind=quarantine_read").await;
    assert_eq!(readings["items"].as_array().unwrap().len(), 1);
    assert!(readings["items"][0].to_string().contains(&id), "{readings}");
    let refused = search("action=quarantine.read&outcome=denied").await;
    assert_eq!(refused["items"][0]["actor_name"], "vera", "{refused}");

    let export = format!("{MAIN}/quarantine/export?pipeline=people");
    assert_eq!(server.get(&export, &engineer).await.problem(403), "/problems/denied");
    let exported = server.get(&export, &compliance).await;
    assert_eq!((exported.status, exported.header("content-type")), (StatusCode::OK, "application/x-ndjson"));
    let rows: Vec<Value> = exported.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let notes: Vec<&Value> = rows.iter().map(|row| &row["content"]["columns"]["note"]).collect();
    assert!(notes.contains(&&json!("secret words")) && notes.len() == 2, "{notes:?}");
    let readings = search("kind=quarantine_read").await;
    assert_eq!(readings["items"].as_array().unwrap().len(), 2, "the export is on record too");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_opens_as_many_rows_as_are_asked_for() {
    let server = Server::start().await;
    let worker = server.work().await;
    server.deploy("people", DOCUMENT).await;
    for id in 1..=3 {
        post_row(&server, -id, "bob@example.com", Some("words")).await;
    }
    until("three held rows", async || {
        let page = server.get(&format!("{MAIN}/quarantine"), &server.admin).await.value();
        (page["items"].as_array()?.len() == 3).then_some(())
    })
    .await;
    let opened = async || {
        let found = server.get(&format!("{MAIN}/audit?kind=quarantine_read"), &server.admin).await.value();
        let leaves = found["items"].as_array().unwrap().clone();
        leaves.iter().map(|leaf| leaf["leaf"]["body"]["rows"].as_array().map_or(0, Vec::len)).sum::<usize>()
    };
    for (query, rows, opened_in_all) in [("?limit=1", 1, 1), ("?limit=2", 2, 3), ("", 3, 6), ("?limit=1000", 3, 9)] {
        let exported = server.get(&format!("{MAIN}/quarantine/export{query}"), &server.admin).await;
        assert_eq!((exported.status, exported.text().lines().count()), (StatusCode::OK, rows), "{query}");
        assert_eq!(opened().await, opened_in_all, "rows on record after {query}");
    }
    assert_eq!(
        server.get(&format!("{MAIN}/quarantine/export?limit=0"), &server.admin).await.problem(422),
        "/problems/invalid-request"
    );
    let far = format!("{}/4294967295", uuid::Uuid::nil());
    let held = server.get(&format!("{MAIN}/quarantine?limit=1"), &server.admin).await.value();
    let segment = held["items"][0]["segment"].as_str().unwrap().to_owned();
    for cursor in [far, format!("{segment}/4294967295")] {
        let page = server.get(&format!("{MAIN}/quarantine?after={cursor}"), &server.admin).await;
        assert_eq!(page.status, StatusCode::OK, "a cursor behind the last row: {}", page.text());
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_elsewhere_makes_somebody_open_rows() {
    let server = Server::start().await;
    let row = format!("{MAIN}/quarantine/{}/0/content", uuid::Uuid::nil());
    for path in [format!("{MAIN}/quarantine/export?limit=1"), row, format!("{MAIN}/audit/bundle")] {
        let from = async |site: &str| {
            let request = axum::http::Request::get(&path).header("cookie", &server.admin).header("sec-fetch-site", site);
            server.raw(request.body(axum::body::Body::empty()).unwrap()).await
        };
        for site in ["cross-site", "same-site"] {
            assert_eq!(from(site).await.problem(403), "/problems/cross-site", "{path} from {site}");
        }
        for site in ["same-origin", "none"] {
            assert_ne!(from(site).await.status, StatusCode::FORBIDDEN, "{path} from {site}");
        }
    }
}
