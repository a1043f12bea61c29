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

/// A password in the form of [`password`], spelled out of 256 secret bits that the caller has: the digits of the number that
/// they are, so that no letter is favoured.
pub(crate) fn spell(secret: &[u8; 32]) -> Secret {
    let mut number = Zeroizing::new(*secret);
    let mut text = String::with_capacity(23);
    for place in 0..20 {
        if place > 0 && place % 5 == 0 {
            text.push('-');
        }
        let mut remainder = 0;
        for byte in number.iter_mut() {
            let value = remainder * 256 + usize::from(*byte);
            *byte = u8::try_from(value / ALPHABET.len()).expect("invariant: the remainder is below the divisor");
            remainder = value % ALPHABET.len();
        }
        text.push(char::from(ALPHABET[remainder]));
    }
    Secret::new(text)
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
    fn a_spelled_password_looks_like_a_random_one_and_depends_on_every_byte() {
        let mut secret = [7; 32];
        let one = spell(&secret);
        assert_eq!(one, spell(&secret));
        assert!(one.expose().split('-').all(|group| group.len() == 5 && group.bytes().all(|b| ALPHABET.contains(&b))));
        for place in 0..32 {
            secret[place] ^= 1;
            assert_ne!(one, spell(&secret), "byte {place}");
            secret[place] ^= 1;
        }
        // 57, the alphabet's length plus one, is "11" in its digits, the lowest first.
        let mut number = [0; 32];
        number[31] = ALPHABET.len() as u8 + 1;
        assert_eq!(spell(&number).expose(), "bbaaa-aaaaa-aaaaa-aaaaa");
    }

    #[test]
    fn tokens_have_256_bits() {
        let one = token().unwrap();
        assert_eq!(URL_SAFE_NO_PAD.decode(one.expose()).unwrap().len(), 32);
        assert_ne!(one, token().unwrap());
    }
}
