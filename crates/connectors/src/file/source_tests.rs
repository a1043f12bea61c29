//! Reading files: nothing lost, nothing twice, whatever the file looks like and wherever reading resumes.

use std::{fs, io::Write, path::Path, time::Duration};

use flate2::{Compression as Level, write::GzEncoder};
use proptest::prelude::*;
use weir_spec::{
    Column, DataType,
    connector::{Compression, FileSource, Format},
};

use super::{FileReader, FileReaderOptions};
use crate::{
    base_dir::BaseDir,
    error::ConnectorError,
    schema::arrow_schema,
    source::{Chunk, Malformed, MalformedReason as Reason, Offset, PartitionPosition, Payload, Read, ReadLimit, SourceReader},
};

pub(super) fn config(path: &str) -> FileSource {
    FileSource { path: path.into(), compression: None, max_line: 100, delimiter: ',', header: true, null: String::new() }
}

fn columns() -> Vec<Column> {
    vec![Column { required: true, ..Column::new("id", DataType::String) }, Column::new("n", DataType::Int64)]
}

pub(super) fn open(
    folder: &Path,
    config: &FileSource,
    format: Format,
    resume: &[PartitionPosition],
) -> Result<FileReader, ConnectorError> {
    let columns = columns();
    let options =
        FileReaderOptions { config, format, schema: arrow_schema(&columns), columns: &columns, base_dir: folder.into() };
    FileReader::open(options, resume)
}

pub(super) fn read(reader: &mut FileReader, rows: usize) -> Option<Chunk> {
    match reader.read(ReadLimit { rows, wait: Duration::ZERO }).unwrap() {
        Read::Chunk(chunk) => {
            if let Payload::Bytes(bytes) = &chunk.payload {
                assert!(bytes.len() as u64 <= chunk.end.byte - chunk.start.byte);
            }
            Some(chunk)
        }
        Read::Idle => panic!("files are never idle"),
        Read::End => None,
    }
}

/// Everything a reader still has: partition, text, malformed.
pub(super) fn drain(reader: &mut FileReader, rows: usize) -> Vec<(String, String, Vec<Malformed>)> {
    let mut all: Vec<(String, String, Vec<Malformed>)> = Vec::new();
    let mut next: Option<(u32, Offset)> = None;
    while let Some(chunk) = read(reader, rows) {
        if let Some((partition, end)) = next.filter(|(p, _)| *p == chunk.partition) {
            assert_eq!((partition, end), (chunk.partition, chunk.start), "chunks follow each other");
        }
        next = Some((chunk.partition, chunk.end));
        let Payload::Bytes(bytes) = chunk.payload else { panic!("text files give bytes") };
        let name = reader.partition_name(chunk.partition).to_owned();
        if all.last().is_none_or(|(last, ..)| *last != name) {
            all.push((name, String::new(), Vec::new()));
        }
        let entry = all.last_mut().unwrap();
        entry.1.push_str(std::str::from_utf8(&bytes).unwrap());
        entry.2.extend(chunk.malformed);
    }
    all
}

pub(super) fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Level::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_folder_is_read_by_name_with_its_folders_and_without_hidden_names() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("in/dt=1")).unwrap();
    for (name, text) in [("b.json", "b\n"), ("a.json", "a\n"), ("dt=1/c.json", "c\n"), ("_manifest", "x\n"), (".part-1", "y\n")] {
        fs::write(folder.path().join("in").join(name), text).unwrap();
    }
    let names = |path: &str| -> Vec<String> {
        drain(&mut open(folder.path(), &config(path), Format::Json, &[]).unwrap(), 10)
            .into_iter()
            .map(|(name, ..)| name)
            .collect()
    };
    assert_eq!(names("in"), ["a.json", "b.json", "dt=1/c.json"]);
    assert_eq!(names("in/*.json"), ["a.json", "b.json"]);
    assert_eq!(names("in/**/c.json"), ["dt=1/c.json"]);
    assert_eq!(names("in/b.json"), ["b.json"]);
    for missing in ["none.json", "in/*.csv"] {
        let error = open(folder.path(), &config(missing), Format::Json, &[]).err().unwrap().to_string();
        assert!(error.contains(missing), "{error}");
    }
}

#[test]
fn line_ends_and_the_lack_of_the_last_one_make_no_difference_to_the_rows() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("f"), "\u{feff}a\r\nb\n\nc").unwrap();
    let mut reader = open(folder.path(), &config("f"), Format::Json, &[]).unwrap();
    let chunk = read(&mut reader, 10).unwrap();
    assert_eq!((chunk.start, chunk.end), (Offset { byte: 3, row: 0 }, Offset { byte: 10, row: 4 }));
    assert_eq!(drain(&mut reader, 10), []);
    assert!(reader.positions()[0].done);
}

