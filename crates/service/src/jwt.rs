//! Tokens as JWTs (RFC 7519), signed with Ed25519 (RFC 8037) and nothing else.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use weir_api::{Jwk, Jwks, ProjectId, Secret, TokenId, UserId};
use weir_evidence::{PublicKey, SigningKey};

use crate::{Error, Result};

const AUDIENCE: &str = "weir-api";
/// PKCS #8 (RFC 8410) around a 32-byte Ed25519 seed: what comes before the seed.
const PKCS8_PREFIX: [u8; 16] = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// What a token says. What it may do is read from the database on every use, so that a revocation works at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub iss: String,
    pub aud: String,
    /// On whose behalf it acts.
    pub sub: UserId,
    pub jti: TokenId,
    /// The project it is bound to.
    pub project: ProjectId,
    /// The actions it is good for, separated by blanks (RFC 8693).
    pub scope: String,
    pub iat: i64,
    pub nbf: i64,
    pub exp: i64,
}

/// What goes into a new token.
pub(crate) struct NewToken<'a> {
    pub id: TokenId,
    pub owner: UserId,
    pub project: ProjectId,
    pub scopes: &'a [String],
    pub issued_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}

/// Signs and verifies the tokens of this instance.
pub(crate) struct TokenSigner {
    issuer: String,
    key_id: String,
    public: PublicKey,
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
}

