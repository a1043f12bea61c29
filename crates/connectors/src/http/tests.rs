//! The ingest log: what was answered is there, once, sealed, through crashes; what was not is gone whole.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::Path,
    sync::Arc,
    thread,
    time::Duration,
};

use proptest::prelude::*;
use weir_spec::connector::HttpSource;

use super::{AppendError, Appended, HttpReader, IngestLog, LogOptions, files};
use crate::{
    context::SourceContext,
    error::ConnectorError,
    source::{PartitionPosition, Payload, Read, ReadLimit, SourceReader},
};

const KEY: [u8; 32] = [7; 32];

fn options(folder: &Path) -> LogOptions {
    LogOptions { segment_bytes: 400, ..LogOptions::new(folder, KEY, 1) }
}

fn reader(folder: &Path, resume: &[PartitionPosition]) -> Result<HttpReader, ConnectorError> {
    let context = SourceContext { ingest_dir: Some(folder.to_owned()), seal_key: Some(KEY), ..SourceContext::default() };
    HttpReader::open(&HttpSource { max_backlog_mib: 1 }, &context, resume)
}

const LIMIT: ReadLimit = ReadLimit { rows: 3, wait: Duration::from_millis(1) };

/// All rows that can be read, `rows` at most at a time.
fn drain(reader: &mut HttpReader) -> String {
    let mut text = String::new();
    loop {
        match reader.read(LIMIT).unwrap() {
            Read::Chunk(chunk) => {
                let Payload::Bytes(bytes) = chunk.payload else { panic!("the log holds bytes") };
                assert_eq!(chunk.end.row - chunk.start.row, bytes.iter().filter(|&&b| b == b'\n').count() as u64);
                assert_eq!(chunk.end.byte - chunk.start.byte, bytes.len() as u64);
                assert!(chunk.end.row - chunk.start.row <= LIMIT.rows as u64);
                text.push_str(std::str::from_utf8(&bytes).unwrap());
            }
            Read::Idle => return text,
            Read::End => panic!("the log never ends"),
        }
    }
}

#[test]
fn rows_come_back_in_order_across_segments_and_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let mut expected = String::new();
    for round in 0..3 {
        let log = IngestLog::open(options(folder.path())).unwrap();
        for i in 0..20 {
            let text = format!("{{\"round\":{round},\"i\":{i}}}\n{{\"second\":true}}");
            let appended = log.append(text.as_bytes(), None).unwrap();
            assert_eq!(appended, Appended { first_row: (round * 20 + i) * 2, rows: 2, duplicate: false });
            expected += &text;
            expected.push('\n');
        }
    }
    assert!(files::list(folder.path(), "log").unwrap().len() > 3);
    assert_eq!(drain(&mut reader(folder.path(), &[]).unwrap()), expected);

    let mut first = reader(folder.path(), &[]).unwrap();
    let Read::Chunk(chunk) = first.read(LIMIT).unwrap() else { panic!() };
    let Payload::Bytes(mut bytes) = chunk.payload.clone() else { panic!() };
    let mut resumed = reader(folder.path(), &first.positions()).unwrap();
    let rest = drain(&mut resumed);
    assert_eq!(String::from_utf8(bytes.split_off(0).to_vec()).unwrap() + &rest, expected);
    assert_eq!(resumed.positions()[0].offset.byte, expected.len() as u64);
}

#[test]
fn nothing_readable_lies_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let log = IngestLog::open(options(folder.path())).unwrap();
    for i in 0..20 {
        log.append(b"{\"email\":\"sentinel@example.org\"}", Some(&format!("sentinel-key-{i}"))).unwrap();
    }
    for entry in fs::read_dir(folder.path()).unwrap() {
        let content = fs::read(entry.unwrap().path()).unwrap();
        assert!(memchr::memmem::find(&content, b"sentinel").is_none());
    }
    let context =
        SourceContext { ingest_dir: Some(folder.path().to_owned()), seal_key: Some([8; 32]), ..SourceContext::default() };
    let mut stranger = HttpReader::open(&HttpSource { max_backlog_mib: 1 }, &context, &[]).unwrap();
    assert!(stranger.read(LIMIT).unwrap_err().to_string().contains("another key"));
}

