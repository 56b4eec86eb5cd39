"""Mosec: a Rust server in front of worker processes that take dynamic batches (https://mosecorg.github.io/mosec)."""

import sys

from encoder import PORT, SETTINGS, Encoder
from mosec import Server, Worker


class EncoderWorker(Worker):
    def __init__(self):
        self.encoder = Encoder()

    def forward(self, data):
        rows = data if SETTINGS["rowsMax"] > 1 else [data]
        answers = [{"embedding": vector.tolist()} for vector in self.encoder.embed([row["ids"] for row in rows])]
        return answers if SETTINGS["rowsMax"] > 1 else answers[0]


if __name__ == "__main__":
    sys.argv += ["--address", "127.0.0.1", "--port", str(PORT), "--log-level", "warning"]
    sys.argv += ["--timeout", str(SETTINGS["timeoutMs"]), "--capacity", str(SETTINGS["requestsMax"])]
    server = Server()
    server.append_worker(
        EncoderWorker, num=SETTINGS["workers"], max_batch_size=SETTINGS["rowsMax"], max_wait_time=SETTINGS["waitMs"], route="/predict"
    )
    server.run()
