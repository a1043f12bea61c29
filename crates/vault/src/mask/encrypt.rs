//! `encrypt`: AES-256-GCM under the key of the row's subject; erasable with that key, readable by permission.
//!
//! The result is text: `w1.` and the URL-safe base64 of `key id 16 | nonce 12 | ciphertext | tag 16`. The plaintext is a
//! byte for the type and the value in a form of its own ([`PlainValue`]), so that decryption gives the typed value back.
//! Key id and version are authenticated. The same value looks different each time: encrypted columns do not join.

use std::fmt;

use arrow::{
    array::{Array, ArrayRef, AsArray},
    datatypes::*,
};
use base64::{Engine, encoded_len, engine::general_purpose::URL_SAFE_NO_PAD};
use thiserror::Error;
use zeroize::Zeroizing;

use super::{MaskError, MaskOp, RowKeys, check_type, text_output::TextOutput};
use crate::{
    aead::{Aead, NONCE_LEN, TAG_LEN},
    key::random,
    keyring::{SubjectKey, SubjectKeyId},
    text::write_decimal,
};

/// Every encrypted value begins with this.
pub const PREFIX: &str = "w1.";
const DOMAIN: &[u8] = b"weir/mask/encrypt/v1/";
const KEY_ID_LEN: usize = 16;
const HEADER: usize = KEY_ID_LEN + NONCE_LEN;

const BOOLEAN: u8 = 1;
const INT: u8 = 2;
const UINT: u8 = 3;
const FLOAT32: u8 = 4;
const FLOAT64: u8 = 5;
const DECIMAL: u8 = 6;
const DATE: u8 = 7;
const TIMESTAMP: u8 = 8;
const TEXT: u8 = 9;
const BYTES: u8 = 10;

#[derive(Debug)]
pub(super) struct Encrypt {
    input: DataType,
}

impl Encrypt {
    pub(super) fn new(input: DataType) -> Self {
        Self { input }
    }
}

impl MaskOp for Encrypt {
    fn apply(&self, array: &ArrayRef, keys: Option<&RowKeys>) -> Result<ArrayRef, MaskError> {
        check_type(&self.input, array)?;
        let keys = keys.ok_or(MaskError::NoSubjects)?;
        if keys.len() != array.len() {
            return Err(MaskError::RowCount { rows: array.len(), keys: keys.len() });
        }
        // One call to the operating system for the nonces of the whole batch.
        let mut nonces = vec![[0; NONCE_LEN]; array.len()];
        random(nonces.as_flattened_mut())?;
        let mut writer =
            Writer { keys, nonces, current: None, sealed: Zeroizing::new(Vec::with_capacity(128)), row: 0, missing: None };
        let mut output = TextOutput::like(array, 96);
        for_each_plain(array, |write| output.push(|out| writer.next(write, out)));
        match writer.missing {
            Some(row) => Err(MaskError::NoSubjectKey { row }),
            None => output.finish(),
        }
    }

    fn output_type(&self) -> DataType {
        DataType::Utf8
    }

    fn needs_subject_keys(&self) -> bool {
        true
    }
}

struct Writer<'a> {
    keys: &'a RowKeys,
    nonces: Vec<[u8; NONCE_LEN]>,
    /// The last row's key made ready: rows of one person often follow each other.
    current: Option<(SubjectKeyId, Aead)>,
    sealed: Zeroizing<Vec<u8>>,
    row: usize,
    /// The first row with a value but without a key.
    missing: Option<usize>,
}

impl Writer<'_> {
    fn next(&mut self, plain: Option<&mut dyn FnMut(&mut Vec<u8>)>, out: &mut Vec<u8>) {
        let row = self.row;
        self.row += 1;
        let Some(write) = plain else { return };
        let Some(key) = self.keys.get(row) else {
            self.missing.get_or_insert(row);
            return;
        };
        let aead = match &mut self.current {
            Some((id, aead)) if *id == key.id() => aead,
            current => &mut current.insert((key.id(), Aead::new(key.key()))).1,
        };
        self.sealed.clear();
        self.sealed.extend_from_slice(key.id().as_bytes());
        self.sealed.extend_from_slice(&self.nonces[row]);
        write(&mut self.sealed);
        let tag = aead.encrypt(&self.nonces[row], &aad(&key.id()), &mut self.sealed[HEADER..]);
        self.sealed.extend_from_slice(&tag);
        out.extend_from_slice(PREFIX.as_bytes());
        let start = out.len();
        let length = encoded_len(self.sealed.len(), false).expect("invariant: a value is smaller than memory");
        out.resize(start + length, 0);
        let encoded = URL_SAFE_NO_PAD.encode_slice(self.sealed.as_slice(), &mut out[start..]);
        encoded.expect("invariant: the length was computed");
    }
}