#[test]
fn overlong_lines_are_malformed_and_what_follows_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let long = "x".repeat(9 << 20);
    for (name, text) in [("plain", format!("a\n{long}\nb\n")), ("end", format!("a\n{long}"))] {
        fs::write(folder.path().join(name), &text).unwrap();
        let all = drain(&mut open(folder.path(), &config(name), Format::Json, &[]).unwrap(), 10);
        assert_eq!(all[0].1, if name == "plain" { "a\nb\n" } else { "a\n" });
        let malformed = &all[0].2[0];
        assert_eq!(malformed.reason, Reason::TooLong { limit: 100 });
        assert_eq!((malformed.at, malformed.raw.len(), malformed.raw_length), (Offset { byte: 2, row: 1 }, 100, 9 << 20));
    }
    fs::write(folder.path().join("edge"), format!("{}\n{}\n", "y".repeat(100), "z".repeat(101))).unwrap();
    let all = drain(&mut open(folder.path(), &config("edge"), Format::Json, &[]).unwrap(), 10);
    assert_eq!((all[0].1.len(), all[0].2.len()), (101, 1));
}

#[test]
fn compressed_files_are_read_through_all_their_members() {
    let folder = tempfile::tempdir().unwrap();
    let members = [gzip(b"a\nb"), gzip(b"c\nd\n")].concat();
    fs::write(folder.path().join("two.json.gz"), &members).unwrap();
    fs::write(
        folder.path().join("z.json.zst"),
        [zstd::bulk::compress(b"a\n", 1).unwrap(), zstd::bulk::compress(b"b\n", 1).unwrap()].concat(),
    )
    .unwrap();
    let all = drain(&mut open(folder.path(), &config("*"), Format::Json, &[]).unwrap(), 10);
    assert_eq!(all[0].1, "a\nbc\nd\n");
    assert_eq!(all[1].1, "a\nb\n");
    let forced = FileSource { compression: Some(Compression::None), max_line: 1 << 20, ..config("two.json.gz") };
    let mut reader = open(folder.path(), &forced, Format::Json, &[]).unwrap();
    assert!(matches!(read(&mut reader, 10).unwrap().payload, Payload::Bytes(bytes) if bytes == members));
}

#[test]
fn a_broken_stream_is_malformed_where_it_breaks_and_the_next_file_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let text: String = (0..5000).map(|i| format!("row {}\n", i * 7919 % 5000)).collect();
    let whole = gzip(text.as_bytes());
    fs::write(folder.path().join("1.gz"), &whole[..whole.len() / 2]).unwrap();
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 40].fill(0xff);
    fs::write(folder.path().join("2.gz"), &damaged).unwrap();
    fs::write(folder.path().join("3.gz"), b"no gzip at all").unwrap();
    fs::write(folder.path().join("4"), "fine\n").unwrap();
    fs::write(folder.path().join("5.zst"), &zstd::bulk::compress(text.as_bytes(), 1).unwrap()[..2000]).unwrap();
    let mut reader = open(folder.path(), &config("*"), Format::Json, &[]).unwrap();
    let all = drain(&mut reader, 1000);
    assert_eq!(all.iter().map(|(name, ..)| name.as_str()).collect::<Vec<_>>(), ["1.gz", "2.gz", "3.gz", "4", "5.zst"]);
    for (name, read, malformed) in &all {
        if name == "4" {
            assert_eq!((read.as_str(), malformed.len()), ("fine\n", 0));
            continue;
        }
        let [Malformed { reason, .. }] = malformed.as_slice() else { panic!("{name}: {malformed:?}") };
        match name.as_str() {
            "3.gz" => assert_eq!(*reason, Reason::WrongFormat { expected: "gzip".to_owned() }),
            _ => assert!(matches!(reason, Reason::Truncated { .. }), "{name}: {reason:?}"),
        }
        if name != "2.gz" {
            assert!(text.starts_with(read), "{name}");
            let at = malformed[0].at;
            assert_eq!((at.byte, at.row), (read.len() as u64, read.lines().count() as u64));
            assert!(text.as_bytes()[read.len()..].starts_with(&malformed[0].raw), "{name}");
        }
    }
    assert!(reader.positions().iter().all(|p| p.done));
}