#[test]
fn an_idempotency_key_appends_once_even_when_its_segment_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let log = IngestLog::open(options(folder.path())).unwrap();
    let first = log.append(b"a\nb\n", Some("k1")).unwrap();
    assert_eq!(log.append(b"a\nb\n", Some("k1")).unwrap(), Appended { duplicate: true, ..first });
    assert!(matches!(log.append(b"other\n", Some("k1")), Err(AppendError::KeyReused)));
    for _ in 0..20 {
        log.append(b"filling\n", None).unwrap();
    }
    let mut source = reader(folder.path(), &[]).unwrap();
    drain(&mut source);
    source.committed(&source.positions()).unwrap();
    assert_eq!(files::list(folder.path(), "log").unwrap().len(), 1, "committed segments are deleted");
    drop(log);
    let log = IngestLog::open(options(folder.path())).unwrap();
    assert_eq!(log.append(b"a\nb\n", Some("k1")).unwrap(), Appended { duplicate: true, ..first });
    assert_eq!(log.append(b"next\n", None).unwrap().first_row, 22);
}

#[test]
fn a_full_backlog_refuses_until_a_checkpoint_commits() {
    let folder = tempfile::tempdir().unwrap();
    let log = IngestLog::open(LogOptions { max_backlog: 1000, ..options(folder.path()) }).unwrap();
    let row = [vec![b'x'; 599], vec![b'\n']].concat();
    log.append(&row, None).unwrap();
    let Err(AppendError::Backlog { bytes, retry_after }) = log.append(&row, None) else { panic!("600 + 600 > 1000") };
    assert_eq!((bytes, retry_after), (600, Duration::from_secs(1)));
    log.set_max_backlog(1200);
    log.append(&row, None).expect("another limit counts from now on");
    log.set_max_backlog(1000);
    let mut source = reader(folder.path(), &[]).unwrap();
    drain(&mut source);
    assert!(log.append(&row, None).is_err(), "reading alone frees nothing");
    source.committed(&source.positions()).unwrap();
    assert_eq!(log.backlog_bytes(), 0);
    log.append(&row, None).unwrap();
    drop(log);
    let log = IngestLog::open(LogOptions { max_backlog: 1000, ..options(folder.path()) }).unwrap();
    assert_eq!(log.backlog_bytes(), 600, "the backlog is known again after a restart");
    let fresh = tempfile::tempdir().unwrap();
    let idle = IngestLog::open(LogOptions { max_backlog: 10, ..options(fresh.path()) }).unwrap();
    assert!(idle.append(&row, None).is_ok(), "an idle pipeline takes what is larger than its backlog");
    assert!(matches!(idle.append(b"", None), Err(AppendError::Empty)));
}

#[test]
fn many_callers_append_at_once_and_a_reader_in_the_same_process_wakes() {
    let folder = tempfile::tempdir().unwrap();
    let log = IngestLog::open(LogOptions::new(folder.path(), KEY, 16)).unwrap();
    assert!(Arc::ptr_eq(&log, &IngestLog::open(LogOptions::new(folder.path(), KEY, 16)).unwrap()));
    let path = folder.path().to_owned();
    let following = thread::spawn(move || {
        let mut source = reader(&path, &[]).unwrap();
        let mut rows = Vec::new();
        while rows.len() < 400 {
            if let Read::Chunk(chunk) = source.read(ReadLimit { rows: 64, wait: Duration::from_secs(5) }).unwrap() {
                let Payload::Bytes(bytes) = chunk.payload else { panic!() };
                rows.extend(bytes.split(|&b| b == b'\n').filter(|l| !l.is_empty()).map(<[u8]>::to_vec));
            }
        }
        rows
    });
    let callers: Vec<_> = (0..8)
        .map(|caller| {
            let log = log.clone();
            thread::spawn(move || {
                (0..50)
                    .map(|i| {
                        let text = format!("{caller}-{i}");
                        (log.append(text.as_bytes(), None).unwrap().first_row, text.into_bytes())
                    })
                    .collect::<Vec<_>>()
            })
        })
        .collect();
    let mut answered: Vec<_> = callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect();
    answered.sort();
    let rows = following.join().unwrap();
    assert_eq!(
        rows,
        answered.into_iter().map(|(_, text)| text).collect::<Vec<_>>(),
        "every row at the number its caller was told"
    );
}

