//! Entities and repositories. The only crate that names sea-orm entities.
