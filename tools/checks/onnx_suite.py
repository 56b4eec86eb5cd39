"""Runs the ONNX node suite through a node and compares with bare ONNX Runtime. Prints a table; exit code 1 for a wrong answer."""
import argparse
import collections
import json
import pathlib
import shutil
import sys
import tempfile

import grpc
import numpy as np
import onnx
import onnxruntime as ort
from onnx import numpy_helper
from tritonclient.grpc import service_pb2

from node import Node, at_once
from tensors import binary_of, datatype_of, from_binary, from_json, same, strings, to_binary, to_json

SUITE = pathlib.Path(onnx.__file__).parent / 'backend/test/data/node'
MODELS_AT_ONCE = 150
CALLERS = 16
GRPC_S_MAX = 120
MESSAGES = [('grpc.max_receive_message_length', -1), ('grpc.max_send_message_length', -1)]
# The field of InferTensorContents for a datatype; half precision has none.
TYPED = {'BOOL': 'bool_contents', 'INT8': 'int_contents', 'INT16': 'int_contents', 'INT32': 'int_contents', 'INT64': 'int64_contents',
         'UINT8': 'uint_contents', 'UINT16': 'uint_contents', 'UINT32': 'uint_contents', 'UINT64': 'uint64_contents', 'FP32': 'fp32_contents',
         'FP64': 'fp64_contents', 'BYTES': 'bytes_contents'}
RUNS = 8  # random operators may give the same numbers twice


def read_tensor(path):
    tensor = onnx.TensorProto()
    tensor.ParseFromString(path.read_bytes())
    return numpy_helper.to_array(tensor)


class Case:
    """One test: its model, the inputs of its first data set, and what bare ONNX Runtime makes of them."""

    def __init__(self, folder):
        self.name = folder.name
        self.path = folder / 'model.onnx'
        self.verdict = None
        model = onnx.load(self.path)
        self.operators = sorted({n.op_type for n in model.graph.node})
        try:
            session = ort.InferenceSession(self.path.read_bytes(), options(), providers=['CPUExecutionProvider'])
        except Exception as error:  # noqa: BLE001 - whatever it says
            self.verdict = ('not loaded by ONNX Runtime', str(error)[:160])
            return
        served = lambda v: v.type.startswith('tensor(')
        self.is_tensor = all(map(served, session.get_inputs())) and all(map(served, session.get_outputs()))
        if not self.is_tensor:
            return
        files = sorted((folder / 'test_data_set_0').glob('input_*.pb'), key=lambda p: int(p.stem.split('_')[1]))
        self.inputs = {spec.name: read_tensor(file) for spec, file in zip(session.get_inputs(), files)}
        try:
            values = session.run(None, self.inputs)
            others = [session.run(None, self.inputs) for _ in range(RUNS - 1)]
        except Exception as error:  # noqa: BLE001
            self.verdict = ('ONNX Runtime fails', str(error)[:160])
            return
        self.expected = {spec.name: np.asarray(value) for spec, value in zip(session.get_outputs(), values)}
        if not all(same(np.asarray(a), np.asarray(b)) for other in others for a, b in zip(values, other)):
            self.verdict = ('random by definition', '')

    @property
    def has_nonfinite(self):
        return any(a.dtype.kind == 'f' and not np.isfinite(a).all() for a in [*self.expected.values(), *self.inputs.values()])


def options():
    wanted = ort.SessionOptions()
    wanted.intra_op_num_threads = 1
    wanted.log_severity_level = 4
    return wanted


def is_right(case, outputs):
    return set(outputs) == set(case.expected) and all(same(case.expected[n], outputs[n]) for n in outputs)


def live_binary(node, case):
    body, head = to_binary(case.inputs)
    headers = {'content-type': 'application/octet-stream', 'inference-header-content-length': str(head)}
    status, answer_headers, raw = node.call('POST', f'/v2/models/{case.name}/infer', body, headers)
    if status != 200:
        return 'refused', raw.decode(errors='replace')
    length = int(answer_headers.get('inference-header-content-length') or len(raw))
    return ('right', '') if is_right(case, from_binary(raw, length)) else ('WRONG', 'binary')


def live_json(node, case):
    status, _, raw = node.call('POST', f'/v2/models/{case.name}/infer', json_body(case))
    if status != 200:
        return 'refused', raw.decode(errors='replace')
    return judge(case, json.loads(raw), 'JSON')


def live_grpc(channel, case, is_typed):
    """Typed contents where the datatype has them; None: an input has none."""
    request = grpc_request(case, is_typed)
    if request is None:
        return None
    try:
        answer = channel.unary_unary('/inference.GRPCInferenceService/ModelInfer', type(request).SerializeToString, service_pb2.ModelInferResponse.FromString)(request, timeout=GRPC_S_MAX)
    except grpc.RpcError as error:
        return 'refused', f'{error.code().name} {error.details()}'
    heads = [{'name': o.name, 'datatype': o.datatype, 'shape': list(o.shape), 'parameters': {'binary_data_size': len(raw)}} for o, raw in zip(answer.outputs, answer.raw_output_contents)]
    head = json.dumps({'outputs': heads}).encode()
    return ('right', '') if is_right(case, from_binary(head + b''.join(answer.raw_output_contents), len(head))) else ('WRONG', 'gRPC')


