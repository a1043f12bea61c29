//! A signed tree head: at this time the log had this size and this root.

use serde::{Deserialize, Serialize};

use crate::{
    canonical::{self, CanonicalError},
    hash::{Hash, decode_hex},
    key::{PublicKey, SigningKey},
    merkle::empty_root,
    timestamp::Timestamp,
};

/// What the signature covers begins with this, so that it can never be taken for a signature over something else.
const DOMAIN: &[u8] = b"weir/tree-head/v1\n";

/// A statement about the whole log up to `size`, signed (Ed25519). Whoever keeps one can later detect any change before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TreeHead {
    pub log_id: String,
    /// How many leaves the log had.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
    pub at: Timestamp,
    /// The head signed before this one, so that one which is removed is missed. Heads of older logs have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Previous>,
    /// See [`PublicKey::key_id`].
    pub key_id: String,
    pub signature: HeadSignature,
}

/// What a head says of the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Previous {
    pub size: u64,
    pub root: Hash,
}

impl Previous {
    /// Before a log's first head: the empty log, which nobody signs.
    pub fn none() -> Self {
        Self { size: 0, root: empty_root() }
    }
}

impl From<&TreeHead> for Previous {
    fn from(head: &TreeHead) -> Self {
        Self { size: head.size, root: head.root }
    }
}

/// 64 bytes, written as 128 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HeadSignature([u8; 64]);

impl HeadSignature {
    pub const fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl TryFrom<String> for HeadSignature {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        decode_hex(text.as_bytes()).map(Self).ok_or("not a signature; write 128 lower-case hex digits")
    }
}

impl From<HeadSignature> for String {
    fn from(signature: HeadSignature) -> Self {
        hex::encode(signature.0)
    }
}

impl std::fmt::Debug for HeadSignature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

#[derive(Serialize)]
struct Signed<'a> {
    log_id: &'a str,
    size: u64,
    root: Hash,
    at: &'a Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<Previous>,
    key_id: &'a str,
}

impl TreeHead {
    /// Signs a statement about the log.
    pub fn sign(
        key: &SigningKey,
        log_id: &str,
        size: u64,
        root: Hash,
        at: Timestamp,
        previous: Option<Previous>,
    ) -> Result<Self, CanonicalError> {
        let key_id = key.key_id();
        let message = message(&Signed { log_id, size, root, at: &at, previous, key_id: &key_id })?;
        let signature = HeadSignature(key.sign(&message));
        Ok(Self { log_id: log_id.to_owned(), size, root, at, previous, key_id, signature })
    }

    /// Whether the key made this head.
    pub fn is_signed_by(&self, key: &PublicKey) -> bool {
        let Self { log_id, size, root, at, previous, key_id, signature } = self;
        let signed = Signed { log_id, size: *size, root: *root, at, previous: *previous, key_id };
        *key_id == key.key_id() && message(&signed).is_ok_and(|message| key.verifies(&message, signature.as_bytes()))
    }

    /// One line of JSON without a line end, in canonical form.
    pub fn to_line(&self) -> Result<String, CanonicalError> {
        let bytes = canonical::to_vec(self)?;
        Ok(String::from_utf8(bytes).expect("invariant: JSON is UTF-8"))
    }

    /// Reads a line. Any spelling other than the canonical one is refused, so that a head has one form only.
    pub fn from_line(line: &str) -> Result<Self, HeadError> {
        let head: Self = serde_json::from_str(line)?;
        if head.to_line()? == line { Ok(head) } else { Err(HeadError::NotCanonical) }
    }
}

fn message(signed: &Signed<'_>) -> Result<Vec<u8>, CanonicalError> {
    Ok([DOMAIN, &canonical::to_vec(signed)?].concat())
}

/// Text that is no tree head.
#[derive(Debug, thiserror::Error)]
pub enum HeadError {
    #[error("not a tree head: {0}")]
    Json(#[from] serde_json::Error),
    #[error("not a tree head: {0}")]
    Number(#[from] CanonicalError),
    #[error("a tree head, but not as Weir writes it; someone has edited it")]
    NotCanonical,
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn head() -> (SigningKey, TreeHead) {
        let key = SigningKey::from_bytes(&[7; 32]);
        let at = Timestamp::from_micros(1_772_366_400_000_000).unwrap();
        let head = TreeHead::sign(&key, "log-1", 42, Hash::of(b"root"), at, None).unwrap();
        (key, head)
    }

    fn second() -> (SigningKey, TreeHead) {
        let (key, first) = head();
        let previous = Some(Previous::from(&first));
        let head = TreeHead::sign(&key, "log-1", 50, Hash::of(b"later"), first.at, previous).unwrap();
        (key, head)
    }

    #[test]
    fn names_the_head_before_it() {
        let (key, head) = second();
        assert!(head.is_signed_by(&key.public_key()));
        let line = head.to_line().unwrap();
        let root = Hash::of(b"root");
        assert!(line.contains(&format!("\"previous\":{{\"root\":\"{root}\",\"size\":42}}")), "{line}");
        assert_eq!(TreeHead::from_line(&line).unwrap(), head);
        assert!(TreeHead::from_line(&line.replace("\"size\":42}", "\"size\":42,\"x\":1}")).is_err());
    }

    #[test]
    fn is_one_line_of_canonical_json() {
        let (_, head) = head();
        let line = head.to_line().unwrap();
        expect![[r#"{"at":"2026-03-01T12:00:00.000000Z","key_id":"fe812c12f3ab4ce6","log_id":"log-1","root":"4813494d137e1631bba301d5acab6e7bb7aa74ce1185d456565ef51d737677b2","signature":"c23cf606182d826ffce0f47cf810185e749eaacbfb9142bae86249869f2c1a5d68b3f5fdf1bf3c586c61a00ac7f697fabc957c7889446cacb0bd0c109d7a1a0e","size":42}"#]].assert_eq(&line);
        assert_eq!(TreeHead::from_line(&line).unwrap(), head);
    }

    #[test]
    fn signature_covers_every_field() {
        let (key, head) = second();
        let public = key.public_key();
        assert!(head.is_signed_by(&public));
        let other = SigningKey::from_bytes(&[8; 32]);
        assert!(!head.is_signed_by(&other.public_key()));
        let changes: [fn(&mut TreeHead); 8] = [
            |h| h.log_id.push('x'),
            |h| h.size += 1,
            |h| h.root = Hash::of(b"other"),
            |h| h.at = Timestamp::from_micros(0).unwrap(),
            |h| h.previous = None,
            |h| h.previous = Some(Previous::none()),
            |h| h.key_id.replace_range(..1, "x"),
            |h| h.signature.0[63] ^= 1,
        ];
        for change in changes {
            let mut changed = head.clone();
            change(&mut changed);
            assert!(!changed.is_signed_by(&public), "{changed:?}");
        }
    }

    #[test]
    fn other_spellings_are_refused() {
        let line = head().1.to_line().unwrap();
        for other in [
            line.replace("\":\"", "\": \""),
            format!("{line} "),
            line.replace("\"size\":42", "\"size\":42.0"),
            line.replace("{\"at\"", "{\"more\":1,\"at\""),
            line.replace("\"root\"", "\"previous\":null,\"root\""),
            line.replace("log-1", "log\\u002d1"),
        ] {
            assert!(TreeHead::from_line(&other).is_err(), "{other}");
        }
    }
}
