"""Requests that are almost right: each is made of a valid one by changes that a seed decides."""
import gzip
import json
import struct
import zlib

import numpy as np

from shapes import IDS, X, Y
from tensors import to_binary

TEXTS = ['hello world', 'the quick brown fox', 'a b c']
LINE = '{"custom_id": "%d", "method": "POST", "url": "/v1/embeddings", "body": {"model": "encoder-tiny", "input": "hello"}}'


class Raw(str):
    """Written into JSON as it is."""


def infer_body():
    return {'id': 'a', 'parameters': {'timeout': 5_000_000, 'priority': 1}, 'inputs': [
        {'name': 'x', 'shape': [2, 3], 'datatype': 'FP32', 'data': [[0, 1, 2], [3, 4, 5]]}, {'name': 'y', 'shape': [3], 'datatype': 'FP32', 'data': [10, 20, 30]}],
        'outputs': [{'name': 'sum', 'parameters': {'binary_data': False}}]}


def types_body():
    data = {'BOOL': True, 'BYTES': 'a', 'FP16': 1.5, 'FP32': 1.5, 'FP64': 1.5}
    names = ['BOOL', 'UINT8', 'UINT16', 'UINT32', 'UINT64', 'INT8', 'INT16', 'INT32', 'INT64', 'FP16', 'FP32', 'FP64', 'BYTES']
    return {'inputs': [{'name': f'in_{n.lower()}', 'shape': [1, 3], 'datatype': n, 'data': [data.get(n, 1)] * 3} for n in names]}


# Method, path, body: an object is JSON.
REQUESTS = [
    ('POST', '/v1/embeddings', {'model': 'encoder-tiny', 'input': TEXTS, 'encoding_format': 'base64', 'dimensions': 8, 'user': 'u', 'truncate': True}),
    ('POST', '/v1/embeddings', {'model': 'encoder-tiny', 'input': 'hello', 'service_tier': 'priority', 'truncate_prompt_tokens': 4}),
    ('POST', '/v1/rerank', {'model': 'reranker', 'query': 'hello', 'documents': ['a', {'text': 'b'}], 'top_n': 1, 'return_documents': True}),
    ('POST', '/v1/rerank', {'model': 'reranker', 'query': 'hello', 'texts': ['a', 'b'], 'raw_scores': True, 'return_text': True}),
    ('POST', '/v1/classify', {'model': 'classifier', 'input': ['a', {'text': 'b', 'text_pair': 'c'}], 'top_k': 2}),
    ('POST', '/v1/tokenize', {'model': 'encoder-tiny', 'prompt': 'hello world', 'return_token_strs': True, 'return_offsets': True}),
    ('POST', '/v1/detokenize', {'model': 'encoder-tiny', 'tokens': [[2, 9, 3]], 'skip_special_tokens': True}),
    ('POST', '/v1/models/encoder-tiny:predict', {'instances': ['a', 'b'], 'parameters': {'truncate': True}}),
    ('POST', '/v1/models/classifier/versions/1:predict', {'instances': [{'text': 'a', 'text_pair': 'b'}], 'parameters': {'top_k': 1}}),
    ('POST', '/v1/models/types:predict', {'instances': [{i['name']: i['data'] for i in types_body()['inputs']}]}),
    ('POST', '/v2/models/no-batch/infer', infer_body()),
    ('POST', '/v2/models/no-batch/versions/1/infer', infer_body()),
    ('POST', '/v2/models/types/infer', types_body()),
    ('POST', '/v2/models/strings/infer', {'inputs': [{'name': 'text', 'shape': [2], 'datatype': 'BYTES', 'data': ['yes', 'no']}]}),
    ('POST', '/v2/models/classifier/infer', {'inputs': [{'name': n, 'shape': [1, 3], 'datatype': 'INT64', 'data': d} for n, d in
                                                        (('input_ids', [2, 9, 3]), ('attention_mask', [1, 1, 1]))],
                                             'outputs': [{'name': 'logits', 'parameters': {'classification': 2}}]}),
    ('POST', '/v2/models/no-batch/infer', {'x': X, 'y': Y}),
    ('POST', '/v2/models/classifier/infer', {'input_ids': IDS, 'attention_mask': np.ones_like(IDS)}),
    ('POST', '/v2/models/strings/infer', {'text': np.array(['yes', 'no'], dtype=object)}),
    ('POST', '/v2/repository/index', {'ready': True}),
    ('POST', '/v2/systemsharedmemory/region/r/register', {'key': '/r', 'offset': 0, 'byte_size': 64}),
    ('POST', '/v2/repository/models/no-batch/load', {'parameters': {'config': '{}'}}),
    ('POST', '/v1/files?purpose=batch&filename=rows.jsonl', '\n'.join(LINE % i for i in range(3)).encode()),
    ('POST', '/v1/batches', {'input_file_id': 'file-0', 'endpoint': '/v1/embeddings', 'completion_window': '24h', 'metadata': {'a': 'b'}}),
    ('GET', '/v1/files?limit=2&order=asc&after=file-0', b''),
    ('GET', '/v1/batches?limit=2&after=batch_0', b''),
    ('POST', '/v1/batches/batch_0/cancel', b''),
    ('DELETE', '/v1/files/file-0', b''),
    ('GET', '/v1/files/file-0/content', b''),
    ('GET', '/v1/models/encoder-tiny', b''),
    ('GET', '/v2/models/types/versions/1', b''),
    ('GET', '/v2/models/types/config', b''),
    ('GET', '/v2/models/types/stats', b''),
    ('GET', '/v2/health/ready', b''),
    ('POST', '/login', b'key=wrong'),
]

