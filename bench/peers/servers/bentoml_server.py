"""BentoML: adaptive batches in worker processes (https://docs.bentoml.com/en/latest/get-started/adaptive-batching.html)."""

import bentoml
from encoder import SETTINGS, Encoder


BATCHES = {
    "batchable": True,
    "batch_dim": 0,
    "max_batch_size": SETTINGS["rowsMax"],
    "max_latency_ms": SETTINGS["timeoutMs"],
}


@bentoml.service(
    workers=SETTINGS["workers"],
    traffic={"timeout": SETTINGS["timeoutMs"] / 1000, "max_concurrency": SETTINGS["requestsMax"]},
    logging={"access": {"enabled": False}},
)
class Service:
    def __init__(self):
        self.encoder = Encoder()

    @bentoml.api(route="/predict", **(BATCHES if SETTINGS["rowsMax"] > 1 else {}))
    def embed(self, rows: list[list[int]]) -> list[list[float]]:
        return self.encoder.embed(rows).tolist()
