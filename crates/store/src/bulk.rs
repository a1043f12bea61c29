//! Many rows in few statements: multi-row INSERTs of one shape, so that the database prepares each once.

use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement, Value};

/// SQLite allows 32766 parameters in a statement; PostgreSQL 65535.
const PARAMETERS: usize = 16_000;

/// Runs `head VALUES (..), (..) tail` over the values, row after row, in as few statements as the parameters allow. Returns how
/// many rows were written.
pub(crate) async fn insert(
    conn: &impl ConnectionTrait,
    head: &str,
    columns: usize,
    tail: &str,
    mut values: Vec<Value>,
) -> Result<u64, DbErr> {
    let backend = conn.get_database_backend();
    let rows_at_once = PARAMETERS / columns;
    let whole = statement(backend, head, columns, rows_at_once.min(values.len() / columns), tail);
    let mut written = 0;
    while !values.is_empty() {
        let rest = values.split_off(values.len().min(rows_at_once * columns));
        let rows = values.len() / columns;
        let sql = if rows == rows_at_once { whole.clone() } else { statement(backend, head, columns, rows, tail) };
        written += conn.execute_raw(Statement::from_sql_and_values(backend, sql, values)).await?.rows_affected();
        values = rest;
    }
    Ok(written)
}

fn statement(backend: DbBackend, head: &str, columns: usize, rows: usize, tail: &str) -> String {
    let mut sql = String::with_capacity(head.len() + tail.len() + rows * columns * 4 + 16);
    sql.push_str(head);
    sql.push_str(" VALUES ");
    for row in 0..rows {
        sql.push_str(if row == 0 { "(" } else { ",(" });
        for column in 0..columns {
            if column > 0 {
                sql.push(',');
            }
            parameter(&mut sql, backend, row * columns + column + 1);
        }
        sql.push(')');
    }
    sql.push(' ');
    sql.push_str(tail);
    sql
}

/// `(?, ?, ...)`, for `IN`. Numbered from `first`.
pub(crate) fn list(backend: DbBackend, first: usize, count: usize) -> String {
    let mut sql = String::with_capacity(count * 4 + 2);
    for i in 0..count {
        sql.push(if i == 0 { '(' } else { ',' });
        parameter(&mut sql, backend, first + i);
    }
    sql.push(')');
    sql
}

fn parameter(sql: &mut String, backend: DbBackend, number: usize) {
    match backend {
        DbBackend::Postgres => {
            sql.push('$');
            sql.push_str(&number.to_string());
        }
        _ => sql.push('?'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_written_as_each_database_wants_them() {
        let sql = |backend| statement(backend, "INSERT INTO t (a, b)", 2, 2, "ON CONFLICT DO NOTHING");
        assert_eq!(sql(DbBackend::Sqlite), "INSERT INTO t (a, b) VALUES (?,?),(?,?) ON CONFLICT DO NOTHING");
        assert_eq!(sql(DbBackend::Postgres), "INSERT INTO t (a, b) VALUES ($1,$2),($3,$4) ON CONFLICT DO NOTHING");
        assert_eq!(list(DbBackend::Postgres, 3, 2), "($3,$4)");
    }
}
