"""Writes model.onnx, config.json, tokenizer.json and tokenizer_config.json from the trained parameters.

Shapes as in langid.model: B texts ("batch"), L tokens ("sequence"), T positions, D channels, N labels.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from langid.languages import LABELS
from langid.model import (
    EMBEDDING,
    FEED_FORWARD,
    HEADS,
    HIDDEN,
    KERNEL,
    LAYER_NORM_EPSILON,
    LAYERS,
    MAX_TOKENS,
    PAD,
    STRIDE,
    VOCABULARY,
)
from langid.tokenizer import build_tokenizer

OPSET = 17
IR_VERSION = 8


class GraphBuilder:
    """Collects nodes and constants; every method returns the name of its output."""

    def __init__(self, params):
        self.params = params
        self.nodes = []
        self.constants = {}

    def constant(self, name, array):
        self.constants[name] = numpy_helper.from_array(np.array(array, order="C"), name)
        return name

    def node(self, operator, *inputs, name=None, **attributes):
        output = name or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output], name=output, **attributes))
        return output

    def parameter(self, name):
        return self.constant(name, self.params[name])

    def integers(self, *values):
        return self.constant("int_" + "_".join(map(str, values)), np.array(values, np.int64))

    def number(self, value):
        return self.constant(f"float_{value}", np.array(value, np.float32))

    def linear(self, name, x):
        x = self.node("MatMul", x, self.parameter(f"{name}.weight"))
        return self.node("Add", x, self.parameter(f"{name}.bias"))

    def layer_norm(self, name, x):
        weight, bias = self.parameter(f"{name}.weight"), self.parameter(f"{name}.bias")
        return self.node("LayerNormalization", x, weight, bias, axis=-1, epsilon=LAYER_NORM_EPSILON)

    def gelu(self, x):
        erf = self.node("Erf", self.node("Div", x, self.number(2**0.5)))
        return self.node("Mul", self.node("Mul", x, self.node("Add", erf, self.number(1.0))), self.number(0.5))

    def convolution(self, name, x, stride):
        """[B, C, L] -> [B, D, ceil(L / stride)]."""
        flat = self.params[f"{name}.weight"]
        weight = flat.reshape(KERNEL, -1, HIDDEN).transpose(2, 1, 0)
        self.constant(f"{name}.weight", weight)
        side = KERNEL // 2
        return self.node(
            "Conv", x, f"{name}.weight", self.parameter(f"{name}.bias"),
            kernel_shape=[KERNEL], strides=[stride], pads=[side, side],
        )

    def attention(self, name, x, bias):
        """x [B, T, D], bias [B, 1, 1, T] -> [B, T, D]."""
        size = HIDDEN // HEADS
        qkv = self.node("Reshape", self.linear(f"{name}.qkv", x), self.integers(0, 0, 3, HEADS, size))
        qkv = self.node("Transpose", qkv, perm=[2, 0, 3, 1, 4])
        indices = [self.constant(f"index_{i}", np.array(i, np.int64)) for i in range(3)]
        q, k, v = (self.node("Gather", qkv, index, axis=0) for index in indices)
        scores = self.node("MatMul", q, self.node("Transpose", k, perm=[0, 1, 3, 2]))
        scores = self.node("Add", self.node("Mul", scores, self.number(size**-0.5)), bias)
        mixed = self.node("MatMul", self.node("Softmax", scores, axis=-1), v)
        mixed = self.node("Transpose", mixed, perm=[0, 2, 1, 3])
        return self.linear(f"{name}.out", self.node("Reshape", mixed, self.integers(0, 0, HIDDEN)))


def build_graph(params):
    """The same computation as langid.model.forward, without dropout."""
    g = GraphBuilder(params)
    mask = g.node("Cast", "attention_mask", to=TensorProto.FLOAT)
    tokens = g.node("Unsqueeze", mask, g.integers(1))
    positions = g.node("Slice", mask, g.integers(0), g.integers(2**31 - 1), g.integers(1), g.integers(STRIDE))
    bias = g.node("Mul", g.node("Sub", positions, g.number(1.0)), g.number(1e9))
    bias = g.node("Unsqueeze", bias, g.integers(1, 2))

    x = g.node("Gather", g.parameter("embedding.weight"), "input_ids")
    x = g.node("Mul", g.node("Transpose", x, perm=[0, 2, 1]), tokens)
    x = g.node("Mul", g.gelu(g.convolution("conv1", x, 1)), tokens)
    x = g.gelu(g.convolution("conv2", x, STRIDE))
    x = g.node("Transpose", x, perm=[0, 2, 1])
    for i in range(LAYERS):
        x = g.node("Add", x, g.attention(f"layer{i}", g.layer_norm(f"layer{i}.norm1", x), bias))
        h = g.gelu(g.linear(f"layer{i}.up", g.layer_norm(f"layer{i}.norm2", x)))
        x = g.node("Add", x, g.linear(f"layer{i}.down", h))

    x = g.node("Mul", g.layer_norm("final_norm", x), g.node("Unsqueeze", positions, g.integers(2)))
    total = g.node("ReduceSum", x, g.integers(1), keepdims=0)
    count = g.node("ReduceSum", positions, g.integers(1), keepdims=1)
    pooled = g.node("Div", total, count)
    scores = g.node("MatMul", pooled, g.parameter("classifier.weight"))
    g.node("Add", scores, g.parameter("classifier.bias"), name="logits")
    return g


def build_model(params):
    """A checked ONNX model with dynamic axes named batch and sequence."""
    g = build_graph(params)
    tokens = ["batch", "sequence"]
    graph = helper.make_graph(
        g.nodes,
        "langid",
        [helper.make_tensor_value_info(name, TensorProto.INT64, tokens) for name in ("input_ids", "attention_mask")],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(LABELS)])],
        list(g.constants.values()),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    model.producer_name = "train-langid"
    onnx.checker.check_model(model, full_check=True)
    return model


def build_config():
    """config.json in the manner of a Hugging Face sequence classifier."""
    return {
        "architectures": ["ByteConvForSequenceClassification"],
        "model_type": "byte-conv",
        "problem_type": "single_label_classification",
        "vocab_size": VOCABULARY,
        "max_position_embeddings": MAX_TOKENS,
        "pad_token_id": PAD,
        "embedding_size": EMBEDDING,
        "conv_kernel": KERNEL,
        "conv_stride": STRIDE,
        "hidden_size": HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "intermediate_size": FEED_FORWARD,
        "hidden_act": "gelu",
        "layer_norm_eps": LAYER_NORM_EPSILON,
        "num_labels": len(LABELS),
        "id2label": {str(i): label for i, label in enumerate(LABELS)},
        "label2id": {label: i for i, label in enumerate(LABELS)},
    }


def build_tokenizer_config():
    """tokenizer_config.json beside tokenizer.json."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": MAX_TOKENS,
        "pad_token": "[PAD]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "padding_side": "right",
        "truncation_side": "right",
        "clean_up_tokenization_spaces": False,
    }


def write_json(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--params", type=Path, default=Path("build/params.npz"))
    args.add_argument("--out", type=Path, default=Path("../../models/langid/1"))
    args = args.parse_args()

    args.out.mkdir(parents=True, exist_ok=True)
    onnx.save(build_model(dict(np.load(args.params))), args.out / "model.onnx")
    build_tokenizer().save(str(args.out / "tokenizer.json"))
    write_json(args.out / "config.json", build_config())
    write_json(args.out / "tokenizer_config.json", build_tokenizer_config())
    print(f"model.onnx: {(args.out / 'model.onnx').stat().st_size} bytes, {len(LABELS)} labels")


if __name__ == "__main__":
    main()
