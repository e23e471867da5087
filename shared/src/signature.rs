//! The signatures of tokens, by ring, which is here for TLS already: what `jsonwebtoken` would bring instead is 0.4 MB
//! more in each function, RSA, P-384 and big numbers among it.

use std::sync::Once;

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::signature::{Error as Mismatch, Signer, Verifier};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, EncodingKey};
use ring::signature::{ECDSA_P256_SHA256_FIXED, ED25519, Ed25519KeyPair, UnparsedPublicKey, VerificationAlgorithm};

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| match (algorithm, key.family()) {
        (Algorithm::EdDSA, AlgorithmFamily::Ed) => Ok(Box::new(Pair::read(key)?)),
        _ => Err(ErrorKind::UnsupportedAlgorithm.into()),
    },
    verifier_factory: |algorithm, key| {
        let (expected, by): (_, &'static dyn VerificationAlgorithm) = match algorithm {
            Algorithm::EdDSA => (AlgorithmFamily::Ed, &ED25519),
            Algorithm::ES256 => (AlgorithmFamily::Ec, &ECDSA_P256_SHA256_FIXED),
            _ => return Err(ErrorKind::UnsupportedAlgorithm.into()),
        };
        match key.family() == expected {
            true => Ok(Box::new(Public { algorithm: *algorithm, key: UnparsedPublicKey::new(by, bytes(key)?) })),
            false => Err(ErrorKind::InvalidKeyFormat.into()),
        }
    },
    key_utils: KeyUtils::new_unimplemented(),
};

/// Has `jsonwebtoken` use all this; to be called before anything is signed or verified.
pub fn install() {
    static ONCE: Once = Once::new();
    // It fails only where there is a provider already, and there is no other.
    ONCE.call_once(|| _ = PROVIDER.install_default());
}

fn bytes(key: &DecodingKey) -> Result<Vec<u8>, Error> {
    key.try_get_as_bytes().map(<[u8]>::to_vec)
}

struct Public {
    algorithm: Algorithm,
    key: UnparsedPublicKey<Vec<u8>>,
}

impl Verifier<Vec<u8>> for Public {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), Mismatch> {
        self.key.verify(message, signature).map_err(|_| Mismatch::new())
    }
}

impl JwtVerifier for Public {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

/// An Ed25519 key pair.
struct Pair(Ed25519KeyPair);

impl Pair {
    /// From PKCS #8, with the public key in it or not.
    fn read(key: &EncodingKey) -> Result<Self, Error> {
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(key.as_bytes());
        pair.map(Self).map_err(|_| ErrorKind::InvalidEddsaKey.into())
    }
}

impl Signer<Vec<u8>> for Pair {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, Mismatch> {
        Ok(self.0.sign(message).as_ref().to_vec())
    }
}

impl JwtSigner for Pair {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}
