// Small models for the C++ tests, each written to `path`, which is returned.
#pragma once

#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "item.h"
#include "onnx_writer.h"
#include "session/ort_api.h"

namespace interleave::test {

inline constexpr int kFloat = 1;
inline constexpr int kInt64 = 7;
inline constexpr int kBool = 9;

// The runtime under test: ORT_LIBRARY, or the one that the build found in node_modules.
inline std::shared_ptr<const ort::OrtLibrary> Library() {
  static const auto library = [] {
    const char* path = std::getenv("ORT_LIBRARY");
    return ort::OrtLibrary::Load(path != nullptr ? path : INTERLEAVE_ORT_LIBRARY);
  }();
  return library;
}

inline constexpr int kVocabulary = 50;
inline constexpr int kWidth = 4;

inline std::vector<float> Weights(std::size_t count) {
  std::vector<float> weights(count);
  for (std::size_t i = 0; i < count; ++i) weights[i] = static_cast<float>((i * 37 + 11) % 101) / 50.0F - 1.0F;
  return weights;
}

// ids, mask [batch, sequence] -> hidden [batch, sequence, 4] and pooled [batch, 4]. Each token's output depends on the
// mean over the masked tokens of its row, so padding shows unless the mask is right. An id past the vocabulary makes
// the run fail. `outputDims` false: the outputs' dimensions have no names.
inline std::string MaskedEncoder(const std::string& path, bool outputDims = true) {
  const std::string batch = outputDims ? "batch" : "";
  const std::string sequence = outputDims ? "sequence" : "";
  const Dim width = outputDims ? Dim(kWidth) : Dim("");
  Graph graph;
  graph.Input("ids", kInt64, {"batch", "sequence"})
      .Input("attention_mask", kInt64, {"batch", "sequence"})
      .Output("hidden", kFloat, {batch, sequence, width})
      .Output("pooled", kFloat, {batch, width})
      .Initializer("table", kFloat, {kVocabulary, kWidth}, Weights(kVocabulary * kWidth))
      .Initializer<std::int64_t>("last", kInt64, {1}, {2})
      .Initializer<std::int64_t>("tokens", kInt64, {1}, {1})
      .Initializer("tiny", kFloat, {1}, std::vector<float>{1e-6F})
      .Node("Gather", {"table", "ids"}, {"embedded"})
      .Node("Cast", {"attention_mask"}, {"mask"}, {{"to", kFloat}})
      .Node("Unsqueeze", {"mask", "last"}, {"mask3"})
      .Node("Mul", {"embedded", "mask3"}, {"masked"})
      .Node("ReduceSum", {"masked", "tokens"}, {"sum"}, {{"keepdims", 1}})
      .Node("ReduceSum", {"mask3", "tokens"}, {"rawCount"}, {{"keepdims", 1}})
      .Node("Add", {"rawCount", "tiny"}, {"count"})
      .Node("Div", {"sum", "count"}, {"mean"})
      .Node("Add", {"embedded", "mean"}, {"sumHidden"})
      .Node("Squeeze", {"mean", "tokens"}, {"sumPooled"});
  for (const auto& [from, to] : {std::pair("sumHidden", "hidden"), {"sumPooled", "pooled"}}) {
    const std::string shape = std::string(to) + "Shape";
    // A shape that went through floats is out of reach of the runtime's own shape inference.
    graph.Node("Shape", {from}, {shape})
        .Node("Cast", {shape}, {shape + "Float"}, {{"to", kFloat}})
        .Node("Cast", {shape + "Float"}, {shape + "Int"}, {{"to", kInt64}})
        .Node("Reshape", {from, shape + "Int"}, {to});
  }
  return graph.Save(path);
}

// a, a_mask [batch, left], b, b_mask [batch, right] -> scores [batch, left, right].
inline std::string TwoAxes(const std::string& path) {
  return Graph()
      .Input("a", kFloat, {"batch", "left"})
      .Input("a_mask", kFloat, {"batch", "left"})
      .Input("b", kFloat, {"batch", "right"})
      .Input("b_mask", kFloat, {"batch", "right"})
      .Output("scores", kFloat, {"batch", "left", "right"})
      .Output("total", kFloat, {"batch"})
      .Initializer<std::int64_t>("one", kInt64, {1}, {1})
      .Initializer<std::int64_t>("two", kInt64, {1}, {2})
      .Initializer<std::int64_t>("both", kInt64, {2}, {1, 2})
      .Node("Mul", {"a", "a_mask"}, {"am"})
      .Node("Mul", {"b", "b_mask"}, {"bm"})
      .Node("Unsqueeze", {"am", "two"}, {"column"})
      .Node("Unsqueeze", {"bm", "one"}, {"row"})
      .Node("MatMul", {"column", "row"}, {"scores"})
      .Node("ReduceSum", {"scores", "both"}, {"total"}, {{"keepdims", 0}})
      .Save(path);
}

// x [batch, length] -> y [batch, length], less the mean of the row: padding would change it, and there is no mask.
inline std::string NoMask(const std::string& path) {
  return Graph()
      .Input("x", kFloat, {"batch", "length"})
      .Output("y", kFloat, {"batch", "length"})
      .Node("ReduceMean", {"x"}, {"mean"}, {{"axes", std::vector<int>{1}}, {"keepdims", 1}})
      .Node("Sub", {"x", "mean"}, {"y"})
      .Save(path);
}

// x of any type, mask [batch, sequence] -> y = x.
inline std::string Echo(const std::string& path, int type) {
  return Graph()
      .Input("x", type, {"batch", "sequence"})
      .Input("mask", kInt64, {"batch", "sequence"})
      .Output("y", type, {"batch", "sequence"})
      .Node("Identity", {"x"}, {"y"})
      .Save(path);
}

// x [batch, 4] -> y [batch, 2]: no sequence axis.
inline std::string Dense(const std::string& path) {
  return Graph()
      .Input("x", kFloat, {"batch", 4})
      .Output("y", kFloat, {"batch", 2})
      .Initializer("w", kFloat, {4, 2}, Weights(8))
      .Node("MatMul", {"x", "w"}, {"y"})
      .Save(path);
}

// x [batch, channels, sequence], mask [batch, sequence] -> y = x: a dimension that rows must agree on.
inline std::string FreeAxis(const std::string& path) {
  return Graph()
      .Input("x", kFloat, {"batch", "channels", "sequence"})
      .Input("mask", kInt64, {"batch", "sequence"})
      .Output("y", kFloat, {"batch", "channels", "sequence"})
      .Node("Identity", {"x"}, {"y"})
      .Save(path);
}

// count [batch, 1] -> y = count after as many turns of a loop as the largest count: ends when the count is small.
inline std::string Counting(const std::string& path) {
  const Graph body = Graph("body")
                         .Input("turn", kInt64, {})
                         .Input("go", kBool, {})
                         .Input("at", kFloat, {})
                         .Output("goOn", kBool, {})
                         .Output("next", kFloat, {})
                         .Initializer("step", kFloat, {}, std::vector<float>{1})
                         .Node("Identity", {"go"}, {"goOn"})
                         .Node("Add", {"at", "step"}, {"next"});
  return Graph()
      .Input("count", kInt64, {"batch", 1})
      .Output("y", kFloat, {"batch", 1})
      .Initializer("start", kFloat, {}, std::vector<float>{0})
      .Initializer("zero", kFloat, {}, std::vector<float>{0})
      .Node("ReduceMax", {"count"}, {"turns"}, {{"keepdims", 0}})
      .Node("Loop", {"turns", "", "start"}, {"end"}, {{"body", body.message()}})
      .Node("Mul", {"end", "zero"}, {"nothing"})
      .Node("Cast", {"count"}, {"value"}, {{"to", kFloat}})
      .Node("Add", {"value", "nothing"}, {"y"})
      .Save(path);
}

}  // namespace interleave::test
