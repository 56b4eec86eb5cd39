"""The network: byte embeddings, two masked convolutions, a transformer encoder, mean pooling.

Shapes: B texts, L tokens, T = ceil(L / STRIDE) positions of the encoder, D channels, N labels.
"""

import jax
import jax.numpy as jnp
import numpy as np

from langid.languages import LABELS

PAD, CLS, SEP, FIRST_BYTE = 0, 1, 2, 3
VOCABULARY = FIRST_BYTE + 256
MAX_TOKENS = 512

EMBEDDING = 64
HIDDEN = 128
HEADS = 4
LAYERS = 2
FEED_FORWARD = 256
KERNEL = 5
STRIDE = 4
LAYER_NORM_EPSILON = 1e-5


def init_params(seed):
    """Random parameters as a flat {name: float32 array}; matrices are [inputs, outputs]."""
    rng = np.random.default_rng(seed)
    params = {}

    def linear(name, inputs, outputs):
        params[f"{name}.weight"] = rng.normal(0, inputs**-0.5, (inputs, outputs)).astype(np.float32)
        params[f"{name}.bias"] = np.zeros(outputs, np.float32)

    def norm(name):
        params[f"{name}.weight"] = np.ones(HIDDEN, np.float32)
        params[f"{name}.bias"] = np.zeros(HIDDEN, np.float32)

    params["embedding.weight"] = rng.normal(0, 1, (VOCABULARY, EMBEDDING)).astype(np.float32)
    linear("conv1", KERNEL * EMBEDDING, HIDDEN)
    linear("conv2", KERNEL * HIDDEN, HIDDEN)
    for i in range(LAYERS):
        norm(f"layer{i}.norm1")
        linear(f"layer{i}.qkv", HIDDEN, 3 * HIDDEN)
        linear(f"layer{i}.out", HIDDEN, HIDDEN)
        norm(f"layer{i}.norm2")
        linear(f"layer{i}.up", HIDDEN, FEED_FORWARD)
        linear(f"layer{i}.down", FEED_FORWARD, HIDDEN)
    norm("final_norm")
    linear("classifier", HIDDEN, len(LABELS))
    return params


def linear(params, name, x):
    """[..., inputs] -> [..., outputs]."""
    return x @ params[f"{name}.weight"] + params[f"{name}.bias"]


def layer_norm(params, name, x):
    """Normalises the last axis."""
    mean = x.mean(-1, keepdims=True)
    variance = jnp.square(x - mean).mean(-1, keepdims=True)
    x = (x - mean) * jax.lax.rsqrt(variance + LAYER_NORM_EPSILON)
    return x * params[f"{name}.weight"] + params[f"{name}.bias"]


def convolution(params, name, x, stride):
    """[B, L, C] -> [B, ceil(L / stride), D]; output t is centred on input t * stride."""
    length = x.shape[1]
    side = KERNEL // 2
    x = jnp.pad(x, ((0, 0), (side, side), (0, 0)))
    windows = [x[:, k : k + length : stride] for k in range(KERNEL)]
    return linear(params, name, jnp.concatenate(windows, -1))


def dropout(key, rate, x):
    """Zeroes a part of the channels of each text in x [B, ..., C]; without a key it does nothing."""
    if key is None:
        return x
    shape = (x.shape[0], *[1] * (x.ndim - 2), x.shape[-1])
    return x * jax.random.bernoulli(key, 1 - rate, shape) / (1 - rate)


def attention(params, name, x, bias):
    """Self-attention. x [B, T, D], bias [B, 1, 1, T] -> [B, T, D]."""
    batch, length, _ = x.shape
    qkv = linear(params, f"{name}.qkv", x).reshape(batch, length, 3, HEADS, HIDDEN // HEADS)
    q, k, v = (qkv[:, :, i].transpose(0, 2, 1, 3) for i in range(3))
    scores = q @ k.transpose(0, 1, 3, 2) * (HIDDEN // HEADS) ** -0.5 + bias
    mixed = jax.nn.softmax(scores) @ v
    return linear(params, f"{name}.out", mixed.transpose(0, 2, 1, 3).reshape(batch, length, HIDDEN))


def forward(params, ids, mask, key=None, rate=0.1):
    """ids and mask [B, L] -> logits [B, N]. Padding is zeroed before each convolution."""
    keys = [None] * (2 * LAYERS + 2) if key is None else list(jax.random.split(key, 2 * LAYERS + 2))
    tokens = mask[:, :, None].astype(jnp.float32)
    positions = tokens[:, ::STRIDE]
    bias = (positions[:, None, None, :, 0] - 1) * 1e9

    x = dropout(keys.pop(), rate, params["embedding.weight"][ids]) * tokens
    x = jax.nn.gelu(convolution(params, "conv1", x, 1), approximate=False) * tokens
    x = jax.nn.gelu(convolution(params, "conv2", x, STRIDE), approximate=False)
    for i in range(LAYERS):
        h = attention(params, f"layer{i}", layer_norm(params, f"layer{i}.norm1", x), bias)
        x = x + dropout(keys.pop(), rate, h)
        h = linear(params, f"layer{i}.up", layer_norm(params, f"layer{i}.norm2", x))
        h = linear(params, f"layer{i}.down", jax.nn.gelu(h, approximate=False))
        x = x + dropout(keys.pop(), rate, h)
    x = layer_norm(params, "final_norm", x) * positions
    pooled = x.sum(1) / positions.sum(1)
    return linear(params, "classifier", dropout(keys.pop(), rate, pooled))


def encode(text):
    """The token ids of one text, what tokenizer.json gives for composed text."""
    body = np.frombuffer(text.encode()[: MAX_TOKENS - 2], np.uint8)
    return np.concatenate([[CLS], body.astype(np.int32) + FIRST_BYTE, [SEP]])


def pad(rows, length):
    """Token ids -> (ids, mask), both int32 [len(rows), length]."""
    ids = np.full((len(rows), length), PAD, np.int32)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = row
    return ids, (ids != PAD).astype(np.int32)


predict = jax.jit(lambda params, ids, mask: forward(params, ids, mask))