#[test]
fn rows_that_are_gone_or_never_were_are_not_resumed_from() {
    let folder = tempfile::tempdir().unwrap();
    let log = IngestLog::open(options(folder.path())).unwrap();
    for _ in 0..30 {
        log.append(b"filling\n", None).unwrap();
    }
    let beginning = reader(folder.path(), &[]).unwrap().positions();
    let mut source = reader(folder.path(), &[]).unwrap();
    drain(&mut source);
    let end = source.positions();
    source.committed(&end).unwrap();
    assert!(matches!(reader(folder.path(), &beginning), Err(ConnectorError::Resume(_))));
    assert_eq!(drain(&mut reader(folder.path(), &end).unwrap()), "");
    assert_eq!(
        reader(folder.path(), &[]).unwrap().positions(),
        [PartitionPosition { offset: crate::Offset { byte: 0, row: 30 }, ..end[0].clone() }]
    );
    let other = tempfile::tempdir().unwrap();
    assert!(matches!(reader(other.path(), &end), Err(ConnectorError::Resume(_))));
}

#[test]
fn damage_to_durable_rows_is_an_error_and_not_a_torn_tail() {
    let folder = tempfile::tempdir().unwrap();
    let log = IngestLog::open(LogOptions::new(folder.path(), KEY, 1)).unwrap();
    for _ in 0..3 {
        log.append(b"precious\n", None).unwrap();
    }
    drop(log);
    let path = files::segment_path(folder.path(), 0);
    let mut content = fs::read(&path).unwrap();
    let middle = content.len() / 2;
    content[middle] ^= 1;
    fs::write(&path, content).unwrap();
    assert!(matches!(IngestLog::open(LogOptions::new(folder.path(), KEY, 1)), Err(ConnectorError::Resume(_))));
    let mut source = reader(folder.path(), &[]).unwrap();
    assert!((0..3).any(|_| { source.read(ReadLimit { rows: 1, wait: Duration::ZERO }).is_err() }));
}

/// What a failed fsync may leave of the rows behind the last durable one.
#[derive(Clone, Copy, Debug)]
enum Left {
    Everything,
    Zeros,
    Nothing,
}

#[test]
fn after_a_failed_fsync_the_log_goes_on_behind_its_last_durable_row() {
    for (durable, left) in
        [0, 1, 3].into_iter().flat_map(|durable| [Left::Everything, Left::Zeros, Left::Nothing].map(|left| (durable, left)))
    {
        let folder = tempfile::tempdir().unwrap();
        let options = LogOptions { retry_after: Duration::ZERO, ..options(folder.path()) };
        let log = IngestLog::open(options.clone()).unwrap();
        let mut expected = String::new();
        for row in 0..durable {
            log.append(format!("row {row}").as_bytes(), Some(&row.to_string())).unwrap();
            expected += &format!("row {row}\n");
        }
        let mut source = reader(folder.path(), &[]).unwrap();
        assert_eq!(drain(&mut source), expected);
        let tail = log.durable();
        log.fail_syncs(1);
        assert!(matches!(log.append(b"lost", Some("lost")), Err(AppendError::Failed(_))), "{durable} {left:?}");
        let last = files::segment_path(folder.path(), *files::list(folder.path(), "log").unwrap().last().unwrap());
        let from = if last == files::segment_path(folder.path(), tail.segment) { tail.length as usize } else { 0 };
        let mut content = fs::read(&last).unwrap();
        match left {
            Left::Everything => {}
            Left::Zeros => content[from..].fill(0),
            Left::Nothing => content.truncate(from),
        }
        fs::write(&last, content).unwrap();
        assert_eq!(drain(&mut source), "", "what is not durable is not read");

        let again = log.append(b"again", Some("lost")).unwrap();
        assert_eq!(again, Appended { first_row: durable, rows: 1, duplicate: false }, "the key of rows that were lost is free");
        log.append(b"more", None).unwrap();
        assert_eq!(log.backlog_bytes(), expected.len() as u64 + 11);
        assert_eq!(drain(&mut source), "again\nmore\n", "who followed it follows on");
        expected += "again\nmore\n";
        drop(log);
        let log = IngestLog::open(options).unwrap();
        assert_eq!(drain(&mut reader(folder.path(), &[]).unwrap()), expected, "{durable} {left:?}");
        assert!(log.append(b"again", Some("lost")).unwrap().duplicate);
        if durable > 0 {
            assert!(log.append(b"row 0", Some("0")).unwrap().duplicate);
        }
    }
}

