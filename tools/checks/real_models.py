"""Compares real models on a node with bare ONNX Runtime. Prints a table; exit code 1 for a wrong answer or one that is missing."""
import argparse
import json
import pathlib
import sys
import tempfile

import numpy as np
import onnxruntime as ort

from models import MODELS, provide
from node import Node, at_once
from onnx_suite import options
from tensors import from_binary, from_json, same, to_binary, to_json

CALLERS = 16
HERE = pathlib.Path(__file__).parent


def largest_difference(expected, outputs):
    """0 when every output has the values that are expected; infinite when one has not even their shape."""
    if set(expected) != set(outputs) or any(expected[n].shape != outputs[n].shape for n in expected):
        return float('inf')
    if all(same(expected[n], outputs[n], 0) for n in expected):
        return 0.0
    floats = [n for n in expected if expected[n].dtype.kind == 'f']
    if not all(same(expected[n], outputs[n]) for n in expected if n not in floats):
        return float('inf')
    differences = [np.abs(expected[n].astype(np.float64) - outputs[n]).max() / max(1.0, np.abs(expected[n]).max()) for n in floats if expected[n].size]
    return float(max(differences))


def ask_binary(node, name, inputs):
    body, head = to_binary(inputs)
    headers = {'content-type': 'application/octet-stream', 'inference-header-content-length': str(head)}
    status, answer_headers, raw = node.call('POST', f'/v2/models/{name}/infer', body, headers)
    if status != 200:
        raise RuntimeError(f'{status} {raw[:300]!r}')
    return from_binary(raw, int(answer_headers.get('inference-header-content-length') or len(raw)))


def check(node, name, path):
    """Largest differences alone, under 16 callers, and in a batch."""
    rng = np.random.default_rng(1)
    inputs = [MODELS[name].make(rng, i) for i in range(CALLERS)]
    session = ort.InferenceSession(path, options(), providers=['CPUExecutionProvider'])
    names = [spec.name for spec in session.get_outputs()]
    expected = [dict(zip(names, map(np.asarray, session.run(None, one)))) for one in inputs]
    alone = max(largest_difference(e, ask_binary(node, name, one)) for e, one in list(zip(expected, inputs))[:4])
    for _ in range(3):
        crowd = at_once(lambda i: largest_difference(expected[i], ask_binary(node, name, inputs[i])), range(CALLERS), CALLERS)
    rows = node.batch(f'/v2/models/{name}/infer', [{'inputs': [to_json(n, a) for n, a in one.items()]} for one in inputs])
    errors = [error for _, error in rows if error]
    if errors:
        raise RuntimeError(f'batch: {errors[0][:300]}')
    batch = max(largest_difference(e, {o['name']: from_json(o) for o in body['outputs']}) for e, (body, _) in zip(expected, rows))
    return alone, max(crowd), batch


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--downloads', default=str(HERE / '.downloads'))
    parser.add_argument('--only', nargs='*', choices=list(MODELS))
    wanted = parser.parse_args()
    downloads = pathlib.Path(wanted.downloads)
    downloads.mkdir(exist_ok=True)
    failed = False
    with tempfile.TemporaryDirectory(prefix='il-models-') as folder:
        paths = {name: provide(name, model, downloads, pathlib.Path(folder)) for name, model in MODELS.items() if name in (wanted.only or MODELS)}
        with Node(folder) as node:
            states = node.states()
            entries = {m['id']: m['versions'][0] for m in json.loads(node.call('GET', '/v1/models')[2])['data']}
            print('| model | kind | alone | 16 callers | batch | runs |\n|---|---|---|---|---|---|')
            for name, path in paths.items():
                try:
                    if states[name][0] != 'ready':
                        raise RuntimeError(states[name][1])
                    differences = check(node, name, path)
                    failed |= max(differences) > 1e-5
                    cells = ' | '.join(f'{d:.1e}' if d else '0' for d in differences)
                except Exception as error:  # noqa: BLE001 - one model's failure is a row of the table
                    failed, cells = True, f'{str(error)[:300]} | | '
                print(f'| {name} | {MODELS[name].kind} | {cells} | {runs(entries[name])} |', flush=True)
    sys.exit(failed)


def runs(entry):
    """Merged or alone, and why, as the server says."""
    return entry.get('merging') or entry.get('coalesce') or ''


if __name__ == '__main__':
    main()