def grpc_request(case, is_typed):
    request = service_pb2.ModelInferRequest(model_name=case.name)
    for name, array in case.inputs.items():
        datatype = datatype_of(array)
        tensor = request.inputs.add(name=name, datatype=datatype, shape=array.shape)
        if not is_typed:
            request.raw_input_contents.append(binary_of(array))
        elif datatype not in TYPED:
            return None
        else:
            getattr(tensor.contents, TYPED[datatype]).extend(strings(array) if datatype == 'BYTES' else array.reshape(-1).tolist())
    return request


def json_body(case):
    return {'inputs': [to_json(name, array) for name, array in case.inputs.items()]}


def judge(case, body, form):
    try:
        outputs = {output['name']: from_json(output) for output in body['outputs']}
    except (KeyError, TypeError, ValueError) as error:
        return 'WRONG', f'{form}: {error}'
    return ('right', '') if is_right(case, outputs) else ('WRONG', form)


def check(node, channel, case):
    """The verdict of every form: all right, or the first that is not."""
    verdicts = {'binary': live_binary(node, case), 'gRPC, raw': live_grpc(channel, case, False), 'gRPC, typed': live_grpc(channel, case, True)}
    verdicts = {form: verdict for form, verdict in verdicts.items() if verdict is not None}
    if case.has_nonfinite:
        verdicts['JSON'] = live_json(node, case)
        verdicts['JSON'] = ('right', '') if verdicts['JSON'][0] == 'refused' else ('WRONG', 'NaN or infinity in JSON')
    else:
        verdicts['JSON'] = live_json(node, case)
        rows = node.batch(f'/v2/models/{case.name}/infer', [json_body(case)] * 4)
        verdicts['batch'] = next((judge(case, body, 'batch') for body, error in rows if error is None and judge(case, body, 'batch')[0] != 'right'), ('right', ''))
        errors = [error for _, error in rows if error is not None]
        if errors and verdicts['batch'][0] == 'right':
            verdicts['batch'] = ('refused', errors[0])
    crowd = at_once(lambda _: live_binary(node, case), range(CALLERS), CALLERS)
    verdicts['16 callers'] = next((v for v in crowd if v[0] != 'right'), ('right', ''))
    return verdicts


forms = collections.Counter()


def run_group(cases, table):
    models = pathlib.Path(tempfile.mkdtemp(prefix='il-suite-'))
    for case in cases:
        (models / case.name).mkdir()
        shutil.copy(case.path, models / case.name / 'model.onnx')
    with Node(models) as node, grpc.insecure_channel(f'127.0.0.1:{node.grpc_port}', options=MESSAGES) as channel:
        states = node.states()
        for case in cases:
            state, reason = states.get(case.name, ('absent', ''))
            if state != 'ready':
                table[case.name] = {'verdict': 'refused', 'why': reason}
            elif not case.is_tensor:
                table[case.name] = {'verdict': 'ready in part', 'why': reason}
            else:
                table[case.name] = summed(check(node, channel, case))
            print(case.name, table[case.name]['verdict'], table[case.name]['why'][:200], flush=True)
    shutil.rmtree(models)


def summed(verdicts):
    forms.update(f'{form}: {verdict}' for form, (verdict, _) in verdicts.items())
    for wanted in ('WRONG', 'refused'):
        for form, (verdict, why) in verdicts.items():
            if verdict == wanted:
                return {'verdict': wanted if wanted == 'WRONG' else f'refused as {form}', 'why': why}
    return {'verdict': 'right', 'why': ''}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--only', default='', help='part of the names of the tests to run')
    parser.add_argument('--json', help='file for all verdicts')
    parser.add_argument('--skip', type=int, default=0, help='start with this test')
    parser.add_argument('--count', type=int, default=None, help='end after so many')
    wanted = parser.parse_args()
    folders = [folder for folder in sorted(SUITE.iterdir()) if wanted.only in folder.name]
    cases = [Case(folder) for folder in folders[wanted.skip:][:wanted.count]]
    table = {case.name: {'verdict': case.verdict[0], 'why': case.verdict[1]} for case in cases if case.verdict}
    served = [case for case in cases if case.verdict is None]
    for start in range(0, len(served), MODELS_AT_ONCE):
        run_group(served[start:start + MODELS_AT_ONCE], table)
    if wanted.json:
        pathlib.Path(wanted.json).write_text(json.dumps(table, indent=1))
    print()
    for verdict, count in collections.Counter(row['verdict'] for row in table.values()).most_common():
        print(f'{count:5} {verdict}')
    print('by form:', ', '.join(f'{form} {count}' for form, count in sorted(forms.items())))
    reasons = collections.Counter(row['why'].split(';')[0][:100] for row in table.values() if row['verdict'].startswith('refused'))
    for why, count in reasons.most_common(30):
        print(f'{count:5} refused: {why}')
    sys.exit(any(row['verdict'] == 'WRONG' for row in table.values()))


if __name__ == '__main__':
    main()
