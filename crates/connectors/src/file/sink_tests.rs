//! Writing files: exactly once wherever the process dies, folders as Hive has them, and nothing overwritten.

use std::{collections::BTreeMap, fs, io::Read as _, path::Path, sync::Arc};

use arrow::array::{Date32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::SchemaRef;
use flate2::read::MultiGzDecoder;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use weir_spec::{
    Column, DataType,
    connector::{Compression, FileSink, Format, PartitionTime, TimeUnit},
};

use super::{FileEncoder, FileWriter, sink::commit};
use crate::{
    context::SinkContext,
    error::ConnectorError,
    schema::arrow_schema,
    sink::{PreCommit, PreparedFile, RowEncoder, SinkWriter},
};

fn config() -> FileSink {
    FileSink {
        path: "out".into(),
        compression: Compression::None,
        partition_by: Vec::new(),
        partition_time: None,
        max_file_mib: 256,
    }
}

fn schema() -> SchemaRef {
    arrow_schema(&[
        Column::new("id", DataType::Int64),
        Column::new("country", DataType::String),
        Column::new("at", DataType::Timestamp),
        Column::new("day", DataType::Date),
    ])
}

/// Rows `from..to`; countries go round.
fn rows(from: i64, to: i64) -> RecordBatch {
    let countries = [Some("NL"), Some("a/b=c%"), None, Some("")];
    let hour = 3_600_000_000_i64;
    RecordBatch::try_new(
        schema(),
        vec![
            Arc::new(Int64Array::from_iter_values(from..to)),
            Arc::new((from..to).map(|i| countries[(i % 4) as usize]).collect::<StringArray>()),
            Arc::new(
                (from..to)
                    .map(|i| (i % 5 != 4).then_some(i * 7 * hour))
                    .collect::<TimestampMicrosecondArray>()
                    .with_timezone("UTC"),
            ),
            Arc::new((from..to).map(|i| Some(i as i32)).collect::<Date32Array>()),
        ],
    )
    .unwrap()
}

fn context(folder: &Path) -> SinkContext {
    SinkContext { base_dir: folder.into(), run_tag: "p1-s".into(), changes_in_order: false }
}

fn writer(folder: &Path, config: &FileSink, format: Format) -> FileWriter {
    FileWriter::new(config, format, schema(), &context(folder)).unwrap()
}

fn write(writer: &mut FileWriter, config: &FileSink, format: Format, rows: &RecordBatch) {
    writer.write(FileEncoder::new(config, format, schema()).unwrap().encode(rows).unwrap()).unwrap();
}

/// Every file below `folder` by its path, hidden ones only if asked for.
fn files(folder: &Path, hidden: bool) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if hidden == path.file_name().unwrap().to_string_lossy().starts_with('.') {
                found.insert(path.strip_prefix(folder).unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap());
            }
        }
    }
    found
}

fn ids(folder: &Path) -> Vec<i64> {
    let mut ids: Vec<i64> = Vec::new();
    for content in files(folder, false).values() {
        for line in content.split(|&b| b == b'\n').filter(|line| !line.is_empty()) {
            ids.push(serde_json::from_slice::<serde_json::Value>(line).unwrap()["id"].as_i64().unwrap());
        }
    }
    ids.sort_unstable();
    ids
}

#[test]
fn files_are_invisible_until_the_commit() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let mut writer = writer(folder.path(), &config(), Format::Json);
    write(&mut writer, &config(), Format::Json, &rows(0, 3));
    write(&mut writer, &config(), Format::Json, &rows(3, 5));
    assert_eq!(files(&out, false).len(), 0);
    let pre_commit = writer.seal(7).unwrap().pre_commit().unwrap();
    assert_eq!((files(&out, false).len(), pre_commit.rows), (0, 5));
    commit(&writer.root, &pre_commit).unwrap();
    commit(&writer.root, &pre_commit).unwrap();
    assert_eq!(files(&out, false).keys().collect::<Vec<_>>(), ["part-00000007-0000.json"]);
    assert_eq!(files(&out, true).len(), 0);
    assert_eq!(ids(&out), [0, 1, 2, 3, 4]);
    assert_eq!(pre_commit.bytes, fs::metadata(out.join("part-00000007-0000.json")).unwrap().len());
    assert_eq!(writer.seal(8).unwrap().pre_commit().unwrap(), PreCommit { epoch: 8, ..PreCommit::default() });
}