STRANGE = ['', ' ', '\0', 'a' * 20_000, '\ud800', 'é' * 500, '\u202e\ufeff', '😀' * 200, '../../etc/passwd', '__proto__', 'constructor', '%00', "'; --", '${7*7}',
           'NaN', '-1', 'null', 'FP32', 'BYTES', 'encoder-tiny', 'x', '\r\n\r\n', 'toString', 'valueOf']
NUMBERS = [Raw(t) for t in ('0', '-0', '-1', '1e400', '-1e400', '1e308', '5e-324', 'NaN', 'Infinity', '-Infinity', '01', '.5', '1.', '+1', '0x10', '1e', '9' * 400, '1' * 1099,
                            '9007199254740993', '18446744073709551616', '9223372036854775808', '-9223372036854775809', '4294967296', '2147483648', '0.99999999999999999999',
                            '1.5', '1e3', '65505', '3.5e38', '1e-50', '256', '-129')]


def nested(rng):
    depth = rng.choice([5, 30, 63, 64, 65, 200, 5000])
    return Raw('[' * depth + ']' * depth) if rng.random() < .5 else Raw('{"a":' * depth + '1' + '}' * depth)


def strange(rng, value):
    """A value in place of another one."""
    choice = rng.randrange(12)
    if choice < 4:
        return rng.choice(STRANGE)
    if choice < 8:
        return rng.choice(NUMBERS)
    if choice == 8:
        return nested(rng)
    if choice == 9:
        return [value] * rng.choice([0, 2, 3, 65, 2049])
    return rng.choice([None, True, False, [], {}, [None], {'a': 1}, {'text': 1}, [[]], [[[1]]], value, [value], {'data': value}, str(value)])


def paths_of(value, path=()):
    yield path
    if isinstance(value, dict):
        for key, child in value.items():
            yield from paths_of(child, (*path, key))
    elif isinstance(value, list):
        for i, child in enumerate(value):
            yield from paths_of(child, (*path, i))


def mutate_json(rng, body):
    """One to four changes of the tree."""
    body = json.loads(json.dumps(body))
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        path = rng.choice(list(paths_of(body)))
        if not path:
            body = strange(rng, body) if rng.random() < .1 else body
            continue
        parent = body
        for step in path[:-1]:
            parent = parent[step]
        key, kind = path[-1], rng.randrange(8)
        if kind < 4:
            parent[key] = strange(rng, parent[key])
        elif kind == 4:
            del parent[key]
        elif isinstance(parent, list):
            parent.insert(rng.randrange(len(parent) + 1), strange(rng, parent[key]))
        elif kind == 5:
            parent[rng.choice([*STRANGE, 'text_pair', 'parameters', 'binary_data_size', 'shared_memory_region', 'classification', 'sequence_id'])] = strange(rng, parent[key])
        elif kind == 6:
            parent[str(key) + rng.choice(['', ' ', 's', '\0'])] = parent.pop(key)
        else:
            parent[Twice(key)] = strange(rng, parent[key])
        if not isinstance(body, (dict, list)):
            break
    return body


