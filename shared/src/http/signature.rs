//! The signatures of tokens. ed25519-dalek does Ed25519, in half of ring's time. ring does P-256; functions have it for TLS
//! already. `jsonwebtoken`'s own choice would add 0.4 MB to each function, with RSA, P-384 and big numbers.

use std::sync::Once;

use ed25519_dalek::pkcs8::DecodePrivateKey;
use ed25519_dalek::{Signature, SigningKey, VerifyingKey};
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::signature::{Error as Mismatch, Signer, Verifier};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| match (algorithm, key.family()) {
        (Algorithm::EdDSA, AlgorithmFamily::Ed) => Ok(Box::new(Ed25519Pair::read(key)?)),
        _ => Err(ErrorKind::UnsupportedAlgorithm.into()),
    },
    verifier_factory: |algorithm, key| match (algorithm, key.family()) {
        (Algorithm::EdDSA, AlgorithmFamily::Ed) => Ok(Box::new(Ed25519::read(key)?)),
        (Algorithm::ES256, AlgorithmFamily::Ec) => Ok(Box::new(P256(key.try_get_as_bytes()?.to_vec()))),
        _ => Err(ErrorKind::UnsupportedAlgorithm.into()),
    },
    key_utils: KeyUtils::new_unimplemented(),
};

/// The same with RSA, for the tokens of identity providers.
static PROVIDER_WITH_RSA: CryptoProvider = CryptoProvider {
    signer_factory: PROVIDER.signer_factory,
    verifier_factory: |algorithm, key| match (algorithm, key.kind()) {
        (Algorithm::RS256 | Algorithm::PS256, DecodingKeyKind::RsaModulusExponent { n, e }) => {
            Ok(Box::new(Rsa { algorithm: *algorithm, key: RsaPublicKeyComponents { n: n.clone(), e: e.clone() } }))
        }
        _ => (PROVIDER.verifier_factory)(algorithm, key),
    },
    key_utils: KeyUtils::new_unimplemented(),
};

/// Makes `jsonwebtoken` use this module, with RSA. Only functions that take tokens of identity providers link RSA.
pub fn install_with_rsa() {
    _ = PROVIDER_WITH_RSA.install_default();
}

/// Makes `jsonwebtoken` use this module. Call it before the first token is signed or verified.
pub fn install() {
    static ONCE: Once = Once::new();
    // It fails only if there is a provider already, and there is no other.
    ONCE.call_once(|| _ = PROVIDER.install_default());
}

struct Ed25519(VerifyingKey);

impl Ed25519 {
    fn read(key: &DecodingKey) -> Result<Self, Error> {
        let bytes = key.try_get_as_bytes()?.try_into().map_err(|_| ErrorKind::InvalidEddsaKey)?;
        VerifyingKey::from_bytes(bytes).map(Self).map_err(|_| ErrorKind::InvalidEddsaKey.into())
    }
}

impl Verifier<Vec<u8>> for Ed25519 {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), Mismatch> {
        self.0.verify_strict(message, &Signature::from_slice(signature)?)
    }
}

impl JwtVerifier for Ed25519 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

/// A point, uncompressed.
struct P256(Vec<u8>);

impl Verifier<Vec<u8>> for P256 {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), Mismatch> {
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.0);
        key.verify(message, signature).map_err(|_| Mismatch::new())
    }
}

impl JwtVerifier for P256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::ES256
    }
}

/// A key of 2,048 to 8,192 bits.
struct Rsa {
    algorithm: Algorithm,
    key: RsaPublicKeyComponents<Vec<u8>>,
}

impl Verifier<Vec<u8>> for Rsa {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), Mismatch> {
        let parameters =
            if self.algorithm == Algorithm::PS256 { &RSA_PSS_2048_8192_SHA256 } else { &RSA_PKCS1_2048_8192_SHA256 };
        self.key.verify(parameters, message, signature).map_err(|_| Mismatch::new())
    }
}

impl JwtVerifier for Rsa {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

struct Ed25519Pair(SigningKey);

impl Ed25519Pair {
    /// From PKCS #8.
    fn read(key: &EncodingKey) -> Result<Self, Error> {
        SigningKey::from_pkcs8_der(key.as_bytes()).map(Self).map_err(|_| ErrorKind::InvalidEddsaKey.into())
    }
}

impl Signer<Vec<u8>> for Ed25519Pair {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, Mismatch> {
        Ok(self.0.try_sign(message)?.to_bytes().to_vec())
    }
}

impl JwtSigner for Ed25519Pair {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}
