//! How fast rows are generated, written, read, decoded and encoded, on one core:
//! `cargo run --release -p weir-connectors --example throughput [ROWS]`. One JSON line per measurement.

use std::{
    error::Error,
    hint::black_box,
    io::{Write, stdout},
    sync::Arc,
    time::{Duration, Instant},
};

use arrow::datatypes::{DataType, Field, Schema};
use weir_connectors::{
    BaseDir, Payload, Read, ReadLimit, RowDecoder, SourceContext, arrow_schema,
    format::{
        csv::{self, CsvDecoder},
        json::{decode::JsonDecoder, encode},
    },
    generator, open_source, row_decoder,
};
use weir_spec::connector::{FileSource, Format, GeneratorKind, GeneratorSource, NexmarkSource, NexmarkStream, SourceConnector};

fn report(what: &str, rows: u64, bytes: u64, took: Duration) -> Result<(), Box<dyn Error>> {
    let seconds = took.as_secs_f64();
    writeln!(
        stdout(),
        "{{\"bench\":\"{what}\",\"rows_per_second\":{:.0},\"mb_per_second\":{:.0},\"bytes_per_row\":{:.0}}}",
        rows as f64 / seconds,
        bytes as f64 / 1e6 / seconds,
        bytes as f64 / rows.max(1) as f64
    )?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let rows: u64 = std::env::args().nth(1).map_or(Ok(1_000_000), |n| n.parse())?;
    let config = GeneratorSource {
        kind: GeneratorKind::Payments,
        seed: 1,
        rate: None,
        rows: Some(rows),
        subjects: 1_000_000,
        faults: 0.01,
        late: 0.01,
        anomalies: 0.001,
        start: None,
    };
    let limit = ReadLimit { rows: 8192, wait: Duration::ZERO };
    let context = SourceContext { base_dir: BaseDir::unconfined("."), ..SourceContext::default() };

    for kind in [GeneratorKind::Payments, GeneratorKind::Sensors, GeneratorKind::Clicks] {
        let connector = SourceConnector::Generator(GeneratorSource { kind, ..config.clone() });
        let columns = generator::columns(kind);
        let mut source = open_source(&connector, None, arrow_schema(&columns), &columns, &context, &[])?;
        let begun = Instant::now();
        while let Read::Chunk(chunk) = source.read(limit)? {
            black_box(chunk);
        }
        report(&format!("generate_{kind:?}").to_lowercase(), rows, 0, begun.elapsed())?;
    }

    for stream in NexmarkStream::ALL {
        let connector = SourceConnector::Nexmark(NexmarkSource {
            stream,
            seed: 1,
            events: Some(rows * 5),
            rate: None,
            event_rate: 10_000,
            start: None,
        });
        let columns = stream.columns();
        let schema = arrow_schema(&columns);
        let mut source = open_source(&connector, None, schema.clone(), &columns, &context, &[])?;
        let mut decoder = row_decoder(&connector, None, schema, &columns)?;
        let (begun, mut made, mut bytes) = (Instant::now(), 0, 0);
        while let Read::Chunk(chunk) = source.read(limit)? {
            let decoded = black_box(decoder.decode(&chunk)?.rows);
            made += decoded.num_rows() as u64;
            bytes += decoded.get_array_memory_size() as u64;
        }
        report(&format!("nexmark_{}", stream.as_str()), made, bytes, begun.elapsed())?;
    }

    let folder = std::env::temp_dir().join(format!("weir-throughput-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let path = folder.join("payments.ndjson");
    let begun = Instant::now();
    let written = generator::write_ndjson(&path, &config, 0.0)?;
    report("write_ndjson", rows, written.bytes, begun.elapsed())?;

    // Required values that the generator's faults leave out are let through here: the decoder's usual path is measured.
    let columns: Vec<_> = generator::columns(GeneratorKind::Payments)
        .into_iter()
        .filter(|c| c.name != "name")
        .map(|c| weir_spec::Column { required: c.required && c.name != "customer_id", ..c })
        .collect();
    let schema = arrow_schema(&columns);
    let file = FileSource {
        path: path.to_string_lossy().into_owned(),
        compression: None,
        max_line: 1 << 20,
        delimiter: ',',
        header: false,
        null: String::new(),
    };
    let connector = SourceConnector::File(file.clone());
    for round in ["cold", "warm"] {
        let mut source = open_source(&connector, Some(Format::Json), schema.clone(), &columns, &context, &[])?;
        let begun = Instant::now();
        while let Read::Chunk(chunk) = source.read(limit)? {
            black_box(chunk);
        }
        report(&format!("read_file_{round}"), rows, written.bytes, begun.elapsed())?;
    }

    let mut source = open_source(&connector, Some(Format::Json), schema.clone(), &columns, &context, &[])?;
    // arrow-json knows time zones by offset only.
    let offset_schema = Arc::new(Schema::new(
        schema
            .fields()
            .iter()
            .map(|field| match field.data_type() {
                DataType::Timestamp(unit, Some(_)) => {
                    Field::new(field.name(), DataType::Timestamp(*unit, Some("+00:00".into())), true)
                }
                _ => field.as_ref().clone(),
            })
            .collect::<Vec<_>>(),
    ));
    let mut decoder = JsonDecoder::new(schema.clone(), &columns)?;
    let (mut decoding, mut encoding, mut csv_encoding, mut csv_decoding, mut theirs) =
        (Duration::ZERO, Duration::ZERO, Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let (mut encoded_bytes, mut csv_bytes) = (0, 0);
    let mut csv_decoder = CsvDecoder::new(&file, schema.clone(), &columns)?;
    let (mut out, mut text) = (Vec::new(), Vec::new());
    while let Read::Chunk(chunk) = source.read(limit)? {
        let begun = Instant::now();
        let decoded = decoder.decode(&chunk)?;
        decoding += begun.elapsed();
        assert!(decoded.malformed.is_empty());

        out.clear();
        let begun = Instant::now();
        encode::write_rows(&mut out, &decoded.rows)?;
        encoding += begun.elapsed();
        encoded_bytes += out.len() as u64;

        text.clear();
        let begun = Instant::now();
        csv::write_rows(&mut text, &decoded.rows)?;
        csv_encoding += begun.elapsed();
        csv_bytes += text.len() as u64;

        let Payload::Bytes(bytes) = &chunk.payload else {
            continue;
        };
        let mut reader = arrow::json::ReaderBuilder::new(offset_schema.clone()).with_batch_size(8192).build_decoder()?;
        let begun = Instant::now();
        reader.decode(bytes)?;
        black_box(reader.flush()?);
        theirs += begun.elapsed();

        let chunk = weir_connectors::Chunk { payload: Payload::Bytes(text.clone().into()), ..chunk };
        let begun = Instant::now();
        assert_eq!(csv_decoder.decode(&chunk)?.rows.num_rows(), decoded.rows.num_rows());
        csv_decoding += begun.elapsed();
    }
    report("json_decode", rows, written.bytes, decoding)?;
    report("json_decode_arrow", rows, written.bytes, theirs)?;
    report("json_encode", rows, encoded_bytes, encoding)?;
    report("csv_decode", rows, csv_bytes, csv_decoding)?;
    report("csv_encode", rows, csv_bytes, csv_encoding)?;
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
