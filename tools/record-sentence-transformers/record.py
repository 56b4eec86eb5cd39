"""Records what sentence-transformers answers, for libs/models/src/sentence/parity.spec.ts.

    pip install -r requirements.txt
    python record.py ../../test/fixtures/sentence-transformers

Writes tiny models of random weights (`shared/` has their graphs and tokenizers, `cases/` the files in which each differs)
and `expected.json` with the vectors, which are those of PyTorch.
"""
import json, os, re, shutil, sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.models import Dense, Dropout, LayerNorm, Normalize, Pooling, Transformer
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast, RobertaConfig, RobertaModel

OUT = Path(sys.argv[1])
WIDTH = 8
TEXTS = ['hello world', 'the cat sat on the mat', 'Hello World', 'w3', '', 'a b c d w1 w2 w3 w4 w5 w6 w7 w8 w9']
SPECIAL = {'bert': ['[PAD]', '[UNK]', '[CLS]', '[SEP]'], 'roberta': ['<s>', '<pad>', '</s>', '<unk>']}
WORDS = 'hello world Hello World the cat sat on mat query document : a b c d'.split() + [f'w{i}' for i in range(10)]
torch.manual_seed(7)


def tokenizer(kind):
    special = SPECIAL[kind]
    names = dict(zip(('pad', 'unk', 'cls', 'sep') if kind == 'bert' else ('cls', 'pad', 'sep', 'unk'), special))
    vocabulary = {word: i for i, word in enumerate(special + WORDS)}
    t = Tokenizer(models.WordLevel(vocabulary, unk_token=names['unk']))
    t.pre_tokenizer = pre_tokenizers.Whitespace()
    pairs = [(names['cls'], vocabulary[names['cls']]), (names['sep'], vocabulary[names['sep']])]
    t.post_processor = processors.TemplateProcessing(single=f"{names['cls']} $A {names['sep']}", special_tokens=pairs)
    return PreTrainedTokenizerFast(tokenizer_object=t, model_max_length=32, **{f'{role}_token': token for role, token in names.items()})


def transformer(kind, folder):
    """A random transformer with its tokenizer, in Hugging Face's layout."""
    sizes = dict(vocab_size=len(SPECIAL[kind]) + len(WORDS), hidden_size=WIDTH, num_hidden_layers=1, num_attention_heads=2, intermediate_size=12,
                 max_position_embeddings=40, initializer_range=0.6)
    model = BertModel(BertConfig(**sizes)) if kind == 'bert' else RobertaModel(RobertaConfig(**sizes, type_vocab_size=1))
    model.eval().save_pretrained(folder)
    tokenizer(kind).save_pretrained(folder)
    return model


class Hidden(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask, position_ids=None):
        return self.model(input_ids=input_ids, attention_mask=attention_mask, position_ids=position_ids).last_hidden_state


def export(model, path, positions):
    ids = torch.tensor([[2, 5, 6, 3], [2, 7, 8, 3]])
    inputs = (ids, torch.ones_like(ids)) + ((torch.arange(4).expand(2, 4) + 2,) if positions else ())
    names = ['input_ids', 'attention_mask'] + (['position_ids'] if positions else [])
    axes = {name: {0: 'batch', 1: 'sequence'} for name in [*names, 'last_hidden_state']}
    torch.onnx.export(Hidden(model), inputs, path, input_names=names, output_names=['last_hidden_state'], dynamic_axes=axes, opset_version=17, dynamo=False)


def dense(out, activation, width=WIDTH, **more):
    layer = Dense(in_features=width, out_features=out, activation_function=activation, **more)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    return layer


def layer_norm():
    layer = LayerNorm(WIDTH)
    torch.nn.init.normal_(layer.norm.weight)
    torch.nn.init.normal_(layer.norm.bias)
    return layer


def mean():
    return Pooling(WIDTH, 'mean')


MODES = ['cls', 'max', 'mean', 'mean_sqrt_len_tokens', 'weightedmean', 'lasttoken']
QUERY = {'prompts': {'query': 'query : ', 'document': 'document : ', 'none': ''}, 'default_prompt_name': 'query'}


def legacy(folder):
    """The flags of versions before 6."""
    path = folder / '1_Pooling/config.json'
    flags = {'pooling_mode_cls_token': True, 'pooling_mode_mean_tokens': True, 'pooling_mode_lasttoken': True, 'pooling_mode_max_tokens': False}
    path.write_text(json.dumps({'word_embedding_dimension': WIDTH, **flags, 'include_prompt': True}))


def other_folder(folder):
    """The pooling is where modules.json says, and another one where it does not."""
    modules = json.loads((folder / 'modules.json').read_text())
    modules[1].update(path='pooled', type='sentence_transformers.models.Pooling', kwargs=[])
    modules[0]['type'] = 'sentence_transformers.models.Transformer'
    (folder / 'modules.json').write_text(json.dumps(modules))
    shutil.copytree(folder / '1_Pooling', folder / 'pooled')
    (folder / '1_Pooling/config.json').write_text(json.dumps({'embedding_dimension': WIDTH, 'pooling_mode': 'mean'}))


