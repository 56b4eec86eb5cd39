"""What a script does: DuckDB reads Parquet, ONNX Runtime runs batches of 32 texts, DuckDB writes Parquet.

Usage: baseline.py <model folder> <input.parquet> <output.parquet>; needs duckdb, numpy, onnxruntime, pyarrow, tokenizers.
Prints the seconds that it took, and those of CPU time, without loading the model.
"""

import sys
import time

import duckdb
import numpy as np
import onnxruntime
import pyarrow
from tokenizers import Tokenizer

BATCH_ROWS = 32
GROUP_ROWS = 122_880


def embed(session, tokenizer, texts):
    encodings = tokenizer.encode_batch(texts)
    ids = np.array([encoding.ids for encoding in encodings], dtype=np.int64)
    mask = np.array([encoding.attention_mask for encoding in encodings], dtype=np.int64)
    feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    names = {tensor.name for tensor in session.get_inputs()}
    return session.run(["sentence_embedding"], {name: feeds[name] for name in names})[0]


def groups(connection, session, tokenizer, source):
    reader = connection.execute(f"SELECT id, text FROM '{source}'").to_arrow_reader(GROUP_ROWS)
    for batch in reader:
        texts = batch.column("text").to_pylist()
        vectors = [embed(session, tokenizer, texts[at : at + BATCH_ROWS]) for at in range(0, len(texts), BATCH_ROWS)]
        values = np.concatenate(vectors)
        flat = pyarrow.array(values.reshape(-1).astype(np.float32))
        offsets = pyarrow.array(np.arange(0, flat.__len__() + 1, values.shape[1], dtype=np.int32))
        yield pyarrow.record_batch([batch.column("id"), pyarrow.ListArray.from_arrays(offsets, flat)], names=["id", "embedding"])


def main(folder, source, target):
    tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
    tokenizer.enable_padding()
    session = onnxruntime.InferenceSession(f"{folder}/model.onnx", providers=["CPUExecutionProvider"])
    connection = duckdb.connect()
    start, cpu_start = time.perf_counter(), time.process_time()
    schema = pyarrow.schema([("id", pyarrow.int64()), ("embedding", pyarrow.list_(pyarrow.float32()))])
    reader = pyarrow.RecordBatchReader.from_batches(schema, groups(duckdb.connect(), session, tokenizer, source))
    connection.register("rows", reader)
    connection.execute(f"COPY (SELECT * FROM rows) TO '{target}' (FORMAT parquet, COMPRESSION zstd)")
    print(time.perf_counter() - start, time.process_time() - cpu_start)


main(*sys.argv[1:])
