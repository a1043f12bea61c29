//! `governed`: JSON payments through contract, five rules, consent, hash, token and generalize, to NDJSON files.

use std::{
    io::Write,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use weir_connectors::generator;
use weir_engine::Control;
use weir_service::{Cx, Services, ServicesConfig, bootstrap, consent, operator};
use weir_spec::connector::{GeneratorKind, GeneratorSource};
use weir_store::Store;
use weir_vault::MasterKey;
use weir_worker::foreground;

use crate::memory;

#[derive(clap::Args)]
pub struct Args {
    /// Payments in the input.
    #[arg(long, default_value_t = 5_000_000)]
    rows: u64,
    /// People whose consent is known.
    #[arg(long, default_value_t = 1_000_000)]
    subjects: u64,
    #[arg(long, default_value_t = 2)]
    parallelism: usize,
    /// Rows in a batch.
    #[arg(long, default_value_t = 8_192)]
    batch: usize,
    #[arg(long, default_value = "1s")]
    checkpoint: String,
    /// Where inputs are kept between runs, and outputs written.
    #[arg(long)]
    dir: Option<PathBuf>,
}

pub fn run(args: &Args) -> Result<()> {
    let dir = match &args.dir {
        Some(dir) => dir.clone(),
        None => std::env::temp_dir().join("weir-bench-governed"),
    };
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let input = make_input(&dir, args)?;
    let bytes = std::fs::metadata(&input)?.len();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let work = tempfile::tempdir_in(&dir)?;
        let services = open(&work.path().join("data")).await?;
        let cx = operator::context(&services).await?.in_project(&"main".parse().map_err(|e| anyhow::anyhow!("{e}"))?).await?;
        import_consent(&cx, &dir, args.subjects).await?;
        let document = document(&input, args);
        memory::reset_peak();
        let began = Instant::now();
        let checked = foreground::check_text(document, work.path().to_path_buf(), &weir_worker::FileContracts::default());
        let outcome = match foreground::run(&cx, &work.path().join("data"), checked, &Control::default()).await {
            Err(weir_worker::WorkerError::Document(findings)) => {
                anyhow::bail!("{}", findings.iter().map(|finding| finding.render("governed.yaml")).collect::<Vec<_>>().join("\n"))
            }
            other => other?,
        };
        let seconds = began.elapsed().as_secs_f64();
        let read = outcome.summary.sources["payments"].rows_in;
        ensure!(read == args.rows, "{read} rows were read of {}", args.rows);
        eprintln!("{}", serde_json::to_string(&outcome.summary)?);
        println!(
            "{}",
            json!({
                "bench": "governed",
                "events_per_second": (read as f64 / seconds).round(),
                "mb_per_second": (bytes as f64 / 1e6 / seconds).round(),
                "batch_ms_p50": outcome.batch_micros.p50 as f64 / 1e3,
                "batch_ms_p99": outcome.batch_micros.p99 as f64 / 1e3,
                "peak_rss_mb": memory::peak_rss_mb().round(),
                "events": read,
                "event_bytes": (bytes as f64 / read as f64).round(),
                "seconds": seconds,
                "parallelism": args.parallelism,
                "checkpoints": outcome.summary.checkpoints,
                "written": outcome.summary.sinks["safe"].written,
            })
        );
        Ok(())
    })
}

fn document(input: &Path, args: &Args) -> String {
    format!(
        r#"
apiVersion: weir/v1
kind: Pipeline
name: governed
purpose: essential.fraud_detection
basis: consent
parallelism: {parallelism}
checkpoint: {{ every: {checkpoint} }}
batch: {{ rows: {batch}, wait: 5ms }}
sources:
  payments:
    file: {{ path: "{input}" }}
    format: json
    subject: customer_id
    schema:
      - {{ name: tx_id, type: string, required: true }}
      - {{ name: customer_id, type: string, required: true, classification: confidential, categories: [user.unique_id] }}
      - {{ name: email, type: string, classification: confidential, categories: [user.contact.email] }}
      - {{ name: birth_date, type: date, classification: confidential, categories: [user.demographic.date_of_birth] }}
      - {{ name: card, type: string, classification: restricted, categories: [user.financial.credit_card] }}
      - {{ name: amount, type: "decimal(12,2)", required: true }}
      - {{ name: currency, type: string, required: true }}
      - {{ name: country, type: string }}
      - {{ name: merchant, type: string }}
      - {{ name: kind, type: string, required: true }}
      - {{ name: paid_at, type: timestamp, required: true }}
steps:
  checked:
    quality:
      from: payments
      rules:
        - not_null: [card, customer_id]
        - between: {{ column: amount, min: 0, max: 100000 }}
        - format: {{ column: email, is: email }}
        - in_set: {{ column: currency, values: [EUR, USD, GBP, TRY, CHF, SEK, NOK, DKK, PLN, JPY, INR, BRL, CAD, AUD] }}
        - expression: "amount > 0 OR kind = 'refund'"
  allowed:
    consent: {{ from: checked }}
  masked:
    mask:
      from: allowed
      columns:
        email: {{ hash: {{}} }}
        card: {{ token: {{ keep_last: 4 }} }}
        birth_date: {{ generalize: {{ to: year }} }}
        customer_id: {{ hash: {{}} }}
sinks:
  safe:
    from: masked
    file: {{ path: out }}
    format: json
    clearance: internal
"#,
        parallelism = args.parallelism,
        checkpoint = args.checkpoint,
        batch = args.batch,
        input = input.display()
    )
}

/// The input, made once and kept.
fn make_input(dir: &Path, args: &Args) -> Result<PathBuf> {
    let path = dir.join(format!("payments-{}-{}.ndjson", args.rows, args.subjects));
    if !path.is_file() {
        eprintln!("writing {}", path.display());
        let unfinished = path.with_extension("part");
        let config = GeneratorSource {
            kind: GeneratorKind::Payments,
            seed: 1,
            rate: None,
            rows: Some(args.rows),
            subjects: args.subjects,
            faults: 0.01,
            late: 0.0,
            anomalies: 0.001,
            start: None,
        };
        generator::write_ndjson(&unfinished, &config, 0.001)?;
        std::fs::rename(&unfinished, &path)?;
    }
    Ok(path)
}

async fn open(data: &Path) -> Result<std::sync::Arc<Services>> {
    let store = Store::open(data, chrono::Utc::now()).await?;
    let (master_key, _) = MasterKey::load(&data.join("master.key"))?;
    let config = ServicesConfig::new(store, master_key, data, generator::columns, weir_worker::window_sum);
    let services = Services::open(config).await?;
    bootstrap::first_start(&services).await?;
    Ok(services)
}

/// Nine of ten people allow the purpose.
async fn import_consent(cx: &Cx, dir: &Path, subjects: u64) -> Result<()> {
    let path = dir.join(format!("consent-{subjects}.csv"));
    if !path.is_file() {
        let mut file = std::io::BufWriter::new(std::fs::File::create(&path)?);
        writeln!(file, "subject,purpose,state,at,expires_at")?;
        for number in 0..subjects {
            let state = if number % 10 == 9 { "denied" } else { "granted" };
            writeln!(file, "c{number:07},essential.fraud_detection,{state},2026-01-01T00:00:00Z,")?;
        }
        file.flush()?;
    }
    let began = Instant::now();
    let mut csv = tokio::fs::File::open(&path).await?;
    let result = consent::import(cx, &mut csv).await?;
    eprintln!("consent: {} in {:.1} s", serde_json::to_string(&result)?, began.elapsed().as_secs_f64());
    Ok(())
}
