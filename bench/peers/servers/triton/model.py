"""Triton's Python back end for the encoder: the rows of all requests of a call are one run."""

import os
import sys

# The back end's interpreter does not read it.
sys.path += os.environ["PYTHONPATH"].split(":")

import numpy as np
import triton_python_backend_utils as pb_utils
from encoder import Encoder


class TritonPythonModel:
    def initialize(self, args):
        self.encoder = Encoder()

    def execute(self, requests):
        rows = [pb_utils.get_input_tensor_by_name(request, "input_ids").as_numpy()[0] for request in requests]
        vectors = self.encoder.embed(rows)
        return [
            pb_utils.InferenceResponse([pb_utils.Tensor("sentence_embedding", np.ascontiguousarray(vector[None]))]) for vector in vectors
        ]
