//! The keys that tokens are signed with.

use jwt_compact::alg::{Ed25519, Es256, Hs256, Hs256Key, Hs384, Hs384Key, Hs512, Hs512Key, Rsa};
use jwt_compact::jwk::JsonWebKey;
use jwt_compact::{Algorithm, AlgorithmExt, Claims, UntrustedToken, ValidationError};
use rsa::traits::PublicKeyParts;
use serde_json::Value;

use crate::claims::Custom;

/// The shortest secret, in bytes (RFC 7518, 3.2).
const MIN_SECRET: usize = 32;
/// The shortest RSA modulus, in bytes (RFC 7518, 3.3).
const MIN_MODULUS: usize = 256;

/// A key and its algorithm.
enum Key {
    Hs256(Hs256Key),
    Hs384(Hs384Key),
    Hs512(Hs512Key),
    Es256(Box<p256::ecdsa::VerifyingKey>),
    EdDsa(Box<ed25519_dalek::VerifyingKey>),
    Rsa(Box<(Rsa, rsa::RsaPublicKey)>),
}

/// All the keys of the configuration.
pub struct Keys(Vec<(Option<String>, Key)>);

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Keys").field(&self.0.len()).finish()
    }
}

impl Keys {
    /// A secret for HS256, and JSON Web Keys (RFC 7517).
    ///
    /// # Errors
    /// Where there is none, or one cannot be used.
    pub fn new(secret: Option<&str>, keys: &[Value]) -> Result<Self, String> {
        let mut all = Vec::new();
        if let Some(secret) = secret {
            check_secret(secret.as_bytes())?;
            all.push((None, Key::Hs256(Hs256Key::new(secret))));
        }
        for (index, key) in keys.iter().enumerate() {
            let read = read(key).map_err(|error| format!("key {}: {error}", index + 1))?;
            all.push((key.get("kid").and_then(Value::as_str).map(str::to_owned), read));
        }
        if all.is_empty() {
            return Err("there is no key: set `secret`, or JSON Web Keys as `keys`".into());
        }
        Ok(Self(all))
    }

    /// The claims of a token that one of the keys has signed.
    ///
    /// # Errors
    /// Where none has, as a sentence for the client.
    pub fn claims(&self, token: &str) -> Result<Claims<Custom>, String> {
        let token = UntrustedToken::new(token).map_err(|_| "the token is not a JSON Web Token".to_owned())?;
        let named = token.header().key_id.as_deref();
        let mut algorithms = Vec::new();
        for (id, key) in &self.0 {
            // A key that both sides name is the only one that can be right.
            if let (Some(id), Some(named)) = (id, named)
                && id != named
            {
                continue;
            }
            match key.claims(&token) {
                Ok(claims) => return Ok(claims),
                Err(ValidationError::AlgorithmMismatch { expected, .. }) => algorithms.push(expected),
                Err(ValidationError::MalformedClaims(error)) => {
                    return Err(format!("the token's claims cannot be read: {error}"));
                }
                Err(_) => {}
            }
        }
        if algorithms.len() == self.0.len() {
            algorithms.dedup();
            return Err(format!(
                "the token's algorithm is {}, and should be {}",
                token.algorithm(),
                algorithms.join(" or ")
            ));
        }
        Err("the token's signature is wrong, or made with a key that is not known here".into())
    }
}

impl Key {
    fn claims(&self, token: &UntrustedToken<'_>) -> Result<Claims<Custom>, ValidationError> {
        fn of<A: Algorithm>(
            algorithm: &A,
            key: &A::VerifyingKey,
            token: &UntrustedToken<'_>,
        ) -> Result<Claims<Custom>, ValidationError> {
            Ok(algorithm.validator::<Custom>(key).validate(token)?.into_parts().1)
        }
        match self {
            Self::Hs256(key) => of(&Hs256, key, token),
            Self::Hs384(key) => of(&Hs384, key, token),
            Self::Hs512(key) => of(&Hs512, key, token),
            Self::Es256(key) => of(&Es256, key, token),
            Self::EdDsa(key) => of(&Ed25519, key, token),
            Self::Rsa(key) => of(&key.0, &key.1, token),
        }
    }
}

fn check_secret(secret: &[u8]) -> Result<(), String> {
    let len = secret.len();
    if len < MIN_SECRET { Err(format!("the secret has {len} bytes (expected at least {MIN_SECRET})")) } else { Ok(()) }
}

/// Reads a JSON Web Key. Its `alg` decides, else the usual algorithm of its type.
fn read(value: &Value) -> Result<Key, String> {
    let jwk: JsonWebKey<'_> = serde_json::from_value(value.clone()).map_err(|error| error.to_string())?;
    let text = |error: jwt_compact::jwk::JwkError| error.to_string();
    let algorithm = value.get("alg").and_then(Value::as_str);
    let unknown = |algorithm: &str| format!("the algorithm {algorithm:?} does not fit a key of this type");
    match &jwk {
        JsonWebKey::Symmetric { secret } => {
            check_secret(secret)?;
            match algorithm.unwrap_or("HS256") {
                "HS256" => Ok(Key::Hs256(Hs256Key::try_from(&jwk).map_err(text)?)),
                "HS384" => Ok(Key::Hs384(Hs384Key::try_from(&jwk).map_err(text)?)),
                "HS512" => Ok(Key::Hs512(Hs512Key::try_from(&jwk).map_err(text)?)),
                other => Err(unknown(other)),
            }
        }
        JsonWebKey::EllipticCurve { .. } => match algorithm.unwrap_or("ES256") {
            "ES256" => Ok(Key::Es256(Box::new((&jwk).try_into().map_err(text)?))),
            other => Err(unknown(other)),
        },
        JsonWebKey::KeyPair { .. } => match algorithm.unwrap_or("EdDSA") {
            "EdDSA" => Ok(Key::EdDsa(Box::new((&jwk).try_into().map_err(text)?))),
            other => Err(unknown(other)),
        },
        JsonWebKey::Rsa { .. } => {
            let algorithm = match algorithm.unwrap_or("RS256") {
                "RS256" => Rsa::rs256(),
                "RS384" => Rsa::rs384(),
                "RS512" => Rsa::rs512(),
                "PS256" => Rsa::ps256(),
                "PS384" => Rsa::ps384(),
                "PS512" => Rsa::ps512(),
                other => return Err(unknown(other)),
            };
            let key: rsa::RsaPublicKey = (&jwk).try_into().map_err(text)?;
            let len = key.size();
            if len < MIN_MODULUS {
                return Err(format!("the modulus has {len} bytes (expected at least {MIN_MODULUS})"));
            }
            Ok(Key::Rsa(Box::new((algorithm, key))))
        }
        _ => Err("the type of the key is not known".into()),
    }
}