class Twice(str):
    """A key that is not equal to itself, so that an object has it twice."""
    __hash__ = str.__hash__

    def __eq__(self, other):
        return self is other


def written(value):
    """JSON with what JSON does not allow."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, dict):
        return '{' + ','.join(f'{json.dumps(str(key))}:{written(child)}' for key, child in value.items()) + '}'
    if isinstance(value, list):
        return '[' + ','.join(map(written, value)) + ']'
    return json.dumps(value)


def mutate_bytes(rng, raw):
    raw = bytearray(raw)
    for _ in range(rng.choice([1, 1, 2, 8])):
        at, kind = rng.randrange(len(raw) + 1), rng.randrange(7)
        if kind == 0:
            del raw[at:]
        elif kind == 1:
            raw[at:at] = rng.randbytes(rng.choice([1, 4, 64]))
        elif kind == 2 and at < len(raw):
            raw[at] ^= 1 << rng.randrange(8)
        elif kind == 3:
            del raw[at:at + rng.choice([1, 3, 40])]
        elif kind == 4:
            raw[at:at] = raw[at:at + 40]
        elif kind == 5:
            raw[at:at] = rng.choice([b'\xef\xbb\xbf', b'\xff\xfe', b'\0', b'\xc0\xaf', b'\xed\xa0\x80', b'"', b'\\u', b'\\ud800', b'{', b']', b','])
        else:
            raw.extend(rng.randbytes(rng.choice([1, 3, 1000])))
    return bytes(raw)


def binary_request(rng, arrays):
    body, head = to_binary(arrays)
    headers = {'content-type': 'application/octet-stream'}
    if rng.random() < .6:
        changed = written(mutate_json(rng, json.loads(body[:head]))).encode()
        body, head = changed + body[head:], len(changed)
    if rng.random() < .4:
        body = mutate_bytes(rng, body)
    if rng.random() < .3:
        head = rng.choice([0, -1, 1, head - 1, head + 1, len(body), len(body) + 1, 2**31, 2**53, '1e3', '', ' 7', f'{head}, {head}', 'x', '0x10'])
    return body, headers | {'inference-header-content-length': str(head)}


def packed(rng, body):
    """Content encodings that are true, false, or bombs."""
    kind = rng.randrange(7)
    if kind == 0:
        return gzip.compress(body), 'gzip'
    if kind == 1:
        return zlib.compress(body), 'deflate'
    if kind == 2:
        return body, rng.choice(['gzip', 'deflate', 'br', 'zstd', 'identity', 'gzip, gzip', '', 'x' * 100])
    if kind == 3:
        return gzip.compress(b'[' + b' ' * rng.choice([1_000_000, 30_000_000]) + b']', 9), 'gzip'
    if kind == 4:
        return mutate_bytes(rng, gzip.compress(body)), 'gzip'
    if kind == 5:
        return gzip.compress(body) + gzip.compress(body), 'gzip'
    return gzip.compress(body)[:-rng.randrange(1, 9)], 'gzip'


HEADERS = {
    'content-type': ['text/plain', 'application/octet-stream', 'multipart/form-data; boundary=', 'multipart/form-data; boundary=x', 'application/json; charset=utf-16', '', ';', 'a' * 5000],
    'x-interleave-timeout-ms': ['0', '-1', '1', '1e3', '3600001', 'x', '', '5', '99999999999999999999'],
    'x-interleave-priority': ['0', '256', '-1', 'x', '1.5', '255'],
    'x-request-id': ['', 'a' * 129, '\xff', 'ok'],
    'host': ['', 'evil.example', 'localhost:99999', '127.0.0.1, evil', '[::1', 'localhost@evil'],
    'origin': ['https://evil.example', 'null', 'http://localhost', ''],
    'authorization': ['Bearer', 'Bearer ' + 'x' * 6000, 'Basic eDp5', 'Bearer a.b.c', 'bearer \xff'],
    'x-api-key': ['', 'x', 'ilk_' + 'A' * 43],
    'cookie': ['interleave=x', '=' * 500, 'a' * 7000],
    'accept': ['', 'text/html', '*/*;q=nan'],
    'accept-encoding': ['gzip', 'deflate', 'br', 'gzip;q=0', 'x' * 3000],
    'range': ['bytes=0-', 'bytes=-1', 'bytes=9-1', 'bytes=0-0,1-1', 'x'],
    'expect': ['100-continue', 'x'],
    'content-encoding': ['identity', 'gzip', 'br'],
    'x-forwarded-for': ['1.2.3.4', 'x' * 4000],
    'x-interleave-degrade': ['never', 'x'],
    'upgrade': ['h2c', 'websocket'],
    'x' * 300: ['y' * 15_000],
}


def mutate_path(rng, path):
    kind = rng.randrange(8)
    at = rng.randrange(len(path) + 1)
    if kind == 0:
        return path[:at] + rng.choice(['%00', '%2F', '%2e%2e/', '/../', '//', '%', '%zz', '%ff', '?', '#', ';', '\\', '%C0%AF', ':']) + path[at:]
    if kind == 1:
        return path + rng.choice(['/', '/versions/0', '/versions/99999999999999999999', '?a=' + 'b' * 3000, '?limit=-1', '?limit=1e9', '/stats', '/config', '/ready', ':predict'])
    if kind == 2:
        return path + 'a' * rng.choice([10, 3000, 20_000])
    if kind == 3:
        return path.replace(rng.choice(['v1', 'v2', 'models', 'encoder-tiny', 'types']), rng.choice(['', 'V1', 'none', '__proto__', 'constructor', '..', 'org/name', 'a' * 300]))
    return path


def http_request(rng):
    """Method, path, headers, body and whether the length that is announced is the body's."""
    method, path, body = rng.choice(REQUESTS)
    headers = {'content-type': 'application/json'}
    if isinstance(body, dict) and isinstance(next(iter(body.values())), np.ndarray):
        body, headers = binary_request(rng, body)
    elif isinstance(body, dict):
        body = written(mutate_json(rng, body) if rng.random() < .85 else body).encode('utf-8', 'surrogatepass')
        body = mutate_bytes(rng, body) if rng.random() < .2 else body
    else:
        headers = {'content-type': 'application/x-ndjson'} if path.startswith('/v1/files?p') else {'content-type': 'application/x-www-form-urlencoded'}
        body = mutate_bytes(rng, body) if body and rng.random() < .8 else body
    if rng.random() < .06:
        body, headers['content-encoding'] = packed(rng, body)
    if rng.random() < .15:
        name = rng.choice(list(HEADERS))
        headers[name] = rng.choice(HEADERS[name])
    if rng.random() < .12:
        path = mutate_path(rng, path)
    if rng.random() < .05:
        method = rng.choice(['GET', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'HEAD', 'TRACE', 'post', 'CONNECT', 'X' * 40])
    return method, path, headers, body