#[test]
fn an_empty_file_is_reported_once() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a"), "").unwrap();
    fs::write(folder.path().join("b.gz"), gzip(b"")).unwrap();
    fs::write(folder.path().join("c.gz"), "").unwrap();
    for format in [Format::Json, Format::Csv] {
        let mut reader = open(folder.path(), &config("*"), format, &[]).unwrap();
        let chunk = read(&mut reader, 10).unwrap();
        assert_eq!(chunk.malformed[0].reason, Reason::EmptyFile);
        let rest = drain(&mut open(folder.path(), &config("*"), format, &reader.positions()).unwrap(), 10);
        assert_eq!(rest.iter().map(|(_, _, m)| m[0].reason.clone()).collect::<Vec<_>>(), [Reason::EmptyFile, Reason::EmptyFile]);
    }
}

#[test]
fn csv_is_cut_outside_quotes_and_carries_its_header() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("f.csv"), "n,id\r\n1,\"a\nb\"\r\n2,\"c \"\"\n\"\"\"\n3,d").unwrap();
    let mut reader = open(folder.path(), &config("f.csv"), Format::Csv, &[]).unwrap();
    let mut cuts = Vec::new();
    while let Some(chunk) = read(&mut reader, 1) {
        assert_eq!(chunk.header.as_deref(), Some(&["n".to_owned(), "id".to_owned()][..]));
        let Payload::Bytes(bytes) = chunk.payload else { panic!() };
        cuts.push(String::from_utf8(bytes.to_vec()).unwrap());
    }
    assert_eq!(cuts, ["1,\"a\nb\"\r\n", "2,\"c \"\"\n\"\"\"\n", "3,d"]);
}

#[test]
fn a_header_that_does_not_fit_is_one_malformed_row_and_the_other_files_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let long = format!("id,{}\n1,2\n", "n".repeat(200));
    let wrong = |column: &str, detail: &str| Reason::WrongColumns {
        column: column.to_owned(),
        detail: format!("the header cannot be used: {detail}; correct it, or set `header: false` if the file has none"),
    };
    let cases: [(&str, &[u8], Reason); 6] = [
        ("a", b"n\n1\n", wrong("id", "`id`, which is required, is missing")),
        (
            "b",
            b"ID,n,n\r\n1,2,3\r\n",
            wrong(
                "id, n",
                "`id`, which is required, is missing (there is one in other letter case, which is another name); `n` is there more than once",
            ),
        ),
        ("c", b"id,\xff\n1,2\n", Reason::NotUtf8 { at: 3 }),
        ("d", b"id,\"n\"x\n1,2\n", Reason::Syntax { at: 6, expected: "a delimiter after the closing quote".to_owned() }),
        ("e", long.as_bytes(), Reason::TooLong { limit: 100 }),
        ("f", b"\xef\xbb\xbfn\n1\n", wrong("id", "`id`, which is required, is missing")),
    ];
    for (name, content, _) in &cases {
        fs::write(folder.path().join(name), content).unwrap();
    }
    fs::write(folder.path().join("z"), "n,id\n1,a\n").unwrap();
    let all = drain(&mut open(folder.path(), &config("*"), Format::Csv, &[]).unwrap(), 1);
    assert_eq!(all.len(), cases.len() + 1);
    for ((name, text, malformed), (_, content, reason)) in all.iter().zip(&cases) {
        let [entry] = malformed.as_slice() else { panic!("{name}: {malformed:?}") };
        assert_eq!((text.as_str(), &entry.reason), ("", reason), "{name}");
        assert_eq!(entry.at, Offset { byte: if name == "f" { 3 } else { 0 }, row: 0 }, "{name}");
        assert!(content[entry.at.byte as usize..].starts_with(&entry.raw) && !entry.raw.is_empty(), "{name}");
    }
    assert_eq!(all.last().unwrap(), &("z".to_owned(), "1,a\n".to_owned(), Vec::new()));
}

