"""grpcurl and grpc_health_probe."""
import asyncio
import base64
import json
import os
import pathlib
import shutil
import subprocess

import numpy as np

from doors import Missing
from shapes import X, Y

HERE = pathlib.Path(__file__).parent
SERVICE = 'inference.GRPCInferenceService'
BODY = {'model_name': 'no-batch', 'id': 'a', 'inputs': [
    {'name': 'x', 'datatype': 'FP32', 'shape': ['2', '3'], 'contents': {'fp32_contents': X.ravel().tolist()}},
    {'name': 'y', 'datatype': 'FP32', 'shape': ['3'], 'contents': {'fp32_contents': Y.tolist()}}]}


def program(name):
    found = shutil.which(name, path=os.pathsep.join([str(HERE / '.bin'), os.environ.get('GO_BIN', ''), os.environ['PATH']]))
    if found is None:
        raise Missing(f'{name} is not installed')
    return found


def ran(name, *arguments, code=0):
    done = subprocess.run([program(name), *arguments], capture_output=True, text=True, timeout=30)
    assert done.returncode == code, f'{done.returncode} {done.stdout[-300:]} {done.stderr[-300:]}'
    return done.stdout + done.stderr


def grpcurl_rows(way):
    if way.authority is None:
        secure = ['-plaintext']
    else:
        secure = ['-cacert', str(way.authority.cert), *(['-cert', str(way.pair[0]), '-key', str(way.pair[1])] if way.pair else [])]
    headers = [part for name, value in way.headers.items() for part in ('-H', f'{name}: {value}', '-reflect-header', f'{name}: {value}')]

    def call(*arguments, data=None, code=0):
        return ran('grpcurl', *secure, *headers, *(['-d', json.dumps(data)] if data is not None else []), way.grpc_address, *arguments, code=code)

    def listed():
        said = call('list')
        assert SERVICE in said and 'grpc.health.v1.Health' in said, said

    def described():
        said = call('describe', f'{SERVICE}.ModelInfer')
        assert 'rpc ModelInfer' in said, said
        assert 'raw_input_contents' in call('describe', 'inference.ModelInferRequest')

    def inferred():
        answer = json.loads(call(f'{SERVICE}/ModelInfer', data=BODY))
        assert answer['id'] == 'a' and np.array_equal(np.frombuffer(base64.b64decode(answer['rawOutputContents'][0]), np.float32).reshape(2, 3), X + Y), answer

    yield 'list', listed
    yield 'describe', described
    yield 'ServerLive', lambda: None if json.loads(call(f'{SERVICE}/ServerLive')) == {'live': True} else 1 / 0
    yield 'ModelMetadata', lambda: None if json.loads(call(f'{SERVICE}/ModelMetadata', data={'name': 'no-batch'}))['inputs'][0]['name'] == 'x' else 1 / 0
    yield 'ModelInfer, typed contents', inferred
    yield 'ModelInfer, unknown model: NOT_FOUND', lambda: None if 'NotFound' in call(f'{SERVICE}/ModelInfer', data={'model_name': 'none'}, code=69) else 1 / 0
    yield 'grpc.health.v1.Health/Check', lambda: None if json.loads(call('grpc.health.v1.Health/Check')) == {'status': 'SERVING'} else 1 / 0
    yield 'TraceSetting', lambda: call(f'{SERVICE}/TraceSetting', data={})


def probe_rows(way):
    secure = []
    if way.authority is not None:
        secure = ['-tls', f'-tls-ca-cert={way.authority.cert}', *([f'-tls-client-cert={way.pair[0]}', f'-tls-client-key={way.pair[1]}'] if way.pair else [])]
    headers = [f'-rpc-header={name}: {value}' for name, value in way.headers.items()]

    def probe(*more, code=0):
        return ran('grpc-health-probe', f'-addr={way.grpc_address}', *secure, *headers, *more, code=code)
    yield 'the node', probe
    yield 'a model', lambda: probe('-service=no-batch')
    yield 'no model: exit code 3', lambda: probe('-service=none', code=3)


async def rows(way):
    for client, table in (('grpcurl', grpcurl_rows(way)), ('grpc_health_probe', probe_rows(way))):
        for call, run in table:
            yield client, call, lambda run=run: asyncio.to_thread(run)
