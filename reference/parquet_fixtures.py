"""Writes `packages/datasets/src/__fixtures__/parquet/`: Parquet files made by pyarrow, and what is in them.

Run: `python3 reference/parquet_fixtures.py`, with pyarrow (tried with 26.0.1) installed.

  rows.jsonl         the rows of the files below: texts, numbers, nothing, lists, and a map of lists
  <codec>.parquet    these rows by each of pyarrow's codecs and, of plain numbers, by each version of data pages, in row
                     groups of a third of them
  <set>.parquet      rows of the fixtures beside the folder in the columns and types that the set has on the hub, where
                     `datasets` of Hugging Face wrote it: openai/gsm8k, Rowan/hellaswag, allenai/ai2_arc, cais/mmlu
"""

import json
import os

import pyarrow as pa
import pyarrow.parquet as pq

FIXTURES = os.path.join(os.path.dirname(__file__), "..", "packages", "datasets", "src", "__fixtures__")
FOLDER = os.path.join(FIXTURES, "parquet")

ROWS = [
    {
        "text": None if i % 7 == 6 else f"Zoë has {i} apples and {i % 3} plums. " * (1 + i % 2),
        "n": i - 9,
        "real": None if i % 5 == 4 else i / 8,
        "list": [f"{i}.", "b"][: i % 3],
        "map": {"text": ["yes", f"no {i}"], "label": ["A", "B"]},
    }
    for i in range(24)
]
STRINGS = pa.list_(pa.string())
SCHEMA = pa.schema(
    {
        "text": pa.string(),
        "n": pa.int64(),
        "real": pa.float64(),
        "list": STRINGS,
        "map": pa.struct({"text": STRINGS, "label": STRINGS}),
    }
)
CODECS = ["none", "snappy", "gzip", "brotli", "lz4", "zstd"]


def rows_of(name):
    with open(os.path.join(FIXTURES, name), encoding="utf8") as file:
        return [json.loads(line) for line in file]


def write(name, rows, schema, **options):
    pq.write_table(pa.Table.from_pylist(rows, schema), os.path.join(FOLDER, f"{name}.parquet"), **options)


def main():
    os.makedirs(FOLDER, exist_ok=True)
    with open(os.path.join(FOLDER, "rows.jsonl"), "w", encoding="utf8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)
    for codec in CODECS:
        for version in ("1.0", "2.0"):
            write(
                f"{codec}-{version[0]}",
                ROWS,
                SCHEMA,
                compression=codec,
                data_page_version=version,
                row_group_size=8,
                use_dictionary=["text"],
                write_statistics=False,
                store_schema=False,
            )

    write("gsm8k", rows_of("gsm8k.jsonl"), pa.schema({"question": pa.string(), "answer": pa.string()}))
    hellaswag = [
        {
            "ind": row["row"],
            "activity_label": row["activity_label"],
            "ctx_a": row["ctx"],
            "ctx_b": "",
            "ctx": row["ctx"],
            "endings": row["endings"],
            "source_id": "activitynet~v_x",
            "split": "val",
            "split_type": "indomain",
            "label": str(row["label"]),
        }
        for row in rows_of("hellaswag.jsonl")
    ]
    texts = ["activity_label", "ctx_a", "ctx_b", "ctx", "endings", "source_id", "split", "split_type", "label"]
    columns = {name: STRINGS if name == "endings" else pa.string() for name in texts}
    write("hellaswag", hellaswag, pa.schema({"ind": pa.int32(), **columns}))
    arc = [
        {
            "id": f"Mercury_{i}",
            "question": f"Question {i}?",
            "choices": {"text": ["one", "two", "three", "four"], "label": ["A", "B", "C", "D"]},
            "answerKey": "ABCD"[i % 4],
        }
        for i in range(3)
    ]
    choices = pa.struct({"text": STRINGS, "label": STRINGS})
    write(
        "arc",
        arc,
        pa.schema({"id": pa.string(), "question": pa.string(), "choices": choices, "answerKey": pa.string()}),
    )
    mmlu = [
        {
            "question": row["question"],
            "subject": row["subject"],
            "choices": [row[f"choice{i}"] for i in range(4)],
            "answer": row["answer"],
        }
        for row in rows_of("mmlu.jsonl")
    ]
    write(
        "mmlu",
        mmlu,
        pa.schema({"question": pa.string(), "subject": pa.string(), "choices": STRINGS, "answer": pa.int64()}),
    )


if __name__ == "__main__":
    main()
