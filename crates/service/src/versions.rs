//! Versions of contracts: which number leads, which one is newer.

/// The first number of a version.
pub fn major(version: &str) -> Option<u32> {
    version.split(['.', '-', '+']).next()?.parse().ok()
}

/// Whether a version comes after another: by its numbers, then a release after its own pre-releases (Semantic Versioning 2.0.0,
/// section 11, in short), then by text.
pub fn newer(version: &str, than: &str) -> bool {
    order(version) > order(than)
}

fn order(version: &str) -> (Vec<u64>, bool, String) {
    let version = version.split('+').next().unwrap_or_default();
    let (numbers, pre_release) = version.split_once('-').map_or((version, None), |(numbers, pre)| (numbers, Some(pre)));
    let numbers = numbers.split('.').map(|part| part.parse().unwrap_or(0)).collect();
    (numbers, pre_release.is_none(), pre_release.unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_their_numbers() {
        for (later, earlier) in [("1.10.0", "1.9.0"), ("2.0.0", "1.99.9"), ("1.0.0", "1.0.0-rc.1"), ("1.0.1", "1.0.0")] {
            assert!(newer(later, earlier), "{later} after {earlier}");
            assert!(!newer(earlier, later), "{earlier} before {later}");
        }
        assert!(!newer("1.0.0", "1.0.0"));
        assert_eq!((major("1.4.0"), major("12"), major("v1")), (Some(1), Some(12), None));
    }
}
