//! Administration from the command line: users, tokens, consent, the key.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use weir_server::instance;
use weir_service::bootstrap;

async fn data() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let services = instance::open(folder.path()).await.unwrap();
    bootstrap::first_start(&services).await.unwrap();
    services.store().clone().close().await.unwrap();
    folder
}

fn weir(data: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(arguments)
        .env("WEIR_DATA", data)
        .env_remove("WEIR_MASTER_KEY")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that does not read its input may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn done(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[tokio::test]
async fn a_lost_master_key_is_not_replaced_by_one_that_opens_nothing() {
    let data = data().await;
    let key = data.path().join(instance::MASTER_KEY);
    let kept = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    let refused = weir(data.path(), &["user", "list"], "");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("put the key back from the copy"), "{said}");
    assert!(!key.exists(), "a new key would only hide that the old one is gone");

    std::fs::write(&key, kept).unwrap();
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    done(&weir(data.path(), &["user", "list"], ""));
}

#[tokio::test]
async fn a_user_is_added_listed_given_roles_and_a_new_password() {
    let data = data().await;
    let made = done(&weir(data.path(), &["user", "add", "vera", "--role", "viewer"], ""));
    assert!(made.trim().len() >= 12, "a random password, alone on stdout: {made:?}");
    let password = "correct horse battery\n";
    assert_eq!(done(&weir(data.path(), &["user", "add", "erik", "--role", "engineer", "--password-stdin"], password)), "");

    let listed = done(&weir(data.path(), &["user", "list"], ""));
    assert!(listed.lines().any(|line| line.starts_with("vera ") && line.contains("viewer")), "{listed}");
    done(&weir(data.path(), &["user", "role", "vera", "steward", "compliance"], ""));
    let json = done(&weir(data.path(), &["user", "list", "--json"], ""));
    let vera =
        json.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()).find(|m| m["user"]["name"] == "vera");
    assert_eq!(vera.unwrap()["roles"], serde_json::json!(["steward", "compliance"]));

    let again = done(&weir(data.path(), &["user", "passwd", "vera"], ""));
    assert_ne!(again, made);
    assert_eq!(weir(data.path(), &["user", "passwd", "nobody"], "").status.code(), Some(2));
    assert_eq!(weir(data.path(), &["user", "add", "x", "--role", "king"], "").status.code(), Some(2));
    assert_eq!(
        weir(data.path(), &["user", "add", "x", "--role", "viewer", "--password-stdin"], "short\n").status.code(),
        Some(2)
    );
}

#[tokio::test]
async fn a_token_is_made_listed_and_revoked() {
    let data = data().await;
    done(&weir(data.path(), &["user", "add", "erik", "--role", "engineer"], ""));
    let made =
        weir(data.path(), &["token", "create", "ci", "--user", "erik", "--scope", "pipeline.read", "--expires-in", "10m"], "");
    let jwt = done(&made);
    assert_eq!(jwt.trim().split('.').count(), 3, "a JWT, alone on stdout");

    let listed = done(&weir(data.path(), &["token", "list", "--json"], ""));
    let token: serde_json::Value = serde_json::from_str(listed.trim()).unwrap();
    assert_eq!(token["name"], "ci");
    assert_eq!(token["scopes"], serde_json::json!(["pipeline.read"]));
    assert!(!listed.contains(jwt.trim()), "a token is shown once");
    let id = token["id"].as_str().unwrap().to_owned();
    done(&weir(data.path(), &["token", "revoke", &id], ""));
    assert!(done(&weir(data.path(), &["token", "list"], "")).contains("revoked"));

    let wrong = weir(data.path(), &["token", "create", "ci", "--user", "erik", "--scope", "pipeline.fly"], "");
    assert_eq!(wrong.status.code(), Some(2), "{}", String::from_utf8_lossy(&wrong.stderr));
}

