"""NumPy arrays as tensors of the Open Inference Protocol and back."""
import json
import struct

import numpy as np

DATATYPES = {
    'bool': 'BOOL', 'uint8': 'UINT8', 'uint16': 'UINT16', 'uint32': 'UINT32', 'uint64': 'UINT64',
    'int8': 'INT8', 'int16': 'INT16', 'int32': 'INT32', 'int64': 'INT64',
    'float16': 'FP16', 'float32': 'FP32', 'float64': 'FP64', 'object': 'BYTES',
}
DTYPES = {datatype: dtype for dtype, datatype in DATATYPES.items()}


def datatype_of(array):
    return 'BYTES' if array.dtype.kind in 'OUS' else DATATYPES[array.dtype.name]


def strings(array):
    return [s if isinstance(s, bytes) else str(s).encode() for s in array.reshape(-1)]


def to_json(name, array):
    return {'name': name, 'datatype': datatype_of(array), 'shape': list(array.shape), 'data': numbers(array)}


def numbers(array):
    """The elements as JSON has them; narrow floats by their shortest decimals, which are read back as the same number."""
    if datatype_of(array) == 'BYTES':
        return [s.decode() for s in strings(array)]
    flat = array.reshape(-1)
    return [float(str(number)) for number in flat] if array.dtype.name in ('float16', 'float32') else flat.tolist()


def binary_of(array):
    return b''.join(struct.pack('<I', len(s)) + s for s in strings(array)) if datatype_of(array) == 'BYTES' else array.tobytes()


def to_binary(inputs):
    """Returns the body and the length of its JSON part."""
    heads, parts = [], []
    for name, array in inputs.items():
        raw = binary_of(array)
        parts.append(raw)
        heads.append({'name': name, 'datatype': datatype_of(array), 'shape': list(array.shape), 'parameters': {'binary_data_size': len(raw)}})
    head = json.dumps({'inputs': heads, 'parameters': {'binary_data_output': True}}).encode()
    return head + b''.join(parts), len(head)


def from_json(output):
    dtype = DTYPES[output['datatype']]
    return np.array(output['data'], dtype=dtype).reshape(output['shape'])


def from_binary(raw, head_length):
    head, at, arrays = json.loads(raw[:head_length]), head_length, {}
    for output in head['outputs']:
        size = output['parameters']['binary_data_size']
        piece, at = raw[at:at + size], at + size
        if output['datatype'] == 'BYTES':
            values, offset = [], 0
            while offset < size:
                length = struct.unpack_from('<I', piece, offset)[0]
                values.append(piece[offset + 4:offset + 4 + length].decode())
                offset += 4 + length
            arrays[output['name']] = np.array(values, dtype=object).reshape(output['shape'])
        else:
            arrays[output['name']] = np.frombuffer(piece, dtype=DTYPES[output['datatype']]).reshape(output['shape'])
    return arrays


def same(a, b, tolerance=1e-5):
    """Equal shapes and values; floats within `tolerance` of the largest, NaN where NaN is."""
    if a.shape != b.shape:
        return False
    if datatype_of(a) == 'BYTES':
        return strings(a) == strings(b)
    if a.dtype.kind != 'f':
        return a.dtype == b.dtype and bool((a == b).all())
    a, b = a.astype(np.float64), b.astype(np.float64)
    finite = np.isfinite(a)
    scale = max(1.0, float(np.abs(a[finite]).max())) if finite.any() else 1.0
    with np.errstate(invalid='ignore'):
        close = np.abs(a - b) <= tolerance * scale
    return bool((close | (a == b) | (np.isnan(a) & np.isnan(b))).all())
