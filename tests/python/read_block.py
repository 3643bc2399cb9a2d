"""Reads the span data of one block with DuckDB and with pyarrow, and compares both with what a client sent.

    read_block.py BLOCK.parquet EXPECTED.json FORMAT.md

EXPECTED.json is the output of `export.py`. Nothing here knows more about a block than FORMAT.md says about its columns, and the
SQL examples there are run as they stand.
"""

import json
import re
import sys
from pathlib import Path

import duckdb
import pyarrow.parquet

KINDS = ["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"]
STATUS_CODES = ["UNSET", "OK", "ERROR"]
TYPES = (":string", ":int", ":double", ":bool")

# Every span with its parent's id and its resource: the parent is that many rows above unless its id is stored, and the
# text of a resource stands on the first row that has it.
SPANS_SQL = """
WITH spans AS (SELECT * FROM read_parquet(?, file_row_number = true)),
     resources AS (SELECT resource_id, resource FROM spans WHERE resource IS NOT NULL)
SELECT s.* REPLACE (r.resource AS resource), coalesce(s.parent_span_id, p.span_id) AS parent_id
FROM spans s
LEFT JOIN spans p ON p.file_row_number = s.file_row_number - s.parent_row
JOIN resources r ON r.resource_id = s.resource_id
ORDER BY s.file_row_number
"""


def plain(value):
    """An attribute of the expected trace as the JSON text of a block has it."""
    if not value:
        return None
    (kind, inner), = value.items()
    if kind == "intValue":
        return int(inner)
    if kind == "doubleValue":
        return {"$double": inner} if isinstance(inner, str) else float(inner)
    if kind == "bytesValue":
        return {"$bytes": inner}
    if kind == "arrayValue":
        return [plain(item) for item in inner]
    if kind == "kvlistValue":
        return {key: plain(item) for key, item in inner.items()}
    return inner


def plains(attributes):
    return {key: plain(value) for key, value in attributes.items()}


def infinite(value):
    """A number that JSON lacks, as a column has it, in the form that the JSON text has for it."""
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return {"$double": "Infinity" if value > 0 else "-Infinity"}
    return value


def attributes_of(row, columns):
    """All attributes of a row: those with columns of their own, and the rest."""
    found = json.loads(row["attributes_rest"] or "{}")
    for column in columns:
        if column.startswith("span.") and row[column] is not None:
            key = column.removeprefix("span.")
            for suffix in TYPES:
                key = key.removesuffix(suffix)
            assert key not in found, f"{key} is in two places"
            found[key] = infinite(row[column])
    return found


def check(row, columns, parent_id, resource, span):
    """Compares one row with the span that was sent."""
    assert row["trace_id"].hex() == span["trace_id"]
    assert row["name"] == span["name"]
    assert "SPAN_KIND_" + KINDS[row["kind"]] == span["kind"]
    assert "STATUS_CODE_" + STATUS_CODES[row["status_code"]] == span["status_code"]
    assert (row["status_message"] or "") == span["status_message"]
    assert (row["trace_state"] or "") == span["trace_state"]
    assert row["start_unix_nanos"] == int(span["start"])
    assert row["start_unix_nanos"] + row["duration_nanos"] == int(span["end"])
    assert (parent_id or b"").hex() == span["parent_span_id"]
    assert attributes_of(row, columns) == plains(span["attributes"]), span["name"]
    events = [
        {
            "name": event["name"],
            "time": str(event["time_unix_nanos"]),
            "attributes": json.loads(event["attributes"] or "{}"),
        }
        for event in row["events"] or []
    ]
    assert events == [{**event, "attributes": plains(event["attributes"])} for event in span["events"]]
    links = [
        {
            "trace_id": link["trace_id"].hex(),
            "span_id": link["span_id"].hex(),
            "trace_state": link["trace_state"],
            "attributes": json.loads(link["attributes"] or "{}"),
        }
        for link in row["links"] or []
    ]
    assert links == [{**link, "attributes": plains(link["attributes"])} for link in span["links"]]
    assert json.loads(row["resource"])["attributes"] == resource


def check_columns(columns):
    """The frequent attributes have typed columns, the rare ones have none."""
    wanted = {"span.item.sku", "span.item.index:int", "span.item.price:double", "span.item.gift:bool"}
    assert wanted <= set(columns), columns
    assert "span.test.marker" not in columns, columns


def check_with_pyarrow(path, wanted, resource):
    table = pyarrow.parquet.read_table(path)
    rows = table.to_pylist()
    assert len(rows) == len(wanted), f"{len(rows)} rows"
    check_columns(table.column_names)
    texts = {row["resource_id"]: row["resource"] for row in rows if row["resource"] is not None}
    for index, row in enumerate(rows):
        parent_id = row["parent_span_id"]
        if parent_id is None and row["parent_row"] is not None:
            parent_id = rows[index - row["parent_row"]]["span_id"]
        row["resource"] = texts[row["resource_id"]]
        check(row, table.column_names, parent_id, resource, wanted[row["span_id"].hex()])
    print(f"pyarrow {pyarrow.__version__}: {len(rows)} spans, {len(table.column_names)} columns")


def check_with_duckdb(path, wanted, resource):
    answer = duckdb.sql(SPANS_SQL, params=[path])
    columns = answer.columns
    rows = [dict(zip(columns, row)) for row in answer.fetchall()]
    assert len(rows) == len(wanted), f"{len(rows)} rows"
    check_columns(columns)
    for row in rows:
        check(row, columns, row["parent_id"], resource, wanted[row["span_id"].hex()])
    print(f"DuckDB {duckdb.__version__}: {len(rows)} spans, {len(columns)} columns")


def run_documented(path, document, span_count):
    """Runs every SQL example of FORMAT.md on the block in place of the file it names."""
    text = Path(document).read_text()
    examples = re.findall(r"^```sql\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    for sql in examples:
        assert "'block.parquet'" in sql, f"an example that reads no 'block.parquet': {sql}"
        assert duckdb.sql(sql.replace("block.parquet", path)).fetchall(), f"no rows: {sql}"
    print(f"{document}: {len(examples)} SQL examples over {span_count} spans")


def main():
    path, expected, document = sys.argv[1], json.load(open(sys.argv[2])), sys.argv[3]
    wanted = {span["span_id"]: {**span, "trace_id": expected["trace_id"]} for span in expected["spans"]}
    resource = plains(expected["resource"])
    check_with_pyarrow(path, wanted, resource)
    check_with_duckdb(path, wanted, resource)
    run_documented(path, document, len(wanted))


if __name__ == "__main__":
    main()
