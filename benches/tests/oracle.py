"""What DuckDB says of a NEXMark query.

`oracle.py compare INPUTS ORACLE QUERY OUTPUT` computes the query from the Parquet files in INPUTS and compares the rows, as a set with
repetitions, with the JSON lines below OUTPUT. Floating-point numbers count as equal when they agree to four decimals. Prints the number
of rows, or what differs, with exit code 1.

`oracle.py rows ORACLE QUERY` reads SQL that fills the tables from standard input and prints the query's rows, sorted.

Beside ORACLE/QUERY.sql there may be QUERY.output.sql, a query over the table `output` that brings it to the oracle's columns, and
QUERY.columns, the names and types of the output where they are not the oracle's.
"""

import pathlib
import sys

import duckdb

SCHEMA = """
CREATE TABLE person (id BIGINT, name VARCHAR, email_address VARCHAR, credit_card VARCHAR, city VARCHAR, state VARCHAR,
  date_time TIMESTAMP, extra VARCHAR);
CREATE TABLE auction (id BIGINT, item_name VARCHAR, description VARCHAR, initial_bid BIGINT, reserve BIGINT, date_time TIMESTAMP,
  expires TIMESTAMP, seller BIGINT, category BIGINT, extra VARCHAR);
CREATE TABLE bid (auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, url VARCHAR, date_time TIMESTAMP, extra VARCHAR);
CREATE TABLE side_input (key BIGINT, value VARCHAR);
SET TimeZone = 'UTC';
"""


def text(path):
    return path.read_text(encoding="utf-8")


def quoted(value):
    return "'" + str(value).replace("'", "''") + "'"


def described(db, table):
    return [(name, kind) for name, kind, *_ in db.execute(f"DESCRIBE {table}").fetchall()]


def load_output(db, folder, columns):
    files = [path for path in sorted(folder.rglob("*.json")) if not path.name.startswith((".", "_"))]
    if not files:
        db.execute("CREATE TABLE output (" + ", ".join(f'"{name}" {kind}' for name, kind in columns) + ")")
        return
    changes = '"op":' in text(files[0]).partition("\n")[0]
    in_path = [part.split("=")[0] for part in files[0].relative_to(folder).parts[:-1]]
    names = (["op"] if changes else []) + [name for name, _ in columns if name not in in_path]
    stored = ", ".join(f"{quoted(name)}: 'VARCHAR'" for name in names)
    casts = ", ".join(f'CAST("{name}" AS {kind}) AS "{name}"' for name, kind in columns)
    db.execute(
        f"CREATE TABLE lines AS SELECT * FROM read_json([{', '.join(map(quoted, files))}], columns = {{{stored}}}, "
        "format = 'newline_delimited', hive_partitioning = true, hive_types_autocast = false)"
    )
    if not changes:
        db.execute(f"CREATE TABLE output AS SELECT {casts} FROM lines")
        return
    # A changelog: what is left when every row that was taken back is gone.
    db.execute(
        f"CREATE TABLE folded AS SELECT {casts}, sum(CASE WHEN op IN ('+I', '+U') THEN 1 ELSE -1 END) AS times FROM lines GROUP BY ALL"
    )
    if db.execute("SELECT count(*) FROM folded WHERE times < 0").fetchone()[0]:
        sys.exit("rows are taken back that were never put out")
    db.execute("CREATE TABLE output AS SELECT folded.* EXCLUDE (times) FROM folded, range(times::BIGINT)")


def rounded(db, table):
    columns = [f'round("{name}", 4)' if kind in ("DOUBLE", "FLOAT") else f'"{name}"' for name, kind in described(db, table)]
    return f"SELECT {', '.join(columns)} FROM {table}"


def compare(inputs, oracle, query, output):
    db = duckdb.connect()
    db.execute(SCHEMA)
    for stream in ("person", "auction", "bid"):
        db.execute(f"INSERT INTO {stream} BY NAME FROM read_parquet({quoted(inputs / (stream + '.parquet'))})")
    db.execute(f"INSERT INTO side_input FROM read_csv({quoted(oracle.parent / 'side_input.csv')}, header = true)")
    db.execute("CREATE TABLE expected AS " + text(oracle / f"{query}.sql"))
    told = oracle / f"{query}.columns"
    if told.exists():
        db.execute(f"CREATE TABLE told ({text(told)})")
    load_output(db, output, described(db, "told" if told.exists() else "expected"))
    brought = oracle / f"{query}.output.sql"
    db.execute("CREATE TABLE actual AS " + (text(brought) if brought.exists() else "FROM output"))
    expected, actual = rounded(db, "expected"), rounded(db, "actual")
    missing = db.execute(f"{expected} EXCEPT ALL {actual}").fetchall()
    unexpected = db.execute(f"{actual} EXCEPT ALL {expected}").fetchall()
    count = db.execute("SELECT count(*) FROM expected").fetchone()[0]
    if not missing and not unexpected:
        print(count)
        return 0
    print(f"{query}: of {count} rows {len(missing)} are missing and {len(unexpected)} are not in the oracle's")
    for what, found in (("missing", missing), ("unexpected", unexpected)):
        for row in sorted(found, key=str)[:5]:
            print(f"  {what}: {row}")
    return 1


def rows(oracle, query):
    db = duckdb.connect()
    db.execute(SCHEMA)
    db.execute(sys.stdin.read())
    found = db.execute(text(oracle / f"{query}.sql")).fetchall()
    for line in sorted("|".join(map(str, row)) for row in found):
        print(line)
    return 0


if __name__ == "__main__":
    action, *arguments = sys.argv[1:]
    if action == "compare":
        inputs, oracle, query, output = arguments
        sys.exit(compare(pathlib.Path(inputs), pathlib.Path(oracle), query, pathlib.Path(output)))
    oracle, query = arguments
    sys.exit(rows(pathlib.Path(oracle), query))