def head_of(rng, method, path, headers, body):
    """The bytes of the head, and whether they tell the truth about the body."""
    lines, honest = [f'{method} {path} HTTP/1.1'], True
    fields = {'host': '127.0.0.1', **headers}
    length = len(body)
    if rng.random() < .03:
        honest = False
        kind = rng.randrange(6)
        if kind == 0:
            fields['content-length'] = rng.choice(['-1', 'x', '1e3', '99999999999999999999', f'{length}, {length + 1}', '+1', ''])
        elif kind == 1:
            fields['content-length'] = str(rng.choice([length + 10, max(0, length - 10), 10**9, 10**12]))
        elif kind == 2:
            fields |= {'content-length': str(length), 'transfer-encoding': 'chunked'}
        elif kind == 3:
            fields['transfer-encoding'] = rng.choice(['chunked', 'gzip, chunked', 'chunked, chunked', 'x'])
        elif kind == 4:
            lines[0] = rng.choice([f'{method} {path}', f'{method}  {path} HTTP/1.1', f'{method} {path} HTTP/2.0', f'{method} {path} HTTP/1.0', '\0', 'PRI * HTTP/2.0'])
            fields['content-length'] = str(length)
        else:
            lines += [f'a{i}: {"b" * 200}' for i in range(rng.choice([10, 300, 3000]))]
            fields['content-length'] = str(length)
    else:
        fields['content-length'] = str(length)
    lines += [f'{name}: {value}' for name, value in fields.items()]
    return '\r\n'.join(lines).encode('latin1', 'replace') + b'\r\n\r\n', honest


# Protocol buffers


def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out) + bytes([number])


