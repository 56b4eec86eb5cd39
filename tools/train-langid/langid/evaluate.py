"""Measures the exported ONNX file on the held-out articles and writes the figures into the model card.

Also writes expected-1000.jsonl: texts with the label and the score this file gives to each.
"""

import argparse
import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from langid.languages import LABELS, TEST_ARTICLES
from langid.spans import change_case, draw_span, drop_accents, load_texts

SEED = 7
SPANS = 200
BUCKETS = {"20-60": (20, 60), "60-200": (60, 200)}
EXPECTED = 1000
SPECIAL_TEXTS = ["", " ", "\n", "🙂", "👍🏽👍🏽", "12345", "3.14159", "?!", "a", "é", "e\u0301", "日"]
SPECIAL_TEXTS += ["Привет, world! 你好", "\u200b"]


class Classifier:
    """The exported model with its tokenizer."""

    def __init__(self, folder):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self.labels = [config["id2label"][str(i)] for i in range(len(config["id2label"]))]
        self.pad = config["pad_token_id"]

    def logits(self, texts, length=0):
        """[len(texts), labels], padded to the longest text or to `length` tokens."""
        rows = [encoding.ids for encoding in self.tokenizer.encode_batch(texts)]
        length = max(length, *map(len, rows), 0)
        ids = np.full((len(rows), length), self.pad, np.int64)
        mask = np.zeros_like(ids)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = row
            mask[i, : len(row)] = 1
        return self.session.run(["logits"], {"input_ids": ids, "attention_mask": mask})[0]

    def predict(self, texts, batch=64):
        """The label indices of the texts; texts of like length go together."""
        order = np.argsort([len(text.encode()) for text in texts], kind="stable")
        best = np.empty(len(texts), np.int64)
        for part in np.split(order, range(batch, len(texts), batch)):
            best[part] = self.logits([texts[i] for i in part]).argmax(1)
        return best


def draw_full_span(rng, text, shortest, longest):
    """A span that still has `shortest` characters without the white space around it."""
    while len(span := draw_span(rng, text, shortest, longest)) < shortest:
        pass
    return span


def draw_spans(texts, shortest, longest):
    """[(text, label index)] with SPANS spans per language, its declarations taking turns."""
    rng = np.random.default_rng(SEED)
    return [
        (draw_full_span(rng, declarations[i % len(declarations)], shortest, longest), label)
        for label, declarations in enumerate(texts)
        for i in range(SPANS)
    ]


def measure(classifier, spans):
    """(accuracy per label [N], Counter of (true, predicted) label pairs of the errors)."""
    truth = np.array([label for _, label in spans])
    found = classifier.predict([text for text, _ in spans])
    errors = Counter((LABELS[t], LABELS[f]) for t, f in zip(truth, found) if t != f)
    return (truth == found).reshape(len(LABELS), SPANS).mean(1), errors


def everyday_section(classifier, path):
    """Markdown on the everyday sentences of a tab-separated file (label, text)."""
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
    found = [classifier.labels[i] for i in classifier.predict([text for _, text in rows])]
    errors = Counter((label, f) for (label, _), f in zip(rows, found) if label != f)
    languages = len({label for label, _ in rows})
    wrong = ", ".join(f"{t} → {f} {n}" for (t, f), n in errors.most_common())
    right = len(rows) - errors.total()
    return f"Everyday sentences: {right} of {len(rows)} right, in {languages} languages. Errors: {wrong or 'none'}."


def padding_difference(classifier, texts):
    """Largest change of any logit when the texts are padded together instead of run alone."""
    alone = np.concatenate([classifier.logits([text]) for text in texts])
    return float(max(np.abs(classifier.logits(texts, length) - alone).max() for length in (0, 512)))


def report(names, results, noisy):
    """The Markdown section of the model card."""
    lines = ["| spans | accuracy, held-out articles | lowest language |", "| --- | --- | --- |"]
    for bucket, (accuracy, _) in results.items():
        worst = int(accuracy.argmin())
        lines.append(f"| {bucket} characters | {accuracy.mean():.2%} | {LABELS[worst]} {accuracy[worst]:.1%} |")
    for name, value in noisy.items():
        lines.append(f"| {name} | {value:.2%} | |")
    lines += ["", "| label | language | " + " | ".join(results) + " |", "| --- | --- |" + " --- |" * len(results)]
    for i, label in enumerate(LABELS):
        cells = " | ".join(f"{accuracy[i]:.1%}" for accuracy, _ in results.values())
        lines.append(f"| {label} | {names[label]} | {cells} |")
    lines += ["", "Most frequent errors (true → answered, of " + str(SPANS) + " spans of the true language):", ""]
    for bucket, (_, errors) in results.items():
        pairs = ", ".join(f"{t} → {f} {n}" for (t, f), n in errors.most_common(25))
        lines.append(f"- {bucket} characters: {pairs}")
    return "\n".join(lines)


def put_into_card(card, text):
    """Replaces what stands between the two markers of the card."""
    body = card.read_text(encoding="utf-8")
    pattern = re.compile(r"(<!-- figures -->\n).*?(<!-- end of figures -->)", re.S)
    card.write_text(pattern.sub(lambda m: f"{m[1]}\n{text}\n\n{m[2]}", body), encoding="utf-8")


def write_expected(path, classifier, spans):
    """EXPECTED texts, each run alone: the special ones and spans of all languages and both lengths."""
    texts = list(dict.fromkeys(text for text, _ in spans))
    picked = np.random.default_rng(SEED).permutation(len(texts))[: EXPECTED - len(SPECIAL_TEXTS)]
    with path.open("w", encoding="utf-8") as file:
        for text in SPECIAL_TEXTS + [texts[i] for i in picked]:
            logits = classifier.logits([text])[0].astype(np.float64)
            scores = np.exp(logits - logits.max())
            best = int(logits.argmax())
            score = round(float(scores[best] / scores.sum()), 6)
            line = {"text": text, "label": classifier.labels[best], "score": score}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--data", type=Path, default=Path("build/udhr.json"))
    args.add_argument("--model", type=Path, default=Path("../../models/langid/1"))
    args.add_argument("--card", type=Path, default=Path("../../models/langid/README.md"))
    args.add_argument("--expected", type=Path, default=Path("expected-1000.jsonl"))
    args.add_argument("--everyday", type=Path, default=Path("everyday.tsv"))
    args = args.parse_args()

    texts = load_texts(args.data, lambda n: n in TEST_ARTICLES)
    names = json.loads(args.data.read_text(encoding="utf-8"))["names"]
    classifier = Classifier(args.model)
    spans = {bucket: draw_spans(texts, *limits) for bucket, limits in BUCKETS.items()}
    results = {bucket: measure(classifier, drawn) for bucket, drawn in spans.items()}

    rng = np.random.default_rng(SEED)
    short = spans["20-60"]
    changes = {
        "20-60, other case": [(change_case(rng, text), label) for text, label in short],
        "20-60, Latin letters without accents": [(drop_accents(text), label) for text, label in short],
    }
    noisy = {name: measure(classifier, changed)[0].mean() for name, changed in changes.items()}

    text = report(names, results, noisy) + "\n\n" + everyday_section(classifier, args.everyday)
    put_into_card(args.card, text)
    write_expected(args.expected, classifier, spans["20-60"] + spans["60-200"])
    print(text)
    difference = padding_difference(classifier, [t for t, _ in short[::300]] + SPECIAL_TEXTS)
    print(f"\nlargest change of a logit by padding: {difference:.2g}")


if __name__ == "__main__":
    main()
