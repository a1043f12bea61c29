//! Runs that are cut off at any moment and started again end with the same rows as one that was not.

use std::time::Duration;

use weir_engine::{Control, EngineError, Status};
use weir_worker::WorkerError;

use crate::harness::Instance;

fn document(lanes: usize) -> String {
    format!(
        "
apiVersion: weir/v1
kind: Pipeline
name: sensors
purpose: essential.service
basis: contract
parallelism: {lanes}
checkpoint: {{ every: 20ms }}
batch: {{ rows: 500, wait: 5ms }}
sources:
  readings:
    generator: {{ kind: sensors, seed: 7, rows: 60000, faults: 0.01, late: 0.01 }}
    event_time: {{ column: measured_at, max_delay: 1s, late: drop }}
steps:
  checked:
    quality:
      from: readings
      rules:
        - not_null: [machine_id]
        - unique: {{ columns: [reading_id], within: 1h }}
sinks:
  out: {{ from: checked, file: {{ path: out }}, format: json, clearance: restricted }}
"
    )
}

/// A small random number generator, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn aborted_runs_lose_nothing_repeat_nothing_and_keep_the_order() {
    let undisturbed = Instance::new().await;
    let expected = undisturbed.run(&document(1)).await.unwrap();
    let rows = undisturbed.output("out");
    assert!(rows.len() > 50_000);

    let disturbed = Instance::new().await;
    let mut random = Random(42);
    let mut aborted = 0;
    let finished = loop {
        let control = Control::default();
        let after = Duration::from_millis(5 + random.next() % 150);
        if aborted < 12 {
            let control = control.clone();
            tokio::spawn(async move {
                tokio::time::sleep(after).await;
                control.abort();
            });
        }
        // The number of lanes may change between runs: it is not part of the state.
        match disturbed.run_with(&document(1 + (random.next() % 3) as usize), &control).await {
            Ok(outcome) if outcome.status == Status::Finished => break outcome,
            Ok(_) => {}
            Err(WorkerError::Engine(EngineError::Cancelled)) => aborted += 1,
            Err(error) => panic!("{error}"),
        }
    };
    assert!(aborted > 0, "the run ended before it could be cut off");
    assert_eq!(disturbed.output("out"), rows);
    assert_eq!(
        (finished.summary.sources, finished.summary.steps, finished.summary.sinks),
        (expected.summary.sources, expected.summary.steps, expected.summary.sinks)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_run_takes_its_last_checkpoint_and_goes_on_from_it() {
    let undisturbed = Instance::new().await;
    undisturbed.run(&document(2)).await.unwrap();

    let stopped = Instance::new().await;
    let slow = document(2).replace("checkpoint: { every: 20ms }", "checkpoint: { every: 1h }");
    let mut stops = 0;
    loop {
        let control = Control::default();
        let stop = control.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(60)).await;
            stop.stop();
        });
        match stopped.run_with(&slow, &control).await.unwrap().status {
            Status::Stopped => stops += 1,
            Status::Finished => break,
        }
    }
    assert!(stops > 0, "the run ended before it could be stopped");
    assert_eq!(stopped.output("out"), undisturbed.output("out"));
}
