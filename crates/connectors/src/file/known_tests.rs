//! Going on with files that were changed since they were read: what grew is read on, what changed is refused, and nothing is lost in silence.

use std::{fs, path::Path, time::Duration};

use weir_spec::connector::{FileSource, Format};

use super::source_tests::{config, drain, gzip, open, read};
use crate::{
    error::ConnectorError,
    source::{MalformedReason as Reason, Offset, PartitionPosition, Read, ReadLimit, SourceReader},
};

/// Reads what there is and gives the text with the positions behind it, as they come out of a checkpoint.
fn read_on(folder: &Path, config: &FileSource, format: Format, from: &[PartitionPosition]) -> (String, Vec<PartitionPosition>) {
    let mut reader = open(folder, config, format, from).unwrap();
    let text = drain(&mut reader, 3).into_iter().map(|(_, text, _)| text).collect();
    (text, stored(&reader))
}

fn stored(reader: &dyn SourceReader) -> Vec<PartitionPosition> {
    serde_json::from_value(serde_json::to_value(reader.positions()).unwrap()).unwrap()
}

/// As a Weir left them that kept only the beginning of a file.
fn older(mut positions: Vec<PartitionPosition>) -> Vec<PartitionPosition> {
    positions.iter_mut().for_each(|position| position.state = None);
    positions
}

fn append(path: &Path, text: &str) {
    let whole = fs::read_to_string(path).unwrap() + text;
    fs::write(path, whole).unwrap();
}

fn refusal(folder: &Path, config: &FileSource, format: Format, from: &[PartitionPosition]) -> String {
    match open(folder, config, format, from).and_then(|mut reader| reader.read(ReadLimit { rows: 9, wait: Duration::ZERO })) {
        Err(ConnectorError::Resume(message)) => message,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn lines_behind_the_end_of_a_file_that_was_read_whole_are_read() {
    for (format, start) in
        [(Format::Json, ""), (Format::Json, "\u{feff}a\n"), (Format::Json, "a\nb\n"), (Format::Csv, "id,n\n1,2\n")]
    {
        for keeps_less in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("f");
            fs::write(&path, start).unwrap();
            let (_, mut positions) = read_on(folder.path(), &config("f"), format, &[]);
            let rows = positions[0].offset.row;
            for more in ["3,4\n5,6\n", "7,8\n"] {
                if keeps_less {
                    positions = older(positions);
                }
                append(&path, more);
                let (text, after) = read_on(folder.path(), &config("f"), format, &positions);
                assert_eq!(text, more, "behind {start:?}");
                assert_eq!(
                    read_on(folder.path(), &config("f"), format, &after),
                    (String::new(), after.clone()),
                    "nothing is new"
                );
                positions = after;
            }
            assert_eq!(positions[0].offset, Offset { byte: fs::metadata(&path).unwrap().len(), row: rows + 3 });
        }
    }
}

#[test]
fn a_header_that_comes_to_an_empty_file_later_is_no_row() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    fs::write(&path, "").unwrap();
    let (_, positions) = read_on(folder.path(), &config("f"), Format::Csv, &[]);
    fs::write(&path, "id,n\n1,2\n").unwrap();
    assert_eq!(read_on(folder.path(), &config("f"), Format::Csv, &positions).0, "1,2\n");
}

#[test]
fn a_last_line_without_its_end_was_a_row_and_is_none_again_when_the_end_comes() {
    for (format, start, last) in [(Format::Json, "a\n", "b"), (Format::Csv, "id,n\n", "1,2"), (Format::Csv, "id", "")] {
        for (end, keeps_less) in [("\n", false), ("\r\n", false), ("\n", true)] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("f");
            fs::write(&path, format!("{start}{last}")).unwrap();
            let (text, mut positions) = read_on(folder.path(), &config("f"), format, &[]);
            assert!(text.ends_with(last));
            if keeps_less {
                positions = older(positions);
            }
            for more in [end, "3\n"] {
                append(&path, more);
                let (text, after) = read_on(folder.path(), &config("f"), format, &positions);
                assert_eq!(text, if more == end { "" } else { more }, "{start:?} {last:?} {end:?}");
                positions = after;
            }
        }
    }
}

