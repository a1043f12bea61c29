//! Which purposes allow which categories of personal data.

use serde::{Deserialize, Serialize};

/// Rules on data categories. A category without a rule is allowed for every purpose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurposePolicy {
    pub rules: Vec<CategoryRule>,
}

/// A category, with everything below it, may be processed for these purposes, with everything below them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CategoryRule {
    /// A fideslang data category, such as `user.health_and_medical`.
    pub category: String,
    /// fideslang data uses, such as `essential.fraud_detection`, or purposes of the project's own.
    pub purposes: Vec<String>,
    /// Why: the article or the house rule, for messages.
    pub reason: String,
}

impl CategoryRule {
    pub fn new(category: &str, purposes: &[&str], reason: &str) -> Self {
        Self {
            category: category.to_owned(),
            purposes: purposes.iter().map(|&p| p.to_owned()).collect(),
            reason: reason.to_owned(),
        }
    }

    pub fn allows(&self, purpose: &str) -> bool {
        self.purposes.iter().any(|allowed| covers(allowed, purpose))
    }
}

impl PurposePolicy {
    /// The rule that governs a category: the one with the longest matching key.
    pub fn rule(&self, category: &str) -> Option<&CategoryRule> {
        self.rules.iter().filter(|rule| covers(&rule.category, category)).max_by_key(|rule| rule.category.len())
    }

    /// The rule that forbids this category for this purpose, if any.
    pub fn refusal(&self, category: &str, purpose: &str) -> Option<&CategoryRule> {
        self.rule(category).filter(|rule| !rule.allows(purpose))
    }
}

/// Whether a dotted key is the other or an ancestor of it: `user.financial` covers `user.financial.credit_card`.
fn covers(key: &str, other: &str) -> bool {
    other.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

impl Default for PurposePolicy {
    /// A cautious start in fideslang's vocabulary: special categories (GDPR Art. 9), criminal records (Art. 10), biometrics,
    /// official identifiers, credentials and financial data. A project's own purposes are not among them until its policy says so.
    fn default() -> Self {
        const SPECIAL: &str = "special category of personal data, GDPR Art. 9";
        let rules = vec![
            CategoryRule::new("user.health_and_medical", &["essential", "employment"], SPECIAL),
            CategoryRule::new(
                "user.biometric",
                &[
                    "essential.fraud_detection",
                    "essential.service.authentication",
                    "essential.service.security",
                    "essential.legal_obligation",
                ],
                SPECIAL,
            ),
            CategoryRule::new("user.biometric_health", &["essential"], SPECIAL),
            CategoryRule::new("user.genetic", &["essential"], SPECIAL),
            CategoryRule::new("user.demographic.race_ethnicity", &["essential.legal_obligation"], SPECIAL),
            CategoryRule::new("user.demographic.religious_belief", &["essential.legal_obligation"], SPECIAL),
            CategoryRule::new("user.demographic.political_opinion", &["essential.legal_obligation"], SPECIAL),
            CategoryRule::new("user.demographic.sexual_orientation", &["essential.legal_obligation"], SPECIAL),
            CategoryRule::new(
                "user.criminal_history",
                &["essential.legal_obligation", "employment"],
                "criminal convictions and offences, GDPR Art. 10",
            ),
            CategoryRule::new(
                "user.government_id",
                &["essential", "employment", "finance"],
                "official identifiers, GDPR Art. 87",
            ),
            CategoryRule::new(
                "user.authorization",
                &["essential.fraud_detection", "essential.service.authentication", "essential.service.security"],
                "credentials serve to sign in, nothing else",
            ),
            CategoryRule::new(
                "user.financial",
                &["essential", "finance", "analytics", "employment", "functional", "sales"],
                "financial data of people, purpose limitation of GDPR Art. 5(1)(b)",
            ),
        ];
        Self { rules }
    }
}
