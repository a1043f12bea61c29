//! Random secrets from the operating system.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use weir_api::Secret;
use zeroize::Zeroizing;

use crate::{Error, Result};

/// Letters and digits that are not taken for one another.
const ALPHABET: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// `N` random bytes.
pub(crate) fn bytes<const N: usize>() -> Result<Zeroizing<[u8; N]>> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(bytes.as_mut_slice())
        .map_err(|e| Error::Internal(format!("the operating system gave no random bytes: {e}")))?;
    Ok(bytes)
}

/// 256 bits, base64url.
pub(crate) fn token() -> Result<Secret> {
    Ok(Secret::new(URL_SAFE_NO_PAD.encode(*bytes::<32>()?)))
}

/// 20 characters, 116 bits, in four groups so that it can be typed.
pub(crate) fn password() -> Result<Secret> {
    let mut text = String::with_capacity(23);
    let mut taken = 0;
    // The greatest multiple of the alphabet's length: what lies above it would favour the first letters.
    let fair = (256 / ALPHABET.len() * ALPHABET.len()) as u16;
    while taken < 20 {
        for byte in bytes::<32>()?.iter().filter(|byte| u16::from(**byte) < fair).take(20 - taken) {
            if taken > 0 && taken % 5 == 0 {
                text.push('-');
            }
            text.push(char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]));
            taken += 1;
        }
    }
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_long_typeable_and_differ() {
        let one = password().unwrap();
        assert_eq!(one.expose().len(), 23);
        assert!(one.expose().split('-').all(|group| group.len() == 5 && group.bytes().all(|b| ALPHABET.contains(&b))));
        assert_ne!(one, password().unwrap());
    }

    #[test]
    fn tokens_have_256_bits() {
        let one = token().unwrap();
        assert_eq!(URL_SAFE_NO_PAD.decode(one.expose()).unwrap().len(), 32);
        assert_ne!(one, token().unwrap());
    }
}