/// The engine's protocol, killed before each of its steps: after recovery and a second run every row is there once.
#[test]
fn a_crash_between_any_two_steps_loses_and_repeats_nothing() {
    let partitioned = FileSink { partition_by: vec!["country".into()], ..config() };
    for config in [config(), partitioned] {
        for dies_at in 0..14 {
            let folder = tempfile::tempdir().unwrap();
            let out = folder.path().join("out");
            let mut steps = 0;
            let mut alive = || {
                steps += 1;
                steps <= dies_at
            };
            // What the checkpoint file holds: the epoch, the next row, and what the sink promised.
            let mut checkpoint: Option<(u64, i64, PreCommit)> = None;
            let run = |checkpoint: &mut Option<(u64, i64, PreCommit)>, alive: &mut dyn FnMut() -> bool| -> Option<()> {
                let mut writer = writer(folder.path(), &config, Format::Json);
                writer.recover(checkpoint.as_ref().map(|(.., promised)| promised)).unwrap();
                let (mut epoch, mut next) = checkpoint.as_ref().map_or((0, 0), |(epoch, next, _)| (*epoch, *next));
                while next < 40 {
                    for _ in 0..2 {
                        alive().then_some(())?;
                        write(&mut writer, &config, Format::Json, &rows(next, next + 10));
                        next += 10;
                    }
                    alive().then_some(())?;
                    epoch += 1;
                    let promised = writer.seal(epoch).unwrap().pre_commit().unwrap();
                    alive().then_some(())?;
                    *checkpoint = Some((epoch, next, promised.clone()));
                    alive().then_some(())?;
                    // Dies in the middle of the renames.
                    let half = PreCommit { files: promised.files[..promised.files.len() / 2].to_vec(), ..promised.clone() };
                    commit(&writer.root, &half).unwrap();
                    alive().then_some(())?;
                    commit(&writer.root, &promised).unwrap();
                    alive().then_some(())?;
                }
                Some(())
            };
            run(&mut checkpoint, &mut alive);
            let visible = ids(&out);
            assert!(visible.windows(2).all(|pair| pair[0] < pair[1]), "nothing is visible twice");
            let promised = checkpoint.as_ref().map_or(0, |(_, next, _)| *next);
            assert!(visible.iter().all(|id| *id < promised), "nothing is visible before its checkpoint");
            run(&mut checkpoint, &mut || true).unwrap();
            assert_eq!(ids(&out), (0..40).collect::<Vec<_>>(), "killed before step {dies_at}");
            assert_eq!(files(&out, true).len(), 0, "no temporary is left behind");
        }
    }
}

#[test]
fn recovery_clears_its_own_temporaries_only_and_misses_no_promised_file() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    fs::create_dir_all(out.join("country=NL")).unwrap();
    for name in [
        ".part-p1-s-0123456789abcdef-00000000",
        "country=NL/.part-p1-s-0123456789abcdef-00000009",
        ".part-p1-s-2-0123456789abcdef-00000000",
        ".part-other-0123456789abcdef-00000000",
        ".keep",
        "part-1.json",
    ] {
        fs::write(out.join(name), "x").unwrap();
    }
    let mut writer = writer(folder.path(), &config(), Format::Json);
    writer.recover(None).unwrap();
    assert_eq!(
        files(&out, true).keys().collect::<Vec<_>>(),
        [".keep", ".part-other-0123456789abcdef-00000000", ".part-p1-s-2-0123456789abcdef-00000000"]
    );
    let promised = PreCommit {
        files: vec![PreparedFile {
            temporary: ".part-p1-s-0123456789abcdef-00000001".into(),
            path: "part-00000001-0000.json".into(),
            rows: 1,
            bytes: 1,
            sha256: String::new(),
        }],
        ..PreCommit::default()
    };
    writer.recover(Some(&promised)).expect("a file that a consumer took away is no error");
    assert!(
        matches!(commit(&writer.root, &promised), Err(ConnectorError::Resume(_))),
        "but one that vanishes before its commit is"
    );
}