#[test]
fn a_log_that_failed_is_tried_again_after_ever_longer() {
    let folder = tempfile::tempdir().unwrap();
    let log = IngestLog::open(LogOptions { retry_after: Duration::from_secs(60), ..options(folder.path()) }).unwrap();
    log.fail_syncs(1);
    assert!(matches!(log.append(b"a", None), Err(AppendError::Failed(_))));
    let Err(AppendError::Unavailable { retry_after }) = log.append(b"a", None) else { panic!("it is closed for a minute") };
    assert!(retry_after > Duration::from_secs(30));

    let folder = tempfile::tempdir().unwrap();
    let log = IngestLog::open(LogOptions { retry_after: Duration::from_millis(1), ..options(folder.path()) }).unwrap();
    log.append(b"first", None).unwrap();
    log.fail_syncs(4);
    let mut refused = 0;
    let appended = loop {
        match log.append(b"a", None) {
            Ok(appended) => break appended,
            Err(AppendError::Failed(_)) => refused += 1,
            Err(AppendError::Unavailable { retry_after }) => {
                assert!(retry_after <= Duration::from_millis(1 << (refused - 1)));
                thread::sleep(retry_after);
            }
            Err(other) => panic!("{other}"),
        }
    };
    assert_eq!((refused, appended.first_row), (4, 1), "nothing of what failed is in the log");
    assert_eq!(drain(&mut reader(folder.path(), &[]).unwrap()), "first\na\n");
}

#[test]
fn callers_whose_rows_were_lost_are_never_told_that_they_are_durable() {
    let folder = tempfile::tempdir().unwrap();
    let options = LogOptions { retry_after: Duration::ZERO, ..LogOptions::new(folder.path(), KEY, 16) };
    let log = IngestLog::open(options).unwrap();
    let callers: Vec<_> = (0..8)
        .map(|caller| {
            let log = log.clone();
            thread::spawn(move || {
                let append = |i: usize| {
                    if i % 10 == caller {
                        log.fail_syncs(1);
                    }
                    let text = format!("{caller}-{i}\n");
                    log.append(text.as_bytes(), None).ok().map(|appended| (appended.first_row, text))
                };
                (0..200).filter_map(append).collect::<Vec<_>>()
            })
        })
        .collect();
    let answered: Vec<_> = callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect();
    let read = drain(&mut reader(folder.path(), &[]).unwrap());
    let rows: Vec<&str> = read.split_inclusive('\n').collect();
    assert!(answered.len() > 100 && answered.len() < 1600, "{} were answered", answered.len());
    for (row, text) in &answered {
        assert_eq!(rows[*row as usize], text, "row {row} was answered");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// A crash while a request is written leaves a part of its frame, or anything at all: it is cut off, and the log goes on.
    #[test]
    fn a_torn_tail_is_cut_off(whole in 0_usize..12, torn in proptest::collection::vec(any::<u8>(), 0..200), part in 0.0..1.0_f64) {
        let folder = tempfile::tempdir().unwrap();
        let mut expected = String::new();
        let log = IngestLog::open(options(folder.path())).unwrap();
        for i in 0..whole {
            log.append(format!("row {i}").as_bytes(), Some(&i.to_string())).unwrap();
            expected += &format!("row {i}\n");
        }
        let tail = log.durable();
        let before = fs::read(folder.path().join("tail")).unwrap();
        log.append(b"never answered", Some("never")).unwrap();
        let after = log.durable();
        drop(log);
        // Back to the moment in the middle of that last write.
        fs::write(folder.path().join("tail"), before).unwrap();
        let path = files::segment_path(folder.path(), after.segment);
        let from = if after.segment == tail.segment { tail.length } else { 0 };
        let kept = from + ((after.length - from) as f64 * part) as u64;
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.set_len(kept).unwrap();
        file.write_all(&torn).unwrap();
        drop(file);

        let log = IngestLog::open(options(folder.path())).unwrap();
        prop_assert_eq!(log.append(b"after", Some("never")).unwrap(), Appended { first_row: whole as u64, rows: 1, duplicate: false });
        if whole > 0 {
            prop_assert!(log.append(b"row 0", Some("0")).unwrap().duplicate);
        }
        expected += "after\n";
        prop_assert_eq!(drain(&mut reader(folder.path(), &[]).unwrap()), expected);
    }
}
