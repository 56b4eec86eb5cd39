"""Builds tokenizer.json: one token per byte of the composed (NFC) text, between [CLS] and [SEP]."""

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from langid.model import CLS, FIRST_BYTE, MAX_TOKENS, PAD, SEP

SPECIAL = {"[PAD]": PAD, "[CLS]": CLS, "[SEP]": SEP}


def byte_letters():
    """The printable character by which byte-level tokenizers write each of the 256 bytes."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {byte: chr(byte) for byte in printable}
    for byte in range(256):
        letters.setdefault(byte, chr(256 + len(letters) - len(printable)))
    return [letters[byte] for byte in range(256)]


def build_tokenizer():
    """A BPE tokenizer without merges, so that each byte stays one token."""
    vocabulary = SPECIAL | {letter: FIRST_BYTE + byte for byte, letter in enumerate(byte_letters())}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)]
    )
    tokenizer.enable_truncation(MAX_TOKENS)
    return tokenizer
