// An ONNX file as far as a proof about its graph needs it: nodes, attributes, shapes, and the values of small tensors.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "graph/wire.h"

namespace interleave::graph {

// Elements of a tensor whose values are read; larger ones are weights.
inline constexpr std::size_t kNumbersMax = 1024;

struct Tensor {
  std::string_view name;
  int type = 0;  // as ONNX numbers element types
  std::vector<std::int64_t> dims;
  // Absent where the tensor is larger than kNumbersMax, lies in another file, or is no plain number.
  std::optional<std::vector<double>> numbers;
  std::string_view raw;  // its values as they lie in the file; empty: not in that form, or in another file
};

struct Graph;

struct Attribute {
  std::string_view name;
  std::string_view reference;  // of a function's attribute, whose value this one takes; empty: none
  double number = 0;           // `i` or `f`
  std::string_view text;
  std::vector<std::int64_t> integers;
  std::vector<double> floats;
  bool isCut = false;  // a list was too long to be read in full
  std::size_t stringsCount = 0;
  std::optional<Tensor> tensor;
  std::unique_ptr<Graph> graph;
};

struct Node {
  std::vector<std::string_view> inputs;
  std::vector<std::string_view> outputs;
  std::string_view name;
  std::string_view op;
  std::string_view domain;  // "" for ONNX's own, however it is written
  std::vector<Attribute> attributes;
};

// An input or output: a size of -1 varies, its symbol may be empty. `hasShape` false: not even the rank is known.
struct Declared {
  std::string_view name;
  int type = 0;
  bool hasShape = false;
  std::vector<std::int64_t> dims;
  std::vector<std::string_view> symbols;
};

struct Graph {
  std::vector<Node> nodes;
  std::vector<Tensor> initializers;
  std::vector<Declared> inputs;
  std::vector<Declared> outputs;
};

using Opsets = std::map<std::string_view, int>;  // by domain

struct Function {
  std::string_view name;
  std::string_view domain;
  std::vector<std::string_view> inputs;
  std::vector<std::string_view> outputs;
  std::vector<Attribute> defaults;
  std::vector<Node> nodes;
  Opsets opsets;
};

struct Model {
  Graph graph;
  Opsets opsets;
  std::map<std::pair<std::string_view, std::string_view>, Function> functions;  // by domain and name
};

// The model in `bytes`, which must outlive it. Throws WireError for bytes that are no model and for models beyond the
// limits: 500 000 nodes, attributes and tensors, graphs nested 16 deep.
Model ReadModel(std::string_view bytes);

}  // namespace interleave::graph
