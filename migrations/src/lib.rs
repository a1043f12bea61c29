//! Database migrations: one schema for SQLite and PostgreSQL.