#[tokio::test]
async fn consent_is_imported_changed_and_shown_and_stored_under_a_hash_only() {
    let data = data().await;
    let csv = "subject,purpose,state,at,expires_at\n\
               sentinel-4711,marketing.email,granted,2026-01-05T10:00:00Z,\n\
               sentinel-4712,marketing.email,maybe,2026-01-05T10:00:00Z,\n\
               sentinel-4713,marketing.email,denied,2026-01-05T10:00:00Z,\n";
    let imported = weir(data.path(), &["consent", "import", "-"], csv);
    assert_eq!(imported.status.code(), Some(1), "a rejected line is told by the exit code");
    assert_eq!(String::from_utf8_lossy(&imported.stdout), "2 taken over, 0 outdated, 1 rejected\n");
    let told = String::from_utf8_lossy(&imported.stderr).into_owned();
    assert!(told.starts_with("-:3:1: error: ") && !told.contains("4712"), "the line, never the value: {told}");

    let show = |subject: &str| -> serde_json::Value {
        serde_json::from_str(&done(&weir(data.path(), &["consent", "show", subject, "--json"], ""))).unwrap()
    };
    assert_eq!(show("sentinel-4711")["records"][0]["allows"], true);
    assert_eq!(show("sentinel-4713")["records"][0]["allows"], false);
    done(&weir(data.path(), &["consent", "withdraw", "sentinel-4711", "marketing.email"], ""));
    assert_eq!(show("sentinel-4711")["records"][0]["state"], "withdrawn");
    assert_eq!(show("sentinel-4712")["records"], serde_json::json!([]));

    for entry in std::fs::read_dir(data.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            assert!(!bytes.windows(8).any(|w| w == b"sentinel"), "a subject stands plainly in {}", path.display());
        }
    }
}

#[tokio::test]
async fn consent_may_come_before_the_first_run() {
    let folder = tempfile::tempdir().unwrap();
    let said = "subject,purpose,state,at,expires_at\nc-1,marketing.email,granted,,\n";
    for (name, arguments) in [
        ("imported", ["consent", "import", "-"].as_slice()),
        ("granted", &["consent", "grant", "c-1", "marketing.email"]),
        ("withdrawn", &["consent", "withdraw", "c-1", "marketing.email"]),
    ] {
        let data = folder.path().join(name);
        done(&weir(&data, arguments, said));
        let shown = done(&weir(&data, &["consent", "show", "c-1", "--json"], ""));
        assert!(shown.contains("marketing.email"), "{name}: {shown}");
        done(&weir(&data, &["audit", "verify"], ""));
    }
    let missing = folder.path().join("missing");
    assert_eq!(weir(&missing, &["consent", "show", "c-1"], "").status.code(), Some(2));
    assert_eq!(weir(&missing, &["consent", "import", "no-such.csv"], "").status.code(), Some(2));
    assert!(!missing.exists(), "what cannot be done makes no folder");
}

#[tokio::test]
async fn an_empty_consent_file_is_an_error_and_one_without_rows_is_not() {
    let data = data().await;
    let empty = weir(data.path(), &["consent", "import", "-"], "");
    assert_eq!(empty.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&empty.stderr).contains("the file is empty"));
    let none = weir(data.path(), &["consent", "import", "-"], "subject,purpose,state,at,expires_at\n");
    assert_eq!(done(&none), "0 taken over, 0 outdated, 0 rejected\n");
    assert!(String::from_utf8_lossy(&none.stderr).contains("has a heading and no rows"));
}

#[tokio::test]
async fn the_key_is_shown_as_the_verifier_takes_it() {
    let data = data().await;
    let key = done(&weir(data.path(), &["key", "show"], ""));
    assert!(key.trim().len() == 64 && key.trim().bytes().all(|b| b.is_ascii_hexdigit()), "{key}");
    let verified = weir(data.path(), &["audit", "verify", "--key", key.trim()], "");
    done(&verified);
    let json: serde_json::Value = serde_json::from_str(&done(&weir(data.path(), &["key", "show", "--json"], ""))).unwrap();
    assert_eq!(json["public_key"], key.trim());
}

#[tokio::test]
async fn a_misspelt_folder_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let absent = folder.path().join("absent");
    for arguments in [vec!["user", "list"], vec!["token", "list"], vec!["quarantine", "list"], vec!["key", "show"]] {
        let output = weir(&absent, &arguments, "");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(String::from_utf8_lossy(&output.stderr).starts_with("error: there is no Weir data in "));
    }
    assert!(!absent.exists());
}
