"""Mutated HTTP and gRPC requests from several connections, beside good ones. Prints counts by status; exit code 1 for a server error that no
limit explains, a process that died, text of the inside in an answer, memory that grows, or a good request that failed."""
import argparse
import collections
import concurrent.futures
import http.client
import json
import multiprocessing
import os
import pathlib
import random
import re
import shutil
import socket
import statistics
import sys
import tempfile
import threading
import time

import numpy as np
import onnxruntime as ort

import mutate
from node import Client, Node, build_models, processes, resident_mib, ROOT
from tensors import from_binary, same, to_binary

ATTACKERS = 4
ATTACKER_NICE = 10
CHUNK = 250
ANSWER_S_MAX = 20
# An announced body that never comes is waited for by the server much longer.
LIE_S_MAX = 1
GOOD_PER_SECOND = 10
GROWTH_MIB_MAX = 48
GROWTH_MAX = 1.15
SHARES = {'http': .57, 'grpc': .40, 'frames': .03}
MODELS = ('encoder-tiny', 'classifier', 'reranker', 'types', 'no-batch', 'strings')
# 422 is the model's word on its input; INTERNAL is that word in gRPC.
WRONG_STATUSES = {'500', '502', '505', 'UNKNOWN', 'DATA_LOSS', 'no answer'}
INSIDE = re.compile(r'node_modules|\n\s+at |\w\.(?:ts|js|cc|h):\d+|Internal error')


def request_of(kind, seed, number):
    return random.Random(f'{kind} {seed} {number}')


class HttpAttacker:
    def __init__(self, port):
        self.port, self.socket = port, None

    def attack(self, rng):
        method, path, headers, body = mutate.http_request(rng)
        head, honest = mutate.head_of(rng, method, path, headers, body)
        # An upgrade, a tunnel and what the server does not count as a body leave bytes behind.
        alone = not honest or method in ('CONNECT', 'HEAD') or 'expect' in headers or 'upgrade' in headers or '\r' in path + str(headers) or '#' in path or ' ' in path
        connection = socket.create_connection(('127.0.0.1', self.port)) if alone or self.socket is None else self.socket
        self.socket = None
        connection.settimeout(ANSWER_S_MAX if honest else LIE_S_MAX)
        try:
            try:
                connection.sendall(head + body)
            except (ConnectionError, TimeoutError):
                pass  # refused before all of it was sent
            answer = http.client.HTTPResponse(connection, method=method)
            answer.begin()
            raw = answer.read()
            status = str(answer.status)
            if not alone and not answer.will_close and answer.status != 101:
                self.socket = connection
            return status, raw.decode('latin1') if not raw.startswith(b'PK') else ''
        except TimeoutError:
            return ('no answer' if honest else 'waits for the body'), ''
        except (OSError, http.client.HTTPException):
            return 'closed', ''
        finally:
            if self.socket is not connection:
                connection.close()


class GrpcAttacker:
    def __init__(self, port):
        import grpc
        self.grpc, self.messages = grpc, mutate.grpc_messages()
        self.channel = grpc.insecure_channel(f'127.0.0.1:{port}', options=[('grpc.use_local_subchannel_pool', 1)])

    def attack(self, rng):
        method = rng.choice(list(self.messages)) if rng.random() < .3 else '/inference.GRPCInferenceService/ModelInfer'
        message = lambda: mutate.mutate_message(rng, rng.choice(self.messages[method]))
        metadata = [('x-interleave-timeout-ms', rng.choice(['1', 'x', '-1', '99999999']))] if rng.random() < .03 else []
        metadata += [('x-interleave-priority', rng.choice(['1', 'x', '300']))] if rng.random() < .03 else []
        packing = self.grpc.Compression.Gzip if rng.random() < .05 else self.grpc.Compression.NoCompression
        try:
            if method.endswith('Stream' + 'Infer'):
                answers = self.channel.stream_stream(method)(iter([message() for _ in range(8)]), timeout=ANSWER_S_MAX, metadata=metadata, compression=packing)
                return 'OK (stream)', b''.join(answers).decode('latin1')
            return 'OK', self.channel.unary_unary(method)(message(), timeout=ANSWER_S_MAX, metadata=metadata, compression=packing).decode('latin1')
        except self.grpc.RpcError as error:
            return error.code().name, error.details() or ''


