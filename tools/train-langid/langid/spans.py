"""Random spans of the declarations, and the light noise put on them for training."""

import json
import re
import unicodedata

from langid.languages import LABELS

NOISE_WORDS = ["2024", "15", "100%", "3.5", "1 000", "12:30", "🙂", "👍🏽", "🎉", "#1", "€50", "(*)", "…", "–", "&"]
PUNCTUATION = re.compile(r"[.,;:!?()\"«»“”„…–—。、，।]")


def load_texts(path, articles):
    """Returns, per label in LABELS order, the texts of its declarations: [[str, ...], ...].

    `articles` says by article number (an int) whether it belongs to the wanted part.
    """
    with open(path, encoding="utf-8") as file:
        texts = json.load(file)["texts"]
    return [
        [
            " ".join(text for number, text in sorted(d.items(), key=lambda a: int(a[0])) if articles(int(number)))
            for d in texts[label].values()
        ]
        for label in LABELS
    ]


def word_start(text, start):
    """Moves `start` back to the start of its word, at most 20 characters."""
    space = text.rfind(" ", max(0, start - 20), start + 1)
    return start if space < 0 else space + 1


def draw_span(rng, text, shortest, longest):
    """A span of `shortest` to `longest` characters that starts, where words have spaces, at a word."""
    length = int(rng.integers(shortest, longest + 1))
    start = word_start(text, int(rng.integers(0, max(1, len(text) - length))))
    return text[start : start + length].strip()


def drop_accents(text):
    """Removes the marks over and under Latin letters."""
    marks = re.sub(r"([A-Za-z])[\u0300-\u036f]+", r"\1", unicodedata.normalize("NFD", text))
    return unicodedata.normalize("NFC", marks)


def change_case(rng, text):
    """Lower case, upper case or capitalised words."""
    choice = rng.random()
    if choice < 0.6:
        return text.lower()
    return text.upper() if choice < 0.8 else text.title()


def add_typos(rng, text):
    """Drops, doubles or swaps about one character in thirty."""
    letters = list(text)
    for i in range(len(letters) - 1):
        draw = rng.random()
        if draw < 0.01:
            letters[i] = ""
        elif draw < 0.02:
            letters[i] *= 2
        elif draw < 0.03:
            letters[i], letters[i + 1] = letters[i + 1], letters[i]
    return "".join(letters)


def add_words(rng, text):
    """Puts one or two numbers, signs or emoji between the words."""
    words = text.split(" ")
    for _ in range(int(rng.integers(1, 3))):
        words.insert(int(rng.integers(0, len(words) + 1)), NOISE_WORDS[rng.integers(len(NOISE_WORDS))])
    return " ".join(words)


def add_noise(rng, text):
    """Applies each kind of noise to a part of the spans."""
    draws = rng.random(5)
    if draws[0] < 0.35:
        text = change_case(rng, text)
    if draws[1] < 0.10:
        text = drop_accents(text)
    if draws[2] < 0.15:
        text = PUNCTUATION.sub("", text)
    if draws[3] < 0.15:
        text = add_typos(rng, text)
    if draws[4] < 0.10:
        text = add_words(rng, text)
    return text
