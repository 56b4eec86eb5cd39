"""LitServe: dynamic batches in worker processes, as https://lightning.ai/docs/litserve/features/batching has it."""

import litserve
from encoder import PORT, SETTINGS, Encoder
from starlette.responses import PlainTextResponse


class Api(litserve.LitAPI):
    def setup(self, device):
        self.encoder = Encoder()

    def decode_request(self, request):
        return request["ids"]

    def batch(self, inputs):
        return inputs

    def predict(self, x):
        return self.encoder.embed(x if self.max_batch_size > 1 else [x])

    def unbatch(self, output):
        return list(output)

    def encode_response(self, output):
        return {"embedding": output.ravel().tolist()}


class Limit:
    """Refuses requests beyond a number; LitServe has no setting for it, but takes middleware."""

    def __init__(self, app):
        self.app = app
        self.requests = 0

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http" or self.requests < SETTINGS["requestsMax"]:
            self.requests += 1
            try:
                await self.app(scope, receive, send)
            finally:
                self.requests -= 1
        else:
            await PlainTextResponse("too many requests", 503)(scope, receive, send)


if __name__ == "__main__":
    api = Api(max_batch_size=SETTINGS["rowsMax"], batch_timeout=SETTINGS["waitMs"] / 1000)
    timeout = SETTINGS["timeoutMs"] / 1000
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=SETTINGS["workers"], timeout=timeout, middlewares=[Limit])
    server.run(host="127.0.0.1", port=PORT, num_api_servers=1, generate_client_file=False, log_level="warning")
