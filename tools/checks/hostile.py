"""A hostile client beside 50 live requests a second: bodies, rows and files that are made to hurt. Prints a table; exit code 1 when a live
request fails, a process dies, or resident memory goes past its bound. Times are printed, not judged."""
import concurrent.futures
import http.client
import json
import multiprocessing
import os
import pathlib
import socket
import sys
import threading
import time

from node import Client, Node, processes, resident_mib, ROOT

PER_SECOND = 50
QUIET_S = 10
AFTER_S = 3
MODEL = 'encoder-tiny'
# The attacker's own work gives way: it stands for another machine.
ATTACKER_NICE = 19
API_RESIDENT_MIB_MAX = 1200
RUNNER_RESIDENT_MIB_MAX = 900


def many(piece, size, before=b'[', after=b']'):
    return before + b','.join([piece] * (size // (len(piece) + 1))) + after


def keys(size):
    return b'{' + b','.join(b'"%x":1' % i for i in range(size // 11)) + b'}'


def embedding(value):
    return json.dumps({'model': MODEL, 'input': value}).encode()


BODIES = {
    '5 MB of keys': lambda: keys(5_000_000),
    '20 MB of keys': lambda: keys(20_000_000),
    '60 MB of small numbers': lambda: many(b'1', 60_000_000),
    '8 MB of small numbers': lambda: many(b'1', 8_000_000),
    '8 MB of empty objects': lambda: many(b'{}', 8_000_000),
    '60 MB of digits': lambda: b'{"a": ' + b'1' * 60_000_000 + b'}',
    '1 MB of nesting': lambda: b'[' * 500_000 + b']' * 500_000,
    '8 MB of escapes': lambda: b'{"model":"encoder-tiny","input":"' + b'\\u0041' * 1_300_000 + b'"}',
    'one text of 60 MB': lambda: embedding('hello world ' * 5_000_000),
    'one word of 8 MB': lambda: embedding('x' * 8_000_000),
    '2048 texts of 4 KB': lambda: embedding(['word ' * 800] * 2048),
    '2048 long words': lambda: embedding(['x' * 4000] * 2048),
    'not JSON': lambda: b'\xff' * 8_000_000,
}


def row(index, **body):
    return json.dumps({'custom_id': f'r{index}', 'method': 'POST', 'url': '/v1/embeddings', 'body': {'model': MODEL, 'input': 'hello', **body}})


def rows(count, make):
    return '\n'.join(make(i) for i in range(count)).encode()


FILES = {
    '60 rows with a heavy field that nobody reads': lambda: rows(60, lambda i: row(i, x=[{'a': 1}] * 350_000)),
    '40 rows of 300 000 keys': lambda: rows(40, lambda i: row(i, x={str(k): 1 for k in range(300_000)})),
    '60 rows of deep nesting': lambda: rows(60, lambda i: row(i)[:-2] + ',"x":' + '[' * 100_000 + ']' * 100_000 + '}}'),
    '1000 rows, the answer to which is an error': lambda: rows(1000, lambda i: row(i, input=7)),
}


class Live(threading.Thread):
    """Open loop: one request every 20 ms on a connection of its own."""

    def __init__(self, node):
        super().__init__(daemon=True)
        self.node, self.answers, self.over = node, [], False

    def run(self):
        begun, n = time.time(), 0
        while not self.over:
            threading.Thread(target=self.ask, args=(begun + n / PER_SECOND,), daemon=True).start()
            n += 1
            time.sleep(max(0, begun + n / PER_SECOND - time.time()))

    def ask(self, due):
        try:
            status = self.node.call('POST', '/v1/embeddings', {'model': MODEL, 'input': 'the quick brown fox'})[0]
        except (OSError, http.client.HTTPException) as error:
            status = type(error).__name__
        self.answers.append((due, time.time() - due, status))

    def between(self, start, end):
        chosen = [(took, status) for due, took, status in list(self.answers) if start <= due < end]
        times = sorted(took for took, _ in chosen)
        at = lambda share: times[min(len(times) - 1, int(share * len(times)))] * 1e3 if times else float('nan')
        return {'n': len(chosen), 'failed': [s for _, s in chosen if s != 200], 'p50': at(.5), 'p99': at(.99), 'max': at(1)}


def send(node, body):
    """Sends the whole body before it reads, as many clients do."""
    begun = time.time()
    try:
        status, _, raw = node.call('POST', '/v1/embeddings', body, {'content-type': 'application/json'})
        answer = f'{status} {json.loads(raw)["error"]["message"][:90]}' if status != 200 else '200'
    except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
        answer = f'{type(error).__name__}: {error}'
    return answer, time.time() - begun


def submit(node, content):
    begun = time.time()
    status, _, raw = node.call('POST', '/v1/files?purpose=batch&filename=rows.jsonl', content, {'content-type': 'application/x-ndjson'})
    if status != 200:
        return f'{status} {raw[:90].decode()}', time.time() - begun
    wanted = {'input_file_id': json.loads(raw)['id'], 'endpoint': '/v1/embeddings', 'completion_window': '24h'}
    batch = json.loads(node.call('POST', '/v1/batches', wanted)[2])
    while batch['status'] not in ('completed', 'failed', 'cancelled') and time.time() < begun + 120:
        time.sleep(0.2)
        batch = json.loads(node.call('GET', '/v1/batches/' + batch['id'])[2])
    return f"{batch['status']} {batch.get('request_counts')}", time.time() - begun


def attack(port, name):
    """Runs in the attacker's process, which also builds what it sends."""
    make, deliver = (BODIES[name], send) if name in BODIES else (FILES[name], submit)
    return deliver(Client(port), make())


def slow_connections(node):
    """Half a request on each of 200 connections, and garbage on others."""
    held = []
    for i in range(200):
        connection = socket.create_connection(('127.0.0.1', node.port))
        connection.sendall(b'POST /v1/embeddings HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{' if i % 2 else b'\x16\x03\x01 nonsense')
        held.append(connection)
    return held


def main():
    models = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / 'models'
    bad = []
    attacker = concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context('spawn'), os.nice, (ATTACKER_NICE,))
    with attacker, Node(models) as node:
        before = processes(node)
        live = Live(node)
        live.start()
        time.sleep(2)
        start = time.time()
        time.sleep(QUIET_S)
        quiet = live.between(start, time.time())
        print(f"quiet: {quiet['n']} live requests, p50 {quiet['p50']:.1f} ms, p99 {quiet['p99']:.1f} ms\n")
        print('| input | answer | after s | live failed | live p99 ms | max ms |\n|---|---|---|---|---|---|')
        held = slow_connections(node)
        for name in [*BODIES, *FILES]:
            start = time.time()
            answer, took = attacker.submit(attack, node.port, name).result()
            time.sleep(AFTER_S)
            seen = live.between(start, time.time() - 1)
            bad += [f'{name}: live {s}' for s in seen['failed']]
            print(f"| {name} | {answer} | {took:.1f} | {len(seen['failed'])} of {seen['n']} | {seen['p99']:.0f} | {seen['max']:.0f} |", flush=True)
        live.over = True
        for connection in held:
            connection.close()
        after = processes(node)
        for name, (pid, restarts) in after.items():
            size = resident_mib(pid)
            print(f'{name}: {size} MiB resident, {restarts} restarts')
            limit = API_RESIDENT_MIB_MAX if name.startswith('api') else RUNNER_RESIDENT_MIB_MAX if name == 'runner' else None
            bad += [f'{name} holds {size} MiB'] if limit and size > limit else []
        bad += [f'{name} died' for name in before if before[name] != after.get(name)]
    print('\n'.join(bad[:20]) or 'nothing failed')
    sys.exit(bool(bad))


if __name__ == '__main__':
    main()