#[test]
fn a_committed_file_is_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    fs::create_dir(&out).unwrap();
    fs::write(out.join("part-00000001-0000.json"), "an earlier life\n").unwrap();
    let mut writer = writer(folder.path(), &config(), Format::Json);
    write(&mut writer, &config(), Format::Json, &rows(0, 1));
    let promised = writer.seal(1).unwrap().pre_commit().unwrap();
    assert_eq!(promised.files[0].path, "part-00000001-0001.json");
    fs::write(out.join("part-00000001-0001.json"), "an intruder\n").unwrap();
    assert!(commit(&writer.root, &promised).unwrap_err().to_string().contains("part-00000001-0001.json"));
    assert_eq!(files(&out, false)["part-00000001-0001.json"], b"an intruder\n");
}

#[test]
fn partitions_are_folders_as_hive_has_them() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let config = FileSink { partition_by: vec!["country".into()], ..config() };
    let mut writer = writer(folder.path(), &config, Format::Json);
    write(&mut writer, &config, Format::Json, &rows(0, 8));
    let promised = writer.seal(1).unwrap().pre_commit().unwrap();
    commit(&writer.root, &promised).unwrap();
    let found: BTreeMap<_, _> = files(&out, false)
        .into_iter()
        .map(|(name, content)| (name.rsplit_once('/').unwrap().0.to_owned(), String::from_utf8(content).unwrap()))
        .collect();
    assert_eq!(found.keys().collect::<Vec<_>>(), ["country=NL", "country=__HIVE_DEFAULT_PARTITION__", "country=a%2Fb%3Dc%25"]);
    assert_eq!(
        found["country=NL"],
        "{\"id\":0,\"at\":\"1970-01-01T00:00:00Z\",\"day\":\"1970-01-01\"}\n{\"id\":4,\"at\":null,\"day\":\"1970-01-05\"}\n"
    );
}

#[test]
fn time_partitions_are_in_utc_and_keep_their_column() {
    for (by, column, expected) in [
        (
            TimeUnit::Hour,
            "at",
            vec![
                "dt=1970-01-01/hour=00",
                "dt=1970-01-01/hour=07",
                "dt=1970-01-01/hour=14",
                "dt=1970-01-01/hour=21",
                "dt=__HIVE_DEFAULT_PARTITION__/hour=__HIVE_DEFAULT_PARTITION__",
            ],
        ),
        (TimeUnit::Day, "day", vec!["dt=1970-01-01", "dt=1970-01-02", "dt=1970-01-03", "dt=1970-01-04", "dt=1970-01-05"]),
        (TimeUnit::Month, "day", vec!["month=1970-01"]),
        (TimeUnit::Year, "at", vec!["year=1970", "year=__HIVE_DEFAULT_PARTITION__"]),
    ] {
        let config = FileSink { partition_time: Some(PartitionTime { column: column.into(), by }), ..config() };
        let encoded = FileEncoder::new(&config, Format::Json, schema()).unwrap().encode(&rows(0, 5)).unwrap();
        let mut paths: Vec<_> = encoded.parts.iter().map(|part| part.path.as_str()).collect();
        paths.sort_unstable();
        assert_eq!(paths, expected);
        assert_eq!(encoded.parts.iter().map(|part| part.rows).sum::<u64>(), 5);
    }
}

#[test]
fn more_partitions_than_files_may_be_open_are_written_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let config = FileSink { partition_by: vec!["day".into()], ..config() };
    let mut writer = writer(folder.path(), &config, Format::Json);
    for _ in 0..2 {
        write(&mut writer, &config, Format::Json, &rows(0, 150));
    }
    let promised = writer.seal(1).unwrap().pre_commit().unwrap();
    commit(&writer.root, &promised).unwrap();
    let mut twice: Vec<i64> = (0..150).chain(0..150).collect();
    twice.sort_unstable();
    assert_eq!(ids(&folder.path().join("out")), twice);
}

