//! Real files of the shared test data, read through the public constructors: every row typed, none lost.

#![allow(clippy::unwrap_used)]

use std::{path::PathBuf, time::Duration};

use weir_connectors::{BaseDir, Read, ReadLimit, SourceContext, arrow_schema, open_source, row_decoder};
use weir_spec::{
    Column, DataType,
    connector::{FileSource, Format, SourceConnector},
};

fn data() -> Option<PathBuf> {
    let folder = std::env::var_os("WEIR_TEST_DATA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"), PathBuf::from);
    folder.is_dir().then_some(folder)
}

fn read(path: &str, columns: &[Column]) -> Option<(usize, usize)> {
    let Some(base_dir) = data() else {
        #[allow(clippy::print_stdout)]
        {
            println!("skipped: the shared test data is not there");
        }
        return None;
    };
    let connector = SourceConnector::File(FileSource {
        path: path.into(),
        compression: None,
        max_line: 1 << 20,
        delimiter: ',',
        header: true,
        null: String::new(),
    });
    let schema = arrow_schema(columns);
    let context = SourceContext { base_dir: BaseDir::unconfined(base_dir), ..SourceContext::default() };
    let mut source = open_source(&connector, Some(Format::Csv), schema.clone(), columns, &context, &[]).unwrap();
    let mut decoder = row_decoder(&connector, Some(Format::Csv), schema, columns).unwrap();
    let (mut rows, mut malformed) = (0, 0);
    while let Read::Chunk(chunk) = source.read(ReadLimit { rows: 1000, wait: Duration::ZERO }).unwrap() {
        let decoded = decoder.decode(&chunk).unwrap();
        rows += decoded.rows.num_rows();
        malformed += decoded.malformed.len();
    }
    Some((rows, malformed))
}

fn required(name: &str, data_type: DataType) -> Column {
    Column { required: true, ..Column::new(name, data_type) }
}

#[test]
fn the_failing_machine_is_read_whole() {
    let columns = [required("timestamp", DataType::Timestamp), required("value", DataType::Float64)];
    if let Some(counts) = read("nab/machine_temperature_system_failure.csv", &columns) {
        assert_eq!(counts, (22_695, 0));
    }
}

#[test]
fn the_electricity_market_is_read_whole() {
    let columns: Vec<_> = ["period", "nswprice", "nswdemand", "vicprice", "vicdemand", "transfer"]
        .map(|name| required(name, DataType::Float64))
        .into_iter()
        .chain([required("class", DataType::Int32)])
        .collect();
    if let Some(counts) = read("electricity/elec.csv", &columns) {
        assert_eq!(counts, (45_312, 0));
    }
}
