"""One Interleave node, started and ended by a test program, and the few calls that the programs make."""
import concurrent.futures
import http.client
import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time
import uuid

ROOT = pathlib.Path(__file__).resolve().parents[2]
READY_S_MAX = 300
BATCH_S_MAX = 120


class Client:
    """Calls the node at a port of this machine."""

    def __init__(self, port):
        self.port = port

    def call(self, method, path, body=None, headers=None, timeout=120):
        """Returns status, headers and body."""
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=timeout)
        if isinstance(body, (dict, list)):
            body, headers = json.dumps(body).encode(), {'content-type': 'application/json', **(headers or {})}
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        raw = answer.read()
        connection.close()
        return answer.status, answer.headers, raw


class Node(Client):
    """Use as a context manager: `models` is a folder that the caller fills before."""

    def __init__(self, models, config=''):
        super().__init__(port=0)
        self.models = models
        self.config = config

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix='il-')
        with socket.socket() as probe:
            probe.bind(('127.0.0.1', 0))
            self.port = probe.getsockname()[1]
        pathlib.Path(self.folder, 'interleave.yaml').write_text(self.config)
        env = {**os.environ, 'PORT': str(self.port), 'GRPC_PORT': '0', 'DATA_DIR': self.folder + '/data', 'MODELS_DIR': str(self.models), 'LOG_LEVEL': 'warn'}
        self.log = open(self.folder + '/log', 'wb')
        self.process = subprocess.Popen(['node', str(ROOT / 'bin/interleave.js'), 'up'], cwd=self.folder, env=env, stdout=self.log, stderr=self.log)
        end = time.time() + READY_S_MAX
        while self.states() is None or any(state == 'loading' for state, _ in self.states().values()):
            if self.process.poll() is not None or time.time() > end:
                raise RuntimeError('the node did not start:\n' + open(self.folder + '/log').read()[-4000:])
            time.sleep(0.2)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(60)
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def states(self):
        """{name: (state, reason)}; None while nobody answers."""
        try:
            status, _, raw = self.call('GET', '/v1/models')
        except OSError:
            return None
        if status != 200:
            return None
        return {m['id']: (m['versions'][0]['state'], m['versions'][0].get('reason') or '') for m in json.loads(raw)['data']}

    def batch(self, endpoint, bodies):
        """Runs bodies as the rows of a batch; returns a list of (body or None, error or None) in their order."""
        lines = [json.dumps({'custom_id': str(i), 'method': 'POST', 'url': endpoint, 'body': b}) for i, b in enumerate(bodies)]
        mark = uuid.uuid4().hex
        part = f'--{mark}\r\ncontent-disposition: form-data; name='
        form = f'{part}"purpose"\r\n\r\nbatch\r\n{part}"file"; filename="rows.jsonl"\r\n\r\n' + '\n'.join(lines) + f'\n\r\n--{mark}--\r\n'
        status, _, raw = self.call('POST', '/v1/files', form.encode(), {'content-type': f'multipart/form-data; boundary={mark}'})
        if status != 200:
            return [(None, raw.decode(errors='replace'))] * len(bodies)
        wanted = {'input_file_id': json.loads(raw)['id'], 'endpoint': endpoint, 'completion_window': '24h'}
        status, _, raw = self.call('POST', '/v1/batches', wanted)
        if status != 200:
            return [(None, raw.decode(errors='replace'))] * len(bodies)
        batch, end = json.loads(raw), time.time() + BATCH_S_MAX
        while batch['status'] not in ('completed', 'failed', 'expired', 'cancelled') and time.time() < end:
            time.sleep(0.05)
            batch = json.loads(self.call('GET', '/v1/batches/' + batch['id'])[2])
        results = [(None, f"batch {batch['status']}: {json.dumps(batch.get('errors'))}")] * len(bodies)
        for name in ('output_file_id', 'error_file_id'):
            if batch.get(name):
                for line in self.call('GET', f'/v1/files/{batch[name]}/content')[2].decode().splitlines():
                    row = json.loads(line)
                    good = row['response'] is not None and row['response']['status_code'] == 200
                    failure = None if good else json.dumps(row['error'] or row['response']['body'])
                    results[int(row['custom_id'])] = (row['response']['body'] if good else None, failure)
        return results


def at_once(function, items, threads=16):
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, items))
