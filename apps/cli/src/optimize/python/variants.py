"""Makes one variant of an ONNX model with ONNX Runtime's own tools.

Called by `interleave optimize` with a JSON request as the only argument. The last line of the output is a JSON object:
{"note": ...} where the variant was written, {"refused": ...} where it makes no sense for this model. Everything else is an error.
"""

import json
import os
import re
import sys
import tempfile
from collections import Counter

import numpy
import onnx
import onnxruntime
from onnxruntime import quantization

# model_type of config.json, and what the optimizer calls its architecture.
ARCHITECTURES = {
    "albert": "bert",
    "bert": "bert",
    "camembert": "bert",
    "clip": "clip",
    "distilbert": "bert",
    "electra": "bert",
    "gpt2": "gpt2",
    "roberta": "bert",
    "vit": "vit",
    "xlm-roberta": "bert",
}
DTYPES = {
    "BOOL": "bool",
    "UINT8": "u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}


class Refused(Exception):
    """The variant makes no sense for this model; the message says why."""


def save(model, request):
    """Weights lie beside the graph where they did before."""
    beside = os.path.basename(request["output"]) + ".data"
    external = {"save_as_external_data": True, "all_tensors_to_one_file": True, "location": beside}
    onnx.save(model, request["output"], **(external if request["external"] else {}))


def operators(path):
    return Counter(node.op_type for node in onnx.load(path, load_external_data=False).graph.node)


def graph(request):
    options = onnxruntime.SessionOptions()
    # Not all: what lies beyond is for the CPU that it was made on.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = request["output"]
    if request["external"]:
        beside = os.path.basename(request["output"]) + ".data"
        options.add_session_config_entry("session.optimized_model_external_initializers_file_name", beside)
    onnxruntime.InferenceSession(request["input"], options, providers=["CPUExecutionProvider"])
    return f"{sum(operators(request['input']).values())} operators became {sum(operators(request['output']).values())}"


def transformers(request):
    from onnxruntime.transformers import optimizer

    kind = ARCHITECTURES.get(request["modelType"] or "")
    if kind is None:
        raise Refused(f"the optimizer does not know the model_type {json.dumps(request['modelType'])} of config.json")
    made = optimizer.optimize_model(
        request["input"], kind, num_heads=request["heads"], hidden_size=request["width"], opt_level=0, only_onnxruntime=False
    )
    fused = {name: count for name, count in made.get_fused_operator_statistics().items() if count}
    if not fused:
        raise Refused("the optimizer found nothing to fuse")
    save(made.model, request)
    return "fused " + ", ".join(f"{count} {name}" for name, count in sorted(fused.items()))


def fp16(request):
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    model = onnx.load(request["input"])
    if not any(tensor.data_type == onnx.TensorProto.FLOAT for tensor in model.graph.initializer):
        raise Refused("it has no FP32 weights")
    made = OnnxModel(convert_float_to_float16(model, keep_io_types=True, disable_shape_infer=request["external"]))
    made.topological_sort()  # the casts are at the end, and the row proof reads from the beginning
    save(made.model, request)
    return "weights and values between operators are FP16; inputs and outputs stay as they were"


def saturates():
    """Whether products of 8 bits are added with 16: without VNNI, weights get 7 bits so that sums do not overflow."""
    try:
        with open("/proc/cpuinfo", encoding="utf8") as file:
            flags = re.search(r"^flags\s*:(.*)$", file.read(), re.MULTILINE)
    except OSError:
        return False
    return flags is not None and "vnni" not in flags.group(1)


def prepared(request, folder):
    """What the quantizer wants first; the graph itself where that cannot be had."""
    path = os.path.join(folder, "prepared.onnx")
    try:
        quantization.quant_pre_process(
            request["input"], path, skip_symbolic_shape=True, save_as_external_data=request["external"], skip_optimization=request["external"]
        )
        return path
    except Exception as error:  # its own fault or the graph's: the quantizer may manage without
        print(f"quant_pre_process: {error}", file=sys.stderr)
        return request["input"]


def quantized(request, note):
    kinds = operators(request["output"])
    if not any("Quant" in name or "Integer" in name or name.startswith("QLinear") for name in kinds):
        raise Refused("the quantizer found nothing to quantise")
    return note + ("; weights have 7 bits, as this CPU lacks VNNI" if saturates() else "")


def int8_dynamic(request):
    with tempfile.TemporaryDirectory() as folder:
        quantization.quantize_dynamic(
            prepared(request, folder),
            request["output"],
            weight_type=quantization.QuantType.QInt8,
            reduce_range=saturates(),
            use_external_data_format=request["external"],
        )
    return quantized(request, "scales of activations are computed in each run")


class Rows(quantization.CalibrationDataReader):
    """The rows of the calibration file as the product's own tokenizer has made them."""

    def __init__(self, path, names):
        with open(path + ".json", encoding="utf8") as file:
            self.rows = iter(json.load(file))
        with open(path + ".bin", "rb") as file:
            self.bytes = file.read()
        self.names = names

    def get_next(self):
        row = next(self.rows, None)
        return None if row is None else {name: self.tensor(row[name]) for name in self.names}

    def tensor(self, tensor):
        count = int(numpy.prod(tensor["shape"], dtype=numpy.int64))
        values = numpy.frombuffer(self.bytes, DTYPES[tensor["datatype"]], count, tensor["offset"])
        return values.reshape(tensor["shape"])


def int8_static(request):
    names = [tensor.name for tensor in onnxruntime.InferenceSession(request["input"], providers=["CPUExecutionProvider"]).get_inputs()]
    with tempfile.TemporaryDirectory() as folder:
        quantization.quantize_static(
            prepared(request, folder),
            request["output"],
            Rows(request["calibration"], names),
            quant_format=quantization.QuantFormat.QDQ,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            # Of a text model only what takes the time: quantised masks and sums cost accuracy, and padding would change answers.
            op_types_to_quantize=["Conv", "Gemm", "MatMul"] if request["isText"] else None,
            per_channel=True,
            reduce_range=saturates(),
            use_external_data_format=request["external"],
        )
    return quantized(request, f"scales are from {request['calibrationRows']} rows")


KINDS = {"graph": graph, "transformers": transformers, "fp16": fp16, "int8-dynamic": int8_dynamic, "int8-static": int8_static}


def has_external_data(path):
    tensors = onnx.load(path, load_external_data=False).graph.initializer
    return any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in tensors)


def main():
    request = json.loads(sys.argv[1])
    request["external"] = has_external_data(request["input"])
    try:
        outcome = {"note": KINDS[request["kind"]](request)}
    except Refused as reason:
        outcome = {"refused": str(reason)}
    print()
    print(json.dumps(outcome))


if __name__ == "__main__":
    main()