fn aad(key_id: &SubjectKeyId) -> [u8; DOMAIN.len() + KEY_ID_LEN] {
    let mut aad = [0; DOMAIN.len() + KEY_ID_LEN];
    aad[..DOMAIN.len()].copy_from_slice(DOMAIN);
    aad[DOMAIN.len()..].copy_from_slice(key_id.as_bytes());
    aad
}

/// Calls `visit` for each value in order with what appends its plaintext; with none for a null.
fn for_each_plain(array: &dyn Array, mut visit: impl FnMut(Option<&mut dyn FnMut(&mut Vec<u8>)>)) {
    macro_rules! each {
        ($values:expr, $tag:expr, |$v:ident| $bytes:expr) => {
            for value in $values {
                match value {
                    Some($v) => visit(Some(&mut |out: &mut Vec<u8>| {
                        out.push($tag);
                        out.extend_from_slice($bytes.as_ref());
                    })),
                    None => visit(None),
                }
            }
        };
    }
    macro_rules! primitives {
        ($type:ty, $tag:expr, |$v:ident| $bytes:expr) => {
            each!(array.as_primitive::<$type>(), $tag, |$v| $bytes)
        };
    }
    match array.data_type() {
        DataType::Boolean => each!(array.as_boolean(), BOOLEAN, |v| [u8::from(v)]),
        DataType::Int8 => primitives!(Int8Type, INT, |v| i64::from(v).to_be_bytes()),
        DataType::Int16 => primitives!(Int16Type, INT, |v| i64::from(v).to_be_bytes()),
        DataType::Int32 => primitives!(Int32Type, INT, |v| i64::from(v).to_be_bytes()),
        DataType::Int64 => primitives!(Int64Type, INT, |v| v.to_be_bytes()),
        DataType::UInt8 => primitives!(UInt8Type, UINT, |v| u64::from(v).to_be_bytes()),
        DataType::UInt16 => primitives!(UInt16Type, UINT, |v| u64::from(v).to_be_bytes()),
        DataType::UInt32 => primitives!(UInt32Type, UINT, |v| u64::from(v).to_be_bytes()),
        DataType::UInt64 => primitives!(UInt64Type, UINT, |v| v.to_be_bytes()),
        DataType::Float32 => primitives!(Float32Type, FLOAT32, |v| v.to_be_bytes()),
        DataType::Float64 => primitives!(Float64Type, FLOAT64, |v| v.to_be_bytes()),
        DataType::Decimal128(_, scale) => {
            primitives!(Decimal128Type, DECIMAL, |v| [scale.to_be_bytes().as_slice(), &v.to_be_bytes()].concat());
        }
        DataType::Date32 => primitives!(Date32Type, DATE, |v| v.to_be_bytes()),
        DataType::Timestamp(TimeUnit::Second, _) => {
            primitives!(TimestampSecondType, TIMESTAMP, |v| instant(0, v))
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            primitives!(TimestampMillisecondType, TIMESTAMP, |v| instant(3, v));
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            primitives!(TimestampMicrosecondType, TIMESTAMP, |v| instant(6, v));
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            primitives!(TimestampNanosecondType, TIMESTAMP, |v| instant(9, v));
        }
        DataType::Utf8 => each!(array.as_string::<i32>(), TEXT, |v| v.as_bytes()),
        DataType::LargeUtf8 => each!(array.as_string::<i64>(), TEXT, |v| v.as_bytes()),
        DataType::Utf8View => each!(array.as_string_view(), TEXT, |v| v.as_bytes()),
        DataType::Binary => each!(array.as_binary::<i32>(), BYTES, |v| v),
        DataType::LargeBinary => each!(array.as_binary::<i64>(), BYTES, |v| v),
        other => unreachable!("refused by supports: {other}"),
    }
}

/// A timestamp with the digits of its fraction.
fn instant(digits: u8, value: i64) -> [u8; 9] {
    let mut bytes = [digits; 9];
    bytes[1..].copy_from_slice(&value.to_be_bytes());
    bytes
}

/// A decrypted value. Personal data: show it to those who may see it, and put it nowhere else.
#[derive(Clone, PartialEq)]
pub enum PlainValue {
    Boolean(bool),
    Int(i64),
    UInt(u64),
    Float32(f32),
    Float64(f64),
    Decimal {
        value: i128,
        scale: i8,
    },
    /// Days since 1970-01-01.
    Date(i32),
    /// Units of 10^-`digits` seconds since 1970-01-01T00:00:00Z.
    Timestamp {
        value: i64,
        digits: u8,
    },
    Text(String),
    Bytes(Vec<u8>),
}