#[test]
fn a_replaced_shrunk_or_missing_file_is_not_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    fs::write(&path, "a\nb\nc\nd\n").unwrap();
    let mut reader = open(folder.path(), &config("f"), Format::Json, &[]).unwrap();
    read(&mut reader, 2).unwrap();
    let positions = reader.positions();
    let resumed = || open(folder.path(), &config("f"), Format::Json, &positions);
    assert_eq!(drain(&mut resumed().unwrap(), 10)[0].1, "c\nd\n");
    fs::write(&path, "a\nb\nc\nd\nappended\n").unwrap();
    assert_eq!(drain(&mut resumed().unwrap(), 10)[0].1, "c\nd\nappended\n");
    for replaced in ["x\nb\nc\nd\n", "a\n"] {
        fs::write(&path, replaced).unwrap();
        assert!(matches!(resumed().err().unwrap(), ConnectorError::Resume(_)), "{replaced:?}");
    }
    fs::remove_file(&path).unwrap();
    assert!(resumed().is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The same rows in the same order, whatever the chunk size and wherever reading stops and resumes.
    #[test]
    fn resuming_anywhere_loses_and_repeats_nothing(
        lines in proptest::collection::vec(prop_oneof!["[a-z,]{0,10}", "[a-z]{90,140}", "\"[a-z\n]{0,5}\""], 1..40),
        ending in 0_usize..3,
        format in proptest::sample::select(vec![Format::Json, Format::Csv]),
        last_newline: bool,
        steps in proptest::collection::vec(1_usize..7, 1..20),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut text = String::from(if format == Format::Csv { "id,n\n" } else { "" }) + &lines.join("\n");
        if last_newline || text.is_empty() {
            text.push('\n');
        }
        let (name, stored) = match ending {
            0 => ("f", text.clone().into_bytes()),
            1 => ("f.gz", gzip(text.as_bytes())),
            _ => ("f.zst", zstd::bulk::compress(text.as_bytes(), 1).unwrap()),
        };
        fs::write(folder.path().join(name), stored).unwrap();
        let whole = drain(&mut open(folder.path(), &config(name), format, &[]).unwrap(), 1000);

        let mut pieces: Vec<(String, String, Vec<Malformed>)> = vec![(name.to_owned(), String::new(), Vec::new())];
        let mut positions = Vec::new();
        let mut rows = 0;
        for step in steps.iter().cycle() {
            let mut reader = open(folder.path(), &config(name), format, &positions).unwrap();
            let Some(chunk) = read(&mut reader, *step) else { break };
            prop_assert!(chunk.end.row - chunk.start.row <= *step as u64);
            rows += chunk.end.row - chunk.start.row;
            let Payload::Bytes(bytes) = &chunk.payload else { panic!() };
            pieces[0].1.push_str(std::str::from_utf8(bytes).unwrap());
            pieces[0].2.extend(chunk.malformed);
            positions = reader.positions();
        }
        let whole = if whole.is_empty() { vec![(name.to_owned(), String::new(), Vec::new())] } else { whole };
        prop_assert_eq!(whole, pieces);
        prop_assert_eq!(positions.first().map_or(0, |p| p.offset.row), rows);
    }
}

/// A folder `files` with one row of its own, and a file beside the folder.
#[cfg(unix)]
fn beside() -> (tempfile::TempDir, std::path::PathBuf, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let (files, secret) = (dir.path().join("files"), dir.path().join("secret"));
    fs::create_dir_all(files.join("in")).unwrap();
    fs::create_dir(&secret).unwrap();
    fs::write(files.join("in/a.json"), "{\"id\":\"own\"}\n").unwrap();
    fs::write(secret.join("b.json"), "{\"id\":\"secret\"}\n").unwrap();
    (dir, files, secret)
}

#[cfg(unix)]
fn open_confined(files: &Path, allowed: &[std::path::PathBuf], path: &str) -> Result<FileReader, ConnectorError> {
    let (columns, config) = (columns(), config(path));
    let base_dir = BaseDir::confined(files, allowed).unwrap();
    let schema = arrow_schema(&columns);
    FileReader::open(FileReaderOptions { config: &config, format: Format::Json, schema, columns: &columns, base_dir }, &[])
}

#[cfg(unix)]
#[test]
fn a_confined_source_refuses_links_that_lead_out_however_they_are_reached() {
    use std::os::unix::fs::symlink;
    for (link, paths) in
        [("in/b.json", ["in/b.json", "in", "in/*.json", "**/*.json"]), ("in/c", ["in/c/b.json", "in/c", "in", "i?/c/*"])]
    {
        let (_dir, files, secret) = beside();
        let target = if link == "in/c" { secret.clone() } else { secret.join("b.json") };
        symlink(&target, files.join(link)).unwrap();
        for path in paths {
            let error = open_confined(&files, &[], path).err().unwrap_or_else(|| panic!("{path} was opened"));
            let ConnectorError::Outside { path: named, leads_to } = error else { panic!("{path}: {error}") };
            assert_eq!((named, leads_to), (files.join(link), target.canonicalize().unwrap()), "{path}");
            open_confined(&files, std::slice::from_ref(&secret), path).unwrap();
            open(&files, &config(path), Format::Json, &[]).unwrap();
        }
    }
}

#[cfg(unix)]
#[test]
fn a_file_that_became_a_link_after_it_was_listed_is_refused() {
    let (_dir, files, secret) = beside();
    let mut reader = open_confined(&files, &[], "in").unwrap();
    fs::remove_file(files.join("in/a.json")).unwrap();
    std::os::unix::fs::symlink(secret.join("b.json"), files.join("in/a.json")).unwrap();
    let error = reader.read(ReadLimit { rows: 10, wait: Duration::ZERO }).unwrap_err();
    assert!(matches!(error, ConnectorError::Outside { .. }), "{error}");
}
