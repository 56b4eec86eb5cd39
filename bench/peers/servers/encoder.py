"""What all Python servers share: settings from the environment, and runs of rows that are padded to the longest one."""

import json
import os

import numpy as np
import onnxruntime

PORT = int(os.environ["PEER_PORT"])
SETTINGS = json.loads(os.environ["PEER_SETTINGS"])


class Encoder:
    def __init__(self):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = SETTINGS["threads"]
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(os.environ["PEER_MODEL"], options, providers=["CPUExecutionProvider"])

    def embed(self, rows):
        """One vector for each row of token ids."""
        shape = (len(rows), max(len(row) for row in rows))
        ids, mask = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        for index, row in enumerate(rows):
            ids[index, : len(row)] = row
            mask[index, : len(row)] = 1
        return self._session.run(["sentence_embedding"], {"input_ids": ids, "attention_mask": mask})[0]