impl TokenSigner {
    /// `issuer` names this instance.
    pub(crate) fn new(key: &SigningKey, issuer: String) -> Self {
        let public = key.public_key();
        let mut pkcs8 = zeroize::Zeroizing::new(PKCS8_PREFIX.to_vec());
        pkcs8.extend_from_slice(&*key.to_bytes());
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[&issuer]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp", "nbf"]);
        // The library would ask the machine's clock; `verify` asks the caller's.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        Self {
            issuer,
            key_id: public.key_id(),
            public,
            encoding: EncodingKey::from_ed_der(&pkcs8),
            decoding: DecodingKey::from_ed_der(public.as_bytes()),
            validation,
        }
    }

    pub(crate) fn sign(&self, token: &NewToken<'_>) -> Result<Secret> {
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: AUDIENCE.to_owned(),
            sub: token.owner,
            jti: token.id,
            project: token.project,
            scope: token.scopes.join(" "),
            iat: token.issued_at.timestamp(),
            nbf: token.issued_at.timestamp(),
            exp: token.expires_at.timestamp(),
        };
        let header = Header { kid: Some(self.key_id.clone()), ..Header::new(Algorithm::EdDSA) };
        let jwt = jsonwebtoken::encode(&header, &claims, &self.encoding)
            .map_err(|e| Error::Internal(format!("a token could not be signed: {e}")))?;
        Ok(Secret::new(jwt))
    }

    /// The claims of a token that this instance signed and that is good at this time; nothing says why another one is not.
    pub(crate) fn verify(&self, jwt: &Secret, now: DateTime<Utc>) -> Option<Claims> {
        let header = jsonwebtoken::decode_header(jwt.expose()).ok()?;
        if header.alg != Algorithm::EdDSA || header.kid.as_deref() != Some(&self.key_id) {
            return None;
        }
        let claims = jsonwebtoken::decode::<Claims>(jwt.expose(), &self.decoding, &self.validation).ok()?.claims;
        let now = now.timestamp();
        (claims.nbf <= now && now < claims.exp).then_some(claims)
    }

    pub(crate) fn jwks(&self) -> Jwks {
        Jwks {
            keys: vec![Jwk {
                kty: "OKP".to_owned(),
                crv: "Ed25519".to_owned(),
                alg: "EdDSA".to_owned(),
                usage: "sig".to_owned(),
                kid: self.key_id.clone(),
                x: URL_SAFE_NO_PAD.encode(self.public.as_bytes()),
            }],
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn signer(seed: u8) -> TokenSigner {
        TokenSigner::new(&SigningKey::from_bytes(&[seed; 32]), "weir:test".to_owned())
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_772_366_400 + seconds, 0).unwrap()
    }

    fn token(signer: &TokenSigner) -> Secret {
        let scopes = ["pipeline.read".to_owned(), "pipeline.deploy".to_owned()];
        let new = NewToken {
            id: TokenId::generate(),
            owner: UserId::generate(),
            project: ProjectId::generate(),
            scopes: &scopes,
            issued_at: at(0),
            expires_at: at(3600),
        };
        signer.sign(&new).unwrap()
    }

    fn part(value: serde_json::Value) -> String {
        URL_SAFE_NO_PAD.encode(value.to_string())
    }

    fn parts(jwt: &Secret) -> [String; 3] {
        jwt.expose().split('.').map(str::to_owned).collect::<Vec<_>>().try_into().unwrap()
    }

    #[test]
    fn a_token_is_good_from_its_issue_until_it_expires() {
        let signer = signer(1);
        let jwt = token(&signer);
        for (seconds, good) in [(-1, false), (0, true), (3599, true), (3600, false)] {
            assert_eq!(signer.verify(&jwt, at(seconds)).is_some(), good, "at {seconds} s");
        }
        assert_eq!(signer.verify(&jwt, at(0)).unwrap().scope, "pipeline.read pipeline.deploy");
    }

    #[test]
    fn another_key_issuer_or_algorithm_is_refused() {
        let ours = signer(1);
        let jwt = token(&ours);
        let [header, claims, signature] = parts(&jwt);
        let kid = ours.key_id.clone();
        let forged = |header: serde_json::Value, claims: &str, signature: &str| {
            Secret::new(format!("{}.{claims}.{signature}", part(header)))
        };
        let hmac_with_public_key = {
            let head = part(json!({"typ": "JWT", "alg": "HS256", "kid": kid}));
            let message = format!("{head}.{claims}");
            let secret = EncodingKey::from_secret(ours.public.as_bytes());
            let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &secret, Algorithm::HS256).unwrap();
            Secret::new(format!("{message}.{signature}"))
        };
        let mut other_claims: serde_json::Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(&claims).unwrap()).unwrap();
        other_claims["exp"] = json!(9_999_999_999i64);
        let cases = [
            ("alg none, no signature", forged(json!({"typ": "JWT", "alg": "none", "kid": kid}), &claims, "")),
            ("alg none, old signature", forged(json!({"typ": "JWT", "alg": "none", "kid": kid}), &claims, &signature)),
            ("alg HS256 under the public key", hmac_with_public_key),
            ("unknown kid", forged(json!({"typ": "JWT", "alg": "EdDSA", "kid": "other"}), &claims, &signature)),
            ("no kid", forged(json!({"typ": "JWT", "alg": "EdDSA"}), &claims, &signature)),
            ("another key", token(&signer(2))),
            ("another issuer", token(&TokenSigner::new(&SigningKey::from_bytes(&[1; 32]), "weir:elsewhere".to_owned()))),
            ("changed claims", Secret::new(format!("{header}.{}.{signature}", part(other_claims)))),
            ("no signature", Secret::new(format!("{header}.{claims}."))),
            ("not a token", Secret::new("a.b.c")),
            ("empty", Secret::new("")),
        ];
        assert!(ours.verify(&jwt, at(1)).is_some());
        for (name, jwt) in cases {
            assert_eq!(ours.verify(&jwt, at(1)), None, "{name}");
        }
    }

    #[test]
    fn the_published_key_verifies_a_token() {
        let signer = signer(3);
        let [header, claims, signature] = parts(&token(&signer));
        let jwk = &signer.jwks().keys[0];
        let key: [u8; 32] = URL_SAFE_NO_PAD.decode(&jwk.x).unwrap().try_into().unwrap();
        let signature: [u8; 64] = URL_SAFE_NO_PAD.decode(signature).unwrap().try_into().unwrap();
        assert!(PublicKey::from_bytes(&key).unwrap().verifies(format!("{header}.{claims}").as_bytes(), &signature));
    }
}
