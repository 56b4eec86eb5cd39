"""Wrong keys, and keys and certificates that change under load. Prints tables; exit code 1 when a wrong key gets anything but the one refusal,
memory grows, or a good request fails."""
import collections
import http.client
import json
import pathlib
import random
import secrets
import shutil
import statistics
import string
import sys
import tempfile
import threading
import time

import numpy as np
import grpc
import tritonclient.grpc as client

from certificates import Authority
from node import Client, Node, bearer, build_models, keys, processes, resident_mib
from shapes import X, Y

WRONG_COUNT = 10_000
WRONG_GRPC_COUNT = 2_000
CALLERS = 4
ROTATIONS = 5
# The node follows a change within a second.
FOLLOW_S = 1.2
SETTLE_S = 10
GROWTH_MIB_MAX = 32
BODY = {'inputs': [{'name': 'x', 'shape': [2, 3], 'datatype': 'FP32', 'data': X.ravel().tolist()}, {'name': 'y', 'shape': [3], 'datatype': 'FP32', 'data': Y.tolist()}]}
PATH = '/v2/models/no-batch/infer'


def expire(folder, key):
    path = pathlib.Path(folder, 'data/keys.json')
    content = json.loads(path.read_text())
    for record in content['keys']:
        if record['id'] == key['id']:
            record['expiresAt'] = int(time.time()) - 10
    path.write_text(json.dumps(content))


def tensors():
    made = []
    for name, array in (('x', X), ('y', Y)):
        made.append(client.InferInput(name, list(array.shape), 'FP32'))
        made[-1].set_data_from_numpy(array)
    return made


def is_right(raw):
    return json.loads(raw)['outputs'][0]['data'] == (X + Y).ravel().tolist()


