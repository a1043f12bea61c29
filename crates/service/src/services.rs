//! What the use cases work with: store, keys, authorizer, evidence signer, live metrics.

/// Everything a use case needs besides the caller. One per process, shared.
pub struct Services {}
