//! Accumulators and groups as bytes in state files. One byte tells the kind; maps are written in the order of their values, so that
//! equal state gives equal bytes.

use std::sync::Arc;

use super::{
    accumulator::{Accumulator, Counted, Distinct, Floats, Item, Items, Moments, Sorted, halves, whole},
    group::{Group, Part, Values},
    sketch::{Digest, Hll},
};
use crate::state::{
    StateError, StateValue,
    codec::{Reader, put_bytes, put_varint},
};

impl StateValue for Group {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.due.to_le_bytes());
        put_varint(out, self.arrivals);
        let parts = self.parts();
        put_varint(out, parts.len() as u64);
        for part in parts {
            out.extend_from_slice(&part.start.to_le_bytes());
            out.extend_from_slice(&part.end.to_le_bytes());
            let values = part.values.as_slice();
            put_varint(out, values.len() as u64);
            values.iter().for_each(|value| value.encode(out));
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, StateError> {
        let mut reader = Reader::new(bytes);
        let mut group = Self::default();
        (group.due, group.arrivals) = (reader.i64()?, reader.varint()?);
        for _ in 0..reader.size()? {
            let (start, end) = (reader.i64()?, reader.i64()?);
            let mut values = Vec::new();
            for _ in 0..reader.size()? {
                values.push(Accumulator::decode(&mut reader)?);
            }
            group.push(Part { start, end, values: Values::from(values) });
        }
        reader.finish()?;
        group.measure();
        Ok(group)
    }

    fn heap_size(&self) -> usize {
        self.heap()
    }

    fn timer(&self) -> Option<i64> {
        Some(self.due).filter(|&due| due != i64::MAX)
    }
}

fn put_i64(out: &mut Vec<u8>, value: i64) {
    put_varint(out, (value << 1 ^ value >> 63) as u64);
}

fn i64_of(reader: &mut Reader<'_>) -> Result<i64, StateError> {
    let coded = reader.varint()?;
    Ok((coded >> 1) as i64 ^ -((coded & 1) as i64))
}

fn put_f64(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(&value.to_bits().to_le_bytes());
}

fn f64_of(reader: &mut Reader<'_>) -> Result<f64, StateError> {
    Ok(f64::from_bits(reader.u64()?))
}

fn put_wide(out: &mut Vec<u8>, [high, low]: [u64; 2]) {
    out.extend_from_slice(&high.to_le_bytes());
    out.extend_from_slice(&low.to_le_bytes());
}

fn wide_of(reader: &mut Reader<'_>) -> Result<[u64; 2], StateError> {
    Ok([reader.u64()?, reader.u64()?])
}

fn put_item(out: &mut Vec<u8>, item: &Item) {
    put_bytes(out, &item.order);
    put_varint(out, item.arrival);
    put_bytes(out, &item.value);
}

fn item_of(reader: &mut Reader<'_>) -> Result<Item, StateError> {
    Ok(Item { order: reader.bytes()?.into(), arrival: reader.varint()?, value: reader.bytes()?.into() })
}

impl Accumulator {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Empty => out.push(0),
            Self::Count(count) => {
                out.push(1);
                put_i64(out, *count);
            }
            Self::Word(word) => {
                out.push(2);
                out.extend_from_slice(&word.to_le_bytes());
            }
            Self::Wide(halves) => {
                out.push(3);
                put_wide(out, *halves);
            }
            Self::Mean { sum, count } => {
                out.push(4);
                put_f64(out, *sum);
                put_i64(out, *count);
            }
            Self::Bools { trues, falses } => {
                out.push(5);
                put_i64(out, *trues);
                put_i64(out, *falses);
            }
            Self::Bytes(bytes) => {
                out.push(6);
                put_bytes(out, bytes);
            }
            Self::Item(item) => {
                out.push(7);
                put_item(out, item);
            }
            Self::Counted(counted) => {
                out.push(8);
                put_wide(out, halves(counted.sum));
                put_i64(out, counted.count);
            }
            Self::Floats(floats) => {
                out.push(9);
                put_f64(out, floats.sum);
                put_f64(out, floats.lost);
                [floats.count, floats.nans, floats.infinite[0], floats.infinite[1]].into_iter().for_each(|n| put_i64(out, n));
            }
            Self::Moments(moments) => {
                out.push(10);
                put_f64(out, moments.mean);
                put_f64(out, moments.squares);
                put_i64(out, moments.count);
                put_i64(out, moments.wild);
            }
            Self::Items(items) => {
                out.push(11);
                put_varint(out, items.items.len() as u64);
                items.items.iter().for_each(|item| put_item(out, item));
            }
            Self::Sorted(sorted) => {
                out.push(12);
                put_varint(out, sorted.counts.len() as u64);
                for (value, count) in &sorted.counts {
                    put_bytes(out, value);
                    put_i64(out, *count);
                }
            }
            Self::Distinct(distinct) => encode_distinct(distinct, out),
            Self::Hll(hll) => {
                out.push(15);
                hll.encode(out);
            }
            Self::Digest(digest) => {
                out.push(16);
                digest.encode(out);
            }
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, StateError> {
        Ok(match reader.u8()? {
            0 => Self::Empty,
            1 => Self::Count(i64_of(reader)?),
            2 => Self::Word(reader.u64()?),
            3 => Self::Wide(wide_of(reader)?),
            4 => Self::Mean { sum: f64_of(reader)?, count: i64_of(reader)? },
            5 => Self::Bools { trues: i64_of(reader)?, falses: i64_of(reader)? },
            6 => Self::Bytes(reader.bytes()?.into()),
            7 => Self::Item(Box::new(item_of(reader)?)),
            8 => Self::Counted(Box::new(Counted { sum: whole(wide_of(reader)?), count: i64_of(reader)? })),
            9 => Self::Floats(Box::new(Floats {
                sum: f64_of(reader)?,
                lost: f64_of(reader)?,
                count: i64_of(reader)?,
                nans: i64_of(reader)?,
                infinite: [i64_of(reader)?, i64_of(reader)?],
            })),
            10 => Self::Moments(Box::new(Moments {
                mean: f64_of(reader)?,
                squares: f64_of(reader)?,
                count: i64_of(reader)?,
                wild: i64_of(reader)?,
            })),
            11 => {
                let mut items = Items::default();
                for _ in 0..reader.size()? {
                    items.push(item_of(reader)?);
                }
                Self::Items(Arc::new(items))
            }
            12 => {
                let mut sorted = Sorted::default();
                for _ in 0..reader.size()? {
                    let value = reader.bytes()?;
                    sorted.add(value, i64_of(reader)?);
                }
                Self::Sorted(Arc::new(sorted))
            }
            13 => {
                let mut distinct = Distinct::new(true);
                for _ in 0..reader.size()? {
                    distinct.add_word(reader.u64()?, i64_of(reader)?);
                }
                Self::Distinct(Arc::new(distinct))
            }
            14 => {
                let mut distinct = Distinct::new(false);
                for _ in 0..reader.size()? {
                    let value = reader.bytes()?;
                    distinct.add_bytes(value, i64_of(reader)?);
                }
                Self::Distinct(Arc::new(distinct))
            }
            15 => Self::Hll(Arc::new(Hll::decode(reader)?)),
            16 => Self::Digest(Arc::new(Digest::decode(reader)?)),
            _ => return Err(StateError::Malformed("no such kind of accumulator")),
        })
    }
}