def weights_as(dtype):
    def convert(folder):
        path = folder / '2_Dense/model.safetensors'
        save_file({name: tensor.to(dtype) for name, tensor in load_file(path).items()}, path)
    return convert


def setting(file, **values):
    def change(folder):
        path = folder / file
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
    return change


def no_tokenizer_limit(folder):
    setting('tokenizer_config.json', model_max_length=64)(folder)
    setting('sentence_bert_config.json', max_seq_length=6)(folder)
    os.rename(folder / 'sentence_bert_config.json', folder / 'sentence_xlnet_config.json')


def cases():
    """Name, base, modules after the transformer, prompts, change of the saved files."""
    for mode in MODES:
        yield f'pooling-{mode}', 'bert', [Pooling(WIDTH, mode)], {}, None
        yield f'without-prompt-{mode}', 'bert', [Pooling(WIDTH, mode, include_prompt=False)], QUERY, None
    yield 'pooling-several', 'bert', [Pooling(WIDTH, ('lasttoken', 'max', 'mean'))], {}, None
    yield 'pooling-legacy-flags', 'bert', [mean()], {}, legacy
    yield 'pooling-other-folder', 'bert', [Pooling(WIDTH, 'cls')], {}, other_folder
    yield 'dense', 'bert', [mean(), dense(5, torch.nn.Tanh())], {}, None
    yield 'dense-after-several', 'bert', [Pooling(WIDTH, ('cls', 'mean')), dense(3, torch.nn.GELU(), width=2 * WIDTH, bias=False), Normalize()], {}, None
    yield 'dense-residual', 'bert', [mean(), dense(WIDTH, torch.nn.ReLU(), use_residual=True), dense(6, torch.nn.Identity(), use_residual=True)], {}, None
    yield 'dense-f16', 'bert', [mean(), dense(5, torch.nn.Identity())], {}, weights_as(torch.float16)
    yield 'dense-bf16', 'bert', [mean(), dense(5, torch.nn.SiLU())], {}, weights_as(torch.bfloat16)
    yield 'layer-norm', 'bert', [mean(), Dropout(0.3), layer_norm()], {}, None
    yield 'normalize-between', 'bert', [mean(), Normalize(), dense(4, torch.nn.Sigmoid()), Normalize()], {}, None
    yield 'prompts', 'bert', [mean(), Normalize()], QUERY, None
    yield 'lower-case', 'bert', [mean()], {}, setting('sentence_bert_config.json', do_lower_case=True)
    yield 'max-seq-length', 'bert', [mean()], {}, no_tokenizer_limit
    yield 'truncate-dim', 'bert', [mean(), Normalize()], {}, setting('config_sentence_transformers.json', truncate_dim=3)
    yield 'position-ids', 'bert-positions', [mean()], {}, None
    yield 'position-ids-roberta', 'roberta-positions', [mean()], {}, None


def record(name, base, modules, prompts, change, bases):
    folder = OUT / 'cases' / name
    SentenceTransformer(modules=[Transformer(str(bases[base])), *modules], **prompts).save(str(folder), create_model_card=False)
    if change:
        change(folder)
    model = SentenceTransformer(str(folder), device='cpu')
    names = [None, *(list(prompts.get('prompts', {})))]
    # One text at a time: no padding.
    answers = [{'promptName': prompt, 'vectors': [model.encode(text, prompt_name=prompt).tolist() for text in TEXTS]} for prompt in names]
    for path in filter(Path.is_file, list(folder.rglob('*'))):
        shared = bases[base] / path.relative_to(folder)
        if shared.is_file() and shared.read_bytes() == path.read_bytes():
            path.unlink()
    for own in ('config.json', 'model.safetensors'):
        (folder / own).unlink(missing_ok=True)
    return {'name': name, 'shared': base, 'answers': answers}


def activations():
    x = torch.linspace(-8, 8, 65)
    kinds = ['Identity', 'Tanh', 'Sigmoid', 'ReLU', 'ReLU6', 'LeakyReLU', 'ELU', 'CELU', 'SELU', 'GELU', 'SiLU', 'Mish', 'Softplus', 'Softsign', 'LogSigmoid',
             'Hardtanh', 'Hardsigmoid', 'Hardswish']
    return {'x': x.tolist(), 'y': {kind: getattr(torch.nn, kind)()(x).tolist() for kind in kinds}}


shutil.rmtree(OUT, ignore_errors=True)
bases = {}
for base in ['bert', 'bert-positions', 'roberta-positions']:
    bases[base] = OUT / 'shared' / base
    export(transformer(base.split('-')[0], bases[base]), str(bases[base] / 'model.onnx'), base.endswith('positions'))
recorded = [record(*case, bases) for case in cases()]
for base in bases.values():
    (base / 'model.safetensors').unlink()
expected = json.dumps({'texts': TEXTS, 'cases': recorded, 'activations': activations()})
# Nine digits are all that a float32 has.
(OUT / 'expected.json').write_text(re.sub(r'-?\d+\.\d+(e-?\d+)?', lambda number: f'{float(number[0]):.9g}', expected) + '\n')
