//! Envelope encryption, per-subject keys, tokens and masking operators.