#[test]
fn every_format_and_compression_reads_back() {
    for (format, compression, ending) in [
        (Format::Json, Compression::Gzip, "json.gz"),
        (Format::Json, Compression::Zstd, "json.zst"),
        (Format::Csv, Compression::None, "csv"),
        (Format::Csv, Compression::Gzip, "csv.gz"),
        (Format::Parquet, Compression::None, "parquet"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let config = FileSink { compression, ..config() };
        let mut writer = writer(folder.path(), &config, format);
        write(&mut writer, &config, format, &rows(0, 3));
        write(&mut writer, &config, format, &rows(3, 9));
        let promised = writer.seal(1).unwrap().pre_commit().unwrap();
        commit(&writer.root, &promised).unwrap();
        let path = folder.path().join(format!("out/part-00000001-0000.{ending}"));
        let stored = fs::read(&path).unwrap();
        let mut text = String::new();
        match (format, compression) {
            (Format::Parquet, _) => {
                let reader = ParquetRecordBatchReaderBuilder::try_new(fs::File::open(&path).unwrap()).unwrap().build().unwrap();
                let read = arrow::compute::concat_batches(&schema(), &reader.map(Result::unwrap).collect::<Vec<_>>()).unwrap();
                assert_eq!(read, rows(0, 9));
                continue;
            }
            (_, Compression::Gzip) => drop(MultiGzDecoder::new(stored.as_slice()).read_to_string(&mut text).unwrap()),
            (_, Compression::Zstd) => text = String::from_utf8(zstd::stream::decode_all(stored.as_slice()).unwrap()).unwrap(),
            (_, Compression::None) => text = String::from_utf8(stored).unwrap(),
        }
        let lines: Vec<_> = text.lines().collect();
        if format == Format::Csv {
            assert_eq!(lines[0], "id,country,at,day");
            assert_eq!(lines[1], "0,NL,1970-01-01T00:00:00Z,1970-01-01");
            assert_eq!(lines.len(), 10);
        } else {
            assert_eq!(lines.len(), 9);
        }
    }
}

#[test]
fn a_file_is_closed_when_it_is_full() {
    let folder = tempfile::tempdir().unwrap();
    let config = FileSink { max_file_mib: 1, ..config() };
    let mut writer = writer(folder.path(), &config, Format::Json);
    for _ in 0..3 {
        write(&mut writer, &config, Format::Json, &rows(0, 20_000));
    }
    assert_eq!(writer.seal(1).unwrap().pre_commit().unwrap().files.len(), 3);
}

#[test]
fn what_cannot_work_is_refused_with_a_word_on_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let refused = |config: FileSink, format| {
        FileWriter::new(&config, format, schema(), &context(folder.path()))
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    };
    for (config, format, part) in [
        (FileSink { path: "file".into(), ..config() }, Format::Json, "is a file"),
        (FileSink { path: "file/below".into(), ..config() }, Format::Json, "file"),
        (FileSink { compression: Compression::Gzip, ..config() }, Format::Parquet, "Parquet compresses by itself"),
        (FileSink { partition_by: vec!["nothing".into()], ..config() }, Format::Json, "`nothing`"),
        (
            FileSink { partition_time: Some(PartitionTime { column: "id".into(), by: TimeUnit::Day }), ..config() },
            Format::Json,
            "timestamp or a date",
        ),
        (
            FileSink { partition_by: schema().fields().iter().map(|f| f.name().clone()).collect(), ..config() },
            Format::Json,
            "every column",
        ),
    ] {
        let error = refused(config, format);
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn what_was_committed_can_be_taken_back_and_brought_back() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let mut sink = writer(folder.path(), &config(), Format::Json);
    write(&mut sink, &config(), Format::Json, &rows(0, 3));
    let mut sealed = sink.seal(4).unwrap();
    let promised = sealed.pre_commit().unwrap();
    sealed.commit(&promised).unwrap();
    let committed = files(&out, false);
    assert_eq!(committed.len(), 1);
    let by_evidence = PreCommit {
        files: promised.files.iter().map(|file| PreparedFile { temporary: String::new(), ..file.clone() }).collect(),
        ..promised.clone()
    };
    for known in [&promised, &by_evidence] {
        for _ in 0..2 {
            sink.can_take_back(known).unwrap();
            sink.take_back(known).unwrap();
            assert_eq!((files(&out, false).len(), files(&out, true).len()), (0, 1), "hidden, and hiding it again does no harm");
        }
        let hidden = files(&out, true).into_keys().next().unwrap();
        fs::rename(out.join(hidden), out.join(&promised.files[0].temporary)).unwrap();
        sink.recover(Some(&promised)).unwrap();
        assert_eq!(files(&out, false), committed, "committing again brings it back");
    }
    let path = out.join(&promised.files[0].path);
    fs::write(&path, "somebody else's").unwrap();
    for known in [&promised, &by_evidence] {
        let refused = sink.can_take_back(known).unwrap_err().to_string();
        assert!(refused.contains("not what this sink wrote"), "{refused}");
        assert!(sink.take_back(known).is_err() && path.exists(), "what is not its own it does not touch");
    }
    fs::remove_file(&path).unwrap();
    assert!(sink.can_take_back(&promised).unwrap_err().to_string().contains("taken away since"));
}

#[test]
fn errors_do_not_say_what_folders_are_named_after() {
    let folder = tempfile::tempdir().unwrap();
    let config = FileSink { partition_by: vec!["country".into()], ..config() };
    let secret = "Somebody-".repeat(40);
    let mut columns = rows(0, 1).columns().to_vec();
    columns[1] = Arc::new(StringArray::from(vec![secret.as_str()]));
    let long = RecordBatch::try_new(schema(), columns).unwrap();
    let error = FileEncoder::new(&config, Format::Json, schema()).unwrap().encode(&long).unwrap_err().to_string();
    assert!(error.contains("a value of `country` makes a folder's name of 368 bytes"), "{error}");
    assert!(!error.contains("Somebody"), "{error}");

    // A file stands where the folder should be.
    fs::create_dir_all(folder.path().join("out")).unwrap();
    fs::write(folder.path().join("out/country=NL"), "").unwrap();
    let mut writer = writer(folder.path(), &config, Format::Json);
    let encoded = FileEncoder::new(&config, Format::Json, schema()).unwrap().encode(&rows(0, 1)).unwrap();
    let error = writer.write(encoded).unwrap_err().to_string();
    assert!(error.contains("out/…") && !error.contains("NL"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_confined_sink_refuses_folders_that_lead_out() {
    use std::os::unix::fs::symlink;
    let dir = tempfile::tempdir().unwrap();
    let (base, elsewhere) = (dir.path().join("files"), dir.path().join("elsewhere"));
    fs::create_dir_all(base.join("out")).unwrap();
    fs::create_dir(&elsewhere).unwrap();
    symlink(&elsewhere, base.join("link")).unwrap();
    symlink(&elsewhere, base.join("out/country=NL")).unwrap();
    let confined = SinkContext { base_dir: crate::BaseDir::confined(&base, &[]).unwrap(), ..context(&base) };

    let config = FileSink { path: "link/below".into(), ..config() };
    let error = FileWriter::new(&config, Format::Json, schema(), &confined).err().unwrap();
    assert!(matches!(&error, ConnectorError::Outside { path, .. } if *path == base.join("link")), "{error}");

    let config = FileSink { path: "out".into(), partition_by: vec!["country".into()], ..config };
    let mut writer = FileWriter::new(&config, Format::Json, schema(), &confined).unwrap();
    let encoded = FileEncoder::new(&config, Format::Json, schema()).unwrap().encode(&rows(0, 1)).unwrap();
    let error = writer.write(encoded).unwrap_err();
    assert!(matches!(error, ConnectorError::Outside { .. }), "{error}");
    assert!(!error.to_string().contains("NL"), "{error}");
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
}
