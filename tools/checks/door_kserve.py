"""Calls of KServe's clients."""
import httpx
import numpy as np

import grpc
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig

from shapes import X, Y


def request(binary, model='no-batch'):
    inputs = [InferInput(name, list(array.shape), 'FP32') for name, array in (('x', X), ('y', Y))]
    for tensor, array in zip(inputs, (X, Y)):
        tensor.set_data_from_numpy(array, binary_data=binary)
    return InferRequest(model_name=model, infer_inputs=inputs)


def is_sum(answer):
    assert np.array_equal(answer.outputs[0].as_numpy(), X + Y), answer.outputs[0].data


async def rows(way):
    headers, verify = way.headers, way.context() or True
    one, two = (InferenceRESTClient(RESTConfig(protocol=protocol, verify=verify, retries=0)) for protocol in ('v1', 'v2'))
    creds = None if way.authority is None else grpc.ssl_channel_credentials(*way.pems())
    metadata = list(headers.items()) or None
    by_grpc = InferenceGRPCClient(way.grpc_address, creds=creds, use_ssl=creds is not None)

    def true(call):
        async def run():
            assert (await call()) is True
        return run

    async def predicted():
        answer = await one.infer(way.url, {'instances': ['hello']}, 'classifier', headers)
        assert answer == way.asked('/v1/models/classifier:predict', {'instances': ['hello']})
        labels = way.asked('/v1/classify', {'model': 'classifier', 'input': ['hello']})['data'][0]['predictions']
        assert answer['predictions'][0] == labels, (answer, labels)

    async def inferred(binary):
        is_sum(await two.infer(way.url, request(binary), 'no-batch', dict(headers)))

    async def unknown():
        try:
            await two.infer(way.url, request(False), 'none', dict(headers))
        except httpx.HTTPStatusError as error:
            assert error.response.status_code == 404, error
            return
        raise AssertionError('answered')

    async def by_message(binary):
        is_sum(await by_grpc.infer(request(binary), headers=metadata))

    name = 'kserve.InferenceRESTClient'
    yield name, 'v1: infer', predicted
    yield name, 'v1: is_model_ready', true(lambda: one.is_model_ready(way.url, 'no-batch', headers))
    yield name, 'v1: is_server_live', true(lambda: one.is_server_live(way.url, headers))
    yield name, 'v1: explain', lambda: one.explain(way.url, 'classifier', {'instances': ['hello']}, headers)
    yield name, 'v2: infer, JSON', lambda: inferred(False)
    yield name, 'v2: infer, binary', lambda: inferred(True)
    yield name, 'v2: infer, unknown model: 404', unknown
    yield name, 'v2: is_model_ready', true(lambda: two.is_model_ready(way.url, 'no-batch', headers))
    yield name, 'v2: is_server_live', true(lambda: two.is_server_live(way.url, headers))
    yield name, 'v2: is_server_ready', true(lambda: two.is_server_ready(way.url, headers))
    name = 'kserve.InferenceGRPCClient'
    yield name, 'infer, raw contents', lambda: by_message(True)
    yield name, 'infer, typed contents', lambda: by_message(False)
    yield name, 'is_model_ready', true(lambda: by_grpc.is_model_ready('no-batch', headers=metadata))
    yield name, 'is_server_live', true(lambda: by_grpc.is_server_live(headers=metadata))
    yield name, 'is_server_ready', true(lambda: by_grpc.is_server_ready(headers=metadata))
    await by_grpc.close()
    for client in (one, two):
        await client.close()
