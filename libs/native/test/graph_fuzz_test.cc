// The reader of ONNX files and the proof on damaged files and on graphs that make no sense, drawn by chance. A reader
// that leaves its bounds shows under `make sanitize`; seeds are fixed, so every run draws the same.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <iterator>
#include <limits>
#include <random>
#include <set>

#include "graph/row_proof.h"
#include "graph/rules.h"
#include "test_models.h"

namespace interleave::graph {
namespace {

using test::kFloat;
using test::kInt64;
using test::Message;

// In a block of memory of its very size: what is read past its end is no part of a larger block.
RowVerdict Prove(std::string_view bytes) {
  const std::vector<char> exact(bytes.begin(), bytes.end());
  const RowProof proof = ProveRows({exact.data(), exact.size()});
  EXPECT_EQ(proof.reason.empty(), proof.verdict == RowVerdict::kIndependent);
  return proof.verdict;
}

class Chance {
 public:
  explicit Chance(unsigned seed) : random_(seed) {}

  std::size_t Below(std::size_t limit) { return random_() % limit; }
  bool OneIn(std::size_t count) { return Below(count) == 0; }
  template <class List>
  const auto& Of(const List& list) {
    return *std::next(std::begin(list), static_cast<std::ptrdiff_t>(Below(std::size(list))));
  }

 private:
  std::mt19937 random_;
};

std::vector<std::string> TestModels() {
  test::TempDir directory;
  std::vector<std::string> models;
  for (std::string (*write)(const std::string&) :
       {test::TwoAxes, test::NoMask, test::Dense, test::FreeAxis, test::Counting}) {
    models.push_back(write(directory.File(std::to_string(models.size()))));
  }
  models.push_back(test::MaskedEncoder(directory.File("encoder")));
  models.push_back(test::Echo(directory.File("echo"), kInt64));
  for (std::string& model : models) {
    std::ifstream file(model, std::ios::binary);
    model.assign(std::istreambuf_iterator<char>(file), {});
  }
  return models;
}

TEST(DamagedModel, IsReadWithinItsBoundsWhereverItEnds) {
  for (const std::string& model : TestModels()) {
    for (std::size_t size = 0; size < model.size(); ++size) Prove(std::string_view(model).substr(0, size));
  }
}

TEST(DamagedModel, IsReadWithinItsBoundsWhateverBitsAreFlipped) {
  Chance chance(1);
  for (const std::string& model : TestModels()) {
    for (int round = 0; round < 400; ++round) {
      std::string bad = model;
      for (std::size_t flips = 1 + chance.Below(4); flips > 0; --flips) {
        bad[chance.Below(bad.size())] ^= static_cast<char>(1U << chance.Below(8));
      }
      if (chance.OneIn(4)) bad.resize(chance.Below(bad.size()));
      Prove(bad);
    }
  }
}

// Every operator that has a rule, with inputs and attributes that need not fit it.
class Nonsense {
 public:
  explicit Nonsense(unsigned seed) : chance_(seed) {
    for (const auto add : {AddElementwiseRules, AddShapeRules, AddIndexRules, AddReductionRules, AddLinearRules,
                           AddImageRules, AddRecurrentRules}) {
      Add("", add);
    }
    Add("ai.onnx.ml", AddTableRules);
    Add("com.microsoft", AddContribRules);
    for (const char* op : {"If", "Loop", "Scan"}) ops_.emplace("", op);
    ops_.emplace("own", "function");
  }

  std::string Model() {
    values_ = {"", "x", "ids", "zero", "one", "pair", "triple", "none", "square", "half", "halves", "far", "odd"};
    const std::size_t nodes = 1 + chance_.Below(4);
    Message graph = Start(nodes);
    for (std::size_t i = 0; i < nodes; ++i) graph.Child(1, Node("y" + std::to_string(i)));
    const Message function =
        Message().Bytes(1, "function").Bytes(4, "x").Bytes(5, "inner").Child(7, Node("inner")).Bytes(10, "own");
    const int opset = chance_.Of(std::vector<int>{6, 9, 11, 13, 17, 21});
    return Message().Child(7, graph).Child(8, Message().Int(2, opset)).Child(25, function).bytes();
  }

 private:
  void Add(const char* domain, void (*add)(Rules&)) {
    Rules rules;
    add(rules);
    for (const auto& [op, rule] : rules) ops_.emplace(domain, op);
  }

  Message Start(std::size_t outputs) {
    constexpr double kFar = 1e300;
    test::Graph graph;
    graph.Input("x", kFloat, {"batch", 4, 6}).Input("ids", kInt64, {"batch", "tokens"});
    graph.Initializer<std::int64_t>("zero", kInt64, {}, {0}).Initializer<std::int64_t>("one", kInt64, {1}, {1});
    graph.Initializer<std::int64_t>("pair", kInt64, {2}, {Integer(), Integer()})
        .Initializer<std::int64_t>("none", kInt64, {0}, {});
    graph.Initializer<std::int64_t>("triple", kInt64, {3}, {Integer(), Integer(), Integer()});
    graph.Initializer<std::int64_t>("square", kInt64, {2, 2}, {Integer(), Integer(), 1, 0});
    graph.Initializer("half", kFloat, {}, std::vector<float>{0.5F});
    graph.Initializer("halves", kFloat, {2}, std::vector<float>{0.5F, 2})
        .Initializer("far", 11, {2}, std::vector<double>{kFar, -kFar});
    graph.Initializer("odd", 11, {2}, std::vector<double>{std::nan(""), std::numeric_limits<double>::infinity()});
    for (std::size_t i = 0; i < outputs; ++i) graph.Output("y" + std::to_string(i), kFloat, {"batch"});
    return graph.message();
  }

