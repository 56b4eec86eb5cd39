"""Every call of the clients of others, by plain connections, with keys, by TLS and by mutual TLS: a table. Each row compares values with bare ONNX
Runtime or with another door. Exit code 1 for a row that is wrong."""
import argparse
import asyncio
import collections
import concurrent.futures
import contextlib
import dataclasses
import importlib
import json
import multiprocessing
import pathlib
import shutil
import sys
import tempfile

from certificates import Authority
from node import Client, Node, bearer, build_models, keys

MODELS = ('encoder-tiny', 'classifier', 'reranker', 'no-batch', 'types')
CONFIG = 'http: { sharedMemory: true }\n'
PARTS = ('door_triton', 'door_kserve', 'door_sdks', 'door_tools')
WAYS = ('plain', 'keys', 'TLS', 'mutual TLS and keys')
# What an answer says that refuses on purpose.
REFUSALS = ('does not have', 'keep no state', 'No such path', 'takes GET, HEAD, not POST', 'in the message only', 'expected only model')


class Missing(Exception):
    """A program that is not installed."""


@dataclasses.dataclass
class Way:
    """How callers reach the node: what all clients need to know."""
    port: int
    grpc_port: int
    headers: dict
    models: pathlib.Path
    authority: Authority | None = None
    pair: tuple | None = None

    @property
    def address(self):
        return f'localhost:{self.port}'

    @property
    def grpc_address(self):
        return f'localhost:{self.grpc_port}'

    @property
    def url(self):
        return f"{'http' if self.authority is None else 'https'}://{self.address}"

    @property
    def key(self):
        return self.headers.get('authorization', 'Bearer none').split()[1]

    def context(self):
        return None if self.authority is None else self.authority.context(self.pair)

    def pems(self):
        """Authority, key and certificate as gRPC takes them."""
        return [path and path.read_bytes() for path in (self.authority.cert, *(reversed(self.pair) if self.pair else (None, None)))]

    def asked(self, path, body):
        """The answer of another door."""
        status, _, raw = Client(self.port, self.context(), self.headers).call('POST', path, body)
        import json
        assert status == 200, raw
        return json.loads(raw)


def told(error):
    """The status and the words of the server, wherever a client keeps them."""
    answer = getattr(error, 'response', None)
    if answer is not None and hasattr(answer, 'text'):
        return f'{answer.status_code} {answer.text}'
    if hasattr(error, 'status_code'):
        return f'{error.status_code} {error.body}'
    return f'{type(error).__name__} {error}' if not hasattr(error, 'status') else str(error)


async def verdict(run):
    try:
        made = run()
        if asyncio.iscoroutine(made):
            await asyncio.wait_for(made, 60)
        return 'works'
    except Missing as error:
        return f'skipped: {error}'
    except Exception as error:  # noqa: BLE001 - whatever a client throws is the row
        said = told(error).replace('\n', ' ').replace('|', '/')
        refused = any(words in said for words in REFUSALS)
        return f'not supported: {said[:160]}' if refused else f'WRONG: {said[:400]}'


@contextlib.contextmanager
def node_for(name, models, folder):
    authority = Authority(folder) if 'TLS' in name else None
    pair = authority.issue('caller') if 'mutual' in name else None
    env = {}
    if authority is not None:
        cert, key = authority.issue('node')
        env = {'TLS_CERT_FILE': str(cert), 'TLS_KEY_FILE': str(key), **({'TLS_CLIENT_CA_FILE': str(authority.cert)} if pair else {})}
    node = Node(models, config=CONFIG, env=env, tls=authority and authority.context(pair))
    headers = bearer(keys(node.folder, 'add', '--tenant', 'a')['key']) if 'keys' in name else {}
    node.headers = headers
    with node:
        yield Way(node.port, node.grpc_port, headers, models, authority, pair)


async def said_by(part, way, only):
    said = {}
    async for client, call, run in importlib.import_module(part).rows(way):
        if only in f'{client} {call}':
            said[client, call] = await verdict(run)
    return said


def said_apart(part, way, only):
    """In a process of its own: Triton's and KServe's messages have the same names, and one process holds one of them."""
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context('spawn')) as pool:
        return pool.submit(run_part, part, way, only).result()


def run_part(part, way, only):
    return asyncio.run(said_by(part, way, only))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--ways', nargs='*', default=list(WAYS), choices=list(WAYS))
    parser.add_argument('--only', default='', help='part of the client and call')
    wanted = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix='il-doors-'))
    models = folder / 'models'
    build_models(models, *MODELS)
    table = collections.defaultdict(dict)
    for name in wanted.ways:
        with node_for(name, models, folder) as way:
            for part in PARTS:
                for row, said in said_apart(part, way, wanted.only).items():
                    table[row][name] = said
    shutil.rmtree(folder)
    print(f"| client | call | {' | '.join(wanted.ways)} |\n|---|---|{'---|' * len(wanted.ways)}")
    for (client, call), said in table.items():
        print(f"| {client} | {call} | {' | '.join(said.get(name, '') for name in wanted.ways)} |")
    kinds = collections.Counter(one.split(':')[0] for said in table.values() for one in said.values())
    print('\n' + ', '.join(f'{count} {kind}' for kind, count in kinds.items()))
    sys.exit('WRONG' in kinds)


if __name__ == '__main__':
    main()
