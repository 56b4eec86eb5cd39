// Functions of a model's own, as the runtime runs them.
#include <gtest/gtest.h>

#include "graph/row_proof.h"
#include "test_models.h"

namespace interleave {
namespace {

using graph::ProveRows;
using graph::RowVerdict;
using test::Graph;
using test::kFloat;
using test::Message;

Message OpsetOf(const std::string& domain, int version) { return Message().Bytes(1, domain).Int(2, version); }

// y = op(x) with x [batch, 3, 4], `op` being a function around `inner`.
RowVerdict OfFunction(const std::string& domain, const std::string& op, const std::string& inner,
                      const std::vector<Message>& opsets, const std::vector<Message>& modelOpsets) {
  Message function = Message()
                         .Bytes(1, op)
                         .Bytes(4, "x")
                         .Bytes(5, "y")
                         .Bytes(10, domain)
                         .Child(7, Message().Bytes(1, "x").Bytes(2, "y").Bytes(4, inner));
  for (const Message& opset : opsets) function.Child(9, opset);
  Message model = Message().Int(1, 9);
  model.Child(7, Graph()
                     .Input("x", kFloat, {"batch", 3, 4})
                     .Output("y", kFloat, {"batch", 3, 4})
                     .Node(op, {"x"}, {"y"}, {}, domain)
                     .message());
  for (const Message& opset : modelOpsets) model.Child(8, opset);
  return ProveRows(model.Child(25, function).bytes()).verdict;
}

const std::vector<Message> k17{OpsetOf("", 17), OpsetOf("own", 1)};

TEST(FunctionsOfAModel, AreFollowed) {
  EXPECT_EQ(OfFunction("own", "F", "Relu", {OpsetOf("", 17)}, k17), RowVerdict::kIndependent);
  EXPECT_EQ(OfFunction("own", "F", "Relu", {}, k17), RowVerdict::kIndependent);
  EXPECT_EQ(OfFunction("own", "F", "ReduceMax", {OpsetOf("", 17)}, k17), RowVerdict::kMixed);
  // A name of ONNX's in another domain is the model's own.
  EXPECT_EQ(OfFunction("own", "ReduceMax", "Relu", {OpsetOf("", 17)}, k17), RowVerdict::kIndependent);
}

// The runtime runs its own operator of the name, which mixes rows here.
TEST(FunctionsOfAModel, DoNotStandForOperatorsOfTheRuntime) {
  for (const char* domain : {"", "ai.onnx", "ai.onnx.ml", "com.microsoft", "com.ms.internal.nhwc"}) {
    for (const char* op : {"ReduceMax", "DynamicQuantizeLinear", "Softmax"}) {
      const std::vector<Message> opsets{OpsetOf("", 17), OpsetOf("ai.onnx.ml", 3), OpsetOf("com.microsoft", 1)};
      EXPECT_NE(OfFunction(domain, op, "Relu", {OpsetOf("", 17)}, opsets), RowVerdict::kIndependent)
          << domain << ' ' << op;
    }
  }
}

// The runtime reads the body in the model's version: before 13, Softmax goes over all axes from the first one on.
TEST(FunctionsOfAModel, AreNotReadInAnotherOperatorSet) {
  for (const auto& [function, model] : std::vector<std::pair<int, int>>{{17, 12}, {12, 17}, {13, 11}, {18, 17}}) {
    EXPECT_NE(OfFunction("own", "F", "Softmax", {OpsetOf("", function)}, {OpsetOf("", model), OpsetOf("own", 1)}),
              RowVerdict::kIndependent);
  }
  EXPECT_NE(OfFunction("own", "F", "Softmax", {OpsetOf("", 17)}, {OpsetOf("own", 1)}), RowVerdict::kIndependent);
  EXPECT_NE(OfFunction("own", "F", "Softmax", {OpsetOf("", 17), OpsetOf("com.microsoft", 2)},
                       {OpsetOf("", 17), OpsetOf("com.microsoft", 1)}),
            RowVerdict::kIndependent);
}

}  // namespace
}  // namespace interleave
