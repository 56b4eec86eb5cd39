"""Ray Serve: replicas that each form dynamic batches (https://docs.ray.io/en/latest/serve/advanced-guides/dyn-req-batch.html)."""

import ray
from encoder import PORT, SETTINGS, Encoder
from ray import serve
from starlette.requests import Request


@serve.deployment(
    num_replicas=SETTINGS["workers"],
    max_queued_requests=SETTINGS["requestsMax"],
    max_ongoing_requests=16,
    ray_actor_options={"num_cpus": 0.5},
)
class Service:
    def __init__(self):
        self.encoder = Encoder()

    @serve.batch(max_batch_size=SETTINGS["rowsMax"], batch_wait_timeout_s=SETTINGS["waitMs"] / 1000)
    async def embed(self, rows):
        return [vector.tolist() for vector in self.encoder.embed(rows)]

    async def __call__(self, request: Request):
        return {"embedding": await self.embed((await request.json())["ids"])}


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": PORT, "request_timeout_s": SETTINGS["timeoutMs"] / 1000})
    serve.run(Service.bind(), route_prefix="/predict", blocking=True)