fn encode_distinct(distinct: &Distinct, out: &mut Vec<u8>) {
    match distinct {
        Distinct::Words(counts) => {
            out.push(13);
            let mut sorted: Vec<_> = counts.iter().collect();
            sorted.sort_unstable();
            put_varint(out, sorted.len() as u64);
            for (word, count) in sorted {
                out.extend_from_slice(&word.to_le_bytes());
                put_i64(out, *count);
            }
        }
        Distinct::Bytes { counts, .. } => {
            out.push(14);
            let mut sorted: Vec<_> = counts.iter().collect();
            sorted.sort_unstable();
            put_varint(out, sorted.len() as u64);
            for (value, count) in sorted {
                put_bytes(out, value);
                put_i64(out, *count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn samples() -> Vec<Accumulator> {
        let item = Item { order: vec![1].into(), arrival: 700, value: vec![2, 3].into() };
        let (mut items, mut sorted, mut words, mut bytes) =
            (Items::default(), Sorted::default(), Distinct::new(true), Distinct::new(false));
        items.push(item.clone());
        sorted.add(b"abc", 2);
        words.add_word(u64::MAX, 1);
        bytes.add_bytes(b"x", 3);
        let mut digest = Digest::default();
        digest.add(1.5);
        let mut hll = Hll::default();
        hll.add(7);
        vec![
            Accumulator::Empty,
            Accumulator::Count(-5),
            Accumulator::Word(9),
            Accumulator::Wide(halves(-1)),
            Accumulator::Mean { sum: 0.1, count: 3 },
            Accumulator::Bools { trues: 1, falses: i64::MAX },
            Accumulator::Bytes(vec![0, 255].into()),
            Accumulator::Item(Box::new(item)),
            Accumulator::Counted(Box::new(Counted { sum: i128::MIN, count: 1 })),
            Accumulator::Floats(Box::new(Floats { sum: 1.0, lost: 1e-20, count: 9, nans: 1, infinite: [0, 2] })),
            Accumulator::Moments(Box::new(Moments { count: 2, mean: 1.0, squares: 0.5, wild: 1 })),
            Accumulator::Items(Arc::new(items)),
            Accumulator::Sorted(Arc::new(sorted)),
            Accumulator::Distinct(Arc::new(words)),
            Accumulator::Distinct(Arc::new(bytes)),
            Accumulator::Hll(Arc::new(hll)),
            Accumulator::Digest(Arc::new(digest)),
        ]
    }

    #[test]
    fn every_kind_survives_its_encoding() {
        let mut group = Group::default();
        (group.due, group.arrivals) = (77, 12);
        group.push(Part { start: -10, end: 0, values: Values::from(samples()) });
        group.push(Part { start: 0, end: 10, values: Values::from(vec![Accumulator::Count(1)]) });
        group.measure();
        let mut bytes = Vec::new();
        StateValue::encode(&group, &mut bytes);
        let back = <Group as StateValue>::decode(&bytes).unwrap();
        let mut again = Vec::new();
        StateValue::encode(&back, &mut again);
        assert_eq!(again, bytes);
        assert_eq!(format!("{:?}", back.parts()), format!("{:?}", group.parts()));
        for cut in 0..bytes.len() {
            assert!(<Group as StateValue>::decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = <Group as StateValue>::decode(&bytes);
        }
    }
}
