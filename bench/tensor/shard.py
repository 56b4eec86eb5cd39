"""Cuts a BERT-style encoder (fp32 ONNX) into tensor-parallel shards, as Megatron-LM does.

    shard.py MODEL.onnx OUT [SHARDS]

The matrices that make queries, keys, values and the inner feed-forward state are cut by columns; those that follow them
by rows, so that each shard makes a partial sum of what the whole matrix would make. A shard becomes a chain of graphs
OUT/<shard>/<00, 01, ...>.onnx with a sum between each two: graph k makes `partial_k`, and graph k + 1 takes `sum_k`.
"""
import collections
import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def read(path):
    model = onnx.load(path)
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    nodes = []
    for node in model.graph.node:
        if node.op_type == 'Constant':
            weights[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
        else:
            nodes.append(node)
    return model, nodes, weights


def roles(nodes, weights):
    """Of each matrix product with a weight: by columns or by rows. Four square ones in a row are an attention block."""
    products = [node for node in nodes if node.op_type == 'MatMul' and node.input[1] in weights]
    width = weights[products[0].input[1]].shape[0]
    square, found = [], collections.OrderedDict()
    for node in products:
        rows, columns = weights[node.input[1]].shape
        if rows == columns == width:
            square.append(node.output[0])
            found[node.output[0]] = 'rows' if len(square) % 4 == 0 else 'columns'
        elif width in (rows, columns):
            found[node.output[0]] = 'columns' if rows == width else 'rows'
        else:
            sys.exit(f'expected an encoder but received a matrix of {rows} x {columns} at {node.name}')
    if len(square) % 4 != 0:
        sys.exit(f'expected four square matrices in each attention block but received {len(square)} in all')
    return found, width


def shard(nodes, weights, shards, index):
    """The nodes and weights of one shard. What the rows make is `partial_k`, and what takes it takes `sum_k`."""
    found, width = roles(nodes, weights)
    part = lambda array, axis: np.array_split(array, shards, axis)[index]
    own, renamed, made, narrow, sums = dict(weights), {}, [], set(), 0
    for source in nodes:
        node = onnx.NodeProto.FromString(source.SerializeToString())
        takes_narrow = any(name in narrow for name in source.input)
        node.input[:] = [renamed.get(name, name) for name in source.input]
        role = found.get(source.output[0])
        if role is not None:
            name = f'{source.input[1]}.{role}'
            own[name] = part(weights[source.input[1]], 1 if role == 'columns' else 0)
            node.input[1] = name
        if role == 'columns':
            narrow.add(source.output[0])
        elif role == 'rows':
            node.output[0] = f'partial_{sums}'
            renamed[source.output[0]] = f'sum_{sums}'
            sums += 1
        elif takes_narrow and source.op_type != 'Shape':
            narrow.add(source.output[0])
            cut_constants(node, source, own, made, shards, part)
        made.append(node)
    return made, own, renamed, sums


def cut_constants(node, source, own, made, shards, part):
    """A bias of what was cut is cut too, and a reshape makes fewer heads."""
    for at, name in enumerate(source.input):
        if name in own and own[name].ndim == 1 and own[name].dtype == np.float32 and own[name].size > 1:
            own[f'{name}.part'] = part(own[name], 0)
            node.input[at] = f'{name}.part'
    if source.op_type != 'Reshape':
        return
    if source.input[1] in own:
        sizes = list(own[source.input[1]])
        # [batch, sequence, heads, width of a head] or [batch, sequence, width]: in both the third is what is cut.
        sizes[2] //= shards
        own[f'{source.output[0]}.sizes'] = np.array(sizes, np.int64)
        node.input[1] = f'{source.output[0]}.sizes'
        return
    concat = next(other for other in made if source.input[1] in other.output)
    name = f'{concat.output[0]}.cut'
    if name not in own:
        own[name] = own[concat.input[2]] // shards
        concat.input[2] = name


def chain(model, nodes, own, renamed, sums):
    """Cuts the nodes at the sums. Each graph gives on what later ones take."""
    produced = {}
    inputs = [value.name for value in model.graph.input if value.name not in own]
    outputs = {renamed.get(value.name, value.name) for value in model.graph.output}
    stages = [[] for _ in range(sums + 1)]
    for node in nodes:
        stage = 0
        for name in node.input:
            stage = max(stage, int(name[4:]) + 1 if name.startswith('sum_') else produced.get(name, 0))
        stages[stage].append(node)
        for name in node.output:
            produced[name] = stage
    # What only later stages need is made there, and constants of the sequence's length are not handed on for nothing.
    for at, stage in enumerate(stages):
        made = {name for node in stage for name in node.output}
        taken = [name for node in stage for name in node.input if name != '' and name not in own and name not in made]
        later = {name for after in stages[at + 1:] for node in after for name in node.input} | outputs | {f'partial_{at}'}
        yield graph(model, stage, list(dict.fromkeys(taken)), [name for name in made if name in later], own, inputs)


def graph(model, nodes, taken, given, own, inputs):
    kinds = {value.name: value.type.tensor_type.elem_type for value in onnx.shape_inference.infer_shapes(model).graph.value_info}
    kinds.update({value.name: value.type.tensor_type.elem_type for value in [*model.graph.input, *model.graph.output]})
    kind = lambda name: kinds.get(name, TensorProto.FLOAT)
    value = lambda name: helper.make_tensor_value_info(name, kind(name), ['batch', 'sequence'] if name in inputs else None)
    used = {name for node in nodes for name in node.input if name in own}
    made = helper.make_graph(nodes, 'shard', [value(name) for name in taken], [value(name) for name in given],
                             [numpy_helper.from_array(np.array(own[name], order='C'), name) for name in sorted(used)])
    return helper.make_model(made, opset_imports=model.opset_import, ir_version=model.ir_version)


def main(path, out, shards=2):
    model, nodes, weights = read(path)
    for index in range(int(shards)):
        folder = pathlib.Path(out) / str(index)
        folder.mkdir(parents=True, exist_ok=True)
        for at, part in enumerate(chain(model, *shard(nodes, weights, int(shards), index))):
            onnx.save(part, str(folder / f'{at:02}.onnx'))


if __name__ == '__main__':
    main(*sys.argv[1:])