  Message Node(const std::string& output) {
    const auto& [domain, op] = chance_.Of(ops_);
    Message node = Message().Bytes(4, op).Bytes(7, domain).Bytes(2, output);
    for (std::size_t inputs = chance_.Below(5); inputs > 0; --inputs) node.Bytes(1, chance_.Of(values_));
    if (chance_.OneIn(4)) node.Bytes(2, output + "more");
    for (std::size_t attributes = chance_.Below(5); attributes > 0; --attributes) node.Child(5, Attribute());
    if (domain.empty() && (op == "If" || op == "Loop" || op == "Scan")) {
      for (const char* name : {"then_branch", "else_branch", "body"})
        node.Child(5, Message().Bytes(1, name).Child(6, Body()));
    }
    values_.push_back(output);
    return node;
  }

  Message Body() {
    test::Graph body("body");
    for (std::size_t inputs = chance_.Below(4); inputs > 0; --inputs)
      body.Input("in" + std::to_string(inputs), kFloat, {});
    const std::string op = chance_.Of(std::vector<const char*>{"Identity", "Shape", "Neg", "Softmax"});
    body.Node(op, {chance_.OneIn(2) ? "in1" : chance_.Of(values_)}, {"out"});
    for (std::size_t outputs = chance_.Below(4); outputs > 0; --outputs) body.Output("out", kFloat, {});
    return body.message();
  }

  Message Attribute() {
    static const std::vector<const char*> names{"axis",
                                                "axes",
                                                "perm",
                                                "keepdims",
                                                "kernel_shape",
                                                "strides",
                                                "pads",
                                                "dilations",
                                                "group",
                                                "auto_pad",
                                                "ceil_mode",
                                                "output_padding",
                                                "output_shape",
                                                "split",
                                                "to",
                                                "start",
                                                "end",
                                                "starts",
                                                "ends",
                                                "k",
                                                "depth",
                                                "blocksize",
                                                "batch_dims",
                                                "equation",
                                                "num_scan_inputs",
                                                "scan_input_axes",
                                                "scan_output_axes",
                                                "shape",
                                                "value",
                                                "value_int",
                                                "value_ints",
                                                "value_float",
                                                "value_floats",
                                                "scales",
                                                "layout",
                                                "transA",
                                                "transB",
                                                "N",
                                                "qkv_hidden_sizes",
                                                "time_axis",
                                                "batch_axis",
                                                "classlabels_ints",
                                                "cats_int64s",
                                                "targets",
                                                "allowzero",
                                                "onesided",
                                                "channels_last",
                                                "noop_with_empty_axes",
                                                "direction",
                                                "training_mode",
                                                "spatial",
                                                "opset"};
    Message attribute = Message().Bytes(1, chance_.Of(names));
    for (std::size_t integers = chance_.Below(5); integers > 0; --integers) attribute.Int(8, Integer());
    if (chance_.OneIn(2)) attribute.Int(3, Integer());
    if (chance_.OneIn(8)) attribute.Float(7, chance_.Of(std::vector<float>{0, 0.5F, -1, 1e30F, std::nanf("")}));
    if (chance_.OneIn(8)) attribute.Child(5, Message().Int(1, 1).Int(2, kInt64).Int(7, Integer()));
    static const std::vector<const char*> texts{"SAME_UPPER", "VALID", "bidirectional", "ij,jk->ik", "bij->",
                                                ",->",        "->",    "bij,bkj->bik",  "->z",       "ii->i"};
    if (chance_.OneIn(2)) attribute.Bytes(4, chance_.Of(texts));
    return attribute;
  }

  // Small ones mostly: the rest is refused at once.
  std::int64_t Integer() {
    static const std::vector<std::int64_t> extremes{
        INT64_MIN,     INT64_MIN + 1, -(std::int64_t{1} << 32U), std::int64_t{1} << 32U, std::int64_t{1} << 53U,
        INT64_MAX - 1, INT64_MAX};
    return chance_.OneIn(6) ? chance_.Of(extremes) : static_cast<std::int64_t>(chance_.Below(8)) - 2;
  }

  Chance chance_;
  std::set<std::pair<std::string, std::string>> ops_;  // domain and name, in an order that no run changes
  std::vector<std::string> values_;
};

TEST(NonsensicalModel, GetsAnAnswer) {
  Nonsense nonsense(1);
  std::size_t followed = 0;
  for (int round = 0; round < 10'000; ++round) followed += Prove(nonsense.Model()) == RowVerdict::kIndependent ? 1 : 0;
  EXPECT_GT(followed, 0U);
}

}  // namespace
}  // namespace interleave::graph
