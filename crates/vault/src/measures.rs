//! The form in which what windows of a quality step added up to is kept: compressed, then sealed under the project's key for measures and
//! bound to its window.
//!
//! Measures are of columns that are classified internal at most, and yet they hold values of rows and hashes that can be guessed, which
//! must not lie in the clear. The engine makes them, the control plane adds them up; neither looks at what is sealed here.

use std::io;

/// Bytes of measures that a window may have, far more than rules make.
pub const MAX_MEASURES: usize = 64 << 20;

/// Shorter ones are not worth compressing.
const SHORT: usize = 256;

/// Measures, ready to be sealed: their length (32 bits, little-endian), then the bytes as they are or, where that is shorter, compressed.
/// Errors beyond [`MAX_MEASURES`].
pub fn encode(measures: &[u8]) -> io::Result<Vec<u8>> {
    let length = u32::try_from(measures.len()).ok().filter(|_| measures.len() <= MAX_MEASURES);
    let length =
        length.ok_or_else(|| io::Error::other(format!("a window has {} MiB of measures at most", MAX_MEASURES >> 20)))?;
    let mut out = length.to_le_bytes().to_vec();
    let shorter = match measures.len() {
        SHORT.. => Some(zstd::bulk::compress(measures, 1)?).filter(|packed| packed.len() < measures.len()),
        _ => None,
    };
    out.extend_from_slice(shorter.as_deref().unwrap_or(measures));
    Ok(out)
}

/// What [`encode`] was given.
pub fn decode(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, "the measures are damaged");
    let (length, packed) = bytes.split_first_chunk().ok_or_else(damaged)?;
    let length =
        usize::try_from(u32::from_le_bytes(*length)).ok().filter(|length| *length <= MAX_MEASURES).ok_or_else(damaged)?;
    let measures = if packed.len() == length { packed.to_vec() } else { zstd::bulk::decompress(packed, length)? };
    if measures.len() == length { Ok(measures) } else { Err(damaged()) }
}

/// What binds sealed measures to their window: AAD for sealing and opening. Times in microseconds.
pub fn aad(project: &str, deployment: &str, step: &str, start: i64, end: i64) -> Vec<u8> {
    format!("weir/measures/v1\n{project}\n{deployment}\n{step}\n{start}\n{end}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_survive_the_way_there_and_back_and_long_ones_get_shorter() {
        let long: Vec<u8> = (0..10_000u32).flat_map(|n| (n / 100).to_le_bytes()).collect();
        for measures in [&[][..], &[7], &[0; SHORT], &long[..]] {
            assert_eq!(decode(&encode(measures).unwrap()).unwrap(), measures);
        }
        assert!(encode(&long).unwrap().len() < long.len() / 2);
        let random: Vec<u8> = (0..1_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        assert!(encode(&random).unwrap().len() <= random.len() + 4);
    }

    #[test]
    fn damaged_ones_are_an_error() {
        let whole = encode(&[5; 1_000]).unwrap();
        for end in 0..whole.len() {
            assert!(decode(&whole[..end]).is_err(), "cut off at {end}");
        }
        assert!(decode(&[0xff; 9]).is_err(), "a length beyond what there may be");
    }
}
