"""Calls of tritonclient, by HTTP and by gRPC."""
import asyncio
import queue

import grpc
import numpy as np
import onnxruntime as ort
import tritonclient.grpc as client
import tritonclient.grpc.aio as aio

import triton_http
from shapes import IDS, X, Y




def inputs(**arrays):
    made = []
    for name, array in arrays.items():
        datatype = {'float32': 'FP32', 'int64': 'INT64', 'object': 'BYTES'}[array.dtype.name]
        made.append(client.InferInput(name, list(array.shape), datatype))
        made[-1].set_data_from_numpy(array)
    return made


def is_sum(result, scale=1):
    assert np.array_equal(result.as_numpy('sum'), X * scale + Y), result.get_response()


def calls(door, way, bare, is_async):
    async def call(name, *args, **more):
        made = getattr(door, name)(*args, **more)
        return await made if is_async else made

    def checked(name, *args, check, **more):
        async def run():
            value = await call(name, *args, **more)
            assert check(value), value
        return run

    async def plain():
        is_sum(await call('infer', 'no-batch', inputs(x=X, y=Y), request_id='a'))

    async def logits():
        answer = await call('infer', 'classifier', inputs(input_ids=IDS, attention_mask=np.ones_like(IDS)), model_version='1')
        assert np.allclose(answer.as_numpy('logits'), bare.logits(IDS), atol=1e-5)

    async def packed(algorithm):
        is_sum(await call('infer', 'no-batch', inputs(x=X, y=Y), compression_algorithm=algorithm))

    async def options():
        is_sum(await call('infer', 'no-batch', inputs(x=X, y=Y), priority=1, timeout=5_000_000, client_timeout=20, parameters={'mine': 'x'}))

    async def chosen():
        is_sum(await call('infer', 'no-batch', inputs(x=X, y=Y), outputs=[client.InferRequestedOutput('sum')]))

    async def classes():
        answer = await call('infer', 'classifier', inputs(input_ids=IDS, attention_mask=np.ones_like(IDS)), outputs=[client.InferRequestedOutput('logits', class_count=2)])
        told = [[int(text.split(b':')[1]) for text in row] for row in answer.as_numpy('logits')]
        assert told == np.argsort(-bare.logits(IDS), axis=1, kind='stable')[:, :2].tolist(), told

    async def refused(status, model, **arrays):
        try:
            await call('infer', model, inputs(**arrays))
        except client.InferenceServerException as error:
            assert error.status() == f'StatusCode.{status}', error
            return
        raise AssertionError('answered')

    async def shared():
        one, other = inputs(x=X, y=Y)
        one.set_shared_memory('r', 24)
        await call('infer', 'no-batch', [one, other])

    ready = lambda value: value is True
    return {
        'is_server_live': checked('is_server_live', check=ready),
        'is_server_ready': checked('is_server_ready', check=ready),
        'is_model_ready': checked('is_model_ready', 'no-batch', check=ready),
        'is_model_ready, of a version': checked('is_model_ready', 'no-batch', '1', check=ready),
        'is_model_ready, of no model': checked('is_model_ready', 'none', check=lambda value: value is False),
        'get_server_metadata': checked('get_server_metadata', check=lambda value: value.name == 'interleave' and 'statistics' in value.extensions),
        'get_model_metadata': checked('get_model_metadata', 'no-batch', check=lambda value: [(t.name, t.datatype) for t in value.inputs] == [('x', 'FP32'), ('y', 'FP32')]),
        'get_model_metadata, as JSON': checked('get_model_metadata', 'classifier', as_json=True, check=lambda value: value['outputs'][0]['shape'][0] == '-1'),
        'get_model_config': checked('get_model_config', 'classifier', check=lambda value: value.config.max_batch_size > 0 and list(value.config.output[0].dims) == [3]),
        'get_model_repository_index': checked('get_model_repository_index', check=lambda value: ('no-batch', 'READY') in [(m.name, m.state) for m in value.models]),
        'infer': plain, 'infer, of a version, against ONNX Runtime': logits,
        'infer, gzip': lambda: packed('gzip'), 'infer, deflate': lambda: packed('deflate'),
        'infer, priority, timeout, client_timeout, parameters': options, 'infer, outputs': chosen, 'infer, class_count': classes,
        'infer, sequence_id': lambda: call('infer', 'no-batch', inputs(x=X, y=Y), sequence_id=7, sequence_start=True),
        'infer, unknown model: NOT_FOUND': lambda: refused('NOT_FOUND', 'none', x=X),
        'infer, wrong input: INVALID_ARGUMENT': lambda: refused('INVALID_ARGUMENT', 'no-batch', x=X),
        'infer, shared memory': shared,
        'get_inference_statistics': checked('get_inference_statistics', 'no-batch', '1', check=lambda value: value.model_stats[0].inference_stats.success.count > 0),
        'get_inference_statistics, of all': checked('get_inference_statistics', check=lambda value: len(value.model_stats) > 1),
        **{name: (lambda name=name, args=args: call(name, *args)) for name, args in {
            'load_model': ['no-batch'], 'unload_model': ['no-batch'], 'get_trace_settings': [], 'update_trace_settings': ['no-batch', {'trace_level': ['OFF']}],
            'get_log_settings': [], 'update_log_settings': [{'log_info': True}], 'get_system_shared_memory_status': [],
            'register_system_shared_memory': ['r', '/r', 8], 'unregister_system_shared_memory': ['r'], 'get_cuda_shared_memory_status': [],
            'register_cuda_shared_memory': ['r', b'eA==', 0, 8], 'unregister_cuda_shared_memory': ['r']}.items()},
    }