def fields_of(raw):
    """[(number, wire type, payload)]; None for what is no message."""
    at, fields = 0, []

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = raw[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128 or shift > 63:
                return value
    try:
        while at < len(raw):
            key = number()
            wire = key & 7
            if wire == 0:
                payload = number()
            elif wire == 2:
                size = number()
                if at + size > len(raw):
                    return None
                payload, at = raw[at:at + size], at + size
            elif wire in (1, 5):
                size = 8 if wire == 1 else 4
                payload, at = raw[at:at + size], at + size
            else:
                return None
            fields.append((key >> 3, wire, payload))
    except IndexError:
        return None
    return fields


def message_of(fields):
    out = bytearray()
    for number, wire, payload in fields:
        out += varint(number << 3 | wire)
        if wire == 0:
            out += varint(payload % 2**64) if isinstance(payload, int) else payload
        else:
            out += varint(len(payload)) + payload if wire == 2 else payload
    return bytes(out)


INTEGERS = [0, 1, 2, 3, 127, 2**31 - 1, 2**31, 2**32, 2**53 + 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1]


def mutate_message(rng, raw, depth=0):
    """Changes fields of a message, or of one inside it."""
    fields = fields_of(raw)
    if not fields:
        return mutate_bytes(rng, raw)
    i = rng.randrange(len(fields))
    number, wire, payload = fields[i]
    inner = wire == 2 and depth < 4 and rng.random() < .65 and len(payload) > 1
    kind = rng.randrange(10)
    if inner:
        fields[i] = (number, wire, mutate_message(rng, payload, depth + 1))
    elif kind == 0:
        del fields[i]
    elif kind == 1:
        fields.insert(rng.randrange(len(fields) + 1), fields[i])
    elif kind == 2:
        fields[i] = (rng.choice([1, 2, 3, 4, 5, 6, 7, 8, 15, 2**20, 2**29 - 1]), wire, payload)
    elif kind == 3:
        rng.shuffle(fields)
    elif kind == 4:
        fields[i] = (number, 0, rng.choice(INTEGERS))
    elif kind == 5:
        fields[i] = (number, 2, rng.choice([text.encode('utf-8', 'surrogatepass') for text in STRANGE]) if rng.random() < .7 else rng.randbytes(40))
    elif kind == 6 and wire == 2:
        fields[i] = (number, 2, b''.join(varint(rng.choice(INTEGERS)) for _ in range(rng.choice([1, 3, 65]))))
    elif kind == 7 and wire == 2:
        fields[i] = (number, 2, mutate_bytes(rng, payload))
    elif kind == 8:
        return mutate_bytes(rng, message_of(fields))
    else:
        fields += [fields[i]] * rng.choice([1, 70, 3000])
    return message_of(fields)


def grpc_messages():
    """{method: valid messages} of the inference and health services."""
    from tritonclient.grpc import InferInput, service_pb2 as pb
    from tritonclient.grpc._utils import _get_inference_request
    shown = {'ServerLive': pb.ServerLiveRequest(), 'ServerReady': pb.ServerReadyRequest(), 'ServerMetadata': pb.ServerMetadataRequest(),
             'ModelReady': pb.ModelReadyRequest(name='types', version='1'), 'ModelMetadata': pb.ModelMetadataRequest(name='types', version='1'),
             'ModelConfig': pb.ModelConfigRequest(name='types', version='1'), 'ModelStatistics': pb.ModelStatisticsRequest(name='types', version='1'),
             'RepositoryIndex': pb.RepositoryIndexRequest(ready=True), 'RepositoryModelLoad': pb.RepositoryModelLoadRequest(model_name='types'),
             'SystemSharedMemoryRegister': pb.SystemSharedMemoryRegisterRequest(name='r', key='/r', byte_size=8),
             'TraceSetting': pb.TraceSettingRequest(model_name='types'), 'LogSettings': pb.LogSettingsRequest()}
    messages = {f'/inference.GRPCInferenceService/{name}': [message.SerializeToString()] for name, message in shown.items()}

    def raw(model, arrays):
        inputs = []
        for name, array in arrays.items():
            tensor = InferInput(name, list(array.shape), 'FP32' if array.dtype == np.float32 else 'INT64' if array.dtype == np.int64 else 'BYTES')
            tensor.set_data_from_numpy(array)
            inputs.append(tensor)
        return _get_inference_request(model_name=model, inputs=inputs, model_version='', request_id='a', outputs=None, sequence_id=0, sequence_start=False,
                                      sequence_end=False, priority=1, timeout=5_000_000, parameters={'s': 'x', 'b': True}).SerializeToString()
    messages['/inference.GRPCInferenceService/ModelInfer'] = [
        raw('no-batch', {'x': X, 'y': Y}), raw('classifier', {'input_ids': IDS, 'attention_mask': np.ones_like(IDS)}),
        raw('strings', {'text': np.array([b'yes', b'no'], dtype=object)}), typed_message(pb)] * 5
    messages['/inference.GRPCInferenceService/ModelStreamInfer'] = messages['/inference.GRPCInferenceService/ModelInfer'][:4]
    messages['/grpc.health.v1.Health/Check'] = [b'\n\x1einference.GRPCInferenceService', b'']
    return messages


def typed_message(pb):
    contents = {'BOOL': 'bool_contents', 'UINT64': 'uint64_contents', 'INT64': 'int64_contents', 'FP32': 'fp32_contents', 'FP64': 'fp64_contents', 'BYTES': 'bytes_contents'}
    request = pb.ModelInferRequest(model_name='types')
    for name in ('BOOL', 'UINT8', 'UINT16', 'UINT32', 'UINT64', 'INT8', 'INT16', 'INT32', 'INT64', 'FP32', 'FP64', 'BYTES'):
        tensor = request.inputs.add(name=f'in_{name.lower()}', datatype=name, shape=[1, 3])
        values = getattr(tensor.contents, contents.get(name, 'uint_contents' if name[0] == 'U' else 'int_contents'))
        values.extend([{'BOOL': True, 'BYTES': b'a'}.get(name, 1)] * 3)
    return request.SerializeToString()


def frames(rng):
    """Bytes for a port that speaks HTTP/2: good beginnings and wrong frames."""
    preface = b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
    out = preface if rng.random() < .9 else rng.choice([preface[:-3], b'GET / HTTP/1.1\r\nhost: localhost\r\n\r\n', b'\x16\x03\x01\x02\x00' + rng.randbytes(200), rng.randbytes(100)])
    out += frame(4, 0, 0, b'') if rng.random() < .9 else b''
    for _ in range(rng.choice([1, 3, 20])):
        kind = rng.randrange(6)
        if kind < 2:
            out += frame(1, 4, rng.choice([1, 3, 5]), grpc_head(rng)) + frame(0, rng.choice([0, 1]), 1, struct.pack('>BI', rng.choice([0, 1, 2, 255]), rng.choice([0, 5, 2**31, 2**32 - 1])) + rng.randbytes(5))
        elif kind == 2:
            out += frame(rng.randrange(12), rng.randrange(256), rng.choice([0, 1, 2, 2**31 - 1]), rng.randbytes(rng.choice([0, 4, 8, 300])))
        elif kind == 3:
            out += frame(rng.choice([3, 8, 4, 6, 7]), 0, rng.choice([0, 1]), struct.pack('>I', rng.choice([0, 1, 2**31 - 1, 2**32 - 1])))
        elif kind == 4:
            out += struct.pack('>I', rng.choice([16385, 2**24 - 1]))[1:] + bytes([0, 0]) + struct.pack('>I', 1) + rng.randbytes(50)
        else:
            out += frame(9, 0, 1, rng.randbytes(100)) * rng.choice([1, 50])
    return out


def frame(kind, flags, stream, payload):
    return struct.pack('>I', len(payload))[1:] + bytes([kind, flags]) + struct.pack('>I', stream) + payload


def grpc_head(rng):
    fields = {':method': 'POST', ':scheme': 'http', ':path': '/inference.GRPCInferenceService/ModelInfer', ':authority': 'localhost', 'content-type': 'application/grpc', 'te': 'trailers'}
    for _ in range(rng.choice([0, 1, 2])):
        name = rng.choice([*fields, 'grpc-timeout', 'grpc-encoding', 'x-interleave-timeout-ms', 'authorization'])
        fields[name] = rng.choice(['', 'x', '1S', '99999999999H', '-1m', 'gzip', 'snappy', 'a' * 5000, '/', '/a/b', 'GET', '\xff'])
    literal = lambda text: (varint_prefix(len(text)) + text)
    return b''.join(b'\0' + literal(name.encode()) + literal(value.encode('latin1')) for name, value in fields.items())[:16000]


def varint_prefix(length):
    """HPACK's integer with a prefix of 7 bits."""
    return bytes([length]) if length < 127 else b'\x7f' + varint(length - 127)