impl PlainValue {
    fn from_plaintext(plain: &[u8]) -> Option<Self> {
        let (tag, rest) = plain.split_first()?;
        Some(match *tag {
            BOOLEAN => match rest {
                [0] => Self::Boolean(false),
                [1] => Self::Boolean(true),
                _ => return None,
            },
            INT => Self::Int(i64::from_be_bytes(rest.try_into().ok()?)),
            UINT => Self::UInt(u64::from_be_bytes(rest.try_into().ok()?)),
            FLOAT32 => Self::Float32(f32::from_be_bytes(rest.try_into().ok()?)),
            FLOAT64 => Self::Float64(f64::from_be_bytes(rest.try_into().ok()?)),
            DECIMAL => {
                let (scale, value) = rest.split_first_chunk()?;
                Self::Decimal { value: i128::from_be_bytes(value.try_into().ok()?), scale: i8::from_be_bytes(*scale) }
            }
            DATE => Self::Date(i32::from_be_bytes(rest.try_into().ok()?)),
            TIMESTAMP => {
                let (digits, value) = rest.split_first()?;
                Self::Timestamp { value: i64::from_be_bytes(value.try_into().ok()?), digits: *digits }
            }
            TEXT => Self::Text(std::str::from_utf8(rest).ok()?.to_owned()),
            BYTES => Self::Bytes(rest.to_vec()),
            _ => return None,
        })
    }
}

/// As a person reads it; bytes in hex.
impl fmt::Display for PlainValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(v) => write!(f, "{v}"),
            Self::Int(v) => write!(f, "{v}"),
            Self::UInt(v) => write!(f, "{v}"),
            Self::Float32(v) => write!(f, "{v}"),
            Self::Float64(v) => write!(f, "{v}"),
            Self::Decimal { value, scale } => {
                let mut text = Vec::new();
                write_decimal(*value, *scale, &mut text).map_err(|_| fmt::Error)?;
                f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
            }
            Self::Date(day) => match arrow::temporal_conversions::date32_to_datetime(*day) {
                Some(time) => write!(f, "{}", time.date()),
                None => write!(f, "{day}"),
            },
            Self::Timestamp { value, digits } => {
                let per_second = 10i64.pow(u32::from(*digits).min(9));
                let nanos = value.rem_euclid(per_second) * (1_000_000_000 / per_second);
                let nanos = u32::try_from(nanos).map_err(|_| fmt::Error)?;
                match chrono::DateTime::from_timestamp(value.div_euclid(per_second), nanos) {
                    Some(time) => write!(f, "{}", time.format("%Y-%m-%dT%H:%M:%S%.fZ")),
                    None => write!(f, "{value}"),
                }
            }
            Self::Text(v) => f.write_str(v),
            Self::Bytes(v) => f.write_str(&hex::encode(v)),
        }
    }
}

/// Shows no value: a decrypted value must not reach a log by accident.
impl fmt::Debug for PlainValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlainValue(..)")
    }
}

/// Why a value cannot be decrypted. Never holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecryptError {
    #[error("not a value encrypted by Weir; it begins with `{PREFIX}`")]
    NotEncrypted,
    #[error("its key {0} does not exist any more: the person was erased")]
    NoKey(SubjectKeyId),
    #[error("the value was changed, or its key is not the one it was encrypted with")]
    Unauthentic,
}

/// The key that an encrypted value needs.
pub fn key_of(encrypted: &str) -> Result<SubjectKeyId, DecryptError> {
    let sealed = decode(encrypted)?;
    let id = sealed.first_chunk().ok_or(DecryptError::NotEncrypted)?;
    Ok(SubjectKeyId::from_bytes(*id))
}

/// Gives an encrypted value back. `key` finds the key by its id; none if it was destroyed.
pub fn decrypt(encrypted: &str, key: impl FnOnce(&SubjectKeyId) -> Option<SubjectKey>) -> Result<PlainValue, DecryptError> {
    let sealed = decode(encrypted)?;
    let (id, rest) = sealed.split_first_chunk::<KEY_ID_LEN>().ok_or(DecryptError::NotEncrypted)?;
    let (nonce, rest) = rest.split_first_chunk::<NONCE_LEN>().ok_or(DecryptError::NotEncrypted)?;
    let (text, tag) = rest.split_last_chunk::<TAG_LEN>().ok_or(DecryptError::NotEncrypted)?;
    let id = SubjectKeyId::from_bytes(*id);
    let key = key(&id).ok_or(DecryptError::NoKey(id))?;
    let mut plain = Zeroizing::new(text.to_vec());
    let opened = Aead::new(key.key()).decrypt(nonce, &aad(&id), &mut plain, tag);
    opened.map_err(|_| DecryptError::Unauthentic)?;
    PlainValue::from_plaintext(&plain).ok_or(DecryptError::Unauthentic)
}

fn decode(encrypted: &str) -> Result<Vec<u8>, DecryptError> {
    let encoded = encrypted.strip_prefix(PREFIX).ok_or(DecryptError::NotEncrypted)?;
    URL_SAFE_NO_PAD.decode(encoded).map_err(|_| DecryptError::NotEncrypted)
}