def thread_calls(door):
    async def later():
        answers = queue.Queue()
        door.async_infer('no-batch', inputs(x=X, y=Y), lambda result, error: answers.put((result, error)))
        result, error = answers.get(timeout=20)
        assert error is None, error
        is_sum(result)

    async def streamed():
        answers = queue.Queue()
        door.start_stream(lambda result, error: answers.put((result, error)))
        try:
            for i in range(50):
                door.async_stream_infer('no-batch' if i != 7 else 'none', inputs(x=X * np.float32(i), y=Y), request_id=str(i))
            got = [answers.get(timeout=20) for _ in range(50)]
        finally:
            door.stop_stream()
        errors = [error for _, error in got if error is not None]
        assert len(errors) == 1, errors
        results = {int(result.get_response().id): result for result, error in got if error is None}
        assert sorted(results) == [i for i in range(50) if i != 7]
        for i, result in results.items():
            is_sum(result, i)
    return {'async_infer': later, 'start_stream, async_stream_infer (50, one wrong), stop_stream': streamed}


def task_calls(door):
    async def streamed():
        async def asked():
            for i in range(50):
                yield {'model_name': 'no-batch', 'inputs': inputs(x=X * np.float32(i), y=Y), 'request_id': str(i)}
        seen = []
        answers = door.stream_infer(asked())
        async for result, error in answers:
            assert error is None, error
            is_sum(result, int(result.get_response().id))
            seen.append(int(result.get_response().id))
            if len(seen) == 50:
                break
        assert sorted(seen) == list(range(50)), seen

    async def many():
        for result in await asyncio.gather(*(door.infer('no-batch', inputs(x=X, y=Y)) for _ in range(64))):
            is_sum(result)
    return {'stream_infer (50)': streamed, 'infer, 64 at once': many}


class WithHeaders:
    """A client of Triton whose calls carry these headers."""
    PLAIN = ('close', 'generate_request_body', 'parse_response_body', 'stop_stream', 'async_stream_infer')

    def __init__(self, client, headers):
        self.client, self.headers = client, headers

    def __getattr__(self, name):
        call = getattr(self.client, name)
        if name in self.PLAIN or not self.headers:
            return call
        # A copy: the clients write into what they are given.
        return lambda *args, **more: call(*args, **{'headers': dict(self.headers), **more})


class Bare:
    """What bare ONNX Runtime gives for the model `classifier`."""

    def __init__(self, models):
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = ort.InferenceSession(str(models / 'classifier/model.onnx'), options, providers=['CPUExecutionProvider'])

    def logits(self, ids):
        return self.session.run(['logits'], {'input_ids': ids, 'attention_mask': np.ones_like(ids)})[0]


async def triton_http_rows(way):
    options = {} if way.authority is None else {'ssl': True, 'ssl_context_factory': way.context}
    threads = triton_http.http.InferenceServerClient(way.address, concurrency=2, **options)
    tasks = triton_http.aio.InferenceServerClient(way.address, **({} if way.authority is None else {'ssl': True, 'ssl_context': way.context()}))
    for name, client, is_async in (('tritonclient.http', threads, False), ('tritonclient.http.aio', tasks, True)):
        for call, run in triton_http.calls(WithHeaders(client, way.headers), is_async).items():
            yield name, call, run
    await tasks.close()
    threads.close()


async def rows(way):
    bare = Bare(way.models)
    async for row in triton_http_rows(way):
        yield row
    for name, module in (('tritonclient.grpc', client), ('tritonclient.grpc.aio', aio)):
        options = {}
        if way.authority is not None:
            credentials = grpc.ssl_channel_credentials(*way.pems())
            options = {'ssl': True, 'creds': credentials}
        raw = module.InferenceServerClient(way.grpc_address, **options)
        door = WithHeaders(raw, way.headers)
        for call, run in {**calls(door, way, bare, module is aio), **(task_calls(door) if module is aio else thread_calls(door))}.items():
            yield name, call, run
        await raw.close() if module is aio else raw.close()
