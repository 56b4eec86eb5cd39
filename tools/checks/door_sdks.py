"""Calls of the SDKs of OpenAI and Cohere, and Jina's shapes."""
import asyncio
import json
import time

import cohere
import httpx
import numpy as np
import openai

TEXTS = ['hello world', 'the quick brown fox', 'a b c']
BATCH_S_MAX = 60


def near(a, b):
    a, b = np.asarray(a), np.asarray(b)
    assert a.shape == b.shape and np.abs(a - b).max() < 1e-5, (a, b)


def openai_rows(door, way):
    vectors = lambda: way.asked('/v1/models/encoder-tiny:predict', {'instances': TEXTS})['predictions']

    def embedded(**more):
        answer = door.embeddings.create(model='encoder-tiny', input=TEXTS, **more)
        near([item.embedding for item in answer.data], vectors())
        assert answer.usage.prompt_tokens == sum(item['count'] for item in way.asked('/v1/tokenize', {'model': 'encoder-tiny', 'input': TEXTS})['data'])

    def shorter():
        answer = np.array([item.embedding for item in door.embeddings.create(model='encoder-tiny', input=TEXTS, dimensions=8).data])
        wanted = np.array(vectors())[:, :8]
        near(answer, wanted / np.linalg.norm(wanted, axis=1, keepdims=True))

    def fails(kind, call, is_shaped=True):
        try:
            call()
        except kind as error:
            # The path of one model is KServe's as well, and has errors of its shape.
            assert not is_shaped or (error.body['message'] and error.body['type']), error.body
            return
        raise AssertionError('answered')

    def file_of(rows):
        return door.files.create(file=('rows.jsonl', '\n'.join(map(json.dumps, rows)).encode()), purpose='batch')

    def row(i, **body):
        return {'custom_id': str(i), 'method': 'POST', 'url': '/v1/embeddings', 'body': {'model': 'encoder-tiny', **body}}

    def files():
        file = file_of([row(0, input='hello')])
        assert door.files.retrieve(file.id).bytes == file.bytes
        assert json.loads(door.files.content(file.id).text)['custom_id'] == '0'
        assert file.id in [one.id for one in door.files.list(purpose='batch')]
        assert door.files.delete(file.id).deleted
        fails(openai.NotFoundError, lambda: door.files.retrieve(file.id))

    def batches():
        file = file_of([*(row(i, input=text) for i, text in enumerate(TEXTS)), row(3, input='x ' * 100_000)])
        batch = door.batches.create(input_file_id=file.id, endpoint='/v1/embeddings', completion_window='24h', metadata={'a': 'b'})
        end = time.time() + BATCH_S_MAX
        while batch.status not in ('completed', 'failed', 'cancelled') and time.time() < end:
            time.sleep(.2)
            batch = door.batches.retrieve(batch.id)
        assert batch.status == 'completed' and batch.request_counts.completed == 3 and batch.request_counts.failed == 1, batch
        lines = {line['custom_id']: line for line in map(json.loads, door.files.content(batch.output_file_id).text.splitlines())}
        near([lines[str(i)]['response']['body']['data'][0]['embedding'] for i in range(3)], vectors())
        [error] = map(json.loads, door.files.content(batch.error_file_id).text.splitlines())
        assert error['custom_id'] == '3', error
        assert batch.id in [one.id for one in door.batches.list(limit=5)]
        fails(openai.ConflictError, lambda: door.batches.cancel(batch.id))

    def cancelled():
        file = file_of([row(i, input=TEXTS) for i in range(2000)])
        batch = door.batches.create(input_file_id=file.id, endpoint='/v1/embeddings', completion_window='24h')
        assert door.batches.cancel(batch.id).status in ('cancelling', 'cancelled')

    def models():
        assert {'encoder-tiny', 'classifier'} <= {model.id for model in door.models.list()}
        assert door.models.retrieve('encoder-tiny').id == 'encoder-tiny'
        fails(openai.NotFoundError, lambda: door.models.retrieve('none'), is_shaped=False)

    yield 'embeddings.create', embedded
    yield 'embeddings.create, encoding_format float', lambda: embedded(encoding_format='float')
    yield 'embeddings.create, dimensions', shorter
    yield 'embeddings.create, one string', lambda: near(door.embeddings.create(model='encoder-tiny', input=TEXTS[0]).data[0].embedding, vectors()[0])
    yield 'embeddings.create, unknown model: NotFoundError', lambda: fails(openai.NotFoundError, lambda: door.embeddings.create(model='none', input='a'))
    yield 'embeddings.create, wrong input: BadRequestError', lambda: fails(openai.BadRequestError, lambda: door.embeddings.create(model='encoder-tiny', input=[]))
    yield 'files: create, retrieve, content, list, delete', files
    yield 'batches: create, retrieve, list, results, errors', batches
    yield 'batches.cancel', cancelled
    yield 'models: list, retrieve', models
    yield 'chat.completions.create', lambda: door.chat.completions.create(model='encoder-tiny', messages=[{'role': 'user', 'content': 'a'}])
    yield 'completions.create', lambda: door.completions.create(model='encoder-tiny', prompt='a')
    yield 'responses.create', lambda: door.responses.create(model='encoder-tiny', input='a')
    yield 'moderations.create', lambda: door.moderations.create(model='classifier', input='a')
    yield 'files: uploads.create', lambda: door.uploads.create(bytes=1, filename='a', mime_type='text/plain', purpose='batch')


def scores(way):
    pairs = [{'text': 'hello', 'text_pair': text} for text in TEXTS]
    return [one['score'] for one in way.asked('/v1/models/reranker:predict', {'instances': pairs})['predictions']]


