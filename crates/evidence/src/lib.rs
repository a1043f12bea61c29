//! Decision records, canonical encoding, the Merkle log, proofs and offline verification.