def wrong_keys(node, right, expired, revoked):
    """[(kind, key)], as many of each kind."""
    rng = random.Random(1)
    alphabet = string.ascii_letters + string.digits + '-_'

    def changed():
        at = rng.randrange(4, len(right))
        return right[:at] + rng.choice([c for c in alphabet if c != right[at]]) + right[at + 1:]
    makers = {'random': lambda: 'ilk_' + secrets.token_urlsafe(32), 'prefix of a right one': lambda: right[:rng.randrange(1, len(right))],
              'right one, one character changed': changed, 'expired': lambda: expired, 'revoked': lambda: revoked}
    made = [(kind, make()) for kind, make in makers.items() for _ in range(WRONG_COUNT // len(makers))]
    rng.shuffle(made)
    return made


def ask_wrongly(node, made):
    """Refusals by HTTP: how often each, and the times of each kind."""
    connection = http.client.HTTPConnection('127.0.0.1', node.port)
    answers, times, raw = collections.Counter(), collections.defaultdict(list), json.dumps(BODY)
    for i, (kind, key) in enumerate(made):
        headers = {'content-type': 'application/json', **(bearer(key) if i % 2 else {'x-api-key': key})}
        begun = time.perf_counter()
        connection.request('POST', PATH, raw, headers)
        answer = connection.getresponse()
        body = answer.read()
        times[kind].append((time.perf_counter() - begun) * 1e6)
        answers[(answer.status, body.decode(), answer.headers.get('www-authenticate'))] += 1
    return answers, times


def ask_grpc_wrongly(node, made):
    answers = collections.Counter()
    with client.InferenceServerClient(f'127.0.0.1:{node.grpc_port}') as caller:
        for _, key in made[:WRONG_GRPC_COUNT]:
            try:
                caller.infer('no-batch', tensors(), headers=bearer(key))
                answers['answered'] += 1
            except client.InferenceServerException as error:
                answers[(error.status(), error.message())] += 1
    return answers


class Load:
    """Callers by HTTP, on kept and on new connections, and by gRPC; `how` gives each call its key, `reach` its doors."""

    def __init__(self, node, how, channel):
        self.node, self.how, self.channel, self.over, self.count, self.failed = node, how, channel, False, collections.Counter(), []
        self.threads = [threading.Thread(target=self.run, args=(door,)) for door in (self.kept, self.new, self.grpc_kept, self.grpc_new) for _ in range(CALLERS // 2)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over = True
        for thread in self.threads:
            thread.join()

    def run(self, door):
        held = {}
        while not self.over:
            try:
                if not door(held):
                    raise ValueError('another answer')
            except Exception as error:  # noqa: BLE001 - whatever it is, a good request failed
                self.failed.append(f'{door.__name__}: {error!r}'[:300])
            self.count[door.__name__] += 1

    def kept(self, held):
        if 'connection' not in held:
            held['connection'] = (http.client.HTTPConnection('127.0.0.1', self.node.port) if self.node.tls is None
                                  else http.client.HTTPSConnection('localhost', self.node.port, context=self.node.tls))
        held['connection'].request('POST', PATH, json.dumps(BODY), {'content-type': 'application/json', **self.how()})
        return is_right(held['connection'].getresponse().read())

    def new(self, _):
        return is_right(self.node.call('POST', PATH, BODY, self.how())[2])

    def grpc_kept(self, held):
        if 'caller' not in held:
            held['caller'] = self.channel()
        return np.array_equal(held['caller'].infer('no-batch', tensors(), headers=self.how()).as_numpy('sum'), X + Y)

    def grpc_new(self, _):
        with self.channel() as caller:
            return np.array_equal(caller.infer('no-batch', tensors(), headers=self.how()).as_numpy('sum'), X + Y)


def resident(node):
    return {name: resident_mib(pid) for name, (pid, _) in processes(node).items()}


def check_wrong_keys(node, right, expired, revoked):
    made, bad = wrong_keys(node, right, expired, revoked), []
    # The node's heaps reach their usual size first.
    time.sleep(SETTLE_S)
    ask_wrongly(node, made)
    ask_grpc_wrongly(node, made)
    before = resident(node)
    answers, times = ask_wrongly(node, made)
    by_grpc = ask_grpc_wrongly(node, made)
    print(f'{sum(answers.values())} wrong keys by HTTP, {sum(by_grpc.values())} by gRPC\n\n| answer | requests |\n|---|---|')
    for answer, count in [*answers.items(), *by_grpc.items()]:
        print(f'| {answer} | {count} |')
    bad += [] if [status for status, _, _ in answers] == [401] else ['wrong keys by HTTP have several answers']
    bad += [] if [answer[0] for answer in by_grpc] == ['StatusCode.UNAUTHENTICATED'] else ['wrong keys by gRPC have several answers']
    print('\n| kind | p10 µs | p50 | p90 |\n|---|---|---|---|')
    for kind, taken in times.items():
        tenths = statistics.quantiles(taken, n=10)
        print(f'| {kind} | {tenths[0]:.0f} | {tenths[4]:.0f} | {tenths[8]:.0f} |')
    after = resident(node)
    bad += [f'{name} grew from {before[name]} to {size} MiB' for name, size in after.items() if size > before.get(name, 0) + GROWTH_MIB_MAX]
    print('\nresident MiB: ' + ', '.join(f'{name} {before.get(name)} → {size}' for name, size in after.items()))
    return bad


def check_key_rotation(node, first):
    current, bad = first, []
    channel = lambda: client.InferenceServerClient(f'127.0.0.1:{node.grpc_port}')
    with Load(node, lambda: bearer(current['key']), channel) as load:
        for _ in range(ROTATIONS):
            old, new = current, keys(node.folder, 'add', '--tenant', 'a')
            time.sleep(FOLLOW_S)
            current = new
            time.sleep(FOLLOW_S)
            keys(node.folder, 'revoke', old['id'])
            time.sleep(FOLLOW_S)
            status = node.call('POST', PATH, BODY, bearer(old['key']))[0]
            bad += [f'a revoked key gets {status}'] if status != 401 else []
    return report('keys', load) + bad


def check_certificate_rotation(models, folder):
    authority, bad = Authority(folder), []
    use = lambda pair: [shutil.copy(source, pathlib.Path(folder, name)) for source, name in zip(pair, ('tls.crt', 'tls.key'))]
    use(authority.issue('first'))
    pair = authority.issue('caller')
    files = {'TLS_CERT_FILE': f'{folder}/tls.crt', 'TLS_KEY_FILE': f'{folder}/tls.key', 'TLS_CLIENT_CA_FILE': str(authority.cert)}
    credentials = grpc.ssl_channel_credentials(*(path.read_bytes() for path in (authority.cert, pair[1], pair[0])))
    with Node(models, env=files, tls=authority.context(pair)) as node:
        channel = lambda: client.InferenceServerClient(f'localhost:{node.grpc_port}', ssl=True, creds=credentials)
        seen = [subject(node)]
        with Load(node, dict, channel) as load:
            for i in range(ROTATIONS):
                use(authority.issue(f'next-{i}'))
                time.sleep(2 * FOLLOW_S)
                seen.append(subject(node))
        bad += [] if seen == ['first', *(f'next-{i}' for i in range(ROTATIONS))] else [f'certificates seen: {seen}']
        try:
            Client(node.port, tls=authority.context()).call('GET', '/v2/health/live')
            bad.append('a caller without a certificate came in')
        except OSError:
            pass
    return report('certificates', load) + bad


def subject(node):
    connection = http.client.HTTPSConnection('localhost', node.port, context=node.tls)
    connection.connect()
    name = dict(pair for part in connection.sock.getpeercert()['subject'] for pair in part)['commonName']
    connection.close()
    return name


def report(what, load):
    counts = ', '.join(f'{door} {count}' for door, count in load.count.items())
    print(f'\n{ROTATIONS} changes of {what} under load: {sum(load.count.values())} requests ({counts}), {len(load.failed)} failed')
    return load.failed


def main():
    folder = tempfile.mkdtemp(prefix='il-keys-')
    models = pathlib.Path(folder, 'models')
    build_models(models, 'no-batch')
    node = Node(models)
    first, expired, revoked = (keys(node.folder, 'add', '--tenant', 'a') for _ in range(3))
    expire(node.folder, expired)
    keys(node.folder, 'revoke', revoked['id'])
    node.headers = bearer(first['key'])
    with node:
        node.headers = {}
        before = processes(node)
        bad = check_wrong_keys(node, first['key'], expired['key'], revoked['key'])
        bad += check_key_rotation(node, first)
        after = processes(node)
        bad += [f'{name} died' for name in before if before[name] != after.get(name)]
    bad += check_certificate_rotation(models, folder)
    shutil.rmtree(folder)
    print('\n' + ('\n'.join(bad[:20]) or 'nothing failed'))
    sys.exit(bool(bad))


if __name__ == '__main__':
    main()