def is_ranked(way, results, count):
    wanted = sorted(enumerate(scores(way)), key=lambda pair: -pair[1])[:count]
    assert [index for index, _ in results] == [index for index, _ in wanted], (results, wanted)
    near([score for _, score in results], [score for _, score in wanted])


def cohere_rows(one, two, way):
    ranked = lambda answer: [(item.index, item.relevance_score) for item in answer.results]

    def first(**more):
        answer = one.rerank(model='reranker', query='hello', documents=TEXTS, **more)
        is_ranked(way, ranked(answer), more.get('top_n', 3))
        if more.get('return_documents'):
            assert [item.document.text for item in answer.results] == [TEXTS[item.index] for item in answer.results]

    def tokenized():
        answer = one.tokenize(text='hello world', model='encoder-tiny', offline=False)
        assert answer.tokens == way.asked('/v1/tokenize', {'model': 'encoder-tiny', 'prompt': 'hello world'})['tokens']

    def detokenized():
        answer = one.detokenize(tokens=[2, 9, 3], model='encoder-tiny', offline=False)
        assert answer.text == way.asked('/v1/detokenize', {'model': 'encoder-tiny', 'tokens': [2, 9, 3]})['prompt']

    yield 'rerank (v1)', first
    yield 'rerank (v1), top_n, return_documents', lambda: first(top_n=2, return_documents=True)
    yield 'rerank (v1), documents as objects', lambda: is_ranked(way, ranked(one.rerank(model='reranker', query='hello', documents=[{'text': t} for t in TEXTS], rank_fields=['text'])), 3)
    yield 'rerank (v2)', lambda: is_ranked(way, ranked(two.rerank(model='reranker', query='hello', documents=TEXTS, top_n=2)), 2)
    yield 'rerank (v2), max_tokens_per_doc', lambda: is_ranked(way, ranked(two.rerank(model='reranker', query='hello', documents=TEXTS, max_tokens_per_doc=400)), 3)
    yield 'embed (v1)', lambda: one.embed(model='encoder-tiny', texts=TEXTS, input_type='search_document')
    yield 'embed (v2)', lambda: two.embed(model='encoder-tiny', texts=TEXTS, input_type='search_document', embedding_types=['float'])
    yield 'tokenize', tokenized
    yield 'detokenize', detokenized
    yield 'classify', lambda: one.classify(model='classifier', inputs=['hello'], examples=[])
    yield 'chat (v2)', lambda: two.chat(model='encoder-tiny', messages=[{'role': 'user', 'content': 'a'}])
    yield 'models.list', lambda: one.models.list()


def jina_rows(http, way):
    def post(path, body, status=200):
        answer = http.post(way.url + path, json=body, headers=way.headers)
        assert answer.status_code == status, answer.text
        return answer.json()

    def ranked():
        answer = post('/v1/rerank', {'model': 'reranker', 'query': 'hello', 'documents': TEXTS, 'top_n': 2, 'return_documents': True})
        is_ranked(way, [(item['index'], item['relevance_score']) for item in answer['results']], 2)
        assert answer['usage']['total_tokens'] > 0 and answer['results'][0]['document']['text'] == TEXTS[answer['results'][0]['index']]

    def embedded(**more):
        answer = post('/v1/embeddings', {'model': 'encoder-tiny', 'input': TEXTS, **more})
        near([item['embedding'] for item in answer['data']], way.asked('/v1/models/encoder-tiny:predict', {'instances': TEXTS})['predictions'])

    def classified():
        answer = post('/v1/classify', {'model': 'classifier', 'input': TEXTS})
        wanted = way.asked('/v1/models/classifier:predict', {'instances': TEXTS})['predictions']
        assert [item['prediction'] for item in answer['data']] == [one[0]['label'] for one in wanted]

    yield 'rerank, top_n, return_documents', ranked
    yield 'embeddings', embedded
    yield 'embeddings, normalized, embedding_type float', lambda: embedded(normalized=True, embedding_type='float')
    yield 'embeddings, task: refused, as it would change the vectors', lambda: post('/v1/embeddings', {'model': 'encoder-tiny', 'input': TEXTS, 'task': 'text-matching'}, 400)
    yield 'classify', classified


async def rows(way):
    """The clients wait: in a thread, so that the loop goes on."""
    with httpx.Client(verify=way.context() or True, timeout=60) as http:
        own = {'api_key': way.key, 'max_retries': 0, 'http_client': http}
        tables = {
            f'openai {openai.__version__}': openai_rows(openai.OpenAI(base_url=way.url + '/v1', **own), way),
            f'cohere {cohere.__version__}': cohere_rows(*(kind(api_key=way.key, base_url=way.url, httpx_client=http) for kind in (cohere.Client, cohere.ClientV2)), way),
            "Jina's shapes": jina_rows(http, way)}
        for client, table in tables.items():
            for call, run in table:
                yield client, call, lambda run=run: asyncio.to_thread(run)
    async with httpx.AsyncClient(verify=way.context() or True, timeout=60) as http:
        door = openai.AsyncOpenAI(base_url=way.url + '/v1', api_key=way.key, max_retries=0, http_client=http)

        async def many():
            answers = await asyncio.gather(*(door.embeddings.create(model='encoder-tiny', input=TEXTS) for _ in range(32)))
            wanted = way.asked('/v1/models/encoder-tiny:predict', {'instances': TEXTS})['predictions']
            for answer in answers:
                near([item.embedding for item in answer.data], wanted)
        yield f'openai {openai.__version__}', 'AsyncOpenAI: embeddings.create, 32 at once', many
