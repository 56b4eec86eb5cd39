"""Trains the model and writes its parameters to an .npz file."""

import argparse
import queue
import threading
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

from langid.languages import DEV_ARTICLES, LABELS, TEST_ARTICLES
from langid.model import encode, forward, init_params, pad, predict
from langid.spans import add_noise, draw_span, load_texts

SEED = 20240
BUCKETS = (40, 64, 96, 136, 192, 272)
TOKENS_PER_BATCH = 8192
PEAK_RATE = 2e-3
WEIGHT_DECAY = 0.05
LABEL_SMOOTHING = 0.05
AVERAGE_DECAY = 0.999


def draw_example(rng, texts):
    """(token ids, label) of a noisy random span; most spans are short."""
    label = int(rng.integers(len(texts)))
    text = texts[label][rng.integers(len(texts[label]))]
    shortest, longest = ((8, 60), (20, 60), (60, 200))[rng.choice(3, p=(0.3, 0.4, 0.3))]
    row = encode(add_noise(rng, draw_span(rng, text, shortest, longest)))
    if len(row) > BUCKETS[-1]:
        row = np.concatenate([row[: BUCKETS[-1] - 1], row[-1:]])
    return row, label


def batches(texts, steps):
    """Yields (ids [B, L], mask [B, L], labels [B]) with one of the lengths of BUCKETS per batch."""
    rng = np.random.default_rng(SEED)
    waiting = {length: [] for length in BUCKETS}
    while steps:
        row, label = draw_example(rng, texts)
        length = next(b for b in BUCKETS if b >= len(row))
        waiting[length].append((row, label))
        if len(waiting[length]) == TOKENS_PER_BATCH // length:
            rows, labels = zip(*waiting[length])
            waiting[length] = []
            steps -= 1
            yield *pad(rows, length), np.array(labels, np.int32)


def prefetch(iterator, depth=16):
    """Runs an iterator in a thread."""
    ready = queue.Queue(depth)

    def fill():
        for item in iterator:
            ready.put(item)
        ready.put(None)

    threading.Thread(target=fill, daemon=True).start()
    return iter(ready.get, None)


def loss_of(params, ids, mask, labels, key):
    """Mean cross entropy with smoothed labels."""
    logits = forward(params, ids, mask, key)
    targets = optax.smooth_labels(jax.nn.one_hot(labels, len(LABELS)), LABEL_SMOOTHING)
    return optax.softmax_cross_entropy(logits, targets).mean()


def make_update(optimizer):
    """The compiled training step; it also keeps the running average of the parameters."""

    @jax.jit
    def update(params, average, state, ids, mask, labels, step):
        key = jax.random.fold_in(jax.random.key(SEED, impl="rbg"), step)
        loss, gradients = jax.value_and_grad(loss_of)(params, ids, mask, labels, key)
        changes, state = optimizer.update(gradients, state, params)
        params = optax.apply_updates(params, changes)
        decay = jnp.minimum(AVERAGE_DECAY, (step + 1) / (step + 10))
        average = jax.tree.map(lambda a, p: decay * a + (1 - decay) * p, average, params)
        return params, average, state, loss

    return update


def accuracy(params, texts, shortest, longest, spans=40):
    """Accuracy on clean spans, the same number for each language."""
    rng = np.random.default_rng(SEED)
    right = 0
    for label, declarations in enumerate(texts):
        rows = [encode(draw_span(rng, declarations[i % len(declarations)], shortest, longest)) for i in range(spans)]
        logits = predict(params, *pad(rows, 512 if max(map(len, rows)) > 192 else 192))
        right += int((np.asarray(logits).argmax(1) == label).sum())
    return right / (spans * len(texts))


def save(path, params):
    """Writes the parameters as an .npz file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **{name: np.asarray(array) for name, array in params.items()})


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--data", type=Path, default=Path("build/udhr.json"))
    args.add_argument("--out", type=Path, default=Path("build/params.npz"))
    args.add_argument("--steps", type=int, default=6000)
    args.add_argument("--schedule", type=int, default=8500, help="steps over which the rate would fall to its end")
    args.add_argument("--dev", action="store_true", help="hold the DEV articles out too and report on them")
    args = args.parse_args()

    held = TEST_ARTICLES + DEV_ARTICLES if args.dev else TEST_ARTICLES
    texts = load_texts(args.data, lambda n: n not in held)
    dev_texts = load_texts(args.data, lambda n: n in DEV_ARTICLES) if args.dev else None

    params = average = init_params(SEED)
    print(sum(p.size for p in params.values()), "parameters", flush=True)
    schedule = optax.warmup_cosine_decay_schedule(0, PEAK_RATE, args.schedule // 20, args.schedule, PEAK_RATE / 100)
    decayed = {name: array.ndim == 2 for name, array in params.items()}
    optimizer = optax.chain(
        optax.clip_by_global_norm(1.0), optax.adamw(schedule, weight_decay=WEIGHT_DECAY, mask=decayed)
    )
    state, update = optimizer.init(params), make_update(optimizer)

    start, losses = time.time(), []
    for step, batch in enumerate(prefetch(batches(texts, args.steps))):
        params, average, state, loss = update(params, average, state, *batch, step)
        losses.append(loss)
        if (step + 1) % 500 == 0:
            line = f"step {step + 1} loss {np.mean(losses[-500:]):.4f} {time.time() - start:.0f} s"
            if args.dev and (step + 1) % 1000 == 0:
                line += f" dev {accuracy(average, dev_texts, 20, 60):.4f} {accuracy(average, dev_texts, 60, 200):.4f}"
            print(line, flush=True)
            save(args.out, average)

    save(args.out, average)


if __name__ == "__main__":
    main()
