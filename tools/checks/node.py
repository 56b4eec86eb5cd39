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
    """Calls the node at a port of this machine. `tls`: an SSLContext, or None. `headers` go with every call."""

    def __init__(self, port, tls=None, headers=None):
        self.port, self.tls, self.headers = port, tls, headers or {}

    def call(self, method, path, body=None, headers=None, timeout=120):
        """Returns status, headers and body."""
        if self.tls is None:
            connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=timeout)
        else:
            connection = http.client.HTTPSConnection('localhost', self.port, timeout=timeout, context=self.tls)
        headers = {**self.headers, **(headers or {})}
        if isinstance(body, (dict, list)):
            body, headers = json.dumps(body).encode(), {'content-type': 'application/json', **headers}
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        raw = answer.read()
        connection.close()
        return answer.status, answer.headers, raw


class Node(Client):
    """Use as a context manager: `models` is a folder that the caller fills before. `env` is added to the environment of the node."""

    def __init__(self, models, config='', env=None, tls=None):
        super().__init__(port=0, tls=tls)
        self.models = models
        self.config = config
        self.env = env or {}
        self.folder = tempfile.mkdtemp(prefix='il-')

    def __enter__(self):
        self.port, self.grpc_port = free_ports(2)
        pathlib.Path(self.folder, 'interleave.yaml').write_text(self.config)
        env = {**os.environ, 'PORT': str(self.port), 'GRPC_PORT': str(self.grpc_port), 'DATA_DIR': self.folder + '/data'}
        env |= {'MODELS_DIR': str(self.models), 'LOG_LEVEL': 'warn', **self.env}
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


def free_ports(count):
    probes = [socket.create_server(('127.0.0.1', 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def build_models(folder, *names):
    """Models of tools/model-builder, which `make build` compiles."""
    command = ['node', str(ROOT / 'dist/tools/model-builder/src/main.js'), '--out', str(folder), '--models', ','.join(names)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def processes(node):
    """{id: (pid, restarts)} as the scheduler says."""
    client = http.client.HTTPConnection('node')
    client.sock = socket.socket(socket.AF_UNIX)
    client.sock.connect(f'{node.folder}/data/run/scheduler.status.sock')
    client.request('GET', '/status')
    return {p['id']: (p['pid'], p['restarts']) for p in json.loads(client.getresponse().read())['processes']}


def resident_mib(pid):
    return int(next(line for line in open(f'/proc/{pid}/status') if line.startswith('VmRSS')).split()[1]) // 1024


def keys(folder, *arguments):
    """`interleave keys` for the node whose data are in `folder`."""
    done = subprocess.run(['node', str(ROOT / 'bin/interleave.js'), 'keys', *arguments, '--json'], cwd=folder, check=True, capture_output=True,
                          env={**os.environ, 'DATA_DIR': folder + '/data'})
    return json.loads(done.stdout)


def bearer(key):
    return {'authorization': f'Bearer {key}'}


def at_once(function, items, threads=16):
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, items))