class FrameAttacker:
    """Wrong frames at the port of gRPC, and now and then at that of HTTP."""

    def __init__(self, ports):
        self.ports = ports

    def attack(self, rng):
        with socket.create_connection(('127.0.0.1', self.ports[rng.random() < .1])) as connection:
            connection.settimeout(.05)
            raw = b''
            try:
                connection.sendall(mutate.frames(rng))
                connection.shutdown(socket.SHUT_WR)
                while piece := connection.recv(65536):
                    raw += piece
            except OSError:
                pass
            return ('answered' if raw else 'closed'), raw.decode('latin1')


attackers = {}


def begin(port, grpc_port):
    os.nice(ATTACKER_NICE)
    attackers.update(ports=(grpc_port, port))


def attacker_of(kind):
    grpc_port, port = attackers['ports']
    if kind not in attackers:
        attackers[kind] = HttpAttacker(port) if kind == 'http' else GrpcAttacker(grpc_port) if kind == 'grpc' else FrameAttacker((grpc_port, port))
    return attackers[kind]


def attack(kind, seed, first, count, secrets):
    """Runs in an attacker's process: counts by status, and what is wrong."""
    counts, wrong = collections.Counter(), []
    for number in range(first, first + count):
        begun = time.time()
        status, text = attacker_of(kind).attack(request_of(kind, seed, number))
        counts[f'{kind} {status}'] += 1
        inside = INSIDE.search(text)
        found = inside[0] if inside else next((secret for secret in secrets if secret in text), None)
        if status in WRONG_STATUSES or found:
            wrong.append(f'{kind} {number}: {status} after {time.time() - begun:.1f} s, {found or ""}: {text[:300]!r}')
    return counts, wrong


class Good(threading.Thread):
    """Good requests by every door, each compared with what bare ONNX Runtime gives."""

    def __init__(self, node, models):
        super().__init__(daemon=True)
        self.node, self.over, self.count, self.failed = node, False, 0, []
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        session = ort.InferenceSession(str(models / 'classifier/model.onnx'), options, providers=['CPUExecutionProvider'])
        ids = np.array([[2, 9, 3, 7]], dtype=np.int64)
        self.inputs = {'input_ids': ids, 'attention_mask': np.ones_like(ids)}
        self.logits = session.run(['logits'], self.inputs)[0]
        self.vector = self.embedding()
        self.doors = [self.embeddings, self.binary, *([self.grpc] if is_open(node.grpc_port) else [])]

    def embedding(self):
        status, _, raw = self.node.call('POST', '/v1/embeddings', {'model': 'encoder-tiny', 'input': 'the quick brown fox'})
        return np.array(json.loads(raw)['data'][0]['embedding'] if status == 200 else [status])

    def embeddings(self):
        vector = self.embedding()
        return (vector.shape == self.vector.shape and bool(np.abs(vector - self.vector).max() < 1e-5)) or vector

    def binary(self):
        body, head = to_binary(self.inputs)
        headers = {'content-type': 'application/octet-stream', 'inference-header-content-length': str(head)}
        status, answer, raw = self.node.call('POST', '/v2/models/classifier/infer', body, headers)
        return status == 200 and same(self.logits, from_binary(raw, int(answer['inference-header-content-length']))['logits']) or (status, raw[:200])

    def grpc(self):
        import tritonclient.grpc as client
        if not hasattr(self, 'client'):
            self.client = client.InferenceServerClient(f'127.0.0.1:{self.node.grpc_port}')
        tensors = [client.InferInput(name, list(array.shape), 'INT64') for name, array in self.inputs.items()]
        for tensor, array in zip(tensors, self.inputs.values()):
            tensor.set_data_from_numpy(array)
        return same(self.logits, self.client.infer('classifier', tensors).as_numpy('logits'))

    def run(self):
        while not self.over:
            for door in self.doors:
                try:
                    said = door()
                except Exception as error:  # noqa: BLE001 - whatever it is, a good request failed
                    said = error
                self.count += 1
                if said is not True:
                    self.failed.append(f'good request by {door.__name__}: {said!r}'[:300])
                time.sleep(1 / GOOD_PER_SECOND)


