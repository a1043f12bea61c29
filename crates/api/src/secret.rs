//! A text that must not be printed.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A password or a token on its way in or out. It serialises as plain text, because it must travel once, but it never
/// shows in `Debug` output and has no `Display`.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself. Every call is a place to look at in a review.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_does_not_hold_the_text() {
        let secret = Secret::new("correct horse");
        assert!(!format!("{secret:?}").contains("horse"));
        assert_eq!(serde_json::to_string(&secret).unwrap(), "\"correct horse\"");
    }
}