#[test]
fn a_last_line_that_goes_on_after_it_was_a_row_is_refused_by_file_and_byte() {
    for (format, start, more) in [
        (Format::Json, "a\nb", "c\n"),
        (Format::Json, "a\nb", "\rc\n"),
        (Format::Csv, "id,n\n1,2", "3\n"),
        (Format::Csv, "id,n\n1,\"2", "\"\n"),
        // Whether this line end is one of the file or of the field cannot be told.
        (Format::Csv, "id,n\n1,\"2", "\n"),
        (Format::Csv, "id,n\n1,\"2\n", "\"\n3,4\n"),
        (Format::Csv, "id", ",n\n1,2\n"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        fs::write(&path, start).unwrap();
        let (_, positions) = read_on(folder.path(), &config("f"), format, &[]);
        append(&path, more);
        let message = refusal(folder.path(), &config("f"), format, &positions);
        assert!(message.starts_with(&format!("{}: ", path.display())), "{message}");
        assert!(message.contains(&format!("ended at byte {}", start.len())) && message.contains("--fresh"), "{message}");
    }
}

#[test]
fn a_plain_file_that_changed_before_the_position_is_refused_wherever_it_changed() {
    let lines: Vec<String> = (0..5000).map(|i| format!("line {i:06}\n")).collect();
    let whole = lines.concat();
    for read_to_its_end in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        fs::write(&path, &whole).unwrap();
        let mut reader = open(folder.path(), &config("f"), Format::Json, &[]).unwrap();
        read(&mut reader, 3000).unwrap();
        if read_to_its_end {
            drain(&mut reader, 1000);
        }
        let positions = stored(&reader);
        assert_eq!(positions[0].done, read_to_its_end);
        let at = positions[0].offset.byte;
        let changed = |line: usize| whole.replace(&lines[line], "LINE 000000\n");
        for (content, what) in [
            (changed(0), "its beginning is another"),
            (changed(1500), "bytes that were read are others"),
            (changed(if read_to_its_end { 4999 } else { 2999 }), "what stands before byte"),
            (whole[..at as usize - 1].to_owned(), "bytes were read, and it has"),
            (changed(1500) + "and grew\n", "bytes that were read are others"),
        ] {
            fs::write(&path, content).unwrap();
            let message = refusal(folder.path(), &config("f"), Format::Json, &positions);
            assert!(message.contains(what) && message.contains(&*path.to_string_lossy()), "{what}: {message}");
            assert!(message.contains("another file name") && message.contains("weir run --fresh"), "{message}");
        }
        fs::write(&path, &whole).unwrap();
        let rest = if read_to_its_end { "" } else { &whole[at as usize..] };
        assert_eq!(read_on(folder.path(), &config("f"), Format::Json, &positions).0, rest);
    }
}

#[test]
fn a_compressed_file_may_be_read_on_and_must_not_change_once_it_was_read() {
    let text: String = (0..5000).map(|i| format!("line {i:06}\n")).collect();
    let pack = |name: &str, text: &str| match name {
        "f.gz" => gzip(text.as_bytes()),
        _ => zstd::bulk::compress(text.as_bytes(), 1).unwrap(),
    };
    for name in ["f.gz", "f.zst"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, pack(name, &text)).unwrap();
        let mut reader = open(folder.path(), &config(name), Format::Json, &[]).unwrap();
        let first = read(&mut reader, 3000).unwrap();
        let halfway = stored(&reader);
        drain(&mut reader, 1000);
        let done = stored(&reader);
        assert_eq!(read_on(folder.path(), &config(name), Format::Json, &done), (String::new(), done.clone()));
        assert_eq!(read_on(folder.path(), &config(name), Format::Json, &halfway).0, text[first.end.byte as usize..]);

        let grown = [pack(name, &text), pack(name, "more\n")].concat();
        fs::write(&path, &grown).unwrap();
        assert!(refusal(folder.path(), &config(name), Format::Json, &done).contains("bytes and has"));
        assert_eq!(
            read_on(folder.path(), &config(name), Format::Json, &halfway).0,
            text[first.end.byte as usize..].to_owned() + "more\n"
        );

        fs::write(&path, pack(name, &text.replace("line 001000", "LINE 001000"))).unwrap();
        for positions in [&halfway, &done] {
            refusal(folder.path(), &config(name), Format::Json, positions);
        }
    }
}

#[test]
fn a_file_that_was_refused_whole_is_not_read_when_it_is_mended_under_its_old_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    fs::write(&path, "ID,n\n1,2\n").unwrap();
    let mut reader = open(folder.path(), &config("f"), Format::Csv, &[]).unwrap();
    assert!(matches!(read(&mut reader, 9).unwrap().malformed[0].reason, Reason::WrongColumns { .. }));
    assert!(matches!(reader.read(ReadLimit { rows: 9, wait: Duration::ZERO }).unwrap(), Read::End));
    let positions = stored(&reader);
    assert_eq!(read_on(folder.path(), &config("f"), Format::Csv, &positions), (String::new(), positions.clone()));
    for mended in ["id,n\n1,2\n", "ID,n\n1,2\n3,4\n"] {
        fs::write(&path, mended).unwrap();
        assert!(refusal(folder.path(), &config("f"), Format::Csv, &positions).contains("another file name"));
    }
}