class Memory(threading.Thread):
    """Resident memory of every process, once a second."""

    def __init__(self, node):
        super().__init__(daemon=True)
        self.node, self.samples, self.over = node, collections.defaultdict(list), False

    def run(self):
        while not self.over:
            try:
                for name, (pid, _) in processes(self.node).items():
                    self.samples[name].append(resident_mib(pid))
            except (OSError, ValueError, KeyError, http.client.HTTPException, StopIteration):
                pass
            time.sleep(1)

    def judge(self):
        """Rows of the first and the last quarter, and who grows."""
        rows, grows = [], []
        for name, samples in self.samples.items():
            quarter = max(1, len(samples) // 4)
            first, last = statistics.median(samples[:quarter]), statistics.median(samples[-quarter:])
            rows.append((name, first, last, max(samples)))
            grows += [f'{name} grew from {first} to {last} MiB'] if last > first * GROWTH_MAX + GROWTH_MIB_MAX else []
        return rows, grows


def is_open(port):
    with socket.socket() as probe:
        return probe.connect_ex(('127.0.0.1', port)) == 0


def chunks(count, kinds):
    """(kind, first number, count) in an order that mixes the kinds."""
    total = sum(SHARES[kind] for kind in kinds)
    wanted = [(kind, first, CHUNK) for kind in kinds for first in range(0, int(count * SHARES[kind] / total) + CHUNK, CHUNK)]
    random.Random(1).shuffle(wanted)
    return wanted


def show(kind, seed, number):
    """One request again, for a look at it."""
    rng = request_of(kind, seed, number)
    print(mutate.http_request(rng) if kind == 'http' else 'run attack() against a node')


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--count', type=int, default=100_000)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--kinds', nargs='*', default=list(SHARES), choices=list(SHARES))
    parser.add_argument('--show', nargs=2, metavar=('KIND', 'NUMBER'), help='prints a request and ends')
    wanted = parser.parse_args()
    if wanted.show:
        return show(wanted.show[0], wanted.seed, int(wanted.show[1]))
    models = pathlib.Path(tempfile.mkdtemp(prefix='il-models-'))
    build_models(models, *MODELS)
    begun, counts, bad = time.time(), collections.Counter(), []
    with Node(models) as node:
        before = processes(node)
        good, memory = Good(node, models), Memory(node)
        pool = concurrent.futures.ProcessPoolExecutor(ATTACKERS, multiprocessing.get_context('spawn'), begin, (node.port, node.grpc_port))
        with pool:
            good.start()
            memory.start()
            secrets = [str(ROOT), node.folder, str(models)]
            for done in concurrent.futures.as_completed([pool.submit(attack, kind, wanted.seed, first, count, secrets) for kind, first, count in chunks(wanted.count, wanted.kinds)]):
                seen, wrong = done.result()
                counts += seen
                bad += wrong
        took = time.time() - begun
        good.over = memory.over = True
        good.join(30)
        after = processes(node)
        bad += [f'{name} died: {before[name]} became {after.get(name)}' for name in before if before[name] != after.get(name)]
        log = pathlib.Path(node.folder, 'log').read_text(errors='replace')
        shutil.copy(pathlib.Path(node.folder, 'log'), '/tmp/mutations.log') if bad else None
    shutil.rmtree(models)
    rows, grows = memory.judge()
    bad += good.failed + grows
    print(f'{sum(counts.values())} mutated requests in {took:.0f} s, seed {wanted.seed}\n\n| kind and status | requests |\n|---|---|')
    print('\n'.join(f'| {status} | {count} |' for status, count in sorted(counts.items())))
    print(f'\n{good.count} good requests, {len(good.failed)} failed; {log.count(chr(34) + "request failed" + chr(34))} internal errors in the log')
    print('\n| process | MiB, first quarter | last quarter | most |\n|---|---|---|---|')
    print('\n'.join(f'| {name} | {first:.0f} | {last:.0f} | {most} |' for name, first, last, most in rows))
    print('\n' + ('\n'.join(bad[:30]) or 'nothing failed') + (f'\n… {len(bad)} in all' if len(bad) > 30 else ''))
    sys.exit(bool(bad))


if __name__ == '__main__':
    main()
