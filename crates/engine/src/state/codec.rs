//! Numbers and byte strings in state files: LEB128 varints and lengths, little-endian words.

use super::StateError;

/// Appends a number in as few bytes as it needs, seven bits each.
pub fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Appends a length and the bytes.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Takes apart what the functions beside it put together. Never panics, whatever the bytes are.
#[derive(Clone, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn remaining(&self) -> &'a [u8] {
        self.0
    }

    pub fn varint(&mut self) -> Result<u64, StateError> {
        let mut number = 0u64;
        for (n, &byte) in self.0.iter().enumerate().take(10) {
            let bits = u64::from(byte & 0x7f);
            if n == 9 && bits > 1 {
                break;
            }
            number |= bits << (7 * n);
            if byte < 0x80 {
                self.0 = &self.0[n + 1..];
                return Ok(number);
            }
        }
        Err(StateError::Malformed("a number is cut off or too large"))
    }

    /// A varint that must fit, such as a length or a count.
    pub fn size(&mut self) -> Result<usize, StateError> {
        usize::try_from(self.varint()?).map_err(|_| StateError::Malformed("a size is too large"))
    }

    pub fn take(&mut self, length: usize) -> Result<&'a [u8], StateError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(StateError::Malformed("bytes are cut off"))?;
        self.0 = rest;
        Ok(taken)
    }

    /// A length and that many bytes.
    pub fn bytes(&mut self) -> Result<&'a [u8], StateError> {
        let length = self.size()?;
        self.take(length)
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], StateError> {
        Ok(self.take(N)?.try_into().expect("invariant: N bytes were taken"))
    }

    pub fn u8(&mut self) -> Result<u8, StateError> {
        Ok(self.array::<1>()?[0])
    }

    pub fn u32(&mut self) -> Result<u32, StateError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub fn u64(&mut self) -> Result<u64, StateError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub fn i64(&mut self) -> Result<i64, StateError> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    /// Says that nothing may follow.
    pub fn finish(self) -> Result<(), StateError> {
        if self.0.is_empty() { Ok(()) } else { Err(StateError::Malformed("bytes follow where none should")) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_and_bytes_come_back(numbers: Vec<u64>, bytes: Vec<u8>) {
            let mut out = Vec::new();
            numbers.iter().for_each(|&number| put_varint(&mut out, number));
            put_bytes(&mut out, &bytes);
            let mut reader = Reader::new(&out);
            for number in numbers {
                prop_assert_eq!(reader.varint().unwrap(), number);
            }
            prop_assert_eq!(reader.bytes().unwrap(), &bytes[..]);
            reader.finish().unwrap();
        }
    }

    #[test]
    fn what_is_cut_off_or_too_large_is_an_error() {
        for bytes in [&[][..], &[0x80], &[0xff; 11], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]] {
            assert!(Reader::new(bytes).varint().is_err(), "{bytes:?}");
        }
        assert!(Reader::new(&[3, 1, 2]).bytes().is_err());
        assert!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]).bytes().is_err());
        assert!(Reader::new(&[1]).finish().is_err());
    }
}
