// Pipeline documents that the tests write.

/// Payments with many faults, so that there is something to see at once.
export function payments(name: string, rate = 400): string {
  return `apiVersion: weir/v1
kind: Pipeline
name: ${name}
description: Card payments, checked and masked.
owner: payments
purpose: essential.fraud_detection
basis: legitimate_interest
checkpoint: { every: 1s }

sources:
  payments:
    generator: { kind: payments, rate: ${rate}, faults: 0.05, seed: 7 }
    subject: customer_id

steps:
  checked:
    quality:
      from: payments
      on_fail: quarantine
      rules:
        - not_null: [card, customer_id]
        - between: { column: amount, min: 0, max: 100000 }
        - format: { column: email, is: email }
  safe:
    mask:
      from: checked
      columns:
        card: { token: { keep_last: 4 } }
        email: { hash: {} }
        customer_id: { hash: {} }
        name: { redact: {} }
        birth_date: { generalize: { to: year } }

sinks:
  clean:
    from: safe
    file: { path: out/${name} }
    format: json
    clearance: internal
    recipient: fraud-desk
`;
}

/// The line, from 1, on which `text` first stands.
export function lineOf(document: string, text: string): number {
  const line = document.split("\n").findIndex((one) => one.includes(text));
  if (line < 0) throw new Error(`no line holds ${text}`);
  return line + 1;
}
