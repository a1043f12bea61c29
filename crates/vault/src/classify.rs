//! What a masked value is still worth: its classification after an operator.

use weir_spec::{mask::Mask, types::Classification};

/// The classification of a column after masking. Masking never raises it.
///
/// | operator | result |
/// | --- | --- |
/// | `redact`, `null` | public |
/// | `hash`, `token` | internal: pseudonymous |
/// | `partial`, `generalize` | one level down |
/// | `encrypt` | unchanged: who may decrypt sees it |
pub fn strength(mask: &Mask, from: Classification) -> Classification {
    mask.result_class(from)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use weir_spec::mask::Generalization;

    use super::*;

    #[test]
    fn the_whole_table() {
        let masks = [
            Mask::Redact { with: None },
            Mask::Null,
            Mask::Partial { keep_first: 0, keep_last: 4, with: '*' },
            Mask::Hash,
            Mask::Token { prefix: None, keep_last: 0 },
            Mask::Token { prefix: None, keep_last: 4 },
            Mask::Encrypt,
            Mask::Generalize { to: Generalization::Year },
        ];
        let mut table = String::new();
        for mask in masks {
            table.push_str(&format!("{:<10}", mask.key()));
            for from in Classification::ALL {
                table.push_str(&format!(" {from} -> {},", strength(&mask, from)));
            }
            table.push('\n');
        }
        expect![[r#"
            redact     public -> public, internal -> public, confidential -> public, restricted -> public,
            null       public -> public, internal -> public, confidential -> public, restricted -> public,
            partial    public -> public, internal -> public, confidential -> internal, restricted -> confidential,
            hash       public -> public, internal -> internal, confidential -> internal, restricted -> internal,
            token      public -> public, internal -> internal, confidential -> internal, restricted -> internal,
            token      public -> public, internal -> internal, confidential -> internal, restricted -> internal,
            encrypt    public -> public, internal -> internal, confidential -> confidential, restricted -> restricted,
            generalize public -> public, internal -> public, confidential -> internal, restricted -> confidential,
        "#]]
        .assert_eq(&table);
    }

    #[test]
    fn no_operator_raises_a_classification() {
        for from in Classification::ALL {
            assert!(strength(&Mask::Hash, from) <= from);
            assert!(strength(&Mask::Token { prefix: None, keep_last: 4 }, from) <= from);
        }
    }
}
